"""Finished notebooks on disk, by name and content key, and the lock that keeps runners apart. It executes nothing."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recutils.report.project import Project, digest, folder_hash, read_json
from recutils.tables import Problem

DONE = "done.json"  # present in each complete folder, written last
KEPT = 8  # stored versions of a notebook: three profiles and a few edits
NOT_RESULTS = (DONE, "cost.json")  # files that differ from run to run


@contextmanager
def lock(project: Project) -> Iterator[None]:
    """Hold the runs folder. Raises Problem when another runner holds it; a killed runner holds nothing."""
    project.runs.mkdir(parents=True, exist_ok=True)
    with (project.runs / ".lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            stream.seek(0)
            raise Problem(
                f"another report run is at work ({stream.read().strip() or 'just started'}). Wait or stop it."
            ) from fault
        stream.truncate(0)
        stream.write(f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def key_of(parts: dict[str, Any]) -> str:
    """The content key: 16 hexadecimal digits of the hash of its parts."""
    return digest(parts)[:16]


def find(project: Project, name: str, key: str) -> dict[str, Any] | None:
    """What done.json says of a stored notebook, or None when it is not stored or incomplete."""
    done = read_json(project.store / name / key / DONE)
    if not done or not (project.store / name / key / f"{name}.ipynb").is_file():
        return None
    return done


def latest(project: Project, name: str) -> dict[str, Any] | None:
    """The newest stored version of a notebook, whatever its key: for estimates and for saying what changed."""
    found = [path for path in (project.store / name).glob(f"*/{DONE}") if not path.parent.name.startswith(".")]
    return read_json(max(found, key=lambda path: path.stat().st_mtime)) if found else None


def fresh_folder(project: Project, name: str) -> Path:
    """A new temporary folder for one execution, inside the store so that it can be renamed into place."""
    folder = project.store / name / f".tmp-{os.getpid()}-{time.time_ns()}"
    folder.mkdir(parents=True)
    return folder


def outputs_hash(folder: Path, name: str) -> str:
    """Hash of the results that later notebooks may read: records, tables, per-user values and other files."""
    return folder_hash(folder, skip=(*NOT_RESULTS, f"{name}.ipynb", f"{name}.html", "notebook.log"))


def keep(project: Project, name: str, folder: Path, done: dict[str, Any]) -> Path:
    """Put a finished temporary folder into the store: whole or not at all. Returns its place."""
    target = project.store / name / done["key"]
    shutil.rmtree(folder / ".ipython", ignore_errors=True)
    (folder / DONE).write_text(json.dumps(done, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if target.exists():
        os.replace(target, fresh_folder(project, name) / "replaced")
    os.replace(folder, target)
    return target


def touch(project: Project, name: str, key: str) -> None:
    """Mark a stored version as used now, so that it is not the next one to go."""
    os.utime(project.store / name / key / DONE)


def clean(project: Project) -> None:
    """Remove what killed runs left, and all but the last used versions of each notebook."""
    for leftover in project.store.glob("*/.tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for notebook in project.store.glob("*"):
        versions = sorted(notebook.glob(f"*/{DONE}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in versions[KEPT:]:
            shutil.rmtree(old.parent, ignore_errors=True)


def _link(origin: str, target: str) -> str:
    """A file at a second place without a second copy; notebooks are copied, because people edit them."""
    if not origin.endswith(".ipynb"):
        try:
            os.link(origin, target)
            return target
        except OSError:  # another disk, or links are not allowed
            pass
    return shutil.copy2(origin, target)


def lay_out(folder: Path, target: Path) -> None:
    """Copy a folder of results to a run's folder; large files are hard links."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(folder, target, copy_function=_link, ignore=shutil.ignore_patterns(".*"))


def new_run(project: Project, profile: str) -> Path:
    """A new folder for a run: reports/runs/<profile>-<date>-<time>, with a letter when two start in one second."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for letter in ("", *"bcdefghijklmnopqrstuvwxyz"):
        folder = project.runs / f"{profile}-{stamp}{letter}"
        if not folder.exists():
            folder.mkdir(parents=True)
            return folder
    raise Problem(f"too many runs of {profile} started at {stamp}. Wait a second.")


def point_latest(project: Project, run: Path) -> None:
    """Let reports/runs/latest lead to a run."""
    partial = project.runs / f".latest-{os.getpid()}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(run.name, target_is_directory=True)
    os.replace(partial, project.runs / "latest")
