"""Summaries made of a text's own sentences: the first ones, those nearest to the centre, those others agree with.

Nothing is written anew (generate.py does that), so nothing can be invented; a sentence may still mislead alone.
"""

import re
from collections.abc import Sequence

import numpy as np

from recutils.encode.tfidf import WORD, tfidf
from recutils.tables import Problem

HOW = ("lead", "centroid", "textrank")
BREAK = re.compile(r"\n\s*\n|\n\s*[*•|-]\s|\s[*•|]\s")  # empty lines and bullets part what no full stop parts
END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9])")
FEWEST, MOST = 5, 60  # words of a sentence; menus are shorter, tables longer
LOWER = 0.6  # least share of lower-case letters among all letters with a case: headings in capitals are no sentences
DAMPING = 0.85  # Mihalcea & Tarau 2004, after PageRank
ROUNDS = 50
ALIKE = 0.7  # a sentence this near to a chosen one repeats it


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, each on one line; menus, headings in capitals and repetitions are left out.

    A sentence ends with a full stop, question or exclamation mark and has 5 to 60 words.

    >>> sentences("* Home * About\\n\\nSpark reads the data from disk once. LOGIN\\n\\nThen it keeps them in memory!")
    ['Spark reads the data from disk once.', 'Then it keeps them in memory!']
    """
    blocks = [" ".join(block.split()) for block in BREAK.split(text)]
    pieces = [piece.strip() for block in blocks for piece in END.split(block)]
    return list(dict.fromkeys(piece for piece in pieces if _is_sentence(piece)))


def _is_sentence(piece: str) -> bool:
    cased = [letter for letter in piece if letter.isalpha() and letter.lower() != letter.upper()]
    lower = sum(letter.islower() for letter in cased) >= LOWER * max(1, len(cased))
    return piece.endswith((".", "!", "?")) and FEWEST <= len(re.findall(WORD, piece)) <= MOST and lower


def summary(text: str, n: int = 2, *, how: str = "centroid", vectors: np.ndarray | None = None) -> str:
    """At most n sentences of a text, in their order there; "" when it has none.

    how: "lead", the first; "centroid", those nearest to the mean of all sentence vectors (Radev et al. 2004);
    "textrank", those most alike to other sentences that are so themselves (Mihalcea & Tarau 2004). A sentence that
    repeats a chosen one is passed over. vectors: (n_sentences, d), of `sentences(text)`; None counts their words.
    """
    if how not in HOW:
        raise Problem(f"how must be one of {', '.join(HOW)}; got {how!r}")
    if n < 1:
        raise Problem(f"a summary needs at least 1 sentence; got n = {n}")
    found = sentences(text)
    if len(found) <= n or how == "lead":
        return " ".join(found[:n])
    if vectors is not None and len(vectors) != len(found):
        raise Problem(f"vectors must be those of the {len(found)} sentences that `sentences` finds; got {len(vectors)}")
    unit = tfidf(found).toarray() if vectors is None else vectors
    alike = np.clip(unit @ unit.T, 0, None)
    scores = alike.mean(axis=1) if how == "centroid" else _rank(alike)
    return " ".join(found[row] for row in sorted(_different(scores, alike, n)))


def _rank(alike: np.ndarray) -> np.ndarray:
    """PageRank (n,) of a symmetric matrix of likeness, the diagonal left out."""
    links = alike - np.diag(np.diag(alike))
    totals = links.sum(axis=1, keepdims=True)
    steps = np.divide(links, totals, out=np.full_like(links, 1 / len(links)), where=totals > 0)
    rank = np.full(len(links), 1 / len(links))
    for _ in range(ROUNDS):
        rank = (1 - DAMPING) / len(links) + DAMPING * rank @ steps
    return rank


def _different(scores: np.ndarray, alike: np.ndarray, n: int) -> list[int]:
    """The n best rows that do not repeat each other; ties by ascending row."""
    chosen: list[int] = []
    for row in np.argsort(-np.round(scores, 9), kind="stable"):
        if len(chosen) < n and all(alike[row, other] < ALIKE for other in chosen):
            chosen.append(int(row))
    return chosen


def summaries(texts: Sequence[str], n: int = 2, *, how: str = "centroid") -> list[str]:
    """`summary` of many texts, words counted."""
    return [summary(text, n, how=how) for text in texts]
