"""The runner with real kernels: limits, faults, order, store, resumption, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import recutils
from recutils.report import process, store
from recutils.report.plan import make_plan
from recutils.report.run import Runner
from recutils.tables import Problem

REPOSITORY = Path(recutils.__file__).resolve().parents[1]
MEET = """
import time
from pathlib import Path
Path("../{me}").touch()
end = time.time() + 30
while not Path("../{other}").exists():
    assert time.time() < end
    time.sleep(0.05)
"""
WAIT = """
import os, time
from pathlib import Path
while not Path("../go").exists():
    Path("../alive").write_text(f"{os.getpid()}.")
    time.sleep(1)
"""
SETTINGS = """
import os, sys
assert os.environ["OMP_NUM_THREADS"] == "1" and os.environ["PYTHONHASHSEED"] == "0"
assert os.environ["HF_HUB_OFFLINE"] == "1" and sys.executable == {python!r}
assert open("../20_left") and open("../21_right")
"""
COMMAND = "import sys; from recutils.__main__ import main; sys.exit(main())"


def go(project, *, profile="standard", jobs=2, force=False, **options):
    """Run a plan; returns the exit code, the run's folder and its notebooks' entries by name."""
    code = Runner(project, make_plan(project, profile, **options), jobs=jobs, force=force).run()
    run = (project.runs / "latest").resolve()
    return code, run, {entry["name"]: entry for entry in json.loads((run / "run.json").read_text())["notebooks"]}


def command(project, *arguments):
    """The runner as a process of its own."""
    full = [sys.executable, "-c", COMMAND, "report", "--root", str(project.root), *arguments]
    return subprocess.Popen(full, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition, seconds=40):
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def mixed(build_once):
    """One run in which every kind of end occurs."""
    build = build_once()
    build.profile("standard", skip={"18_skipped": "too large"})
    build.notebook("10_fine", build.records("10_fine"), memory_gb=0.5, minutes=0.1)
    build.notebook("11_raises", build.records("11_raises"), "print('before')", "1 / 0", "print('never')")
    build.notebook("12_needs", "print(1)", after=["11_raises"])
    build.notebook("13_killed", "print('alive')", "import os; os.kill(os.getpid(), 9)")
    hang = (
        "import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])"
    )
    build.notebook(
        "14_hangs", hang, "print(f'child {child.pid}.')", "time.sleep(300)", time_limit_minutes=0.25, minutes=9
    )
    build.notebook(
        "15_hog",
        "kept = [bytearray(60_000_000) for _ in range(50) if not __import__('time').sleep(0.05)]",
        memory_gb=0.5,
    )
    build.notebook(
        "16_offline", "class NotReached(Exception):\n    pass\nraise NotReached('toy: no source. Cure: make data')"
    )
    (build.project.root / "pyproject.toml").write_text(
        '[project.optional-dependencies]\nscale = ["surely-not-installed==1"]\n'
    )
    build.notebook("17_extra", "print(1)", extra="scale")
    build.notebook("18_skipped", "print(1)")
    reads = (
        "import json, os\nprint([r['notebook'] for r in json.load(open(os.environ['RECUTILS_RUN'] + '/metrics.json'))])"
    )
    build.notebook("99_report_summary", reads, after=["*"], even_if_failed=True)
    return go(build.project)


def test_the_run_fails_but_every_notebook_is_settled(mixed):
    code, run, entries = mixed
    assert code == 1
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "10_fine": "ok",
        "11_raises": "failed",
        "12_needs": "not run",
        "13_killed": "failed",
        "14_hangs": "failed",
        "15_hog": "failed",
        "16_offline": "not run",
        "17_extra": "not run",
        "18_skipped": "not run",
        "99_report_summary": "ok",
    }
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("name", "message", "fails"),
    [
        ("11_raises", "ZeroDivisionError: division by zero (cell [3])", True),
        ("12_needs", "needs 11_raises, which failed", True),
        ("13_killed", "the kernel died", True),
        ("14_hangs", "stopped: ran longer than 15 seconds (time limit of 14_hangs)", True),
        ("15_hog", "stopped: used more than 0.5 GB (memory limit of 15_hog)", True),
        ("16_offline", "toy: no source. Cure: make data", True),
        ("17_extra", "it needs an extra: make extra-scale", False),
        ("18_skipped", "the profile leaves it out: too large", False),
    ],
)
def test_each_end_is_said_plainly(mixed, name, message, fails):
    _, run, entries = mixed
    assert message in entries[name]["message"]
    assert entries[name]["fails"] is fails
    index = (run / "index.html").read_text()
    assert name in index and message.split(":")[0] in index
    if name in ("11_raises", "13_killed", "14_hangs", "15_hog"):
        assert message.split(" (")[0] in (run / name / f"{name}.html").read_text()


def test_partial_reports_are_kept_but_never_stored(mixed):
    _, run, _ = mixed
    page = (run / "11_raises" / "11_raises.html").read_text()
    assert "before" in page and "ZeroDivisionError" in page and "Cure:" in page
    assert "alive" in (run / "13_killed" / "13_killed.html").read_text()
    assert "child " in (run / "14_hangs" / "14_hangs.ipynb").read_text()
    assert sorted(path.name for path in (run.parent / "store").glob("*/*") if not path.name.startswith(".")) == sorted(
        path.parent.name for path in (run.parent / "store").glob("*/*/done.json")
    )
    assert {path.parent.parent.name for path in (run.parent / "store").glob("*/*/done.json")} == {
        "10_fine",
        "99_report_summary",
    }


def test_a_stopped_notebook_leaves_no_process(mixed):
    _, run, _ = mixed
    notebook = (run / "14_hangs" / "14_hangs.ipynb").read_text()
    numbers = [int(number) for number in re.findall(r"child (\d+)\.", notebook)]
    assert numbers, "the partial notebook shows the child's number"
    assert not any(psutil.pid_exists(number) for number in numbers)


def test_metrics_hold_only_finished_notebooks_and_the_summary_read_them(mixed):
    _, run, _ = mixed
    assert [record["notebook"] for record in json.loads((run / "metrics.json").read_text())] == ["10_fine"]
    assert "['10_fine']" in (run / "99_report_summary" / "99_report_summary.html").read_text()


def test_time_and_memory_are_measured(mixed):
    _, run, entries = mixed
    assert 0.5 < entries["10_fine"]["seconds"] < 60
    assert 50 < entries["10_fine"]["peak_mb"] < 500
    assert entries["15_hog"]["peak_mb"] > 500
    info = json.loads((run / "run.json").read_text())
    assert info["peak_mb"] >= entries["15_hog"]["peak_mb"]
    assert info["machine"]["cores"] >= 1 and info["versions"]["python"]


def test_memory_is_known_even_of_a_notebook_that_nobody_watched(build):
    build.notebook("10_short", build.records("10_short"))
    (job,) = (one for one in make_plan(build.project, "standard").jobs if one.name == "10_short")
    execution = process.start(build.project, job, store.fresh_folder(build.project, job.name), build.project.runs)
    execution.process.wait(60)
    assert execution.peak == 0
    assert execution.poll().status == "ok" and 50e6 < execution.peak < 500e6


def test_side_by_side_in_order_and_the_same_again(build, monkeypatch):
    """Two notebooks that wait for each other's file run together, a third reads what they made; repeats are equal."""
    monkeypatch.setenv("JUPYTER_PATH", str(build.project.root / "foreign"))
    spec = build.project.root / "foreign" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    for me, other in (("20_left", "21_right"), ("21_right", "20_left")):
        build.notebook(me, MEET.format(me=me, other=other), build.records(me, "N / 3"), parameters="N: int = 1")
    build.notebook("05_after", SETTINGS.format(python=sys.executable), after=["20_left", "21_right"])
    code, first, entries = go(build.project)
    assert code == 0 and all(entry["status"] == "ok" and not entry["cached"] for entry in entries.values())

    code, second, entries = go(build.project)
    assert code == 0 and all(entry["cached"] for entry in entries.values())
    assert (second / "20_left" / "20_left.html").is_file()
    code, third, entries = go(build.project, force=True, only="2*")
    assert code == 0 and not any(entry["cached"] for entry in entries.values())
    assert first != second != third
    assert (
        (first / "metrics.json").read_bytes()
        == (second / "metrics.json").read_bytes()
        == (third / "metrics.json").read_bytes()
    )


def test_a_killed_run_resumes_with_nothing_lost(build):
    build.notebook("20_quick", build.records("20_quick"))
    build.notebook(
        "21_long",
        WAIT,
        after=["20_quick"],
    )
    alive = build.project.root / "alive"
    runner = command(build.project)
    until(lambda: alive.exists() and alive.read_text().endswith("."))
    with pytest.raises(Problem, match="another report run is at work"):
        go(build.project)
    runner.kill()
    runner.wait()
    until(lambda: alive.read_text().endswith("."))
    kernel = int(alive.read_text()[:-1])
    until(lambda: not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == "zombie", seconds=15)
    (build.project.root / "go").touch()
    code, run, entries = go(build.project)
    assert code == 0
    assert entries["20_quick"]["cached"] and not entries["21_long"]["cached"]
    assert not list(build.project.store.glob("*/.tmp-*"))


def test_an_interrupt_stops_the_children_and_says_so(build):
    build.notebook(
        "20_long",
        "import os, time\nfrom pathlib import Path\nPath('../alive').write_text(f'{os.getpid()}.')\ntime.sleep(300)",
    )
    build.notebook("21_waits", "print(1)", after=["20_long"])
    alive = build.project.root / "alive"
    runner = command(build.project)
    until(lambda: alive.exists() and alive.read_text().endswith("."))
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert "interrupted" in output and "index: " in output
    assert not psutil.pid_exists(int(alive.read_text()[:-1]))
    info = json.loads((build.project.runs / "latest" / "run.json").read_text())
    assert info["status"] == "interrupted"
    assert [entry["status"] for entry in info["notebooks"]] == ["interrupted", "interrupted"]
    assert "time.sleep" in (build.project.runs / "latest" / "20_long" / "20_long.ipynb").read_text()
    assert not list(build.project.store.glob("*/*/done.json"))


@pytest.fixture
def stub(monkeypatch):
    """In place of papermill and a kernel, a process that copies the notebook and runs a line of Python."""

    def use(line="pass"):
        code = f"import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2]); {line}"
        monkeypatch.setattr(
            process,
            "command",
            lambda job, folder: [
                sys.executable,
                "-c",
                code,
                process.snapshot(job, folder),
                folder / f"{job.name}.ipynb",
            ],
        )

    return use


def test_a_module_that_changes_meanwhile_keeps_the_result_out_of_the_store(build, stub):
    build.module("rule", "X = 1\n")
    stub("open('../recutils/rule.py', 'w').write('X = 2')")
    build.notebook("20_edits", "import recutils.rule")
    code, run, entries = go(build.project)
    assert code == 0 and entries["20_edits"]["status"] == "ok"
    assert not list(build.project.store.glob("*/*/done.json"))
    assert (run / "20_edits" / "20_edits.html").is_file()
    assert go(build.project)[2]["20_edits"]["cached"] is False  # now nothing changes meanwhile
    assert go(build.project)[2]["20_edits"]["cached"] is True


@pytest.mark.parametrize("left", ["not json", "{}", "[1]"])
def test_damaged_records_fail_the_notebook(build, stub, left):
    stub(f"import os; open(os.environ['RECUTILS_OUT'] + '/records.json', 'w').write({left!r})")
    build.notebook("20_quick", "print(1)")
    code, _, entries = go(build.project)
    assert code == 1 and "must be a list of records" in entries["20_quick"]["message"]
    assert not list(build.project.store.glob("*/*"))


def test_only_brings_what_is_needed_by_name_and_takes_the_rest_from_the_store(build, stub):
    stub()
    build.notebook("20_first", "1")
    build.notebook("21_second", "1", after=["20_first"])
    build.notebook("30_other", "1")
    build.notebook("99_all", "1", after=["*"])
    assert list(go(build.project, only="21*")[2]) == ["20_first", "21_second"]
    code, run, entries = go(build.project, only="99*")
    assert code == 0
    assert [entries[name]["status"] for name in sorted(entries)] == ["ok", "ok", "not run", "ok"]
    assert entries["20_first"]["cached"] and "not selected" in entries["30_other"]["message"]


def test_memory_decides_what_runs_side_by_side(build, stub):
    stub("import time; open('../log', 'a').write('+'); time.sleep(.5); open('../log', 'a').write('-')")
    build.profile("standard", memory_gb=3)
    for name in ("20_a", "21_b"):
        build.notebook(name, "1", memory_gb=2)
    assert go(build.project)[0] == 0
    assert (build.project.root / "log").read_text() == "+-+-"


@pytest.mark.parametrize("side_by_side", [False, True])
def test_who_times_things_runs_alone_unless_the_profile_has_no_use_for_times(build, stub, side_by_side):
    stub("import time; open('../log', 'a').write('+'); time.sleep(1.5); open('../log', 'a').write('-')")
    build.profile("standard", side_by_side=side_by_side)
    build.notebook("20_a", "1")
    build.notebook("21_timed", "1", alone=True, minutes=9)
    assert go(build.project)[0] == 0
    assert (build.project.root / "log").read_text() == ("++--" if side_by_side else "+-+-")


def test_what_a_notebook_timed_stands_in_run_json_alone_and_comes_back_from_the_store(build, stub):
    stub(
        "import os; from pathlib import Path; p = Path(os.environ['RECUTILS_OUT'], 'tables'); p.mkdir(); "
        "(p / 'cost_latency.csv').write_text('question,p99 ms\\nknown,9.5\\n'); (p / 'kept.csv').write_text('a\\n1\\n')"
    )
    build.notebook("20_a", "1")
    for cached in (False, True):
        code, run, entries = go(build.project)
        assert code == 0 and entries["20_a"]["cached"] is cached
        assert entries["20_a"]["costs"] == {"cost_latency": [{"question": "known", "p99 ms": "9.5"}]}
        assert "9.5" not in (run / "metrics.json").read_text()


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_kernel_that_died_before_its_first_cell_is_started_once_more(build, stub, deaths):
    stub(
        "import pathlib; p = pathlib.Path('../deaths'); n = len(p.read_text()) if p.exists() else 0; "
        f"p.write_text('x' * (n + 1)); n < {deaths} and (print('Kernel died'), sys.exit(1))"
    )
    build.notebook("20_a", "1")
    code, _, entries = go(build.project)
    assert (code, entries["20_a"]["status"]) == ((0, "ok") if deaths == 1 else (1, "failed"))
    assert (build.project.root / "deaths").read_text() == "xx"


def test_old_versions_leave_the_store(build, stub):
    stub()
    for number in range(store.KEPT + 3):
        build.notebook("20_edited", f"print({number})")
        go(build.project)
    go(build.project)
    assert len(list(build.project.store.glob("20_edited/*/done.json"))) == store.KEPT


def test_a_full_disk_is_a_message(build, stub, monkeypatch):
    stub()
    build.notebook("20_quick", "1")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "keep", full)
    code, _, entries = go(build.project)
    assert code == 1
    assert "No space left on device" in entries["20_quick"]["message"]
    assert not list(build.project.store.glob("*/*"))
    monkeypatch.setattr(store, "clean", full)
    with pytest.raises(Problem, match="No space left"):
        go(build.project)


def test_unknown_things_are_exit_code_2(build):
    build.notebook("20_quick", "print(1)", parameters="TOP_K: int = 10")
    runner = command(build.project, "--param", "TOPK=5")
    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 2
    assert "error: " in output and "Did you mean TOP_K?" in output
    assert not build.project.runs.exists()
    assert os.path.isdir(build.project.notebooks)
