"""New articles of the news case: text, hot topics, panels of readers and summaries, judged alike. The desk: news.py."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recutils.case.news import hot
from recutils.encode import Encoder, clean, encode_cached, facts
from recutils.encode.generate import Writer, Written, write_cached
from recutils.encode.summary import summaries, summary
from recutils.encode.tfidf import WORD
from recutils.evaluate.cold import NestedFold, crossed, nested_folds
from recutils.evaluate.statistics import Interval
from recutils.evaluate.vectors import Behaviour, ColdBench, cold_bench
from recutils.model.content import Vectors
from recutils.rank.blend import standardised
from recutils.tables import ITEM, USER, Interactions, Problem

PANELS = ("avid", "anybody")
SYSTEM = "You summarise articles."  # what the writer is told first
PROMPT = "Say in one sentence what this article is about. Title: {title}. Text: {text}"
WORDS = 70  # of the text that the writer reads: reading takes most of its time
LONG, STEM = 5, 4  # letters of a longer word, and those by which it is looked up in the source


@dataclass(frozen=True, eq=False)
class Newcomers:
    """table: `cold.pairs` of the judged people, one column a signal. panels: fold, panel, readers, picks.

    The judged people are those of no panel, so that all signals are judged on the same people and articles.
    """

    table: pd.DataFrame
    panels: pd.DataFrame


def means(table: pd.DataFrame, *, seed: int, draws: int) -> dict[str, Interval]:
    """Mean nDCG of each signal of a table of `cold.pairs`, interval over people and articles."""
    signals = [name for name in table if name not in ("fold", USER, ITEM, "weight")]
    return {name: crossed(table, table[name], seed, draws=draws) for name in signals}


def panels(fold: NestedFold, n: int, seed: int) -> dict[str, np.ndarray]:
    """Two panels that read a fold's new articles first, as reader rows.

    avid: the n readers with the most events in the fold's training part (ties by row). anybody: other readers with
    training events, drawn until they have as many events on the new articles as the avid ones.
    Raises Problem when nobody of the avid has read a new article.
    """
    known = np.bincount(fold.train.user, minlength=fold.train.n_users)
    picks = np.bincount(fold.cold.user, minlength=fold.train.n_users)
    avid = np.argsort(-known, kind="stable")[:n]
    if not picks[avid].sum():
        raise Problem(f"none of the {n} most avid readers met a new article of fold {fold.number}; take more of them.")
    others = np.setdiff1d(np.flatnonzero(known), avid)
    others = np.random.default_rng([seed, fold.number]).permutation(others)
    enough = int(np.searchsorted(np.cumsum(picks[others]), picks[avid].sum())) + 1
    return {"avid": avid, "anybody": others[:enough]}


def picked(fold: NestedFold, readers: np.ndarray, seed: int) -> np.ndarray:
    """How many of these readers met each new article, (n_cold,) in the order of the fold's items; ties are drawn."""
    events = fold.cold.item[fold.cold.user.isin(readers)]
    counts = np.bincount(events, minlength=fold.cold.n_items)[fold.outer.items].astype(np.float64)
    return counts + 1e-4 * np.random.default_rng([seed, fold.number]).random(len(counts))


def newcomers(
    interactions: Interactions,
    kinds: Mapping[str, Vectors],
    topics: Mapping[str, np.ndarray],
    regs: Sequence[float],
    *,
    k: int,
    n_panel: int,
    seed: int,
) -> Newcomers:
    """Every signal on the same cold folds (house protocol): texts by a ridge map, topics by heat, panels by picks.

    kinds: name -> vectors (n_items, d); the last one is also added, one to one on standardised scores, to each other
    signal ("name + signal"). topics: name -> membership (n_items, n_topics). n_panel: avid readers in a panel.
    """
    if not kinds:
        raise Problem("at least one kind of vectors is needed, such as those of the titles.")
    bench = cold_bench(nested_folds(interactions), k, factors=32, alpha=1.0, seed=seed)
    lists = bench.yardsticks(seed)
    chosen = {name: bench.chosen(vectors, regs) for name, vectors in kinds.items()}
    lists |= {name: bench.lists_with(vectors, chosen[name]) for name, vectors in kinds.items()}
    text = list(kinds)[-1]
    scores = [one.mapped(kinds[text], reg) for one, reg in zip(bench.outer, chosen[text], strict=True)]
    read = [panels(fold, n_panel, seed) for fold in bench.folds]
    signals = {name: [_heat(fold, groups, seed) for fold in bench.folds] for name, groups in topics.items()}
    signals |= {f"{panel} picks": [picked(f, p[panel], seed) for f, p in zip(bench.folds, read, strict=True)]
                for panel in PANELS}  # fmt: skip
    for name, rows in signals.items():
        lists[name] = [_same(one, row, k) for one, row in zip(bench.outer, rows, strict=True)]
        both = [_added(table, row) for table, row in zip(scores, rows, strict=True)]
        lists[f"{text} + {name}"] = [one.listed(table, k) for one, table in zip(bench.outer, both, strict=True)]
    return Newcomers(_without(bench.pairs(lists), read), _panel_table(bench, read))


def _heat(fold: NestedFold, groups: np.ndarray, seed: int) -> np.ndarray:
    """Heat (n_cold,) of the fold's new articles, from its training part alone."""
    counts = np.bincount(fold.train.item, minlength=fold.train.n_items)
    return hot(groups, counts, seed=seed + fold.number)[fold.outer.items]


def _same(one: Behaviour, row: np.ndarray, k: int) -> np.ndarray:
    """One list for all people."""
    return np.repeat(one.listed(row[None].astype(np.float32), k), len(one.task.users), axis=0)


def _added(scores: np.ndarray, row: np.ndarray) -> np.ndarray:
    return standardised(scores) + standardised(row[None].astype(np.float64))


def _without(table: pd.DataFrame, read: Sequence[Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """The rows of people who sit in no panel of their fold."""
    sits = [(table.fold == n) & table[USER].isin(np.concatenate(list(p.values()))) for n, p in enumerate(read)]
    return table[~np.any(sits, axis=0)].reset_index(drop=True)


def _panel_table(bench: ColdBench, read: Sequence[Mapping[str, np.ndarray]]) -> pd.DataFrame:
    rows = [
        (fold.number, name, len(readers), int(fold.cold.user.isin(readers).sum()))
        for fold, panel in zip(bench.folds, read, strict=True) for name, readers in panel.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["fold", "panel", "readers", "picks"])


def drawn_fold(interactions: Interactions, n: int, *, least: int, seed: int) -> NestedFold:
    """One fold for texts that are dear to make: n articles drawn are new, n others serve to choose.

    Drawn among the articles with at least `least` events, or the most viewed ones where these are too few.
    Raises Problem when fewer than 4 n articles have events, since a map has to be learnt on the rest.
    """
    met = np.bincount(interactions.item, minlength=interactions.n_items)
    if n < 1 or (met > 0).sum() < 4 * n:
        raise Problem(f"{n} new articles need {4 * n} with events; {int((met > 0).sum())} have any. Take fewer.")
    least = min(least, int(np.sort(met)[::-1][2 * n - 1]))
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(met >= least))[: 2 * n]
    new, other = (interactions.item.isin(rows).to_numpy() for rows in (drawn[:n], drawn[n:]))
    train, inner = interactions.only(~new), interactions.only(~new & ~other)
    return NestedFold(0, train, interactions.only(new), inner, interactions.only(other))


def by_text(
    fold: NestedFold, kinds: Mapping[str, Vectors], regs: Sequence[float], *, k: int, seed: int
) -> pd.DataFrame:
    """`cold.pairs` of one fold: a ridge map for each kind of text, with "random" and "oracle". kinds: (n_items, d).

    A text that exists for the new articles alone stands in a table whose other rows hold the texts that the map learns
    from (`swapped`).
    """
    bench = cold_bench([fold], k, factors=32, alpha=1.0, seed=seed)
    lists = bench.yardsticks(seed) | {name: bench.lists(vectors, regs) for name, vectors in kinds.items()}
    return bench.pairs(lists)


def swapped(vectors: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A copy of vectors (n, d) with `others` (n_rows, d) in these rows."""
    if others.shape != (len(rows), vectors.shape[1]):
        raise Problem(f"others must be ({len(rows)}, {vectors.shape[1]}), a vector for each row; got {others.shape}")
    made = vectors.copy()
    made[rows] = others
    return made


@dataclass(frozen=True, eq=False)
class Summarised:
    """vectors: kind -> (n_items, d), ready for `by_text`. tokens: kind -> what the encoder read for an article, mean.

    examples: a row for each written summary: title, written, astray (share of its longer words and numbers that stand
    nowhere in the article), worst first. faults: share of the written texts that break each rule of encode.facts.
    """

    vectors: dict[str, np.ndarray]
    tokens: dict[str, float]
    examples: pd.DataFrame
    faults: pd.Series
    written: Written


def summarised(
    titles: Sequence[str], bodies: Sequence[str], rows: np.ndarray, encoder: Encoder, *, writer: Writer, cut: int
) -> Summarised:
    """Kinds of text of articles that all have a body: title, extract, body (cut at so many tokens), written, another's.

    rows: the new articles, for which alone a summary is written; in "written" and "another's" (the summary of the next
    new article) all others keep their extract, from which the map learns.
    """
    extracts, near = summaries(bodies, 1), [titles[row] for row in rows]
    told = [" ".join(summary(bodies[row], 2).split()[:WORDS]) for row in rows]
    prompts = [PROMPT.format(title=title, text=text) for title, text in zip(near, told, strict=True)]
    written = write_cached(writer, prompts)
    texts = {"extract": _joined(titles, extracts), "written": _joined(near, written.texts)}
    texts |= {"title": list(titles), "another's": _joined(near, np.roll(written.texts, 1))}
    found = {name: encode_cached(encoder, one) for name, one in texts.items()}
    found["body"] = encode_cached(replace(encoder, max_tokens=cut), _joined(titles, bodies))
    vectors = {name: one.vectors for name, one in found.items()}
    vectors |= {name: swapped(vectors["extract"], rows, vectors[name]) for name in ("written", "another's")}
    astray = [unsupported(text, f"{titles[row]} {bodies[row]}") for row, text in zip(rows, written.texts, strict=True)]
    examples = pd.DataFrame({"title": near, "written": written.texts, "astray": astray})
    faults = facts.check(written.texts, [facts.Given(prompt) for prompt in prompts])
    return Summarised(
        vectors,
        {name: one.report.tokens / one.report.n for name, one in found.items()},
        examples.sort_values("astray", ascending=False, kind="stable", ignore_index=True),
        faults[["empty", "unfinished", "repeats itself", "copies"]].mean(),
        written,
    )


def _joined(titles: Sequence[str], more: Sequence[str]) -> list[str]:
    return [f"{title}. {clean(text)}" for title, text in zip(titles, more, strict=True)]


def unsupported(written: str, source: str) -> float:
    """Share of a text's longer words and numbers whose beginning stands nowhere in its source; 0 for no such word.

    >>> unsupported("Spark was founded in 1999.", "Apache Spark reads data.")
    0.6666666666666666
    """
    held = {word[:STEM] for word in re.findall(WORD, source.lower())}
    wanted = [word for word in re.findall(WORD, written.lower()) if len(word) >= LONG or word.isdigit()]
    return float(np.mean([word[:STEM] not in held for word in wanted])) if wanted else 0.0
