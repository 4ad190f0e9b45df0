"""Sampled negatives against what can be computed, and tuning on the test part on planted settings."""

import numpy as np
import pytest
from scipy import sparse, stats

from recutils.evaluate.shortcuts import (
    gain,
    negatives,
    places,
    reversals,
    reversed_pairs,
    sampled_boards,
    tuned_on_test,
    tuned_table,
)
from recutils.tables import Problem


def test_negatives_are_neither_seen_nor_the_target_and_never_twice() -> None:
    seen = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]))
    drawn = negatives(seen, np.array([2, 0]), 4, 0)
    assert sorted(drawn[0].tolist()) == [-1, 3, 4, 5] and sorted(drawn[1].tolist()) == [1, 2, 3, 4]
    everything = negatives(seen, np.array([2, 0]), None, 0)
    assert sorted(everything[0][everything[0] >= 0].tolist()) == [3, 4, 5]


def test_all_negatives_give_the_place_in_the_full_ranking() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 5, (40, 30)).astype(np.float32)
    seen = sparse.csr_matrix(rng.random((40, 30)) < 0.2)
    targets = np.array([rng.choice(np.flatnonzero(row == 0)) for row in seen.toarray()])
    found = places(scores, targets, negatives(seen, targets, None, 2))
    masked = np.where(seen.toarray(), -np.inf, scores)
    order = np.argsort(-masked, axis=1, kind="stable")
    assert found.tolist() == [order[u].tolist().index(targets[u]) + 1 for u in range(40)]


def test_sampled_places_follow_the_hypergeometric_law() -> None:
    """Of 60 candidates 20 score above the target; 15 are drawn: 1 + 15 x 20 / 60 = 6 on average."""
    n = 4000
    scores = np.tile(np.arange(61, dtype=np.float32), (n, 1))
    drawn = places(scores, np.full(n, 40), negatives(sparse.csr_matrix((n, 61)), np.full(n, 40), 15, 3))
    law = stats.hypergeom(60, 20, 15)
    assert abs(drawn.mean() - 6) < 4 * law.std() / np.sqrt(n)
    assert abs((drawn == 1).mean() - law.pmf(0)) < 0.01


def test_sampling_turns_two_planted_models_round() -> None:
    """The sharp model puts a fifth of the targets first and the rest at 400; the blunt one all at 45 of 1,000."""
    sharp, blunt = np.where(np.arange(500) % 5 == 0, 1, 400), np.full(500, 45)
    exact = np.array([gain(sharp, 10).mean(), gain(blunt, 10).mean()])
    rng = np.random.default_rng(0)
    drawn = [1 + rng.hypergeometric(place - 1, 1000 - place, 100) for place in (sharp, blunt)]
    sampled = np.array([gain(place, 10).mean() for place in drawn])
    assert exact[0] > exact[1] == 0 and sampled[0] < sampled[1]
    assert reversed_pairs(exact, sampled).tolist() == [True]
    assert reversed_pairs(exact, np.array([[0.3, 0.2], [0.1, 0.1]])).tolist() == [[False], [False]]


def test_gain_on_paper() -> None:
    assert gain(np.array([1, 3, 10, 11]), 10).round(3).tolist() == [1.0, 0.5, 0.289, 0.0]


def test_equal_settings_make_optimism_that_grows_and_no_honest_gain() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, (200, 64))
    found = tuned_on_test(values, [1, 8, 64], 1, draws=1500)
    assert abs(found.optimism[0]) < 0.02 and found.optimism[0] < found.optimism[1] < found.optimism[2]
    # E[max of 8 normals] is 1.42, the sd of a half's mean 1 / 10; nothing of it is left on users not chosen from.
    assert abs(found.optimism[1] - 1.42 / 10) < 0.02
    assert (found.advantage >= 0).all() and (found.advantage[:, 0] == 0).all()


def test_a_clearly_best_setting_leaves_no_optimism() -> None:
    values = np.random.default_rng(0).normal(0, 0.01, (200, 6))
    values[:, 3] += 1
    found = tuned_on_test(values, [6], 1, n_users=50, draws=300)
    assert abs(found.optimism[0]) < 0.001 and (found.advantage == 0).all()
    table = tuned_table({50: found}).iloc[0]
    assert np.isclose(table.reported, values[:, 3].mean(), atol=0.001) and table["unfair advantage"] == 0
    assert np.array_equal(found.reported, tuned_on_test(values, [6], 1, n_users=50, draws=300).reported)


def test_bad_input_is_named() -> None:
    values = np.zeros((10, 3))
    with pytest.raises(Problem, match=r"sizes must lie in 1\.\.3"):
        tuned_on_test(values, [4], 0, draws=2)
    with pytest.raises(Problem, match="2 x 6 users"):
        tuned_on_test(values, [2], 0, n_users=6, draws=2)
    with pytest.raises(Problem, match="finite"):
        tuned_on_test(values * np.nan, [2], 0, draws=2)
    with pytest.raises(Problem, match="one item of each of 2 users"):
        negatives(sparse.csr_matrix((2, 3)), np.array([1]), 2, 0)


def test_boards_of_all_negatives_are_the_full_ranking() -> None:
    rng = np.random.default_rng(4)
    scores = {name: rng.random((50, 20)) for name in ("a", "b")}
    seen, targets = sparse.csr_matrix((50, 20)), rng.integers(20, size=50)
    boards = sampled_boards(scores, seen, targets, [3, 19], k=5, draws=2, rng=0)
    full = [gain(places(own, targets, negatives(seen, targets, None, 0)), 5).mean() for own in scores.values()]
    np.testing.assert_allclose(boards[19], [full, full])
    assert boards[3].shape == (2, 2) and (boards[3] > boards[19]).all()
    with pytest.raises(Problem, match="numbers of negatives"):
        sampled_boards(scores, seen, targets, [], k=5, draws=2, rng=0)


def test_only_a_clear_pair_that_is_turned_round_counts_as_clear() -> None:
    """a is far above b and c, which are the same but for noise; the boards turn a and b round in half the drawings."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 400))
    exact = {"a": 1 + noise[0], "b": noise[1], "c": noise[0] * 0.0}
    low_c = exact["b"].mean() > 0
    boards = {20: np.array([[3.0, 2.0, 1.0], [2.0, 3.0, 1.0]] if low_c else [[3.0, 1.0, 2.0], [1.5, 2.5, 3.0]])}
    found, n_clear = reversals(exact, boards, seed=0, draws=500)
    assert n_clear == 2 and found.winner.tolist() == [0.5]
    assert found["clear pairs"].tolist() == [0.25 if low_c else 0.5]
    with pytest.raises(Problem, match="two models make a pair"):
        reversals({"a": exact["a"]}, boards, seed=0, draws=10)
