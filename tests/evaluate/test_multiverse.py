"""The multiverse on small data, against the long way round; its decomposition on planted tables."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import split
from recutils.data.order import reorder_ties
from recutils.evaluate import anova, universe
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.multiverse import CHOICES, DOZEN, Multiverse, fitting, multiverse
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.rank.top import recommend, top_k
from recutils.tables import Interactions, Problem

MODELS = {"popularity": Popularity, "ease": lambda: EASE(reg=10.0)}


@pytest.fixture(scope="module")
def events() -> Interactions:
    """60 users with 12 of 25 items each, ratings 1 to 5, three events at each moment."""
    rng = np.random.default_rng(3)
    items = np.concatenate([rng.permutation(25)[:12] for _ in range(60)])
    rows = pd.DataFrame({"user": np.repeat(np.arange(60), 12), "item": items, "value": rng.integers(1, 6, 720)})
    rows["time"] = pd.to_datetime(86_400 * np.repeat(rng.integers(0, 500, 240), 3), unit="s")
    return Interactions(rows, 60, 25)


@pytest.fixture(scope="module")
def small(events: Interactions) -> Multiverse:
    return multiverse(events, MODELS, k=5, seed=1)


def find(found: Multiverse, model: str, **choices: str) -> np.ndarray:
    """Values (n_users,) of one protocol and model."""
    table = found.protocols
    chosen = np.all([table[name.replace("_", " ")] == option for name, option in choices.items()], axis=0)
    assert chosen.sum() == 1
    return found.values[:, np.flatnonzero(chosen)[0], found.models.index(model)]


def test_one_protocol_equals_the_long_way_round(events: Interactions, small: Multiverse) -> None:
    parts = split.last_n(reorder_ties(events, "item"), 1)
    users = np.unique(parts.test.user)
    model = EASE(reg=10.0).fit(parts.train)
    seen = (parts.train.matrix("binary") + parts.valid.matrix("binary"))[users]
    liked = parts.test.only(parts.test.value.to_numpy() >= 4).matrix("binary")[users]
    expected = ndcg(top_k(model.score(parts.train.matrix()[users]), seen, 5), liked)
    rules = {"split": "last one", "filter": "none", "seen_items": "hidden", "relevant": "liked", "tied_times": "item"}
    np.testing.assert_allclose(find(small, "ease", **rules, learns_from="train")[users], expected, atol=1e-7)
    whole = split.frozen(parts)
    refitted = recommend(EASE(reg=10.0).fit(whole.train), whole.train.matrix()[users], 5)
    again = find(small, "ease", **rules, learns_from="train + valid")[users]
    np.testing.assert_allclose(again, ndcg(refitted, liked), atol=1e-7)


def test_every_protocol_is_filled_and_random_splits_ignore_tied_times(small: Multiverse) -> None:
    assert small.shape == (4, 2, 2, 2, 2, 2, 2) and small.values.shape == (60, 128, 2)
    assert (small.judged > 0).all() and np.isfinite(small.means).all() and small.notes == ()
    timeless = small.protocols["split"].isin(["random per user", "per item (P2)"]).to_numpy()
    by_ties = small.values.reshape(60, 64, 2, 2)
    assert np.array_equal(by_ties[:, timeless[::2], 0], by_ties[:, timeless[::2], 1], equal_nan=True)
    assert not np.array_equal(by_ties[:, ~timeless[::2], 0], by_ties[:, ~timeless[::2], 1], equal_nan=True)


def test_one_option_held_keeps_its_protocols(small: Multiverse) -> None:
    hidden = small.held("seen items", "hidden").only(["ease"])
    assert hidden.shape == (4, 2, 2, 1, 2, 2, 1) and len(hidden.protocols) == 64
    rows = (small.protocols["seen items"] == "hidden").to_numpy()
    assert np.array_equal(hidden.means[:, 0], small.means[rows, 1])
    with pytest.raises(Problem, match="has the options hidden, shown; got 'masked'"):
        small.held("seen items", "masked")


def test_shown_items_are_never_better_than_hidden_ones_for_ease(small: Multiverse) -> None:
    means = small.means[:, 1].reshape(small.shape[:-1])
    assert (means[:, :, 1, 0] >= means[:, :, 1, 1]).all()


def test_what_data_do_not_allow_is_left_out_and_told(events: Interactions) -> None:
    rows = events.rows.drop(columns="time").assign(value=1.0)
    found = multiverse(Interactions(rows, 60, 25), MODELS, k=5, seed=1)
    assert found.choices["split"] == ("random per user", "per item (P2)")
    assert found.choices["relevant"] == ("all",) and found.choices["tied times"] == ("file",)
    assert "no times" in found.notes[0] and "cannot be told" in found.notes[1]
    thin = multiverse(events.only(events.rows.groupby("user").cumcount().to_numpy() < 2), MODELS, k=5, seed=1)
    assert thin.choices["filter"] == ("none",) and "last one" not in thin.choices["split"]
    assert any(note.startswith("last one is left out") for note in thin.notes)


def test_the_dozen_is_twelve_and_fits_the_data(events: Interactions) -> None:
    assert len(DOZEN) == 12 and list(fitting(events, explicit=True)) == list(DOZEN)
    timeless = Interactions(events.rows.drop(columns="time"), 60, 25)
    assert set(DOZEN) - set(fitting(timeless, explicit=False)) == {"svd", "recent popularity", "sar"}


def test_bad_input_is_named(events: Interactions) -> None:
    with pytest.raises(Problem, match="at least two models"):
        multiverse(events, {"popularity": Popularity}, seed=1)
    with pytest.raises(Problem, match="choice 'seen items' needs one or more of hidden, shown; got"):
        multiverse(events, MODELS, seed=1, choices={**CHOICES, "seen items": ("masked",)})
    nothing = events.only(np.arange(2))
    with pytest.raises(Problem, match="no split of these 2 events is possible"):
        multiverse(nothing, MODELS, seed=1)


# --- decomposition ----------------------------------------------------------------------------------------------------


def test_planted_shares_are_found() -> None:
    """y = 2 split + model, plus seen x model that cancels on average: variances 4, 1 and 1 of 6."""
    split_, seen, model = np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij")
    table = (2 * split_ + model + seen * model).reshape(4, 2).astype(float)
    alone, moved = anova.shares(table, (2, 2, 2))
    np.testing.assert_allclose(alone, [4 / 6, 0, 1 / 6], atol=1e-12)
    np.testing.assert_allclose(moved, [4 / 6, 1 / 6, 2 / 6], atol=1e-12)
    stacked = anova.shares(np.stack([table, 5 * table + 1]), (2, 2, 2))
    np.testing.assert_allclose(stacked[0], np.stack([alone, alone]))
    assert np.isnan(anova.shares(np.ones((4, 2)), (2, 2, 2))[0]).all()
    with pytest.raises(Problem, match=r"protocols, models\) of the shape"):
        anova.shares(table, (2, 3, 2))


def test_the_choice_that_turns_the_order_round_is_named() -> None:
    """`seen` swaps the best two of three models, `split` only adds a constant, `ties` changes nothing at all."""
    choices = {"split": ("a", "b"), "seen": ("x", "y"), "ties": ("p", "q")}
    rows = [np.array([3.0, 2.0, 1.0] if seen == 0 else [2.0, 3.0, 1.0]) + 10 * s for s in (0, 1) for seen in (0, 1)]
    means = np.repeat(np.stack(rows), 2, axis=0)
    found = anova.by_choice(means, choices).set_index("choice")
    assert found.loc["split"].tolist() == [0.0, 1.0, 4] and "ties" not in found.index
    assert found.loc["seen", "winner_changes"] == 1.0 and np.isclose(found.loc["seen", "tau"], 1 / 3)
    with pytest.raises(Problem, match="no choice 'masks'; expected one of split, seen, ties"):
        anova.pairs(choices, "masks")


def test_chance_alone_changes_no_clear_winner_and_half_of_the_coin_tosses() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((400, 1, 2)).astype(np.float32)
    clear = values + np.array([0.0, 5.0], dtype=np.float32)
    choices = {"split": ("a",)}
    tosses = Multiverse(choices, ("m", "n"), values - values.mean(axis=0)).drawn(lambda means: means, 1, 2000)
    assert anova.by_chance(Multiverse(choices, ("m", "n"), clear).drawn(lambda means: means, 1, 200)) == (0.0, 1.0)
    changes, tau = anova.by_chance(tosses)
    assert 0.45 < changes < 0.55 and abs(tau) < 0.1
    with pytest.raises(Problem, match="two draws"):
        anova.by_chance(tosses[:1])


def test_draws_leave_out_users_whom_a_protocol_does_not_judge() -> None:
    values = np.full((50, 2, 2), np.nan, dtype=np.float32)
    values[:, 0], values[:10, 1] = 0.25, 0.5
    drawn = Multiverse({"split": ("a", "b")}, ("m", "n"), values).drawn(lambda means: means, 3, 100)
    assert drawn.shape == (100, 2, 2)
    assert np.allclose(drawn[:, 0], 0.25) and np.allclose(drawn[:, 1], 0.5)


def test_tables_of_a_multiverse_hold_what_anova_says(small: Multiverse) -> None:
    found = universe.shares(small, seed=1, draws=50)
    alone, in_all = anova.shares(small.means, small.shape)
    own = found[found.of == "nDCG"]
    assert own.choice.tolist() == [*CHOICES, "model"]
    np.testing.assert_allclose(own[["alone", "in all"]].to_numpy(), np.stack([alone, in_all], axis=1))
    hidden = small.held("seen items", "hidden")
    assert "seen items" not in universe.shares(hidden, seed=1, draws=5).choice.to_list()
    made = universe.share_records(found, small, notebook="n", dataset="d", protocol="p", seed=1, k=5)
    assert len(made) == 2 * len(found) and {record.n for record in made} == {60}


def test_the_curve_is_sorted_and_each_point_is_a_difference_of_means(small: Multiverse) -> None:
    found = universe.curve(small, ("ease", "popularity"), seed=1, draws=50)
    assert (
        found.delta.is_monotonic_increasing and (found.low <= found.delta).all() and (found.delta <= found.high).all()
    )
    gaps = small.means[:, 1] - small.means[:, 0]
    np.testing.assert_allclose(found.delta, np.sort(gaps), atol=1e-6)
    lowest = small.protocols.iloc[int(gaps.argmin())]
    assert found[list(CHOICES)].iloc[0].tolist() == lowest.tolist()


def test_places_of_two_models_add_up(small: Multiverse) -> None:
    found = universe.places(small).set_index("model")
    assert np.isclose(found["mean place"].sum(), 3) and (found["best place"] <= found["worst place"]).all()
    wins = (small.means[:, 1] > small.means[:, 0]).mean()
    ties = (small.means[:, 1] == small.means[:, 0]).mean()
    assert np.isclose(found.loc["ease", "mean place"], 2 - wins - ties / 2)
