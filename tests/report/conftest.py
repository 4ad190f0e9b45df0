"""Small projects in a temporary folder for the tests of the runner."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from recutils.report.project import Project

RECORD = """
import json, os
from pathlib import Path
RECORDS = [{{"notebook": "{name}", "dataset": "toy", "split": "valid", "model": "m", "metric": "ndcg", "k": 10,
             "value": {value}, "low": 0.1, "high": 0.9, "n": 7}}]
Path(os.environ["RECUTILS_OUT"], "records.json").write_text(json.dumps(RECORDS))
"""


class Builder:
    """Writes notebooks, profiles and modules of a project."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        for folder in (self.project.notebooks, self.project.profiles, self.project.package):
            folder.mkdir(parents=True)
        self.module("__init__", "")
        self.profile("standard")

    def profile(self, file: str, /, **content: Any) -> None:
        text = yaml.safe_dump({"time_limit_minutes": 2, "memory_gb": 8} | content)
        (self.project.profiles / f"{file}.yml").write_text(text)

    def module(self, name: str, text: str) -> None:
        path = self.project.package.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def notebook(
        self, name: str, *code: str, parameters: str = "", title: str = "", card: str = "", **declared: Any
    ) -> Path:
        """A notebook with a title, a cell of parameters if given, and the code cells; `declared` is its metadata."""
        new = nbformat.v4
        cells = [new.new_markdown_cell(f"# {title or f'What is {name}?'}\n\n{card}")]
        if parameters:
            cells.append(new.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [new.new_code_cell(text) for text in code]
        for place, cell in enumerate(cells):
            cell["id"] = f"cell-{place}"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.project.notebooks / f"{name}.ipynb"
        content = new.new_notebook(cells=cells, metadata={"kernelspec": kernel, "recutils": declared})
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def records(self, name: str, value: str = "0.5") -> str:
        """Code that leaves one record."""
        return RECORD.format(name=name, value=value)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "project")


@pytest.fixture(scope="module")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Builder]:
    """As `build`, for projects that all tests of a module share."""
    return lambda: Builder(tmp_path_factory.mktemp("shared") / "project")
