"""What variety costs, on a planted world; measures of tastes on paper."""

import numpy as np
import pytest
from scipy import sparse

from recutils.evaluate import rerankers, tastes, varied
from recutils.evaluate.task import Task
from recutils.rank import kernels
from recutils.rank.diversity import Candidates, spread
from recutils.tables import Problem


def planted(n_users: int = 60, n: int = 20, n_items: int = 40, seed: int = 0) -> varied.World:
    """Relevance falls with the place and hits follow it; two views share half of what they say."""
    rng = np.random.default_rng(seed)
    items = rng.permuted(np.tile(np.arange(n_items, dtype=np.int32), (n_users, 1)), axis=1)[:, :n]
    relevance = np.tile(np.linspace(1, 0, n, dtype=np.float32), (n_users, 1))
    truth = np.zeros((n_users, n_items), np.float32)
    np.put_along_axis(truth, items, (rng.random((n_users, n)) < 0.1 + 0.5 * relevance).astype(np.float32), axis=1)
    truth[:, 0] = 1
    shared = rng.normal(size=(n_items, 4))
    vectors = {name: np.hstack([shared, rng.normal(size=(n_items, 4))]) for name in ("one", "two", "three")}
    groups = np.eye(4, dtype=np.float32)[rng.integers(0, 4, n_items)]
    histories = sparse.random(n_users, n_items, 0.2, format="csr", random_state=1)
    rules = Task("planted", "H", "none", "valid", 5, np.arange(n_users), histories, sparse.csr_matrix(truth), "all")
    half = np.arange(n_users) % 2 == 0
    seen = kernels.Views(vectors, groups, "one", ())
    alike = {name: kernels.likeness(one) for name, one in vectors.items()}
    return varied.World(Candidates(items, relevance), rules, alike, half, seen)


def test_pure_diversification_is_all_of_the_headroom_and_the_first_stage_none() -> None:
    world = planted()
    for name, one in world.likenesses.items():
        assert world.share(world.first, name) == pytest.approx(0)
        wide = varied.widest(world.given, one.table, world.k)
        assert np.mean(world.share(wide, name)) == pytest.approx(1)


def test_a_setting_keeps_the_loss_where_it_was_chosen_and_is_judged_elsewhere() -> None:
    world = planted()
    table, asked = world.likenesses["one"].table, []

    def rerank(users: np.ndarray, trade: float) -> np.ndarray:
        asked.append(users)
        return spread(world.given.only(users), table, trade, world.k)

    found = world.chosen(rerank, loss=0.05, steps=4)
    for judged, trade in ((~world.half, found.trades[0]), (world.half, found.trades[1])):
        chosen_by = np.flatnonzero(~judged)
        value = varied.ndcg(spread(world.given.only(chosen_by), table, trade, world.k), world.truth[chosen_by], world.k)
        assert value.mean() >= 0.95 * world.ndcg[chosen_by].mean()
        expected = spread(world.given.only(np.flatnonzero(judged)), table, trade, world.k)
        assert np.array_equal(found.lists[judged], expected)
    assert all(len(np.unique(world.half[users])) == 1 for users in asked), "halves must not be mixed"
    assert world.losses({"x": found.ndcg}, 0, draws=200)["x"].value == pytest.approx(
        1 - found.ndcg.mean() / world.ndcg.mean()
    )


def test_a_rule_that_always_loses_is_left_alone() -> None:
    world = planted()

    def backwards(users: np.ndarray, trade: float) -> np.ndarray:
        return world.given.items[users][:, ::-1][:, : world.k] if trade > 0 else world.first[users]

    assert world.strongest(backwards, np.arange(20), steps=3) == 0
    assert np.array_equal(world.chosen(backwards, steps=3).lists, world.first)


def test_a_distance_that_was_used_does_not_judge() -> None:
    world = planted()
    wide = varied.widest(world.given, world.likenesses["one"].table, world.k)
    chosen = {"v": varied.Chosen(wide, (1, 1), world.ndcg)}
    others = np.mean([world.share(wide, name).mean() for name in ("two", "three")])
    assert world.shares(chosen, {"v": {"one"}}).mean() == pytest.approx(others)
    assert others < 0.9
    with pytest.raises(Problem, match="none is left"):
        world.shares(chosen, {"v": {"one", "two", "three"}})


def test_the_whole_set_of_rules() -> None:
    world = planted()
    train = _train(world)
    found = rerankers.study(world, train, loss=0.05, steps=3)
    assert {"MMR", "DPP", "spread", "calibration", "covering", "long tail"} < set(found)
    share = {name: np.nanmean(one.share(world)) for name, one in found.items()}
    assert share["spread"] > share["MMR"] > -0.05, "two views share half of what they say: the sum must profit"
    assert found["spread"].used["one"] == {"two", "three"} and found["MMR"].used["one"] == {"one"}
    lost = rerankers.losses(world, found, {"same": world.ndcg}, 0, draws=200)
    assert lost["same", ""].value == 0 and -0.1 < lost["MMR", "one"].value < lost["MMR", "one"].upper < 0.3
    lists = {"calibration": found["calibration"].variants["groups"].lists, "plain": world.first}
    told = rerankers.further(world, lists, train, world.first).set_index("rule")
    assert told["calibration error"].calibration <= told["calibration error"].plain
    assert told.serendipity.plain == 0 and told["alpha-nDCG"].between(0, 1).all()
    again = rerankers.study(world, train, loss=0.05, steps=3)
    assert all(np.array_equal(found[n].ndcg, again[n].ndcg) for n in found)


def _train(world: varied.World) -> "varied.Interactions":
    import pandas as pd

    from recutils.tables import Interactions

    users, items = world.rules.histories.nonzero()
    rows = pd.DataFrame({"user": users, "item": items, "value": 1.0})
    return Interactions(rows, *world.rules.histories.shape)


def test_the_front_falls_as_the_trade_grows() -> None:
    world = planted(n_users=200)
    curve = rerankers.front(world.only(np.arange(150)), "spread", (0.1, 0.5, 0.95), seed=0, draws=200)
    assert curve.share.is_monotonic_increasing and curve.kept.iloc[-1] < curve.kept.iloc[0]
    assert (curve.share_low <= curve.share).all() and (curve.kept <= curve.kept_high).all()


def test_ratio_known_and_refused() -> None:
    same = varied.ratio(np.full(50, 3.0), np.full(50, 2.0), 0, draws=50)
    assert (same.value, same.low, same.high, same.n) == (1.5, 1.5, 1.5, 50)
    with pytest.raises(Problem, match="ratio"):
        varied.ratio(np.array([np.nan]), np.array([1.0]), 0)
    with pytest.raises(Problem, match="ratio"):
        varied.ratio(np.ones(3), np.zeros(3), 0)


def test_worlds_refuse_what_does_not_fit() -> None:
    world = planted()
    with pytest.raises(Problem, match="halves"):
        varied.World(world.given, world.rules, world.likenesses, np.ones(60, bool))
    with pytest.raises(Problem, match="one row per user"):
        varied.World(world.given.only(slice(0, 5)), world.rules, world.likenesses, world.half)
    flat = {"same": kernels.likeness(np.ones((40, 2)))}
    with pytest.raises(Problem, match="no room"):
        varied.World(world.given, world.rules, flat, world.half).headroom("same")


def test_calibration_error_by_hand() -> None:
    groups, mix = np.array([[1, 1], [0, 1], [0, 0]]), np.array([[0.25, 0.75]])
    listed = np.array([0.25, 0.75])  # (1/2 + 0) / 2 and (1/2 + 1) / 2
    assert listed.sum() == 1
    assert tastes.calibration_error(np.array([[0, 1]]), groups, mix)[0] == pytest.approx(0, abs=1e-12)
    only = 0.25 * np.log(0.25 / 0.0025) + 0.75 * np.log(0.75 / 0.9975)
    assert tastes.calibration_error(np.array([[1, -1]]), groups, mix)[0] == pytest.approx(only)
    assert np.isnan(tastes.calibration_error(np.array([[2, -1]]), groups, mix)[0])


def test_alpha_ndcg_limits_and_intents() -> None:
    truth, groups = sparse.csr_matrix([[1, 1, 1, 0], [0, 0, 0, 0]]), np.eye(2)[[0, 0, 1, 1]]
    lists = np.array([[0, 1, 3], [0, 1, 2]])
    with_0 = tastes.alpha_ndcg(lists, truth, groups, alpha=0.0)
    discounts = 1 / np.log2([2, 3, 4])
    assert with_0[0] == pytest.approx(discounts[:2].sum() / discounts.sum()) and np.isnan(with_0[1])
    full = tastes.alpha_ndcg(lists, truth, groups, alpha=1.0)[0]
    assert full == pytest.approx(discounts[0] / discounts[:2].sum())
    assert tastes.intent_coverage(lists[:1], groups, np.array([[0.5, 0.5]]))[0] == 1
    with pytest.raises(Problem, match="alpha"):
        tastes.alpha_ndcg(lists, truth, groups, alpha=2)
    with pytest.raises(Problem, match="mix"):
        tastes.intent_coverage(lists, groups, np.array([[0.5, np.nan]] * 2))
