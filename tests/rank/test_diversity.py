"""Re-rankers on planted candidates: known answers, laws, exact best subsets, bad input."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from recutils.rank import diversity, intents, kernels
from recutils.rank.diversity import Candidates, dpp, mmr, spread, widest
from recutils.tables import Problem

RULES = [mmr, spread, dpp]
each_rule = pytest.mark.parametrize("rule", RULES)


def made(n_users: int = 40, n: int = 12, n_items: int = 60, seed: int = 0) -> tuple[Candidates, np.ndarray]:
    """Random candidates and a positive semi-definite similarity."""
    rng = np.random.default_rng(seed)
    items = rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)[:, :n]
    relevance = -np.sort(-rng.random((n_users, n)).astype(np.float32), axis=1)
    return Candidates(items, relevance), kernels.likeness(rng.normal(size=(n_items, 8))).table


def slow_mmr(items: list[int], relevance: np.ndarray, similarity: np.ndarray, trade: float, k: int) -> list[int]:
    """MMR as one writes it down, for one person."""
    chosen: list[int] = []
    while len(chosen) < k:
        worth = [
            -np.inf if n in chosen else (1 - trade) * relevance[n]
            - trade * max([0.0, *(similarity[items[n], items[c]] for c in chosen)])
            for n in range(len(items))
        ]  # fmt: skip
        chosen.append(int(np.argmax(worth)))
    return [items[n] for n in chosen]


def test_mmr_is_the_plain_rule() -> None:
    given, table = made()
    lists = mmr(given, table, 0.6, 5)
    slow = [slow_mmr(list(own), rel, table, 0.6, 5) for own, rel in zip(given.items, given.relevance, strict=True)]
    assert lists.tolist() == slow


@each_rule
def test_a_copy_gives_way_to_something_else(rule: Callable) -> None:
    given = Candidates(np.array([[0, 1, 2]]), np.array([[1, 0.9, 0.5]], dtype=np.float32))
    table = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32)
    assert rule(given, table, 0.7, 2).tolist() == [[0, 2]]
    assert rule(given, table, 0.0, 2).tolist() == [[0, 1]]


@each_rule
def test_trade_0_is_the_first_stage_and_users_do_not_meddle(rule: Callable) -> None:
    given, table = made(n_users=diversity.BLOCK + 3)
    assert np.array_equal(rule(given, table, 0.0, 5), given.items[:, :5])
    alone = [rule(given.only(slice(user, user + 1)), table, 0.4, 5)[0] for user in (0, 7, diversity.BLOCK + 1)]
    assert np.array_equal(rule(given, table, 0.4, 5)[[0, 7, diversity.BLOCK + 1]], alone)


@each_rule
def test_order_is_put_back_and_the_set_stays(rule: Callable) -> None:
    given, table = made()
    free, ordered = rule(given, table, 0.7, 5, in_order=False), rule(given, table, 0.7, 5, in_order=True)
    assert np.array_equal(np.sort(free), np.sort(ordered)) and not np.array_equal(free, ordered)
    places = np.array([[list(own).index(item) for item in row] for own, row in zip(given.items, ordered, strict=True)])
    assert (np.diff(places, axis=1) > 0).all()


@each_rule
def test_lists_that_run_out_and_nobody_at_all(rule: Callable) -> None:
    table = np.eye(4, dtype=np.float32)
    given = Candidates(np.array([[2, 0, -1], [-1, -1, -1]]), np.array([[1, 0.5, 0], [0, 0, 0]], dtype=np.float32))
    assert rule(given, table, 0.5, 5).tolist() == [[2, 0, -1, -1, -1], [-1] * 5]
    nothing = Candidates(np.empty((2, 0), int), np.empty((2, 0), np.float32))
    assert rule(nothing, table, 0.5, 3).tolist() == [[-1] * 3] * 2
    assert widest(nothing, table, 3).tolist() == [[-1] * 3] * 2
    assert rule(given.only(slice(0, 0)), table, 0.5, 3).shape == (0, 3)


@each_rule
@pytest.mark.parametrize("trade", [-0.1, 1.1, np.nan])
def test_trade_outside(rule: Callable, trade: float) -> None:
    given, table = made(n_users=2)
    with pytest.raises(Problem, match=r"0\.\.1"):
        rule(given, table, trade, 3)


@each_rule
def test_nan_and_k_are_refused(rule: Callable) -> None:
    given, table = made(n_users=2)
    with pytest.raises(Problem, match="k must"):
        rule(given, table, 0.5, 0)
    table[given.items[0, 0]] = np.nan
    with pytest.raises(Problem, match="NaN"):
        rule(given, table, 0.5, 3)


def test_candidates_refuse_wrong_shapes_and_scales() -> None:
    with pytest.raises(Problem, match="n_users, n"):
        Candidates(np.zeros((2, 3), int), np.zeros((2, 2)))
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(Problem, match="unit_scale"):
            Candidates(np.array([[0, 1]]), np.array([[1.0, wrong]]))


def test_candidates_of_scores() -> None:
    found = diversity.candidates(np.array([[3.0, 9.0, 6.0], [1, 1, 1]]), None, 5)
    assert found.items.tolist() == [[1, 2, 0], [0, 1, 2]]
    assert found.relevance.tolist() == [[1.0, 0.5, 0.0], [0, 0, 0]]


def test_dpp_steps_are_the_growth_of_the_determinant() -> None:
    given, table = made(n=10)
    lists = dpp(given, table, 1.0, 4, in_order=False)
    for own, row in zip(given.items, lists, strict=True):
        for step in range(1, 4):
            grown = {item: np.linalg.det(table[np.ix_([*row[:step], item], [*row[:step], item])])
                     for item in own if item not in row[:step]}  # fmt: skip
            assert grown[row[step]] == pytest.approx(max(grown.values()), rel=1e-3)


def test_greedy_against_the_exact_best_subset() -> None:
    given, table = made(n=10)
    share_dpp, share_sum = [], []
    wide, volume = widest(given, table, 4), dpp(given, table, 1.0, 4)
    for own, ours, theirs in zip(given.items, volume, wide, strict=True):
        subsets = [list(one) for one in combinations(own, 4)]
        best = max(np.linalg.det(table[np.ix_(one, one)]) for one in subsets)
        share_dpp.append(np.linalg.det(table[np.ix_(ours, ours)]) / best)
        far = max(np.sum(1 - table[np.ix_(one, one)]) for one in subsets)
        share_sum.append(np.sum(1 - table[np.ix_(theirs, theirs)]) / far)
    assert max(share_dpp) <= 1 + 1e-4 and np.mean(share_dpp) > 0.85
    assert max(share_sum) <= 1 + 1e-5 and np.mean(share_sum) > 0.98 and min(share_sum) > 0.9


def test_exchanges_mend_a_bad_list() -> None:
    given, table = made()
    bad = given.items[:, :4]
    better = diversity.exchanged(given, table, bad)
    assert (_sums(better, table) >= _sums(bad, table) - 1e-5).all() and (_sums(better, table) > _sums(bad, table)).any()


def _sums(lists: np.ndarray, table: np.ndarray) -> np.ndarray:
    return (1 - table[lists[:, :, None], lists[:, None, :]]).sum(axis=(1, 2))


def test_copies_end_a_dpp_list_by_relevance() -> None:
    given = Candidates(np.array([[0, 1, 2, 3]]), np.array([[1, 0.8, 0.6, 0.1]], dtype=np.float32))
    vectors = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    assert dpp(given, kernels.likeness(vectors).table, 0.9, 4, in_order=False).tolist() == [[0, 3, 1, 2]]


def test_a_kernel_that_is_not_psd_is_told_and_can_be_mended() -> None:
    given = Candidates(np.array([[0, 1, 2]]), np.array([[1, 0.9, 0.8]], dtype=np.float32))
    table = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    with pytest.raises(Problem, match="semi-definite"):
        dpp(given, table, 0.5, 3)
    mended = kernels.psd(table)
    assert np.linalg.eigvalsh(mended).min() > -1e-9
    assert sorted(dpp(given, mended, 0.5, 3)[0]) == [0, 1, 2]
    with pytest.raises(Problem, match="square"):
        kernels.psd(np.full((2, 2), np.nan))


def test_calibration_gives_the_person_the_mix() -> None:
    groups = np.array([[1, 0]] * 6 + [[0, 1]] * 6, dtype=float)
    given = Candidates(np.tile(np.arange(12), (3, 1)), np.tile(np.linspace(1, 0.4, 12), (3, 1)))
    mix = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]])
    lists = intents.calibrated(given, groups, mix, 0.9, 4)
    assert (lists >= 6).sum(axis=1).tolist() == [2, 0, 0]
    assert np.array_equal(intents.calibrated(given, groups, mix, 0.0, 4), given.items[:, :4])


def test_covering_serves_each_intent() -> None:
    groups = np.eye(3)[[0, 0, 0, 1, 2]]
    given = Candidates(np.array([[0, 1, 2, 3, 4]]), np.array([[1, 0.99, 0.98, 0.9, 0.85]]))
    lists = intents.covering(given, groups, np.array([[0.4, 0.3, 0.3]]), 0.8, 3)
    assert lists.tolist() == [[0, 3, 4]]


def test_long_tail_follows_the_person() -> None:
    groups = intents.head_and_tail(np.array([50, 40, 5, 3, 2]), 0.8)
    assert groups[:, 1].tolist() == [0, 0, 1, 1, 1]
    given = Candidates(np.tile(np.arange(5), (2, 1)), np.tile([1, 0.95, 0.9, 0.85, 0.8], (2, 1)))
    lists = intents.long_tail(given, groups, np.array([[1.0, 0.0], [0.2, 0.8]]), 0.9, 2)
    assert lists[0].tolist() == [0, 1] and (lists[1] >= 2).any()


@pytest.mark.parametrize("rule", [intents.calibrated, intents.covering, intents.long_tail])
def test_rules_of_groups_refuse_and_pad(rule: Callable) -> None:
    given, groups = Candidates(np.array([[1, -1]]), np.array([[1.0, 0.0]])), np.eye(2)
    assert rule(given, groups, np.array([[0.5, 0.5]]), 0.5, 3).tolist() == [[1, -1, -1]]
    with pytest.raises(Problem, match="mix must be"):
        rule(given, groups, np.array([[0.5, np.nan]]), 0.5, 3)
    with pytest.raises(Problem, match="membership"):
        rule(given, -groups, np.array([[0.5, 0.5]]), 0.5, 3)
    with pytest.raises(Problem, match=r"0\.\.1"):
        rule(given, groups, np.array([[0.5, 0.5]]), 2.0, 3)


def test_shares_of_a_head_need_events() -> None:
    with pytest.raises(Problem, match="events"):
        intents.head_and_tail(np.zeros(3))
