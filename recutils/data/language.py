"""Whether texts are mostly English: a rule that warns and changes nothing. No translation, no models."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LANGUAGES = {  # frequent function words; none of the other lists shares a word with the English one
    "English": "the of and to with for from by my your his her this that what how why is are was you we it not who",
    "German": "der die das und mit für von dem den ein eine einer nicht auf aus bei zum zur ist im",
    "French": "le les du et avec pour dans une sur est pas qui que au aux ce cette vous nous des",
    "Spanish": "el los las y con para por una del que es en como sin al lo su",
    "Italian": "il gli di e della dei delle per una che con è nel alla sono non del lo",
    "Portuguese": "os com para por uma da dos das não em um ao que",
    "Dutch": "het een van voor met en niet op aan zijn der ik naar bij uit",
    "Scandinavian": "och att det som för är med en ett av til og ikke på jeg den",
    "Polish and Czech": "w z na nie się jest od dla po že ve je pro ze ke ro",
    "Turkish": "ve bir için ile bu çok daha olarak olan",
}
WORDS = {language: frozenset(words.split()) for language, words in LANGUAGES.items()}
MIN_ASCII = 0.9  # of the letters: "Les Misérables" has .92, Polish or Turkish prose about .9, Greek or Chinese 0


@dataclass(frozen=True)
class Language:
    """How much of some texts is English. notice: one sentence when it is mostly not, else ""."""

    n: int
    n_english: int
    n_other: int
    ascii_share: float
    notice: str


def _language_of(text: str) -> str:
    """One of English, other and unclear: by its letters, then by its function words (see `language`)."""
    letters = [character for character in text if character.isalpha()]
    if letters and sum(map(str.isascii, letters)) < MIN_ASCII * len(letters):
        return "other"
    words = set(re.findall(r"[^\W\d_]+", text.lower()))
    hits = {language: len(words & known) for language, known in WORDS.items()}
    english = hits.pop("English")
    other = max(hits.values())
    return "unclear" if english == other else "English" if english > other else "other"


def language(texts: Iterable[str]) -> Language:
    """Whether texts are mostly English, by a rule simple enough to check by eye; it only warns.

    A text is other when fewer than 90 % of its letters are plain Latin ones (a-z), or when it holds more function words
    of some other language than English ones ("der", "les", "y"); English when it holds more English ones; else
    unclear, as most short titles are. The notice comes when more are other than English and they are at least 5 % of
    the texts.
    """
    chosen = [text for text in texts if text.strip()]
    found = [_language_of(text) for text in chosen]
    n_english, n_other = found.count("English"), found.count("other")
    letters = [character for text in chosen for character in text if character.isalpha()]
    ascii_share = sum(map(str.isascii, letters)) / len(letters) if letters else 1.0
    notice = ""
    if n_other > n_english and n_other >= 0.05 * len(chosen):
        notice = (
            f"The default encoder is English, but of {len(chosen):,} texts {n_other:,} look like another language and "
            f"{n_english:,} like English ({ascii_share:.0%} of the letters are a-z): choose a multilingual checkpoint."
        )
    return Language(len(chosen), n_english, n_other, ascii_share, notice)
