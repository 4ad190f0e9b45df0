"""A planted copy of a log is found and left out; honest data stay as they are."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.load import as_published, load
from recutils.data.twins import seam, twins, without_copies
from recutils.tables import Dataset, Interactions, Problem


def log(n_users: int = 60, n_items: int = 80, seed: int = 0) -> pd.DataFrame:
    """Events of people in mixed order."""
    user, item = np.nonzero(np.random.default_rng(seed).random((n_users, n_items)) < 0.12)
    return pd.DataFrame({"user": user, "item": item, "value": 1.0}).sample(frac=1, random_state=seed)


def as_data(rows: pd.DataFrame, n_items: int = 80) -> Dataset:
    n_users = int(rows.user.max()) + 1
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(n_users)]})
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(n_items)], "title": [f"item {n}" for n in range(n_items)]})
    return Dataset("planted", Interactions(rows, n_users, n_items), users, items, explicit=False)


@pytest.fixture(scope="module")
def doubled() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A log, and its copy under other names, sorted by person and one event in twenty lost."""
    first = log()
    copy = first.assign(user=first.user + 60).sort_values("user", kind="stable")
    return first, copy[np.random.default_rng(1).random(len(copy)) < 0.95]


def test_twins_are_found_and_strangers_are_not(doubled: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    both = as_data(pd.concat(doubled)).interactions
    found = twins(both, least=5)
    assert found.is_twin.mean() > 0.9 and (abs(found.user - found.twin) == 60)[found.is_twin].all()
    assert not twins(as_data(doubled[0]).interactions, least=5).is_twin.any()
    with pytest.raises(Problem, match="least"):
        twins(both, least=1)


def test_a_copied_end_is_left_out_and_told(doubled: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    data = as_data(pd.concat(doubled))
    kept = without_copies(data)
    first = as_data(doubled[0])
    assert len(kept.interactions) == len(first.interactions) and len(kept.items) == 80
    assert set(kept.users.user_id) == set(first.users.user_id) and "are a copy" in kept.notes[-1]


def test_honest_data_stay_as_they_are(doubled: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    honest, other = as_data(doubled[0]), log(seed=5)
    assert without_copies(honest) is honest
    appended = as_data(pd.concat([doubled[0], other.assign(user=other.user + 60).sort_values("user", kind="stable")]))
    assert without_copies(appended) is appended, "new people who were appended are no copy"
    scattered = as_data(pd.concat(doubled).sample(frac=1, random_state=3))
    found = twins(scattered.interactions)
    assert found.is_twin.any() and seam(scattered.interactions, found) == len(scattered.interactions)
    assert without_copies(scattered) is scattered, "twins that are mixed with all others have no seam"


def test_articles_hold_their_readers_twice() -> None:
    data, kept = as_published("articles"), load("articles")
    assert 0.5 < kept.interactions.n_users / data.interactions.n_users < 0.6
    assert kept.interactions.rows.equals(without_copies(data).interactions.rows) and "are a copy" in kept.notes[-1]
    assert without_copies(kept) is kept
    assert as_published("ml-100k").interactions.rows.equals(load("ml-100k").interactions.rows)
    assert twins(data.interactions).is_twin.mean() > 0.7 and twins(kept.interactions).is_twin.mean() < 0.05
