"""A film service: texts written about films joined to another catalogue, and a person who types film titles.

The ladder itself is rank/hybrid.py and evaluate/; cold films are evaluate/cold.py and evaluate/texts.py.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.join import PLOT, film_keys
from recutils.data.prepare import compact, normal_title, title_key
from recutils.data.split import Split
from recutils.encode.generate import Writer, write_cached
from recutils.encode.items import texts_of
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.task import Task
from recutils.model.baselines import RecentPopularity
from recutils.rank.probes import Probes
from recutils.rank.top import Scorer, recommend
from recutils.tables import TITLE, Dataset
from recutils.trust.explain import reasons
from recutils.trust.filter import SHOW, SPARE, Rule, Screened, judge, screen

NEAR = 3  # titles offered for one that is unknown


def most_rated(films: Dataset, n: int) -> Dataset:
    """The data set with its n most rated films, all rated ones for 0; ties go to the lower row.

    The count looks at all events, the later ones too: for quick runs, not for claims.
    """
    met = np.bincount(films.interactions.item, minlength=len(films.items))
    rows = np.argsort(-met, kind="stable")[: n or None]
    return compact(films, films.interactions.only(np.isin(films.interactions.item, rows)))


def described(films: Dataset, writer: Writer, prompt: str, n: int, *, least: int, seed: int) -> pd.Series:
    """What a small language model wrote about n films, by (title, year); kept on disk, as in 23_encode_generated.

    The films are drawn as there, among those that `least` people met, with title, genres and year in the prompt at
    {text}. So where that notebook has run with the same settings nothing is written anew.
    """
    met = np.bincount(films.interactions.item, minlength=len(films.items))
    least = min(least, int(np.sort(met)[::-1][: n or len(met)].min()))
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(met >= max(least, 1)))[: n or None]
    part = compact(films, films.interactions.only(np.isin(films.interactions.item, rows)))
    written = write_cached(writer, [prompt.format(text=text) for text in texts_of(part)])
    found = pd.Series(written.texts, index=film_keys(part.items))
    return found[~found.index.duplicated(keep=False)]


def plots_of(films: Dataset) -> pd.Series:
    """The plots that `data.join.with_plots` found, by (title, year); films whose title and year occur twice are out."""
    found = pd.Series(films.items[PLOT].to_numpy(), index=film_keys(films.items))
    return found[(found != "").to_numpy() & ~found.index.duplicated(keep=False)]


def with_texts(dataset: Dataset, texts: pd.Series) -> tuple[Dataset, list[str]]:
    """The part of a data set whose films have a text, and the texts in its row order. texts: by (title, year)."""
    place = texts.index.get_indexer(film_keys(dataset.items))
    has = (place >= 0) & (np.bincount(dataset.interactions.item, minlength=len(place)) > 0)
    part = compact(dataset, dataset.interactions.only(has[dataset.interactions.item]))
    return part, [str(text) for text in texts.iloc[place[has]]]


def half_life(split: Split, rules: Task, menu: Sequence[float]) -> dict[float, float]:
    """Mean nDCG of recent popularity on the task for each half-life (days), fitted on train."""
    values = {}
    for days in menu:
        lists = recommend(RecentPopularity(half_life=days).fit(split.train), rules.histories, rules.k)
        values[days] = float(np.nanmean(ndcg(lists, rules.truth, rules.k)))
    return values


@dataclass(frozen=True, eq=False)
class Typed:
    """Titles that a person typed. history: sparse (1, n_items), the found films with value 1.

    found: titles of the catalogue. unknown: what was typed -> near titles. unclear: what was typed -> the films of that
    name, to be asked about.
    """

    history: sparse.csr_matrix
    found: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    unclear: Mapping[str, tuple[str, ...]]


def typed(titles: Sequence[str], films: Dataset) -> Typed:
    """What the catalogue knows of titles as people type them: any case, accents, articles, with or without a year.

    A name that several films bear counts for none of them until a year is typed; nothing is guessed.
    """
    keys, names = film_keys(films.items), films.items[TITLE].tolist()
    of_key: dict[str, list[int]] = {}
    for row, (key, _) in enumerate(keys):
        of_key.setdefault(key, []).append(row)
    rows, unknown, unclear = [], {}, {}
    for text in titles:
        key, year = title_key(text), normal_title(text).year
        known = of_key.get(key, []) if key else []
        meant = [row for row in known if year is None or keys[row][1] == year]
        if len(meant) == 1:
            rows.append(meant[0])
        elif meant:
            unclear[text] = tuple(f"{names[row]} ({keys[row][1]})" for row in meant)
        else:
            offered = known or [
                of_key[one][0] for one in difflib.get_close_matches(key, list(of_key), n=NEAR, cutoff=0.75)
            ]
            unknown[text] = tuple(f"{names[row]} ({keys[row][1]})" for row in offered)
    rows = list(dict.fromkeys(rows))
    history = sparse.csr_matrix((np.ones(len(rows), np.float32), ([0] * len(rows), rows)), shape=(1, len(names)))
    return Typed(history, tuple(names[row] for row in rows), unknown, unclear)


def answers(titles: Sequence[str], films: Dataset, rules: Sequence[Rule]) -> pd.DataFrame:
    """What each typed title gets, in order: not answered (the filter), found, a question back, or unknown."""
    known, judged = typed(titles, films), judge(titles, rules)
    rows = []
    for text, action, rule in zip(titles, judged.action, judged.rule, strict=True):
        near = known.unknown.get(text, ())
        if action != SHOW:
            said = f"not answered ({action}: {rule})"
        elif text in known.unclear:
            said = "which one? " + "; ".join(known.unclear[text])
        else:
            said = f"unknown; near: {'; '.join(near) or 'nothing'}" if text in known.unknown else "found"
        rows.append((text, said))
    return pd.DataFrame(rows, columns=["typed", "answer"])


def seen(model: Scorer, probes: Probes, films: Dataset, rules: Sequence[Rule], k: int) -> tuple[pd.DataFrame, Screened]:
    """The first k films of the probe users who have a history, screened, with a reason each; and what was screened."""
    titles = films.items[TITLE].tolist()
    kept = screen(recommend(model, probes.histories, min(k + SPARE, len(titles))), titles, rules, k=k)
    rows = []
    for label, row, history in zip(probes.labels, kept.lists, probes.histories, strict=True):
        shown = [int(item) for item in row if item >= 0] if history.nnz else []
        lines = reasons(model, sparse.csr_matrix(history), shown, titles)
        rows += [(label, titles[item], line) for item, line in zip(shown, lines, strict=True)]
    return pd.DataFrame(rows, columns=["who", "film", "why"]), kept


def misses(values: Mapping[str, np.ndarray], model: str, simple: str) -> np.ndarray:
    """Places of the people whom `model` shows nothing they chose, though `simple` does; worst first, ties in order."""
    gap = np.where(values[model] == 0, values[simple], 0.0)
    order = np.argsort(-gap, kind="stable")
    return order[gap[order] > 0]


def example(rules: Task, model: Scorer, place: int, films: Dataset, k: int = 5) -> pd.DataFrame:
    """One person of a task: what was rated highest, what was shown, what came next."""
    titles = films.items[TITLE].to_numpy()
    row = rules.histories[[place]]
    liked = row.indices[np.argsort(-row.data, kind="stable")[:k]]
    shown = recommend(model, row, k)[0]
    chosen = rules.truth[[place]].indices[:k]
    columns = {"rated highest before": liked, "shown": shown[shown >= 0], "rated next": chosen}
    return pd.DataFrame({name: [*titles[rows], *[""] * (k - len(rows))] for name, rows in columns.items()})
