"""The content key of a job: a hash of all that its results may depend on. It reads files and executes nothing."""

import ast
import platform
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from recutils.report.notebooks import Notebook, source
from recutils.report.plan import Job
from recutils.report.project import Project, did_you_mean, digest, folder_hash
from recutils.runs import file_hash
from recutils.tables import Problem

KEY_FORMAT = 1  # raise it when the meaning of a stored folder changes
COST_ROW = re.compile(r"^\s*\|\s*[*_]*Cost[*_]*\s*\|.*$\n?", re.MULTILINE)  # measured, so no part of the content
LOOKS = re.compile(r"""\*\.ipynb|\.ipynb["']\)\.(is_file|exists)""")  # lists notebooks, or asks whether one is there
MAGIC = re.compile(r"^\s*[%!?].*$", re.MULTILINE)
JUDGMENTS = "data/judgments"  # readings of our own, which the repository keeps
OWN_DATA = ("interactions.csv", "dataset.toml")  # a folder with one of these is somebody's own data set


@dataclass
class Keys:
    """Content keys for the jobs of one run; files that several jobs share are read once."""

    project: Project
    _imports: dict[Path, set[str]] = field(default_factory=dict)
    _hashes: dict[Path, str] = field(default_factory=dict)

    @cached_property
    def catalogue(self) -> dict[str, Any]:
        """Entries of the data catalogue by name; empty when the project has none."""
        if not self.project.catalogue.is_file():
            return {}
        content = tomllib.loads(self.project.catalogue.read_text(encoding="utf-8"))
        return {name: entry for name, entry in content.items() if isinstance(entry, dict)}

    @cached_property
    def environment(self) -> dict[str, str]:
        """What all jobs share: the lock file and the version of Python."""
        lock = self.project.requirements
        return {"requirements": self.file(lock) if lock.is_file() else "none", "python": platform.python_version()}

    def file(self, path: Path) -> str:
        """sha256 of a file."""
        if path not in self._hashes:
            self._hashes[path] = file_hash(path)
        return self._hashes[path]

    def parts(self, job: Job, upstream: dict[str, str]) -> dict[str, Any]:
        """All parts of a job's key by name, so that a run can say which changed. upstream: hash of each."""
        return {
            "format": KEY_FORMAT,
            "cells": digest(cells(job.notebook)),
            "parameters": digest(job.parameters),
            "modules": {
                path.relative_to(self.project.root).as_posix(): self.file(path) for path in self.modules(job.notebook)
            },
            "data": self.data(job),
            "files": self.beside(job.notebook),
            "upstream": upstream,
            "threads": job.notebook.declared.get("threads", 1),
            **self.environment,
        }

    def data(self, job: Job) -> dict[str, str]:
        """Hash of each data set: catalogue entries that notebook or parameters name, and folders of one's own data."""
        for name in job.notebook.data:
            if name not in self.catalogue:
                hint = did_you_mean(name, self.catalogue)
                raise Problem(f"{job.name}: metadata recutils.data: {name!r} is not in data/catalogue.toml. {hint}")
        named = [*job.notebook.data, *_texts(job.parameters.values())]
        found = {name: digest(self.catalogue[name]) for name in named if name in self.catalogue}
        for name in named:
            for base in (self.project.notebooks, self.project.root):
                folder = base / name
                if name not in found and any((folder / file).is_file() for file in OWN_DATA):
                    found[name] = folder_hash(folder)
        return found

    def beside(self, notebook: Notebook) -> dict[str, str]:
        """Files beside the notebook, and judgments, that it or its modules mention; names if they look for these."""
        texts = [source(cell) for cell in notebook.cells if cell["cell_type"] == "code"]
        texts += [path.read_text(encoding="utf-8") for path in self.modules(notebook) if path.suffix == ".py"]
        there = [path for path in sorted(self.project.notebooks.iterdir()) if path.is_file()]
        judged = [path for path in sorted((self.project.root / JUDGMENTS).glob("*")) if path.is_file()]
        found = {path.name: self.file(path) for path in there + judged if any(path.name in text for text in texts)}
        if any(LOOKS.search(text) for text in texts):
            found["names"] = digest([path.name for path in there])
        return {name: value for name, value in found.items() if not name.endswith(".ipynb")}

    def modules(self, notebook: Notebook) -> list[Path]:
        """Files of the package that the notebook imports, also through others, with the data files beside them."""
        seen: set[Path] = set()
        waiting = {
            name for cell in notebook.cells if cell["cell_type"] == "code" for name in imported(source(cell), "")
        }
        while waiting:
            for path in self._files(waiting.pop()):
                if path not in seen:
                    seen.add(path)
                    waiting |= self._imported(path)
        beside = {
            other
            for path in seen
            for other in path.parent.iterdir()
            if other.is_file() and other.suffix not in (".py", ".pyc")
        }
        return sorted(seen | beside)

    def _imported(self, path: Path) -> set[str]:
        if path not in self._imports:
            name = ".".join(path.relative_to(self.project.root).with_suffix("").parts)
            package = name.removesuffix(".__init__") if path.name == "__init__.py" else name.rpartition(".")[0]
            self._imports[path] = set(imported(path.read_text(encoding="utf-8"), package))
        return self._imports[path]

    def _files(self, module: str) -> Iterator[Path]:
        """Files that importing a module executes: its packages' and its own; a name that is no module adds none."""
        parts = module.split(".")
        if parts[0] != self.project.package.name:
            return
        for depth in range(1, len(parts) + 1):
            folder = self.project.root.joinpath(*parts[:depth])
            for path in (folder / "__init__.py", folder.with_suffix(".py")):
                if path.is_file():
                    yield path


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)


def imported(text: str, package: str) -> Iterator[str]:
    """Absolute names of what a source imports, also inside functions; `from a import b` gives a.b, module or not."""
    try:
        tree = ast.parse(MAGIC.sub("", text))
    except SyntaxError:  # the kernel will report it; nothing can be imported from here
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def cells(notebook: Notebook) -> list[tuple[str, str, list[str]]]:
    """What a notebook says and does: kind, text and tags of each cell, without outputs and the card's measured cost."""
    return [
        (
            cell["cell_type"],
            COST_ROW.sub("", source(cell)) if cell["cell_type"] == "markdown" else source(cell),
            cell.get("metadata", {}).get("tags", []),
        )
        for cell in notebook.cells
    ]


def changed_parts(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Which parts of a key differ, in words: "cells, recutils/model/svd.py"."""
    named = []
    for part in sorted(old.keys() | new.keys()):
        before, after = old.get(part), new.get(part)
        if isinstance(before, dict) and isinstance(after, dict):
            names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
            named += names[:3] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
        elif before != after:
            named.append(part)
    return ", ".join(named)
