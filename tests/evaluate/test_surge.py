"""Alarms on streams of known rate: thresholds keep their promise, planted surges ring, chance does not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recutils.evaluate import surge
from recutils.tables import Problem


def _stream(n: int, seed: int, topics: int = 3, share: float = 0.02) -> np.ndarray:
    """Topics 0.. with this share each; the rest is the last one."""
    rng = np.random.default_rng(seed)
    return rng.choice(topics + 1, n, p=[share] * topics + [1 - topics * share])


def test_the_window_is_poissons_tail_over_the_last_texts() -> None:
    hits = np.r_[np.zeros(30), np.ones(4), np.zeros(30)]
    found = surge.levels(hits, 0.05, "window", window=10)
    assert found[0] == 0 and found[33] == pytest.approx(-np.log10(stats.poisson.sf(3, 0.5)))
    assert found[43] == 0, "what left the window counts no more"


def test_the_cusum_adds_evidence_and_never_falls_below_nothing() -> None:
    found = surge.levels(np.r_[np.zeros(50), np.ones(3), np.zeros(500)], 0.05, "cusum")
    assert found[49] == 0 and found[52] == pytest.approx(3 * np.log(3)) and found[-1] == 0
    slow = surge.levels(np.ones(3), 0.5, "cusum")
    assert slow[-1] == pytest.approx(3 * np.log(1.5)), "a common topic cannot grow threefold"


def test_after_an_alarm_the_detector_starts_again() -> None:
    hits = np.r_[np.ones(4), np.zeros(20), np.ones(4)]
    assert surge.alarms(hits, 0.05, "cusum", 4 * np.log(3) - 1e-9).tolist() == [3, 27]
    assert not len(surge.alarms(hits, 0.05, "cusum", 99.0))


@pytest.mark.parametrize("detector", surge.DETECTORS)
def test_thresholds_allow_what_was_asked_and_hold_on_another_quiet_stream(detector: str) -> None:
    quiet = dict.fromkeys(range(3), 0.02)
    threshold = surge.threshold_for(_stream(4000, 0), quiet, detector, 4)
    assert surge.count_alarms(_stream(4000, 0), quiet, detector, threshold) <= 4
    assert surge.count_alarms(_stream(4000, 0), quiet, detector, 0.9 * threshold) >= 4
    assert surge.count_alarms(_stream(4000, 1), quiet, detector, threshold) <= 16
    strict = surge.threshold_for(_stream(4000, 0), quiet, detector, 0)
    assert strict > threshold


def test_planted_surges_ring_and_larger_ones_more_often() -> None:
    labels = _stream(3000, 2)
    quiet = {"true topics": surge.shares(_stream(4000, 0), range(3))}
    rules = surge.rules_for({"true topics": _stream(4000, 0)}, quiet, 3)
    planted = surge.surges(labels, labels, range(3), 1, extras=[1, 40], repeats=6)
    table = surge.caught_table(surge.trial(planted, rules, quiet), 0, draws=200).set_index(["detector", "extra"])
    for detector in surge.DETECTORS:
        assert table.loc[detector, 40].caught > 0.9 and table.loc[detector, 1].caught < 0.5
        assert 0 < table.loc[detector, 40].delay < 240
    calm = surge.false_alarms({"true topics": labels}, rules, quiet)
    assert (calm.low <= calm.rate).all() and (calm.texts == 3000).all()
    records = surge.records(calm, table.reset_index(), notebook="n", dataset="d", protocol="p", seed=0)
    assert len(records) == len(calm) + len(table) and len({one.identity for one in records}) == len(records)


def test_a_planted_stream_is_the_old_one_with_copies_inside_the_span() -> None:
    labels, guesses = _stream(500, 3), _stream(500, 4)
    one = surge.plant(labels, guesses, 0, np.random.default_rng(0), start=100, extra=20, span=50)
    assert len(one.labels) == 520 and one.end == 170
    assert (one.labels[:100] == labels[:100]).all() and (one.labels[170:] == labels[150:]).all()
    assert (one.labels[100:170] == 0).sum() == (labels[100:150] == 0).sum() + 20
    copies = {(label, guess) for label, guess in zip(labels, guesses, strict=True) if label == 0}
    assert set(zip(one.labels[one.labels == 0], one.guesses[one.labels == 0], strict=True)) <= copies


def test_rates_have_poissons_exact_interval() -> None:
    rate, low, high = surge.per_thousand(0, 2000)
    assert (rate, low) == (0, 0) and high == pytest.approx(3.689 / 2, rel=1e-3)
    rate, low, high = surge.per_thousand(10, 1000)
    assert low == pytest.approx(4.795, rel=1e-3) and high == pytest.approx(18.39, rel=1e-3)


def test_a_surge_outside_its_span_is_not_caught() -> None:
    one = surge.Planted(np.r_[np.zeros(5), np.ones(20)].astype(int), np.zeros(25, dtype=int), 0, 4)
    assert np.isnan(surge.caught(one.labels, one, 1, 0.05, ("cusum", 3.0)))


def test_bad_input_is_told() -> None:
    with pytest.raises(Problem, match="detector"):
        surge.levels(np.ones(3), 0.1, "ear")
    with pytest.raises(Problem, match="quiet rate"):
        surge.levels(np.ones(3), 0.0, "cusum")
    with pytest.raises(Problem, match="allowed"):
        surge.threshold_for(np.zeros(9), {1: 0.1}, "cusum", -1)
    with pytest.raises(Problem, match="topic 7 has 0 texts"):
        surge.plant(np.zeros(50), np.zeros(50), 7, np.random.default_rng(0), start=0, extra=2, span=10)
    empty = surge.caught_table(pd.DataFrame(columns=["topic", "extra", "source", "detector", "delay"]), 0)
    assert not len(empty)
