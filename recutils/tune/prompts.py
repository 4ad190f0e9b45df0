"""What a language model reads: windows as text, in named wordings. No model and no numbers here."""

from collections.abc import Sequence
from dataclasses import dataclass

from recutils.tables import Problem
from recutils.tune.windows import Window

Text = tuple[str, list[str]]  # a beginning, and the endings that go on from it


@dataclass(frozen=True)
class Wording:
    """The pieces of a prompt. What is told about a person begins it; a title, a question or a choice ends it.

    begin: holds {liked} and {disliked}, two lists of titles, or {lines}: each film with its answer, oldest first.
    neutral: a beginning that knows nobody. title: one more liked film; ask: the question; both hold {title}. pair: the
    choice between {first} and {second}, answered " A" or " B". yes, no: the answers, of which the first token counts.
    done: what parts solved cases. Beginning and ending are cut into tokens one by one, so that they can be joined.
    """

    begin: str
    neutral: str
    title: str
    ask: str
    pair: str
    yes: str
    no: str
    done: str


PAIR = "Which film would this person rather see?\nA: {first}\nB: {second}\nAnswer:"
WORDINGS = {
    "verdicts": Wording(
        begin="Films, and whether this person liked them:\n{lines}",
        neutral="Films, and whether this person liked them:\n",
        title="Another film this person liked: {title}",
        ask="{title}:",
        pair=PAIR,
        yes=" Yes",
        no=" No",
        done="\n\n",
    ),
    "lists": Wording(
        begin="Films this person did not like: {disliked}.\nFilms this person liked: {liked}",
        neutral="Films this person liked: some films",
        title=", {title}",
        ask=".\nDoes this person like {title}? Answer:",
        pair=f".\n{PAIR}",
        yes=" Yes",
        no=" No",
        done="\n\n",
    ),
    "chat": Wording(
        begin="<|im_start|>user\nI did not like these films: {disliked}.\nI liked these films: {liked}",
        neutral="<|im_start|>user\nI liked these films: some films",
        title=", {title}",
        ask=".\nWill I like {title}? Answer yes or no.<|im_end|>\n<|im_start|>assistant\n",
        pair=".\nWhich film should I see?\nA: {first}\nB: {second}<|im_end|>\n<|im_start|>assistant\nAnswer:",
        yes="Yes",
        no="No",
        done="<|im_end|>\n",
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


def questions(asked: Sequence[Window], titles: Sequence[str], words: Wording) -> list[Text]:
    """Each window's beginning, and the question about each of its candidates."""
    return [(beginning(one, titles, words), _filled(words.ask, one, titles)) for one in asked]


def next_titles(asked: Sequence[Window], titles: Sequence[str], words: Wording) -> list[Text]:
    """Each window's beginning, and each candidate as one more film of the liked list."""
    return [(beginning(one, titles, words), _filled(words.title, one, titles)) for one in asked]


def pairs(asked: Sequence[Window], titles: Sequence[str], words: Wording) -> list[Text]:
    """Each window's beginning, and the choice between its first two candidates, in both orders."""
    found = []
    for one in asked:
        if len(one.candidates) < 2:
            raise Problem(f"the window of user {one.user} has one candidate; a choice needs two.")
        first, second = (_title(titles, film) for film in one.candidates[:2])
        orders = [words.pair.format(first=a, second=b) for a, b in ((first, second), (second, first))]
        found.append((beginning(one, titles, words), orders))
    return found


def examples(asked: Sequence[Window], titles: Sequence[str], words: Wording) -> str:
    """Solved cases: of each window the beginning, the question about its first candidate and the answer."""
    cases = [(questions([one.first(1)], titles, words)[0], one.labels[0]) for one in asked]
    return "".join(begin + asks[0] + (words.yes if liked else words.no) + words.done for (begin, asks), liked in cases)


def _filled(pattern: str, window: Window, titles: Sequence[str]) -> list[str]:
    return [pattern.format(title=_title(titles, film)) for film in window.candidates]


def _title(titles: Sequence[str], film: int) -> str:
    """The title of an item row."""
    if not 0 <= film < len(titles):
        raise Problem(f"film {film} has no title: there are {len(titles)} titles, rows 0..{len(titles) - 1}.")
    if not str(titles[film]).strip():
        raise Problem(f"film {film} has an empty title. Pass it over: windows(..., known=...) leaves such films out.")
    return str(titles[film])
