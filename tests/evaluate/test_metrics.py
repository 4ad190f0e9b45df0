"""Accuracy metrics against answers on paper, pytrec_eval, scikit-learn and laws that must hold for any list."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import roc_auc_score

from recutils.evaluate import metrics
from recutils.evaluate.hits import hits, stored_entries
from recutils.tables import Problem

PYTREC = {
    "precision": "P_{k}",
    "recall": "recall_{k}",
    "average_precision_at_all": "map_cut_{k}",
    "ndcg": "ndcg_cut_{k}",
    "hit_rate": "success_{k}",
    "reciprocal_rank": "recip_rank",
}


def case(seed: int, n_users: int = 400, n_items: int = 40, places: int = 12) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Random lists of random lengths and random truth; about one user in six has no truth."""
    rng = np.random.default_rng(seed)
    lists = rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)[:, :places]
    lists = np.where(np.arange(places) < rng.integers(0, places + 1, size=(n_users, 1)), lists, -1)
    relevant = rng.random((n_users, n_items)) < rng.choice([0.0, 0.03, 0.1, 0.4], size=(n_users, 1))
    return lists, sparse.csr_matrix(relevant.astype(np.float32))


def by_pytrec(lists: np.ndarray, truth: sparse.csr_matrix, k: int) -> dict[str, dict[str, float]]:
    """pytrec_eval's answers by user. It breaks ties by descending id and stores float32: ranks stand for scores."""
    relevant = {str(u): {f"i{i}": 1 for i in truth[u].indices} for u in range(len(lists)) if truth[u].nnz}
    places = range(k)
    run = {u: {f"i{lists[int(u), p]}": float(k - p) for p in places if lists[int(u), p] >= 0} for u in relevant}
    asked = {f"P.{k}", f"recall.{k}", f"map_cut.{k}", f"ndcg_cut.{k}", f"success.{k}", "recip_rank"}
    return pytrec_eval.RelevanceEvaluator(relevant, asked).evaluate({u: items for u, items in run.items() if items})


@pytest.mark.parametrize("k", [1, 3, 5, 10, 12])
def test_equal_to_pytrec_eval(k: int) -> None:
    compared = 0
    for seed in range(3):
        lists, truth = case(100 * k + seed)
        ours, theirs = metrics.accuracy(lists, truth, k), by_pytrec(lists, truth, k)
        for user in range(len(lists)):
            answer = theirs.get(str(user))
            for name, pattern in PYTREC.items():
                value = ours[name][user]
                if truth[user].nnz == 0:
                    assert np.isnan(value)
                else:  # pytrec_eval knows no empty list; ours is a list of misses
                    assert value == pytest.approx(answer[pattern.format(k=k)] if answer else 0.0, abs=1e-6)
                    compared += 1
    assert compared > 4500


def test_average_precision_is_pytrec_with_the_other_denominator() -> None:
    lists, truth = case(7)
    n_truth = np.diff(truth.indptr)
    theirs = by_pytrec(lists, truth, 10)
    for user, value in enumerate(metrics.average_precision(lists, truth, 10)):
        if str(user) in theirs:
            cut = theirs[str(user)]["map_cut_10"] * n_truth[user] / min(10, n_truth[user])
            assert value == pytest.approx(cut, abs=1e-6)


def test_on_paper() -> None:
    lists = np.array([[5, 1, 9, 2, 7]])
    truth = sparse.csr_matrix(np.isin(np.arange(10), [1, 2, 3, 7, 8, 0]).astype(float)[None, :])  # 6, hit at 2, 4, 5
    found = {name: values[0] for name, values in metrics.accuracy(lists, truth).items()}
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["recall"] == pytest.approx(3 / 6)
    assert found["average_precision"] == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 5)
    assert found["average_precision_at_all"] == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 6)
    assert found["reciprocal_rank"] == pytest.approx(1 / 2)
    assert found["hit_rate"] == 1
    gain = 0.6309298 + 0.4306766 + 0.3868528
    assert found["ndcg"] == pytest.approx(gain / (1 + 0.6309298 + 0.5 + 0.4306766 + 0.3868528), abs=1e-7)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_limits(name: str) -> None:
    metric = getattr(metrics, name)
    truth = sparse.csr_matrix([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    perfect, nothing = np.array([[2, 0, 1], [0, 1, 2]]), np.array([[3, 4, 5], [3, 4, 5]])
    assert metric(perfect, truth)[0] == 1
    assert metric(nothing, truth)[0] == 0
    assert np.isnan(metric(perfect, truth)[1])
    assert metric(np.full((2, 3), -1), truth)[0] == 0
    assert metric(perfect[:1], truth[:1]).shape == (1,)
    assert np.isnan(metric(perfect, sparse.csr_matrix((2, 6)))).all()
    assert metric(np.empty((0, 3), dtype=int), sparse.csr_matrix((0, 6))).shape == (0,)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_each_function_is_its_row_of_accuracy(name: str) -> None:
    lists, truth = case(3)
    assert np.array_equal(
        getattr(metrics, name)(lists, truth, 4), metrics.accuracy(lists, truth, 4)[name], equal_nan=True
    )


def test_grades_and_stored_zeros() -> None:
    lists = np.array([[0, 1, 2]])
    graded = sparse.csr_matrix(([5.0, 0.0, 3.0], ([0, 0, 0], [0, 1, 2])), shape=(1, 4))
    assert graded.nnz == 3
    assert metrics.recall(lists, graded, 2)[0] == 0.5  # the stored 0 is not relevant, grades count alike
    assert graded.nnz == 3  # the caller's matrix is not changed


def test_items_in_any_order_of_storage() -> None:
    shuffled = sparse.csr_matrix((np.ones(3), [5, 1, 3], [0, 3]), shape=(1, 6))
    assert hits(np.array([[1, 2, 3, 5]]), shuffled).at.tolist() == [[True, False, True, True]]
    assert shuffled.indices.tolist() == [5, 1, 3]
    stored_entries(shuffled)
    assert shuffled.indices.tolist() == [5, 1, 3]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_laws_of_any_list(seed: int, k: int) -> None:
    lists, truth = case(seed, n_users=20)
    found = metrics.accuracy(lists, truth, k)
    has_truth = np.diff(truth.indptr) > 0
    for values in found.values():
        assert np.array_equal(np.isnan(values), ~has_truth)
        assert ((values[has_truth] >= 0) & (values[has_truth] <= 1 + 1e-12)).all()
    kept = {name: values[has_truth] for name, values in found.items()}
    assert (kept["average_precision_at_all"] <= kept["average_precision"] + 1e-12).all()
    assert (kept["reciprocal_rank"] <= kept["hit_rate"]).all()
    order = np.random.default_rng(seed).permutation(20)  # permuting users permutes values
    again = metrics.accuracy(lists[order], truth[order], k)
    assert all(np.array_equal(again[name], found[name][order], equal_nan=True) for name in found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_moving_a_hit_up_never_hurts(seed: int) -> None:
    lists, truth = case(seed, n_users=20)
    at = hits(lists, truth).at
    order = np.argsort(~at, axis=1, kind="stable")  # all hits first
    better = np.take_along_axis(lists, order, axis=1)
    better = np.take_along_axis(better, np.argsort(better == -1, axis=1, kind="stable"), axis=1)
    for name, values in metrics.accuracy(lists, truth).items():
        improved = metrics.accuracy(better, truth)[name]
        assert (improved[~np.isnan(values)] >= values[~np.isnan(values)] - 1e-12).all()


@pytest.mark.parametrize(
    ("lists", "k", "message"),
    [
        ([[0, 1, 1]], None, "row 0 holds one item twice"),
        ([[0, -1, 1]], None, "after a -1"),
        ([[0, 1, 6]], None, r"outside 0\.\.5"),
        ([[0, 1, -2]], None, r"outside 0\.\.5"),
        ([[0, 1, 2]], 0, r"1\.\.3"),
        ([[0, 1, 2]], 4, "got 4"),
        ([0, 1, 2], None, "shape"),
        ([[0.0, 1.0]], None, "integers"),
        ([[0, 1], [1, 2]], None, "2 users judged; got 1 rows"),
    ],
)
def test_refusals(lists: list, k: int | None, message: str) -> None:
    with pytest.raises(Problem, match=message):
        metrics.precision(np.array(lists), sparse.csr_matrix([[1, 0, 0, 0, 0, 0]]), k)


def test_refuses_what_is_no_metric_and_no_sparse_truth() -> None:
    lists, truth = case(1)
    with pytest.raises(Problem, match="'map'"):
        metrics.accuracy(lists, truth, metrics=["map"])
    with pytest.raises(Problem, match="sparse"):
        metrics.recall(lists, truth.toarray())
    with pytest.raises(Problem, match="sums over hits"):
        metrics.by_pair(lists, truth, metric="hit_rate")


@pytest.mark.parametrize("metric", ["ndcg", "recall"])
@pytest.mark.parametrize("k", [1, 4, 12])
def test_pairs_add_up_to_the_metric(metric: str, k: int) -> None:
    lists, truth = case(11)
    pairs = metrics.by_pair(lists, truth, k, metric)
    values = metrics.accuracy(lists, truth, k)[metric]
    by_user = (pairs.value * pairs.weight).groupby(pairs.user).sum()
    assert len(pairs) == truth.nnz
    assert np.allclose(by_user.to_numpy(), values[by_user.index], atol=1e-12)
    assert np.average(pairs.value, weights=pairs.weight) == pytest.approx(np.nanmean(values), rel=1e-12)


def test_auc_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 12, size=(700, 30)).astype(np.float32)  # many ties
    truth = sparse.csr_matrix(rng.random((700, 30)) < 0.2)
    seen = sparse.csr_matrix((rng.random((700, 30)) < 0.3).astype(float))
    ours = metrics.auc(scores, truth, seen)
    compared = 0
    for user in range(700):
        free = seen[user].toarray().ravel() == 0
        wanted = truth[user].toarray().ravel()[free]
        if 0 < wanted.sum() < free.sum():
            assert ours[user] == pytest.approx(roc_auc_score(wanted, scores[user, free]), abs=1e-12)
            compared += 1
        else:
            assert np.isnan(ours[user])
    assert compared > 600


def test_auc_refusals() -> None:
    truth = sparse.csr_matrix([[1, 0, 0]])
    with pytest.raises(Problem, match="one shape"):
        metrics.auc(np.zeros((1, 4)), truth)
    with pytest.raises(Problem, match="finite"):
        metrics.auc(np.array([[0.0, -np.inf, 1.0]]), truth)
    assert np.isnan(metrics.auc(np.zeros((1, 3)), sparse.csr_matrix([[1, 1, 1]]))[0])


def test_further_metrics_follow_from_the_others_and_stand_aside_by_default() -> None:
    lists, truth = case(5)
    found = metrics.accuracy(lists, truth, 10, [*metrics.METRICS, *metrics.FURTHER])
    assert list(metrics.accuracy(lists, truth, 10)) == list(metrics.METRICS) and len(found) == 10
    np.testing.assert_allclose(found["hits"], 10 * found["precision"])
    both = found["precision"] + found["recall"]
    harmonic = 2 * found["precision"] * found["recall"] / np.where(both > 0, both, 1)
    np.testing.assert_allclose(found["f1"], harmonic, atol=1e-12)
    most = np.minimum(np.diff(truth.indptr), 10)
    perfect = np.array([(1 / np.log2(np.arange(2, n + 2))).sum() for n in most])
    np.testing.assert_allclose(found["dcg"], found["ndcg"] * perfect)
    assert np.array_equal(np.isnan(found["f1"]), most == 0)
