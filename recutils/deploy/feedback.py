"""What people did with their lists, kept: an append-only log that survives a killed machine. It trains nothing.

FOLDER/events-000001.jsonl   one JSON object a line: {"id", "user", "item", "kind", "time"}, "received" where stamped
An event is acknowledged after its bytes are on the disk (fsync). A line that was being written when the machine stopped
is no event: it was never acknowledged, and is cut off when the log is opened again. An id that is there already is
acknowledged again and not written twice, so that a caller may repeat what was not answered. For that all ids are held
in memory: about 100 MB for a million.

Clocks: an event may come from the past (a phone that was off line). One that is up to SKEW seconds ahead of our clock
is ordinary, up to AHEAD it is kept and counted as skewed (whoever reads takes `received` for its time), beyond it is
refused: that clock is broken.
"""

import datetime
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recutils.tables import Problem

KINDS = ("shown", "click", "choose", "dismiss")
FIELDS = ("id", "user", "item", "kind", "time")
RECEIVED = "received"
ROTATE = 16_000_000  # bytes of a file, after which the next begins
SKEW = 60.0  # seconds by which a caller's clock may be ahead before it is told
AHEAD = 86_400.0  # seconds ahead of our clock from which an event is refused


def stamped(events: Sequence[dict[str, Any]], now: datetime.datetime) -> tuple[list[dict[str, Any]], int]:
    """The events with `received`, and how many are more than SKEW ahead. now: our clock, with a zone.

    Raises Problem where one is more than AHEAD ahead, or has no zone; then none is to be kept.
    """
    ahead = [(_moment(event["time"]) - now).total_seconds() for event in events]
    for event, seconds in zip(events, ahead, strict=True):
        if seconds > AHEAD:
            raise Problem(
                f"event {event['id'][:64]!r} lies {seconds / 3600:.0f} hours in the future of this service's clock; at "
                f"most {AHEAD / 3600:.0f} are taken. Set the clock of the caller."
            )
    return [event | {RECEIVED: now.isoformat()} for event in events], sum(seconds > SKEW for seconds in ahead)


def _moment(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise Problem(f"a time needs its zone, such as 2000-01-01T00:00:00+00:00; got {text!r}")
    if found.year < 1970:  # in another zone it may lie before the first year, and every reader of the log would fail
        raise Problem(f"event times begin with 1970; got {text!r}")
    return found


@dataclass
class FeedbackLog:
    """One writer for a folder; a second one is refused by a lock file that the system frees when the writer dies."""

    folder: Path
    rotate: int = ROTATE
    _ids: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _torn: int | None = None  # bytes of the last file that count, where what follows them could not be taken back

    def __post_init__(self) -> None:
        """Open the last file, cut an unfinished line, remember the ids. Raises Problem for a second writer."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it tells what people did: its owner reads it
        self._lock = _locked(self.folder / ".lock")
        for path in self.files():
            _cut(path)
        self._ids.update(event["id"] for event in read(self.folder))
        self._path = next(iter(reversed(self.files())), self.folder / _name(1))
        self._file = self._path.open("ab")
        _sync_folder(self.folder)  # else a new file's name may be lost with the power, and its events with it

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
        self._mend()
        start = self._file.tell()
        try:
            if start and start + len(content) > self.rotate:
                self._next()
                start = 0
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as fault:
            self._undo(start)
            raise Problem(f"feedback could not be written ({fault.strerror}); nothing was kept. Make room.") from fault

    def _undo(self, start: int) -> None:
        """Take back what was written in part; where the disk refuses that too, before the next event."""
        with suppress(OSError):  # its buffer could not be written either: that is what is being undone
            self._file.close()
        self._torn = start
        with suppress(Problem):
            self._mend()

    def _mend(self) -> None:
        if self._torn is None:
            return
        try:
            os.truncate(self._path, self._torn)
            self._file = self._path.open("ab")
        except OSError as fault:
            raise Problem(f"feedback could not be written ({fault.strerror}); nothing was kept. Make room.") from fault
        self._torn = None

    def _next(self) -> None:
        path = self.folder / _name(int(self._path.stem.split("-")[1]) + 1)
        opened = path.open("ab")
        _sync_folder(self.folder)  # where either fails, the old file is still the one that is written
        self._file.close()
        self._path, self._file = path, opened

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
        return {name: event[name] for name in FIELDS} | ({RECEIVED: event[RECEIVED]} if RECEIVED in event else {})
    except (ValueError, KeyError, TypeError) as fault:
        raise Problem(
            f"{path}, line {number}: no event ({type(fault).__name__}). Take the line out by hand."
        ) from fault
