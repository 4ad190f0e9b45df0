"""Cascades: the order that paper gives, nothing read that was not scored, margins, mixing, bad input."""

import numpy as np
import pytest
from scipy import sparse

from recutils.rank.cascade import (
    best,
    cascade,
    encoder_mflop,
    few_of_each,
    hits,
    margins,
    mixer,
    pairs_of,
    two_stages,
)  # fmt: skip
from recutils.tables import Problem

CANDIDATES = np.array([[10, 11, 12, 13], [20, 21, 22, -1]])
FIRST = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 3.0, 2.0, 9.0]])
SECOND = np.array([[1.0, 2.0, np.nan, np.nan], [np.nan, 1.0, 5.0, np.nan]])


def test_a_later_stage_reorders_only_the_best_of_the_one_before() -> None:
    assert cascade(CANDIDATES, [FIRST], [], 4).tolist() == [[10, 11, 12, 13], [21, 22, 20, -1]]
    assert cascade(CANDIDATES, [FIRST, SECOND], [2], 3).tolist() == [[11, 10, 12], [22, 21, 20]]


def test_a_third_stage_reads_the_seconds_best_and_may_serve_some_lists_only() -> None:
    third = np.array([[9.0, np.nan, np.nan, np.nan], [np.nan, 9.0, 8.0, np.nan]])
    with pytest.raises(Problem, match="no finite score"):
        cascade(CANDIDATES, [FIRST, SECOND, third], [2, 2], 4)
    served = np.array([False, True])
    found = cascade(CANDIDATES, [FIRST, SECOND, third], [2, 2], 4, last_for=served)
    assert found.tolist() == [[11, 10, 12, 13], [21, 22, 20, -1]]


def test_ties_go_to_the_lower_item_row() -> None:
    assert cascade(np.array([[7, 3, 5]]), [np.zeros((1, 3))], [], 3).tolist() == [[3, 5, 7]]


def test_margins_are_small_where_the_end_of_the_list_is_a_draw() -> None:
    found = margins(np.array([[9.0, 8.0, 1.0, 0.0], [9.0, 5.0, 4.9, 0.0]]), 2)
    assert found[0] > 1.5 > 0.1 > found[1] > 0


def test_hits_know_the_truth_and_skip_fillers() -> None:
    truth = sparse.csr_matrix(([1, 1], ([0, 1], [12, 0])), shape=(2, 30))
    assert hits(CANDIDATES, truth).tolist() == [[False, False, True, False], [False] * 4]


def test_the_mixer_finds_which_stage_knows() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random((50, 20)) < 0.2
    features = np.stack([relevant + rng.normal(size=relevant.shape), rng.normal(size=relevant.shape)], axis=2)
    found = mixer(features, relevant)
    assert found.weights[0] > 5 * abs(found.weights[1]) and found.score(features).shape == (50, 20)
    with pytest.raises(Problem, match="both kinds"):
        mixer(features, np.zeros_like(relevant))


def test_training_pairs_are_even_and_of_the_users_asked_for() -> None:
    relevant = np.random.default_rng(0).random((40, 10)) < 0.3
    found = few_of_each(relevant, np.arange(5, 20), 2, np.random.default_rng(1))
    labels = relevant[found[:, 0], found[:, 1]]
    assert labels.mean() == 0.5 and set(found[:, 0]) <= set(range(5, 20))
    assert len(np.unique(found, axis=0)) == len(found)


def test_cost_of_a_layer_on_paper() -> None:
    assert encoder_mflop(1, 1) == pytest.approx(2 * 12 * 384 * 384 / 1e6)
    assert encoder_mflop(100, 6) == pytest.approx(600 * encoder_mflop(1, 1))


@pytest.mark.parametrize(
    ("stages", "depths", "k", "word"),
    [
        ([FIRST[:, :2]], [], 2, "shape"), ([FIRST, FIRST], [], 2, "1 depths"), ([FIRST, FIRST], [9], 2, "1 depths"),
        ([FIRST], [], 5, "k must"), ([], [], 1, "shape"), ([FIRST * np.nan], [], 1, "no finite"),
    ],
)  # fmt: skip
def test_bad_input(stages: list, depths: list, k: int, word: str) -> None:
    with pytest.raises(Problem, match=word):
        cascade(CANDIDATES, stages, depths, k)


def test_two_stages_give_unseen_candidates_and_both_scores(ratings) -> None:
    vectors = np.random.default_rng(0).normal(size=(ratings.n_items, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items, scores = two_stages(ratings, vectors, 5)
    assert items.shape == (ratings.n_users, 5) and scores.shape == (ratings.n_users, 5, 2)
    seen = ratings.matrix("binary").toarray()
    real = items >= 0
    assert not seen[np.nonzero(real)[0], items[real]].any()
    assert (np.diff(scores[:, :, 0], axis=1)[real[:, 1:]] <= 0).all()


def test_pairs_and_the_best_of_a_list() -> None:
    assert best(CANDIDATES, FIRST, 2).tolist() == [[10, 11], [-1, 21]]
    words = {0: "likes a", 5: ""}
    found = pairs_of(words, ["x", "y", "z"], np.array([0, 5]), np.array([[2, 0], [1, 1]]))
    assert found == (["likes a", "likes a", "unknown", "unknown"], ["z", "x", "y", "y"])
