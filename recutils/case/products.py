"""Case 80, products: garments told by their reviews, the shelves of a product page, a till that reads words.

Orders are in groceries.py, coupons in coupons.py; the models themselves are model/'s and rank/'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.labelled import REVIEW_FILE
from recutils.encode.search import nearest
from recutils.evaluate.metrics import hit_rate, ndcg
from recutils.evaluate.task import Task
from recutils.model.content import Vectors
from recutils.model.ease import EASE
from recutils.model.text_ease import TextEASE
from recutils.rank.rules import Rules
from recutils.rank.top import Scorer, recommend, top_k
from recutils.tables import Interactions, Problem
from recutils.trust.filter import BLOCK, Rule, judge

TITLE, MEANING, UNKNOWN, REFUSED = "its title", "its meaning", "not understood", "refused"


@dataclass(frozen=True, eq=False)
class Garments:
    """Garments and what some reviews say of each. kinds: (n,) class names. texts: n x per, garment by garment."""

    kinds: np.ndarray
    texts: tuple[str, ...]
    per: int

    def vectors(self, found: np.ndarray) -> np.ndarray:
        """(n, d) the mean vector of each garment's reviews, from the reviews' vectors (n x per, d)."""
        return found.reshape(len(self.kinds), self.per, -1).mean(axis=1)

    def documents(self) -> list[str]:
        """One text a garment: its reviews, one after the other."""
        return [" ".join(self.texts[row * self.per : (row + 1) * self.per]) for row in range(len(self.kinds))]


def read_garments(folder: Path, *, per: int = 3, least: int = 10, most: int = 0, seed: int = 0) -> Garments:
    """Garments with at least `least` written reviews, `per` of them drawn; at most `most` garments, drawn (0: all).

    folder: of clothing-reviews. A garment belongs to the class that most of its reviews name. Ratings and
    recommendations are not read.
    """
    columns = ["Clothing ID", "Class Name", "Review Text"]
    table = pd.read_parquet(folder / REVIEW_FILE, columns=columns).dropna()
    table["text"] = table["Review Text"].str.split().str.join(" ")
    table = table[table.text != ""].drop_duplicates(["Clothing ID", "text"])
    counts = table["Clothing ID"].value_counts()
    ids = np.sort(counts.index[counts >= max(per, least)])
    if len(ids) < 2:
        raise Problem(f"{len(ids)} garments have {max(per, least)} written reviews; lower least or per.")
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.permutation(ids)[: most or None])
    table = table.iloc[rng.permutation(len(table))]
    own = {one: part for one, part in table[table["Clothing ID"].isin(ids)].groupby("Clothing ID")}
    kinds = np.array([own[one]["Class Name"].mode().sort_values().iloc[0] for one in ids], dtype=object)
    return Garments(kinds, tuple(text for one in ids for text in own[one].text.head(per)), per)


def same_kind(likeness: np.ndarray, kinds: np.ndarray, k: int) -> np.ndarray:
    """(n,) the share of each item's k likest others of its kind. likeness: (n, n), diagonal not read."""
    n = len(kinds)
    if likeness.shape != (n, n) or not 1 <= k < n:
        raise Problem(f"likeness must be ({n}, {n}) and k in 1..{n - 1}; got {likeness.shape} and {k}")
    return (kinds[top_k(likeness, sparse.eye(n, format="csr"), k)] == kinds[:, None]).mean(axis=1)


def by_chance(kinds: np.ndarray) -> np.ndarray:
    """(n,) the share of the other items that are of each one's kind: what neighbours drawn at random would give."""
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return (counts[place] - 1) / (len(kinds) - 1)


def one_each(histories: sparse.csr_matrix, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(people, items): one item at random from each history that holds one of these rows."""
    rng, found = np.random.default_rng(seed), []
    for row in range(histories.shape[0]):
        items = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
        items = np.sort(items[np.isin(items, rows)])
        if len(items):
            found.append((row, int(rng.choice(items))))
    if not found:
        raise Problem("no history holds an allowed item; allow more items.")
    people, chosen = np.array(found, dtype=np.int64).T
    return people, chosen


def tried(menu: Mapping[str, Scorer], valid: Task, n: int = 1000) -> pd.DataFrame:
    """Each setting's mean nDCG on the first n people of the validation part: setting, ndcg; the best first."""
    if valid.part != "valid" or not menu:
        raise Problem(f"settings (got {len(menu)}) are tried on the part 'valid'; got {valid.part!r}")
    histories, truth = valid.histories[:n], valid.truth[:n]
    found = [np.nanmean(ndcg(recommend(one, histories, valid.k), truth, valid.k)) for one in menu.values()]
    table = pd.DataFrame({"setting": list(menu), "ndcg": found})
    return table.sort_values("ndcg", ascending=False, kind="stable", ignore_index=True)


def settings(
    train: Interactions,
    valid: Task,
    mined: Rules,
    *,
    supports: Mapping[int, int],
    regs: Sequence[float],
    weights: Sequence[float],
    vectors: Mapping[str, Vectors],
) -> tuple[dict[str, Scorer], pd.DataFrame]:
    """Rules, EASE and, for each kind of vectors, "ease with <kind>", each at its best setting of those tried.

    supports: as told to the reader -> baskets. weights: of a full likeness, in baskets; the penalty stays plain EASE's.
    """
    menus: dict[str, dict[str, Scorer]] = {
        "rules": {
            f"support {told}": Rules(mined.table[mined.table.support >= n], mined.n_items)
            for told, n in supports.items()
        },
        "ease": {f"reg {reg:g}": EASE(reg=reg).fit(train) for reg in regs},
    }
    kept: dict[str, Scorer] = {}
    tables = [_kept(kept, name, menu, valid) for name, menu in menus.items()]
    for kind, given in vectors.items():
        menu = {
            f"weight {weight:g}": TextEASE(weight=weight, reg=kept["ease"].reg).with_vectors(given).fit(train)
            for weight in weights
        }
        tables.append(_kept(kept, f"ease with {kind}", menu, valid))
    return kept, pd.concat(tables, ignore_index=True)


def _kept(kept: dict[str, Scorer], name: str, menu: Mapping[str, Scorer], valid: Task) -> pd.DataFrame:
    """Puts the best of the menu into `kept`; gives the table of all, under the model's name."""
    table = tried(menu, valid)
    kept[name] = menu[table.setting[0]]
    table.insert(0, "model", name)
    return table


def among(truth: sparse.csr_matrix, rows: np.ndarray) -> sparse.csr_matrix:
    """The truth, of these items only; the shape stays."""
    own = truth.copy()
    own.data = np.where(np.isin(own.indices, rows), own.data, 0).astype(truth.dtype)
    own.eliminate_zeros()
    return own


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """A model's scores without what is like the history: the shelf "from elsewhere" of data that know no categories.

    vectors: (n_items, d) of length 1. unlike: the highest cosine with an item of the history that is still shown.
    """

    model: Scorer
    vectors: np.ndarray
    unlike: float

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items), -inf where an item is like one of the history."""
        scores = self.model.score(histories).astype(np.float32)
        for row in range(len(scores)):
            items = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            if len(items):
                scores[row, (self.vectors @ self.vectors[items].T).max(axis=1) > self.unlike] = -np.inf
        return scores


def pages(items: np.ndarray, n_items: int) -> sparse.csr_matrix:
    """(n, n_items): histories that hold one product each, the one whose page it is."""
    where = (np.arange(len(items)), items)
    return sparse.csr_matrix((np.ones(len(items), np.float32), where), shape=(len(items), n_items))


def visits(shelves: Mapping[str, Scorer], rules: Task, rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Shelf -> (n,) 1 where it holds something of the person's truth, for people who have one of these products.

    Each stands on the page of one that they have, drawn; nothing that they have is listed, nothing else is known.
    """
    people, items = one_each(rules.histories, rows, seed)
    asked, seen, truth = pages(items, rules.histories.shape[1]), rules.histories[people], rules.truth[people]
    return {name: hit_rate(top_k(one.score(asked), seen, rules.k), truth, rules.k) for name, one in shelves.items()}


def page_table(shelves: Mapping[str, Scorer], items: Sequence[int], titles: Sequence[str], k: int = 3) -> pd.DataFrame:
    """What stands first on each shelf of some pages: page, shelf, first k titles."""
    asked = pages(np.asarray(items), len(titles))
    lists = {name: top_k(one.score(asked), asked, k) for name, one in shelves.items()}
    rows = [
        (titles[item].title(), name, "; ".join(titles[row].title() for row in found[place] if row >= 0))
        for place, item in enumerate(items)
        for name, found in lists.items()
    ]
    return pd.DataFrame(rows, columns=["page", "shelf", f"first {k}"])


@dataclass(frozen=True, eq=False)
class Answer:
    """kind: "basket" (answered from what was understood), "popular" (nothing was) or "refused" (the list is empty).

    read: one row a text: typed, shown, by. items: rows of the list. basket: sparse (1, n_items). said: to the person.
    """

    kind: str
    read: pd.DataFrame
    items: np.ndarray
    basket: sparse.csr_matrix
    said: str


@dataclass(frozen=True, eq=False)
class Till:
    """Completes a basket that somebody typed: titles as they are, other words by the nearest title, or not at all.

    vectors: (n_items, d) of the titles, as the encoder gives them. encode: texts to such vectors. least: the lowest
    cosine at which a title may stand for other words.
    """

    model: Scorer
    titles: Sequence[str]
    vectors: np.ndarray
    encode: Callable[[Sequence[str]], np.ndarray]
    rules: Sequence[Rule]
    least: float = 0.6

    def answer(self, typed: Sequence[str], k: int) -> Answer:
        """At most k products to go with the typed ones; says what was understood, and by what."""
        words = [" ".join(text.split()) for text in typed if text.strip()]
        read, rows = self._read(words)
        basket = np.zeros((1, len(self.titles)), dtype=np.float32)
        basket[0, rows] = 1
        history, blocked = sparse.csr_matrix(basket), read[read.by == REFUSED]
        if len(blocked):
            return Answer("refused", read, np.array([], dtype=np.int64), history, blocked.shown.iloc[0])
        items = top_k(self.model.score(history), history, k)[0]
        if not rows:
            return Answer("popular", read, items[items >= 0], history, "Chosen by many: no product was understood.")
        said = f"Goes with what was understood: {len(rows)} of {len(words)}."
        return Answer("basket", read, items[items >= 0], history, said)

    def _read(self, words: list[str]) -> tuple[pd.DataFrame, list[int]]:
        """What each text was read as (a refused one: why), and the rows of the products found."""
        row_of = {title.casefold(): row for row, title in reversed(list(enumerate(self.titles)))}
        table, rows = [], []
        for text, verdict in zip(words, judge(words, self.rules).itertuples() if words else (), strict=True):
            if verdict.action == BLOCK:
                table.append((text, verdict.reason, REFUSED))
                continue
            row, by = (row_of[text.casefold()], TITLE) if text.casefold() in row_of else self._near(text)
            rows += [row] if row >= 0 else []
            table.append((text, self.titles[row] if row >= 0 else "", by))
        return pd.DataFrame(table, columns=["typed", "shown", "by"]), sorted(set(rows))

    def _near(self, text: str) -> tuple[int, str]:
        """The product whose title is nearest in meaning, or -1 below the least cosine."""
        found = nearest(self.vectors, self.encode([text]), 1)
        near = float(found.cosine[0, 0]) >= self.least
        return (int(found.rows[0, 0]), MEANING) if near else (-1, UNKNOWN)


def conversation(till: Till, requests: Mapping[str, Sequence[str]], k: int) -> pd.DataFrame:
    """What the till says to each request: request, kind, read as, items (how many), said."""
    rows = []
    for name, typed in requests.items():
        found = till.answer(typed, k)
        read = "; ".join(f"{one.typed} → {one.shown or '?'} ({one.by})" for one in found.read.itertuples())
        rows.append((name, found.kind, read, len(found.items), found.said))
    return pd.DataFrame(rows, columns=["request", "kind", "read as", "items", "said"])
