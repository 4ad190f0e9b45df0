"""Measures of labelled rows: paper examples, scikit-learn as the oracle, intervals that cover, bad input."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.metrics import log_loss as oracle_log_loss

from recutils.evaluate.labels import auc, auc_draws, calibration_error, judged, measures
from recutils.tables import Problem

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, size=300)
SCORES = np.round(LABELS + RNG.normal(size=300), 1)  # with ties


def two(scores: np.ndarray) -> np.ndarray:
    chance = 1 / (1 + np.exp(-scores))
    return np.column_stack([1 - chance, chance])


def test_auc_is_the_librarys_also_under_weights() -> None:
    assert auc(LABELS, SCORES) == pytest.approx(roc_auc_score(LABELS, SCORES), abs=1e-12)
    weights = RNG.multinomial(300, np.full(300, 1 / 300), size=5).astype(float)
    wanted = [roc_auc_score(LABELS, SCORES, sample_weight=row) for row in weights]
    np.testing.assert_allclose(auc_draws(LABELS, SCORES, weights), wanted, atol=1e-12)


def test_measures_are_the_librarys() -> None:
    chances = two(SCORES)
    found = measures(LABELS, chances)
    rare = int(LABELS.mean() < 0.5)
    assert found["log_loss"] == pytest.approx(oracle_log_loss(LABELS, chances), abs=1e-9)
    assert found["f1_minority"] == pytest.approx(f1_score(LABELS == rare, chances.argmax(1) == rare), abs=1e-12)
    three = RNG.dirichlet(np.ones(3), size=300)
    labels = RNG.integers(0, 3, size=300)
    wanted = roc_auc_score(labels, three, multi_class="ovr")
    assert measures(labels, three)["auc"] == pytest.approx(wanted, abs=1e-12)


def test_calibration_error_of_a_paper_example() -> None:
    chances = np.array([[0.2, 0.8]] * 10)
    assert calibration_error(np.ones(10, int), chances) == pytest.approx(0.2)
    assert calibration_error(np.array([1] * 8 + [0] * 2), np.tile([0.2, 0.8], (10, 1))) == pytest.approx(0.32)


def test_the_interval_of_a_difference_covers_as_often_as_it_says() -> None:
    """Two scores of known AUC difference 0; 200 data sets, 95 % intervals: 95 % cover, within what 200 can tell."""
    rng, inside = np.random.default_rng(1), 0
    for number in range(200):
        labels = rng.integers(0, 2, size=150)
        a, b = (labels + 1.5 * rng.normal(size=150) for _ in range(2))
        gap = judged(labels, {"a": [two(a)], "b": [two(b)]}, seed=number, draws=300).compare("a", "b")
        inside += gap.low <= 0 <= gap.high
    assert 180 <= inside <= 198


def test_a_better_model_is_found_better_and_groups_widen_the_interval() -> None:
    good, poor = two(3.0 * LABELS + RNG.normal(size=300)), two(RNG.normal(size=300))
    found = judged(LABELS, {"good": [good, good], "poor": [poor]}, seed=0, draws=1000)
    gap = found.compare("good", "poor")
    assert gap.low > 0.3 and gap.p < 0.01 and found.loss_bound("good", "poor") < 0
    assert found.verdict("good", "poor", 0.005) == "no worse" and found.verdict("poor", "good", 0.005) == "worse"
    assert found.verdict("good", "good", 0.005) == "no worse" and found.verdict("poor", "poor", -0.1) == "worse"
    assert found.verdict("poor", "good", found.loss_bound("poor", "good", 0.5)) == "undecided"
    assert found.compare("poor", "poor").delta == 0 == found.compare("poor", "poor").high
    doubled = np.concatenate([LABELS, LABELS])
    rows = {"poor": [np.concatenate([poor, poor])]}
    alone = judged(doubled, rows, seed=0, draws=1000).interval("poor")
    grouped = judged(doubled, rows, seed=0, draws=1000, groups=np.tile(np.arange(300), 2)).interval("poor")
    assert np.ptp(grouped) == pytest.approx(np.sqrt(2) * np.ptp(alone), rel=0.15)


def test_seeds_that_differ_widen_the_interval() -> None:
    near, far = two(2.0 * LABELS + RNG.normal(size=300)), two(0.2 * LABELS + RNG.normal(size=300))
    one = judged(LABELS, {"a": [near]}, seed=0, draws=1000).interval("a")
    several = judged(LABELS, {"a": [near, far]}, seed=0, draws=1000).interval("a")
    assert np.ptp(several) > 2 * np.ptp(one)


def test_records_hold_the_family_and_its_correction() -> None:
    chances = {"words": [two(SCORES)], "tuned": [two(4.0 * LABELS + RNG.normal(size=300))], "odd": [two(SCORES / 2)]}
    about = {"notebook": "40_x", "dataset": "planted", "protocol": "p", "split": "test"}
    records = judged(LABELS, chances, seed=0, draws=500).records("words", family=["tuned"], **about)
    tuned = next(one for one in records if (one.model, one.metric) == ("tuned", "auc"))
    assert tuned.p == tuned.p_holm < 0.05 and tuned.low <= tuned.value <= tuned.high and tuned.n == 300
    assert next(one for one in records if (one.model, one.metric) == ("odd", "auc")).p is None
    assert len(records) == 9


@pytest.mark.parametrize(
    ("labels", "chances", "word"),
    [
        (LABELS, SCORES[:, None] @ np.ones((1, 2)), "probabilities"), (LABELS, two(SCORES)[:-1], "one row"),
        (np.zeros(300, int), two(SCORES), "both of them"), (LABELS + 1, two(SCORES), r"0\.\.1"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(labels: np.ndarray, chances: np.ndarray, word: str) -> None:
    with pytest.raises(Problem, match=word):
        judged(labels, {"a": [chances]}, seed=0, draws=10)
