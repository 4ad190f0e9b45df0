"""A content key changes with all that results depend on, and with nothing else."""

import json

import pytest

from recutils.report.keys import Keys, changed_parts, imported
from recutils.report.plan import make_plan
from recutils.tables import Problem

CARD = "| **Needs** | data |\n| **Cost** | {} |\n| **Level** | start |"


@pytest.fixture
def toy(build):
    build.module("model.svd", "from ..data import load\n")
    build.module("model.als", "")
    build.module("model.__init__", "")
    build.module("data.__init__", "")
    build.module("data.load", "def f():\n    from recutils import tables\n")
    build.module("tables", "")
    build.module("unused", "")
    build.project.requirements.write_text("numpy==2\n")
    build.project.catalogue.parent.mkdir(parents=True, exist_ok=True)
    build.project.catalogue.write_text('[ml-100k]\nsha = "a"\n[ml-1m]\nsha = "b"\n')
    write(build)
    return build


def write(
    build,
    code="from recutils.model import svd",
    card="old",
    parameters='DATASET: str = "ml-100k"\nK: int = 3',
    **declared,
):
    build.notebook(
        "30_model", code, parameters=parameters, card=CARD.format(card), **({"data": ["ml-100k"]} | declared)
    )


def parts(build, upstream=None, **options):
    (job,) = make_plan(build.project, **options).jobs
    return Keys(build.project).parts(job, upstream or {})


def test_modules_are_followed_through_packages_functions_and_relative_imports(toy):
    names = [name.removeprefix("recutils/") for name in parts(toy)["modules"]]
    assert names == [
        "__init__.py",
        "data/__init__.py",
        "data/load.py",
        "model/__init__.py",
        "model/svd.py",
        "tables.py",
    ]


CHANGES = {
    "a cell": (lambda toy: write(toy, "from recutils.model import svd  # new"), "cells"),
    "a default": (lambda toy: write(toy, parameters='DATASET: str = "ml-100k"\nK: int = 4'), "cells, parameters"),
    "another card row": (lambda toy: write(toy, card="old |\n| **Makes** | more"), "cells"),
    "a module": (lambda toy: toy.module("model.svd", "from ..data import load\nX = 1\n"), "recutils/model/svd.py"),
    "a module behind it": (lambda toy: toy.module("tables", "X = 1\n"), "recutils/tables.py"),
    "the lock": (lambda toy: toy.project.requirements.write_text("numpy==3\n"), "requirements"),
    "the data's entry": (lambda toy: toy.project.catalogue.write_text('[ml-100k]\nsha = "c"\n'), "ml-100k"),
    "threads": (lambda toy: write(toy, threads=2), "threads"),
}
NO_CHANGES = {
    "the measured cost": lambda toy: write(toy, card="12 s and 300 MB"),
    "limits": lambda toy: write(toy, minutes=3, memory_gb=1),
    "a module it does not import": lambda toy: toy.module("unused", "X = 1\n"),
    "another model": lambda toy: toy.module("model.als", "X = 1\n"),
    "other data": lambda toy: toy.project.catalogue.write_text('[ml-100k]\nsha = "a"\n[ml-1m]\nsha = "c"\n'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_key(toy, change):
    before = parts(toy)
    act, named = CHANGES[change]
    act(toy)
    assert changed_parts(before, parts(toy)) == named


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_does_not_change_the_key(toy, change):
    before = parts(toy)
    NO_CHANGES[change](toy)
    assert parts(toy) == before


def test_outputs_of_the_notebook_do_not_count(toy):
    before = parts(toy)
    path = toy.project.notebooks / "30_model.ipynb"
    content = json.loads(path.read_text())
    content["cells"][-1] |= {
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}],
        "execution_count": 9,
    }
    path.write_text(json.dumps(content))
    assert parts(toy) == before


def test_parameters_and_upstream_count(toy):
    before = parts(toy)
    assert changed_parts(before, parts(toy, pairs=["K=4"])) == "parameters"
    assert parts(toy, pairs=["K=3"]) == before
    assert changed_parts(before, parts(toy, pairs=["DATASET=ml-1m"])) == "ml-1m, parameters"
    assert changed_parts(before, parts(toy, upstream={"10_data": "x"})) == "10_data"


def test_own_data_are_hashed(toy):
    folder = toy.project.root / "shop"
    folder.mkdir()
    (folder / "interactions.csv").write_text("user_id,item_id\na,b\n")
    before = parts(toy, pairs=["DATASET=../shop"])
    assert "../shop" in before["data"]
    (folder / "interactions.csv").write_text("user_id,item_id\na,c\n")
    assert changed_parts(before, parts(toy, pairs=["DATASET=../shop"])) == "../shop"
    absolute = parts(toy, pairs=[f"DATASET={folder}"])
    assert str(folder) in absolute["data"]


def test_unknown_data_are_named(toy):
    write(toy, data=["ml-10k"])
    with pytest.raises(Problem, match="'ml-10k' is not in data/catalogue.toml. Did you mean ml-1"):
        parts(toy)


def test_a_file_beside_the_notebooks_counts_when_it_is_mentioned(toy):
    plan = toy.project.notebooks / "plan.toml"
    plan.write_text("a = 1")
    write(toy, code='print(open("other.toml"))')
    before = parts(toy)
    plan.write_text("a = 2")
    assert parts(toy) == before
    toy.module("model.svd", 'PLAN = "plan.toml"')
    write(toy)
    before = parts(toy)
    plan.write_text("a = 3")
    assert changed_parts(before, parts(toy)) == "plan.toml"


def test_a_kept_judgment_counts_when_it_is_mentioned(toy):
    graded = toy.project.root / "data" / "judgments" / "graded.csv"
    graded.parent.mkdir(parents=True)
    graded.write_text("1")
    write(toy, code='print(open("other.csv"))')
    before = parts(toy)
    graded.write_text("2")
    assert parts(toy) == before
    write(toy, code='print("graded.csv")')
    before = parts(toy)
    graded.write_text("3")
    assert changed_parts(before, parts(toy)) == "graded.csv"


def test_the_names_of_notebooks_count_for_one_that_lists_them(toy):
    def listed(code):
        write(toy, code=code)
        before = parts(toy, only="30*")
        toy.notebook("40_new", "1")
        changed = changed_parts(before, parts(toy, only="30*"))
        (toy.project.notebooks / "40_new.ipynb").unlink()
        return changed

    assert listed("print(1)") == "" == listed("print('papermill this.ipynb out.ipynb')")
    assert listed("from pathlib import Path\nprint(Path('40_new.ipynb').is_file())") == "names"
    assert listed("from pathlib import Path\nprint(list(Path().glob('*.ipynb')))") == "names"


def test_imports_that_cannot_be_parsed_do_not_stop_the_run():
    assert list(imported("from recutils import", "")) == []
    assert list(imported("%matplotlib inline\nimport recutils.a as a", "")) == ["recutils.a"]
    assert list(imported("from . import b\nfrom .c import d", "recutils.x")) == ["recutils.x.b", "recutils.x.c.d"]
