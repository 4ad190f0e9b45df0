"""Does a written text keep to what was given? Rules that count inventions, copies and broken texts. No model judges.

The rules see years, genres and words, not plots: a text they pass may still be invented. They give a lower bound.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.encode.tfidf import WORD
from recutils.tables import Problem

YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(s?)(?!\d)")
COPIED = 0.5  # of a text's words in runs of three that stand in the source too
REPEATED = 0.5  # different words among all words
RULES = ("empty", "unfinished", "repeats itself", "copies", "wrong year", "wrong genre", "other script")


@dataclass(frozen=True)
class Given:
    """What was known of an item when its text was written. year None and no genres: these rules stay silent."""

    text: str
    year: int | None = None
    genres: tuple[str, ...] = ()


def check(written: Sequence[str], given: Sequence[Given], *, genres: Collection[str] = ()) -> pd.DataFrame:
    """One row for each text, one bool column for each of RULES.

    genres: all names that count as a genre. empty: no word. unfinished: no full stop, question or exclamation mark at
    the end. repeats itself: fewer than half of the words differ. copies: half of the runs of three words stand in
    what was given. wrong year: names a year other than the item's, or a decade that does not hold it. wrong genre:
    names a genre that the item does not have. other script: a fifth of the letters are not Latin.

    >>> check(["A 1950s western."], [Given("Heat (1995)", 1995, ("Crime",))], genres=["Crime", "Western"])[
    ...     ["wrong year", "wrong genre", "copies"]].to_numpy().tolist()
    [[True, True, False]]
    """
    if len(written) != len(given):
        raise Problem(f"each written text needs what it was written from; got {len(written)} and {len(given)}")
    rows = [_row(text, source, genres) for text, source in zip(written, given, strict=True)]
    return pd.DataFrame(rows, columns=list(RULES), dtype=bool)


def _row(text: str, given: Given, genres: Collection[str]) -> list[bool]:
    words = re.findall(WORD, text.lower())
    if not words:
        return [True] + [False] * (len(RULES) - 1)
    return [
        False,
        not text.rstrip("\"')").endswith((".", "!", "?")),
        len(set(words)) < REPEATED * len(words),
        copied(text, given.text) >= COPIED,
        bool(wrong_years(text, given.year)),
        bool(wrong_genres(text, given, genres)),
        _foreign(text) >= 0.2,
    ]


def copied(text: str, source: str) -> float:
    """Share of a text's runs of three words that stand in the source; 0 for fewer than three words."""
    ours, theirs = (_threes(re.findall(WORD, part.lower())) for part in (text, source))
    return sum(run in set(theirs) for run in ours) / len(ours) if ours else 0.0


def _threes(words: list[str]) -> list[tuple[str, ...]]:
    return list(zip(words, words[1:], words[2:], strict=False))


def wrong_years(text: str, year: int | None) -> list[str]:
    """Years and decades ("1950s") that a text names and that are not the item's; none when the year is not known."""
    if year is None:
        return []
    return [
        found + decade
        for found, decade in YEAR.findall(text)
        if (int(found) // 10 * 10 != year // 10 * 10 if decade else int(found) != year)
    ]


def wrong_genres(text: str, given: Given, genres: Collection[str]) -> list[str]:
    """Genres that a text names as whole words and that neither the item nor its given text has."""
    if not given.genres:
        return []
    own = {_plain(word) for word in (*given.genres, *re.findall(WORD, given.text))}
    said = _plain(text)
    return [name for name in genres if _plain(name) not in own and re.search(rf"\b{re.escape(_plain(name))}s?\b", said)]


def _plain(text: str) -> str:
    """Lower case, hyphens as spaces, "sci fi" and "science fiction" alike, so that spelling is no invention."""
    return text.lower().replace("-", " ").replace("science fiction", "sci fi").replace("comedies", "comedy")


def _foreign(text: str) -> float:
    """Share of letters beyond the Latin blocks of Unicode."""
    letters = [letter for letter in text if letter.isalpha()]
    return float(np.mean([ord(letter) > 0x24F for letter in letters])) if letters else 0.0
