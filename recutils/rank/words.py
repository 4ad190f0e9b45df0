"""What a word search does to words before it counts them: small words leave, plurals become singular. No index here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recutils.encode.tfidf import WORD
from recutils.rank.search import Lexical

# Words that tell nothing of a thing. Short by intent: "not" is among them, since counted words cannot use it.
SMALL = frozenset(
    "a an and any are as at be by can do for from has have he her him his i in is it its me mine my no not of on or "
    "our out she so some somebody someone something somewhere that the their them then there these they thing things "
    "this those to up us was we were what when where which who with without you your".split()
)


def plain_words(text: str) -> str:
    """A text in lower case without small words, plurals cut: the S-stemmer of Harman (1991, "How effective is
    suffixing?", table 1). A text of small words alone becomes "".

    >>> plain_words("Knobs for the boxes of my Ladies' class")
    'knob box lady class'
    >>> plain_words("something for me")
    ''
    """
    return " ".join(_singular(word) for word in re.findall(WORD, text.lower()) if len(word) > 1 and word not in SMALL)


def _singular(word: str) -> str:
    """Without its plural ending, by the first rule that fits."""
    if len(word) <= 3:
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses")):  # ours: Harman's rule leaves "boxe"
        return word[:-2]
    if word.endswith("s") and not word.endswith(("us", "ss")):
        return word[:-1]
    return word


@dataclass(frozen=True, eq=False)
class PlainWords:
    """BM25 over `plain_words` of texts and queries: the word search that a shop would run. It is an `Index`."""

    inner: Lexical

    @classmethod
    def over(cls, texts: Sequence[str]) -> "PlainWords":
        """The index of these texts, one a row. Raises Problem when no word is left."""
        return cls(Lexical([plain_words(text) for text in texts]))

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32; 0 where no word is shared."""
        return self.inner.scores([plain_words(query) for query in queries])
