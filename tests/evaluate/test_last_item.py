"""The last-item protocol: which event is judged, from which history, and in which order."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.last_item import last_item
from recutils.model.sequence import Markov
from recutils.tables import Interactions, Problem


def ring(n_users: int = 24, n_items: int = 9, length: int = 6) -> Interactions:
    """Walks round a ring, one step at a time."""
    user, step = np.divmod(np.arange(n_users * length), length)
    rows = pd.DataFrame({"user": user, "item": (user + step) % n_items, "value": 1.0})
    return Interactions(rows.assign(time=pd.to_datetime(60 * step, unit="s")), n_users, n_items)


def test_the_parts_on_paper() -> None:
    found = last_item(ring(), "ring", 3)
    assert found.split.sizes() == {"train": 96, "valid": 24, "test": 24}
    assert found.valid.truth[2].indices.tolist() == [6] and found.test.truth[2].indices.tolist() == [7]
    assert sorted(found.valid.histories[2].indices) == [2, 3, 4, 5]
    assert sorted(found.test.histories[2].indices) == [2, 3, 4, 5, 6]
    assert (found.valid.part, found.test.part, found.test.split) == ("valid", "test", found.split.name)
    assert found.test.protocol == "last item"


def test_a_model_of_order_is_right_on_both_parts_only_because_it_is_told_the_order() -> None:
    found = last_item(ring(), "ring", 1)
    model = Markov().fit(found.split.train)
    assert found.value(model) == 1 and found.value(model, "hit_rate") == 1
    judged = found.judge_test({"markov": model}, seed=0, baseline=None, draws=50)
    assert judged.find("markov", "ndcg").value == 1
    untold = found.test.judge({"markov": model}, seed=0, baseline=None, draws=50)
    assert untold.find("markov", "ndcg").value < 1


def test_without_times_the_cure_is_named() -> None:
    timeless = Interactions(ring().rows.drop(columns="time"), 24, 9)
    with pytest.raises(Problem, match="time"):
        last_item(timeless, "ring", 3)
