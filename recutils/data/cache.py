"""The cached folders: where they are, whether they are whole, their lock. It fetches nothing."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recutils import runs
from recutils.data.catalogue import Entry, Member

MANIFEST = "manifest.json"  # source, pins and times of the members
TERMS = "TERMS.txt"  # terms and citation, there once they have been shown
ALWAYS_HASHED = 16 << 20  # bytes; bigger files are trusted while size and time equal the manifest


def folder_of(entry: Entry) -> Path:
    """Where an entry lives: data/raw/NAME, or data/checkpoints/NAME."""
    return runs.DATA / ("checkpoints" if entry.kind == "checkpoint" else "raw") / entry.name


def is_there(entry: Entry) -> bool:
    """Whether something of the entry is cached, whole or not."""
    return any((folder_of(entry) / name).exists() for name in (MANIFEST, *(member.path for member in entry.members)))


def damage(entry: Entry, *, full: bool = False) -> list[str]:
    """What is wrong with the cached members, one line each; empty when all are the pinned files.

    full: hash every file; otherwise a big file is trusted while its size and time equal the manifest.
    """
    folder = folder_of(entry)
    stamps = {} if full else _stamps(folder)
    found = [_member_damage(folder / member.path, member, stamps.get(member.path)) for member in entry.members]
    return [line for line in found if line]


def _member_damage(path: Path, member: Member, stamp: list[Any] | None) -> str:
    if path.is_symlink() or not path.is_file():
        return f"{member.path} is missing"
    state = path.stat()
    if state.st_size != member.size:
        return f"{member.path} has {state.st_size:,} bytes, expected {member.size:,}"
    trusted = stamp == [member.sha256, member.size, state.st_mtime_ns]
    if trusted and member.size > ALWAYS_HASHED:
        return ""
    got = runs.file_hash(path)
    return "" if got == member.sha256 else f"{member.path} has sha256 {got}, expected {member.sha256}"


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest; empty when there is no readable one."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stamps(folder: Path) -> dict[str, list[Any]]:
    """What the manifest says of each member: [sha256, size, time]."""
    files = _manifest(folder).get("files")
    return files if isinstance(files, dict) else {}


def write_manifest(entry: Entry, folder: Path, source: str) -> None:
    """Record where the verified members in `folder` came from, and their hash, size and time."""
    content = {"name": entry.name, "source": source, "fingerprint": entry.fingerprint, "files": _seen(entry, folder)}
    runs.write_text(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def _seen(entry: Entry, folder: Path) -> dict[str, list[Any]]:
    times = {member.path: (folder / member.path).stat().st_mtime_ns for member in entry.members}
    return {member.path: [member.sha256, member.size, times[member.path]] for member in entry.members}


def remember(entry: Entry) -> None:
    """Renew the manifest of verified files that were copied or touched, where the folder can be written to."""
    folder = folder_of(entry)
    if _stamps(folder) != _seen(entry, folder) and os.access(folder, os.W_OK):
        write_manifest(entry, folder, _manifest(folder).get("source", "found on the disk"))


def put(entry: Entry, staged: Path) -> Path:
    """Swap a complete, verified folder in for what was cached before. Returns where it is now."""
    target = folder_of(entry)
    old = _beside(entry, "old")
    if target.exists():
        os.replace(target, old)
    os.replace(staged, target)
    shutil.rmtree(old, ignore_errors=True)
    return target


@contextmanager
def workplace(entry: Entry) -> Iterator[tuple[Path, Path]]:
    """Two empty folders beside the cache, (staged, scratch), removed at the end. Hold the lock.

    What a killed fetch left behind is swept first.
    """
    for left in folder_of(entry).parent.glob(f".{entry.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    staged, scratch = _beside(entry, "new"), _beside(entry, "download")
    try:
        for folder in (staged, scratch):
            folder.mkdir(parents=True)
        yield staged, scratch
    finally:
        for folder in (staged, scratch):
            shutil.rmtree(folder, ignore_errors=True)


def _beside(entry: Entry, role: str) -> Path:
    folder = folder_of(entry)
    return folder.with_name(f".{entry.name}.{role}-{os.getpid()}-{time.monotonic_ns()}.part")


@contextmanager
def locked(entry: Entry, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the entry's lock; a second process waits and says so. The system frees it when its holder dies."""
    path = runs.DATA / ".locks" / f"{entry.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that fetches {entry.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
