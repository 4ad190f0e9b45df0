"""A decoder's scores of windows, one call each: yes or no, likelihood of a title, choice of two. No training."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.tune.decoder import Beginning, Decoder
from recutils.tune.prompts import Wording, next_titles, pairs, questions
from recutils.tune.windows import Window


def yes_no(
    decoder: Decoder,
    asked: Sequence[Window],
    titles: Sequence[str],
    words: Wording,
    after: Beginning | None = None,
) -> np.ndarray:
    """Log odds of yes for each candidate of all windows: (n,). after: solved cases (`prompts.examples`), read once."""
    found = decoder.read(questions(asked, titles, words), after)
    return decoder.answers(found, words.yes, words.no, after)


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """log p of each candidate's title, (n,): in the person's list of liked films, and in a list that knows nobody."""

    personal: np.ndarray
    neutral: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        """The difference, pointwise mutual information: how much likelier the person makes the title."""
        return self.personal - self.neutral


def likelihoods(decoder: Decoder, asked: Sequence[Window], titles: Sequence[str], words: Wording) -> Likelihoods:
    """How likely each candidate's title is as the next of a list (Holtzman and others 2021 for the correction)."""
    texts = next_titles(asked, titles, words)
    personal = decoder.likelihoods(texts, decoder.read(texts))
    unique = sorted({ending for _, endings in texts for ending in endings})
    groups = [(words.neutral, unique[start : start + 32]) for start in range(0, len(unique), 32)]
    alone = dict(zip(unique, decoder.likelihoods(groups, decoder.read(groups)), strict=True))
    return Likelihoods(personal, np.array([alone[ending] for _, endings in texts for ending in endings]))


def choices(decoder: Decoder, asked: Sequence[Window], titles: Sequence[str], words: Wording) -> np.ndarray:
    """Log odds of " A" against " B" for each window's first two candidates: (n_windows, 2), in order, turned."""
    found = decoder.read(pairs(asked, titles, words))
    return decoder.answers(found, " A", " B").reshape(-1, 2)


def price(decoder: Decoder, window: Window, titles: Sequence[str], words: Wording) -> pd.DataFrame:
    """What the questions about a window's candidates cost, read in three ways: columns way and "ms for a list"."""
    ((begin, asks),) = questions([window], titles, words)
    kept = decoder.begin(begin)
    ways = {
        "each candidate with its whole prompt": lambda: decoder.read([(begin, [ask]) for ask in asks]),
        "the beginning read once": lambda: decoder.read([(begin, asks)]),
        "the beginning kept from before": lambda: decoder.read([("", asks)], kept),
    }
    return pd.DataFrame([(name, _milliseconds(read)) for name, read in ways.items()], columns=["way", "ms for a list"])


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)
