"""Each leak is planted and must be found; each honest split must pass what it promises."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import leakage, load, split
from recutils.data.split import Split
from recutils.tables import Interactions, Problem


def part(user, item, time=None, n_items=10):
    rows = pd.DataFrame({"user": user, "item": item, "value": 1.0})
    if time is not None:
        rows["time"] = pd.to_datetime(np.asarray(time), unit="s")
    return Interactions(rows, 10, n_items)


def planted(train, test, valid=None, name="temporal"):
    return Split(train, valid or train.only(np.arange(0)), test, name, "Pretends that it is a test.")


def test_a_future_event_in_training_is_found():
    test = part([0, 1], [1, 2], [10, 20])
    honest = planted(part([0, 1, 1], [0, 0, 1], [1, 2, 10]), test)
    leaky = planted(part([0, 1, 1, 1], [0, 0, 1, 3], [1, 2, 9, 11]), test)
    assert not leakage.check_time(honest).leak  # a tie with the first test event is no future
    found = leakage.check_time(leaky)
    assert found.leak and found.value == 0.25
    assert "1 of 4 train events (25.0%)" in found.sentence
    assert not leakage.check_user_time(leaky).leak  # user 1 trains at 11, is tested at 20
    with pytest.raises(Problem, match="1 of 4 train events"):
        leakage.require(leaky)


def test_a_users_own_future_is_found():
    test = part([0, 1, 2], [1, 2, 3], [10, 20, 20])
    found = leakage.check_user_time(planted(part([0, 1], [0, 0], [11, 19]), test))
    assert found.leak and found.value == pytest.approx(1 / 3)  # user 2 has no training event


def test_a_cold_item_in_training_is_found():
    test = part([0, 1], [5, 6])
    clean = planted(part([0, 1], [0, 1]), test, part([1], [2]), "cold_items_1_of_5")
    in_train = planted(part([0, 1], [0, 5]), test, part([1], [2]), "cold_items_1_of_5")
    in_valid = planted(part([0, 1], [0, 1]), test, part([1], [6]), "cold_items_1_of_5")
    assert not leakage.check_cold(clean).leak
    assert leakage.check_cold(in_train).value == leakage.check_cold(in_valid).value == 0.5
    for leaky in (in_train, in_valid):
        with pytest.raises(Problem, match="1 of 2 test items"):
            leakage.require(leaky)


def test_a_pair_on_both_sides_is_found():
    test = part([0, 1, 2, 3], [5, 5, 5, 5])
    assert not leakage.check_pairs(planted(part([5, 0], [0, 4]), test)).leak
    assert leakage.check_pairs(planted(part([0], [5]), test)).value == 0.25
    assert leakage.check_pairs(planted(part([0], [4]), test, part([3], [5]))).value == 0.25
    # user 1, item 5 must not be taken for user 0, item 15
    assert not leakage.check_pairs(planted(part([0], [15], n_items=20), part([1], [5], n_items=20))).leak


def popular(order, seed=0):
    """200 users choose 5 of 50 items each by a steep popularity; `order` gives each popularity rank its item row."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 51)
    item = np.concatenate([rng.choice(50, 5, replace=False, p=weights / weights.sum()) for _ in range(200)])
    rows = pd.DataFrame({"user": np.repeat(np.arange(200), 5), "item": np.asarray(order)[item], "value": 1.0})
    return Interactions(rows, 200, 50)


@pytest.mark.parametrize("order", [np.arange(50), np.arange(50)[::-1]])
def test_an_id_that_orders_the_answer_is_found(order):
    found = leakage.check_id_order(popular(order))
    assert found.leak and found.value > 0.9
    assert "item row" in found.sentence


def test_shuffled_ids_pass():
    found = leakage.check_id_order(popular(np.random.default_rng(1).permutation(50)))
    assert not found.leak and found.value < 0.65


def test_id_auc_on_paper():
    assert leakage.id_auc(part([0], [0])) == pytest.approx(0.95)  # above 9 of 10 items, tied with itself
    assert leakage.id_auc(part([0] * 10, range(10))) == pytest.approx(0.5)
    assert leakage.id_auc(part([0, 0], [9, 9])) == pytest.approx(0.05)


def test_ids_given_out_in_time_are_found():
    rng = np.random.default_rng(0)
    time = np.sort(rng.integers(0, 10**6, 500))
    rows = pd.DataFrame({"user": np.arange(500) // 5, "item": rng.integers(0, 40, 500), "value": 1.0})
    found = leakage.check_id_order(Interactions(rows.assign(time=pd.to_datetime(time, unit="s")), 100, 40))
    assert found.leak and "user row tells when" in found.sentence


def test_check_runs_what_applies(ratings):
    timeless = Interactions(ratings.rows.drop(columns="time"), 40, 30)
    assert [one.test for one in leakage.check(split.temporal(ratings))] == ["time", "user_time", "pairs", "id_order"]
    assert [one.test for one in leakage.check(split.cold_items(timeless)[0])] == ["cold", "pairs", "id_order"]
    assert all(one.sentence.endswith(".") for one in leakage.check(split.random_users(ratings)))


def test_honest_splits_keep_their_promises_and_random_ones_see_the_future(ratings):
    made = [split.temporal(ratings), split.last_n(ratings), split.random_users(ratings), split.random_items(ratings)]
    for one in (*made, *split.k_fold(ratings), *split.cold_items(ratings)):
        assert [found.test for found in leakage.require(one)] == list(leakage.promises(one))
        assert leakage.promises(one)
    for one in made[2:]:
        assert leakage.check_time(one).leak
        with pytest.raises(Problem, match="later than the first test event"):
            leakage.require(one, ["time"])
    assert leakage.check_time(made[1]).leak and not leakage.check_user_time(made[1]).leak


def test_unknown_tests_and_empty_tables_are_refused(ratings):
    with pytest.raises(Problem, match="tmie"):
        leakage.require(split.temporal(ratings), ["tmie"])
    with pytest.raises(Problem, match="at least one"):
        leakage.check_id_order(ratings.only(np.arange(0)))


def test_movielens_ids_know_what_is_popular():
    found = leakage.check_id_order(load.load("ml-100k").interactions)
    assert found.leak and found.value == pytest.approx(0.9032, abs=0.0005)
    assert "how many events the item has" in found.sentence
