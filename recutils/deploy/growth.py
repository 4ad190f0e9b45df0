"""Interactions resampled to any number, read in chunks, and what a fit on them costs in a fresh process. Curves and the
plan are costs.py.

What resampling keeps and what it cannot tell: see `grow`. `python -m recutils.deploy.growth` is the fresh process.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.deploy.process import fresh, peak_mb
from recutils.tables import ITEM, USER, VALUE, Interactions, Problem

KEEP = 0.9  # share of a person's events that a copy of that person keeps
SIBLINGS_POWER = 0.3  # items grow with the number of copies to this power: an assumption, see `grow`
CHUNK = 1_000_000  # events read at a time
REPEATS, ENOUGH = 5, 2.0  # runs of a work; no further one after so many seconds
WORKS = ("popularity", "als", "ease", "read whole", "read in chunks")


@dataclass(frozen=True)
class Grown:
    """A file of resampled events (columns user, item; int32). copies, siblings: of each person, of each item."""

    path: Path
    events: int
    users: int
    items: int
    copies: int
    siblings: int


def grow(known: Interactions, n: int, path: Path, *, rng: int | np.random.Generator) -> Grown:
    """Write about n events resampled from `known`, whole persons at a time, without ever holding them all.

    Up to len(known): people drawn at random with all their events. Above: every person is copied under new numbers,
    each copy keeps a random KEEP of the events, and each event's item is one of `siblings` equal items, drawn anew;
    siblings = copies ** SIBLINGS_POWER, rounded. So the lengths of histories and the shape of the items' popularity
    stay, and both tables grow. What people choose *together* is only repeated and thinned: time and memory may be read
    off such data, quality at scale may not. Raises Problem for fewer than 1,000 events.
    """
    if n < 1_000 or len(known) < 1_000:
        raise Problem(f"resampling needs 1,000 events or more on both sides; got {len(known):,} to make {n:,} of")
    rng = np.random.default_rng(rng)
    pairs = known.rows[[USER, ITEM]].drop_duplicates().sort_values(USER, kind="stable").to_numpy().astype(np.int64)
    copies = 1 if n <= len(pairs) else int(np.ceil(n / (KEEP * len(pairs))))
    siblings = max(1, round(copies**SIBLINGS_POWER))
    items = np.unique(pairs[:, 1], return_inverse=True)[1]
    tables = _copies((pairs[:, 0], items), n, copies, siblings, rng)
    events, users, n_items = _write(tables, path)
    return Grown(path, events, users, n_items, copies, siblings)


def _copies(
    pairs: tuple[np.ndarray, np.ndarray], n: int, copies: int, siblings: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(user, item) of one copy of everybody after the other; of the last, as many people as are still needed."""
    left, first = n, 0
    for _ in range(copies):
        user, item = pairs
        if copies > 1:
            kept = rng.random(len(user)) < KEEP
            user, item = user[kept], item[kept] * siblings + rng.integers(siblings, size=int(kept.sum()))
        if left < len(user):
            chosen = _people(user, left, rng)
            user, item = user[chosen], item[chosen]
        user = np.unique(user, return_inverse=True)[1] + first
        left, first = left - len(user), int(user.max()) + 1
        yield user.astype(np.int32), item.astype(np.int32)
        if left <= 0:
            return


def _people(user: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Mask of the events of people drawn at random until they have n events."""
    order = rng.permutation(int(user.max()) + 1)
    counts = np.bincount(user)[order]
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[: int(np.searchsorted(counts.cumsum(), n)) + 1]] = True
    return chosen[user]


def _write(tables: Iterator[tuple[np.ndarray, np.ndarray]], path: Path) -> tuple[int, int, int]:
    """Write part after part under a temporary name; events, users and items."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(USER, pa.int32()), (ITEM, pa.int32())])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    events = users = items = 0
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            for user, item in tables:
                writer.write_table(pa.table([user, item], schema=schema))
                events, users = events + len(user), int(user.max()) + 1
                items = max(items, int(item.max()) + 1)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return events, users, items


def read_whole(path: Path, n_users: int, n_items: int) -> Interactions:
    """All events as a table in memory, strength 1 each: what our models' `fit` takes."""
    rows = pd.read_parquet(path)
    rows[VALUE] = np.float32(1)
    return Interactions(rows, n_users, n_items)


def read_in_chunks(path: Path, n_users: int, n_items: int, *, chunk: int = CHUNK) -> sparse.csr_matrix:
    """The same as a sparse matrix (n_users, n_items) float32, read twice, `chunk` events at a time.

    Once to count each person's events, once to put them in their places: beside the matrix itself (8 bytes an event)
    memory holds one chunk. Events of one person may lie anywhere in the file. A pair must not occur twice.
    """
    starts = np.zeros(n_users + 1, dtype=np.int64)
    for user, _ in _chunks(path, chunk):
        starts[1:] += np.bincount(user, minlength=n_users)
    starts = np.cumsum(starts)
    items, free = np.empty(int(starts[-1]), dtype=np.int32), starts[:-1].copy()
    for user, item in _chunks(path, chunk):
        order = np.argsort(user, kind="stable")
        user, item = user[order], item[order]
        found, first, counts = np.unique(user, return_index=True, return_counts=True)
        items[free[user] + np.arange(len(user)) - np.repeat(first, counts)] = item
        free[found] += counts
    return sparse.csr_matrix((np.ones(len(items), dtype=np.float32), items, starts), shape=(n_users, n_items))


def _chunks(path: Path, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=chunk, columns=[USER, ITEM]):
            yield batch.column(0).to_numpy(), batch.column(1).to_numpy()


@dataclass(frozen=True)
class Cost:
    """What one work took. seconds: of the work alone, without starting Python, the median of up to REPEATS runs.

    peak_mb: of the whole process; base_mb: what it held before it read anything.
    """

    work: str
    events: int
    users: int
    items: int
    seconds: float
    peak_mb: float
    base_mb: float


def measured(work: str, grown: Grown, *, seed: int = 0, seconds: float = 600.0, **options: Any) -> Cost:
    """Run one of WORKS on grown events in a fresh process, so that its peak of memory is its own.

    options: parameters of the model. base_mb: what the process held before it read anything (its libraries).
    Raises Problem, with the process's own last words, when it fails or takes longer than `seconds`.
    """
    if work not in WORKS:
        raise Problem(f"work must be one of {', '.join(WORKS)}; got {work!r}")
    job = asdict(grown) | {"path": str(grown.path), "work": work, "seed": seed, "options": options}
    what = f"{work} on {grown.events:,} events"
    told = fresh("recutils.deploy.growth", json.dumps(job), seconds=seconds, what=what, cure="Take fewer events.")
    return Cost(work, grown.events, grown.users, grown.items, **json.loads(told.splitlines()[-1]))


def _work(job: dict[str, Any]) -> dict[str, float]:
    """Do a job in this process: seconds, and the peak of memory."""
    from recutils.model.als import ALS
    from recutils.model.baselines import Popularity
    from recutils.model.ease import EASE

    path, shape = Path(job["path"]), (job["users"], job["items"])
    _warm_up(ALS)
    gc.collect()
    base = peak_mb()
    if job["work"].startswith("read"):
        chunks = job["work"] == "read in chunks"
        seconds = _timed(lambda: read_in_chunks(path, *shape) if chunks else read_whole(path, *shape).matrix())
    else:
        made = {"popularity": Popularity, "ease": EASE, "als": lambda **more: ALS(seed=job["seed"], **more)}
        known = read_whole(path, *shape)
        seconds = _timed(lambda: made[job["work"]](**job["options"]).fit(known))
    return {"seconds": seconds, "peak_mb": peak_mb(), "base_mb": base}


def _timed(work: Callable[[], Any]) -> float:
    """Median seconds of a work that is repeated while that is quick."""
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < ENOUGH:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _warm_up(als: Any) -> None:
    """Load what is loaded on first use, so that it is not counted as the work's."""
    few = pd.DataFrame({USER: [0, 1, 1], ITEM: [0, 0, 1], VALUE: np.float32(1)})
    als(factors=2, iterations=1).fit(Interactions(few, 2, 2))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_work(json.loads(sys.argv[1]))) + "\n")
