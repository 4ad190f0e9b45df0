"""Families of differences: planted ones are found, equals are not, the whole family is corrected."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.rivals import crossed_rivals, rival_records, rivals
from recutils.evaluate.statistics import Interval, compare, holm
from recutils.tables import Problem

PAIRS = {"planted": ("good", "poor"), "twin": ("twin", "good"), "turned": ("poor", "good")}


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    poor = rng.random(300)
    good = poor + 0.1 + 0.2 * rng.normal(size=300)
    return {"poor": poor, "good": good, "twin": good + 0.05 * rng.normal(size=300)}


def test_planted_differences_get_their_sign_and_the_familys_correction(values: dict[str, np.ndarray]) -> None:
    found = rivals(values, PAIRS, seed=0, draws=2000)
    assert found.verdict.tolist() == ["above", "undecided", "below"]
    assert found.p_holm.tolist() == holm(found.p.tolist()).tolist()
    single = compare(values["good"], values["poor"], 0, draws=2000)
    assert found.delta[0] == single.delta and found.high[0] - found.low[0] > single.high - single.low


def test_cold_pairs_draw_articles_too() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"user": np.repeat(np.arange(60), 5), "item": np.tile(np.arange(5), 60), "weight": 0.2})
    table["a"] = rng.random(300)
    table["b"] = table.a - 0.3
    table["c"] = table.a + np.where(table.item == 0, 2.0, -0.45)  # one article decides
    found = crossed_rivals(table, {"all": ("a", "b"), "one article": ("c", "a")}, seed=0, draws=400)
    assert found.verdict.tolist() == ["above", "undecided"] and found.n.tolist() == [60, 60]
    assert found.delta[0] == pytest.approx(0.3) and found.low[0] > 0.29


def test_records_hold_the_mean_and_the_difference(values: dict[str, np.ndarray]) -> None:
    found = rivals(values, {"planted": ("good", "poor")}, seed=0, draws=200)
    about = {"notebook": "x", "dataset": "d", "protocol": "p", "split": "test", "metric": "ndcg"}
    (record,) = rival_records(found, {"good": Interval(0.6, 0.5, 0.7, 300, 0)}, seed=0, **about)
    assert (record.model, record.against, record.value, record.n) == ("good", "poor", 0.6, 300)
    assert record.delta == pytest.approx(found.delta[0], rel=1e-9) and record.p_holm is not None


def test_unknown_models_and_empty_families_are_refused(values: dict[str, np.ndarray]) -> None:
    for pairs in ({}, {"x": ("good", "missing")}):
        with pytest.raises(Problem, match="pairs must name"):
            rivals(values, pairs, seed=0, draws=10)
