"""Few labels: planted pools, known curves, and bad input."""

import numpy as np
import pytest

from recutils.tables import Problem
from recutils.tune import few

LABELS = np.array([0, 1] * 30)
VECTORS = np.random.default_rng(0).normal(size=(60, 3))


def by_place(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Chances that rise with the place: a tie at places 29 and 30."""
    up = np.linspace(0, 1, 60)
    return np.stack([1 - up, up], axis=1)


def chosen(way: str, counts=(4, 8), first=(0, 1, 58, 59), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return few.rounds(way, np.array(first), counts, by_place, labels=LABELS, vectors=VECTORS, rng=rng)


@pytest.mark.parametrize("way", few.WAYS)
def test_rounds_grow_without_repeats_and_come_again(way: str) -> None:
    found = chosen(way, (4, 9, 20))
    assert [len(np.unique(one)) for one in found] == [4, 9, 20]
    assert all(np.array_equal(a, b[: len(a)]) for a, b in zip(found, found[1:], strict=False))
    assert all(np.array_equal(a, b) for a, b in zip(found, chosen(way, (4, 9, 20)), strict=True))
    assert len(chosen(way, (4, 60))[-1]) == 60  # the whole pool


def test_the_uncertain_are_those_near_the_tie() -> None:
    assert set(chosen("uncertain")[-1][4:]) == {28, 29, 30, 31}


def test_the_diverse_reach_a_far_group_that_random_misses() -> None:
    vectors = np.concatenate([np.zeros((58, 2)), [[9.0, 0.0], [0.0, 9.0]]])
    found = few.farthest(vectors, np.array([0]), 2)
    assert set(found) == {58, 59}
    near = few._near_centres(vectors, 3, np.random.default_rng(0))
    assert {58, 59} <= set(near) and len(set(near)) == 3


def test_a_start_has_two_classes_and_says_how_many_draws_it_took() -> None:
    rare = np.array([0] * 99 + [1])
    places, tries = few.start(rare, 5, np.random.default_rng(0))
    assert 99 in places and tries > 1
    with pytest.raises(Problem, match="one class"):
        few.start(np.zeros(9, int), 5, np.random.default_rng(0))
    with pytest.raises(Problem, match="from 2 to 9"):
        few.start(np.array([0, 1] * 4 + [0]), 10, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("way", "counts", "told"),
    [("best", (4, 8), "one of random"), ("random", (4, 61), "pool has 60"), ("random", (5, 8), "rise from 4"),
     ("random", (4, 8, 8), "rise from 4")],
)  # fmt: skip
def test_senseless_rounds_are_refused(way: str, counts: tuple[int, ...], told: str) -> None:
    with pytest.raises(Problem, match=told):
        chosen(way, counts)


def test_only_sure_answers_are_believed_each_class_in_its_share() -> None:
    chances = by_place(np.array([]), np.array([]))
    found = few.believe(chances, np.arange(10, 60), 0.8, most=10, shares=np.array([0.3, 0.7]))
    assert set(found.places) == {10, 11, *range(53, 60)} and len(found) == 9  # two of class 0 are sure, not three
    assert np.array_equal(found.labels, (found.places > 30).astype(int))
    assert len(few.believe(chances, np.arange(20, 40), 1.0, most=10, shares=np.array([0.3, 0.7]))) == 0
    with pytest.raises(Problem, match="only 50"):
        few.believe(chances, np.arange(10, 60), 0.8, most=51, shares=np.array([0.5, 0.5]))
    for bad in (0.49, 1.01, float("nan")):
        with pytest.raises(Problem, match=r"0\.5\.\.1"):
            few.believe(chances, np.arange(9), bad, most=3, shares=np.array([0.5, 0.5]))


def test_the_threshold_is_the_lowest_that_is_right_often_enough() -> None:
    sure = np.repeat([0.65, 0.85, 0.99], 100)
    chances = np.stack([1 - sure, sure], axis=1)
    labels = np.ones(300, dtype=int)
    labels[:50] = 0  # half of the answers at .65 are wrong
    assert few.choose_threshold(chances, labels, right=0.95) == 0.7
    assert few.choose_threshold(chances, labels, right=0.5) == 0.6
    labels[::2] = 0
    assert few.choose_threshold(chances, labels, right=0.99) in few.THRESHOLDS
    with pytest.raises(Problem, match=r"0\.5\.\.1"):
        few.choose_threshold(chances, labels, thresholds=[0.3])


def test_labels_needed_are_read_off_the_curve() -> None:
    counts, curve = (50, 100, 200), np.array([0.7, 0.8, 0.9])
    assert few.needed(counts, curve, 0.8) == pytest.approx(100)
    assert few.needed(counts, curve, 0.85) == pytest.approx(np.sqrt(100 * 200))
    assert few.needed(counts, curve, 0.7) == 50
    assert few.needed(counts, curve, 0.91) == np.inf and np.isnan(few.needed(counts, curve, 0.69))
    assert few.needed(counts, np.array([0.7, 0.6, 0.9]), 0.7) == 50  # a dip is no gain


def test_a_saving_is_what_the_plain_curve_needs_more() -> None:
    plain = np.tile([0.7, 0.8, 0.9], (5, 1))
    found = few.saving((50, 100, 200), plain, 100, np.full(5, 0.9), seed=0)
    assert found.saved == pytest.approx(100) and found.low == found.high == found.saved and found.beyond == 0
    assert found.told() == "+100 [+100, +100]"
    assert few.saving((50, 100, 200), plain, 200, np.full(5, 0.95), seed=0).told().startswith("beyond the curve")
    assert few.saving((50, 100, 200), plain, 200, np.full(5, 0.6), seed=0).told().startswith("below the curve")
    with pytest.raises(Problem, match="seeds by counts"):
        few.saving((50, 100), plain, 100, np.full(5, 0.9), seed=0)


def test_the_linear_learner_learns_a_planted_direction_and_answers_all_rows() -> None:
    vectors = np.concatenate([VECTORS, VECTORS[:5] + 0.01, np.ones((1, 3))])
    labels = (VECTORS[:, 0] > 0).astype(int)
    found = few.linear_learner(vectors, 60, 10.0)(np.arange(30), labels[:30])
    assert found.shape == (66, 2) and np.allclose(found.sum(axis=1), 1)
    assert (found[30:60].argmax(axis=1) == labels[30:]).mean() > 0.9
