"""Music: a catalogue of artists, their tags as text without what is held out, spellings of one name, lists compared.

Readers stand in data/social.py, models in model, re-rankers in rank/diversity.py.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.prepare import compact, gini, k_core, title_key
from recutils.data.social import TAG
from recutils.encode import Encoder, encode_cached
from recutils.encode.tfidf import tfidf
from recutils.evaluate.beyond import catalogue_coverage, exposure, intra_list_distance
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.task import Task
from recutils.model.content import Vectors, unit_rows
from recutils.model.counts import CountsALS
from recutils.rank import diversity
from recutils.rank.top import Scorer
from recutils.tables import ITEM, TITLE, USER, Dataset, Interactions, Problem
from recutils.trust.filter import REVIEW, Rule

T = TypeVar("T", bound=Hashable)
PEOPLE = "people"
MOST_TAGS = 5  # tags in an artist's text: a fixed number, so that the length of the text tells little of popularity
LEAST_PEOPLE = 2  # a tag counts when so many people used it anywhere: private notes and most spam are one person's
INSULTS = Rule(
    "insult",
    REVIEW,
    ("fuck*", "shit*", "suck*", "cunt*", "whore*", "bitch*", "faggot*", "retard*", "worst ... ever"),
    "Words that may hurt an artist or a listener: read by a person first.",
)


def catalogue(dataset: Dataset, least: int, *, most: int = 0) -> Dataset:
    """The data set with the artists that at least `least` people listen to, and everybody who is left with one.

    most: at most so many artists, the most listened ones, of equal ones the first; 0 = all. Raises Problem when nothing
    is left.
    """
    thinned = compact(dataset, k_core(dataset.interactions, 1, k_items=least))
    if not most or most >= len(thinned.items):
        return thinned
    events = thinned.interactions
    best = np.argsort(-np.bincount(events.item, minlength=events.n_items), kind="stable")[:most]
    return compact(thinned, events.only(np.isin(events.item, best)))


def kept(whole: Dataset, thinned: Dataset) -> str:
    """What thinning left, in a sentence."""
    share = len(thinned.interactions) / len(whole.interactions)
    return (
        f"Kept: {len(thinned.items):,} of {len(whole.items):,} artists, {share:.0%} of the listening counts and "
        f"{len(thinned.users):,} of {len(whole.users):,} people."
    )


def outside_tags(dataset: Dataset, given: pd.DataFrame) -> pd.DataFrame:
    """Tags that may be read whatever is held out: only from people who do not have the artist among their own.

    given: user, item, tag as `social.tags` reads them. Who tags an artist of the own list tells of listening, so
    such rows would carry held-out events into the text. Tags that fewer than LEAST_PEOPLE people use are left out too.
    Returns item, tag, people (how many outsiders gave it), the tags of an artist by falling number, then by name.
    """
    listened = dataset.interactions.matrix("binary")
    outside = np.asarray(listened[given[USER].to_numpy(), given[ITEM].to_numpy()]).ravel() == 0
    used = given.groupby(TAG)[USER].nunique()
    rows = given[outside & given[TAG].isin(used.index[used >= LEAST_PEOPLE])]
    table = rows.groupby([ITEM, TAG], as_index=False)[USER].nunique().rename(columns={USER: PEOPLE})
    return table.sort_values([ITEM, PEOPLE, TAG], ascending=[True, False, True], kind="stable", ignore_index=True)


def tag_card(dataset: Dataset, given: pd.DataFrame, outside: pd.DataFrame) -> pd.DataFrame:
    """What the tags are like: measure, value; shares are of all assignments."""
    listened = dataset.interactions.matrix("binary")
    own = np.asarray(listened[given[USER].to_numpy(), given[ITEM].to_numpy()]).ravel() > 0
    people = given.groupby(TAG)[USER].nunique()
    lonely = given[TAG].isin(people.index[people < LEAST_PEOPLE])
    busiest = given.groupby(USER).size().max()
    lines = [
        ("tag assignments", f"{len(given):,}"),
        ("different tags", f"{len(people):,}"),
        ("by somebody who has the artist in the list (left out)", f"{own.mean():.1%}"),
        ("with a tag that one person alone uses (left out)", f"{lonely.mean():.1%}"),
        ("most assignments by one person", f"{busiest:,}"),
        ("day missing or impossible", f"{given['time'].isna().sum():,}"),
        ("artists with a tag, all rows", f"{given[ITEM].nunique() / len(dataset.items):.1%}"),
        ("artists with a tag, rows kept", f"{outside[ITEM].nunique() / len(dataset.items):.1%}"),
    ]
    return pd.DataFrame(lines, columns=["measure", "value"])


def artist_texts(dataset: Dataset, outside: pd.DataFrame, *, names: bool = True, most: int = MOST_TAGS) -> list[str]:
    """One text for each artist in row order: "Name. Tags: a, b"; names=False: the tags alone, "" without any."""
    first = outside.groupby(ITEM).head(most)
    tags = first.groupby(ITEM)[TAG].agg(", ".join).reindex(range(len(dataset.items)), fill_value="")
    if not names:
        return tags.tolist()
    titles = dataset.items[TITLE].astype(str).str.strip()
    return [f"{name}. Tags: {words}" if words else name for name, words in zip(titles, tags, strict=True)]


def spellings(dataset: Dataset) -> pd.DataFrame:
    """Artists whose names differ in case, accents or signs only: name, people, other, others_people, best known first.

    The other is the spelling with the most people; names without letters or digits are left out.
    """
    people = np.bincount(dataset.interactions.item, minlength=len(dataset.items))
    keys = [title_key(name).replace(" ", "") for name in dataset.items[TITLE].astype(str)]
    table = pd.DataFrame({"key": keys, "name": dataset.items[TITLE], PEOPLE: people, ITEM: np.arange(len(people))})
    table = table[(table.key != "") & table.key.duplicated(keep=False)]
    table = table.sort_values(["key", PEOPLE, ITEM], ascending=[True, False, True], kind="stable")
    best = table.drop_duplicates("key").rename(columns={"name": "known as", PEOPLE: "known by", ITEM: "known_item"})
    twins = table[table.key.duplicated()].merge(best, on="key")
    return twins.sort_values(["known by", ITEM], ascending=[False, True], kind="stable", ignore_index=True).drop(
        columns="key"
    )


def beyond(
    lists: Mapping[str, np.ndarray], truth: sparse.csr_matrix, vectors: Vectors, train: Interactions, k: int
) -> pd.DataFrame:
    """Lists beyond accuracy: model, ndcg, coverage, Gini of the shown, share of the places held by the 1 % best known.

    variety: mean distance 1 - cosine of `vectors` within a list. One row for each model.
    """
    known = np.bincount(train.item, minlength=train.n_items)
    best = np.argsort(-known, kind="stable")[: max(1, train.n_items // 100)]
    rows = []
    for name, shown in lists.items():
        places = exposure(shown, train.n_items, k)
        rows.append(
            {
                "model": name,
                f"nDCG@{k}": float(np.nanmean(ndcg(shown, truth, k))),
                "artists shown": catalogue_coverage(shown, train.n_items, k),
                "Gini of places": gini(places),
                "places of the top 1 %": float(places[best].sum() / places.sum()),
                "variety": float(np.nanmean(intra_list_distance(shown, vectors, k))),
            }
        )
    return pd.DataFrame(rows)


def confidences(
    train: Interactions, rules: Task, weightings: Sequence[str], alphas: Sequence[float], **options: Any
) -> tuple[dict[tuple[str, float], CountsALS], pd.DataFrame]:
    """ALS by reading of a count and alpha, fitted on train, and nDCG on the task: rows weightings, columns alphas.

    options: of CountsALS, such as factors and seed.
    """
    pairs = [(weighting, alpha) for weighting in weightings for alpha in alphas]
    fitted = {(name, alpha): CountsALS(weighting=name, alpha=alpha, **options).fit(train) for name, alpha in pairs}
    values = pd.Series(judged(rules, fitted))
    values.index = pd.MultiIndex.from_tuples(values.index)
    return fitted, values.unstack().loc[list(weightings)]


def judged(rules: Task, models: Mapping[T, Scorer]) -> dict[T, float]:
    """Mean nDCG of each fitted model on a task."""
    return {name: float(np.nanmean(ndcg(shown, rules.truth, rules.k))) for name, shown in rules.lists(models).items()}


def ladder(
    scores: np.ndarray, seen: sparse.csr_matrix, similarity: np.ndarray, trades: Sequence[float], k: int
) -> dict[float, np.ndarray]:
    """MMR lists (n, k) by trade out of each person's best 100."""
    best = diversity.candidates(scores, seen, 100)
    return {trade: diversity.mmr(best, similarity, trade, k) for trade in trades}


def alike_names(twins: pd.DataFrame, encoder: Encoder) -> pd.DataFrame:
    """How near the two spellings of a name are, by the encoder and by counted words: cosines of the names alone."""
    names = [*twins["name"], *twins["known as"]]
    vectors = {"MiniLM": encode_cached(encoder, names).vectors, "TF-IDF": tfidf(names).toarray()}
    half = len(twins)
    found = {name: (unit_rows(one)[:half] * unit_rows(one)[half:]).sum(axis=1) for name, one in vectors.items()}
    return twins[["name", PEOPLE, "known as", "known by"]].assign(**found)


def most_varied(tried: Mapping[float, np.ndarray], truth: sparse.csr_matrix, k: int, *, loss: float) -> float:
    """The largest trade whose lists lose at most `loss` of mean nDCG@k against those of trade 0.

    tried: trade -> lists. Raises Problem when trade 0 is not among them.
    """
    if 0 not in tried:
        raise Problem(f"trade 0, the lists before, must be among the tried; got {sorted(tried)}")
    values = {trade: float(np.nanmean(ndcg(lists, truth, k))) for trade, lists in tried.items()}
    return max(trade for trade, value in values.items() if value >= values[0] - loss)


def texts_hurt(texts: Sequence[str], found: pd.DataFrame) -> pd.DataFrame:
    """What the filter held back among texts, each once: text, rule, matched."""
    table = found.assign(text=list(texts))
    held = table[table["action"] != "show"]
    return held[["text", "rule", "matched"]].drop_duplicates().reset_index(drop=True)
