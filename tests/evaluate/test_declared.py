"""Declared pairs: a planted difference is found, equals are not, and Holm's p covers the family."""

import numpy as np
import pytest

from recutils.evaluate.declared import declared, declared_records, verdict
from recutils.evaluate.labels import Judged, judged
from recutils.evaluate.statistics import holm
from recutils.tables import Problem

PAIRS = {"words": ("good", "poor"), "twin": ("twin", "good")}


@pytest.fixture(scope="module")
def result() -> Judged:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)

    def table(noise: float) -> np.ndarray:
        up = 1 / (1 + np.exp(-(labels - 0.5 + noise * rng.normal(size=400))))
        return np.stack([1 - up, up], axis=1)

    good = [table(0.5), table(0.5)]
    return judged(labels, {"good": good, "poor": [table(3.0), table(3.0)], "twin": good}, seed=0, draws=400)


def test_planted_differences_are_told_apart(result: Judged) -> None:
    found = declared(result, PAIRS)
    assert [verdict(row) for row in found.itertuples()] == ["above", "undecided"]
    assert found.p_holm.tolist() == holm(found.p.tolist()).tolist()
    assert found.low[0] > 0 and found.delta[1] == 0


def test_every_model_has_a_record_and_pairs_their_test(result: Judged) -> None:
    about = {"notebook": "x", "dataset": "d", "protocol": "p", "split": "test"}
    found = declared_records(result, PAIRS, **about)
    assert [one.model for one in found] == ["good", "poor", "twin"]
    assert found[0].against == "poor" and found[0].p_holm < 0.05 and found[1].p_holm is None
    assert all(one.low <= one.value <= one.high for one in found)


def test_unknown_models_are_named(result: Judged) -> None:
    with pytest.raises(Problem, match="best"):
        declared(result, {"x": ("best", "poor")})
