"""metrics.json and run.json: what a run found, and under which circumstances. It judges nothing."""

import csv
import json
import math
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from recutils.report.project import RESERVED_RUNS, Project, did_you_mean, read_json
from recutils.runs import write_text
from recutils.tables import Problem

IDENTITY = ("notebook", "dataset", "protocol", "split", "model", "metric", "k", "group", "seed", "against")
METRICS, RUN = "metrics.json", "run.json"
Record = dict[str, Any]


def _sortable(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then texts, absent values first: any two values can be compared."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (2, 0.0, str(value))


def identity(record: Record) -> tuple[Any, ...]:
    """What a record is about, without what was measured."""
    return tuple(record.get(name) for name in IDENTITY)


def in_order(records: list[Record]) -> list[Record]:
    """Records sorted by what they are about; equal ones by their whole content."""
    return sorted(
        records,
        key=lambda record: (
            [_sortable(part) for part in identity(record)],
            json.dumps(record, sort_keys=True, default=str),
        ),
    )


def _plain(value: Any) -> Any:
    """Not-a-number and infinities as null: JSON has no name for them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_records(folder: Path) -> list[Record]:
    """Records that a notebook left in its folder, if any. Raises Problem when they are no list of records."""
    path = folder / "records.json"
    found = read_json(path, ...) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise Problem(f"{path.name} must be a list of records; it is not. Write it with run.add and run.finish.")
    return [{name: _plain(value) for name, value in record.items()} for record in found]


def read_costs(folder: Path) -> dict[str, list[dict[str, str]]]:
    """What a notebook timed or weighed: the rows of its tables `cost_*`, by name, as they stand in the files.

    Such figures differ from run to run, so they belong to run.json and never to metrics.json.
    """
    found = {}
    for path in sorted((folder / "tables").glob("cost_*.csv")):
        with path.open(encoding="utf-8", newline="") as rows:
            found[path.stem] = [dict(row) for row in csv.DictReader(rows)]
    return found


def metrics_text(records: list[Record]) -> str:
    """metrics.json: one record a line, in order, so that equal results give equal bytes and differences read well."""
    lines = [json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False) for record in in_order(records)]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def write_metrics(run: Path, records: list[Record]) -> list[Record]:
    """Write metrics.json of a run; returns the records in its order."""
    write_text(run / METRICS, metrics_text(records))
    return in_order(records)


def write_run(run: Path, info: dict[str, Any]) -> None:
    """Write run.json."""
    write_text(run / RUN, json.dumps(info, indent=1, ensure_ascii=False) + "\n")


def _git(project: Project, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project.root), *arguments], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def commit(project: Project) -> tuple[str | None, bool]:
    """The commit's full name and whether files differ from it; (None, True) outside git or before the first commit."""
    name, changes = _git(project, "rev-parse", "--verify", "HEAD"), _git(project, "status", "--porcelain")
    return (name.strip(), bool((changes or "").strip())) if name else (None, True)


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Cores, memory, processor and system of this machine; no names of it."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(project: Project) -> dict[str, str]:
    """Python and the installed version of each package that the lock file names."""
    names = (
        re.findall(r"^([A-Za-z0-9][\w.-]*)==", project.requirements.read_text(encoding="utf-8"), re.MULTILINE)
        if project.requirements.is_file()
        else []
    )
    found = {"python": platform.python_version()}
    for name in sorted(names, key=str.lower):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def circumstances(project: Project) -> dict[str, Any]:
    """Commit, machine and versions: what a reader needs to repeat a run."""
    name, dirty = commit(project)
    return {
        "commit": name,
        "dirty": dirty,
        "machine": machine(),
        "interpreter": sys.implementation.name,
        "versions": versions(project),
    }


def find_run(project: Project, name: str = "latest") -> Path:
    """Folder of a run by id, "latest", "published" or path. Raises Problem when there is none."""
    for folder in (project.runs / name, project.published if name == "published" else Path(name)):
        if (folder / METRICS).is_file() and folder.name not in RESERVED_RUNS[:2]:
            return folder.resolve()
    known = [path.parent.name for path in project.runs.glob(f"*/{METRICS}") if path.parent.name not in RESERVED_RUNS]
    raise Problem(
        f"no run {name!r} with a {METRICS} in {project.runs}. {did_you_mean(name, known)} Make one: make report"
    )


def read_metrics(run: Path) -> list[Record]:
    """Records of a run. Raises Problem when metrics.json is damaged."""
    records = read_json(run / METRICS)
    if not isinstance(records, list):
        raise Problem(f"{run / METRICS} is no list of records. Run the report again: make report")
    return records
