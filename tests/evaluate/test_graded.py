"""Grades as gains, blind pools and the agreement of two readers, each against an independent way to compute it."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.graded import agreement, blind_pool, confusion, grade_table, graded_ndcg, kappa, share_judged
from recutils.tables import Problem


@pytest.fixture
def some():
    rng = np.random.default_rng(3)
    grades = rng.integers(0, 3, (12, 30)).astype(float)
    lists = np.stack([rng.permutation(30)[:10] for _ in range(12)])
    return lists, grades


def test_equals_pytrec_eval(some):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    lists, grades = some
    asked = {str(q): {str(i): int(g) for i, g in enumerate(row)} for q, row in enumerate(grades)}
    run = {str(q): {str(i): float(100 - place) for place, i in enumerate(row)} for q, row in enumerate(lists)}
    found = pytrec_eval.RelevanceEvaluator(asked, {"ndcg_cut.10"}).evaluate(run)
    expected = [found[str(q)]["ndcg_cut_10"] for q in range(len(lists))]
    assert graded_ndcg(lists, grades, 10) == pytest.approx(expected, abs=1e-9)


def test_limits(some):
    _, grades = some
    perfect, worst = (np.argsort(sign * grades, axis=1, kind="stable")[:, :10] for sign in (-1, 1))
    assert graded_ndcg(perfect, grades, 10) == pytest.approx(np.ones(12))
    assert (graded_ndcg(worst, grades, 10) < 0.2).all()
    assert np.isnan(graded_ndcg(perfect, np.zeros(grades.shape), 10)).all()


def test_unjudged_items_gain_nothing_and_are_counted():
    grades = np.array([[2.0, np.nan, 1.0]])
    assert graded_ndcg(np.array([[1, 0]]), grades)[0] < graded_ndcg(np.array([[0, 1]]), grades)[0]
    assert share_judged(np.array([[1, 0]]), grades).tolist() == [0.5]


def test_grades_count_and_not_only_hits():
    grades = np.array([[2.0, 1.0, 0.0]])
    better, worse = (graded_ndcg(np.array([row]), grades)[0] for row in ([0, 1, 2], [1, 0, 2]))
    assert better == 1 and worse == pytest.approx((1 + 2 / np.log2(3)) / (2 + 1 / np.log2(3)))


@pytest.mark.parametrize("grades", [np.array([[-1.0, 0.0]]), np.array([[np.inf, 0.0]]), np.zeros(3)])
def test_broken_grades_are_refused(grades):
    with pytest.raises(Problem, match="grades"):
        graded_ndcg(np.array([[0, 1]]), grades)


def test_the_pool_is_blind_whole_and_the_same_again():
    lists = {"a": np.array([[0, 1, 2], [3, 4, -1]]), "b": np.array([[2, 5, 6], [3, 7, 8]])}
    pool = blind_pool(lists, {"a": 3, "b": 2}, seed=1)
    assert list(pool.columns) == ["query", "item"]
    assert {query: set(part.item) for query, part in pool.groupby("query")} == {0: {0, 1, 2, 5}, 1: {3, 4, 7}}
    assert not pool.duplicated().any() and pool.equals(blind_pool(lists, {"a": 3, "b": 2}, seed=1))
    swapped = blind_pool({"b": lists["b"], "a": lists["a"]}, {"b": 2, "a": 3}, seed=1)
    assert swapped.equals(pool), "the order of systems must not shine through"
    with pytest.raises(Problem, match="depth"):
        blind_pool(lists, {"a": 3}, seed=1)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_kappa_equals_scikit_learn(weights):
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(5)
    first = rng.integers(0, 3, 200)
    second = np.where(rng.random(200) < 0.7, first, rng.integers(0, 3, 200))
    expected = cohen_kappa_score(first, second, weights=weights)
    assert float(kappa(confusion(first, second, 3), weights)) == pytest.approx(expected, abs=1e-12)
    found = agreement(first, second, np.arange(200) % 20, 1, weights=weights, draws=500)
    assert found.mean == pytest.approx(expected) and found.low < expected < found.high and found.n == 20


def test_agreement_of_one_reader_with_himself_and_with_chance():
    rng = np.random.default_rng(6)
    first, other = rng.integers(0, 3, 600), rng.integers(0, 3, 600)
    assert agreement(first, first, np.arange(600) % 30, 1, draws=200).low == 1
    by_chance = agreement(first, other, np.arange(600) % 30, 1, draws=500)
    assert by_chance.low < 0 < by_chance.high


@pytest.mark.parametrize("bad", [[0, 1, np.nan], [0, 1, -1], [0, 1, 1.5]])
def test_a_pair_without_a_whole_grade_is_refused(bad):
    with pytest.raises(Problem, match="whole grades"):
        agreement(np.array(bad), np.array([0, 1, 1]), np.arange(3), 1)


def test_a_pair_graded_twice_is_refused():
    with pytest.raises(Problem, match="twice"):
        grade_table(pd.DataFrame({"query": [0, 0], "item": [1, 1], "grade": [0, 2]}), (1, 2))
