"""The three standing users."""

import numpy as np
import pandas as pd
import pytest

from recutils.model.baselines import Popularity
from recutils.rank.probes import LABELS, probe_histories, probe_lists, probe_users
from recutils.tables import Dataset, Interactions, Problem


def test_longest_shortest_and_new() -> None:
    met = pd.DataFrame({"user": [1, 1, 3, 2, 2], "item": [0, 1, 2, 1, 2], "value": 1.0})
    probes = probe_users(Interactions(met, 5, 3))
    assert probes.users == (1, 3, -1)
    assert [probes.histories[row].nnz for row in range(3)] == [2, 1, 0]


def test_one_known_user_is_too_few() -> None:
    met = pd.DataFrame({"user": [1], "item": [0], "value": 1.0})
    with pytest.raises(Problem, match="at least 2 users"):
        probe_users(Interactions(met, 5, 3))


def test_lists_show_unseen_titles(dataset: Dataset) -> None:
    probes = probe_users(dataset.interactions)
    model = Popularity().fit(dataset.interactions)
    shown = probe_lists(model, probes, dataset, k=4)
    assert list(shown.columns) == ["rank", *LABELS]
    most = int(np.argmax(np.bincount(dataset.interactions.item)))
    assert shown["new"][0] == f"Item {most}"
    seen = {f"Item {row}" for row in probes.histories[0].indices}
    assert not seen & set(shown["long history"])
    assert len(probe_histories(probes, dataset, n=3)) == 3
