"""A stranger's folder through the ladder: opened, a text's worth measured and put in words, lists shown with reasons.

Reading is data/folder.py and data/guess.py, choosing evaluate/choose.py, the verdict file deploy/verdict.py, the safety
filter and the reasons trust/; here they are put together for one shop.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils import runs
from recutils.data.cells import read_csv
from recutils.data.folder import read_folder
from recutils.data.guess import Proposal, propose
from recutils.data.load import load
from recutils.deploy.lists import ranked, whole
from recutils.evaluate.choose import Choice
from recutils.evaluate.cold import judged
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.task import Task
from recutils.model.als import ALS
from recutils.model.base import Model
from recutils.model.cold import TextMap, likeness
from recutils.model.content import Vectors
from recutils.rank.blend import Blend
from recutils.rank.top import BLOCK, Scorer, recommend
from recutils.tables import ITEM_ID, TITLE, USER_ID, Dataset, Interactions, Problem
from recutils.trust.explain import reasons
from recutils.trust.filter import SPARE, Rule, screen

LADDER = ("random", "popularity", "recent popularity", "item neighbours", "als", "ease")  # the simplest first
WEIGHTS = (0.1, 0.25, 0.5, 1.0)  # of the text beside behaviour, of which the validation part takes one
KERNEL_ITEMS = 5_000  # 5,000 x 5,000 float32 take 100 MB
COLUMNS = ("user_id", "item_id", "title", "rank", "score", "why")


@dataclass(frozen=True, eq=False)
class Opened:
    """A folder as a data set; what was guessed of it, and where these guesses were written (None: nothing was)."""

    dataset: Dataset
    proposal: Proposal | None = None
    said: Path | None = None


def opened(folder: Path, kept: Path, *, believe: bool = False) -> Opened:
    """The folder's data: by its own dataset.toml, by our column names, or by guesses that are written to `kept`.

    Nothing is written into the folder. Raises Problem when a guess is unsure (believe: takes it all the same), when no
    users or items can be made out, and for whatever the reader refuses.
    """
    if (folder / "dataset.toml").is_file() or _ours(folder):
        return Opened(load(folder))
    proposal = propose(folder)
    said = runs.write_text(kept / "dataset.toml", proposal.to_toml())
    _check(proposal, said, believe)
    return Opened(read_folder(folder, said), proposal, said)


def _ours(folder: Path) -> bool:
    """Whether interactions.csv is there under our column names."""
    path = folder / "interactions.csv"
    return path.is_file() and {USER_ID, ITEM_ID} <= set(read_csv(path, broken="skip").rows)


def _check(proposal: Proposal, said: Path, believe: bool) -> None:
    cure = f"Read {said}, correct it, and put it beside your files as dataset.toml."
    if proposal.missing:
        names = ", ".join(proposal.missing)
        raise Problem(f"{proposal.folder.name}: no column could be made out for {names}. {cure}")
    if proposal.doubtful and not believe:
        told = "; ".join(f"{one.ours} from {one.theirs!r} ({one.why})" for one in proposal.doubtful)
        raise Problem(f"{proposal.folder.name}: unsure guesses are not acted on: {told}. {cure}")


def answer(folder: Path, kept: Path) -> str:
    """What `opened` says of a folder, in a sentence: how much was read, or why nothing was."""
    try:
        events = opened(folder, kept).dataset.interactions
    except Problem as problem:
        return str(problem).replace(str(kept), kept.name).replace(str(folder), folder.name)
    return f"read: {len(events):,} events of {events.n_users:,} people"


def card(data: Dataset) -> pd.DataFrame:
    """What the data hold, one row each: what, how much (text)."""
    events = data.interactions
    met = np.bincount(events.item, minlength=len(data.items))
    facts = {
        "people": f"{len(data.users):,}",
        "items": f"{len(data.items):,}",
        "items that nobody took": f"{int((met == 0).sum()):,}",
        "events": f"{len(events):,}",
        "events of the middle person": f"{int(np.median(np.bincount(events.user, minlength=1))):,}",
        "values are opinions": "yes" if data.explicit else "no",
        "events have times": "yes" if events.has_time else "no",
    }
    return pd.DataFrame({"what": list(facts), "how much": list(facts.values())})


def cold_pairs(
    events: Interactions, vectors: Mapping[str, Vectors], k: int, *, n_judged: int, seed: int
) -> pd.DataFrame:
    """`cold.judged` for a map from each kind of vectors, "cold map, KIND", with random and the oracle beside them.

    A kernel map up to KERNEL_ITEMS items, whose kernel is a square table; a ridge map beyond.
    """
    square = events.n_items <= KERNEL_ITEMS
    maps = {
        f"cold map, {kind}": TextMap(kind="kernel" if square else "ridge").with_vectors(
            likeness([(one, 1.0)]) if square else one
        )
        for kind, one in vectors.items()
    }
    return judged(events, maps, lambda train: [ALS(factors=32, alpha=1.0, seed=seed).fit(train)], k, n_judged=n_judged)


def best_behaviour(choice: Choice) -> str:
    """The model without texts that has the highest validation value; of equal ones the simpler."""
    names = [name for name in LADDER[1:] if name in choice.chosen]
    return max(names, key=lambda name: choice.chosen[name].value)


@dataclass(frozen=True)
class Joined:
    """A behaviour model with a text beside it: which, the text's weight, and the validation value of each weight."""

    behaviour: str
    text: str
    weight: float
    tried: Mapping[float, float]

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"{self.behaviour} + {self.text.removeprefix('content ')}"

    def of(self, models: Mapping[str, Scorer]) -> Blend:
        """The blend of fitted models."""
        return Blend(
            {name: models[name] for name in (self.behaviour, self.text)}, {self.behaviour: 1.0, self.text: self.weight}
        )


def joined(choice: Choice, rules: Task, text: str) -> Joined:
    """The best behaviour model with a text model ("content minilm") beside it; the validation part chose its weight.

    A weight of 0 is not on the menu: what the text is worth is measured, not assumed.
    """
    if rules.part != "valid":
        raise Problem(f"the weight is chosen on the part 'valid'; the task is of {rules.part!r}.")
    behaviour, models = best_behaviour(choice), choice.models
    tried = {}
    for weight in WEIGHTS:
        one = Joined(behaviour, text, weight, {}).of(models)
        tried[weight] = float(np.nanmean(ndcg(recommend(one, rules.histories, rules.k), rules.truth, rules.k)))
    return Joined(behaviour, text, max(tried, key=lambda weight: tried[weight]), tried)


def known_of(split_train: Interactions, valid: Interactions) -> Interactions:
    """Train and valid as one, for the last fit before the test part is read."""
    rows = pd.concat([split_train.rows, valid.rows], ignore_index=True)
    return Interactions(rows, split_train.n_users, split_train.n_items)


@dataclass(frozen=True, eq=False)
class Shown:
    """What was written: counts, what the filter took out (trust.filter.AUDIT), the first list as a table.

    items: the rows of the items shown, (n_users, k), -1 where a list is short.
    """

    counts: Mapping[str, int]
    audit: pd.DataFrame
    head: pd.DataFrame
    items: np.ndarray


def write_shown(
    out: Path,
    model: Model | Scorer,
    dataset: Dataset,
    users: np.ndarray,
    *,
    k: int,
    rules: Sequence[Rule],
    popular: np.ndarray,
) -> Shown:
    """Write the lists of users (rows) as CSV: user_id, item_id, title, rank, score, why; whole or not at all.

    model: fitted on all events. popular: (n_items,) what strangers get. What the filter takes out is replaced from the
    next best; a list is shorter when nothing is left. Raises Problem when the place cannot be written.
    """
    names, histories = dataset.items[TITLE].tolist(), dataset.interactions.matrix()
    asked = _Asked(model, popular)
    audits, rows, kept = [], [], []
    for first in range(0, len(users), BLOCK):
        block = users[first : first + BLOCK]
        lists, scores = ranked(asked, histories[block], min(k + SPARE, len(names)))
        found = screen(lists, names, rules, k=k)
        kept.append(found.lists)
        audits.append(found.audit.assign(list=found.audit["list"] + first))
        rows += _rows(dataset, asked, block, histories[block], (found.lists, lists, scores))
    with whole(out) as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    audit = pd.concat(audits, ignore_index=True)
    counts = {"users": len(users), "rows": len(rows), "taken out by the filter": len(audit)}
    return Shown(counts, audit, pd.DataFrame(rows[:k], columns=list(COLUMNS)), np.concatenate(kept))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A scorer with the popularity that strangers get."""

    model: Model | Scorer
    popular: np.ndarray

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.model.score(histories)


Ranked = tuple[np.ndarray, np.ndarray, np.ndarray]  # lists to show, lists asked for, the scores of these


def _rows(
    dataset: Dataset, model: Scorer, users: np.ndarray, histories: sparse.csr_matrix, found: Ranked
) -> list[tuple]:
    names, item_ids = dataset.items[TITLE].tolist(), dataset.items[ITEM_ID].to_numpy()
    rows = []
    for place, user_id in enumerate(dataset.user_ids.ids(users)):
        shown, asked, scores = (table[place] for table in found)
        shown = shown[shown >= 0]
        of = dict(zip(asked.tolist(), scores.tolist(), strict=True))
        lines = reasons(model, histories[[place]], shown.tolist(), names)
        rows += [
            (user_id, item_ids[item], names[item], rank, f"{of[int(item)]:.6g}", line)
            for rank, (item, line) in enumerate(zip(shown, lines, strict=True), 1)
        ]
    return rows


def thinned(texts: Sequence[str], events: Interactions, most: int) -> list[str]:
    """The texts of the `most` items with the most events, "" for the others; 0 keeps all. Ties go to the lower row."""
    if most == 0 or len(texts) <= most:
        return list(texts)
    counts = np.bincount(events.item, minlength=len(texts))
    kept = set(np.argsort(-counts, kind="stable")[:most].tolist())
    return [text if row in kept else "" for row, text in enumerate(texts)]
