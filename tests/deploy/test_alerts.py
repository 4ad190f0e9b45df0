"""The shipped rules file, its small grammar, the rules' clock, and thresholds that are learnt."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from prometheus_client import generate_latest

from recutils.deploy import alerts
from recutils.deploy.alerts import Watch, gauges, rules, scraped
from recutils.deploy.telemetry import GAUGES, Telemetry
from recutils.tables import Problem


def one(expr: str, hold: str = "0s") -> str:
    rule = {"alert": "A", "expr": expr, "for": hold, "labels": {"severity": "page"}}
    rule["annotations"] = {"summary": "s", "action": "a"}
    return yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]})


def watch(tmp_path: Path, expr: str, hold: str = "0s") -> Watch:
    (tmp_path / "rules.yml").write_text(one(expr, hold))
    return Watch(rules(tmp_path / "rules.yml"))


def test_every_series_of_the_shipped_rules_is_one_that_the_service_exports() -> None:
    known = generate_latest(Telemetry().registry).decode()
    for rule in rules():
        names = {name for name, _ in alerts.GAUGE.findall(rule.expr) if name.startswith("recutils")}
        assert names
        for name in names:
            assert name in GAUGES or name.removesuffix("_bucket").removesuffix("_count") in known, (rule.name, name)
        assert rule.summary and rule.action and rule.severity in ("page", "ticket")


def test_a_quiet_service_fires_nothing() -> None:
    telemetry = Telemetry()
    telemetry.ready.set(1)
    clock = Watch(rules())
    for minute in range(12):
        telemetry.answers.labels("/r", 200).inc(50)
        telemetry.seconds.labels("/r").observe(0.003)
        assert clock.look(60.0 * minute, scraped(generate_latest(telemetry.registry).decode())) == []


def test_errors_slow_answers_and_refused_bundles_fire_from_the_real_exposition() -> None:
    telemetry, clock, fired = Telemetry(), Watch(rules()), set()
    telemetry.ready.set(1)
    telemetry.answers.labels("/r", 500)
    for minute in range(12):
        telemetry.answers.labels("/r", 200).inc(90)
        telemetry.answers.labels("/r", 500).inc(10)
        for seconds in [0.003] * 9 + [0.4]:
            telemetry.seconds.labels("/r").observe(seconds)
        if minute == 6:
            telemetry.reloads.labels("refused").inc()
        fired |= set(clock.look(60.0 * minute, scraped(generate_latest(telemetry.registry).decode())))
    assert fired == {"ErrorsServed", "AnswersSlow", "BundleRefused"}


def test_a_rule_fires_only_after_its_whole_for_and_starts_anew(tmp_path: Path) -> None:
    clock = watch(tmp_path, "recutils_cold_share > 0.5", "2m")
    values = [0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.6, 0.5]
    fired = [clock.look(60 * n, gauges([("recutils_cold_share", "", value)])) for n, value in enumerate(values)]
    assert [bool(names) for names in fired] == [False, False, False, False, False, True, True, False]


def test_an_absent_series_and_a_zero_divisor_do_not_fire(tmp_path: Path) -> None:
    assert watch(tmp_path, "recutils_cold_share < 1").look(0, {}) == []
    clock = watch(tmp_path, "sum(rate(a_total[5m])) / sum(rate(b_total[5m])) >= 0")
    flat = {("a_total", frozenset()): 3.0, ("b_total", frozenset()): 7.0}
    assert clock.look(0, flat) == [] == clock.look(60, flat)


def test_rates_sum_over_series_and_forgive_a_restart(tmp_path: Path) -> None:
    clock = watch(tmp_path, 'sum(rate(a_total{s=~"5.."}[5m])) * 60 > 2.9')
    bad, worse, good = (("a_total", frozenset({("s", code)})) for code in ("500", "503", "200"))
    assert clock.look(0, {bad: 10, worse: 5, good: 0}) == []
    assert clock.look(60, {bad: 12, worse: 6, good: 900}) == ["A"]
    assert clock.look(120, {bad: 1, worse: 6, good: 950}) == [], "(3 + 1) in two minutes"


@pytest.mark.parametrize(
    "expr",
    [
        "recutils_ready",
        "absent(recutils_ready) > 0",
        "a > 1 and b > 2",
        "avg_over_time(a[5m]) > 1",
        "__import__('os') > 1",
    ],
)
def test_what_is_not_understood_is_refused_when_the_file_is_read(tmp_path: Path, expr: str) -> None:
    (tmp_path / "rules.yml").write_text(one(expr))
    with pytest.raises(Problem):
        rules(tmp_path / "rules.yml")


def test_a_rule_must_name_one_series(tmp_path: Path) -> None:
    clock = watch(tmp_path, "recutils_drift_psi > 0.1")
    with pytest.raises(Problem, match="2 series"):
        clock.look(0, gauges([("recutils_drift_psi", "score", 1.0), ("recutils_drift_psi", "length", 0.0)]))


@pytest.mark.parametrize("text", ["", "groups: 3", "groups: [{rules: [{}]}]", "a: [b"])
def test_another_file_is_a_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.yml").write_text(text)
    with pytest.raises(Problem, match="no file of alert rules"):
        rules(tmp_path / "rules.yml")


def test_learnt_thresholds_are_written_into_the_same_file(tmp_path: Path) -> None:
    text = alerts.with_thresholds({"ColdRequests": 0.0000004, "CoverageLow": 0.125})
    (tmp_path / "rules.yml").write_text(text)
    before, after = rules(), rules(tmp_path / "rules.yml")
    changed = {b.name: b.threshold for a, b in zip(before, after, strict=True) if a != b}
    assert changed == {"ColdRequests": 0.0, "CoverageLow": 0.125}
    assert [rule.threshold for rule in alerts.moved(before, changed)] == [rule.threshold for rule in after]
    with pytest.raises(Problem, match="no alert"):
        alerts.with_thresholds({"Nothing": 1.0})


def test_a_gauge_of_the_window_is_found_behind_its_rule() -> None:
    found = {rule.name: rule.feature for rule in alerts.on_window(rules())}
    assert found["ScoresMoved"] == ("recutils_drift_psi", "score")
    assert found["ColdRequests"] == ("recutils_cold_share", "") and "NotReady" not in found
    assert np.isclose(alerts.seconds("5m"), 300)
    with pytest.raises(Problem, match="duration"):
        alerts.seconds("5 min")
