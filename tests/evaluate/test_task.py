"""One object holds a comparison's rules: who is judged, on what, from what."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.split import Split
from recutils.evaluate.task import task
from recutils.model.baselines import Popularity, Random
from recutils.tables import Interactions, Problem


@pytest.fixture
def split() -> Split:
    """Users 0 and 1 are known, user 2 is new; item 3 is new; user 3 has training events only."""

    def part(rows: list[tuple[int, int, float]]) -> Interactions:
        return Interactions(pd.DataFrame(rows, columns=["user", "item", "value"]), 5, 4)

    train = part([(0, 0, 5), (1, 1, 3), (1, 0, 4), (3, 2, 1)])
    valid = part([(0, 1, 5), (0, 3, 2), (1, 2, 1), (2, 0, 4)])
    return Split(train, valid, part([(1, 3, 5)]), "planted", "Pretends nothing.")


def test_known_users_keep_their_history_and_all_events_count(split: Split) -> None:
    rules = task(split, "made", 2)
    assert rules.users.tolist() == [0, 1]
    assert rules.histories.toarray().tolist() == [[5, 0, 0, 0], [4, 3, 0, 0]]
    assert rules.truth.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert "2 have training events (known) and 1 have none (new)" in rules.notes[0]
    assert "1 of the 4 items of valid have no training event" in rules.notes[1]


def test_new_users_have_an_empty_history(split: Split) -> None:
    rules = task(split, "made", 2, users="new")
    assert rules.users.tolist() == [2] and rules.histories.nnz == 0


def test_liked_drops_users_who_liked_nothing(split: Split) -> None:
    rules = task(split, "made", 2, liked=4)
    assert rules.users.tolist() == [0]
    assert rules.truth.toarray().tolist() == [[0, 1, 0, 0]]


def test_the_test_part_is_another_task(split: Split) -> None:
    assert task(split, "made", 2, part="test").truth.toarray().tolist() == [[0, 0, 0, 1]]


def test_records_carry_the_rules(split: Split) -> None:
    rules = task(split, "made", 2)
    models = {"popularity": Popularity().fit(split.train), "random": Random().fit(split.train)}
    judged = rules.judge(models, seed=1, draws=50)
    record = next(r for r in rules.records("30_x", judged) if (r.model, r.metric) == ("popularity", "recall"))
    assert (record.dataset, record.protocol, record.split, record.k, record.n) == ("made", "H", "planted, valid", 2, 2)
    assert record.group == "known users" and task(split, "made", 2, users="new").group == "new users"
    lists = rules.lists(models)["popularity"]
    assert np.array_equal(lists, [[1, 2], [2, 3]])
    assert record.value == pytest.approx((0.5 + 1) / 2)


def test_wrong_rules_are_named(split: Split) -> None:
    with pytest.raises(Problem, match="'valid' or 'test'"):
        task(split, "made", 2, part="train")
    with pytest.raises(Problem, match="no new user has a relevant item in test"):
        task(split, "made", 2, part="test", users="new")
