"""Splits: planted tables with known cuts, the published split of P2, and the faults."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from recutils.data import load, split
from recutils.tables import Interactions, Problem


def table(user, item, time=None, n_users=None, n_items=None):
    """Interactions whose values number the rows, so that a test can tell where a row came from."""
    rows = pd.DataFrame({"user": user, "item": item, "value": np.arange(len(user), dtype=float)})
    if time is not None:
        rows["time"] = pd.to_datetime(np.asarray(time), unit="s")
    return Interactions(rows, n_users or max(user) + 1, n_items or max(item) + 1)


def origin(part):
    return part.value.astype(int).tolist()


def everything(made):
    return sorted(row for part in ("train", "valid", "test") for row in origin(getattr(made, part)))


def numbered(ratings):
    return Interactions(ratings.rows.assign(value=np.arange(len(ratings))), ratings.n_users, ratings.n_items)


def test_temporal_cuts_by_position_and_stays_in_time_order():
    made = split.temporal(table([0] * 10, range(10), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))
    assert origin(made.train) == [9, 8, 7, 6, 5, 4, 3, 2]
    assert (origin(made.valid), origin(made.test)) == ([1], [0])
    assert made.train.time.max() < made.valid.time.min() < made.test.time.min()
    assert made.sizes() == {"train": 8, "valid": 1, "test": 1}


def test_temporal_ties_keep_file_order_and_are_counted():
    made = split.temporal(table([0] * 10, range(10), [1, 1, 1, 1, 1, 1, 1, 5, 5, 5]), (0.5, 0.3, 0.2))
    assert origin(made.train) == [0, 1, 2, 3, 4]
    assert origin(made.test) == [8, 9]
    assert any("which 7 events share: 5 before, 2 after" in note for note in made.notes)
    assert any("which 3 events share: 1 before, 2 after" in note for note in made.notes)


def test_temporal_counts_users_and_items_without_training_events():
    made = split.temporal(table([0] * 8 + [1, 2], [0] * 8 + [1, 2], range(10)))
    assert "test: 1 of 1 users and 1 of 1 items without a training event." in made.notes


def test_temporal_without_times_names_the_cures():
    with pytest.raises(Problem, match=r"'time'.*random_users.*last_n"):
        split.temporal(table([0, 0, 0], [0, 1, 2]))


@pytest.mark.parametrize("shares", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.1, -0.1, 0.0), (0.9, 0.1, 0.0), (0.0, 0.5, 0.5)])
def test_wrong_shares(shares, ratings):
    for make in (split.temporal, split.random_users):
        with pytest.raises(Problem, match="share"):
            make(ratings, shares)


def test_an_empty_part_is_named_with_the_sizes():
    with pytest.raises(Problem, match=r"valid part would be empty, sizes \{'train': 2, 'valid': 0, 'test': 1\}"):
        split.temporal(table([0] * 3, range(3), range(3)), (0.7, 0.05, 0.25))
    assert len(split.temporal(table([0] * 4, range(4), range(4)), (0.75, 0, 0.25)).valid) == 0


@pytest.mark.parametrize("n", [1, 2])
def test_last_n_takes_the_last_events_of_each_user(n):
    times = [5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5, 0]
    made = split.last_n(table([0] * 6 + [1] * 6 + [2], [*range(6), *range(6), 0], times), n)
    assert origin(made.test) == ([0, 11] if n == 1 else [0, 1, 10, 11])
    assert origin(made.valid) == ([1, 10] if n == 1 else [2, 3, 8, 9])
    assert 12 in origin(made.train)
    assert f"1 users with fewer than {2 * n + 1} events stay in train." in made.notes
    assert everything(made) == list(range(13))


def test_last_n_ties_keep_file_order_and_are_counted():
    made = split.last_n(table([0] * 4 + [1] * 4, [0, 1, 2, 3] * 2, [1, 1, 1, 1, 1, 2, 3, 4]))
    assert (origin(made.test), origin(made.valid)) == ([3, 7], [2, 6])
    assert any(note.startswith("For 1 of 2 users") for note in made.notes)


def test_last_n_by_file_order_and_its_faults():
    untimed = table([0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2])
    assert origin(split.last_n(untimed, order="file").test) == [4, 5]
    with pytest.raises(Problem, match="order='file'"):
        split.last_n(untimed)
    with pytest.raises(Problem, match="at least 1"):
        split.last_n(untimed, 0, order="file")
    with pytest.raises(Problem, match="test part|valid part"):
        split.last_n(untimed, 2, order="file")


def test_random_users_rounds_as_recbole():
    sizes = [1, 2, 3, 9, 10, 25]
    users = np.repeat(np.arange(6), sizes)
    made = split.random_users(table(users.tolist(), np.concatenate([np.arange(n) for n in sizes]).tolist()))
    got = [[int((part.user == user).sum()) for part in (made.train, made.valid, made.test)] for user in range(6)]
    assert got == [[1, 0, 0], [1, 0, 1], [1, 1, 1], [7, 1, 1], [8, 1, 1], [21, 2, 2]]
    assert everything(made) == list(range(50))


def test_random_splits_depend_on_the_seed_alone(ratings):
    ratings = numbered(ratings)
    for make in (
        lambda seed: split.random_users(ratings, rng=seed),
        lambda seed: split.random_items(ratings, seed=seed),
        lambda seed: split.k_fold(ratings, rng=seed)[0],
        lambda seed: split.cold_items(ratings, rng=seed)[0],
    ):
        assert origin(make(1).test) == origin(make(1).test) != origin(make(2).test)


def test_random_users_keeps_file_order_and_takes_a_generator(ratings):
    ratings = numbered(ratings)
    made = split.random_users(ratings, rng=np.random.default_rng(3))
    assert origin(made.test) == sorted(origin(made.test)) == origin(split.random_users(ratings, rng=3).test)


def test_random_items_equals_the_published_recipe_written_out(ratings):
    """The split once more, with a loop, Python's own round and the global generator that the public notebook uses."""
    ratings = numbered(ratings)
    np.random.seed(42)  # noqa: NPY002, TID251
    draws = np.random.rand(len(ratings))  # noqa: NPY002
    train, test = [], []
    for item in sorted(ratings.item.unique()):
        rows = sorted(np.flatnonzero(ratings.item == item), key=lambda row: draws[row])
        train += rows[: round(0.75 * len(rows))]
        test += rows[round(0.75 * len(rows)) :]
    made = split.random_items(ratings)
    assert (origin(made.train), origin(made.test)) == (train, test)
    assert len(made.valid) == 0


def test_random_items_rounds_half_to_even():
    made = split.random_items(table(list(range(8)), [0, 0, 1, 1, 1, 1, 1, 1]))
    assert np.bincount(made.train.item).tolist() == [2, 4]  # .75 x 2 = 1.5 -> 2, .75 x 6 = 4.5 -> 4


def test_random_items_validation_is_cut_inside_train(ratings):
    ratings = numbered(ratings)
    whole, cut = split.random_items(ratings), split.random_items(ratings, valid_share=0.25)
    assert origin(whole.test) == origin(cut.test)
    assert sorted(origin(cut.train) + origin(cut.valid)) == sorted(origin(whole.train))
    n = np.bincount(whole.train.item, minlength=ratings.n_items)
    assert np.bincount(cut.train.item, minlength=ratings.n_items).tolist() == [round(0.75 * one) for one in n.tolist()]
    with pytest.raises(Problem, match="valid_share"):
        split.random_items(ratings, valid_share=1.0)


def test_k_fold_tests_every_row_once(ratings):
    ratings = numbered(ratings)
    folds = split.k_fold(ratings, 5, 0)
    assert sorted(row for fold in folds for row in origin(fold.test)) == list(range(400))
    assert [fold.sizes() for fold in folds] == [{"train": 320, "valid": 0, "test": 80}] * 5
    assert [fold.name for fold in folds][0] == "k_fold_1_of_5"
    with pytest.raises(Problem, match="2..400"):
        split.k_fold(ratings, 1)


def test_cold_items_follows_the_house_protocol():
    shown = [4, 2, 0, 3, 1, 5, 4, 2, 0, 3, 1, 5]
    folds = split.cold_items(table([0] * 6 + [1] * 6, shown, n_items=8), 3, 0)
    order = np.random.default_rng(0).permutation([4, 2, 0, 3, 1, 5])
    for number, fold in enumerate(folds):
        expected = [set(order[2 * (one % 3) : 2 * (one % 3) + 2]) for one in range(number, number + 3)]
        assert [set(part.item) for part in (fold.test, fold.valid, fold.train)] == expected
        assert everything(fold) == list(range(12))
        assert fold.test.n_items == 8


def test_cold_items_needs_three_folds_and_enough_items(ratings):
    for n_folds in (2, 31):
        with pytest.raises(Problem, match=r"3\.\.30"):
            split.cold_items(ratings, n_folds)


def test_splits_say_what_they_pretend_and_leave_the_input_alone(ratings):
    before = ratings.rows.copy()
    made = [split.temporal(ratings), split.last_n(ratings), split.random_users(ratings), split.random_items(ratings)]
    made += [split.k_fold(ratings)[0], split.cold_items(ratings)[0]]
    sentences = [one.pretends for one in made]
    assert len(set(sentences)) == 6 and all(one.startswith("Pretends that") and one.endswith(".") for one in sentences)
    assert ratings.rows.equals(before)
    assert {(part.n_users, part.n_items) for one in made for part in (one.train, one.valid, one.test)} == {(40, 30)}
    with pytest.raises(FrozenInstanceError):
        made[0].name = "other"


@pytest.mark.published
def test_p2_split_of_ml_100k():
    interactions = load.load("ml-100k").interactions
    made = split.random_items(interactions)
    assert made.sizes() == {"train": 75_066, "valid": 0, "test": 24_934}
    assert made.train.item.is_monotonic_increasing
    assert split.random_items(interactions, valid_share=0.25).sizes()["test"] == 24_934
    temporal = split.temporal(interactions)
    assert temporal.sizes() == {"train": 80_000, "valid": 10_000, "test": 10_000}


def test_house_takes_time_where_there_is_one(ratings):
    assert split.house(ratings).name == "temporal"
    timeless = Interactions(numbered(ratings).rows.drop(columns="time"), 40, 30)
    assert split.house(timeless, rng=3).name == "random_users"
    assert origin(split.house(timeless, rng=3).test) == origin(split.random_users(timeless, rng=3).test)


def test_frozen_learns_from_valid_too_and_leaves_test_alone() -> None:
    rows = pd.DataFrame({"user": [0, 1, 0, 2, 3, 1, 2, 4, 0, 1], "item": range(10), "value": 1.0})
    rows["time"] = pd.to_datetime(range(10), unit="D")
    parts = split.temporal(Interactions(rows, 5, 10))
    last = split.frozen(parts)
    assert last.train.item.tolist() == list(range(9)) and last.test.item.tolist() == [9]
    assert len(last.valid) == 0 and last.name == "temporal, refitted"
    assert len(parts.train) == 8, "the given split is not changed"
