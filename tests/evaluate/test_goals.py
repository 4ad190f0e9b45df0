"""What lists brought, regret and fronts, on numbers that can be checked on paper."""

import numpy as np
import pytest
from scipy import sparse

from recutils.evaluate.goals import brought, front, matrix, regret, regret_records, shown, told
from recutils.tables import Problem


def test_brought_and_shown_ignore_fills() -> None:
    lists = np.array([[1, 2], [0, -1], [-1, -1]])
    worth = sparse.csr_matrix([[7, 1, 0], [2, 5, 5], [1, 1, 1]])
    assert brought(lists, worth).tolist() == [1, 2, 0]
    found = shown(lists, np.array([1.0, 0.25, 0.75]))
    assert found[:2].tolist() == [0.5, 1.0] and np.isnan(found[2])
    with pytest.raises(Problem, match="lists must be"):
        brought(lists, worth[:2])
    with pytest.raises(Problem, match="lists must be"):
        shown(lists, np.ones(2))


def test_regret_is_a_ratio_of_means_with_paired_draws() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400)
    values = {"a": {"a": base, "b": base / 2}, "b": {"a": rng.random(400), "b": rng.random(400) + 1}}
    found = regret(values, seed=1, draws=500).set_index(["judged", "made_for"])
    assert found.loc[("a", "b"), ["share", "low", "high"]].tolist() == pytest.approx([0.5] * 3)  # paired: no spread
    assert found.loc[("a", "a"), ["share", "low", "high"]].tolist() == [1, 1, 1]
    row = found.loc[("b", "a")]
    assert row.low < row.share < row.high and row.high - row.low < 0.1 and row.n == 400
    assert row.share == pytest.approx(values["b"]["a"].mean() / values["b"]["b"].mean())


def test_regret_needs_each_goals_own_lists_and_something_brought() -> None:
    with pytest.raises(Problem, match=r"missing for \['b'\]"):
        regret({"a": {"a": np.ones(3)}, "b": {"a": np.ones(3)}}, seed=0, draws=10)
    with pytest.raises(Problem, match=r"wrong: \['a'\]"):
        regret({"a": {"a": np.zeros(3)}}, seed=0, draws=10)


def test_a_front_says_how_sure_it_is() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 300)
    clicks = {"best": noise + 5, "worse": noise + 4, "twin": noise + 5 + rng.normal(0, 0.1, 300)}
    fresh = {"best": noise + 5, "worse": noise + 4, "twin": noise + 5 + rng.normal(0, 0.1, 300)}
    found = front({"clicks": clicks, "fresh": fresh}, seed=0, draws=300).set_index("setting")
    assert (found["clicks low"] < found["clicks"]).all() and (found["clicks"] < found["clicks high"]).all()
    assert not found.on_front["worse"] and found.held["worse"] == 0
    assert 0.1 < found.held["twin"] < 1 and 0.1 < found.held["best"] < 1
    with pytest.raises(Problem, match="finite"):
        front({"clicks": {"a": np.array([np.nan, 1.0])}}, seed=0, draws=10)


def test_told_has_a_row_for_each_of_the_lists() -> None:
    table = told({"a": {"x": np.array([1.0, 1.0]), "y": np.array([2.0, 4.0])}}, seed=0, draws=50)
    assert table["made for"].tolist() == ["x", "y"] and table["a"].iloc[0] == "1.00 [1.00, 1.00]"


def test_regret_as_matrix_and_records() -> None:
    values = {"a": {"b": np.array([1.0, 2.0]), "a": np.array([2.0, 4.0])}, "b": {"b": np.ones(2), "a": np.ones(2)}}
    found = regret(values, seed=0, draws=50)
    assert matrix(found, "share").loc["b", "a"] == 0.5 and list(matrix(found).index) == ["b", "a"]
    assert matrix(found).loc["b", "a"] == "0.50 [0.50, 0.50]"
    labels = {"notebook": "n", "dataset": "d", "protocol": "H", "split": "s", "seed": 0, "k": 2}
    records = regret_records(found, ["b"], **labels)
    assert [(one.model, one.metric, one.group) for one in records] == [
        ("for b", "share of best a", "what-if"),
        ("for a", "share of best b", "what-if"),
    ]
