"""What must not be shown, or only after a person has read it: rules on texts, before display. No ranking, no learning.

rules = load_rules()                                      # rules.toml, or a file of your own in its form
found = judge(["how many mg can I take"], rules)          # one row a text: action, rule, matched, reason
kept = screen(lists, titles, rules, k=10)                 # lists without what is blocked or waits, and an audit
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.language import language
from recutils.tables import Problem

RULES = Path(__file__).with_name("rules.toml")
SHOW, REVIEW, BLOCK = "show", "review", "block"
STRICT = {SHOW: 0, REVIEW: 1, BLOCK: 2}
UNREAD = "not English"
GAP = r"(?:\W+\w+){0,4}?\W+"  # what "..." stands for: at most four words
COLUMNS = ("action", "rule", "matched", "reason")
SPARE = 10  # items asked for beyond k, so that what is taken out can be replaced
AUDIT = ("list", "rank", "item", "text", *COLUMNS)


@dataclass(frozen=True)
class Rule:
    """action: "review" or "block". words: phrases as rules.toml explains them. reason: a sentence for people."""

    name: str
    action: str
    words: tuple[str, ...]
    reason: str

    def __post_init__(self) -> None:
        """Raises Problem for an unknown action and for a rule that could match nothing or everything."""
        if self.action not in (REVIEW, BLOCK):
            raise Problem(f"rule {self.name!r}: action is 'review' or 'block'; got {self.action!r}")
        if not self.words or any(not re.search(r"\w", words) for words in self.words):
            raise Problem(f"rule {self.name!r} needs words, each with a letter or digit; got {list(self.words)}")

    @property
    def pattern(self) -> re.Pattern[str]:
        """One expression for all phrases, to be searched in what `plain` gives."""
        return re.compile(r"\b(?:" + "|".join(map(_expression, self.words)) + r")\b")


def _expression(words: str) -> str:
    """A phrase as an expression: whole words, a star for any ending, dots for up to four words between."""
    parts = [_words(part) for part in re.split(r"\s*\.\.\.\s*", plain(words))]
    return GAP.join(part for part in parts if part)


def _words(part: str) -> str:
    return r"\W+".join(re.escape(word).replace(r"\*", r"\w*") for word in part.split())


def plain(text: str) -> str:
    """Lower case, one way to write each letter, one kind of apostrophe, no invisible letters, single blanks.

    >>> plain("Ｈow  to\\u200b GAMBLE – it’s")
    "how to gamble – it's"
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    seen = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split())


def load_rules(path: Path = RULES) -> tuple[Rule, ...]:
    """The rules of a file in the form of rules.toml. Raises Problem with what is wrong in which rule."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("rule", [])
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Problem(f"{path.name} is no readable file of rules ({fault}); see the head of rules.toml.") from fault
    if not tables:
        raise Problem(f"{path.name} holds no [[rule]]; a filter without rules would pass everything.")
    return tuple(_rule(table, path) for table in tables)


def _rule(table: dict, path: Path) -> Rule:
    wanted = {"name", "action", "words", "reason"}
    if set(table) != wanted or not isinstance(table["words"], list):
        raise Problem(f"{path.name}: a rule has the fields {sorted(wanted)}, words a list; got {sorted(table)}")
    return Rule(table["name"], table["action"], tuple(table["words"]), table["reason"])


def judge(texts: Sequence[str], rules: Sequence[Rule], *, unread: str = SHOW) -> pd.DataFrame:
    """One row a text: action, rule, matched, reason of the strictest rule that it meets, the first of equals.

    unread: the action for texts that are mostly in another language than English, which the rules cannot read:
    "show" for titles, whose language is often unclear; "review" where a text is a question to be answered.
    An empty text is shown. Raises Problem for an unknown action or no rule.
    """
    if unread not in STRICT or not rules:
        raise Problem(f"unread is one of {list(STRICT)}, and some rule is needed; got {unread!r}, {len(rules)} rules")
    ordered = [(rule, rule.pattern) for rule in sorted(rules, key=lambda rule: -STRICT[rule.action])]
    rows = [_judged(text, ordered, unread) for text in texts]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _judged(text: str, ordered: Sequence[tuple[Rule, re.Pattern[str]]], unread: str) -> tuple[str, str, str, str]:
    read = plain(text)
    for rule, pattern in ordered:
        if found := pattern.search(read):
            return rule.action, rule.name, found.group(), rule.reason
    if unread != SHOW and language([text]).n_other:
        return unread, UNREAD, "", "The rules read English only: a person reads this first."
    return SHOW, "", "", ""


@dataclass(frozen=True, eq=False)
class Screened:
    """lists: (n, k) item rows, -1 where too few are left. audit: a row for each item that was taken out (AUDIT)."""

    lists: np.ndarray
    audit: pd.DataFrame

    def queue(self) -> pd.DataFrame:
        """What waits for a reader, each item once: item, text, rule, matched, reason and in how many lists it stood."""
        waiting = self.audit[self.audit.action == REVIEW]
        columns = ["item", "text", "rule", "matched", "reason"]
        return waiting.groupby(columns, as_index=False).size().rename(columns={"size": "lists"})


def screen(
    lists: np.ndarray, texts: Sequence[str], rules: Sequence[Rule], *, k: int, approved: Collection[int] = ()
) -> Screened:
    """The first k items of each list that may be shown; what follows moves up.

    lists: (n, m) item rows, best first, -1 for none; ask for some more than k, so that the gaps can be filled.
    texts: of all items, by row. approved: items that a reader has passed; they override "review", never "block".
    Raises Problem when k exceeds m or a list names an item without a text.
    """
    if lists.ndim != 2 or not 1 <= k <= lists.shape[1]:
        raise Problem(f"lists are (n, m) with 1 <= k <= m; got {lists.shape} and k = {k}")
    items = np.unique(lists[lists >= 0])
    if len(items) and items[-1] >= len(texts):
        raise Problem(f"a list names item {items[-1]}, texts are {len(texts)}; give the texts of all items, by row.")
    found = judge([texts[item] for item in items], rules).set_index(items)
    passed = (found.action == SHOW) | ((found.action == REVIEW) & found.index.isin(list(approved)))
    out = np.isin(lists, items[~passed.to_numpy()])
    return Screened(_moved_up(lists, out, k), _audit(lists, out, texts, found))


def _moved_up(lists: np.ndarray, out: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(out | (lists < 0), axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(lists, order, axis=1)
    return np.where(np.take_along_axis(out, order, axis=1), -1, kept)


def _audit(lists: np.ndarray, out: np.ndarray, texts: Sequence[str], found: pd.DataFrame) -> pd.DataFrame:
    rows, ranks = np.nonzero(out)
    items = lists[rows, ranks]
    places = pd.DataFrame({"list": rows, "rank": ranks + 1, "item": items, "text": [texts[item] for item in items]})
    return pd.concat([places, found.loc[items].reset_index(drop=True)], axis=1)[list(AUDIT)]
