"""Long texts found by their passages: cutting, and scoring a text by its best passage. The searches are search.py's.

An encoder cuts a long text off and a mean over it blurs; a passage is short enough to be read whole and shown whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recutils.rank.search import Index
from recutils.tables import Problem

LEAST = 0.25  # of `words`: a rest up to it stays with the passage before it


@dataclass(frozen=True, eq=False)
class Passages:
    """texts: n passages in the order of their documents. owners: (n,) int64, rising from 0 without a gap."""

    texts: tuple[str, ...]
    owners: np.ndarray


def cut(documents: Sequence[str], words: int = 120) -> Passages:
    """Each document in passages of `words` words. A rest of at most a quarter of that stays with the last passage.

    Raises Problem for words below 1, no documents and an empty document (nothing could be shown for it).

    >>> cut(["a b c d e f g h i", "j"], words=4).texts
    ('a b c d', 'e f g h i', 'j')
    """
    if words < 1:
        raise Problem(f"words must be at least 1; got {words}")
    cuts = [_cut_one(document.split(), words) for document in documents]
    empty = [row for row, found in enumerate(cuts) if not found]
    if empty or not cuts:
        told = f"document {empty[0]} is empty" if empty else "there are no documents"
        raise Problem(f"{told}; passages need text. Leave empty documents out.")
    return Passages(
        tuple(text for found in cuts for text in found), np.repeat(np.arange(len(cuts)), list(map(len, cuts)))
    )


def _cut_one(words: list[str], size: int) -> list[str]:
    starts = list(range(0, len(words), size))
    if len(starts) > 1 and len(words) - starts[-1] <= LEAST * size:
        starts.pop()
    ends = [*starts[1:], len(words)][: len(starts)]
    return [" ".join(words[start:end]) for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True, eq=False)
class ByPassage:
    """An index over documents that answers with each document's best passage. index: over the passages."""

    index: Index
    owners: np.ndarray

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_documents) float32: the best of the document's passages."""
        found = self.index.scores(queries)
        if found.shape[1] != len(self.owners):
            raise Problem(f"the index holds {found.shape[1]} passages, but there are {len(self.owners)} owners.")
        return np.maximum.reduceat(found, np.flatnonzero(np.diff(self.owners, prepend=-1)), axis=1)

    def best(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries,) the row of each query's best passage, of equal ones the first."""
        return self.index.scores(queries).argmax(axis=1)
