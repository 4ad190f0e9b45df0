"""Questions of customers: with an intent each (banking77), or with an answer each (fiqa). Nothing is learnt here.

Both files are read as they were published; what is left out is counted in the notes.
"""

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recutils.data.fetch import fetch
from recutils.data.labelled import Labelled
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Intents:
    """train and test: questions with their intent, one list of classes, the most frequent in train first.

    No question of train stands in test too, whatever its case and blanks.
    """

    train: Labelled
    test: Labelled


@dataclass(frozen=True, eq=False)
class Answered:
    """questions and answers: n strings each, the answer to question i is answer i. No question stands twice."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    notes: tuple[str, ...] = ()


def load_intents(name: str = "banking77", *, most_intents: int = 0) -> Intents:
    """The publisher's two files, fetched and verified. most_intents: only the most frequent ones of train; 0 keeps all.

    Where the source cannot be reached, `fetch` says so with the cures. Raises Problem for fewer than two intents.
    """
    return read_intents(fetch(name, say=print), most_intents=most_intents)


def read_intents(folder: Path, *, most_intents: int = 0) -> Intents:
    """See `load_intents`. Raises Problem for missing columns and for an intent that only the test file has."""
    train, test = (_pairs(folder / f"{part}.csv") for part in ("train", "test"))
    names = [name for name, _ in Counter(intent for _, intent in train).most_common()]
    strangers = sorted({intent for _, intent in test} - set(names))
    if strangers:
        raise Problem(
            f"test.csv has the intent {strangers[0]!r}, train.csv does not. Use two files of one publication."
        )
    names = names[: most_intents or None]
    taken = {_same(text) for text, _ in test}
    kept = list({_same(text): (text, intent) for text, intent in reversed(train) if _same(text) not in taken}.values())
    note = f"{len(train) - len(kept)} of {len(train):,} training questions repeat another or a test question: left out."
    return Intents(_labelled("train", kept[::-1], names, (note,)), _labelled("test", test, names))


def _pairs(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"text", "category"} <= set(rows[0]):
        raise Problem(f"{path.name} needs the columns text and category; found {list(rows[0]) if rows else 'no rows'}.")
    return [(" ".join(row["text"].split()), row["category"]) for row in rows]


def _same(text: str) -> str:
    return text.casefold()


def _labelled(part: str, rows: list[tuple[str, str]], names: list[str], notes: tuple[str, ...] = ()) -> Labelled:
    rows = [(text, intent) for text, intent in rows if intent in names]
    labels = np.array([names.index(intent) for _, intent in rows], dtype=np.int64)
    return Labelled(f"intents, {part}", tuple(text for text, _ in rows), labels, tuple(names), notes=notes)


def load_answered(name: str = "fiqa", *, most: int = 0) -> Answered:
    """Questions and their answers, fetched and verified. most: the first so many; 0 keeps all."""
    return read_answered(fetch(name, say=print) / "test.jsonl", most=most)


def read_answered(path: Path, *, most: int = 0) -> Answered:
    """See `load_answered`. Rows with an empty half and questions seen before are left out and counted."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows or not {"question", "answer"} <= set(rows[0]):
        raise Problem(
            f"{path.name} needs question and answer in each line; found {list(rows[0]) if rows else 'no lines'}."
        )
    pairs = [tuple(" ".join(str(row[name]).split()) for name in ("question", "answer")) for row in rows]
    kept = list({_same(question): (question, answer) for question, answer in pairs if question and answer}.values())
    note = f"{len(rows) - len(kept)} of {len(rows):,} rows have an empty half or repeat a question, and are left out."
    kept = kept[: most or None]
    return Answered(tuple(question for question, _ in kept), tuple(answer for _, answer in kept), (note,))
