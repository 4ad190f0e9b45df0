"""AUC over many users' answers: against scikit-learn, by hand, and what the test of a difference may claim."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from recutils.evaluate.pooled import Answers, compare, intervals, pooled
from recutils.evaluate.pooled import _swapped as swapped
from recutils.tables import Problem


def made(n_users: int = 40, each: int = 5, seed: int = 0, good: float = 1.0) -> tuple[Answers, np.ndarray, np.ndarray]:
    """Answers, scores that know something of the labels, and scores that know nothing."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), each)
    labels = rng.random(len(users)) < 0.5
    return Answers(labels, users), labels * good + rng.normal(size=len(users)), rng.normal(size=len(users))


def test_auc_is_scikit_learns_with_ties_too() -> None:
    answers, scores, _ = made()
    for one in (scores, scores.round(), np.zeros(len(scores))):
        assert answers.auc(one) == pytest.approx(roc_auc_score(answers.labels, one), rel=1e-12)


def test_several_starts_count_by_their_mean_auc() -> None:
    answers, one, other = made()
    mean = (roc_auc_score(answers.labels, one) + roc_auc_score(answers.labels, other)) / 2
    assert answers.auc(np.stack([one, other])) == pytest.approx(mean, rel=1e-12)


def test_interval_holds_the_auc_and_is_wider_when_users_answer_alike() -> None:
    answers, scores, _ = made(60)
    one = intervals(answers, {"a": scores}, 0, draws=2000)["a"]
    assert one.mean == pytest.approx(roc_auc_score(answers.labels, scores))
    assert one.low < one.mean < one.high and one.n == 60
    alone = Answers(answers.labels, np.arange(300))
    alike = Answers(np.repeat(answers.labels[:60], 5), answers.users)
    wide, narrow = (
        intervals(which, {"a": one}, 0, draws=2000)["a"]
        for which, one in ((alike, np.repeat(scores[:60], 5)), (alone, scores))
    )
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_bootstrap_is_that_of_drawn_users() -> None:
    answers, scores, _ = made(12)
    found = intervals(answers, {"a": scores}, 0, draws=4000)["a"]
    rng, drawn = np.random.default_rng(5), []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(answers.users == user) for user in rng.integers(0, 12, 12)])
        drawn.append(roc_auc_score(answers.labels[rows], scores[rows]))
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([found.low, found.high], abs=0.02)


def test_parts_of_users_add_up_to_the_difference_under_any_swap() -> None:
    answers, one, other = made(8)
    parts = swapped(answers, one, other)
    ranks = [answers.checked(scores)[0] for scores in (one, other)]
    for seed in range(5):
        turned = np.random.default_rng(seed).random(8)[answers.users] < 0.5
        a, b = np.where(turned, ranks[1], ranks[0]), np.where(turned, ranks[0], ranks[1])
        gap = roc_auc_score(answers.labels, a) - roc_auc_score(answers.labels, b)
        signs = np.where(turned[::5], -1.0, 1.0)
        assert (signs * parts).sum() == pytest.approx(gap, abs=1e-12)


def test_a_real_difference_is_found_and_none_is_not_invented() -> None:
    answers, good, chance = made(80)
    found = compare(answers, {"good": good, "chance": chance}, "chance", 0, draws=1000)["good"]
    assert found.p < 0.01 and found.low > 0.1 and found.delta == pytest.approx(answers.auc(good) - answers.auc(chance))
    ps = []
    for seed in range(60):
        answers, _, one = made(30, seed=seed)
        other = np.random.default_rng(seed + 1000).normal(size=len(one))
        ps.append(compare(answers, {"a": one, "b": other}, "b", 0, draws=200)["a"].p)
    assert np.mean(np.array(ps) < 0.05) < 0.15 and 0.3 < np.mean(ps) < 0.7


def test_the_table_tests_only_the_family() -> None:
    answers, good, chance = made()
    scores = {"base": chance, "good": good, "looked at": np.stack([good, chance])}
    found = pooled(answers, scores, baseline="base", family=("good",), seed=0, draws=200)
    assert list(found.table(dict.fromkeys(scores, "none")).columns)[-1] == "uses"
    records = found.records(seed=0, notebook="n", dataset="d", protocol="p", split="s")
    assert [record.p is None for record in records] == [True, False, True]
    assert records[2].delta is not None and records[0].against is None


@pytest.mark.parametrize(
    ("labels", "users", "told"),
    [([True, True], [0, 1], "both kinds"), ([True, False], [0], "one length"), ([], [], "both kinds")],
)
def test_senseless_answers_are_refused(labels, users, told) -> None:
    with pytest.raises(Problem, match=told):
        Answers(np.array(labels, dtype=bool), np.array(users))


def test_wrong_scores_and_names_are_refused() -> None:
    answers, good, chance = made()
    with pytest.raises(Problem, match="finite"):
        answers.auc(np.where(good > 0, np.nan, good))
    with pytest.raises(Problem, match="baseline"):
        compare(answers, {"good": good}, "nobody", 0)
    with pytest.raises(Problem, match="family"):
        pooled(answers, {"good": good, "b": chance}, baseline="b", family=("b",), seed=0)
