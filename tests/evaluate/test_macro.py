"""Macro-F1 against scikit-learn; rare classes weigh as much as common ones; comparisons are paired."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from recutils.evaluate.macro import by_taught, class_f1, judge_classes
from recutils.tables import Problem

RNG = np.random.default_rng(0)
TRUTH = RNG.choice(6, 300, p=[0.5, 0.3, 0.1, 0.06, 0.04, 0.0])
GOOD = np.where(RNG.random(300) < 0.8, TRUTH, RNG.integers(0, 6, 300))
POOR = np.where(RNG.random(300) < 0.4, TRUTH, RNG.integers(0, 6, 300))


def test_macro_f1_is_scikit_learns_over_the_classes_that_occur() -> None:
    found = judge_classes(TRUTH, {"good": GOOD}, 6, seed=0, draws=200)
    known = f1_score(TRUTH, GOOD, labels=np.unique(TRUTH), average="macro")
    assert found.value("good") == pytest.approx(known, rel=1e-12)
    assert found.value("good", "accuracy") == np.mean(TRUTH == GOOD) and np.isnan(class_f1(TRUTH, GOOD, 6)[5])


def test_a_rule_that_names_the_commonest_class_is_seen_through() -> None:
    found = judge_classes(TRUTH, {"majority": np.zeros(300, dtype=int), "good": GOOD}, 6, seed=0, draws=200)
    assert found.value("majority", "accuracy") > 0.4 and found.value("majority") < 0.15
    assert (found.levels.low <= found.levels.macro_f1).all() and (found.levels.macro_f1 <= found.levels.high).all()


def test_models_share_the_draws_and_the_sign_turns_with_the_pair() -> None:
    found = judge_classes(TRUTH, {"good": GOOD, "poor": POOR, "again": GOOD}, 6, seed=0, draws=500)
    one, other = found.compare("good", "poor"), found.compare("poor", "good", level=0.99)
    assert one.low > 0 and one.p < 0.05 and one.delta == -other.delta and other.high - other.low > one.high - one.low
    same = found.compare("good", "again")
    assert (same.delta, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_no_answer_is_a_miss_and_bad_input_is_told() -> None:
    assert class_f1(np.array([0, 0, 1]), np.array([0, -1, 1]), 2).round(3).tolist() == [0.667, 1.0]
    with pytest.raises(Problem, match="one length"):
        class_f1(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(Problem, match=r"0\.\.1"):
        class_f1(np.array([0, 2]), np.array([0, 1]), 2)


def test_records_and_bands() -> None:
    found = judge_classes(TRUTH, {"good": GOOD}, 6, seed=0, draws=100)
    records = found.records(notebook="n", dataset="d", protocol="p", split="test", seed=1)
    assert [one.metric for one in records] == ["macro_f1", "accuracy"] and records[0].low <= records[0].value
    bands = by_taught({"good": np.array([0.2, 0.4, np.nan, 1.0])}, np.array([0, 3, 3, 50]), [0, 1, 10])
    assert bands["training texts"].tolist() == ["0", "1 to 9", "10 or more"]
    assert bands.classes.tolist() == [1, 1, 1] and bands["mean F1, good"].tolist() == [0.2, 0.4, 1.0]


def test_the_interval_does_not_sit_above_the_figure_when_rare_classes_are_hard() -> None:
    truth = np.r_[np.zeros(200, dtype=int), np.arange(1, 21)]
    answers = np.where(truth == 0, truth, np.where(truth % 2, 0, truth))  # every second rare class is never found
    found = judge_classes(truth, {"a": answers}, 21, seed=0, draws=500)
    assert abs(np.median(found.draws["a"]) - found.value("a")) < 0.02 < found.value("a")
