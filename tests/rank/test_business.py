"""Lists for several goals, on cases whose best list is known by trying every one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recutils.rank import business
from recutils.rank.business import Offers, efficient, every_list, lexicographic, scalarised, supported
from recutils.tables import Interactions, Problem


def offers(*worth: list[list[float]]) -> Offers:
    names = ("clicks", "margin", "fresh")
    table = {name: np.array(one, dtype=float) for name, one in zip(names, worth, strict=False)}
    shape = np.shape(worth[0])
    return Offers(np.tile(np.arange(shape[1]), (shape[0], 1)), table)


def random_offers(seed: int, n_users: int = 4, n: int = 9) -> Offers:
    rng = np.random.default_rng(seed)
    items = np.array([rng.permutation(20)[:n] for _ in range(n_users)])
    items[0, -2:] = -1
    return Offers(items, {goal: rng.random((n_users, n)) for goal in ("clicks", "margin", "fresh")})


def test_extreme_weights_give_the_lists_of_one_goal() -> None:
    made = random_offers(1)
    assert np.array_equal(scalarised(made, {"clicks": 2, "margin": 0}, 3), made.top(made.of("clicks"), 3))
    assert np.allclose(made.total(scalarised(made, {"margin": 0.1}, 3), "margin"), made.best("margin", 3))


def test_goals_count_by_shares_of_the_attainable_so_units_do_not_matter() -> None:
    made = random_offers(2)
    cents = Offers(made.items, {**made.worth, "margin": made.of("margin") * 100})
    weights = {"clicks": 0.5, "margin": 0.5}
    assert np.array_equal(scalarised(made, weights, 3), scalarised(cents, weights, 3))


def test_ties_go_to_the_lower_item_and_lists_are_ranked_by_the_goal_asked() -> None:
    made = Offers(
        np.array([[7, 3, 5, -1]]), {"a": np.array([[1.0, 1.0, 1.0, 9.0]]), "b": np.array([[1.0, 2.0, 3.0, 9.0]])}
    )
    chosen = made.top(made.of("a"), 2)
    assert made.items[chosen].tolist() == [3, 5]
    assert made.lists(chosen, "b", 3).tolist() == [[5, 3, -1]]
    assert made.lists(chosen, "a", 3).tolist() == [[3, 5, -1]]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), slack=st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_lexicographic_is_what_enumeration_finds(seed: int, slack: float) -> None:
    made, k = random_offers(seed), 3
    chosen = lexicographic(made, ["clicks", "margin"], slack, k)
    for user in range(len(chosen)):
        real = np.flatnonzero(made.real[user])
        table = np.array([made.of(goal)[user, real] for goal in ("clicks", "margin")]).T
        totals = every_list(table, k)[1]
        allowed = totals[:, 0] >= (1 - slack) * totals[:, 0].max() - 1e-9
        assert made.total(chosen, "margin")[user] == pytest.approx(totals[allowed, 1].max(), abs=1e-6)
        assert made.total(chosen, "clicks")[user] >= (1 - slack) * totals[:, 0].max() - 1e-5
        assert chosen[user].sum() == k


def test_a_third_goal_chooses_among_what_the_second_left() -> None:
    made = offers([[1, 1, 1, 0]], [[5, 5, 1, 9]], [[0, 3, 9, 9]])
    assert lexicographic(made, ["clicks", "margin", "fresh"], 0.0, 1).tolist() == [[False, True, False, False]]
    assert lexicographic(made, ["clicks"], 0.0, 1).tolist() == [[True, False, False, False]]


def test_a_weighted_sum_passes_by_the_dent_and_slack_does_not() -> None:
    made = offers([[10, 6, 0]], [[0, 3, 10]])  # the middle item is efficient and under the line of the others
    reached = {int(scalarised(made, {"clicks": w, "margin": 1 - w}, 1).argmax()) for w in np.linspace(0, 1, 101)}
    assert reached == {0, 2}
    points = np.array([[10.0, 0], [6, 3], [0, 10]])
    assert efficient(points).all() and supported(points).tolist() == [True, False, True]
    assert lexicographic(made, ["clicks", "margin"], 0.4, 1).argmax() == 1


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_fronts_agree_with_their_definitions(seed: int, n: int) -> None:
    points = np.random.default_rng(seed).integers(0, 8, (n, 2)).astype(float)
    slow = [not any((other >= one).all() and (other > one).any() for other in points) for one in points]
    assert efficient(points).tolist() == slow
    assert efficient(np.c_[points, points[:, 0]]).tolist() == slow  # the way for three goals
    ratios = {(a[0] - b[0]) / (b[1] - a[1]) for a in points for b in points if a[1] != b[1]}  # weights of a tie
    ties = np.array(sorted({0.0, *(ratio for ratio in ratios if ratio > 0), 1e3}))
    weights = np.concatenate([ties[1:], (ties[1:] + ties[:-1]) / 2, [1e-3]])  # every tie, and a weight between each two
    sums = points[:, :1] + points[:, 1:] * weights
    assert supported(points).tolist() == (sums >= sums.max(axis=0) - 1e-9).any(axis=1).tolist()


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"clicks": 0, "margin": 0}, "all weights are 0"),
        ({"clicks": -1, "margin": 2}, "0 or more"),
        ({"clicks": np.nan}, "0 or more"),
        ({"profit": 1}, "profit"),
        ({}, "none"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights: dict, told: str) -> None:
    with pytest.raises(Problem, match=told):
        scalarised(random_offers(1), weights, 3)


def test_offers_refuse_gaps_and_users_without_candidates() -> None:
    items = np.array([[0, 1], [2, -1]])
    Offers(items, {"clicks": np.array([[1, 2], [3, np.nan]])})  # what stands at a fill is not read
    with pytest.raises(Problem, match=r"'margin' must be finite; 1 pairs .* item 2.*mean of the item's category"):
        Offers(items, {"margin": np.array([[1, 2], [np.nan, 0]])})
    with pytest.raises(Problem, match="1 users have no candidate, the first in row 1"):
        Offers(np.array([[0, 1], [-1, -1]]), {"clicks": np.zeros((2, 2))})
    with pytest.raises(Problem, match="no user came"):
        Offers(np.zeros((0, 2), dtype=int), {"clicks": np.zeros((0, 2))})
    with pytest.raises(Problem, match="shape"):
        Offers(items, {"clicks": np.zeros((2, 3))})
    with pytest.raises(Problem, match="at least one goal"):
        Offers(items, {})
    with pytest.raises(Problem, match="unknown goal 'x'"):
        random_offers(1).of("x")
    with pytest.raises(Problem, match=r"1\.\.9"):
        random_offers(1).top(np.zeros((4, 9)), 10)
    with pytest.raises(Problem, match="slack"):
        lexicographic(random_offers(1), ["clicks", "margin"], -0.1, 3)
    with pytest.raises(Problem, match="lists; at most"):
        every_list(np.zeros((60, 2)), 10)


def test_a_user_with_few_candidates_gets_them_all() -> None:
    made = Offers(np.array([[4, -1, -1], [0, 1, 2]]), {"a": np.ones((2, 3)), "b": np.arange(6.0).reshape(2, 3)})
    for chosen in (scalarised(made, {"a": 1, "b": 1}, 2), lexicographic(made, ["a", "b"], 0.1, 2)):
        assert chosen.sum(axis=1).tolist() == [1, 2]
        assert made.lists(chosen, "a", 2)[0].tolist() == [4, -1]


def test_freshness_halves_with_each_half_life() -> None:
    times = pd.to_datetime(["2000-01-01", "1998-01-01", "1999-12-31"])
    train = Interactions(pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "value": 1.0, "time": times}), 2, 3)
    years = pd.DataFrame({"year": ["2000", "1995", None]})
    assert business.freshness(years, train, half_life=5).tolist() == [1.0, 0.5, 0.5]
    seen = business.freshness(pd.DataFrame({"title": list("abc")}), train, half_life=2)
    assert seen[0] == 1 and seen[1] == pytest.approx(0.5, abs=1e-3) and seen[2] == 1
    assert business.freshness(years, Interactions(train.rows.drop(columns="time"), 2, 3), half_life=5) is None
    with pytest.raises(Problem, match="half_life"):
        business.freshness(years, train, half_life=0)


def test_margins_are_a_table_that_can_be_dealt_again() -> None:
    on, names = business.shelves(pd.DataFrame({"genres": ["Action, Drama", "Drama", None]}), seed=0)
    assert names == ["Action", "Drama", "none"] and on.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    margins = business.what_if_margins(names, seed=3)
    assert margins == business.what_if_margins(names, seed=3) and sorted(margins.values()) == [0.05, 0.28, 0.5]
    assert business.item_margins(on, margins)[0] == pytest.approx((margins["Action"] + margins["Drama"]) / 2)
    drawn, shelf_names = business.shelves(pd.DataFrame({"title": list("abcdefgh")}), seed=0)
    assert (drawn.sum(axis=1) == 1).all() and "what-if" in shelf_names[0]
    with pytest.raises(Problem, match="Drama"):
        business.item_margins(on, {**margins, "Drama": np.nan})
