"""Work in the background beside a service: tonight's lists for everybody, in blocks, which may give way. The service's
own growth is elastic.py.

Three manners: "greedy" takes what it gets; "nice" has the lowest priority of the system; "yields" is nice and also
stands still before a block while the service's workers have a request under way. The process ends when the pipe of
its starter closes.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recutils.deploy.process import environment
from recutils.deploy.shelf import Shelf
from recutils.tables import Problem

MANNERS = ("greedy", "nice", "yields")
BLOCK = 32  # people in one block: what a request may have to wait for
PAUSE = 0.005  # seconds until the next look
K = 10


@dataclass
class Background:
    """people: lists made. seconds: that the work lasted. waited: seconds of them in which it gave way. Sums."""

    people: int = 0
    seconds: float = 0.0
    waited: float = 0.0


@contextmanager
def background(
    shelf: Shelf, manner: str, *, pids: Sequence[int] = (), port: int = 0, processes: int = 1
) -> Iterator[Background]:
    """Background work for as long as the block lasts; what it did is known when the block is left.

    pids, port: the workers to which it gives way. It starts at once, and the block when every process is at work.
    Raises Problem for an unknown manner and when a process fails.
    """
    if manner not in MANNERS:
        raise Problem(f"manner must be one of {', '.join(MANNERS)}; got {manner!r}")
    job = json.dumps({"shelf": str(shelf.place), "manner": manner, "pids": list(pids), "port": port})
    command = [sys.executable, "-m", "recutils.deploy.background", job]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment())
        for _ in range(processes)
    ]
    done = Background()
    try:
        for one in started:
            if not one.stdout.readline():
                raise Problem(f"the work in the background failed: {one.stderr.read()[-500:].strip()}")
        yield done
    finally:
        _gather(started, done)


def _gather(started: Sequence[subprocess.Popen[str]], done: Background) -> None:
    """End the processes and add up what they did."""
    for one in started:
        one.stdin.close()
        one.stdin = None
    for one in started:
        try:
            out, _ = one.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            one.kill()
            out, _ = one.communicate()
        if one.returncode == 0 and out.strip():
            told = json.loads(out)
            done.people += told["people"]
            done.seconds += told["seconds"]
            done.waited += told["waited"]


def _run(job: dict[str, Any], over: threading.Event) -> dict[str, float]:
    """Make lists, block after block and people after people from the start again, until it is over."""
    import numpy as np

    from recutils.deploy.bundle import load
    from recutils.deploy.elastic import InFlight
    from recutils.rank.top import recommend

    found, flying = load(Shelf(Path(job["shelf"])).current()), InFlight(job["port"])
    if job["manner"] != "greedy":
        os.nice(19)
    recommend(found.model, found.histories[:BLOCK], K)
    _say("at work")  # the starter waits for it
    began, people, waited, n = time.perf_counter(), 0, 0.0, found.histories.shape[0]
    while not over.is_set():
        if job["manner"] == "yields":
            waited += _give_way(flying, job["pids"], over)
        recommend(found.model, found.histories[np.arange(people, people + BLOCK) % n], K)
        people += BLOCK
    return {"people": people, "seconds": time.perf_counter() - began, "waited": waited}


def _say(line: str) -> None:
    """One line to the starter, which reads it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _give_way(flying: Any, pids: Sequence[int], over: threading.Event) -> float:
    """Wait until no request is under way; seconds waited."""
    began = time.perf_counter()
    while flying.count(pids) and not over.wait(PAUSE):
        pass
    return time.perf_counter() - began


def main() -> None:
    """A job as the argument; what was done as one line of JSON."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    _say(json.dumps(_run(json.loads(sys.argv[1]), over)))


if __name__ == "__main__":
    main()
