"""Intervals and tests against exact enumeration, scipy, statsmodels, worked numbers and simulated coverage."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recutils.evaluate import resample, statistics
from recutils.tables import Problem


def test_mean_interval_covers_a_known_mean() -> None:
    samples = np.random.default_rng(1).normal(loc=0.3, size=(1500, 100))
    found = [statistics.mean_interval(values, rng=seed, draws=600) for seed, values in enumerate(samples)]
    covered = np.mean([one.low <= 0.3 <= one.high for one in found])
    reach = 1.96 * samples.std(axis=1) / 10
    by_theory = np.mean(np.abs(samples.mean(axis=1) - 0.3) <= reach)  # on the same samples: free of their luck
    assert 0.93 <= covered <= 0.97
    assert covered == pytest.approx(by_theory, abs=0.01)


def test_mean_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(size=2000)
    found = statistics.mean_interval(values, rng=0)
    theory = 2 * 1.96 * values.std() / np.sqrt(2000)
    assert found.high - found.low == pytest.approx(theory, rel=0.03)
    assert found.mean == values.mean()


def test_interval_counts_users_without_a_value() -> None:
    values = np.array([0.1, np.nan, 0.5, 0.9, np.nan])
    found = statistics.mean_interval(values, rng=3)
    assert (found.n, found.n_left_out, found.mean) == (3, 2, pytest.approx(0.5))
    without = statistics.mean_interval(values[[0, 2, 3]], rng=3)
    assert (found.low, found.high) == (without.low, without.high)


def test_one_user_has_a_mean_and_no_interval() -> None:
    found = statistics.mean_interval(np.array([0.4, np.nan]), rng=0)
    assert found.mean == 0.4
    assert np.isnan([found.low, found.high]).all()
    assert statistics.compare(np.array([0.4]), np.array([0.1]), rng=0).p == 1


def test_same_seed_same_interval_whatever_stands_beside() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(500), rng.random(500)
    b[:7] = np.nan
    together = statistics.mean_intervals({"a": a, "b": b, "c": a + 1}, rng=5)
    for name, values in {"a": a, "b": b}.items():
        alone = statistics.mean_interval(values, rng=5)
        assert (alone.low, alone.high) == pytest.approx((together[name].low, together[name].high), rel=1e-12)
    assert together["c"].low - 1 == pytest.approx(together["a"].low, abs=1e-12)


def test_small_blocks_keep_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = statistics.mean_interval(values, rng=0)
    monkeypatch.setattr(resample, "_BLOCK_CELLS", 700)
    parts = statistics.mean_interval(values, rng=0)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=0.02)


def test_draws_are_not_those_of_the_data() -> None:
    first = {resample.bootstrap_means(np.eye(50), seed=9, draws=1).tobytes()}
    drawn = np.bincount(np.random.default_rng(9).integers(0, 50, size=50), minlength=50) / 50
    assert drawn.tobytes() not in first


def test_a_generator_moves_on_and_a_seed_does_not() -> None:
    values = np.random.default_rng(0).random(50)
    rng = np.random.default_rng(0)
    assert statistics.mean_interval(values, rng) != statistics.mean_interval(values, rng)
    assert statistics.mean_interval(values, 4) == statistics.mean_interval(values, 4)


def test_compare_is_paired() -> None:
    rng = np.random.default_rng(0)
    b = rng.random(300)
    a = b + 0.01 + rng.normal(scale=0.01, size=300)  # a small gain, drowned without pairing
    a[5], b[9] = np.nan, np.nan
    found = statistics.compare(a, b, rng=0)
    assert (found.n, found.n_left_out) == (298, 2)
    assert 0.008 < found.low < found.delta < found.high < 0.012
    assert found.p == 1 / 10_001
    assert not statistics.compare(rng.permutation(a), b, rng=0).low > 0
    back = statistics.compare(b, a, rng=0)
    assert (back.delta, back.low, back.p) == pytest.approx((-found.delta, -found.high, found.p))


def test_sign_flip_p_equals_enumeration() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal(loc=0.4, size=(11, 3))
    flips = np.array(list(product([-1, 1], repeat=11)))
    exact = (np.abs(flips @ differences) >= np.abs(differences.sum(axis=0)) - 1e-9).mean(axis=0)
    assert resample.sign_flip_p(differences, seed=0, draws=40_000) == pytest.approx(exact, abs=0.01)


def test_sign_flip_p_equals_scipy() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(10), rng.random(10) + 0.15
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert 0.01 < theirs.pvalue < 0.9
    assert statistics.compare(a, b, rng=0, draws=40_000).p == pytest.approx(theirs.pvalue, abs=0.01)


def test_equal_models_have_p_one_and_ties_count() -> None:
    same = np.random.default_rng(0).random(100)
    found = statistics.compare(same, same, rng=0)
    assert (found.delta, found.low, found.high, found.p) == (0, 0, 0, 1)
    one_user_differs = resample.sign_flip_p(np.eye(1, 30).T * 0.1, seed=0, draws=500)
    assert one_user_differs.tolist() == [1.0]


def test_p_is_uniform_when_nothing_differs() -> None:
    differences = np.random.default_rng(0).normal(size=(40, 1500))
    p = resample.sign_flip_p(differences, seed=0, draws=999)
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.017)
    assert p.min() >= 1 / 1000


@pytest.mark.parametrize("n", [1, 2, 5, 12, 40])
def test_holm_equals_statsmodels(n: int) -> None:
    rng = np.random.default_rng(n)
    for ps in (rng.random(n), rng.random(n) ** 6, rng.integers(0, 4, n) / 100):  # even, small, tied
        assert statistics.holm(ps) == pytest.approx(multipletests(ps, method="holm")[1], abs=1e-12)


def test_holm_limits() -> None:
    assert statistics.holm([]).tolist() == []
    assert statistics.holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    for wrong in ([1.2], [np.nan], [[0.1]]):
        with pytest.raises(Problem, match=r"0\.\.1"):
            statistics.holm(wrong)


@pytest.mark.parametrize(
    ("shift", "scale", "verdict"),
    [
        (0.0, 0.01, "no worse"),
        (-0.004, 0.001, "no worse"),
        (-0.02, 0.01, "worse"),
        (-0.006, 0.02, "undecided"),  # worse than b for sure, but by more than the margin only perhaps
        (0.0, 0.5, "undecided"),
    ],
)
def test_non_inferiority(shift: float, scale: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    b = rng.random(400)
    noise = rng.normal(scale=scale, size=400)
    found = statistics.non_inferiority(b + shift + noise - noise.mean(), b, rng=0)
    assert (found.verdict, found.margin) == (verdict, statistics.SMALLEST_DIFFERENCE)
    assert found.delta - found.lower == pytest.approx(1.645 * scale / 20, rel=0.15)


def test_non_inferiority_is_one_sided_at_its_level() -> None:
    rng = np.random.default_rng(0)
    at_the_margin = rng.normal(loc=-0.1, size=(600, 60))
    verdicts = [statistics.non_inferiority(a, a * 0, rng=0, margin=0.1, draws=400).verdict for a in at_the_margin]
    assert np.mean([verdict == "no worse" for verdict in verdicts]) == pytest.approx(0.05, abs=0.03)
    with pytest.raises(Problem, match="margin"):
        statistics.non_inferiority(at_the_margin[0], at_the_margin[1], rng=0, margin=0)


def test_corrected_k_fold_worked_by_hand() -> None:
    # mean .02, variance 5e-5, x (1/5 + 20/80) = 2.25e-5; t = .02 / .00474342; p from the closed form with 4 degrees
    found = statistics.corrected_k_fold([0.01, 0.02, 0.03, 0.02, 0.02], n_train=80, n_test=20)
    t = 0.02 / np.sqrt(2.25e-5)
    tail = 0.5 - 3 / 8 * t / np.sqrt(1 + t**2 / 4) * (1 - t**2 / (1 + t**2 / 4) / 12)
    assert (found.mean, found.t, found.p) == pytest.approx((0.02, 4.2163702, 2 * tail), rel=1e-6)
    assert found.high - found.mean == pytest.approx(2.7764451 * np.sqrt(2.25e-5), rel=1e-6)
    uncorrected = stats.ttest_1samp([0.01, 0.02, 0.03, 0.02, 0.02], 0)
    assert found.p > uncorrected.pvalue


def test_corrected_k_fold_limits() -> None:
    assert statistics.corrected_k_fold([0.0, 0.0, 0.0], 2, 1).p == 1
    assert statistics.corrected_k_fold([0.5, 0.5, 0.5], 2, 1).p == 0
    for values, n_test in (([0.1], 1), ([0.1, np.nan], 1), ([0.1, 0.2], 0)):
        with pytest.raises(Problem):
            statistics.corrected_k_fold(values, 4, n_test)


def crossed(rng: np.random.Generator, item_spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of 200 users x 25 items with true mean 0 and a planted effect of the item."""
    effect = rng.normal(scale=item_spread, size=25)
    user, item = np.divmod(np.arange(200 * 25), 25)
    return effect[item] + rng.normal(size=5000), user, item


def test_crossed_interval_is_wider_and_covers_where_users_alone_fail() -> None:
    rng = np.random.default_rng(0)
    covered = {"both": [], "users": []}
    for seed in range(120):
        values, user, item = crossed(rng, item_spread=1.0)
        both = statistics.crossed_interval(values, user, item, seed, draws=300)
        alone = statistics.crossed_interval(values, user, item, seed, draws=300, resample=("users",))
        assert both.high - both.low > 5 * (alone.high - alone.low)
        covered["both"].append(both.low <= 0 <= both.high)
        covered["users"].append(alone.low <= 0 <= alone.high)
    assert np.mean(covered["both"]) >= 0.88  # 25 items: the percentile bootstrap is a little short
    assert np.mean(covered["users"]) < 0.4


def test_crossed_interval_of_users_alone_is_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(300)
    users_alone = statistics.crossed_interval(values, np.arange(300) + 50, np.zeros(300, int), 0, resample=("users",))
    plain = statistics.mean_interval(values, 0)
    assert users_alone.mean == pytest.approx(plain.mean)
    assert (users_alone.low, users_alone.high) == pytest.approx((plain.low, plain.high), abs=0.002)
    assert users_alone.n == 300


def test_crossed_interval_weights_and_refusals() -> None:
    found = statistics.crossed_interval([1.0, 0.0, 0.0], [0, 1, 1], [0, 1, 2], 0, weights=[1, 0.5, 0.5], draws=50)
    assert found.mean == 0.5
    for wrong in ({"weights": [1.0, 0, 1]}, {"resample": ("rows",)}, {"draws": 0}, {"level": 1.0}):
        with pytest.raises(Problem):
            statistics.crossed_interval([1.0, 0.0, 0.0], [0, 1, 1], [0, 1, 2], 0, **wrong)
    with pytest.raises(Problem, match="one length"):
        statistics.crossed_interval([1.0, 0.0], [0, 1, 1], [0, 1], 0)
    with pytest.raises(Problem, match="finite"):
        statistics.crossed_interval([1.0, np.nan], [0, 1], [0, 1], 0)


def test_refusals() -> None:
    values = np.array([0.1, 0.2])
    with pytest.raises(Problem, match="at least one user"):
        statistics.mean_interval(np.array([np.nan, np.nan]), rng=0)
    with pytest.raises(Problem, match="infinite"):
        statistics.mean_interval(np.array([0.1, np.inf]), rng=0)
    with pytest.raises(Problem, match="same users"):
        statistics.compare(values, values[:1], rng=0)
    with pytest.raises(Problem, match="seed"):
        statistics.mean_interval(values, rng=-1)
    with pytest.raises(Problem, match="draws"):
        statistics.mean_interval(values, rng=0, draws=0)
    with pytest.raises(Problem, match="level"):
        statistics.mean_interval(values, rng=0, level=95)


def test_what_matters() -> None:
    assert statistics.SMALLEST_DIFFERENCE == 0.005
    assert statistics.Comparison(0.02, 0.006, 0.03, 0.001, 900, 0).matters
    assert not statistics.Comparison(0.004, 0.003, 0.0045, 0.001, 9000, 0).matters  # significant, and too small
