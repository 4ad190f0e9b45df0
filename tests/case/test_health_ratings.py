"""Placebo checks: they find a planted difference, and find nothing where labels were shuffled."""

import numpy as np
import pandas as pd
import pytest

from recutils.case.health_ratings import ladder, placebo, prior_strength, shuffled, tallies, turned, two_halves
from recutils.tables import Problem


def made(rates: dict[tuple[str, str], float], n: int = 40, seed: int = 0) -> pd.DataFrame:
    """n reviews for each (condition, drug) with this chance of being positive."""
    rng = np.random.default_rng(seed)
    rows = [
        (condition, drug, "positive" if rng.random() < rate else "negative")
        for (condition, drug), rate in rates.items() for _ in range(n)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["condition", "drug", "rating"])


EVEN = {("a", drug): 0.6 for drug in "pqrst"} | {("b", drug): 0.3 for drug in "pqrst"}
UNEVEN = EVEN | {("a", "p"): 0.95, ("a", "q"): 0.2}


def test_a_planted_difference_is_found_and_none_is_not() -> None:
    assert placebo(made(UNEVEN), 0, least=5, draws=300).p < 0.02
    ps = [placebo(made(EVEN, seed=seed), seed, least=5, draws=99).p for seed in range(40)]
    assert np.mean(np.array(ps) <= 0.1) < 0.25  # about a tenth of placebos, at most


def test_conditions_that_differ_are_told_from_drugs_that_do_not() -> None:
    table = made(EVEN)
    assert placebo(table, 0, least=5, draws=300, within=False).p < 0.02
    assert placebo(table, 0, least=5, draws=300).p > 0.02


def test_shuffling_keeps_each_groups_values() -> None:
    values, around = np.arange(12.0), np.array([0, 1, 2] * 4)
    out = shuffled(values, around, np.random.default_rng(0))
    assert not np.array_equal(out, values)
    for group in range(3):
        assert sorted(out[around == group]) == sorted(values[around == group])


def test_shares_intervals_and_shrinkage() -> None:
    table = made({("a", "p"): 1.0, ("a", "q"): 0.0}, n=2)
    found = tallies(pd.concat([table, made({("", "x"): 0.5})]))
    assert found.drug.tolist() == ["p", "q"]  # a review without a condition counts nowhere
    assert found.share.tolist() == [1, 0]
    assert (found.low < found.share + 1e-12).all()
    assert found.high[1] > 0.5
    assert found.shrunk.between(found.share.min(), found.share.max()).all()
    with pytest.raises(Problem, match="no drug has 3"):
        tallies(table, 3)


def test_no_spread_beyond_coin_tosses_shrinks_all_the_way() -> None:
    n = np.full(50, 10)
    assert prior_strength(np.full(50, 5), n, np.full(50, 0.5)) == 1000  # less spread than tosses give
    assert prior_strength(np.repeat([0, 10], 25), n, np.full(50, 0.5)) < 0.2  # all or nothing: nothing to shrink
    rng = np.random.default_rng(0)
    real = prior_strength(rng.binomial(40, rng.beta(6, 4, 3000)), np.full(3000, 40), np.full(3000, 0.6))
    assert real == pytest.approx(10, rel=0.15)  # the beta's a + b


def test_a_ladder_of_equal_drugs_looks_like_its_placebo() -> None:
    found = ladder(made({("a", drug): 0.5 for drug in "pqrstu"}, n=30, seed=1), "a", 0, least=5, draws=300)
    assert found.share.is_monotonic_decreasing
    assert found.placebo.is_monotonic_decreasing
    assert found.share.between(found.placebo_low - 0.05, found.placebo_high + 0.05).all()
    with pytest.raises(Problem, match="at least two"):
        ladder(made(EVEN), "c", 0, least=5)


def test_halves_agree_only_where_drugs_differ() -> None:
    rates = {("a", f"d{i}"): 0.05 + 0.1 * i for i in range(10)}
    assert two_halves(made(rates), 0, least=4, draws=20).mean() > 0.8
    assert abs(two_halves(made(dict.fromkeys(rates, 0.5)), 0, least=4, draws=50).mean()) < 0.5


def test_an_order_that_turns_within_a_condition_is_counted() -> None:
    rows = [("easy", "p", 9, 10), ("easy", "q", 3, 3), ("hard", "p", 1, 3), ("hard", "q", 4, 10)]
    table = pd.DataFrame(
        [(c, d, "positive" if i < hit else "negative") for c, d, hit, n in rows for i in range(n)],
        columns=["condition", "drug", "rating"],
    )
    assert turned(table) == 2  # q leads in both conditions, p over all
    assert turned(table[table.condition == "easy"]) == 0
