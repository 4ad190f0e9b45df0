"""The health case: questions to a box of drug reviews, which refuses, abstains or quotes, and never advises.

What ratings cannot tell is in health_ratings.py. Rules stand in health_rules.toml, the phrasings that they were written
with, and those that they were not, in health_phrases.toml; the general filter is trust/filter.py. No doses, no drug
names and no ratings leave this module in a reply.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.fetch import fetch
from recutils.data.labelled import drug_table
from recutils.data.language import language
from recutils.encode.index import unit
from recutils.rank.search import Index, ranked
from recutils.tables import Problem
from recutils.trust.explain import POPULAR, match
from recutils.trust.filter import BLOCK, Rule, judge, load_rules

NAME = "drug-reviews"
RULES = Path(__file__).with_name("health_rules.toml")
PHRASES = Path(__file__).with_name("health_phrases.toml")
HARMLESS = "harmless"
DISCLAIMER = (
    "These are single experiences of strangers, not medical advice. "
    "Ask a doctor or a pharmacist before you change anything."
)
REFUSED, FOREIGN, EMPTY, NOTHING, ANSWERED = "refused", "not English", "empty", "nothing found", "answered"
SAID = {
    FOREIGN: "This box reads English sentences only. It cannot tell whether this is safe, so it does not answer.",
    EMPTY: "Please write a question in some words.",
    NOTHING: "No review here speaks of this. That says nothing about the matter itself.",
}
GUARDED = (
    "This may ask for advice that reviews cannot give: please ask a doctor, a pharmacist or, if it is urgent, the "
    "emergency number."
)
# What the publisher's scraping cut off; the other scraps ("4</span> users ...") say nothing of a condition.
MENDED = {
    "ibromyalgia": "Fibromyalgia", "atigue": "Fatigue", "mance Anxiety": "Performance Anxiety",
    "Breast Cance": "Breast Cancer", "Overactive Bladde": "Overactive Bladder", "Stomach Ulce": "Stomach Ulcer",
    "Pain/Feve": "Pain/Fever", "NSAID-Induced Gastric Ulce": "NSAID-Induced Gastric Ulcer",
    "Benign Essential Trem": "Benign Essential Tremor", "Premature Lab": "Premature Labor",
}  # fmt: skip
SCRAP = re.compile(r"</span>|^min\)$|^moterol\)$|^Not Listed / Othe$")
SHORTEST = 4  # letters of a drug's name that is hidden: shorter parts are words of other meaning


def reviews() -> pd.DataFrame:
    """The drug reviews with conditions mended; "" where the publisher's scrap names none. Columns as `drug_table`."""
    table = drug_table(fetch(NAME, say=print))
    return table[table.text != ""].assign(condition=table.condition.map(mended)).reset_index(drop=True)


def mended(condition: str) -> str:
    """A condition's name as it was before the scraping cut it, "" for scraps.

    >>> mended("Bipolar Disorde"), mended("4</span> users found this comment helpful.")
    ('Bipolar Disorder', '')
    """
    if SCRAP.search(condition):
        return ""
    return MENDED.get(condition, condition + "r" if condition.endswith("Disorde") else condition)


def rules() -> tuple[Rule, ...]:
    """The rules of this case, which come first, and the general ones."""
    return (*load_rules(RULES), *load_rules())


def phrases(part: str) -> pd.DataFrame:
    """The phrasings of a part ("tuning" or "fresh"): kind, text, unsafe (bool)."""
    tables = tomllib.loads(PHRASES.read_text(encoding="utf-8"))
    if part not in tables:
        raise Problem(f"part must be one of {', '.join(tables)}; got {part!r}")
    rows = [(kind, text, kind != HARMLESS) for kind, texts in tables[part].items() for text in texts]
    return pd.DataFrame(rows, columns=["kind", "text", "unsafe"])


def stopped(texts: Sequence[str], found_by: Sequence[Rule]) -> np.ndarray:
    """(n,) bool: which texts some blocking rule finds."""
    return (judge(texts, found_by).action == BLOCK).to_numpy()


@dataclass(frozen=True, eq=False)
class Guard:
    """Known phrasings as vectors: a text that is nearer to unsafe ones than to harmless ones, by a cutoff, is stopped.

    unsafe, harmless: (n, d).
    """

    unsafe: np.ndarray
    harmless: np.ndarray
    cutoff: float

    def margins(self, vectors: np.ndarray) -> np.ndarray:
        """(n,): the largest cosine to an unsafe phrasing less that to a harmless one."""
        near = [(unit(vectors) @ unit(known).T).max(axis=1) for known in (self.unsafe, self.harmless)]
        return near[0] - near[1]

    def stops(self, vectors: np.ndarray) -> np.ndarray:
        """(n,) bool."""
        return self.margins(vectors) > self.cutoff


def guard(vectors: np.ndarray, unsafe: np.ndarray, *, most: float = 0.1) -> Guard:
    """A guard whose cutoff is the lowest that stops at most this share of the harmless phrasings.

    vectors: (n, d) of the tuning phrasings; unsafe: (n,) bool. Each is held against the others only (leave one out).
    """
    if unsafe.all() or unsafe.sum() < 2 or (~unsafe).sum() < 2:
        raise Problem(f"a guard needs two phrasings of each sort; got {unsafe.sum()} unsafe of {len(unsafe)}")
    cosine = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(cosine, -np.inf)
    margin = cosine[:, unsafe].max(axis=1) - cosine[:, ~unsafe].max(axis=1)
    cutoff = float(np.quantile(margin[~unsafe], 1 - most, method="higher"))
    return Guard(vectors[unsafe], vectors[~unsafe], cutoff)


@dataclass(frozen=True, eq=False)
class Reply:
    """state: one of refused, not English, empty, nothing found, answered. text: what the person reads, disclaimer and
    all. rule: which rule refused, else "". rows: the quoted reviews, none unless answered."""

    state: str
    text: str
    rule: str = ""
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Box:
    """Answers by quotes. index: over the texts of `table`, 0 below a floor. encode: texts -> (n, d), for the guard."""

    table: pd.DataFrame
    index: Index
    rules: Sequence[Rule]
    guard: Guard
    encode: Callable[[Sequence[str]], np.ndarray]
    k: int = 3

    @cached_property
    def silent(self) -> np.ndarray:
        """(n,) bool: reviews that the rules stop, which are never quoted."""
        return stopped(list(self.table.text), self.rules)

    @cached_property
    def hidden(self) -> re.Pattern[str]:
        """The names of all drugs of the table."""
        return drug_names(list(self.table.drug))

    def reply(self, question: str) -> Reply:
        """What the box says. Checks come first, in this order: words at all, rules, language, guard; then a search."""
        told = question.strip()
        if not re.search(r"\w", told):
            return _reply(EMPTY)
        found = judge([told], self.rules).iloc[0]
        if found.action == BLOCK:
            return _reply(REFUSED, found.reason, found["rule"])
        if not language([told]).n_english:  # a text without an English function word could be anything
            return _reply(FOREIGN)
        if self.guard.stops(self.encode([told]))[0]:
            return _reply(REFUSED, GUARDED, "guard")
        rows = self.found(told)
        return self._quoted(told, rows) if rows else _reply(NOTHING)

    def found(self, question: str) -> tuple[int, ...]:
        """Rows of the reviews that answer, at most k; a review that the rules stop is passed over."""
        rows = ranked(self.index.scores([question]), min(10 * self.k, len(self.table)))[0]
        rows = rows[rows >= 0]
        return tuple(int(row) for row in rows[~self.silent[rows]][: self.k])

    def _quoted(self, question: str, rows: tuple[int, ...]) -> Reply:
        texts = [self.table.text[row] for row in rows]
        lines = [f"- “{quote(text, self.hidden)}” ({why(question, text)})" for text in texts]
        return _reply(ANSWERED, "\n".join(lines), rows=rows)


def _reply(state: str, text: str = "", rule: str = "", rows: tuple[int, ...] = ()) -> Reply:
    return Reply(state, f"{text or SAID[state]}\n\n{DISCLAIMER}", rule, rows)


def why(question: str, text: str) -> str:
    """Why a review is quoted: the words that it shares with the question, else its nearness alone."""
    reason = match(question, text)
    return "near in meaning, no word shared" if reason == POPULAR else reason


def drug_names(drugs: Sequence[str]) -> re.Pattern[str]:
    """One expression for the names of all these drugs, each part of a compound too, longest first."""
    parts = {part.strip() for drug in drugs for part in (drug, *drug.split("/"))}
    names = sorted((part for part in parts if len(part) >= SHORTEST), key=lambda part: (-len(part), part))
    if not names:
        raise Problem("no drug has a name of four letters or more; quotes could not hide any. Check the column.")
    return re.compile(r"\b(?:" + "|".join(map(re.escape, names)) + r")\b", re.IGNORECASE)


def quote(text: str, hidden: re.Pattern[str], most: int = 100) -> str:
    """The beginning of a review without any number and without the hidden names, cut at a word.

    >>> quote("Took 20 mg of Paxil for 3 weeks, felt fine.", drug_names(["Paxil"]))
    'Took … mg of [a drug] for … weeks, felt fine.'
    """
    shown = re.sub(r"\d[\d.,/]*", "…", hidden.sub("[a drug]", text))
    return shown if len(shown) <= most else shown[:most].rsplit(" ", 1)[0] + " …"


def remembered(encode: Callable[[list[str]], np.ndarray]) -> Callable[[Sequence[str]], np.ndarray]:
    """The same encoder, which keeps every vector in memory: a box asks for the same question more than once."""
    known: dict[str, np.ndarray] = {}

    def vectors(texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.array([known[text] for text in texts])

    return vectors


def asked(conditions: Sequence[str]) -> list[str]:
    """A question for each condition, in one form."""
    return [f"What do people with {condition.lower()} write about their experience?" for condition in conditions]
