"""Publishing: what may be published, what is written, and that the tables stay true."""

import json
import shutil

import pytest

from recutils.report import publish
from recutils.report.keys import Keys
from recutils.report.plan import make_plan
from recutils.report.results import circumstances, metrics_text
from recutils.tables import Problem

MARKS = """# Project

before
<!-- results:start -->
old
<!-- results:end -->
between
<!-- notebooks:start -->
<!-- notebooks:end -->
after
"""
CARD = """| | |
|---|---|
| **Needs** | ml-100k |
| **Makes** | a \\| b |
| **Cost** | not measured |
| **Level** | start |"""
SUBJECT = {"notebook": "31_model_svd", "dataset": "toy", "split": "valid", "model": "svd"}
RECORDS = [
    SUBJECT | {"metric": "rmse", "value": 0.9425, "low": 0.94, "high": 0.95, "n": 9, "group": None},
    SUBJECT | {"metric": "rmse", "value": 0.8, "n": 3, "group": "women"},
    SUBJECT | {"metric": "ndcg", "k": 10, "value": 0.05, "n": 9, "group": "all"},
]


@pytest.fixture
def finished(build):
    """A project with a finished standard run, whose files were written by hand."""
    build.notebook("31_model_svd", "1", title="Does SVD help?", card=CARD, publish=["map"])
    (build.project.root / "README.md").write_text(MARKS)
    (build.project.notebooks / "README.md").write_text("# Index\n<!-- notebooks:start -->\n<!-- notebooks:end -->\n")
    run = build.project.runs / "standard-1"
    for figure in ("published_main", "map", "other"):
        path = run / "31_model_svd" / "figures" / f"{figure}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(figure.encode())
    (run / "metrics.json").write_text(metrics_text(RECORDS))
    entry = {
        "name": "31_model_svd",
        "title": "Does SVD help?",
        "status": "ok",
        "seconds": 75.0,
        "peak_mb": 1234,
        "publish": ["map"],
        "cached": False,
    }
    info = circumstances(build.project) | {
        "id": "standard-1",
        "profile": "standard",
        "status": "ok",
        "only": "",
        "changed": {},
        "readme": [],
        "dirty": False,
        "notebooks": [entry],
    }
    info["machine"]["cores"] = 2
    (run / "run.json").write_text(json.dumps(info))
    return build.project


def change(project, **changes):
    path = project.runs / "standard-1" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def go(project, **options):
    lines = []
    return publish.publish(project, "standard-1", lines.append, **options), lines


def tree(project):
    return {path.relative_to(project.root): path.read_bytes() for path in project.root.rglob("*") if path.is_file()}


def test_the_published_folder(finished):
    assert go(finished)[0] == 0
    names = sorted(
        path.relative_to(finished.published).as_posix() for path in finished.published.rglob("*") if path.is_file()
    )
    assert names == [
        "figures/31_model_svd_main.png",
        "figures/31_model_svd_map.png",
        "metrics.json",
        "run.json",
        "summary.md",
    ]
    summary = (finished.published / "summary.md").read_text()
    assert "0.943 [0.940, 0.950]" in summary or "0.942 [0.940, 0.950]" in summary
    assert "](figures/31_model_svd_main.png)" in summary and "standard-1" in summary
    assert not list((finished.root / "reports").glob(".published*"))


def test_a_summary_written_by_a_notebook_is_taken(finished):
    path = finished.runs / "standard-1" / "99_report_summary" / "summary.md"
    path.parent.mkdir()
    path.write_text("# Written\n")
    go(finished)
    assert (finished.published / "summary.md").read_text() == "# Written\n"


def test_the_tables_of_the_readme(finished):
    go(finished)
    text = (finished.root / "README.md").read_text()
    assert text.startswith("# Project\n\nbefore\n<!-- results:start -->\n|") and text.endswith(
        "<!-- notebooks:end -->\nafter\n"
    )
    assert "| rmse |" in text and "| ndcg@10 |" in text and "women" not in text and "old" not in text
    row = "| 31_model_svd | [Does SVD help?](notebooks/31_model_svd.ipynb) | ml-100k |"
    assert row in text and "| 1 min 15 s | 1,234 MB |" in text
    assert "[Does SVD help?](31_model_svd.ipynb)" in (finished.notebooks / "README.md").read_text()


def test_the_profile_chooses_what_the_readme_shows(finished):
    change(finished, readme=[{"metric": ["rmse", "mae"], "group": "women"}])
    go(finished)
    text = (finished.root / "README.md").read_text()
    assert "rmse (women)" in text and "ndcg" not in text


def test_the_cost_row_is_rewritten_and_nothing_else(finished):
    path = finished.notebooks / "31_model_svd.ipynb"
    before = path.read_text()
    key = Keys(finished).parts(make_plan(finished).jobs[0], {})
    go(finished)
    after = path.read_text()
    assert (
        before.replace(
            "| **Cost** | not measured |",
            "| **Cost** | 1 min 15 s and 1,234 MB at most (standard profile, 2 cores, no GPU) |",
        )
        == after
    )
    assert Keys(finished).parts(make_plan(finished).jobs[0], {}) == key
    go(finished)
    assert path.read_text() == after


def test_publishing_again_changes_nothing(finished):
    go(finished)
    before = tree(finished)
    assert go(finished) == (0, ["published standard-1 in reports/published"])
    assert tree(finished) == before


def test_check_finds_tables_that_are_not_true(finished):
    lines = []
    assert publish.check(finished, lines.append) == 1 and "README.md" in lines[0] and "--tables" in lines[0]
    go(finished)
    assert publish.check(finished, lines.append) == 0
    readme = finished.root / "README.md"
    readme.write_text(readme.read_text().replace("0.050", "0.060"))
    assert publish.check(finished, lines.append) == 1
    assert publish.write_tables(finished, lines.append) == 0
    assert publish.check(finished, lines.append) == 0 and "0.050" in readme.read_text()


def test_before_the_first_publication_the_tables_say_so(finished):
    publish.write_tables(finished, print)
    text = (finished.root / "README.md").read_text()
    assert "No results are published yet." in text and "not measured yet" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profile": "smoke"}, "only 'standard' is published"),
        ({"only": "31*"}, "it ran only '31\\*'"),
        ({"changed": {"K": "3"}}, "it changed parameters"),
        ({"status": "failed"}, "its status is 'failed'"),
        ({"status": "running"}, "its status is 'running'"),
        ({"dirty": True}, "its files were not committed"),
    ],
)
def test_other_runs_are_refused_and_nothing_is_written(finished, changes, message):
    change(finished, **changes)
    before = tree(finished)
    with pytest.raises(Problem, match=message):
        go(finished)
    assert tree(finished) == before


def test_a_dirty_run_on_request(finished):
    change(finished, dirty=True)
    assert go(finished, allow_dirty=True)[0] == 0


def test_a_missing_mark_is_found_before_anything_is_written(finished):
    (finished.root / "README.md").write_text("# Project\n<!-- results:start -->\n")
    before = tree(finished)
    with pytest.raises(Problem, match="<!-- results:end -->"):
        go(finished)
    assert tree(finished) == before


def test_too_many_figures_are_refused(finished):
    figures = finished.runs / "standard-1" / "31_model_svd" / "figures"
    for number in range(publish.MAX_FIGURES):
        shutil.copy(figures / "map.png", figures / f"published_{number}.png")
    with pytest.raises(Problem, match=f"at most {publish.MAX_FIGURES}"):
        go(finished)
    assert not finished.published.exists()


def test_an_unknown_run_is_named(finished):
    with pytest.raises(Problem, match="Did you mean standard-1"):
        publish.publish(finished, "standard-2", print)
