import numpy as np
import pandas as pd
import pytest

from recutils.evaluate import simulate
from recutils.evaluate.simulate import Loop, World
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.tables import Interactions, Problem

N_USERS, N_ITEMS = 40, 60


def place(chance: float = 0.5, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers([0, 0], [N_USERS, N_ITEMS], size=(200, 2)) // [1, 2], axis=0)
    start = Interactions(pd.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1], "value": 1.0}), N_USERS, N_ITEMS)
    return World(np.full((N_USERS, N_ITEMS), chance, dtype=np.float32), start, 0.5, ())


def test_a_world_where_nobody_accepts_stays_as_it_is() -> None:
    found = simulate.simulate(place(0.0), Loop(Popularity), 3, 5, 1)
    assert found.taken.eq(0).all() and found.gini.nunique() == 1 and found.accept.eq(0).all()


def test_acceptance_follows_chance_and_place_in_the_list() -> None:
    found = simulate.simulate(place(0.6), Loop(None), 1, 5, 1)
    wanted = 0.6 * (1 / np.log2(np.arange(2, 7))).mean()
    assert found.taken[0] == pytest.approx(wanted, abs=0.08) and found.accept[0] == pytest.approx(0.6)


def test_taken_items_are_never_shown_again_and_a_used_up_catalogue_is_said() -> None:
    sure = place(1.0)
    with pytest.raises(Problem, match="everybody has taken every item"):
        simulate.simulate(sure, Loop(None), 60, 30, 1)


def test_random_lists_show_all_and_popularity_shows_few() -> None:
    rows = {
        name: simulate.simulate(place(), loop, 3, 5, 1).iloc[-1]
        for name, loop in {"random": Loop(None), "popularity": Loop(Popularity)}.items()
    }
    assert rows["random"].coverage > 0.9 > 0.5 > rows["popularity"].coverage
    assert rows["random"].gini < rows["popularity"].gini


def test_exploring_fills_the_last_places_with_unlisted_items() -> None:
    world = place()
    seen = world.start.matrix("binary")
    counts = np.bincount(world.start.item, minlength=N_ITEMS)
    model = Popularity().fit(world.start)
    plain, explored = (
        simulate._lists(model, seen, seen, (Loop(Popularity, explore=n), counts, 6), np.random.default_rng(0))
        for n in (0, 2)
    )
    np.testing.assert_array_equal(plain[:, :4], explored[:, :4])
    assert (plain[:, 4:] != explored[:, 4:]).mean() > 0.8
    assert all(len(set(row)) == 6 for row in explored)
    assert not seen[np.repeat(np.arange(N_USERS), 6), explored.ravel()].any()


def test_discounting_shows_less_popular_items() -> None:
    popular = [
        simulate.simulate(place(), Loop(lambda: EASE(reg=5.0), discount=d), 1, 5, 1).popularity[0] for d in (0.0, 2.0)
    ]
    assert popular[1] < popular[0]


def test_runs_repeat_and_seeds_are_paired() -> None:
    worlds = {1: place(seed=1), 2: place(seed=2)}
    loops = {"a": Loop(Popularity), "b": Loop(None), "c": Loop(Popularity, retrain=False)}
    found = simulate.compare_loops(worlds.__getitem__, loops, 2, 5, [1, 2])
    pd.testing.assert_frame_equal(found, simulate.compare_loops(worlds.__getitem__, loops, 2, 5, [1, 2]))
    ends = simulate.over_seeds(found, "coverage", 2, "a").set_index("loop")
    assert ends.delta["a"] == 0 and ends.delta["b"] > 0 and ends.n["a"] == 2
    assert simulate.final_table({"coverage": ends.reset_index()}).shape == (3, 2)


def rated(seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(80 * 40)[:2000], 40)
    value = np.where(rng.random(2000) < np.where((user % 2) == (item % 2), 0.9, 0.1), 5.0, 1.0)
    return Interactions(pd.DataFrame({"user": user, "item": item, "value": value}), 80, 40)


def test_the_user_model_learns_who_likes_what() -> None:
    world = simulate.world(rated(), 4.0, 1, least=5)
    same = (np.arange(80)[:, None] % 2) == (np.arange(40) % 2)
    assert world.auc > 0.8 and world.accept[same].mean() > world.accept[~same].mean() + 0.4
    assert 0 < world.accept.min() <= world.accept.max() < 1 and len(world.start) > 100


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: simulate.world(rated(), 9.0, 1), "both sides"),
        (lambda: simulate.world(rated(), 4.0, 1, least=900), "no item has 900"),
        (lambda: simulate.simulate(place(), Loop(None), 0, 5, 1), "rounds"),
        (lambda: simulate.simulate(place(), Loop(Popularity, explore=9), 2, 5, 1), "explore"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong, told: str) -> None:
    with pytest.raises(Problem, match=told):
        wrong()
