"""Case 81, search over a shop's catalogue: the rankings compared, and the page that a shopper is shown.

Indexes and fusions live in rank/search.py, the filter and the line of reasons in trust; what readers said of the
results, and how it is compared, in search_judged.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from recutils.data.language import language
from recutils.evaluate.searched import search_lists
from recutils.rank.diversity import candidates, mmr
from recutils.rank.search import EMPTY, FOUND, NO_HIT, Dense, Index, Lexical, Ranks, ranked
from recutils.rank.words import PlainWords, plain_words
from recutils.trust.explain import POPULAR, match
from recutils.trust.filter import SHOW, Rule, judge, load_rules, screen

CHOICE = 50  # the fused list's first places, from which the varied list is chosen
REFUSED, MEANING, FOREIGN = "refused", "meaning only", "another language"
# What a shop adds to the general rules for what people type; written after the two apart phrases of harm were read.
HARM = Rule(
    "harm to others", "block", ("to hurt", "to harm", "to injure", "to poison", "poison for"),
    "Nothing that may hurt people or animals is searched for.",
)  # fmt: skip
NOTES = {
    FOUND: "Products whose titles share words with the phrase, or come near in meaning.",
    MEANING: "No title holds these words; the products shown come near in meaning.",
    FOREIGN: "This search reads English; what is shown may be far off.",
    NO_HIT: "Nothing was found: these are the most popular products.",
    EMPTY: "Nothing was typed: these are the most popular products.",
}


@dataclass(frozen=True, eq=False)
class Counter:
    """All that answers a phrase in one shop. titles: of all items; popular: (n_items,) buyers; floor: see `state`."""

    titles: Sequence[str]
    dense: Dense
    popular: np.ndarray
    rules: tuple[Rule, ...] = field(default_factory=lambda: (*load_rules(), HARM))
    floor: float = 0.0

    @cached_property
    def words(self) -> Index:
        """BM25 over words without small ones, plurals cut."""
        return PlainWords.over(self.titles)

    @cached_property
    def indexes(self) -> dict[str, Index]:
        """The searches by name; "fused" joins the places of BM25 and dense and has nothing to choose."""
        characters = Lexical(self.titles, weighting="tfidf", unit="characters")
        fused = Ranks({"BM25": self.words, "dense": self.dense})
        return {"BM25": self.words, "characters": characters, "dense": self.dense, "fused": fused}

    def varied(self, queries: Sequence[str], trade: float, k: int) -> np.ndarray:
        """Lists (n, k) by MMR among the first places of the fused search; likeness is the cosine of the encoder."""
        scores = self.indexes["fused"].scores(queries)
        given = candidates(np.where(scores > 0, scores, -np.inf), None, CHOICE)
        return mmr(given, self.likeness, trade, k)

    @cached_property
    def likeness(self) -> np.ndarray:
        """Cosines (n_items, n_items) of the encoder's vectors."""
        return self.dense.vectors @ self.dense.vectors.T

    def rankings(self, queries: Sequence[str], trade: float, k: int, *, seed: int) -> dict[str, np.ndarray]:
        """Lists (n, k) of "random", "popularity", each search, and "diversified"."""
        lists = search_lists(self.indexes, queries, self.popular, k, seed=seed)
        return {**lists, "diversified": self.varied(queries, trade, k)}

    def state(self, query: str) -> str:
        """What the page says of a phrase that the filter let pass.

        A phrase that shares no word with any title, and whose nearest title has a cosine up to the floor, hits nothing.
        """
        if not query.strip():
            return EMPTY
        if language([query]).n_other:
            return FOREIGN
        if self.words.scores([query]).any():
            return FOUND
        return MEANING if self.dense.scores([query]).max() > self.floor else NO_HIT

    def page(self, query: str, k: int = 10, *, trade: float = 0.0) -> "Page":
        """The first page for one phrase, through the filter, with a reason for each product.

        trade: 0 for the fused search, more for the varied list.
        """
        text = str(query).strip()
        found = judge([text], self.rules).iloc[0]
        if found.action != SHOW:
            return Page(REFUSED, found.reason, _shown([], [], []), found.to_frame().T)
        state = self.state(text)
        silent = state in (EMPTY, NO_HIT)
        lists = self._found(text, min(2 * k, len(self.titles)), trade, silent)
        kept = screen(lists, self.titles, self.rules, k=min(k, lists.shape[1]))
        items = kept.lists[0][kept.lists[0] >= 0]
        why = [POPULAR] * len(items) if silent else self._reasons(text, items)
        return Page(state, NOTES[state], _shown(items, [self.titles[i] for i in items], why), kept.audit)

    def _found(self, text: str, k: int, trade: float, silent: bool) -> np.ndarray:
        """A list (1, k): the most popular where the search is silent, else varied or fused."""
        if trade and not silent:
            return self.varied([text], trade, k)
        return ranked(np.asarray(self.popular)[None] if silent else self.indexes["fused"].scores([text]), k)

    def _reasons(self, text: str, items: np.ndarray) -> list[str]:
        """One line an item: the words that it shares with the phrase, else its cosine."""
        cosine = self.dense.scores([text])[0]
        return [match(plain_words(text), plain_words(self.titles[i]), float(cosine[i])) for i in items]


@dataclass(frozen=True, eq=False)
class Page:
    """state: found, meaning only, another language, no hit, empty query or refused. shown: rank, item, title, why.
    audit: what the filter took out, and by which rule."""

    state: str
    note: str
    shown: pd.DataFrame
    audit: pd.DataFrame


def _shown(items: Sequence[int] | np.ndarray, titles: Sequence[str], why: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"rank": np.arange(1, len(items) + 1), "item": items, "title": titles, "why": why})


def remembered(encode: Callable[[Sequence[str]], np.ndarray]) -> Callable[[Sequence[str]], np.ndarray]:
    """`encode` that is asked for each text once: a page asks for its phrase several times."""
    known: dict[str, np.ndarray] = {}

    def of(texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, encode(new), strict=True) if new else ())
        return np.stack([known[text] for text in texts])

    return of


def nonsense(n: int, rng: np.random.Generator) -> list[str]:
    """Made phrases of two words of six letters drawn at random: what no product answers."""
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (n, 2, 6))
    return [" ".join("".join(word) for word in words) for words in letters]
