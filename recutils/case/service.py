"""A service desk: what is done with each question, answers put together and their readings. Special to notebook 87.

The learners are those of tune/few.py, the abstention is evaluate/abstain.py's. A desk answers only what it has a
template for; everything else goes to a person, and says why.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from recutils import runs
from recutils.evaluate.abstain import share
from recutils.tables import Problem
from recutils.trust.filter import BLOCK, REVIEW, UNREAD, Rule, judge
from recutils.tune.few import Learner, linear_learner
from recutils.tune.learners import centre_learner, word_learner

TEMPLATES = runs.DATA / "templates" / "service_desk.csv"
READINGS = runs.DATA / "judgments" / "service_answers.csv"
NOBODY = "This goes to a person of our team, who will answer you."
NO_WORDS = "Please write your question in a few words."
OUTCOMES = ("template", "person: unsure", "person: no template", "person: other language", "person: to be read first",
            "refused", "empty")  # fmt: skip
FAULTS = ("wrong intent", "beside the point", "unsupported", "contradiction", "unsafe", "empty or repeated")
WAYS = {"without the sentence": FAULTS[:2], "with the sentence": FAULTS}  # which faults each way can have
INSTRUCTION = "You help customers of a bank. Use only the facts given. If they do not help, say so."
PROMPT = "Question: {question}\nFacts: {template} {passage}\nAdd one short helpful sentence for the customer."


def load_templates(path: Path = TEMPLATES) -> dict[str, str]:
    """intent -> answer, as the file has them. Raises Problem for other columns, empty cells, an intent twice."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or set(rows[0]) != {"intent", "answer"}:
        raise Problem(f"{path.name} needs the columns intent and answer; found {list(rows[0]) if rows else 'no rows'}.")
    empty = [row["intent"] for row in rows if not (row["intent"] or "").strip() or not (row["answer"] or "").strip()]
    if empty or len({row["intent"] for row in rows}) < len(rows):
        raise Problem(f"{path.name}: an intent is empty, has no answer or stands twice ({empty[:3]}). One row each.")
    return {row["intent"]: row["answer"].strip() for row in rows}


def held_out(choices: Sequence[int], n_held: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Intents that play the unknown, n_held on validation and n_held others on test, drawn from `choices`.

    Raises Problem when there are not enough of them.
    """
    if n_held < 1 or 2 * n_held > len(choices):
        raise Problem(f"2 x {n_held} intents were to be held out, {len(choices)} may be. Hold out fewer, at least 1.")
    order = rng.permutation(np.asarray(choices))
    return np.sort(order[:n_held]), np.sort(order[n_held : 2 * n_held])


def of_each(labels: np.ndarray, rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of the rows of each class, drawn; all of a class that has fewer. Raises Problem for n below 1."""
    if n < 1:
        raise Problem(f"at least one row of each class is needed; got n = {n}")
    mixed = rng.permutation(rows)
    return np.concatenate([mixed[labels[mixed] == label][:n] for label in np.unique(labels[rows])])


def learners(
    texts: Sequence[str], vectors: np.ndarray, pool: np.ndarray, *, n_classes: int, strengths: dict[str, float]
) -> dict[str, Learner]:
    """Three ways to learn intents: "words" and "MiniLM" (logistic regression) and "centres" (nearest mean vector).

    pool: the rows that may be learnt from; words and scales are counted on these alone. A learner takes rows of the
    pool with their labels and answers for all texts, (n, n_classes). strengths: C of "words" and of "MiniLM".
    """
    order = np.concatenate([pool, np.setdiff1d(np.arange(len(texts)), pool)])
    if len(order) != len(texts) or len(vectors) != len(texts):
        raise Problem(f"pool must hold different rows of {len(texts)} texts, each with a vector; got {len(vectors)}.")
    back, ordered = np.argsort(order), vectors[order]
    made = {
        "words": word_learner([texts[row] for row in order], len(pool), strengths["words"], n_classes=n_classes),
        "MiniLM": linear_learner(ordered, len(pool), strengths["MiniLM"], n_classes=n_classes),
        "centres": centre_learner(ordered, n_classes=n_classes),
    }
    return {name: partial(_in_order, learn, back) for name, learn in made.items()}


def _in_order(learn: Learner, back: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return learn(back[rows], labels)[back]


@dataclass(frozen=True, eq=False)
class Desk:
    """What the desk knows. classes: names of the intents, columns of the chances. templates: intent -> answer.

    threshold: the desk answers when the likeliest intent's chance is at least that. rules: of recutils.trust.filter.
    """

    classes: Sequence[str]
    templates: dict[str, str]
    threshold: float
    rules: Sequence[Rule]

    def serve(self, texts: Sequence[str], chances: np.ndarray) -> pd.DataFrame:
        """One row a question: text, outcome (OUTCOMES), intent, sure, answer, reason.

        chances: (n, n_classes); of an empty text they are not read. The filter comes before the intent: a text that
        it blocks is refused whatever it seems to ask; another language and what waits for a reader go to a person.
        """
        chances = np.asarray(chances)
        if chances.shape != (len(texts), len(self.classes)) or not np.isfinite(chances).all():
            raise Problem(f"chances must be finite, ({len(texts)}, {len(self.classes)}); got {chances.shape}")
        judged = judge(list(texts), self.rules, unread=REVIEW)
        rows = [self._one(*one) for one in zip(texts, chances, judged.itertuples(), strict=True)]
        return pd.DataFrame(rows, columns=["text", "outcome", "intent", "sure", "answer", "reason"])

    def _one(self, text: str, chances: np.ndarray, judged: tuple) -> tuple[str, str, str, float, str, str]:
        if not any(letter.isalnum() for letter in text):
            return text, "empty", "", 0.0, NO_WORDS, "no word in it"
        if judged.action == BLOCK:
            return text, "refused", "", 0.0, judged.reason, f"rule {judged.rule}: {judged.matched}"
        if judged.action == REVIEW:
            outcome = "person: other language" if judged.rule == UNREAD else "person: to be read first"
            return text, outcome, "", 0.0, NOBODY, f"rule {judged.rule}"
        intent, sure = self.classes[int(chances.argmax())], float(chances.max())
        if sure < self.threshold:
            return text, "person: unsure", intent, sure, NOBODY, f"chance {sure:.2f} is below {self.threshold:.2f}"
        if intent not in self.templates:
            return text, "person: no template", intent, sure, NOBODY, f"no answer is written for {intent}"
        return text, "template", intent, sure, self.templates[intent], f"read as {intent} ({sure:.2f})"


def outcomes(served: pd.DataFrame) -> pd.DataFrame:
    """One row for each of OUTCOMES: outcome, questions, share. served: as from `Desk.serve`."""
    counts = served.outcome.value_counts().reindex(OUTCOMES, fill_value=0).to_numpy()
    return pd.DataFrame({"outcome": OUTCOMES, "questions": counts, "share": counts / max(len(served), 1)})


@dataclass(frozen=True)
class Composed:
    """An answer in its parts; passage "" where none was near enough."""

    question: str
    template: str
    passage: str
    sentence: str

    @property
    def key(self) -> str:
        """16 hex digits over every part: another generation has another key, so old readings do not fit it."""
        parts = [self.question, self.template, self.passage, self.sentence]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def shortened(passage: str, words: int = 45) -> str:
    """The passage's first words, to its last whole sentence where one ends there; for a prompt and for a reader."""
    start = " ".join(passage.split()[:words])
    end = max(start.rfind(mark) for mark in (". ", "? ", "! "))
    return start if start == " ".join(passage.split()) or end < len(start) // 3 else start[: end + 1]


def prompts(questions: Sequence[str], templates: Sequence[str], passages: Sequence[str]) -> list[str]:
    """What the language model is asked, one prompt an answer."""
    return [
        PROMPT.format(question=question, template=template, passage=passage).replace(" \n", "\n")
        for question, template, passage in zip(questions, templates, passages, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader found. faults: one row a read answer, key and FAULTS as bool, missing where the answer lacks the
    part (no template, no passage, so no fault of it). unread: answers nobody has read."""

    faults: pd.DataFrame
    unread: int

    @property
    def complete(self) -> bool:
        """Whether every answer was read: only then may faults be counted."""
        return self.unread == 0 and len(self.faults) > 0

    def counted(self) -> pd.DataFrame:
        """One row a fault: fault, answers, share, low, high (exact 95 %), n with that part. Problem unless complete."""
        self._check()
        found = {name: (int(self.faults[name].sum()), int(self.faults[name].notna().sum())) for name in FAULTS}
        rows = [(name, count, *share(count, n), n) for name, (count, n) in found.items() if n]
        return pd.DataFrame(rows, columns=["fault", "answers", "share", "low", "high", "n"])

    def by_way(self) -> pd.DataFrame:
        """One row for each way of answering: with any fault that this way can have, share, low, high, n."""
        self._check()
        bad = {way: int(self.faults[list(names)].eq(True).any(axis=1).sum()) for way, names in WAYS.items()}
        rows = [(way, count, *share(count, len(self.faults))) for way, count in bad.items()]
        return pd.DataFrame(rows, columns=["way", "with a fault", "share", "low", "high"]).assign(n=len(self.faults))

    def _check(self) -> None:
        if not self.complete:
            raise Problem(f"{self.unread} answers are not judged: read them by the guide in data/judgments/README.md.")


def read(answers: Sequence[Composed], path: Path = READINGS) -> Readings:
    """The stored readings of exactly these answers. A changed text has no reading, however like the old one it is.

    Raises Problem for a file with other columns, marks besides 0 and 1, or two readings of one answer.
    """
    table = pd.read_csv(path, dtype={"key": str}) if path.exists() else pd.DataFrame(columns=["key", *FAULTS])
    if not {"key", *FAULTS} <= set(table.columns):
        raise Problem(f"{path.name} needs the columns key and {', '.join(FAULTS)}; found {list(table.columns)}.")
    if table.key.duplicated().any() or not table[list(FAULTS)].isin([0, 1]).all(axis=None):
        raise Problem(f"{path.name}: one row an answer, and each fault marked 0 or 1, is expected.")
    marks = table.set_index("key")[list(FAULTS)].astype(bool).astype(object)
    known = [one for one in answers if one.key in marks.index]
    found = marks.loc[[one.key for one in known]]
    found.loc[[not one.template for one in known], "wrong intent"] = None
    found.loc[[not one.passage for one in known], "beside the point"] = None
    return Readings(found.reset_index(), len(answers) - len(known))


def cost_of(answered: int, wrong: int, n: int, *, person: float, mistake: float) -> float:
    """Cost of 100 questions: what is not answered costs a person's time, what is answered wrongly a mistake.

    A wrong answer is also taken up by a person in the end: put that into `mistake`. A what-if: as good as its prices.
    """
    if not 0 <= wrong <= answered <= n or n < 1:
        raise Problem(f"expected 0 <= wrong <= answered <= n; got {wrong}, {answered}, {n}")
    return 100 * (person * (n - answered) + mistake * wrong) / n
