"""Vectors judged with behaviour fitted once: the same lists as the model that fits all of it, and planted truth."""

import numpy as np
import pytest

from recutils.evaluate.cold import nested_folds
from recutils.evaluate.vectors import cold_bench
from recutils.model.content import TextToFactors
from recutils.tables import Interactions, Problem


@pytest.fixture
def bench(ratings: Interactions):
    liked = ratings.only(ratings.value > 3)  # each group meets its own half of the items
    return cold_bench(nested_folds(liked, 5)[:3], 3, factors=4, alpha=1.0, seed=0)


def test_lists_are_those_of_the_model(bench):
    vectors = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    fold = bench.folds[1]
    model = TextToFactors(factors=4, alpha=1.0, reg_text=2.0, seed=1).with_vectors(vectors).fit(fold.train)
    expected = fold.outer.lists({"map": model}, 3)["map"]
    np.testing.assert_array_equal(bench.lists_with(vectors, [2.0] * 3)[1], expected)


def test_vectors_that_tell_the_taste_reach_the_top_and_noise_does_not(bench):
    taste = np.stack([np.arange(30) % 2, 1 - np.arange(30) % 2], axis=1).astype(np.float32)
    noise = np.random.default_rng(2).normal(size=(30, 2)).astype(np.float32)
    lists = {"taste": bench.lists(taste, [0.1]), "noise": bench.lists(noise, [0.1]), **bench.yardsticks(0)}
    table = bench.pairs(lists)
    means = {name: np.average(table[name], weights=table.weight) for name in lists}
    assert means["taste"] > max(means["noise"], means["random"]) + 0.2
    assert sorted(table.fold.unique()) == [0, 1, 2]


def test_the_penalty_is_chosen_on_the_inner_items_only(bench):
    vectors = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)
    before = bench.chosen(vectors, [0.1, 1000.0])
    changed = vectors.copy()
    changed[bench.outer[0].task.items] = 99.0
    assert bench.chosen(changed, [0.1, 1000.0])[0] == before[0], "the judged items' vectors moved the choice"


def test_misuse_is_named(bench):
    with pytest.raises(Problem, match="at least one fold"):
        cold_bench([], 3, factors=4, alpha=1.0, seed=0)
    with pytest.raises(Problem, match="at least one penalty"):
        bench.chosen(np.eye(30), [])
