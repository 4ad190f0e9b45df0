"""kill -9 at random moments while feedback is written: what was acknowledged, what is kept, what is doubled or lost.

One helper process imports once and forks a writer for each trial, so that a trial takes a tenth of a second. What is
killed is the process. The machine goes on, so that what the system holds in its memory still reaches the disk: only a
power cut could tell whether fsync is needed. That fsync comes before the answer is a unit test's business.
"""

import itertools
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recutils.deploy.feedback import FeedbackLog, read
from recutils.deploy.process import fresh
from recutils.tables import Problem

SIZES = (1, 3, 500, 20)  # events in a call, in turn; 500, the service's limit, are several pages, which can be torn
ROTATE = 200_000  # bytes of a file, so that kills meet the change of files too
PAUSE = 0.001  # seconds that the careless writer rests, so that its log stays small
EPISODE = 25  # kills after which a new log is begun, since a long one spends its life being opened
PATIENCE = 20.0  # seconds after which a writer that answers nothing is killed all the same
WAIT = 0.06  # seconds, at most, from the start of a writer to its end
WRITERS = ("log", "sloppy")


class Sloppy:
    """What a log would be without care: nothing is looked for, and the answer goes out before the bytes do."""

    def __init__(self, folder: Path, rotate: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "events-000001.jsonl").open("ab", buffering=1 << 14)

    def append(self, events: Sequence[dict[str, Any]]) -> int:
        """Write into a buffer, which is not the disk."""
        self._file.write("".join(json.dumps(event) + "\n" for event in events).encode())
        time.sleep(PAUSE)
        return len(events)


def event(number: int) -> dict[str, str]:
    """Event number `number` of the trial."""
    return {"id": f"e{number}", "user": f"u{number % 50}", "item": f"i{number % 7}", "kind": "click", "time": "t"}


def _write(folder: Path, kind: str, first: int, pipe: int) -> None:
    """A writer's life: send batch after batch, and tell each acknowledged one through the pipe, until it is killed."""
    log = FeedbackLog(folder, ROTATE) if kind == "log" else Sloppy(folder, ROTATE)
    for size in itertools.cycle(SIZES):
        log.append([event(one) for one in range(first, first + size)])
        first += size
        os.write(pipe, first.to_bytes(8, "little"))


def _trial(folder: Path, kind: str, first: int, wait: tuple[float, bool]) -> int:
    """Fork a writer, kill it; the first number that was not acknowledged.

    wait: seconds, from the fork (so that opening the log is met, too) or, where True, from the first answer.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        try:
            _write(folder, kind, first, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    seconds, answered_first = wait
    if answered_first:
        select.select([ours], [], [], PATIENCE)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as told:
        answered = told.read()
    return max(
        [first, *(int.from_bytes(answered[at : at + 8], "little") for at in range(0, len(answered) // 8 * 8, 8))]
    )


def _serve(folder: Path, kind: str, n: int, seed: int) -> None:
    """Run the trials and write one JSON line for each. The client repeats what was not acknowledged, with its ids."""
    first, top = 0, folder
    for number, seconds in enumerate(np.random.default_rng(seed).uniform(0, WAIT, n)):
        if number % EPISODE == 0:
            folder, first = top / f"{number // EPISODE:03d}", 0
            folder.mkdir(parents=True)
        acknowledged = _trial(folder, kind, first, (float(seconds), number % 2 == 0))
        row = {"log": folder.name, "seconds": float(seconds), "sent": first} | counted(folder, acknowledged)
        sys.stdout.write(json.dumps(row) + "\n")
        first = acknowledged


def counted(folder: Path, acknowledged: int) -> dict[str, int]:
    """What a log holds of the events of a trial, of which those before `acknowledged` were answered; see `kill`."""
    left = [path.read_bytes() for path in sorted(folder.glob("events-*.jsonl"))]
    numbers = [_id(line) for content in left for line in content.split(b"\n")[:-1]]
    found = [number for number in numbers if number is not None]
    kept = set(found)
    return {
        "acknowledged": acknowledged, "kept": len(kept),
        "torn": sum(not content.endswith(b"\n") for content in left if content),
        "lost": len(set(range(acknowledged)) - kept), "doubled": len(found) - len(kept),
        "unanswered": sum(number >= acknowledged for number in kept),
    }  # fmt: skip


def _id(line: bytes) -> int | None:
    try:
        return int(json.loads(line)["id"][1:])
    except (ValueError, KeyError, TypeError):
        return None  # a torn line that the sloppy writer wrote on


def kill(folder: Path, n: int, *, seed: int, writer: str = "log") -> pd.DataFrame:
    """Kill a writer at n random moments; one row for each, as the log was found right after the kill.

    Columns: log (a new one every EPISODE kills), seconds (of the writer's life), sent (events acknowledged before it
    began), acknowledged (in all), kept (different events in the log), torn (files with an unfinished line), lost
    (acknowledged, not in the log), doubled, unanswered (in the log, never acknowledged: the client repeats these with
    the same ids).
    Raises Problem where processes cannot be forked, and when the helper fails.
    """
    if writer not in WRITERS or not hasattr(os, "fork"):
        raise Problem(f"writer is one of {', '.join(WRITERS)}, on a system with fork; got {writer!r} on {os.name}.")
    arguments = str(folder), writer, str(n), str(seed)
    told = fresh("recutils.deploy.kills", *arguments, seconds=60 + n, what="the helper that kills writers")
    return pd.DataFrame([json.loads(line) for line in told.splitlines()])


def kill_table(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each writer: kills, and after how many of them something was lost, doubled, torn, not answered."""
    told = {
        "lost": "events lost after", "doubled": "doubled after", "torn": "a line torn after",
        "unanswered": "kept, not answered after",
    }  # fmt: skip
    rows = [
        {"writer": kind, "kills": len(own)} | {name: int((own[column] > 0).sum()) for column, name in told.items()}
        for kind, own in found.items()
    ]
    return pd.DataFrame(rows)


def repeated(folder: Path, rows: pd.DataFrame, more: int = 100) -> int:
    """A client repeats every event of every log, and `more` new ones; in how many logs each is then there exactly once.

    rows: what `kill` returned for this folder.
    """
    exact = 0
    for name, upto in rows.groupby("log").acknowledged.max().items():
        log = FeedbackLog(folder / str(name), ROTATE)
        upto = max(int(upto), rows[rows.log == name].kept.max()) + more
        log.append([event(number) for number in range(upto)])
        log.close()
        exact += sorted(one["id"] for one in read(folder / str(name))) == sorted(f"e{number}" for number in range(upto))
    return exact


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
