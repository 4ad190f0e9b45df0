"""A learned blend finds the useful model, keeps the seen items out and says what it lacks."""

import numpy as np
import pytest
from scipy import sparse

from recutils.rank import stack
from recutils.rank.stack import Case, Stack, item_facts, learn
from recutils.rank.top import top_k
from recutils.tables import Problem

N_PEOPLE, N_ITEMS = 300, 60


def case(seed: int, *, truth: bool = True) -> Case:
    """`good` foresees what comes next, `noise` does not; a tenth of the items is known."""
    rng = np.random.default_rng(seed)
    good, noise = (rng.normal(size=(N_PEOPLE, N_ITEMS)).astype(np.float32) for _ in range(2))
    known = sparse.csr_matrix((rng.random((N_PEOPLE, N_ITEMS)) < 0.1).astype(np.float32))
    came = sparse.csr_matrix(
        (rng.random((N_PEOPLE, N_ITEMS)) < 1 / (1 + np.exp(3 - 2 * good))) & (known.toarray() == 0)
    )
    counts, means = item_facts(known)
    return Case({"good": good, "noise": noise}, known, counts, means, came.astype(np.float32) if truth else None)


def hits(scores: np.ndarray, one: Case) -> float:
    return float(np.take_along_axis(one.truth.toarray() != 0, top_k(scores, one.known, 5), axis=1).mean())


def test_the_useful_model_is_found() -> None:
    learnt, fresh = learn([case(1), case(2)], seed=0), case(3)
    assert hits(learnt.rank(fresh), fresh) > hits(fresh.mean(), fresh) + 0.1
    assert hits(learnt.rank(fresh), fresh) > 0.95 * hits(fresh.scores["good"], fresh)


def test_a_second_run_is_the_same_and_truth_is_not_read_to_rank() -> None:
    first, second = (learn([case(1)], seed=0).rank(case(3, truth=truth)) for truth in (True, False))
    assert np.array_equal(first, second)


def test_items_outside_the_pool_keep_the_old_order_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "POOL", 20)
    learnt, fresh = learn([case(1)], seed=0), case(3)
    scores, pool = learnt.rank(fresh), fresh.pool()
    inside = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(inside, pool, True, axis=1)
    assert inside.sum() == 20 * N_PEOPLE and not inside[fresh.known.toarray() != 0].any()
    assert scores[inside].min() > scores[~inside].max()
    assert np.array_equal(np.argsort(scores[0][~inside[0]]), np.argsort(fresh.mean()[0][~inside[0]]))


def test_a_stack_scores_histories_with_its_models() -> None:
    fresh = case(3)

    class Fixed:
        def __init__(self, scores: np.ndarray) -> None:
            self.scores = scores

        def score(self, histories: sparse.csr_matrix) -> np.ndarray:
            return self.scores

    models = {name: Fixed(scores) for name, scores in fresh.scores.items()}
    scores = Stack(models, learn([case(1)], seed=0), fresh.counts, fresh.means).score(fresh.known)
    assert scores.shape == (N_PEOPLE, N_ITEMS) and scores.dtype == np.float32
    assert hits(scores, fresh) > hits(fresh.mean(), fresh) + 0.1


def test_item_facts_by_hand() -> None:
    counts, means = item_facts(sparse.csr_matrix([[5.0, 0, 3], [1, 0, 0]]))
    assert counts.tolist() == [2, 0, 1] and means.tolist() == [3, 0, 3]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Problem, match="got 0 cases"):
        learn([], seed=0)
    with pytest.raises(Problem, match="not all with one"):
        learn([case(1, truth=False)], seed=0)
    one = case(1)
    nothing = Case(one.scores, one.known, one.counts, one.means, one.truth * 0)
    with pytest.raises(Problem, match="0 came next"):
        learn([nothing], seed=0)
    other = Case({"noise": one.scores["noise"]}, one.known, one.counts, one.means)
    with pytest.raises(Problem, match="was learnt for the models"):
        learn([one], seed=0).rank(other)
