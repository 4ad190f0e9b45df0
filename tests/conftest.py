"""Shared fixtures: small planted tables, and the folders that tests may write to."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.tables import Dataset, Interactions

MIRROR = Path(__file__).resolve().parents[1] / "../shared/mirror"
if MIRROR.is_dir():
    os.environ.setdefault("RECUTILS_MIRROR", str(MIRROR.resolve()))


def made(n_users: int = 40, n_items: int = 30, seed: int = 0) -> Interactions:
    """Ratings of two groups of users, each liking one half of the items; a third of the pairs is known."""
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(n_users * n_items)[: n_users * n_items // 3], n_items)
    liked = (user % 2) == (item % 2)
    value = np.where(liked, rng.integers(4, 6, len(user)), rng.integers(1, 3, len(user)))
    time = pd.to_datetime(1_000_000_000 + 3600 * np.arange(len(user)), unit="s")
    return Interactions(pd.DataFrame({"user": user, "item": item, "value": value, "time": time}), n_users, n_items)


@pytest.fixture
def ratings() -> Interactions:
    """Planted ratings with two tastes."""
    return made()


@pytest.fixture
def dataset(ratings: Interactions) -> Dataset:
    """The planted ratings as a data set with titles."""
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(ratings.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(ratings.n_items)]})
    items["title"] = [f"Item {row}" for row in range(ratings.n_items)]
    return Dataset("planted", ratings, users, items, explicit=True)
