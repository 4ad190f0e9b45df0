"""Why lines name what carries the score, and say so when nothing does."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.rank.explore import leave_one_out
from recutils.tables import ITEM, USER, VALUE, Interactions
from recutils.trust.explain import POPULAR, because, match, why_lines

NAMES = ["tea", "cup", "nail", "hammer", "hat"]


@pytest.fixture(scope="module")
def train() -> Interactions:
    """Tea goes with cup and nail with hammer; somebody has a hat."""
    pairs = [(user, item) for user in range(20) for item in ((0, 1) if user % 2 else (2, 3))] + [(0, 4), (1, 4)]
    rows = pd.DataFrame(pairs, columns=[USER, ITEM]).assign(**{VALUE: 1.0})
    return Interactions(rows, n_users=20, n_items=5)


def row(*items: int) -> sparse.csr_matrix:
    values = np.zeros((1, 5), dtype=np.float32)
    values[0, list(items)] = 1
    return sparse.csr_matrix(values)


def test_the_line_names_what_carries_the_score(train: Interactions) -> None:
    model = EASE(reg=1.0).fit(train)
    assert because(model, row(0, 2, 4), 1, NAMES).startswith("because you chose “tea”")
    assert because(model, row(0, 2), 3, NAMES, verb="bought") == "because you bought “nail”"
    lines = why_lines(model, row(0, 2), [1, 3, -1], NAMES)
    assert list(lines.title) == ["cup", "hammer"] and list(lines["rank"]) == [1, 2]


def test_the_only_item_of_a_history_is_the_reason(train: Interactions) -> None:
    """Without it a model falls back to popularity, on another scale: a difference of scores would mean nothing."""
    assert because(EASE(reg=1.0).fit(train), row(0), 1, NAMES) == "because you chose “tea”"


def test_a_line_names_what_explore_finds_strongest(train: Interactions) -> None:
    model, history = EASE(reg=1.0).fit(train), row(0, 2, 4)
    for item in (1, 3):
        strongest = leave_one_out(model, history, item).iloc[0]
        assert because(model, history, item, NAMES).split("“")[1].startswith(NAMES[int(strongest["item"])])


def test_without_a_reason_the_line_says_that_many_chose_it(train: Interactions) -> None:
    assert because(Popularity().fit(train), row(0), 1, NAMES) == POPULAR
    assert because(EASE(reg=1.0).fit(train), row(), 1, NAMES) == POPULAR


def test_a_search_result_says_which_words_it_holds() -> None:
    assert match("the RED red pot", "Red teapot") == "has your words: red"
    assert match("kettle", "teapot") == POPULAR
    assert match("kettle", "teapot", 0.5) == "near in meaning (cosine 0.50)"
