"""The repository's own rules: pins agree, files exist, imports run one way, modules are small, no machine is named."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "recutils").rglob("*.py"))
SCRIPTS = sorted((ROOT / "tools").rglob("*.py"))
PRINTING = {"cli.py", "cli_serve.py", "__main__.py", "present.py"}
REQUIRED = """README.md requirements.txt environment.yml pyproject.toml Makefile LICENSE CITATION.cff CHANGELOG.md
CONTRIBUTING.md .ci/run .gitignore .gitattributes .pre-commit-config.yaml tools/setup.py notebooks/README.md
notebooks/_template.ipynb data/README.md data/catalogue.toml reports/README.md reports/profiles/smoke.yml
reports/profiles/standard.yml reports/profiles/full.yml""".split()
NAMED_FOR_CONDA = {
    "jupyterlab", "torch", "transformers", "implicit", "scikit-surprise", "numpy", "pandas", "matplotlib", "papermill",
}  # fmt: skip
PACKAGE_HOSTS = ("pypi" + ".org", "files.pythonhosted" + ".org", "download.pytorch" + ".org/whl")
MACHINE_PATHS = ("/" + "work/", "/" + "root/", "/" + "opt/", ".." + "/shared")
MAY_NAME_THE_MIRROR = ("tests/", ".ci/run")
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cff", ".ipynb", ".json", ".html", ".css", ".js", ".csv", ""}


def pins(kind: str = "") -> dict[str, Requirement]:
    """Pins of the lock by canonical name, those under headers that start with `kind`."""
    found, header = {}, ""
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line.startswith("#"):
            header = line[2:]
        elif line and header.startswith(kind):
            pin = Requirement(line.split("#")[0])
            found[canonicalize_name(pin.name)] = pin
    return found


def version(pin: Requirement) -> str:
    """The one version of a pin; fails when it is not written with ==."""
    (only,) = pin.specifier
    assert only.operator == "==" and "*" not in only.version and "+" not in only.version, str(pin)
    return only.version


def committed() -> list[Path]:
    """Files that are committed or would be; those of a copy without git are found by walking."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    left_out = re.compile(r"(^|/)(\.venv|\.git|\.\w+_cache|__pycache__|[^/]+\.egg-info|runs|raw|interim)(/|$)")
    files = (path for path in ROOT.rglob("*") if path.is_file())
    return [path for path in files if not left_out.search(str(path.relative_to(ROOT)))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_pin_is_exact_and_named_once() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) == len(pins()) > 150
    assert all(version(pin) for pin in pins().values())
    assert all("#" in line for line in lines if canonicalize_name(re.split("=", line)[0]) in pins("direct")), "say why"


def test_project_names_the_direct_packages_of_the_lock() -> None:
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    checks = given["optional-dependencies"]["checks"]
    assert {canonicalize_name(name) for name in given["dependencies"]} == set(pins("direct: what notebooks"))
    assert {canonicalize_name(name) for name in checks} == set(pins("direct: what tests"))
    assert given["requires-python"] == ">=3.11,<3.14"


def test_conda_gets_the_same_pins() -> None:
    needs = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert needs[0] == "python=3.11" and "pip" in needs
    by_pip = needs[-1]["pip"]
    listed = [Requirement(line) for line in by_pip if not line.startswith("-")]
    assert {pin.name for pin in listed} == NAMED_FOR_CONDA
    assert {pin.name: version(pin) for pin in listed} == {pin.name: version(pins()[pin.name]) for pin in listed}
    assert "-r requirements.txt" in by_pip


def optional() -> set[str]:
    """Packages that `make extra-NAME` adds."""
    lines = [line for path in (ROOT / "tools").glob("extra-*.txt") for line in path.read_text().splitlines()]
    return {canonicalize_name(line.split("==")[0]) for line in lines if not line.startswith("#")}


def test_the_package_imports_only_direct_packages() -> None:
    provided, direct = packages_distributions(), set(pins("direct: what notebooks")) | optional()
    strange = {}
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for top in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"recutils"}:
                if not {canonicalize_name(name) for name in provided.get(top, [top])} & direct:
                    strange[top] = name_of(path)
    assert not strange, "add them to requirements.txt (direct) and pyproject.toml"


def test_the_lock_is_what_is_installed() -> None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    for name, pin in pins().items():
        if pin.marker is None or pin.marker.evaluate():
            try:
                assert installed(name).split("+")[0] == version(pin), f"{name}: run `make setup`"
            except PackageNotFoundError:
                pytest.fail(f"{name} is not installed: run `make setup`")


@pytest.mark.parametrize("name", REQUIRED)
def test_required_files_exist(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f'__version__ = "{version}"' in (ROOT / "recutils" / "__init__.py").read_text()


def test_what_ci_runs_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0


def test_ignored_are_data_and_runs_but_not_the_stage_data() -> None:
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/data/raw/", "/data/interim/", "/data/checkpoints/", "/reports/runs/", "/.venv/"} <= set(lines)
    assert not {"data/", "data", "runs/", "*.toml"} & set(lines)


def test_no_committed_file_names_an_index_or_this_machine() -> None:
    wrong = []
    for path in committed():
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        paths = () if name_of(path).startswith(MAY_NAME_THE_MIRROR) else MACHINE_PATHS
        wrong += [f"{name_of(path)}: {word}" for word in PACKAGE_HOSTS + paths if word in text]
    assert not wrong


def test_committed_files_are_small() -> None:
    most = {"reports/published/metrics.json": 5_000_000}  # every record of every notebook
    large = {name_of(path): path.stat().st_size for path in committed()}
    assert not {name: size for name, size in large.items() if size > most.get(name, 1_000_000)}


def test_imports_run_one_way() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count, too; a circle of two siblings is no matter of layers."""
    code = (
        "import graphlib, grimp; graph = grimp.build_graph('recutils'); "
        "arrows = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}; "
        "assert len(arrows) > 50; graphlib.TopologicalSorter(arrows).prepare()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-600:]


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def body_lines(node: ast.FunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return body[-1].end_lineno - body[0].lineno + 1


def positional(node: ast.FunctionDef) -> int:
    """Positional parameters of a function; self and cls do not count."""
    names = [given.arg for given in node.args.posonlyargs + node.args.args]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_modules_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first line says what lives here and what does not"
    assert text.count("\n") <= 300


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_functions_are_small(path: Path) -> None:
    assert not {node.name: body_lines(node) for node in functions(path) if body_lines(node) > 50}
    assert not {node.name: positional(node) for node in functions(path) if positional(node) > 5}


def test_bodies_are_short_as_a_rule() -> None:
    lengths = sorted(body_lines(node) for path in PACKAGE for node in functions(path))
    assert lengths[len(lengths) // 2] <= 8 and lengths[int(len(lengths) * 0.9)] <= 25


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_the_library_stores_no_pickle_and_prints_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib"}
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name):
            assert called.id != "print" or path.name in PRINTING, f"line {node.lineno}: library functions print nothing"
        if isinstance(called, ast.Attribute):
            assert called.attr not in ("read_pickle", "to_pickle"), f"line {node.lineno}"
            assert ast.unparse(called) not in ("np.random.seed", "random.seed"), f"line {node.lineno}: global seed"
