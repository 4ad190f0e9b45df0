"""Student copies: no solution code, self-checks that speak, and answers that are never overwritten."""

import ast
import json

import nbformat
import pytest
from nbclient import NotebookClient

from recutils.__main__ import main
from recutils.report import student
from recutils.report.notebooks import discover, read, source, tags
from recutils.report.plan import make_plan
from recutils.report.project import Project
from recutils.report.student import check, edited, take_apart, write
from recutils.runs import ROOT
from recutils.tables import Problem

NOTEBOOKS = [
    *sorted(discover(Project(ROOT)).values(), key=lambda one: one.name),
    read(ROOT / "notebooks/_template.ipynb"),
]
SOLUTION = 'secret = [1, 2]\nanswer = sum(secret)\nassert answer == total, "the sum of both"\nprint(answer)'
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)


def statements(cell: dict) -> list[ast.stmt]:
    return ast.parse(source(cell)).body


def is_open_name(node: ast.stmt) -> bool:
    """name = ..."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is ...


@each_notebook
def test_a_copy_is_valid_and_holds_no_solution(notebook) -> None:
    made = student.copy(notebook)
    nbformat.validate(nbformat.from_dict(made))
    assert "solution" not in {tag for cell in made["cells"] for tag in tags(cell)}
    stubs = [cell for cell in made["cells"] if "exercise" in tags(cell)]
    assert len(stubs) == sum("solution" in tags(cell) for cell in notebook.cells) >= 1
    for stub in stubs:
        assert all(isinstance(node, (ast.Import, ast.ImportFrom)) or is_open_name(node) for node in statements(stub))


@each_notebook
def test_every_assert_of_a_solution_is_checked_in_its_copy(notebook) -> None:
    made = student.copy(notebook)["cells"]
    checked = "\n".join(ast.unparse(ast.parse(source(cell))) for cell in made if "self-check" in tags(cell))
    for cell in notebook.cells:
        for node in ast.walk(ast.parse(source(cell))) if "solution" in tags(cell) else []:
            if isinstance(node, ast.Assert):
                assert ast.unparse(node) in checked
    for cell in made:
        if "self-check" in tags(cell):
            _, frame = statements(cell)
            assert isinstance(frame, ast.With) and frame.items[0].context_expr.args, "a check asks for a name"


@each_notebook
def test_the_lesson_itself_is_untouched(notebook) -> None:
    kept = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    made = student.copy(notebook)["cells"]
    assert kept == [cell for cell in made if not {"exercise", "self-check"} & set(tags(cell))]


def test_the_asserts_are_the_check_and_the_rest_goes() -> None:
    exercise = take_apart(SOLUTION, "10_toy")
    assert exercise.check == 'assert answer == total, "the sum of both"'
    assert (exercise.makes, exercise.reads, exercise.imports) == (("answer",), ("answer",), ())


def test_asserts_inside_a_condition_keep_the_condition() -> None:
    code = "if timed:\n    found = work()\n    assert found > 0, 'more'\nelse:\n    found = 1\nsay(found)"
    assert take_apart(code, "10_toy").check == "if timed:\n    assert found > 0, 'more'"
    code = "found = f()\nif timed:\n    pass\nelse:\n    assert found\n"
    assert take_apart(code, "10_toy").check == "if timed:\n    pass\nelse:\n    assert found"


def test_a_check_line_keeps_all_that_follows() -> None:
    code = "import math\nroot = math.sqrt(2)\n# check\nlimit = 2\nassert root < limit, 'smaller'"
    exercise = take_apart(code, "10_toy")
    assert exercise.check == "limit = 2\nassert root < limit, 'smaller'"
    assert (exercise.makes, exercise.imports) == (("root",), ("import math",))


def test_functions_count_as_answers_and_names_of_earlier_exercises_are_looked_for() -> None:
    exercise = take_apart("def rank(x):\n    assert x\n    return 1\nassert rank(1) == first", "10_toy", ("first",))
    assert exercise.makes == ("rank",) and exercise.reads == ("rank", "first") and "return" not in exercise.check


def test_names_inside_a_comprehension_are_not_asked_for() -> None:
    assert take_apart("rows = [x for x in a]\nassert all(x > 0 for x in rows)", "10_toy").makes == ("rows",)


@pytest.mark.parametrize(
    ("code", "message"), [("answer = 1\nassert total == 3", "one name must be in both"), ("%time f()", "plain Python")]
)
def test_a_solution_that_cannot_be_checked_is_refused(code: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        take_apart(code, "10_toy")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sentences: list[str] = []
    monkeypatch.setattr("recutils.present.say", sentences.append)
    return sentences


def run(code: str) -> None:
    """Code in a namespace of its own, as a notebook's cell."""
    exec(code, {"check": check})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("answer = ...", "Not answered yet.** Give `answer`"),
        ("pass", "Not answered yet.** Give `answer`"),
        ("answer = 4", "Not yet:** three is right"),
        ("answer = 'x'", "TypeError"),
        ("answer = 3", "Passed."),
    ],
)
def test_a_check_says_how_it_stands(said: list[str], answer: str, sentence: str) -> None:
    run(f"{answer}\nwith check('answer'):\n    assert answer + 0 == 3, 'three is right'")
    assert len(said) == 1 and sentence in said[0]


def test_stopping_the_kernel_is_not_swallowed(said: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("answer = 1\nwith check('answer'):\n    raise KeyboardInterrupt")


@pytest.fixture
def toy(build):
    path = build.notebook("10_toy", "total = 3", SOLUTION, "last = total")
    content = json.loads(path.read_text())
    content["cells"][2]["metadata"]["tags"] = ["solution"]
    path.write_text(json.dumps(content))
    return build


def test_the_command_writes_copies_and_keeps_answers(toy, tmp_path, capsys) -> None:
    out = tmp_path / "class"
    command = ["student", "--out", str(out), "--root", str(toy.project.root)]
    assert main(command) == 0 and "1 of 1 student copies" in capsys.readouterr().out
    path = out / "10_toy.ipynb"
    assert "secret" not in path.read_text() and not edited(path)
    content = json.loads(path.read_text())
    content["cells"][2]["source"] = "answer = 3"
    path.write_text(json.dumps(content))
    assert main(command) == 0 and "kept 10_toy" in capsys.readouterr().out
    assert json.loads(path.read_text())["cells"][2]["source"] == "answer = 3"


def test_an_executed_copy_without_answers_is_made_again(toy, tmp_path) -> None:
    write(toy.project, tmp_path / "class")
    path = tmp_path / "class" / "10_toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [output["data"]["text/markdown"] for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len(shown) == 1 and "Not answered yet" in shown[0], "the copy runs to its end and says what is missing"
    nbformat.write(notebook, path)
    toy.notebook("10_toy", "total = 4")
    assert write(toy.project, tmp_path / "class") == {"10_toy": True}
    assert "total = 4" in path.read_text() and "outputs" in path.read_text()


def test_other_files_and_the_notebooks_themselves_are_not_overwritten(toy, tmp_path) -> None:
    (tmp_path / "10_toy.ipynb").write_text("{}")
    assert write(toy.project, tmp_path) == {"10_toy": False}
    with pytest.raises(Problem, match="the notebooks themselves"):
        write(toy.project, toy.project.notebooks)


def test_a_student_can_run_the_first_notebook(tmp_path, monkeypatch) -> None:
    """The real one, on the parameters of the smoke profile, all exercises unanswered."""
    job = next(one for one in make_plan(Project(ROOT), "smoke", only="00*", pairs=[]).jobs if one.name.startswith("00"))
    write(Project(ROOT), tmp_path)
    content = nbformat.read(tmp_path / f"{job.name}.ipynb", as_version=4)
    place = next(n for n, cell in enumerate(content.cells) if "parameters" in tags(cell))
    given = "\n".join(f"{name} = {value!r}" for name, value in job.parameters.items())
    content.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
    monkeypatch.setenv("RECUTILS_OUT", str(tmp_path / "out"))
    NotebookClient(
        content, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    checks = [cell for cell in content.cells if "self-check" in tags(cell)]
    assert checks and all("Not answered yet" in json.dumps(cell.outputs) for cell in checks)
    assert (tmp_path / "out" / "cost.json").is_file()
