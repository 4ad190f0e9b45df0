"""Optimism of a winner where the truth is planted."""

import numpy as np
import pytest

from recutils.evaluate.optimism import optimism
from recutils.tables import Problem


def test_noise_flatters_the_half_that_chose_and_a_true_winner_does_not() -> None:
    noise = np.random.default_rng(0).normal(size=(30, 60))
    found = optimism(noise - noise.mean(axis=1, keepdims=True), 0)
    assert found.settings.tolist() == list(range(1, 31))
    assert found.chosen[0] == found.other[0] == 0, "the first setting against itself"
    assert (np.diff(found.chosen) >= 0).all() and found.chosen.iloc[-1] > 0.2
    assert found.other.iloc[-1] < 0 < found.chosen.iloc[-1], "no setting is better than another"
    sure = np.tile(np.array([[0.0], [0.3], [0.1]]), 40)
    np.testing.assert_allclose(optimism(sure, 0)[["chosen", "other"]].to_numpy()[2], 0.3)


def test_misuse_is_named() -> None:
    with pytest.raises(Problem, match="two users"):
        optimism(np.array([[1.0], [2.0]]), 0)
    with pytest.raises(Problem, match="at least one setting"):
        optimism(np.full((2, 5), np.nan), 0)
