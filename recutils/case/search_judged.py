"""Case 81: the frozen phrases and the readers' grades, what is compared with them, and searches with a history.

Files: data/judgments, whose README tells who read what. Graded gains, pools and agreement live in evaluate/graded.py,
the searches and the page in case/search.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils import runs
from recutils.data import load, split
from recutils.data.prepare import compact
from recutils.evaluate.beyond import intra_list_distance
from recutils.evaluate.family import corrected
from recutils.evaluate.graded import WEIGHTS, agreement, confusion, grade_table
from recutils.evaluate.records import Record
from recutils.evaluate.searched import taste_lists
from recutils.evaluate.statistics import DRAWS, Comparison, Interval, mean_intervals
from recutils.evaluate.task import Task, task
from recutils.model.ease import EASE
from recutils.rank import queries as made
from recutils.rank.search import Dense, Lexical
from recutils.tables import Dataset, Ids, Problem, check_columns

JUDGMENTS = runs.ROOT / "data" / "judgments"
LEVEL_OF_TEST = 0.05
RULES = {
    "mean": lambda first, second: (first + second) / 2,
    "lower": np.minimum,
    "first reading": lambda first, second: first,
    "second reading": lambda first, second: second,
}


def read_phrases(folder: Path = JUDGMENTS) -> pd.DataFrame:
    """The frozen phrases: phrase_id, part ("judged" or "apart"), kind, phrase; an empty phrase stays ""."""
    return _read(folder / "search_phrases.csv", ["phrase_id", "part", "kind", "phrase"])


def judged_items(folder: Path = JUDGMENTS) -> list[str]:
    """Ids of all items that a reader judged for some phrase, each once, in file order."""
    rows = _read(folder / "search_judgments.csv", ["item_id"])
    return list(dict.fromkeys(rows["item_id"]))


def read_judgments(item_ids: Ids, phrases: pd.DataFrame, folder: Path = JUDGMENTS) -> pd.DataFrame:
    """Both readings by row numbers: query, item, first, second. Pairs of items outside the catalogue are left out.

    phrases: those judged, in the order of the queries. Raises Problem when a phrase is unknown or a grade is no number.
    """
    rows = _read(folder / "search_judgments.csv", ["pair_id", "phrase_id", "item_id", "pass1", "pass2"])
    queries, known = Ids(phrases["phrase_id"]), rows["item_id"].isin(set(item_ids.values))
    kept = rows[known]
    grades = kept[["pass1", "pass2"]].apply(pd.to_numeric, errors="coerce")
    if grades.isna().any(axis=None):
        lacking = kept.loc[grades.isna().any(axis=1), "pair_id"].head(3).tolist()
        raise Problem(f"pairs {lacking} lack a grade of one reading; grades are the numbers of search_guide.md.")
    return pd.DataFrame(
        {"query": queries.rows(kept["phrase_id"]), "item": item_ids.rows(kept["item_id"]),
         "first": grades["pass1"].to_numpy(), "second": grades["pass2"].to_numpy()}
    )  # fmt: skip


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as fault:
        raise Problem(f"{path} is missing; it comes with the repository: `git checkout {path.name}`.") from fault
    check_columns(rows, columns, path.name)
    return rows


def settled(pairs: pd.DataFrame, rule: str, shape: tuple[int, int]) -> np.ndarray:
    """Grades (n_queries, n_items), NaN for unjudged, by one of RULES: how two readings become one grade."""
    if rule not in RULES:
        raise Problem(f"there is no rule {rule!r} to settle two readings; expected one of {', '.join(RULES)}.")
    first, second = (pairs[name].to_numpy(dtype=np.float64) for name in ("first", "second"))
    return grade_table(pairs.assign(grade=RULES[rule](first, second)), shape)


def thinned(name: str, share: float, most: int, seed: int, first: Sequence[str] = ()) -> Dataset:
    """A data set of this share of users, and at most so many of the items that somebody met; 0 keeps all.

    first: item ids that stay before others are drawn, such as judged ones.
    """
    data = load.load(name, sample_users=share, seed=seed)
    met = np.random.default_rng(seed).permutation(np.unique(data.interactions.item))
    wanted = data.item_ids.rows([one for one in dict.fromkeys(first) if one in data.item_ids])
    kept = np.concatenate([met[np.isin(met, wanted)], met[~np.isin(met, wanted)]])[: most or None]
    return compact(data, data.interactions.only(np.isin(data.interactions.item, kept)))


def compared(
    values: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    *,
    seed: int,
    draws: int = DRAWS,
    tested: bool = True,
    **about: object,
) -> list[Record]:
    """Records of declared pairs (model, against): mean and paired difference with interval, p, and Holm's p over them.

    values: model -> (n,) per query, NaN without a value. tested: False leaves the p out, for what is exploratory.
    about: the other fields of a record.
    """
    columns = {" - ".join(pair): (values[pair[0]], values[pair[1]]) for pair in pairs}
    found = corrected(columns, seed, draws=draws, together=False)
    means = mean_intervals(values, seed, draws=draws)
    return [
        Record(model=pair[0], against=pair[1], value=means[pair[0]].mean, low=means[pair[0]].low,
               high=means[pair[0]].high, delta=one.delta, delta_low=one.low, delta_high=one.high,
               p=one.p if tested else None, p_holm=p if tested else None, n=one.n, seed=seed, **about)
        for pair, (one, p) in zip(pairs, found.values(), strict=True)
    ]  # fmt: skip


def pool_table(asked: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of phrase: how many, an example, how many pairs were judged, and the share that both found fit.

    asked: columns kind and phrase, by query row. pairs: as `read_judgments` gives them.
    """
    shown = asked.groupby("kind", sort=False).phrase.agg(["size", "first"]).reset_index()
    shown.columns = ["kind", "phrases", "an example"]
    fit = ((pairs["first"] > 0) & (pairs["second"] > 0)).groupby(asked.kind.to_numpy()[pairs["query"]])
    shown["pairs judged"] = fit.size().reindex(shown.kind).fillna(0).astype(int).to_numpy()
    return shown.assign(**{"both above 0": fit.mean().reindex(shown.kind).to_numpy()})


def read_twice(pairs: pd.DataFrame, seed: int, *, draws: int = DRAWS) -> tuple[dict[str, Interval], pd.DataFrame]:
    """Weighted kappa, linear and quadratic, with intervals over queries, and the table of both readings."""
    first, second = (pairs[name].to_numpy(dtype=np.int64) for name in ("first", "second"))
    found = {
        name: agreement(first, second, pairs["query"].to_numpy(), seed, weights=name, draws=draws) for name in WEIGHTS
    }
    levels = int(max(first.max(), second.max())) + 1
    counts = pd.DataFrame(confusion(first, second, levels), columns=[f"second {grade}" for grade in range(levels)])
    counts.insert(0, "reading", [f"first {grade}" for grade in range(levels)])
    return found, counts


def worst(values: np.ndarray, gap: np.ndarray, n: int = 3) -> list[int]:
    """Queries worth reading: the n with the lowest value, then up to two with the most negative gap; NaN is left out.

    >>> worst(np.array([0.9, 0.1, np.nan, 0.2, 0.5]), np.array([-0.1, 0.0, np.nan, -0.3, 0.2]), n=2)
    [1, 3, 0]
    """
    known = ~np.isnan(values)
    low = [int(q) for q in np.argsort(values, kind="stable") if known[q]][:n]
    lost = [int(q) for q in np.argsort(gap, kind="stable") if known[q] and gap[q] < 0][:2]
    return list(dict.fromkeys([*low, *lost]))


def sameness(lists: np.ndarray, views: Mapping[str, np.ndarray | sparse.csr_matrix]) -> dict[str, np.ndarray]:
    """Mean cosine of all pairs within each list, by each view: (n,), NaN below two items; 1 for a list of copies.

    views: name -> vectors (n_items, d), such as words, buyers, and the encoder that a varied list was made with.
    """
    return {name: 1 - intra_list_distance(lists, vectors) for name, vectors in views.items()}


def verdict(record: Record, smallest: float) -> str:
    """ "ahead", "behind", "too little to matter" or "undecided", of a difference with its interval.

    ahead or behind: the interval excludes 0, Holm's p, where there is one, is below .05, and the difference is at least
    `smallest`, declared beforehand; too little: the whole interval lies within -smallest..smallest.
    """
    if record.delta is None or record.delta_low is None or record.delta_high is None:
        raise Problem(f"a verdict needs a difference with its interval; {record.model} has none.")
    clear = record.delta_low > 0 or record.delta_high < 0
    if clear and (record.p_holm is None or record.p_holm < LEVEL_OF_TEST) and abs(record.delta) >= smallest:
        return "ahead" if record.delta > 0 else "behind"
    return "too little to matter" if max(-record.delta_low, record.delta_high) < smallest else "undecided"


def visible(differences: np.ndarray) -> float:
    """The difference of means that n paired queries show with 80 % power at p < .05: 2.8 standard errors.

    differences: (n,) per query, NaN left out.

    >>> round(visible(np.array([0.5, -0.5] * 25)), 3)
    0.2
    """
    known = differences[~np.isnan(differences)]
    return float(2.8 * known.std(ddof=1) / np.sqrt(len(known)))


def depths(k: int) -> dict[str, int]:
    """How many first places of each ranking the readers were given; "characters" was not pooled, to keep it short."""
    return {"popularity": 1, "BM25": k, "dense": k, "fused": k, "diversified": k}


def signed(one: Comparison | Record) -> str:
    """A difference with its interval as text, "+0.050 [+0.010, +0.090]".

    >>> signed(Comparison(0.05, 0.01, 0.09, 0.02, 50, 0))
    '+0.050 [+0.010, +0.090]'
    """
    low, high = (one.delta_low, one.delta_high) if isinstance(one, Record) else (one.low, one.high)
    return f"{one.delta:+.3f} [{low:+.3f}, {high:+.3f}]"


def _drawn(rules: Task, people: int, seed: int) -> Task:
    """The task of so many of its users, drawn, in their old order; 0 keeps all."""
    if not 0 < people < len(rules.users):
        return rules
    kept = np.sort(np.random.default_rng(seed).permutation(len(rules.users))[:people])
    return replace(rules, users=rules.users[kept], histories=rules.histories[kept], truth=rules.truth[kept])


@dataclass(frozen=True, eq=False)
class Asked:
    """Customers who ask with a word of a held-out purchase. lists: name -> (n_users, k), with and without a history.

    rules: the task of the test part; truth: the held-out purchases that hold the word; queries: "" where none could be
    made; shares: taste -> the weights chosen for the two halves of the customers, each on the other half.
    """

    rules: Task
    truth: sparse.csr_matrix
    queries: list[str]
    lists: dict[str, np.ndarray]
    shares: dict[str, tuple[float, float]]


def asked_with_history(
    data: Dataset, vectors: np.ndarray, shares: Sequence[float], k: int, *, people: int = 0, seed: int
) -> Asked:
    """Lists of the query alone and lifted by three tastes: popularity, text (the mean vector of what was bought), EASE.

    Made as in `rank.queries.wishes`: one held-out purchase a customer, one word of its title. BM25 over the titles'
    words answers, so that the query alone is exact, and a taste orders its answers.
    people: ask so many customers, drawn; 0 asks all. All of them train the tastes.
    """
    parts = split.house(data.interactions, rng=seed)
    rules = _drawn(task(parts, data.name, k, part="test"), people, seed)
    groups, texts = made.facets(data.items)
    queries, truth = made.wishes(groups, rules.truth, np.random.default_rng(seed))
    answers, met = Lexical(texts).scores(queries), np.bincount(parts.train.item, minlength=len(texts))
    profile = np.asarray(rules.histories @ vectors)
    tastes = {
        "popularity": np.log1p(met) + np.zeros(answers.shape, dtype=np.float32),
        "text": Dense(vectors, lambda rows: np.asarray(rows)).scores(profile),
        "EASE": EASE().fit(parts.train).score(rules.histories),
    }
    lists, chosen = taste_lists(answers, tastes, truth, rules.histories, shares=shares, k=k, seed=seed)
    return Asked(rules, truth, queries, lists, chosen)
