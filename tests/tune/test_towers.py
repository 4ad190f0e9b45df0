"""Towers: both sides are read apart, they learn what is planted, and each side's vector does not know the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recutils.tables import Problem
from recutils.tune.classifier import Recipe
from recutils.tune.states import Base, States, states_of
from recutils.tune.towers import Towers, fit_towers, new_towers, pair_logits, vectors

QUICK = Recipe(epochs=10, learning_rate=1e-2, head_rate=3.0, batch=16, dropout=0.0)


@pytest.fixture(scope="module")
def sides(base: Base) -> tuple[States, States, np.ndarray]:
    """160 pairs; the label is 1 where both texts are of one mood."""
    rng = np.random.default_rng(0)
    moods = rng.integers(0, 2, size=(160, 2))
    words = np.array([["bad", "poor"], ["good", "fine"]])
    texts = [[f"the {rng.choice(words[mood])} dress" for mood in column] for column in moods.T]
    return states_of(base, texts[0]), states_of(base, texts[1]), (moods[:, 0] == moods[:, 1]).astype(np.int64)


@pytest.mark.parametrize("joining", ["concat", "dot"])
def test_they_learn_that_two_texts_agree(base: Base, sides, joining: str) -> None:
    one, other, labels = sides
    rows = np.arange(120)
    made, history = fit_towers(base, one.only(rows), other.only(rows), labels[rows], QUICK, joining=joining)
    found = _asked(made, one, other).argmax(axis=1)
    assert (found[120:] == labels[120:]).mean() > 0.9 and history.losses[-1] < history.losses[0]


def _asked(made: Towers, one: States, other: States) -> np.ndarray:
    pairs = np.stack([np.arange(len(one))] * 2, axis=1)
    return pair_logits(made, vectors(made, one), vectors(made, other), pairs)


def test_one_reading_serves_all_pairs(base: Base, sides) -> None:
    one, other, labels = sides
    made, _ = fit_towers(base, one, other, labels, replace(QUICK, epochs=1))
    with torch.no_grad():
        whole = made(*one.batch(range(8)), *other.batch(range(8))).double().numpy()
    np.testing.assert_allclose(_asked(made, one, other)[:8], whole, atol=1e-4)


def test_one_seed_gives_one_result(base: Base, sides) -> None:
    one, other, labels = sides
    short = replace(QUICK, epochs=1)
    first, again = (_asked(fit_towers(base, one, other, labels, short)[0], one, other) for _ in range(2))
    assert np.array_equal(first, again)


def test_what_does_not_fit_is_told(base: Base, sides) -> None:
    one, other, labels = sides
    with pytest.raises(Problem, match="one each"):
        fit_towers(base, one, other.only(np.arange(5)), labels, QUICK)
    with pytest.raises(Problem, match="class"):
        fit_towers(base, one, other, np.zeros(160, dtype=np.int64), QUICK)
    with pytest.raises(Problem, match="joining"):
        new_towers(base, 2, joining="sum")
    with pytest.raises(Problem, match="at least one"):
        vectors(new_towers(base, 2), one.only(np.array([], dtype=int)))
