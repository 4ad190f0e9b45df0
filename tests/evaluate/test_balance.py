"""Means by inverse propensity against a planted truth, and samples that must be balanced."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.balance import balanced, keep_chances, planted, weighted_mean
from recutils.model.debias import propensities
from recutils.tables import Interactions, Problem


def estimates(eta: float, n: int = 60) -> tuple[np.ndarray, float]:
    worlds = [planted(400, 50, rng=seed) for seed in range(n)]
    found = []
    for world in worlds:
        users, items = np.nonzero(world.seen)
        chances = propensities(world.counts, eta, floor=1e-6)[items]
        found.append(weighted_mean(world.liked[users, items], chances))
    return np.array(found), float(np.mean([world.truth for world in worlds]))


def test_the_naive_mean_is_wrong_the_weighted_one_right_and_its_spread_larger() -> None:
    (naive, truth), (weighted, _) = estimates(0.0), estimates(1.0)
    assert naive.mean() > truth + 0.1
    assert abs(weighted.mean() - truth) < 0.01
    assert weighted.std() > 1.5 * naive.std()


def test_with_known_propensities_and_size_it_is_unbiased() -> None:
    found = []
    for seed in range(200):
        world = planted(100, 20, rng=seed)
        users, items = np.nonzero(world.seen)
        found.append(weighted_mean(world.liked[users, items], world.exposure[items], n_all=2000) - world.truth)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(200)


def test_a_world_that_shows_everything_needs_no_weights() -> None:
    world = planted(50, 10, skew=0.0)
    assert world.seen.all() and (world.counts == 50).all()
    assert weighted_mean(world.liked.ravel(), np.ones(500)) == world.truth


@pytest.mark.parametrize("bad", [0.0, 1.01, -0.5, np.nan])
def test_a_propensity_is_a_chance(bad: float) -> None:
    with pytest.raises(Problem, match=r"above 0 and at most 1; got .* in place 1"):
        weighted_mean(np.ones(2), np.array([0.5, bad]))


def test_bad_input_is_named() -> None:
    with pytest.raises(Problem, match="one length > 0"):
        weighted_mean(np.ones(0), np.ones(0))
    with pytest.raises(Problem, match="one length > 0"):
        weighted_mean(np.ones(2), np.ones(3))
    for share in (0.0, 1.5):
        with pytest.raises(Problem, match="share must lie"):
            keep_chances(np.ones(3), share)
    for sizes in ((0, 5, 1), (5, 1, 1), (5, 5, -1)):
        with pytest.raises(Problem, match="n_users must be 1"):
            planted(*sizes[:2], skew=sizes[2])


def test_chances_are_inverse_to_popularity_and_have_the_asked_mean() -> None:
    popularity = np.random.default_rng(0).integers(50, 500, 1000)
    chances = keep_chances(popularity, 0.1)
    assert chances.mean() == pytest.approx(0.1, rel=1e-6)
    np.testing.assert_allclose(chances * popularity, chances[0] * popularity[0], rtol=1e-9)
    assert keep_chances(np.array([0, 1, 9]), 1.0) == pytest.approx(np.ones(3))
    assert keep_chances(np.full(4, 9), 0.3) == pytest.approx(np.full(4, 0.3))


def part() -> tuple[Interactions, np.ndarray]:
    counts = np.array([1000, 100, 10])
    items = np.repeat([0, 1, 2], counts * 4)
    return Interactions(pd.DataFrame({"user": 0, "item": items, "value": 1.0}), 1, 3), counts


def test_a_balanced_sample_holds_all_items_alike() -> None:
    events, counts = part()
    kept = balanced(events, counts, share=0.02, rng=3)
    assert 0.015 < len(kept) / len(events) < 0.025
    sizes = np.bincount(kept.item, minlength=3)
    assert sizes.max() < 1.6 * sizes.min()
    again = balanced(events, counts, share=0.02, rng=3)
    assert kept.rows.equals(again.rows)
    assert len(balanced(events, counts, share=1.0)) == len(events)


def test_a_larger_share_keeps_what_a_smaller_one_does() -> None:
    events, counts = part()
    events = Interactions(events.rows.assign(value=np.arange(len(events))), 1, 3)
    small, large = (set(balanced(events, counts, share=share, rng=3).value) for share in (0.02, 0.1))
    assert small < large


def test_samples_that_cannot_be_are_refused() -> None:
    events, counts = part()
    with pytest.raises(Problem, match="each of 3 items"):
        balanced(events, counts[:2])
    with pytest.raises(Problem, match="no events to sample"):
        balanced(events.only(np.zeros(len(events), dtype=bool)), counts)
    with pytest.raises(Problem, match="none of 1 events is kept"):
        balanced(events.only(np.array([0])), counts, share=1e-6)
