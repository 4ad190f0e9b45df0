"""The measurements of notebook 87: who is asked what, intents with some unknown, a library with a floor.

What a desk does with a question is service.py's. Choices are made on validation rows; test rows are only handed over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.case.service import held_out, learners, of_each, shortened
from recutils.data.labelled import Labelled, drawn
from recutils.data.questions import Answered, Intents
from recutils.evaluate.abstain import least_sure
from recutils.evaluate.labels import auc
from recutils.evaluate.metrics import accuracy
from recutils.rank.passages import ByPassage, Passages, cut
from recutils.rank.search import Dense, Index, Lexical, Ranks, ranked
from recutils.tables import Problem

MENU = {"words": (30.0, 300.0, 3000.0), "MiniLM": (0.001, 0.01, 0.1)}  # C of the regressions, tried on validation
FOREIGN = 300  # questions of the other data set that are asked of the library, at most, in each part
Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True, eq=False)
class Questions:
    """All that is asked, in one list of texts. labels: (n,), -1 without an intent. The others are rows of the texts:
    train and valid (a fifth) of the train file, test, forum (question i has answer i of `answers`), probes."""

    texts: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]
    answers: tuple[str, ...]
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    forum: np.ndarray
    probes: np.ndarray

    def halves(self, seed: int) -> dict[str, np.ndarray]:
        """The forum's rows in two random halves, "valid" and "test"."""
        order = np.random.default_rng([seed, 4]).permutation(self.forum)
        return {"valid": order[: len(order) // 2], "test": order[len(order) // 2 :]}


def gather(
    bank: Intents, forum: Answered, probes: Sequence[str], *, most: tuple[int, int] = (0, 0), seed: int
) -> Questions:
    """The questions as one list. most: of the bank's train and test file, drawn by intent; 0 keeps all."""
    train, test = (_thinned(one, n, seed) for one, n in zip((bank.train, bank.test), most, strict=True))
    parts = [train.texts, test.texts, forum.questions, tuple(probes)]
    ends = np.cumsum([len(one) for one in parts])
    rows = [np.arange(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    valid = np.sort(drawn(train, rows[0], len(train) // 5, seed))
    labels = np.concatenate([train.labels, test.labels, np.full(len(forum.questions) + len(probes), -1)])
    texts = tuple(text for one in parts for text in one)
    learnt = np.setdiff1d(rows[0], valid)
    return Questions(texts, labels, train.classes, forum.answers, learnt, valid, *rows[1:])


def _thinned(found: Labelled, most: int, seed: int) -> Labelled:
    return found.only(np.sort(drawn(found, np.arange(len(found)), min(most or len(found), len(found)), seed)))


@dataclass(frozen=True, eq=False)
class Routes:
    """Answers to every text, by rule: `few`, one array (n,) of intents a draw of labels, and `full`, with all labels.

    strengths: C of "words" and "MiniLM", chosen on validation with few labels and kept for all.
    """

    asked: Questions
    few: dict[str, list[np.ndarray]]
    full: dict[str, np.ndarray]
    strengths: dict[str, float]

    def right(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Whether each of the rows is answered rightly, by rule: the mean over draws of few labels, and all labels."""
        truth = self.asked.labels[rows]
        few = {name: np.mean([one[rows] == truth for one in several], axis=0) for name, several in self.few.items()}
        return few, {name: (one[rows] == truth).astype(float) for name, one in self.full.items()}

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """One row a rule: strength, mean accuracy with few and with all labels."""
        few, full = self.right(rows)
        lines = [(name, str(self.strengths.get(name, "")), few[name].mean(), full[name].mean()) for name in few]
        return pd.DataFrame(lines, columns=["rule", "strength C", "accuracy, few labels", "accuracy, all labels"])


def routes(asked: Questions, vectors: np.ndarray, *, few: int, n_seeds: int, seed: int) -> Routes:
    """Majority, words, centres and MiniLM, learnt from `few` labels of each intent (n_seeds draws) and from all."""
    draws = [of_each(asked.labels, asked.train, few, np.random.default_rng([seed, draw])) for draw in range(n_seeds)]
    strengths = {name: _strongest(asked, vectors, draws[:1], name) for name in MENU}
    learn = learners(asked.texts, vectors, asked.train, n_classes=len(asked.names), strengths=strengths)
    most = np.full(len(asked.texts), np.bincount(asked.labels[asked.train]).argmax())
    by_few = {name: [one(rows, asked.labels[rows]).argmax(1) for rows in draws] for name, one in learn.items()}
    full = {name: one(asked.train, asked.labels[asked.train]).argmax(1) for name, one in learn.items()}
    return Routes(asked, {"majority": [most]} | by_few, {"majority": most} | full, strengths)


def _strongest(asked: Questions, vectors: np.ndarray, draws: Sequence[np.ndarray], name: str) -> float:
    """The C with the best mean accuracy on validation, of equal ones the smallest."""
    rows = np.concatenate([asked.train, asked.valid])  # all that is needed, so that little is asked
    texts, labels = [asked.texts[row] for row in rows], asked.labels[rows]
    pool, checked = np.arange(len(asked.train)), np.arange(len(asked.train), len(rows))
    places = [np.searchsorted(asked.train, one) for one in draws]

    def level(strength: float) -> float:
        learn = learners(
            texts, vectors[rows], pool, n_classes=len(asked.names), strengths=dict.fromkeys(MENU, strength)
        )
        found = [learn[name](one, labels[one])[checked].argmax(1) for one in places]
        return float(np.mean([one == labels[checked] for one in found]))

    return max(MENU[name], key=level)


@dataclass(frozen=True, eq=False)
class Unknown:
    """Rules that may keep quiet, learnt without the held-out intents. By rule, over all texts: chances (n, n_classes),
    sure, right, given (answered at its threshold). limit: rule -> threshold, chosen on the rows `valid`."""

    chances: dict[str, np.ndarray]
    limit: dict[str, float]
    labels: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    held: np.ndarray
    sure: dict[str, np.ndarray] = field(init=False)
    right: dict[str, np.ndarray] = field(init=False)
    given: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        for name, made in {
            "sure": {name: one.max(1) for name, one in self.chances.items()},
            "right": {name: one.argmax(1) == self.labels for name, one in self.chances.items()},
            "given": {name: one.max(1) >= self.limit[name] for name, one in self.chances.items()},
        }.items():
            object.__setattr__(self, name, made)

    def good(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """By rule, 1 where a row is answered, and rightly."""
        return {name: (self.given[name] & self.right[name])[rows].astype(float) for name in self.chances}

    @property
    def best(self) -> str:
        """The rule with most right answers on validation at its threshold."""
        return max(self.chances, key=lambda name: self.good(self.valid)[name].mean())

    def table(self) -> pd.DataFrame:
        """Validation: threshold, coverage, share answered rightly, by rule."""
        good = self.good(self.valid)
        rows = [(name, self.limit[name], self.given[name][self.valid].mean(), good[name].mean()) for name in good]
        return pd.DataFrame(rows, columns=["rule", "threshold", "coverage", "answered rightly"])

    def fooled(self, name: str) -> pd.Series:
        """The share of each held-out test intent's questions that the rule answers: intent -> share."""
        truth, given = self.labels[self.test], self.given[name][self.test]
        return pd.Series({one: given[truth == one].mean() for one in self.held if (truth == one).any()})


def unknown(
    asked: Questions,
    vectors: np.ndarray,
    strengths: dict[str, float],
    *,
    free: Sequence[int],
    n_held: int,
    most_wrong: float,
    seed: int,
) -> Unknown:
    """Learn the known intents from all their labels, and choose each rule's threshold on validation.

    free: intents that may be held out, n_held for validation and n_held others for test.
    """
    for_valid, for_test = held_out(free, n_held, np.random.default_rng([seed, 3]))
    known = np.setdiff1d(np.arange(len(asked.names)), np.concatenate([for_valid, for_test]))
    fit = asked.train[np.isin(asked.labels[asked.train], known)]
    learn = learners(asked.texts, vectors, fit, n_classes=len(asked.names), strengths=strengths)
    chances = {name: one(fit, asked.labels[fit]) for name, one in learn.items()}
    valid = asked.valid[np.isin(asked.labels[asked.valid], np.union1d(known, for_valid))]
    test = asked.test[np.isin(asked.labels[asked.test], np.union1d(known, for_test))]
    truth = asked.labels[valid]
    limit = {n: least_sure(one[valid].max(1), one[valid].argmax(1) == truth, most_wrong) for n, one in chances.items()}
    return Unknown(chances, limit, asked.labels, valid, test, for_test)


@dataclass(frozen=True, eq=False)
class Library:
    """Answers of the forum as passages, and the searches over them: BM25, dense, fused."""

    asked: Questions
    passages: Passages
    searches: Mapping[str, Index]
    halves: Mapping[str, np.ndarray]
    k: int
    most_wrong: float
    seed: int

    def found(self, part: str, name: str) -> dict[str, np.ndarray]:
        """recall and reciprocal_rank of each question of a half; its one truth is the answer it got in the forum."""
        rows = self.halves[part]
        n = len(self.asked.answers)
        scores = (
            np.random.default_rng([self.seed, 5]).random((len(rows), n))
            if name == "random"
            else self.searches[name].scores([self.asked.texts[row] for row in rows])
        )
        own = rows - self.asked.forum[0]
        truth = sparse.csr_matrix((np.ones(len(rows), np.float32), (np.arange(len(rows)), own)), shape=(len(rows), n))
        return accuracy(ranked(scores, min(self.k, n)), truth, min(self.k, n), ["recall", "reciprocal_rank"])

    def near(self, name: str, rows: np.ndarray) -> np.ndarray:
        """How near the best passage is, by the scores of one search."""
        return self.searches[name].scores([self.asked.texts[row] for row in rows]).max(1)

    def foreign(self, part: str) -> np.ndarray:
        """Rows of the bank's questions that the library should leave alone, drawn."""
        rows = {"valid": self.asked.valid, "test": self.asked.test}[part]
        return np.random.default_rng([self.seed, 6]).permutation(rows)[:FOREIGN]

    def apart(self, name: str, part: str) -> float:
        """AUC: how often a forum question scores above a question of the bank."""
        ours, others = self.near(name, self.halves[part]), self.near(name, self.foreign(part))
        return auc(np.repeat([1, 0], [len(ours), len(others)]), np.concatenate([ours, others]))

    @cached_property
    def finder(self) -> str:
        """The search with the best mean reciprocal rank on validation."""
        return max(self.searches, key=lambda name: self.found("valid", name)["reciprocal_rank"].mean())

    @cached_property
    def gate(self) -> tuple[str, float]:
        """The search whose score tells best on validation whether there is anything to show, and the floor: the share
        `most_wrong` of the bank's validation questions lies above it."""
        name = max(("BM25", "dense"), key=lambda one: self.apart(one, "valid"))
        return name, float(np.quantile(self.near(name, self.foreign("valid")), 1 - self.most_wrong, method="higher"))

    def shows(self, rows: np.ndarray) -> np.ndarray:
        """Whether a passage would be shown for each of the rows."""
        name, floor = self.gate
        return self.near(name, rows) > floor

    def table(self) -> pd.DataFrame:
        """Validation: recall, reciprocal rank and `apart` by search, chance on top."""
        rows = []
        for name in ("random", *self.searches):
            found = [one.mean() for one in self.found("valid", name).values()]
            rows.append((name, *found, self.apart(name, "valid") if name in ("BM25", "dense") else np.nan))
        return pd.DataFrame(
            rows, columns=["search", f"recall@{self.k}", f"reciprocal rank@{self.k}", "AUC, forum or bank"]
        )

    def passage(self, rows: np.ndarray) -> list[str]:
        """The best passage of the best-ranked answer for each of the rows, shortened; "" below the floor."""
        questions = [self.asked.texts[row] for row in rows]
        first = self.searches[self.finder].scores(questions).argmax(1)
        scores = self.searches["dense"].index.scores(questions)  # within one answer, by meaning
        inside = np.where(self.passages.owners[None] == first[:, None], scores, -np.inf).argmax(1)
        shown = self.shows(rows)
        return [shortened(self.passages.texts[p]) if ok else "" for p, ok in zip(inside, shown, strict=True)]


def library(
    asked: Questions, vectors: np.ndarray, encode: Encode, *, words: int, k: int, most_wrong: float, seed: int
) -> Library:
    """Cut the forum's answers and build the searches. vectors: of the asked texts; encode: makes those of the passages.

    Raises Problem for fewer than four forum questions.
    """
    if len(asked.answers) < 4:
        raise Problem(f"the forum has {len(asked.answers)} questions; each half needs two. Take more.")
    passages, place = cut(asked.answers, words), {text: row for row, text in enumerate(asked.texts)}

    def known(questions: Sequence[str]) -> np.ndarray:
        return vectors[[place[text] for text in questions]]

    two = {"BM25": Lexical(passages.texts), "dense": Dense(encode(passages.texts), known)}
    searches: dict[str, Index] = {name: ByPassage(one, passages.owners) for name, one in two.items()}
    searches["fused"] = Ranks(dict(searches))
    return Library(asked, passages, searches, asked.halves(seed), k, most_wrong, seed)
