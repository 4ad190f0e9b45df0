"""Three standing users whose lists every model notebook shows. They are chosen from training by a fixed rule."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.rank.top import Scorer, recommend
from recutils.tables import TITLE, Dataset, Interactions, Problem

LABELS = ("long history", "short history", "new")


@dataclass(frozen=True, eq=False)
class Probes:
    """labels: names of the probe users; users: their rows (-1 for the new one); histories: sparse (3, n_items)."""

    labels: tuple[str, ...]
    users: tuple[int, ...]
    histories: sparse.csr_matrix


def probe_users(train: Interactions) -> Probes:
    """The user with the most training events, the one with the fewest, and one with none; ties go to the lowest row.

    Raises Problem when fewer than two users have training events.
    """
    counts = np.bincount(train.user, minlength=train.n_users)
    known = np.flatnonzero(counts)
    if len(known) < 2:
        raise Problem(f"probe users need at least 2 users with training events; got {len(known)}. Use a larger sample.")
    users = (int(np.argmax(counts)), int(known[np.argmin(counts[known])]))
    histories = sparse.vstack(
        [train.matrix()[list(users)], sparse.csr_matrix((1, train.n_items), dtype=np.float32)], format="csr"
    )
    return Probes(LABELS, (*users, -1), histories)


def probe_lists(model: Scorer, probes: Probes, dataset: Dataset, k: int = 5) -> pd.DataFrame:
    """The probe users' top k as titles: one column per user, one row per rank."""
    lists = recommend(model, probes.histories, k)
    titles = dataset.items[TITLE].to_numpy()
    columns = {
        label: [titles[item] if item >= 0 else "" for item in items]
        for label, items in zip(probes.labels, lists, strict=True)
    }
    return pd.DataFrame({"rank": np.arange(1, k + 1), **columns})


def probe_histories(probes: Probes, dataset: Dataset, n: int = 5) -> pd.DataFrame:
    """What the probe users liked best in training: the n highest values, ties by item row."""
    titles = dataset.items[TITLE].to_numpy()
    shown = {}
    for label, row in zip(probes.labels, probes.histories, strict=True):
        best = row.indices[np.argsort(-row.data, kind="stable")[:n]]
        shown[f"{label} ({row.nnz} item{'' if row.nnz == 1 else 's'})"] = [*titles[best], *[""] * (n - len(best))]
    return pd.DataFrame(shown)
