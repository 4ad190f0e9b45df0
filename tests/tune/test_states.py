"""Frozen layers: their output is the encoder's own, whatever the company, and batches are what they say."""

import numpy as np
import pytest
import torch

from recutils.tables import Problem
from recutils.tune.states import Base, by_length, shuffled, states_of

TEXTS = ["good dress", "the shirt runs very small and soft", "bad"]


def test_all_layers_frozen_give_the_encoders_own_output(tiny: str) -> None:
    base = Base(tiny, frozen=2, max_tokens=16)
    tokenizer, model = base.load()
    given = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = model(**given).last_hidden_state
    for row, state in enumerate(states_of(base, TEXTS).rows):
        torch.testing.assert_close(state, wanted[row, : len(state)], atol=1e-5, rtol=1e-4)


def test_a_pair_is_one_text_of_two_kinds(tiny: str) -> None:
    base = Base(tiny, frozen=1, max_tokens=16)
    pair, single = states_of(base, ["good"], ["dress"]), states_of(base, ["good"])
    assert pair.lengths.tolist() == [5] and single.lengths.tolist() == [3]
    swapped = states_of(base, ["dress"], ["good"])
    assert not torch.allclose(pair.rows[0], swapped.rows[0])


def test_long_texts_are_cut_and_counted(tiny: str) -> None:
    found = states_of(Base(tiny, frozen=0, max_tokens=4), TEXTS)
    assert found.lengths.tolist() == [4, 4, 3] and found.truncated == 2


def test_a_batch_is_filled_up_and_masked(states) -> None:
    rows = [int(np.argmin(states.lengths)), int(np.argmax(states.lengths))]
    hidden, mask = states.batch(rows)
    assert mask.sum(1).tolist() == states.lengths[rows].tolist()
    assert hidden.shape[1] == states.lengths.max() and not hidden[~mask].any()
    assert torch.equal(states.only(np.array(rows)).rows[1], states.rows[rows[1]])


def test_batches_hold_every_row_once_and_like_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(3, 90, size=500)
    asked = list(by_length(lengths, 256))
    assert sorted(np.concatenate(asked)) == list(range(500))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= 256 for rows in asked)
    drawn = shuffled(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(drawn)) == list(range(500)) and max(map(len, drawn)) == 16
    spread = np.mean([np.ptp(lengths[rows]) for rows in drawn])
    assert spread < 0.4 * np.ptp(lengths)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"frozen": 3}, r"0\.\.2"),
        ({"frozen": -1}, "frozen"),
        ({"max_tokens": 99}, r"3\.\.32"),
        ({"precision": "f8"}, "f8"),
    ],
)
def test_senseless_bases_are_refused(tiny: str, options: dict, word: str) -> None:
    with pytest.raises(Problem, match=word):
        Base(tiny, **({"frozen": 1, "max_tokens": 16} | options))
