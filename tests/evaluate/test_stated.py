"""Stated comparisons over the same users: corrected together, told with signs, and what they decide."""

import numpy as np
import pytest

from recutils.evaluate.stated import paired, primary, signed, worth
from recutils.evaluate.statistics import Comparison, Interval
from recutils.tables import Problem


def test_pairs_of_per_user_values_are_corrected_together() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(200)
    values = {"a": base + 0.2, "b": base, "c": base + rng.normal(0, 0.1, 200)}
    values["a"][0] = np.nan
    table = paired(values, {"a to b": ("a", "b"), "c to b": ("c", "b")}, seed=1, draws=500).set_index("what")
    assert table.delta["a to b"] == pytest.approx(0.2) and table.n["a to b"] == 199
    assert table.p_holm["a to b"] == pytest.approx(2 * table.p["a to b"]) and table.p_holm["c to b"] > 0.05
    with pytest.raises(Problem, match="pairs must name judged models"):
        paired(values, {"?": ("a", "z")}, seed=1)


def test_a_primary_comparison_pays_only_beyond_the_smallest_difference() -> None:
    def gap(delta: float, reach: float, p: float) -> Comparison:
        return Comparison(delta, delta - reach, delta + reach, p, 10, 0)

    assert worth(gap(0.02, 0.01, 0.001), 0.005) == "pays" and worth(gap(0.006, 0.004, 0.01), 0.005) == "helps"
    assert worth(gap(-0.02, 0.01, 0.001), 0.005) == "harms" and worth(gap(0.02, 0.03, 0.2), 0.005) == "undecided"
    assert signed(gap(0.02, 0.01, 0.001)) == "+0.020 [+0.010, +0.030]"
    level = Interval(0.3, 0.2, 0.4, 10, 0)
    found = primary(gap(0.02, 0.01, 0.001), level, notebook="n", dataset="d", protocol="H", split="s", model="m",
                    metric="ndcg", k=10, seed=1, against="b")  # fmt: skip
    assert (found.value, found.delta, found.p_holm, found.group) == (0.3, 0.02, 0.001, "primary comparison")
