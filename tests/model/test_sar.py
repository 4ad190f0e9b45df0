"""SAR by hand, and whose affinities a history gets."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model import sar
from recutils.model.sar import SAR
from recutils.tables import Interactions, Problem

# Users 0 and 1 met items 0 and 1, user 1 met item 2 as well; user 0 met item 1 thirty days before the last event.
DAYS = pd.Timestamp("2020-01-31") - pd.to_timedelta([0, 30, 0, 0, 0], unit="D")
ROWS = pd.DataFrame(
    {"user": [0, 0, 1, 1, 1], "item": [0, 1, 0, 1, 2], "value": [2.0, 4.0, 1.0, 1.0, 5.0], "time": DAYS}
)
THREE = Interactions(ROWS, 2, 4)


def test_similarity_is_jaccards() -> None:
    model = SAR().fit(THREE)
    expected = [[1, 1, 0.5, 0], [1, 1, 0.5, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(model.similarity, expected, rtol=1e-12)


def test_an_event_of_one_half_life_ago_counts_half() -> None:
    model, histories = SAR(half_life=30).fit(THREE), THREE.matrix()
    np.testing.assert_allclose(model.affinities(histories).toarray()[0], [2, 2, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(model.score(histories)[0], [4, 4, 2, 0], rtol=1e-6)


def test_only_the_same_items_with_the_same_values_are_a_training_users() -> None:
    model = SAR().fit(THREE)
    same = sparse.csr_matrix([[2.0, 4.0, 0, 0]])
    other = sparse.csr_matrix([[2.0, 5.0, 0, 0]])
    assert model.affinities(same).toarray().tolist() == [[2, 2, 0, 0]]
    assert model.affinities(other).toarray().tolist() == [[2, 5, 0, 0]], "without times, all is of now"


def test_the_order_in_which_a_history_is_stored_does_not_matter() -> None:
    model = SAR().fit(THREE)
    turned = sparse.csr_matrix((np.array([4.0, 2.0]), np.array([1, 0]), np.array([0, 2])), shape=(1, 4))
    assert np.array_equal(model.score(turned), model.score(sparse.csr_matrix([[2.0, 4.0, 0, 0]])))


def test_events_of_one_pair_add_up() -> None:
    twice = pd.concat([ROWS, ROWS.iloc[[0]]], ignore_index=True)
    model = SAR().fit(Interactions(twice, 2, 4))
    assert model.affinity.toarray()[0].tolist() == [4, 2, 0, 0]


def test_what_it_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="half_life must be a positive number of days"):
        SAR(half_life=0)
    with pytest.raises(Problem, match="sar needs a time"):
        SAR().fit(Interactions(ROWS.drop(columns="time"), 2, 4))
    monkeypatch.setattr(sar, "MOST_ITEMS", 3)
    with pytest.raises(Problem, match="at most 3 items, got 4"):
        SAR().fit(THREE)
