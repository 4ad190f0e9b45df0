"""Fusion of sources on planted blocks whose answer is known."""

import numpy as np
import pytest

from recutils.model.content import ridge
from recutils.rank import fusion
from recutils.rank.blend import standardised
from recutils.tables import Problem


@pytest.fixture
def blocks():
    """Two sources that say the same thing in other words, and a third that says something else."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(60, 3)) + 0.5
    twin = hidden @ rng.normal(size=(3, 5))
    return {
        name: v.astype(np.float32) for name, v in {"text": hidden, "facts": twin, "era": hidden[:, :1] ** 2}.items()
    }


def test_scaled_blocks_have_mean_squared_length_one_over_known_rows(blocks):
    block = np.vstack([100 * blocks["text"], np.zeros((7, 3))])
    found = fusion.scaled(block)
    assert (found[:60] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert not found[60:].any() and found.dtype == np.float32


def test_stacked_likeness_is_the_shares_sum_of_likenesses(blocks):
    table = fusion.stacked(blocks, {"text": 0.75, "facts": 0.25, "era": 0})
    assert table.shape == (60, 8), "a source without a share is left out"
    wanted = 0.75 * blocks["text"] @ blocks["text"].T + 0.25 * blocks["facts"] @ blocks["facts"].T
    assert np.allclose(table @ table.T, wanted, rtol=1e-4, atol=1e-4)


def test_a_source_that_knows_no_item_is_named_and_left_out(blocks):
    kept, silent = fusion.usable({**blocks, "plots": np.zeros((60, 9))})
    assert list(kept) == list(blocks) and silent == ("plots",)
    with pytest.raises(Problem, match="every source is missing"):
        fusion.usable({"plots": np.zeros((60, 9))})
    with pytest.raises(Problem, match="missing for every item"):
        fusion.scaled(np.zeros((60, 9)))


def test_what_a_gap_hides_is_never_read(blocks):
    gaps = {"facts": np.arange(60) < 20}
    poisoned = {**blocks, "facts": np.where(gaps["facts"][:, None], 1e6, blocks["facts"]).astype(np.float32)}
    for how in fusion.WAYS:
        clean, dirty = fusion.filled(blocks, gaps, how), fusion.filled(poisoned, gaps, how)
        assert all(np.array_equal(clean[name], dirty[name]) for name in blocks), how


def test_fillings_by_hand(blocks):
    gaps = {"facts": np.arange(60) < 20}
    found = {how: fusion.filled(blocks, gaps, how, penalty=1e-6)["facts"] for how in fusion.WAYS}
    assert all(np.array_equal(table[20:], blocks["facts"][20:]) for table in found.values()), "what is there stays"
    assert not found["zeros"][:20].any()
    assert np.allclose(found["mean"][:20], blocks["facts"][20:].mean(axis=0), atol=1e-5)
    assert np.allclose(found["ridge"][:20], blocks["facts"][:20], atol=1e-2), "the twin source tells it all"


def test_filling_changes_nothing_it_was_given(blocks):
    before = {name: block.copy() for name, block in blocks.items()}
    fusion.filled(blocks, {"text": np.arange(60) < 5, "facts": np.arange(60) < 9}, "ridge")
    assert all(np.array_equal(blocks[name], before[name]) for name in blocks)


def test_filling_what_no_item_has_is_refused(blocks):
    gaps = {"facts": np.ones(60, dtype=bool)}
    for how in ("mean", "ridge"):
        with pytest.raises(Problem, match="'facts' is missing for every item"):
            fusion.filled(blocks, gaps, how)
    assert not fusion.filled(blocks, gaps, "zeros")["facts"].any()
    with pytest.raises(Problem, match="zeros, mean, ridge"):
        fusion.filled(blocks, gaps, "median")


def test_ridge_for_gaps_is_ridge_without_gaps(blocks):
    table, targets = np.hstack(list(blocks.values())), blocks["text"] @ np.ones((3, 2), dtype=np.float32)
    for mine, theirs in zip(
        fusion.ridge_for_gaps(table, targets, 2.0, [3, 5, 1], 0), ridge(table, targets, 2.0), strict=True
    ):
        assert np.allclose(mine, theirs, atol=1e-4)


def test_ridge_for_gaps_equals_many_random_drops(blocks):
    rng, copies = np.random.default_rng(1), 3000
    table = np.hstack([blocks["text"], blocks["facts"]])
    targets = (blocks["text"] @ rng.normal(size=(3, 2))).astype(np.float32)
    keep = np.repeat(rng.random((copies * 60, 2)) >= 0.3, [3, 5], axis=1)
    centre = table.mean(axis=0)
    dropped = np.where(keep, np.tile(table, (copies, 1)), centre) - centre
    rest = np.tile(targets - targets.mean(axis=0), (copies, 1))
    wanted = np.linalg.solve(dropped.T @ dropped / copies + 30.0 * np.eye(8), dropped.T @ rest / copies)
    found, _ = fusion.ridge_for_gaps(table, targets, 30.0, [3, 5], 0.3)
    assert np.allclose(found, wanted, atol=0.02 * np.abs(wanted).max())
    plain, _ = ridge(table, targets, 30.0)
    assert not np.allclose(found, plain, atol=0.1 * np.abs(wanted).max()), "expecting gaps must change the map"


@pytest.mark.parametrize(("widths", "missing"), [([3, 5], 0.3), ([3, 5, 1], 1.0), ([3, 5, 1], -0.1)])
def test_impossible_gaps_are_refused(blocks, widths, missing):
    with pytest.raises(Problem, match="widths that sum to 9"):
        fusion.ridge_for_gaps(np.hstack(list(blocks.values())), blocks["text"], 1.0, widths, missing)


def test_late_fusion_is_the_mean_of_standardised_scores():
    rng = np.random.default_rng(2)
    scores = {"a": rng.normal(size=(4, 9)), "b": 50 + 7 * rng.normal(size=(4, 9))}
    wanted = (3 * standardised(scores["a"]) + standardised(scores["b"])) / 4
    assert np.allclose(fusion.late(scores, {"a": 3, "b": 1}), wanted, atol=1e-5)
    stretched = {**scores, "b": 1000 * scores["b"] - 3}
    assert np.allclose(fusion.late(stretched, {"a": 3, "b": 1}), wanted, atol=1e-5), "scale must not matter"


def test_late_fusion_gives_the_share_of_a_silent_source_to_the_others():
    scores = {"a": np.array([[1.0, 2.0, 3.0, 4.0]]), "b": np.array([[4.0, 1.0, 9e9, -9e9]])}
    knows = {"b": np.array([True, True, False, False])}
    found = fusion.late(scores, {"a": 1, "b": 1}, knows)
    alone = fusion.late(scores, {"a": 1, "b": 0})
    assert np.allclose(found[0, 2:], alone[0, 2:]), "where b is silent, a speaks alone"
    assert found[0, 0] == pytest.approx((alone[0, 0] + 1) / 2)
    nothing = fusion.late(scores, {"a": 1, "b": 1}, {"a": np.zeros(4, bool), **knows})
    assert nothing[0, 2:].tolist() == [0, 0], "an item nobody knows gets the user's mean"


def test_late_fusion_with_a_source_missing_for_all_is_the_others_alone():
    scores = {"a": np.array([[1.0, 2.0, 4.0]]), "b": np.array([[4.0, 1.0, 7.0]])}
    silent = np.zeros(3, dtype=bool)
    assert np.array_equal(fusion.late(scores, {"a": 1, "b": 2}, {"b": silent}), fusion.late(scores, {"a": 1, "b": 0}))
    with pytest.raises(Problem, match="knows any item"):
        fusion.late(scores, {"a": 1, "b": 2}, {"a": silent, "b": silent})


@pytest.mark.parametrize(
    "shares", [{"text": 1}, {"text": 1, "facts": -1, "era": 1}, dict.fromkeys(["text", "facts", "era"], 0)]
)
def test_impossible_shares_are_refused(blocks, shares):
    for fuse in (fusion.stacked, fusion.late):
        with pytest.raises(Problem, match="share"):
            fuse(blocks, shares)


def test_broken_blocks_are_refused(blocks):
    shares = dict.fromkeys(blocks, 1.0)
    with pytest.raises(Problem, match="one length"):
        fusion.stacked({**blocks, "era": blocks["era"][:-1]}, shares)
    with pytest.raises(Problem, match="zero row"):
        fusion.usable({**blocks, "era": np.full((60, 1), np.nan)})


def test_menu_of_shares_holds_every_split_once():
    menu = fusion.menu_of_shares(["a", "b", "c"], 4)
    assert len(menu) == 15 == len({tuple(one.values()) for one in menu})
    assert all(sum(one.values()) == pytest.approx(1) for one in menu)
    assert fusion.menu_of_shares(["a"], 4) == [{"a": 1.0}]
    with pytest.raises(Problem, match="at least one source"):
        fusion.menu_of_shares([])
