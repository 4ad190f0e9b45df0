"""People who stand in a table twice under two names: found by their histories, and left out. Nothing is judged here.

A hidden event of the one is a training event of the other, so that models of behaviour look far better than they are.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from recutils.data.prepare import compact
from recutils.tables import Dataset, Interactions, Problem

LEAST, ALIKE = 5, 0.7  # items of a history that can be told from chance, and the Jaccard likeness of a copy


def twins(interactions: Interactions, *, least: int = LEAST, alike: float = ALIKE) -> pd.DataFrame:
    """Each user with `least` items or more, and the user whose items are most alike: user, twin, alike, is_twin.

    alike: shared items over all items of the two (Jaccard). Shorter histories agree by chance and are not told apart.
    Two rows for each pair of twins; of equally alike users the lowest row is the twin. Raises Problem: least below 2.
    """
    if least < 2 or not 0 < alike <= 1:
        raise Problem(f"least must be 2 items or more and alike in (0, 1]; got {least} and {alike}")
    rows = interactions.matrix("binary")
    size = np.diff(rows.indptr)
    users = np.flatnonzero(size >= least)
    found = []
    for first in range(0, len(users), 512):
        block = users[first : first + 512]
        shared = (rows[block] @ rows[users].T).toarray()
        likeness = shared / (size[block][:, None] + size[users] - shared)
        likeness[np.arange(len(block)), np.arange(first, first + len(block))] = -1
        best = likeness.argmax(axis=1)
        found += list(zip(block, users[best], likeness.max(axis=1), strict=True)) if len(users) > 1 else []
    table = pd.DataFrame(found, columns=["user", "twin", "alike"])
    return table.assign(is_twin=table["alike"] >= alike)


def seam(interactions: Interactions, found: pd.DataFrame) -> int:
    """The row where a copy of the people begins: the earlier twins end before it, the later ones begin there or after.

    found: of `twins`; pairs count that are each other's twin. The row that parts the most pairs, of equal ones the
    last; the number of rows where it parts fewer than nine tenths, since scattered twins are no appended copy.
    """
    user = interactions.user.to_numpy()
    twin_of = found[found["is_twin"]].set_index("user")["twin"]
    pairs = [(a, b) for a, b in twin_of.items() if twin_of.get(b) == a]
    rows = pd.Series(np.arange(len(user))).groupby(user).agg(["min", "max"])
    parted = np.zeros(len(user) + 1, dtype=np.int64)
    for one, other in pairs:
        end, start = rows.at[one, "max"] + 1, rows.at[other, "min"]
        if end <= start:
            parted[end] += 1
            parted[start + 1] -= 1
    covered = np.cumsum(parted)[: len(user)]
    if not pairs or covered.max() < 0.9 * len(pairs) / 2:
        return len(user)
    return int(np.flatnonzero(covered == covered.max())[-1])


def without_copies(dataset: Dataset, *, least: int = LEAST, alike: float = ALIKE) -> Dataset:
    """The data set without a copy of its people that was appended to its table; itself where there is none.

    What follows the seam is left out when most of its people with `least` items or more have their twin before it.
    Users without events go, items stay; a note tells the counts.
    """
    events = dataset.interactions
    found = twins(events, least=least, alike=alike)
    start = seam(events, found)
    late = np.setdiff1d(events.user.to_numpy()[start:], events.user.to_numpy()[:start])
    here = found[found["user"].isin(late)]
    copies = here["is_twin"] & ~here["twin"].isin(late)
    if not len(here) or copies.mean() <= 0.5:
        return dataset
    kept = compact(dataset, events.only(np.arange(start)), keep_items=True)
    note = (
        f"The last {len(events) - start:,} of {len(events):,} rows, with {len(late):,} people of their own, are a "
        f"copy: {copies.mean():.0%} of those with at least {least} items have a twin before. Left out."
    )
    return replace(kept, notes=(*dataset.notes, note))
