"""Lists of many users as a CSV file, block by block, so that memory stays small. No model is chosen here."""

import csv
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import numpy as np
from scipy import sparse

from recutils.model.base import Model
from recutils.rank.top import BLOCK, top_k
from recutils.tables import ITEM_ID, TITLE, Dataset, Problem

COLUMNS = ("user_id", "item_id", "title", "rank", "score")
DIGITS = 6  # significant digits of a score, all that float32 holds for sure
Say = Callable[[str], None]


@contextmanager
def whole(path: Path) -> Iterator[TextIO]:
    """A text file to write, which appears under its name when all is well, and not at all otherwise.

    Raises Problem when the place cannot be written or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.is_dir():
        raise Problem(f"{path} is a folder; expected the name of a file to write, such as {path / 'recs.csv'}.")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        os.replace(partial, path)
    except OSError as fault:
        cure = "Give a place in a folder that exists, that you may write to, with free space."
        raise Problem(f"{path} cannot be written ({fault.strerror}). {cure}") from fault
    finally:
        with suppress(OSError):  # its folder is a file, or closed: then nothing was written
            partial.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise Problem now, rather than after minutes of work, when `path` cannot be written; nothing is left behind."""
    trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
    if path.is_dir():
        raise Problem(f"{path} is a folder; expected the name of a file to write, such as {path / 'recs.csv'}.")
    with whole(trial):
        pass
    trial.unlink()


def write_lists(out: Path, model: Model, dataset: Dataset, users: np.ndarray, *, k: int, say: Say) -> dict[str, int]:
    """Write the k best unseen items of each user (rows of `users`, in that order); returns counts of what was written.

    model: fitted on all events. Users without history get popularity. A list is shorter when unseen items run out.
    The score is the model's own, comparable within a list only.
    """
    counts = {"users": len(users), "rows": 0, "users_without_history": 0, "lists_shorter_than_k": 0}
    histories = dataset.interactions.matrix()
    started = time.perf_counter()
    with whole(out) as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for first in range(0, len(users), BLOCK):
            block = users[first : first + BLOCK]
            lists, scores = ranked(model, histories[block], k)
            table.writerows(_rows(dataset, block, lists, scores))
            counts["rows"] += int((lists >= 0).sum())
            counts["users_without_history"] += int((np.diff(histories[block].indptr) == 0).sum())
            counts["lists_shorter_than_k"] += int((lists[:, -1] < 0).sum())
            done = first + len(block)
            left = (time.perf_counter() - started) / done * (len(users) - done)
            say(f"lists: {done:,} of {len(users):,} users, about {left:.0f} s left")
    return counts


def ranked(model: Model, histories: sparse.csr_matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Item rows (n_histories, k), -1 where items run out, and their scores; an empty history gets training counts."""
    scores = model.score(histories)
    empty = np.diff(histories.indptr) == 0
    if empty.any():
        scores = np.array(scores)
        scores[empty] = model.popular
    lists = top_k(scores, histories, k)
    return lists, np.take_along_axis(scores, np.maximum(lists, 0), axis=1)


def _rows(dataset: Dataset, users: np.ndarray, lists: np.ndarray, scores: np.ndarray) -> Iterator[tuple[object, ...]]:
    """The rows of the CSV file for one block of users."""
    item_ids, titles = dataset.items[ITEM_ID].to_numpy(), dataset.items[TITLE].to_numpy()
    for user_id, items, values in zip(dataset.user_ids.ids(users), lists, scores, strict=True):
        for place, (item, value) in enumerate(zip(items, values, strict=True), 1):
            if item >= 0:
                yield user_id, item_ids[item], titles[item], place, f"{value:.{DIGITS}g}"
