"""A declared family on planted values."""

import numpy as np
import pytest

from recutils.evaluate.family import compared, compared_records

VALUES = {"a": np.tile([1.0, 1.0, 0.0, 1.0], 50), "b": np.tile([0.0, 1.0, 0.0, 1.0], 50)}
FAMILY = {"first": (VALUES, "a", "b"), "none": (VALUES, "b", "b"), "less": (VALUES, "b", "a")}


def test_signs_and_verdicts() -> None:
    rows = compared(FAMILY, seed=1, draws=500)
    assert rows.delta.tolist() == [0.25, 0.0, -0.25] and rows.verdict.tolist() == ["better", "undecided", "worse"]
    assert (rows.p_holm >= rows.p).all() and (rows.low <= rows.delta).all() and (rows.delta <= rows.high).all()


def test_a_larger_family_widens_its_intervals() -> None:
    alone = compared({"first": FAMILY["first"]}, seed=1, draws=2000)
    three = compared(FAMILY, seed=1, draws=2000)
    assert three.high[0] - three.low[0] > alone.high[0] - alone.low[0]


def test_records_name_the_rival() -> None:
    about = {"notebook": "x", "protocol": "p", "split": "test", "seed": 1}
    rows = compared(FAMILY, seed=1, draws=100)
    found = compared_records(FAMILY, rows, [("accuracy", "d")] * 3, draws=100, **about)
    assert [one.against for one in found] == ["b", "b", "a"] and found[0].value == pytest.approx(0.75)
    assert found[0].delta == pytest.approx(0.25) and found[0].group == "first"
