"""One line that tells a person why an item is in the list, and a check that the line is true. No attributions of texts.

The change that each item of a history makes is measured in rank/explore.py; here it becomes a sentence for a person.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.encode.tfidf import WORD
from recutils.rank.explore import leave_one_out
from recutils.rank.top import Scorer
from recutils.tables import ITEM, Problem

MOST = 2  # reasons in a line
TRIED = 30  # items of a long history that are left out in turn
POPULAR = "chosen by many"


def because(model: Scorer, history: sparse.csr_matrix, item: int, names: Sequence[str], *, verb: str = "chose") -> str:
    """ "because you chose A and B": the items of the history without which the score would fall most.

    history: sparse (1, n_items). names: of all items, by row. Where no item of the history raises the score, or nothing
    is known of the person, the line says "chosen by many", which is what a model that falls back to popularity gives.
    """
    reasons = supports(model, history, item)
    if not len(reasons):
        return POPULAR
    return f"because you {verb} " + " and ".join(f"“{names[row]}”" for row in reasons)


def supports(model: Scorer, history: sparse.csr_matrix, item: int, most: int = MOST) -> np.ndarray:
    """Rows of the history's items that raise the score of `item` most, strongest first; at most `most`, maybe none."""
    if most < 1:
        raise Problem(f"at least one reason is asked for; got {most}")
    found = leave_one_out(model, history, item, limit=TRIED)
    return found[found.change > 0][ITEM].to_numpy()[:most]


def faithful(model: Scorer, history: sparse.csr_matrix, item: int, rng: np.random.Generator) -> tuple[float, float]:
    """How far the score falls without the named items, and without as many others drawn from the same history.

    A line is worth showing when the first exceeds the second on average (deletion test, as in Samek et al. 2017).
    (nan, nan) where no reason is named or the history has no other items.
    """
    named = supports(model, history, item)
    others = np.setdiff1d(history.indices, named)
    if not len(named) or not len(others):
        return float("nan"), float("nan")
    drawn = rng.choice(others, min(len(named), len(others)), replace=False)
    scores = model.score(sparse.vstack([history, _without(history, named), _without(history, drawn)], format="csr"))
    return float(scores[0, item] - scores[1, item]), float(scores[0, item] - scores[2, item])


def _without(history: sparse.csr_matrix, items: np.ndarray) -> sparse.csr_matrix:
    kept = ~np.isin(history.indices, items)
    return sparse.csr_matrix((history.data[kept], history.indices[kept], [0, int(kept.sum())]), shape=history.shape)


def reasons(model: Scorer, history: sparse.csr_matrix, items: Sequence[int], names: Sequence[str]) -> list[str]:
    """One line for each item, as `because` gives it, from one question to the model for the whole list.

    history: sparse (1, n_items). The items of the history without which the score falls are named, at most MOST.
    """
    met = history.indices[np.lexsort((history.indices, -history.data))[:TRIED]]
    if not len(met):
        return [POPULAR] * len(items)
    shortened = sparse.vstack([history, *(_without(history, np.array([item])) for item in met)], format="csr")
    scores = model.score(shortened)[:, list(items)]
    changes = scores[0] - scores[1:]
    if history.nnz == 1:  # without its only item a model falls back to popularity, on another scale
        changes = np.full_like(changes, float((scores[0] != scores[1]).any()))
    return [_line(changes[:, place], met, names) for place in range(len(items))]


def _line(changes: np.ndarray, met: np.ndarray, names: Sequence[str]) -> str:
    order = [row for row in np.lexsort((met, -changes)) if changes[row] > 0][:MOST]
    return "because you chose " + " and ".join(f"“{names[met[row]]}”" for row in order) if order else POPULAR


def why_lines(
    model: Scorer, history: sparse.csr_matrix, items: Sequence[int], names: Sequence[str], *, verb: str = "chose"
) -> pd.DataFrame:
    """A list as a person sees it: rank, title, why; -1 is left out."""
    shown = [int(item) for item in items if item >= 0]
    lines = [because(model, history, item, names, verb=verb) for item in shown]
    return pd.DataFrame({"rank": np.arange(1, len(shown) + 1), "title": [names[i] for i in shown], "why": lines})


def match(query: str, text: str, cosine: float | None = None) -> str:
    """Why a text answers a query: the words that both hold, else how near they are in meaning, where that is known.

    >>> match("red tea pot", "TEA POT, ENAMEL")
    'has your words: tea, pot'
    >>> match("kettle", "TEA POT", cosine=0.61)
    'near in meaning (cosine 0.61)'
    """
    held = set(re.findall(WORD, text.lower()))
    shared = [word for word in dict.fromkeys(re.findall(WORD, query.lower())) if word in held]
    if shared:
        return "has your words: " + ", ".join(shared)
    return POPULAR if cosine is None else f"near in meaning (cosine {cosine:.2f})"
