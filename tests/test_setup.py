"""Set-up against old Pythons, no index, a full disk, cut-short installations; only a planted wheel is installed."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "http://127.0.0.1:9/simple"
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "planted-project"
version = "0"
"""
BACKEND = """
import zipfile
from pathlib import Path

def wheel(folder, name, files):
    about = {"METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n", "RECORD": "",
             "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    path = Path(folder, f"{name}-1.0-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as out:
        for member, text in {**files, **{f"{name}-1.0.dist-info/{key}": text for key, text in about.items()}}.items():
            out.writestr(member, text)
    return path.name

def build_editable(folder, settings=None, metadata=None):
    return wheel(folder, "planted_project", {"planted.pth": str(Path.cwd())})
"""


def load(name: str) -> ModuleType:
    """A module of tools/, imported by its path; its neighbours are found while it loads."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


faults = load("setup_faults")
setup = load("setup")


def tree(folder: Path, pins: str = "planted==1.0\n") -> Path:
    """A checkout in small: Makefile, tools, a lock of one planted wheel, a project that builds without setuptools."""
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").write_text(pins)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "wheels").mkdir()
    space: dict[str, object] = {}
    exec(BACKEND, space)
    space["wheel"](folder / "wheels", "planted", {"planted.py": "ANSWER = 42\n"})
    return folder


def environment(root: Path, **extra: str) -> dict[str, str]:
    """No index but the planted folder, whatever this machine's pip is told; nothing of this test run leaks in."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "MAKE", "MFLAGS"))}
    kept |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (root / "wheels").as_uri()}
    kept |= {"PYTHON": sys.executable}
    return {key: value for key, value in (kept | extra).items() if value}


def make(root: Path, goal: str = "setup", **extra: str) -> subprocess.CompletedProcess:
    """`make setup` in a tree."""
    return subprocess.run(
        ["make", "-C", str(root), goal], env=environment(root, **extra), capture_output=True, text=True, timeout=300
    )


def one_line_fault(done: subprocess.CompletedProcess) -> str:
    """The one line that starts with set-up failed; fails when there are several, or a traceback."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1 and lines[0].startswith("set-up failed: ") and " cure: " in lines[0], done.stderr
    return lines[0]


def fake_python(folder: Path, said: str, code: int = 0) -> str:
    """A program that answers every question as a Python of another age would."""
    path = folder / "python-of-another-age"
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A tree in a path with spaces, in which two `make setup` were started at once and both have ended."""
    root = tree(tmp_path_factory.mktemp("two words") / "a 'quoted' check out")
    both = [
        subprocess.Popen(
            ["make", "-C", str(root), "setup"],
            env=environment(root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    return root, [child.communicate(timeout=300)[0] + f"exit {child.returncode}" for child in both]


def planted(root: Path) -> Path:
    (path,) = (root / ".venv").glob("lib/python3*/site-packages/planted.py")
    return path


@pytest.mark.parametrize(("said", "found"), [("3.10.13 cpython 1 1", "3.10.13"), ("3.14.0 cpython 1 1", "3.14.0")])
def test_a_python_too_old_or_too_new_is_named_with_the_cure(tmp_path: Path, said: str, found: str) -> None:
    root = tree(tmp_path / "tree")
    line = one_line_fault(make(root, PYTHON=fake_python(tmp_path, said)))
    assert f"needs Python 3.11 to 3.13 (CPython, 64 bit); found {found} at " in line
    assert "make report PYTHON=python3.11" in line
    assert not (root / ".venv").exists()


def test_shims_that_fail_are_passed_over_and_an_old_python3_alone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shims = tmp_path / "bin"
    shims.mkdir()
    for name in ("python3.11", "python3.12", "python3.13", "python"):
        Path(fake_python(tmp_path, "command not found", code=127)).rename(shims / name)
    Path(fake_python(tmp_path, "3.10.13 cpython 1 1")).rename(shims / "python3")
    monkeypatch.setenv("PATH", str(shims) + ":/bin")
    monkeypatch.setattr(setup, "CANDIDATES", ("python3.11", "python3.12", "python3"))
    with pytest.raises(faults.Fault, match=r"found 3\.10\.13 at .*/bin/python3\. cure: install Python 3\.11"):
        setup.find_python("")


def test_the_first_python_that_works_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(fake_python(tmp_path, "nothing", code=1)).rename(tmp_path / "python3.11")
    (tmp_path / "python3.12").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert setup.find_python("") == str(tmp_path / "python3.12")


def test_a_python_without_venv_is_told_which_package_is_missing(tmp_path: Path) -> None:
    with pytest.raises(faults.Fault, match="python3-venv"):
        setup.find_python(fake_python(tmp_path, "3.11.2 cpython 1 0"))


def test_set_up_starts_on_old_pythons() -> None:
    for path in (ROOT / "tools").glob("setup*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))


def test_no_index_reachable(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree", pins="planted-elsewhere==1.0\n")
    no_links = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "1"}
    line = one_line_fault(make(root, **no_links))
    assert "no package index could be reached. cure: " in line
    assert "PIP_INDEX_URL" in line and ".venv-setup.log" in line
    assert not list((root / ".venv").glob(".lock-*"))
    assert (root / ".venv-setup.log").read_text()
    line = one_line_fault(make(root))  # an index that answers, without this package; .venv is kept and used
    assert "or it offers no planted-elsewhere==1.0" in line


def test_a_full_disk_is_found_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    root = tree(tmp_path / "tree")
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    assert setup.main(["--root", str(root), "--python", sys.executable]) == 1
    said = capsys.readouterr().err
    assert said.startswith("set-up failed: 0.1 GB are free in ") and "needs 4 GB there. cure: free some room" in said
    assert not (root / ".venv").exists()


@pytest.mark.parametrize(
    ("log", "code", "wrong"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", 1, "disk is full"),
        ("WARNING: connection broken by 'NewConnectionError(...)'\nERROR: x", 1, "no package index could be reached"),
        ("Temporary failure in name resolution\nERROR: Could not find a version that satisfies the requirement "
         "a==1 (from versions: none)", 1, "no package index could be reached"),
        ("ERROR: Could not find a version that satisfies the requirement a==1 (from versions: 0.1, 0.2)", 1,
         "no wheel of a==1"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", 1, "certificate is not trusted"),
        ("ReadTimeoutError(...)", 2, "broke off"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", 1, "Permission denied: '/x'"),
        ("Installing collected packages", -9, "killed by signal 9"),
        ("ERROR: this was never seen before", 1, "this was never seen before"),
        ("", 3, "exit code 3"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_with_a_cure(log: str, code: int, wrong: str) -> None:
    line = str(faults.explain(log, code, ROOT))
    assert wrong in line and " cure: " in line and "\n" not in line


def test_two_at_once_take_turns_and_a_path_with_spaces_works(made: tuple[Path, list[str]]) -> None:
    root, outputs = made
    assert all(said.endswith("exit 0") for said in outputs), outputs
    assert sum("set-up: ready in" in said for said in outputs) == 1, outputs
    assert sum("waiting for it" in said for said in outputs) == 1, outputs
    python = root / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-c", "import planted, backend; print(planted.ANSWER)"], capture_output=True)
    assert done.stdout == b"42\n", done.stderr  # backend is found through the editable install


def test_a_second_set_up_has_nothing_to_do(made: tuple[Path, list[str]]) -> None:
    root, _ = made

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in root.rglob("*") if "__pycache__" not in path.parts}

    before = written()
    python, setup = root / ".venv" / "bin" / "python", root / "tools" / "setup.py"
    done = subprocess.run([python, setup], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert written() == before


def test_a_package_cut_short_is_installed_again(made: tuple[Path, list[str]]) -> None:
    root, _ = made
    for harm in ("file", "record"):
        planted(root).unlink() if harm == "file" else planted(root).write_text("ANSWER = 'half a fi")
        if harm == "record":
            (record,) = planted(root).parent.glob("planted-1.0.dist-info/RECORD")
            record.unlink()
        for stamp in (root / ".venv").glob(".lock-*"):
            stamp.unlink()  # what a killed set-up leaves
        done = make(root, PYTHON="")
        assert done.returncode == 0 and "making .venv" not in done.stdout, done.stderr + done.stdout
        assert planted(root).read_text() == "ANSWER = 42\n"


def test_a_changed_lock_is_installed_and_a_failing_one_is_never_called_ready(made: tuple[Path, list[str]]) -> None:
    root, _ = made
    before = (root / "requirements.txt").read_text()
    (root / "requirements.txt").write_text(before + "planted-elsewhere==2.0\n")
    assert "planted-elsewhere==2.0" in one_line_fault(make(root))
    assert not setup.is_ready(root)
    (root / "requirements.txt").write_text(before)
    assert not setup.is_ready(root)  # what the failed one changed is unknown
    assert make(root).returncode == 0
    assert setup.is_ready(root)


def test_a_working_venv_is_not_thrown_away_for_another_python(made: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, _ = made
    other = "3.13.0" if sys.version_info[:2] != (3, 13) else "3.12.1"
    line = one_line_fault(make(root, PYTHON=fake_python(tmp_path, f"{other} cpython 1 1")))
    assert f"is {other[:4]}, but .venv holds" in line and "make clean-all" in line
    assert setup.is_ready(root)


def test_a_copied_checkout_makes_its_own_venv(made: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, _ = made
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, symlinks=True)
    assert not setup.is_ready(copy)
    done = make(copy)
    assert done.returncode == 0 and "making .venv" in done.stdout, done.stderr
    assert str(copy) in next(planted(copy).parent.glob("planted.pth")).read_text()


def test_help_names_every_goal(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    said = make(root, "help").stdout
    for goal in ("report", "test", "lint", "lab", "smoke", "publish", "setup", "clean", "clean-all"):
        assert f"make {goal} " in said


def test_clean_leaves_downloads_alone(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    for name in ("data/raw/ml-100k/a", "data/checkpoints/b", "reports/runs/c", "data/interim/d", ".venv/e",
                 "data/interim/shelf/f"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    assert make(root, "clean").returncode == 0
    kept = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and len(path.name) == 1}
    assert kept == {"data/raw/ml-100k/a", "data/checkpoints/b", ".venv/e", "data/interim/shelf/f"}
    assert make(root, "clean-all").returncode == 0
    assert (
        not (root / ".venv").exists()
        and not (root / "data/interim").exists()
        and (root / "data/raw/ml-100k/a").exists()
    )
