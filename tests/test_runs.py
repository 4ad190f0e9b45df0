"""A notebook's run: parameters checked, files whole, results kept."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils import runs
from recutils.runs import Run
from recutils.tables import Problem

CELL = 'DATASET: str = "ml-100k"  # name\nTOP_K: int = 10\nSHARE: float = 0.5\nDAYS: list = [1, 2]\n'


@pytest.mark.parametrize("given", ["TOP_K = 20", "SHARE = 1", 'DATASET = "x"\nDAYS = [3]'])
def test_right_parameters_pass(given: str) -> None:
    runs._check_injected(["import x", CELL, f"# Parameters\n{given}\n"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("TOPK = 20", "unknown parameter 'TOPK'.*TOP_K"),
        ('TOP_K = "20"', "TOP_K must be int .default 10.; got '20', a str"),
        ("TOP_K = 2.5", "TOP_K must be int"),
        ("TOP_K = True", "TOP_K must be int"),
        ("DATASET = None", "DATASET must be str"),
    ],
)
def test_wrong_parameters_are_named(given: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        runs._check_injected(["import x", CELL, f"# Parameters\n{given}\n"])


def test_start_uses_the_runners_folder_or_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECUTILS_OUT", str(tmp_path / "out"))
    assert runs.start("30_x", seed=1).out == tmp_path / "out"
    monkeypatch.delenv("RECUTILS_OUT")
    monkeypatch.setattr(runs, "REPORTS", tmp_path / "reports")
    assert runs.start("30_x", seed=1).out == tmp_path / "reports/runs/interactive/30_x"


def test_finish_writes_records_and_cost(tmp_path: Path) -> None:
    run = Run("30_x", 7, tmp_path)
    run.add([{"metric": "ndcg", "value": np.float64(0.5)}])
    shown = run.finish()
    assert json.loads((tmp_path / "records.json").read_text()) == [{"metric": "ndcg", "value": 0.5}]
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["seed"] == 7 and cost["seconds"] >= 0 and cost["peak_mb"] > 1
    assert "records" in shown["run record"].tolist()


def test_a_missing_number_is_never_recorded(tmp_path: Path) -> None:
    run = Run("30_x", 7, tmp_path)
    run.add([{"metric": "ndcg", "value": float("nan")}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.finish()
    assert not (tmp_path / "records.json").exists()


def test_tables_leave_as_csv_and_latex(tmp_path: Path) -> None:
    frame = pd.DataFrame({"model_name": ["a & b", "50 %"], "value": [0.5, 1.0]})
    assert Run("30_x", 7, tmp_path).table("models", frame) is frame
    assert (tmp_path / "tables/models.csv").read_text() == "model_name,value\na & b,0.5\n50 %,1.0\n"
    text = (tmp_path / "tables/models.tex").read_text()
    assert r"model\_name & value \\" in text and r"a \& b & 0.5 \\" in text and r"50 \% & 1.0 \\" in text


def test_per_user_values_can_be_read_again(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": ["u1"], "value": [0.25]})
    Run("30_x", 7, tmp_path).per_user("models", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "per_user/models.parquet"), frame, check_dtype=False)
    assert [path.name for path in (tmp_path / "per_user").iterdir()] == ["models.parquet"]


@pytest.mark.parametrize("name", ["Models", "../x", "a b", ""])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match="lower-case letters"):
        Run("30_x", 7, tmp_path).table(name, pd.DataFrame({"a": [1]}))


def test_no_file_leaves_the_runs_folder(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="leave the run's folder"):
        Run("30_x", 7, tmp_path / "out").path("../other.txt")


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = runs.write_text(tmp_path / "a.txt", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        runs.write_text(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
