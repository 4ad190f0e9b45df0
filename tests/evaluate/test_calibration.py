"""Calibration on planted probabilities."""

import numpy as np
import pytest

from recutils.evaluate.calibration import calibrated, reliability
from recutils.tables import Problem


def coins(n_users: int = 400, n: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    chance = rng.random((n_users, n))
    return chance.ravel(), (rng.random((n_users, n)) < chance).ravel(), np.repeat(np.arange(n_users), n)


def test_true_probabilities_lie_on_the_diagonal() -> None:
    chance, happened, users = coins()
    told = reliability(chance, happened, users, seed=1, draws=300)
    inside = (told.bins.low <= told.bins.predicted) & (told.bins.predicted <= told.bins.high)
    assert inside.mean() >= 0.8 and told.error < 0.02 and told.brier < told.brier_base
    assert len(told.bins) == 10 and told.bins.n.sum() == len(chance)


def test_overconfident_ones_are_found_out_and_calibrated() -> None:
    chance, happened, users = coins()
    bold = np.clip(0.5 + 2 * (chance - 0.5), 0, 1)
    assert reliability(bold, happened, users, seed=1, draws=50).error > 0.1
    half = users < 200
    cured = calibrated(bold[half], happened[half], bold[~half])
    assert reliability(cured, happened[~half], users[~half], seed=1, draws=50).error < 0.03


def test_equal_predictions_share_one_bin_and_wrong_ones_are_refused() -> None:
    told = reliability(np.full(20, 0.25), np.arange(20) < 5, np.arange(20) % 4, seed=1, draws=50)
    assert len(told.bins) == 1 and told.error == pytest.approx(0.0)
    assert told.brier == pytest.approx(told.brier_base)
    with pytest.raises(Problem, match="probabilities"):
        reliability(np.array([1.2]), np.array([1]), np.array([0]), seed=1, draws=5)
    with pytest.raises(Problem, match="one length"):
        reliability(np.array([0.2]), np.array([1, 0]), np.array([0]), seed=1, draws=5)
