"""A/B tests: textbook sizes, what a covariate saves, arms that overlap, guard-rails."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recutils.evaluate.experiments import (
    check_arms,
    compare_arms,
    cuped,
    cuped_table,
    decide,
    decision_table,
    detectable,
    gain_table,
    gains,
    two_arms,
    users_per_arm,
    visits_per_arm,
)
from recutils.tables import Problem


def people(n: int, start: int = 0) -> pd.Index:
    return pd.Index([f"u{start + i}" for i in range(n)])


def arm(n: int, mean: float, seed: int, start: int = 0) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).normal(mean, 1, n), people(n, start))


def test_sizes_of_the_textbook() -> None:
    assert users_per_arm(0.5, 1.0) == 63  # 2 (1.96 + 0.8416)^2 / 0.25, rounded up
    assert users_per_arm(-0.5, 1.0) == 63
    assert users_per_arm(0.05, 0.1) == users_per_arm(0.5, 1.0)
    assert detectable(63, 1.0) == pytest.approx(0.5, abs=0.005)
    assert visits_per_arm(0.10, 0.12) == pytest.approx(3841, rel=0.01)


def test_the_computed_size_has_the_power() -> None:
    n = users_per_arm(0.4, 1.0)
    rng = np.random.default_rng(0)
    control, treated = rng.normal(0, 1, (2000, n)), rng.normal(0.4, 1, (2000, n))
    found = stats.ttest_ind(control, treated, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_sizes_refuse_nonsense() -> None:
    for call in (
        lambda: users_per_arm(0, 1),
        lambda: users_per_arm(0.1, 0),
        lambda: users_per_arm(np.nan, 1),
        lambda: detectable(1, 1),
        lambda: visits_per_arm(0.1, 0.1),
        lambda: visits_per_arm(0, 0.1),
    ):
        with pytest.raises(Problem):
            call()


def test_arms_are_compared_by_welch() -> None:
    control, treated = arm(50, 0, 1), arm(80, 1, 2, start=50)
    found = compare_arms(control, treated)
    expected = stats.ttest_ind(treated, control, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue) and found.n == 130
    assert found.low < found.delta < found.high and found.delta == pytest.approx(treated.mean() - control.mean())


def test_a_visitor_in_both_arms_is_refused() -> None:
    with pytest.raises(Problem, match="3 visitors are in both arms.*u7"):
        check_arms(arm(10, 0, 1), arm(10, 0, 2, start=7))


def test_empty_repeated_and_missing_are_refused() -> None:
    good = arm(5, 0, 1, start=10)
    with pytest.raises(Problem, match="control arm holds 0 visitors"):
        compare_arms(good.iloc[:0], good)
    with pytest.raises(Problem, match="more than once"):
        check_arms(good, pd.Series([1.0, 2.0], ["x", "x"]))
    with pytest.raises(Problem, match="missing"):
        check_arms(good, pd.Series([1.0, np.nan], ["x", "y"]))
    with pytest.raises(Problem, match="same value"):
        compare_arms(pd.Series([1.0, 1.0], ["x", "y"]), pd.Series([1.0, 1.0], ["v", "w"]))


def test_cuped_keeps_the_mean_and_saves_the_squared_correlation() -> None:
    rng = np.random.default_rng(0)
    before = pd.Series(rng.normal(3, 1, 5000), people(5000))
    outcome = 0.6 * before + rng.normal(0, 0.8, 5000)
    found = cuped(outcome, before)
    assert found.theta == pytest.approx(0.6, abs=0.03) and found.saved == pytest.approx(0.36, abs=0.03)
    assert found.values.mean() == pytest.approx(outcome.mean())
    assert found.values.var() / outcome.var() == pytest.approx(1 - found.saved)


def test_cuped_is_unbiased_and_narrower_in_an_experiment() -> None:
    rng, plain, adjusted = np.random.default_rng(1), [], []
    for seed in range(200):
        before = pd.Series(rng.normal(0, 1, 200), people(200))
        control, treated = two_arms(before.index, seed)
        outcome = before + rng.normal(0, 0.5, 200)
        outcome[treated] += 0.3
        for kept, values in ((plain, outcome), (adjusted, cuped(outcome, before).values)):
            kept.append(values[treated].mean() - values[control].mean())
    assert np.mean(adjusted) == pytest.approx(0.3, abs=0.02)
    assert np.std(adjusted) < 0.6 * np.std(plain)


def test_cuped_table_counts_fewer_visitors() -> None:
    rng = np.random.default_rng(0)
    before = pd.Series(rng.normal(3, 1, 3000), people(3000))
    found = cuped_table({"x": (before + rng.normal(0, 1, 3000), before)}).iloc[0]
    assert found.with_cuped == pytest.approx((1 - found.saved) * found.needed, rel=0.01) and found.people == 3000


def test_cuped_refuses_other_people_and_a_constant() -> None:
    outcome = arm(5, 0, 1)
    with pytest.raises(Problem, match="same visitors"):
        cuped(outcome, outcome.iloc[::-1])
    with pytest.raises(Problem, match="vary"):
        cuped(outcome, outcome * 0)


def tables(shift: float, guard: float, n: int = 2000) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    control = pd.DataFrame({"clicks": rng.normal(0, 1, n), "speed": rng.normal(0, 1, n)}, people(n))
    treated = pd.DataFrame(rng.normal([shift, guard], 1, (n, 2)), people(n, n), columns=["clicks", "speed"])
    return control, treated


@pytest.mark.parametrize(
    ("shift", "guard", "verdicts", "ship"),
    [
        (0.3, 0.0, ["higher", "no worse"], True),
        (0.3, -0.5, ["higher", "worse"], False),
        (0.3, -0.1, ["higher", "undecided"], False),
        (0.0, 0.0, ["undecided", "no worse"], False),
        (-0.3, 0.0, ["lower", "no worse"], False),
    ],
)
def test_all_guard_rails_must_hold(shift: float, guard: float, verdicts: list[str], ship: bool) -> None:
    found = decide(*tables(shift, guard), "clicks", {"speed": 0.1})
    assert (found.table.verdict.tolist(), found.ship) == (verdicts, ship)


def test_guard_rails_are_named_with_margins() -> None:
    for primary, margins in (("x", {"speed": 0.1}), ("clicks", {"speed": 0}), ("clicks", {"clicks": 0.1})):
        with pytest.raises(Problem, match="margins"):
            decide(*tables(0, 0), primary, margins)


def test_two_arms_are_halves() -> None:
    control, treated = two_arms(people(11), 0)
    assert (len(control), len(treated)) == (5, 6) and not set(control) & set(treated)


def test_gains_read_the_spread_back() -> None:
    n, sd = 400, 0.25
    half = 1.96 * sd / 20
    row = {
        "notebook": "x",
        "dataset": "d",
        "protocol": "H",
        "split": "s",
        "group": "all",
        "model": "m",
        "metric": "ndcg",
        "against": "popularity",
        "value": 0.3,
        "low": 0.3 - half,
        "high": 0.3 + half,
        "n": n,
        "delta": 0.05,
        "delta_low": 0.02,
        "delta_high": 0.08,
    }
    records = pd.DataFrame(
        [
            row,
            row | {"delta_low": -0.01},
            row | {"metric": "recall"},
            row | {"n": 20},
            row | {"group": "over splits, less x"},
            row | {"delta": np.nan, "delta_low": np.nan},
        ]
    )
    records = pd.concat(
        [records, pd.DataFrame([row | {"n": 100, "group": "age: 18"}, row | {"model": "wide", "high": 0.9}])]
    )
    found = gains(records)
    assert len(found) == 1 and found.sd[0] == pytest.approx(sd, rel=1e-3)
    assert found.users_per_arm[0] == users_per_arm(0.05, found.sd[0])
    other = gains(pd.concat([records, pd.DataFrame([row | {"against": "als"}])]))
    assert gain_table(other).set_index("over").gains.to_dict() == {"another model": 1, "popularity": 1}


def test_decisions_stand_side_by_side() -> None:
    found = {n: decide(*tables(0.3, 0.0, n), "clicks", {"speed": 0.1}) for n in (20, 2000)}
    shown = decision_table(found)
    assert shown.columns[-2:].tolist() == ["verdict, 20 people", "verdict, 2,000 people"]
    assert shown.difference.tolist() == found[2000].table.difference.tolist()
