"""The measurements of notebook 87 on planted questions: the first word tells the intent, or the answer."""

import numpy as np
import pytest

from recutils.case import service_study
from recutils.data.labelled import Labelled
from recutils.data.questions import Answered, Intents
from recutils.tables import Problem

N_INTENTS, PROBES = 8, ("", "what is this")


def bank(part: str, n: int) -> Labelled:
    texts = tuple(f"intent{i} asks number {row} {part}" for i in range(N_INTENTS) for row in range(n))
    return Labelled(part, texts, np.repeat(np.arange(N_INTENTS), n), tuple(f"i{i}" for i in range(N_INTENTS)))


@pytest.fixture(scope="module")
def asked() -> service_study.Questions:
    forum = Answered(
        tuple(f"topic{i} of money" for i in range(12)), tuple(f"topic{i} is answered here. " * 9 for i in range(12))
    )
    return service_study.gather(Intents(bank("train", 20), bank("test", 5)), forum, PROBES, seed=3)


@pytest.fixture(scope="module")
def vectors(asked: service_study.Questions) -> np.ndarray:
    """One place for each intent or topic, some noise on top."""
    place = [int("".join(c for c in text.split()[0] if c.isdigit()) or 0) if text else 0 for text in asked.texts]
    shift = np.where(np.isin(np.arange(len(place)), asked.forum), N_INTENTS, 0)
    base = np.eye(N_INTENTS + 12)[np.array(place) + shift]
    return (base + 0.05 * np.random.default_rng(0).standard_normal(base.shape)).astype(np.float32)


def test_no_row_has_two_parts(asked: service_study.Questions) -> None:
    rows = np.concatenate([asked.train, asked.valid, asked.test, asked.forum, asked.probes])
    assert sorted(rows) == list(range(len(asked.texts)))
    assert len(asked.valid) == N_INTENTS * 20 // 5 and np.bincount(asked.labels[asked.valid]).min() >= 3
    assert (asked.labels[asked.forum] == -1).all() and asked.texts[asked.probes[1]] == PROBES[1]
    halves = asked.halves(3)
    assert sorted(np.concatenate(list(halves.values()))) == asked.forum.tolist()


def test_planted_intents_are_found_and_majority_is_chance(asked: service_study.Questions, vectors: np.ndarray) -> None:
    found = service_study.routes(asked, vectors, few=3, n_seeds=2, seed=3)
    few, full = found.right(asked.test)
    assert min(few[name].mean() for name in ("words", "MiniLM", "centres")) > 0.9
    assert full["majority"].mean() == pytest.approx(1 / N_INTENTS)
    assert list(found.table(asked.valid).rule) == ["majority", "words", "MiniLM", "centres"]


def test_held_out_intents_are_never_learnt_and_never_right(asked: service_study.Questions, vectors: np.ndarray) -> None:
    strengths = {"words": 30.0, "MiniLM": 0.01}
    found = service_study.unknown(asked, vectors, strengths, free=range(2, N_INTENTS), n_held=2, most_wrong=0.1, seed=3)
    held = np.isin(asked.labels, found.held)
    for name, chances in found.chances.items():
        assert (chances[:, found.held] == 0).all() and not found.right[name][held].any()
        risky = found.given[name][found.valid] & ~found.right[name][found.valid]
        assert risky.sum() <= 0.1 * max(found.given[name][found.valid].sum(), 1)
    assert set(found.fooled(found.best).index) == set(found.held)
    assert not set(found.held) & set(asked.labels[found.valid]), "the threshold is chosen with other unknown intents"


def test_the_library_finds_its_answers_and_leaves_the_bank_alone(
    asked: service_study.Questions, vectors: np.ndarray
) -> None:
    def encode(texts: list[str]) -> np.ndarray:
        return np.stack(
            [np.eye(N_INTENTS + 12)[N_INTENTS + int(text.split()[0].removeprefix("topic"))] for text in texts]
        )

    found = service_study.library(asked, vectors, encode, words=100, k=3, most_wrong=0.05, seed=3)
    assert all(found.found("test", name)["reciprocal_rank"].mean() == 1 for name in found.searches)
    assert found.found("test", "random")["recall"].mean() < 1
    assert found.apart("dense", "test") == 1 and found.shows(found.halves["test"]).all()
    assert found.shows(found.foreign("test")).mean() <= 0.2
    own = found.passage(found.halves["test"])
    assert [text.split()[0] for text in own] == [asked.texts[row].split()[0] for row in found.halves["test"]]
    assert len(found.table()) == 4


def test_a_forum_of_three_is_refused() -> None:
    tiny = service_study.gather(
        Intents(bank("train", 5), bank("test", 2)), Answered(("a", "b", "c"), ("x", "y", "z")), PROBES, seed=0
    )
    with pytest.raises(Problem, match="forum has 3"):
        service_study.library(tiny, np.ones((len(tiny.texts), 2)), np.ones, words=9, k=2, most_wrong=0.1, seed=0)
