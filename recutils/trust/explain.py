"""One line that tells a person why an item is in the list. No attributions of texts.

rank/explore.py shows a student how far each item of one history moves one score; here a whole list gets its sentences.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.encode.tfidf import WORD
from recutils.rank.top import Scorer

MOST = 2  # reasons in a line
TRIED = 30  # items of a long history that are left out in turn
POPULAR = "chosen by many"


def because(model: Scorer, history: sparse.csr_matrix, item: int, names: Sequence[str], *, verb: str = "chose") -> str:
    """The line of one item; see `reasons`."""
    return reasons(model, history, [item], names, verb=verb)[0]


def reasons(
    model: Scorer, history: sparse.csr_matrix, items: Sequence[int], names: Sequence[str], *, verb: str = "chose"
) -> list[str]:
    """ "because you chose A and B" for each item: what of the history its score would fall most without, at most MOST.

    history: sparse (1, n_items). names: of all items, by row. The model is asked once for the whole list, for the TRIED
    items with the highest values. Where nothing of the history raises a score, or nothing is known of the person, the
    line says "chosen by many", which is what a model that falls back to popularity gives.
    """
    met = history.indices[np.lexsort((history.indices, -history.data))[:TRIED]]
    if not len(met):
        return [POPULAR] * len(items)
    shortened = sparse.vstack([history, *(_without(history, item) for item in met)], format="csr")
    scores = model.score(shortened)[:, list(items)]
    changes = scores[0] - scores[1:]
    if history.nnz == 1:  # without its only item a model falls back to popularity, on another scale
        changes = np.full_like(changes, float((scores[0] != scores[1]).any()))
    return [_line(changes[:, place], met, names, verb) for place in range(len(items))]


def _without(history: sparse.csr_matrix, item: int) -> sparse.csr_matrix:
    kept = history.indices != item
    return sparse.csr_matrix((history.data[kept], history.indices[kept], [0, int(kept.sum())]), shape=history.shape)


def _line(changes: np.ndarray, met: np.ndarray, names: Sequence[str], verb: str) -> str:
    order = [row for row in np.lexsort((met, -changes)) if changes[row] > 0][:MOST]
    return f"because you {verb} " + " and ".join(f"“{names[met[row]]}”" for row in order) if order else POPULAR


def why_lines(
    model: Scorer, history: sparse.csr_matrix, items: Sequence[int], names: Sequence[str], *, verb: str = "chose"
) -> pd.DataFrame:
    """A list as a person sees it: rank, title, why; -1 is left out."""
    shown = [int(item) for item in items if item >= 0]
    lines = reasons(model, history, shown, names, verb=verb)
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
