"""Heads find what is planted, choose on the validation part, and give nothing to classes that were never taught."""

import numpy as np
import pytest

from recutils.tables import Problem
from recutils.tune.heads import vector_head, word_head

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 300)
VECTORS = np.eye(3)[LABELS] @ RNG.normal(size=(3, 8)) * 3 + RNG.normal(size=(300, 8))


def test_vectors_of_many_classes_with_one_that_was_never_taught() -> None:
    found = vector_head((VECTORS[:200], LABELS[:200]), (VECTORS[200:250], LABELS[200:250]), 4)
    chances = found.chances(VECTORS[250:])
    assert chances.shape == (50, 4) and not chances[:, 3].any()
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (chances.argmax(axis=1) == LABELS[250:]).mean() > 0.9
    assert found.tried[found.strength] == max(found.tried.values()) and found.chances(VECTORS[:0]).shape == (0, 4)


def test_words_that_decide_are_found_and_a_single_row_stops_nobody() -> None:
    texts = [f"{('alpha', 'beta', 'gamma')[label]} the and" for label in LABELS] + ["rare rare rare the"] * 2
    labels = np.append(LABELS, [3, 3])
    found = word_head((texts, labels), None, 5, strengths=[10.0])
    assert found.chances(["beta", "gamma the"]).argmax(axis=1).tolist() == [1, 2] and found.strength == 10.0
    assert not found.tried
    lone = word_head((texts[:-1], labels[:-1]), (texts[:50], labels[:50]), 5)
    assert np.isfinite(lone.chances([""])).all()


def test_the_strength_is_the_one_that_the_validation_part_likes() -> None:
    noise = RNG.normal(size=(40, 200))
    labels = RNG.integers(0, 2, 40)
    noise[:, 0] += 2 * labels
    found = vector_head((noise[:20], labels[:20]), (noise[20:], labels[20:]), 2, strengths=(1e-6, 0.001, 1.0))
    assert found.tried[found.strength] == max(found.tried.values()) and len(found.tried) == 3


def test_one_class_is_told() -> None:
    with pytest.raises(Problem, match="alike"):
        vector_head((VECTORS[:9], np.zeros(9, dtype=int)), None, 2)
