"""Choosing on the valid part: the best is taken, the test part is not read."""

import numpy as np
import pytest

from recutils.data.split import Split, random_items
from recutils.evaluate.validated import BLEND, validated
from recutils.model.baselines import Popularity, Random
from recutils.model.ease import EASE
from recutils.tables import Interactions, Problem

MENU = {"ease": (EASE, ({"reg": 1e9}, {"reg": 20.0})), "random": (Random, ({"seed": 1}, {"seed": 2}, {"seed": 3}))}
SHARES = [(0, 1), (9, 1), (1, 1)]


@pytest.fixture
def split(ratings: Interactions) -> Split:
    return random_items(ratings, 0.75, valid_share=0.4)


def test_the_best_setting_and_blend_are_taken(split: Split) -> None:
    found = validated(MENU, SHARES, split)
    assert found.tried.model.tolist() == ["ease"] * 2 + ["random"] * 3 + [BLEND] * 3
    best = found.tried.groupby("model").ndcg.max()
    for name, row in found.table().set_index("model").iterrows():
        assert row.ndcg == best[name]
    assert found.table().tried.tolist() == [2, 3, 3]
    assert found.parameters["ease"]["reg"] == found.fitted["ease"].reg
    assert found.best_single == best.drop(BLEND).idxmax()


def test_the_test_part_is_not_read(split: Split) -> None:
    blind = Split(split.train, split.valid, split.test.only([]), split.name, split.pretends)
    assert validated(MENU, SHARES, blind).tried.equals(validated(MENU, SHARES, split).tried)


def test_refit_on_the_same_events_is_the_same_model(split: Split) -> None:
    found, histories = validated(MENU, SHARES, split), split.train.matrix()
    again = found.refit(split.train)
    for name, model in found.models().items():
        assert np.array_equal(model.score(histories), again[name].score(histories)), name


def test_most_takes_the_first_settings(split: Split) -> None:
    assert validated(MENU, SHARES, split, most=1).tried.model.tolist() == ["ease", "random", BLEND]


def test_bad_menus_are_named(split: Split) -> None:
    with pytest.raises(Problem, match="2 weights in each of shares"):
        validated(MENU, [(1,)], split)
    with pytest.raises(Problem, match="menu and shares must not be empty"):
        validated({}, [], split)
    with pytest.raises(Problem, match="most must be at least 1"):
        validated({"popularity": (Popularity, ({},))}, [(1,)], split, most=0)
