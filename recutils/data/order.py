"""What happened after what: each user's events in order of time, and who goes first at one moment. No split here."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.tables import Interactions, Problem

TIES = ("file", "reversed", "random", "item")


def reorder_ties(interactions: Interactions, ties: str, rng: int | np.random.Generator = 0) -> Interactions:
    """The same events, with those of one user at one time in another order: a new table of the same rows.

    ties: "file" (as they stand), "reversed", "random" (drawn with rng) or "item" (ascending item row). Only rows that
    share user and time change places, and only among themselves, so that every stable sort by time, of a split or of a
    model, follows the new order. Raises Problem without times and for another word.
    """
    if ties not in TIES:
        raise Problem(f"ties must be one of {', '.join(TIES)}; got {ties!r}")
    user, time = interactions.user.to_numpy(), interactions.time.to_numpy()
    place = np.arange(len(user))
    keys = {
        "file": place,
        "reversed": -place,
        "random": np.random.default_rng(rng).permutation(len(user)),
        "item": interactions.item.to_numpy(),
    }
    chosen = np.empty(len(user), dtype=np.int64)
    chosen[np.lexsort((place, time, user))] = np.lexsort((place, keys[ties], time, user))
    return interactions.only(chosen)


def in_file_order(interactions: Interactions) -> Interactions:
    """The same events with their place in the table as time, in seconds, for data whose file is in order of time."""
    return Interactions(
        interactions.rows.assign(time=pd.to_datetime(np.arange(len(interactions)), unit="s")),
        interactions.n_users,
        interactions.n_items,
    )


def tied(interactions: Interactions) -> np.ndarray:
    """Bool (n,): True where another event of the same user has the same time. Raises Problem without times."""
    interactions.time  # noqa: B018 - raises Problem without times
    return interactions.rows.duplicated(["user", "time"], keep=False).to_numpy()


@dataclass(frozen=True, eq=False)
class Sequences:
    """Every user's items, oldest first: user u has items[starts[u] : starts[u + 1]].

    items: (n_events,) int32 item rows. starts: (n_users + 1,) int64.
    """

    items: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, user: int) -> np.ndarray:
        """The items of one user, oldest first."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    def last(self, n: int) -> np.ndarray:
        """The last n items of each user, (n_users, n) int32, the newest at the right; -1 fills from the left."""
        return windows(self.items, self.starts[:-1], self.starts[1:], n)


def windows(items: np.ndarray, starts: np.ndarray, ends: np.ndarray, n: int) -> np.ndarray:
    """items[end - n : end] for each end, (n_windows, n) int32; -1 where that lies before the window's start."""
    places = ends[:, None] + np.arange(-n, 0)
    inside = places >= starts[:, None]
    if len(items) == 0:
        return np.full(places.shape, -1, dtype=np.int32)
    return np.where(inside, items[np.where(inside, places, 0)], -1).astype(np.int32)


def sequences(interactions: Interactions) -> Sequences:
    """Each user's items in order of time; equal times keep the order of the rows. Raises Problem without times.

    A pair that occurs twice occurs twice here.
    """
    ordered = np.lexsort((interactions.time.to_numpy(), interactions.user.to_numpy()))
    counts = np.bincount(interactions.user, minlength=interactions.n_users)
    return Sequences(interactions.item.to_numpy()[ordered].astype(np.int32), np.concatenate([[0], np.cumsum(counts)]))
