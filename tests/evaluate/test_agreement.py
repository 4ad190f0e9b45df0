"""Kappa against hand-made tables and scikit-learn; its interval covers; bad readings are told."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from recutils.evaluate.agreement import WEIGHTS, agreement, crossed
from recutils.tables import Problem

CLASSES = ("low", "middle", "high")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_kappa_is_scikit_learns(weights: str) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 120)
    second = np.where(rng.random(120) < 0.7, first, rng.integers(0, 3, 120))
    found = agreement([CLASSES[i] for i in first], [CLASSES[i] for i in second], CLASSES, weights=weights, draws=500)
    known = cohen_kappa_score(first, second, weights=None if weights == "none" else weights)
    assert found.kappa == pytest.approx(known, rel=1e-12)
    assert found.low < found.kappa < found.high and found.share == np.mean(first == second)


def test_readers_by_chance_have_none_and_equal_ones_all() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.choice(CLASSES, (2, 3000), p=[0.8, 0.1, 0.1])
    chance = agreement(first, second, CLASSES, draws=500)
    assert chance.share > 0.6 and chance.low < 0 < chance.high, "a high share may be worth nothing"
    assert agreement(first, first, CLASSES, draws=50).kappa == 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        first = rng.integers(0, 2, 150)
        second = np.where(rng.random(150) < 0.6, first, rng.integers(0, 2, 150))  # kappa .6 in truth
        found = agreement(list(map(str, first)), list(map(str, second)), ("0", "1"), draws=300)
        hits += found.low <= 0.6 <= found.high
    assert hits >= 88


def test_the_table_counts_pairs() -> None:
    table = crossed(["low", "high", "high"], ["low", "low", "high"], CLASSES).set_index("first reading")
    assert table.loc["high", "low"] == 1 and table.loc["middle"].sum() == 0 and table.to_numpy().sum() == 3


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["low"], ["low", "high"], "1 and 2"),
        ([], [], "0 and 0"),
        (["low"], ["odd"], "odd"),
        (["low"] * 3, ["low"] * 3, "one and the same"),
    ],
)
def test_bad_readings_are_told(first: list[str], second: list[str], words: str) -> None:
    with pytest.raises(Problem, match=words):
        agreement(first, second, CLASSES, draws=10)
    with pytest.raises(Problem, match="weights"):
        agreement(["low"], ["high"], CLASSES, weights="cubic")
