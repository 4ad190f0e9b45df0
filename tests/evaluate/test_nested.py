"""Choosing on inner cuts: the best is taken, parts do not overlap, a second run is the same."""

import numpy as np
import pytest

from recutils.data.split import Split
from recutils.evaluate.candidates import described
from recutils.evaluate.nested import (
    BLEND,
    LEARNED,
    TOP_TEN_MENU,
    fitting,
    inner_cuts,
    nested,
    read,
)
from recutils.model.baselines import Random
from recutils.model.ease import EASE
from recutils.tables import Interactions, Problem

MENU = {"ease": (EASE, ({"reg": 1e9}, {"reg": 20.0})), "random": (Random, ({"seed": 1}, {"seed": 2}))}


@pytest.fixture
def cuts(ratings: Interactions) -> list[Split]:
    return inner_cuts(ratings, 2, seed=5, share=0.4)


def test_cuts_are_parts_of_the_training_part_and_differ(ratings: Interactions, cuts: list[Split]) -> None:
    whole = set(zip(ratings.user, ratings.item, strict=True))
    held = [set(zip(cut.test.user, cut.test.item, strict=True)) for cut in cuts]
    for cut, out in zip(cuts, held, strict=True):
        kept = set(zip(cut.train.user, cut.train.item, strict=True))
        assert kept | out == whole and not kept & out
    assert held[0] != held[1]
    with pytest.raises(Problem, match="n_cuts must be at least 1"):
        inner_cuts(ratings, 0, seed=5)


def test_the_best_setting_is_taken_and_what_was_tried_is_counted(cuts: list[Split]) -> None:
    found = nested(MENU, cuts, seed=0)
    best = found.tried.groupby("model").ndcg.max()
    table = found.table().set_index("model")
    assert table.index.tolist() == ["ease", "random", BLEND]
    assert table.ndcg.to_dict() == best.to_dict()
    assert table.tried.tolist() == [2, 2, found.n_shares]
    for name, (_, setting) in found.settings.items():
        rows = found.tried[found.tried.model == name]
        assert described(setting) == rows.setting[rows.ndcg.idxmax()]
    assert found.best_single == best.drop(BLEND).idxmax()


def test_refit_gives_every_model_and_both_blends_and_a_second_run_is_the_same(
    ratings: Interactions, cuts: list[Split]
) -> None:
    first, second = (nested(MENU, cuts, seed=0).refit(ratings) for _ in range(2))
    assert list(first) == ["ease", "random", BLEND, LEARNED]
    for name, model in first.items():
        assert np.array_equal(model.score(ratings.matrix()), second[name].score(ratings.matrix())), name


def test_every_setting_of_the_menu_can_be_built() -> None:
    assert all(make(**setting) for make, settings in TOP_TEN_MENU.values() for setting in settings)


def test_nothing_to_try_is_named(cuts: list[Split]) -> None:
    for menu, given, most in (({}, cuts, None), (MENU, [], None), (MENU, cuts, 0)):
        with pytest.raises(Problem, match="nothing would be tried"):
            nested(menu, given, seed=0, most=most)


def test_data_without_times_and_large_data_are_served_or_named(ratings: Interactions) -> None:
    timeless = Interactions(ratings.rows[["user", "item", "value"]], ratings.n_users, ratings.n_items)
    assert set(TOP_TEN_MENU) - set(fitting(TOP_TEN_MENU, timeless)) == {"sar"}
    assert fitting(TOP_TEN_MENU, ratings) == dict(TOP_TEN_MENU)
    with pytest.raises(Problem, match="Keep a share of the users"):
        fitting(MENU, Interactions(ratings.rows, 100_000, 10_000))


def test_the_test_part_is_read_for_every_model_and_popularity(ratings: Interactions, cuts: list[Split]) -> None:
    found = read(nested(MENU, cuts, seed=0), cuts[0], ["ndcg"])
    assert list(found) == ["ease", "random", BLEND, LEARNED, "popularity"]
    assert {len(one["ndcg"]) for one in found.values()} == {len(np.unique(cuts[0].test.user))}
