"""Optional packages: pinned, complete, and honest about what else they need."""

import importlib.util
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from recutils.deploy.spark import java_version

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("extra", ROOT / "tools" / "extra.py")
extra = importlib.util.module_from_spec(spec)
spec.loader.exec_module(extra)


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "tools" / f"extra-{name}.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(len(one.specifier) == 1 and next(iter(one.specifier)).operator == "==" for one in found)
    return {one.name: str(one.specifier) for one in found}


def test_every_extra_of_the_project_is_pinned_and_the_lock_is_left_alone() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extra.known()) == set(declared) - {"checks", "site"}
    lock = (ROOT / "requirements.txt").read_text()
    for name in extra.known():
        assert set(declared[name]) <= set(pins(name))
        assert not [package for package in pins(name) if f"\n{package}==" in lock], "the lock pins it already"


@pytest.mark.parametrize(
    ("told", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_392"', 8), ("command not found", None)],
)
def test_javas_version_is_read(told: str, version: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = subprocess.CompletedProcess([], 0, "", told)
    monkeypatch.setattr("recutils.deploy.spark.subprocess.run", lambda *_, **__: answered)
    assert java_version() == version


def test_unknown_extras_and_a_missing_java_are_told_with_the_cure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extra.main("scales") == 2 and "load, onnx, scale or site" in capsys.readouterr().err
    assert extra.main("site") == 1 and "not part of this version" in capsys.readouterr().err
    monkeypatch.setattr("recutils.deploy.spark.java_version", lambda: None)
    assert extra.main("scale") == 1
    assert "needs Java 17 or newer; found none. cure: install" in capsys.readouterr().err
