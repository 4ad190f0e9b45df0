"""Stated comparisons over the same users: corrected together, told with signs, and what they decide."""

import numpy as np
import pytest

from recutils.evaluate.stated import in_words, over_people, paired, people_records, primary, signed, worth
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


def test_a_family_over_people_is_corrected_together_and_keeps_its_pairs():
    rng = np.random.default_rng(0)
    noise, more = rng.normal(size=(2, 200))
    values = {"real": (noise + 1 + 0.1 * more, noise), "nothing": (noise + 0.1 * more, noise)}
    values["part"] = (np.where(more > 0, noise + 0.5, np.nan), noise)
    found = over_people(values, 0, draws=999).set_index("what")
    assert found.delta["real"] == pytest.approx(1, abs=0.05) and found.low["real"] < 1 < found.high["real"]
    assert found.p_holm["real"] == pytest.approx(3 * found.p["real"]) and found.p_holm["nothing"] > 0.05
    assert found.n["part"] == (more > 0).sum() and found.delta["part"] == pytest.approx(0.5)
    assert found["against"]["part"] == pytest.approx(noise[more > 0].mean())
    alone = over_people({"nothing": values["nothing"]}, 0, draws=999).iloc[0]
    assert found.low["nothing"] < alone.low < alone.high < found.high["nothing"]
    names = {what: ("model", "rival") for what in values}
    about = {"notebook": "n", "dataset": "d", "protocol": "H", "split": "s", "k": 10}
    records = people_records(values, names, 0, draws=999, metric={w: f"of {w}" for w in values}, **about)
    assert [one.group for one in records] == list(values) and records[0].metric == "of real"
    assert [one.p_holm for one in records] == pytest.approx(found.p_holm.tolist())
    row = found.loc["real"]
    assert in_words(row, "this", "that").startswith(f"this is better than that: {row.delta:+.3f} (")
    with pytest.raises(Problem, match="declared"):
        over_people({}, 0)
