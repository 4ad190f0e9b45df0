"""The newswire keeps its parts and its topics."""

import pytest

from recutils.data.labelled import newswire
from recutils.tables import Problem


def test_the_newswire_keeps_its_parts_and_its_topics() -> None:
    train, test = newswire("train"), newswire("test")
    assert (len(train), len(test), len(train.classes)) == (6_532, 2_568, 52) and train.classes == test.classes
    assert set(train.labels) == set(test.labels) == set(range(52)) and "" not in train.classes
    assert train.texts[0].startswith("bahia cocoa review") and "1 of 6,533" in train.notes[0]
    with pytest.raises(Problem, match="train, test"):
        newswire("valid")
