"""Families whose members have metrics of their own, from bootstrap draws."""

import numpy as np
import pytest

from recutils.evaluate.announced import Declared, family, family_records
from recutils.evaluate.statistics import Comparison, from_draws, holm


def test_a_family_of_different_metrics_is_corrected_together() -> None:
    rng = np.random.default_rng(0)
    large = from_draws(rng.normal(0.2, 0.03, 4000), 0.2, 50, level=0.975)
    none = from_draws(rng.normal(0.0, 0.03, 4000), 0.001, 50)
    three = [Declared("a", "b", "auc", 0.8, large, 0.1), Declared("c", "d", "macro_f1", 0.5, none, 0.02)]
    table = family(three)
    assert table.verdict.tolist() == ["above", "undecided"] and table.matters.tolist() == [True, False]
    np.testing.assert_allclose(table.p_holm, holm([large.p, none.p]))
    records = family_records(three, notebook="n", dataset="d", protocol="p", split="test", seed=0)
    assert [one.metric for one in records] == ["auc", "macro_f1"] and records[0].p_holm == pytest.approx(
        table.p_holm[0]
    )


def test_draws_that_are_not_finite_are_left_out_of_a_comparison() -> None:
    draws = np.random.default_rng(1).normal(0.1, 0.1, 2000)
    gap = from_draws(np.append(draws, np.nan), 0.1, 9)
    assert gap == from_draws(draws, 0.1, 9) and isinstance(gap, Comparison)
    wide = from_draws(draws, 0.1, 9, level=0.99)
    assert wide.low < gap.low < 0.1 < gap.high < wide.high and 0.1 < gap.p < 0.6
