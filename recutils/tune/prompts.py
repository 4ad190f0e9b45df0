"""What a language model reads: a window's films as text, in named wordings. No model and no numbers here."""

from collections.abc import Sequence
from dataclasses import dataclass

from recutils.tables import Problem
from recutils.tune.windows import Window


@dataclass(frozen=True)
class Wording:
    """The pieces of a prompt. A person's beginning is followed by one film's title, or by the question about it.

    begin: holds {liked} and {disliked}, two lists of titles, or {lines}: each film with its answer, oldest first. neutral: a beginning that knows nobody. title: one more
    film of the list that `begin` ends with, holds {title}. ask: the question, holds {title}. yes, no: the two answers,
    of which the first token counts. Begin and what follows are cut into tokens one by one, so that they can be joined.
    """

    begin: str
    neutral: str
    title: str
    ask: str
    yes: str
    no: str


WORDINGS = {
    "verdicts": Wording(
        begin="Films, and whether this person liked them:\n{lines}",
        neutral="Films, and whether this person liked them:\n",
        title="Another film this person liked: {title}",
        ask="{title}:",
        yes=" Yes",
        no=" No",
    ),
    "lists": Wording(
        begin="Films this person did not like: {disliked}.\nFilms this person liked: {liked}",
        neutral="Films this person liked: some films",
        title=", {title}",
        ask=".\nDoes this person like {title}? Answer:",
        yes=" Yes",
        no=" No",
    ),
    "chat": Wording(
        begin="<|im_start|>user\nI did not like these films: {disliked}.\nI liked these films: {liked}",
        neutral="<|im_start|>user\nI liked these films: some films",
        title=", {title}",
        ask=".\nWill I like {title}? Answer yes or no.<|im_end|>\n<|im_start|>assistant\n",
        yes="Yes",
        no="No",
    ),
}
NONE = "none"  # a list without titles


def wording(name: str) -> Wording:
    """A wording by its name."""
    if name not in WORDINGS:
        raise Problem(f"there is no wording {name!r}; expected one of {', '.join(WORDINGS)}.")
    return WORDINGS[name]


def beginning(window: Window, titles: Sequence[str], words: Wording) -> str:
    """What is told about a person. titles: one for each item row. Raises Problem for a film without a title."""
    lists = {
        name: ", ".join(_title(titles, film) for film in films) or NONE
        for name, films in (("liked", window.liked), ("disliked", window.disliked))
    }
    pairs = zip(window.history, window.likes, strict=True)
    lines = [f"{_title(titles, film)}:{words.yes if is_liked else words.no}\n" for film, is_liked in pairs]
    return words.begin.format(**lists, lines="".join(lines))


def questions(window: Window, titles: Sequence[str], words: Wording) -> list[str]:
    """The question about each candidate, which follows the beginning."""
    return [words.ask.format(title=_title(titles, film)) for film in window.candidates]


def next_titles(window: Window, titles: Sequence[str], words: Wording) -> list[str]:
    """Each candidate as one more film of the liked list."""
    return [words.title.format(title=_title(titles, film)) for film in window.candidates]


def example(window: Window, titles: Sequence[str], words: Wording) -> str:
    """A solved case for the prompt: beginning, question about the first candidate, and the answer."""
    answer = words.yes if window.labels[0] else words.no
    end = "<|im_end|>\n" if "<|im_end|>" in words.ask else "\n\n"
    return beginning(window, titles, words) + questions(window, titles, words)[0] + answer + end


def _title(titles: Sequence[str], film: int) -> str:
    """The title of an item row."""
    if not 0 <= film < len(titles):
        raise Problem(f"film {film} has no title: there are {len(titles)} titles, rows 0..{len(titles) - 1}.")
    if not titles[film].strip():
        raise Problem(f"film {film} has an empty title. Pass it over: windows(..., known=...) leaves such films out.")
    return titles[film]
