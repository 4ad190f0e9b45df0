"""The summary reads records and decides nothing by itself."""

import json
from pathlib import Path

import pandas as pd
import pytest

from recutils import runs
from recutils.report import summary
from recutils.tables import Problem


def record(model: str, value: float, delta: tuple | None = None, **fields: object) -> dict:
    ends = dict(zip(["delta", "delta_low", "delta_high"], delta or [None] * 3, strict=True))
    base = {"notebook": "30_x", "dataset": "made", "protocol": "H", "split": "temporal, valid", "metric": "ndcg"}
    numbers = {"k": 10, "low": value - 0.01, "high": value + 0.01, "n": 9, "seed": 1, "p": None, "p_holm": None}
    against = "popularity" if delta else None
    return base | numbers | {"group": "all", "model": model, "value": value, "against": against} | ends | fields


ROWS = [
    record("popularity", 0.1),
    record("good", 0.2, (0.1, 0.05, 0.15)),
    record("bad", 0.05, (-0.05, -0.08, -0.01)),
    record("so so", 0.11, (0.01, -0.02, 0.04)),
]


def test_verdicts_follow_the_interval_and_nothing_else() -> None:
    (line,) = summary.verdicts(summary.as_frame(json.dumps(ROWS)))
    assert line.endswith("against *popularity*: above *good*; below *bad*; undecided *so so* (9 users).")


def test_side_by_side_puts_the_best_first_and_leaves_no_nan() -> None:
    table = summary.side_by_side(summary.as_frame(json.dumps(ROWS)))
    assert table.model.tolist() == ["good", "so so", "popularity", "bad"]
    assert table["Δ [95 %]"].tolist() == [
        "0.100 [0.050, 0.150]",
        "0.010 [-0.020, 0.040]",
        "",
        "-0.050 [-0.080, -0.010]",
    ]
    assert table.against.tolist() == ["popularity", "popularity", "", "popularity"]


def test_by_notebook_counts() -> None:
    table = summary.by_notebook(summary.as_frame(json.dumps(ROWS)))
    assert table.to_numpy().tolist() == [["30_x", "made", 4, 4, 1, 3]]


def test_a_corrected_p_overrules_the_interval() -> None:
    (line,) = summary.verdicts(summary.as_frame(json.dumps([record("bad", 0.05, (-0.05, -0.08, -0.01), p_holm=0.06)])))
    assert "undecided *bad*" in line
    (line,) = summary.verdicts(summary.as_frame(json.dumps([record("bad", 0.05, (-0.05, -0.08, -0.01), p_holm=0.04)])))
    assert "below *bad*" in line


def test_a_result_that_two_notebooks_repeat_is_one_result() -> None:
    rows = [*ROWS, *(dict(row, notebook="31_y") for row in ROWS), record("good", 0.3, (0.2, 0.1, 0.3), notebook="31_y")]
    table = summary.side_by_side(summary.as_frame(json.dumps(rows)))
    assert table.model.tolist() == ["good", "good", "so so", "popularity", "bad"]
    assert table.notebook.tolist() == ["31_y", "30_x", "30_x", "30_x", "30_x"]


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "REPORTS", tmp_path)
    monkeypatch.delenv("RECUTILS_RUN", raising=False)
    with pytest.raises(Problem, match="make report PROFILE=smoke"):
        summary.read_records()
    for folder, source in (("published", "published"), ("runs/latest", "newest"), ("mine", "this report")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "metrics.json").write_text(json.dumps(ROWS))
        if folder == "mine":
            monkeypatch.setenv("RECUTILS_RUN", str(tmp_path / folder))
        assert source in summary.read_records()[1]


def test_a_report_without_records_says_so() -> None:
    with pytest.raises(Problem, match="no records yet"):
        summary.as_frame("[]")


def test_types_survive_missing_numbers() -> None:
    frame = summary.as_frame(json.dumps(ROWS[:1]))
    assert frame.delta.isna().all() and frame.delta.dtype == float and isinstance(frame, pd.DataFrame)


def test_costs_are_those_of_finished_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECUTILS_RUN", str(tmp_path))
    (tmp_path / "metrics.json").write_text(json.dumps(ROWS))
    assert summary.costs().empty
    told = [
        {"name": "30_x", "seconds": 2.5, "peak_mb": 300, "status": "ok"},
        {"name": "31_y", "seconds": 1.0, "peak_mb": 100, "status": "running"},
    ]
    (tmp_path / "run.json").write_text(json.dumps({"notebooks": told}))
    assert summary.costs().to_numpy().tolist() == [["30_x", 2.5, 300]]


def test_a_model_that_splits_disagree_on_is_named() -> None:
    rows = [*ROWS, record("so so", 0.2, (0.1, 0.05, 0.15), split="temporal, refitted, test"), *ROWS[:1]]
    assert summary.changed_minds(summary.as_frame(json.dumps(rows))) == ["so so"]
