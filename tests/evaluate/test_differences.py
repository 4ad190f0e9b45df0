"""Questions declared beforehand: wider intervals, Holm, words that fit the interval."""

import numpy as np
import pytest

from recutils.evaluate.differences import family, family_records, family_table, people_needed, worth
from recutils.evaluate.statistics import compare, holm


def test_the_family_is_corrected_for_its_size():
    rng = np.random.default_rng(0)
    values = {"a": rng.random(60) + 0.1, "b": rng.random(60), "c": rng.random(60)}
    pairs = {"first": ("a", "b"), "second": ("b", "c")}
    found = family(values, pairs, 3, draws=400)
    plain = {what: compare(values[a], values[b], 3, draws=400) for what, (a, b) in pairs.items()}
    for what, (one, _) in found.items():
        assert one.delta == plain[what].delta and one.high - one.low > plain[what].high - plain[what].low
    assert [p for _, p in found.values()] == holm([one.p for one in plain.values()]).tolist()
    labels = {"notebook": "n", "dataset": "d", "protocol": "H", "split": "s", "seed": 3}
    records = family_records(found, pairs, **labels)
    assert [(r.model, r.against, r.group) for r in records] == [("a", "b", "first"), ("b", "c", "second")]
    assert family_table(found, pairs).shape == (2, 9)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.006, 0.02, "earns its place"), (-0.004, 0.004, "makes no difference that matters"),
     (-0.02, 0.02, "too small to decide"), (0.001, 0.02, "helps, perhaps too little to matter"),
     (-0.02, -0.006, "does harm"), (-0.02, -0.001, "harms, perhaps little")],
)  # fmt: skip
def test_words_for_intervals(low, high, said):
    assert worth((low + high) / 2, low, high) == said


def test_people_needed_grow_with_the_square_of_the_width():
    assert people_needed(-0.01, 0.01, 50, 0.005) == 200
    assert people_needed(-0.005, 0.005, 50, 0.005) == 50
