"""The form of every notebook (CONTRIBUTING.md, "Notebooks"), the template among them."""

import ast
import json
import re
from itertools import groupby
from pathlib import Path

import nbformat
import pytest

from recutils.report.keys import COST_ROW
from recutils.report.notebooks import read_parameters, source, tags

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAME = re.compile(r"_template|\d\d_(start|data|encode|model|tune|rank|evaluate|deploy|trust|case|report)_[a-z_]+")
CARD = ["You will learn", "Needs", "Makes", "Cost", "Level"]
BANNED = [r"^\s*!", r"^\s*%pip", r"\bplt\.", r"filterwarnings\(\s*[\"']ignore", r"np\.random\.seed", r"pickle"]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "") -> list[dict]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if kind in ("", cell["cell_type"])]


def lessons(path: Path) -> list[str]:
    """Code cells that the reader works through, solutions apart."""
    return [source(cell) for cell in cells(path, "code") if "solution" not in tags(cell)]


def lines(code: str) -> list[str]:
    return [line for line in code.splitlines() if line.strip()]


def text(path: Path) -> str:
    return "\n\n".join(source(cell) for cell in cells(path, "markdown"))


def section(path: Path, title: str) -> str:
    """What follows a second-level heading, up to the next one."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text(path), flags=re.S | re.M)
    assert found, f"section '{title}' is missing"
    return found.group(1)


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 8


@each_notebook
def test_is_valid_and_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert NAME.fullmatch(path.stem), "a notebook is named NN_stage_topic"
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in cells(path, "code"):
        assert not cell["outputs"] and cell["execution_count"] is None, "outputs are kept in the source"


@each_notebook
def test_begins_with_a_question_and_a_card(path: Path) -> None:
    first = source(cells(path)[0])
    assert re.match(r"# [^\n]+\?\n", first), "the title is a question"
    assert re.findall(r"^\| \*\*(.+?)\*\* \| .+ \|$", first, flags=re.M) == CARD


@each_notebook
def test_second_code_cell_holds_literal_parameters_with_comments(path: Path) -> None:
    code = cells(path, "code")
    assert [tags(cell) for cell in code].index(["parameters"]) == 1
    parameters = read_parameters(source(code[1]), path.name)
    assert "SEED" in parameters
    for line in lines(source(code[1])):
        assert re.match(r"[A-Z][A-Z0-9_]*: [^=]+ = .+  +# .+", line), f"name: type = literal  # comment; got {line}"


@each_notebook
def test_starts_and_finishes_its_run(path: Path) -> None:
    code = [source(cell) for cell in cells(path, "code")]
    assert code[2].startswith(f'run = runs.start("{path.stem}", seed=SEED)')
    assert source(cells(path)[-1]).strip() == 'present.table(run.finish(), "Run record")'


@each_notebook
def test_ends_with_results_takeaways_exercises_and_references(path: Path) -> None:
    section(path, "Results")
    bullets = re.findall(r"^\* .+", section(path, "Takeaways"), flags=re.M)
    assert 3 <= len(bullets) <= 5 and any("fail" in bullet for bullet in bullets), "say when the method fails"
    exercises = section(path, "Exercises")
    assert all(f"*({level})*" in exercises for level in ("easy", "medium", "open"))
    assert sum("solution" in tags(cell) for cell in cells(path, "code")) >= 2
    assert all("We take" in line for line in re.findall(r"^\* .+", section(path, "References"), flags=re.M))


@each_notebook
def test_is_short_and_told_in_small_steps(path: Path) -> None:
    code = lessons(path)
    sizes = sorted(len(lines(cell)) for cell in code)
    words = len(re.findall(r"\w+", COST_ROW.sub("", text(path))))  # that row is measured and written by a command
    assert len(cells(path)) <= 45 and sum(sizes) <= 200, (len(cells(path)), sum(sizes))
    assert sizes[-1] <= 20 and sizes[len(sizes) // 2] <= 7, sizes
    assert (300 if path.stem == "_template" else 500) <= words <= 1700, words
    kinds = [cell["cell_type"] for cell in cells(path) if "solution" not in tags(cell)]
    runs = [len(list(group)) for kind, group in groupby(kinds) if kind == "code"]
    assert max(runs[1:]) <= 3, "more than three code cells in a row without words"


@each_notebook
def test_code_keeps_to_the_house_style(path: Path) -> None:
    for cell in cells(path, "code"):
        code = source(cell)
        found = [rule for rule in BANNED if re.search(rule, code, flags=re.M)]
        assert not found, f"{found} in: {code[:80]}"
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(node, ast.ClassDef), "no class in a notebook: it belongs to recutils"
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, f"{node.name} is longer than ten lines"


@each_notebook
def test_no_measured_number_is_typed_into_prose(path: Path) -> None:
    if path.stem == "02_start_articles":
        return  # it quotes the wrong figures of the articles, which is its subject
    prose = re.sub(r"`[^`]*`|\$[^$]*\$", "", re.sub(r"^\| \*\*Cost.*$", "", text(path), flags=re.M))
    assert not re.findall(r"(?<![\w.])\d*\.\d{2,}(?![\w.])", prose)


@each_notebook
def test_every_figure_and_table_goes_through_present(path: Path) -> None:
    code = "\n".join(lessons(path))
    assert code.count("present.figure(") == code.count("present.show("), "each figure is shown with a finding"
    assert "present.table(" in code
