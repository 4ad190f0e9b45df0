"""metrics.json, the comparison of two runs, and what is said while a run goes."""

import io
import json
import random

import pytest

from recutils.report import store
from recutils.report.diff import differences, show
from recutils.report.progress import Progress, span
from recutils.report.results import commit, find_run, machine, metrics_text, read_records, versions
from recutils.tables import Problem


def record(model="svd", value=0.5, **more):
    return {
        "notebook": "31_model_svd",
        "dataset": "toy",
        "split": "valid",
        "model": model,
        "metric": "ndcg",
        "k": 10,
        "value": value,
    } | more


def test_metrics_do_not_depend_on_the_order_of_records():
    records = [
        record(model, k=k, group=group, seed=seed)
        for model in "ab"
        for k in (5, 10, None)
        for group in (None, "x")
        for seed in (1, None)
    ]
    first = metrics_text(records)
    random.Random(3).shuffle(records)
    assert metrics_text(records) == first
    assert json.loads(first)[0]["model"] == "a" and len(first.splitlines()) == len(records) + 2


def test_metrics_keep_every_digit():
    assert json.loads(metrics_text([record(value=0.1 + 0.2)]))[0]["value"] == 0.1 + 0.2
    assert metrics_text([]) == "[]\n"


def test_nan_becomes_null(tmp_path):
    (tmp_path / "records.json").write_text('[{"value": NaN, "low": -Infinity, "n": 3}]')
    assert read_records(tmp_path) == [{"value": None, "low": None, "n": 3}]
    assert read_records(tmp_path / "none") == []


def write(build, name, records):
    folder = build.project.runs / name
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(metrics_text(records))
    return folder


def test_differences_are_named():
    before = [record(), record("als"), record("popularity", against="x")]
    after = [record(value=0.25, n=3), record("popularity", against="x"), record("random")]
    assert differences(before, after) == [
        "appeared  31_model_svd toy valid ndcg@10 random",
        "differs   31_model_svd toy valid ndcg@10 svd: n None -> 3, value 0.5 -> 0.25",
        "vanished  31_model_svd toy valid ndcg@10 als",
    ]
    assert differences(before, before[::-1]) == []


def test_records_about_the_same_thing_are_counted():
    assert len(differences([record()], [record(), record()])) == 1


def test_exit_codes_of_diff(build):
    lines = []
    one = write(build, "standard-1", [record()])
    write(build, "standard-2", [record(value=0.6)])
    assert show(build.project, "standard-1", str(one), lines.append) == 0
    assert show(build.project, "standard-1", "standard-2", lines.append) == 1
    assert "equal: 1 records" in lines[0] and "1 differences" in lines[-1]
    with pytest.raises(Problem, match="no run 'standard-3'.*Did you mean standard-"):
        show(build.project, "standard-1", "standard-3", lines.append)


def test_runs_are_found_by_name_but_not_the_store(build):
    run = write(build, "standard-1", [])
    store.point_latest(build.project, run)
    assert find_run(build.project) == find_run(build.project, "standard-1") == run.resolve()
    write(build, "store", [])
    with pytest.raises(Problem):
        find_run(build.project, "store")


def test_the_lock_keeps_a_second_runner_out_and_is_freed(build):
    with (
        store.lock(build.project),
        pytest.raises(Problem, match=r"another report run is at work \(process \d+"),
        store.lock(build.project),
    ):
        pass
    with store.lock(build.project):
        pass


def test_two_runs_in_one_second_have_two_folders(build):
    assert len({store.new_run(build.project, "smoke") for _ in range(3)}) == 3


def test_circumstances(build):
    build.project.requirements.write_text("numpy==1\nno-such-package==2  # x\n")
    found = versions(build.project)
    assert found["numpy"][0].isdigit() and found["no-such-package"] == "not installed" and "python" in found
    assert machine()["memory_gb"] > 0.5
    assert commit(build.project) == (None, True)


def test_spans():
    assert [span(seconds) for seconds in (0.04, 9.9, 42.4, 65, 3600, 7260)] == [
        "0.0 s",
        "9.9 s",
        "42 s",
        "1 min 05 s",
        "1 h 00 min",
        "2 h 01 min",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_live_line(tmp_path):
    stream = Terminal()
    progress = Progress(tmp_path / "log.txt", stream)
    progress.tick("1/3 done, a long line")
    progress.tick("2/3 done")
    progress.event("ok a")
    assert stream.getvalue().startswith("\r1/3 done, a long line\r2/3 done")
    assert stream.getvalue().endswith("\rok a\n") and stream.getvalue().count("\n") == 1
    assert (tmp_path / "log.txt").read_text().endswith(" ok a\n")


def test_elsewhere_there_are_events_and_a_heartbeat(tmp_path, monkeypatch):
    stream, clock = io.StringIO(), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = Progress(tmp_path / "log.txt", stream, 100.0)
    for clock[0] in (101.0, 120.0, 131.0, 140.0, 162.0):
        progress.tick(f"at {clock[0]:.0f}")
    assert stream.getvalue() == "at 131\nat 162\n"
