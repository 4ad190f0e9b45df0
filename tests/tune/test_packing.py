"""Rows of several texts: who sees whom, and at which position."""

import numpy as np
import torch

from recutils.tune.packing import layout, rows


def test_an_ending_sees_its_beginning_and_itself_only() -> None:
    plan = layout([(2, (1, 2)), (1, (1,))])
    wanted = [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1],
    ]
    assert np.array_equal(plan.mask.int().numpy(), wanted)
    assert plan.positions.tolist() == [0, 1, 2, 2, 3, 0, 1]
    assert plan.begins == (slice(0, 2), slice(5, 6))
    assert plan.endings == ((slice(2, 3), slice(3, 5)), (slice(6, 7),))


def test_what_was_read_before_is_seen_by_all() -> None:
    plan, alone = layout([(1, (1,)), (0, (2,))], before=3), layout([(1, (1,)), (0, (2,))])
    assert plan.mask[:, :3].all() and torch.equal(plan.mask[:, 3:], alone.mask)
    assert torch.equal(plan.positions, alone.positions + 3) and len(plan) == 4


def test_rows_hold_no_more_than_they_may_and_all_texts_in_order() -> None:
    shapes = [(3, (2,)), (1, (1, 1)), (9, (9,)), (2, (1,)), (2, (2,))]
    assert list(rows(shapes, 8)) == [[0, 1], [2], [3, 4]]
    assert list(rows(shapes, 1)) == [[0], [1], [2], [3], [4]]
    assert list(rows([], 8)) == []
