"""Paths, seeds and the record of one notebook's run. No models and no pictures here."""

import ast
import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from recutils.tables import Problem

ROOT = Path(os.environ.get("RECUTILS_HOME", Path(__file__).resolve().parents[1]))
DATA = ROOT / "data"
REPORTS = ROOT / "reports"
SHOWN_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "scikit-surprise", "implicit", "torch", "transformers")
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole or not at all: first under a temporary name, then renamed. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def commit() -> str:
    """The short commit of the project with "+" when files differ from it, or "no git"."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no git"


def versions(names: Iterable[str] = SHOWN_PACKAGES) -> dict[str, str]:
    """Installed versions of the packages that decide results; absent packages are left out."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _assigned(source: str) -> dict[str, Any]:
    """Names and literal values that a cell of parameters assigns."""
    found = {}
    for node in ast.parse(source).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and node.value is not None:
            found[target.id] = ast.literal_eval(node.value)
    return found


def check_parameters(declared: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise Problem when a given parameter is unknown or mistyped (an int may stand for a float)."""
    for name, value in given.items():
        if name not in declared:
            raise Problem(f"unknown parameter {name!r}; this notebook has {sorted(declared)}. Check the spelling.")
        wanted = type(declared[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise Problem(
                f"parameter {name} must be {wanted.__name__} (default {declared[name]!r}); "
                f"got {value!r}, a {type(value).__name__}."
            )


def _check_injected(cells: list[str]) -> None:
    """Check the parameters that papermill injected: its cell, headed "# Parameters", follows the declared."""
    for declared, given in pairwise(cells):
        if given.lstrip().startswith("# Parameters"):
            check_parameters(_assigned(declared), _assigned(given))


def _notebook_cells() -> list[str]:
    """Sources of the cells executed so far, or nothing outside IPython."""
    from IPython import get_ipython

    shell = get_ipython()
    return [] if shell is None else [cell for cell in shell.user_ns.get("In", []) if cell.strip()]


@dataclass
class Run:
    """What one notebook leaves behind: records, tables, per-user values and its cost, in the folder `out`."""

    notebook: str
    seed: int
    out: Path
    started: float = field(default_factory=time.perf_counter)
    records: list[dict[str, Any]] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """A file of this run; its folder is made."""
        target = (self.out / name).resolve()
        if not target.is_relative_to(self.out.resolve()):
            raise Problem(f"{name!r} would leave the run's folder {self.out}. Use a plain relative name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def add(self, records: Iterable[Any]) -> None:
        """Keep results (records of recutils.evaluate.records, or mappings) for metrics.json."""
        self.records.extend(asdict(record) if is_dataclass(record) else dict(record) for record in records)

    def table(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Write a table of the report as CSV and LaTeX under tables/; returns it unchanged."""
        _check_name(name)
        write_text(self.path(f"tables/{name}.csv"), frame.to_csv(index=False, lineterminator="\n"))
        write_text(self.path(f"tables/{name}.tex"), latex(frame))
        return frame

    def per_user(self, name: str, frame: pd.DataFrame) -> None:
        """Write per-user values as parquet, so that anybody can redo a test."""
        _check_name(name)
        target = self.path(f"per_user/{name}.parquet")
        partial = target.with_suffix(".part")
        frame.to_parquet(partial, index=False)
        os.replace(partial, target)

    def finish(self) -> pd.DataFrame:
        """Store records and cost; returns the run record as a small table."""
        cost = {
            "notebook": self.notebook,
            "seconds": round(time.perf_counter() - self.started, 2),
            "peak_mb": round(peak_memory_mb(), 1),
            "commit": commit(),
            "seed": self.seed,
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "versions": versions(),
        }
        write_text(
            self.path("records.json"),
            json.dumps(self.records, indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n",
        )
        write_text(self.path("cost.json"), json.dumps(cost, indent=1) + "\n")
        shown = {
            **cost,
            "records": len(self.records),
            "versions": ", ".join(f"{k} {v}" for k, v in cost["versions"].items()),
        }
        return pd.DataFrame({"run record": list(shown), "": [str(value) for value in shown.values()]})


def _plain(value: Any) -> Any:
    """Numpy scalars as Python numbers, for JSON."""
    return value.item()


def _check_name(name: str) -> None:
    if not FILE_NAME.fullmatch(name):
        raise Problem(f"a name of lower-case letters, digits and _ is expected; got {name!r}")


def latex(frame: pd.DataFrame) -> str:
    """A table as a LaTeX tabular with booktabs rules; text is escaped."""
    special = str.maketrans(
        {c: f"\\{c}" for c in "&%$#_{}"}
        | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    )

    def line(cells: Iterable[object]) -> str:
        return " & ".join(str(cell).translate(special) for cell in cells) + r" \\"

    body = [line(row) for row in frame.itertuples(index=False)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * frame.shape[1]}}}",
            r"\toprule",
            line(frame.columns),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def start(notebook: str, *, seed: int) -> Run:
    """Begin a notebook's run: checks injected parameters, opens its output folder.

    The folder is RECUTILS_OUT when the report runner set it, else reports/runs/interactive/<notebook>, so that work in
    JupyterLab never touches a report. Raises Problem for an unknown or mistyped parameter.
    """
    _check_injected(_notebook_cells())
    out = Path(os.environ.get("RECUTILS_OUT", REPORTS / "runs" / "interactive" / notebook))
    out.mkdir(parents=True, exist_ok=True)
    return Run(notebook, seed, out)


def file_hash(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
