"""All notebooks on the smoke profile, through the same command as `make report`, and what they leave on record.

The run is keyed by content: a smoke report afterwards takes what is unchanged from the store.
"""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from recutils.report import extras
from recutils.report.notebooks import discover
from recutils.report.project import Project

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
QUIET = {"99_report_summary"}  # it reads the records of the others and adds none
LACKING = {  # notebooks whose optional packages are not installed here: "not run", which is no failure
    name
    for name, notebook in discover(Project(ROOT)).items()
    if notebook.declared.get("extra") and not extras.installed(Project(ROOT), notebook.declared["extra"])
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run() -> Path:
    """The folder of a finished smoke run."""
    command = [sys.executable, "-m", "recutils", "report", "--profile", "smoke"]
    (ROOT / "reports/runs").mkdir(parents=True, exist_ok=True)
    with (ROOT / "reports/runs/.smoke-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second worker waits, and is then served from the store
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    index = next(line for line in done.stdout.splitlines() if line.startswith("index: "))
    return (ROOT / index.removeprefix("index: ")).parent


@pytest.fixture(scope="module")
def records(run: Path) -> pd.DataFrame:
    return pd.DataFrame(json.loads((run / "metrics.json").read_text(encoding="utf-8")))


def test_every_notebook_ran(run: Path) -> None:
    found = json.loads((run / "run.json").read_text(encoding="utf-8"))["notebooks"]
    expected = {name: "not run" if name in LACKING else "ok" for name in NAMES}
    assert {one["name"]: one["status"] for one in found} == expected
    for name in set(NAMES) - LACKING:
        assert (run / name / f"{name}.html").stat().st_size > 10_000


def test_records_come_from_the_notebooks_that_measure(records: pd.DataFrame) -> None:
    assert set(records.notebook) == set(NAMES) - QUIET - LACKING


def test_records_are_complete(records: pd.DataFrame) -> None:
    assert records.value.notna().all() and (records.n > 0).all()
    shares = records[records.metric.isin(["ndcg", "recall", "precision", "hit_rate", "reciprocal_rank"])]
    assert shares.value.between(0, 1).all()
    told = shares[shares.group != "split seeds"]  # single seeds of a mean that has its interval
    assert ((told.low <= told.value) & (told.value <= told.high)).all()
    compared = records[records.against.notna()]
    assert len(compared) and compared.delta.notna().all()


def test_no_measured_notebook_lacks_its_trivial_baseline(records: pd.DataFrame) -> None:
    lists = records[records.metric == "ndcg"]
    for name, models in lists.groupby("notebook").model:
        assert {"popularity", "random"} & set(models), f"{name} shows no trivial rule beside its models"


def test_popularity_beats_chance_on_real_data(records: pd.DataFrame) -> None:
    part = records[
        (records.notebook == "30_model_baselines") & (records.metric == "ndcg") & (records.group == "known users")
    ]
    chance = part[part.model == "random"].iloc[0]
    assert chance.delta < 0 and chance.against == "popularity"


def test_reports_open_without_a_network(run: Path) -> None:
    for page in run.glob("**/*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text and "@import" not in text and '<link rel="stylesheet" href="http' not in text
