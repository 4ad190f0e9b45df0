"""What people did with their lists, kept: an append-only log that survives a killed machine. It trains nothing.

FOLDER/events-000001.jsonl   one JSON object a line: {"id", "user", "item", "kind", "time"}
An event is acknowledged after its bytes are on the disk (fsync). A line that was being written when the machine stopped
is no event: it was never acknowledged, and is cut off when the log is opened again. An id that is there already is
acknowledged again and not written twice, so that a caller may repeat what was not answered.
"""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recutils.tables import Problem

KINDS = ("shown", "click", "choose", "dismiss")
FIELDS = ("id", "user", "item", "kind", "time")
ROTATE = 16_000_000  # bytes of a file, after which the next begins


@dataclass
class FeedbackLog:
    """One writer for a folder; a second one is refused by a lock file that the system frees when the writer dies."""

    folder: Path
    rotate: int = ROTATE
    _ids: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Open the last file, cut an unfinished line, remember the ids. Raises Problem for a second writer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / ".lock")
        for path in self.files():
            _cut(path)
        self._ids.update(event["id"] for event in read(self.folder))
        self._path = next(iter(reversed(self.files())), self.folder / _name(1))
        self._file = self._path.open("ab")

    def files(self) -> list[Path]:
        """The log's files, oldest first."""
        return sorted(self.folder.glob("events-*.jsonl"))

    def append(self, events: Sequence[dict[str, Any]]) -> int:
        """Write the events whose ids are new, all or none; how many. They are on the disk when this returns.

        Raises Problem when the disk refuses; then nothing was acknowledged, and what was written in part is cut off.
        """
        with self._guard:
            fresh = {event["id"]: event for event in events if event["id"] not in self._ids}
            if not fresh:
                return 0
            self._write("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in fresh.values()).encode())
            self._ids.update(fresh)
            return len(fresh)

    def _write(self, content: bytes) -> None:
        if self._file.tell() and self._file.tell() + len(content) > self.rotate:
            self._next()
        start = self._file.tell()
        try:
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as fault:
            self._undo(start)
            raise Problem(f"feedback could not be written ({fault.strerror}); nothing was kept. Make room.") from fault

    def _undo(self, start: int) -> None:
        path = self._path
        try:
            self._file.close()
        except OSError:
            pass  # its buffer could not be written either: that is what is being undone
        os.truncate(path, start)
        self._file = path.open("ab")

    def _next(self) -> None:
        self._file.close()
        self._path = self.folder / _name(int(self._path.stem.split("-")[1]) + 1)
        self._file = self._path.open("ab")
        _sync_folder(self.folder)

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._file.close()
        os.close(self._lock)


def _name(number: int) -> str:
    return f"events-{number:06d}.jsonl"


def _locked(path: Path) -> int:
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(handle)
        raise Problem(f"{path.parent} is written by another service; give each writer a folder of its own.") from fault
    return handle


def _cut(path: Path) -> None:
    """Take off what follows the last line end."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """All whole events of a log, oldest first. Raises Problem for a line that is no event."""
    for path in sorted(folder.glob("events-*.jsonl")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):
                    yield _event(line, path, number)


def _event(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
        return {name: event[name] for name in FIELDS}
    except (ValueError, KeyError, TypeError) as fault:
        raise Problem(
            f"{path}, line {number}: no event ({type(fault).__name__}). Take the line out by hand."
        ) from fault
