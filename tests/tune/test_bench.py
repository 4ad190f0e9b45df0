"""The bench: trains once, keeps by content, and answers as a plain training does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recutils.evaluate.labels import log_loss
from recutils.tables import Problem
from recutils.tune.bench import Bench
from recutils.tune.classifier import Recipe, probabilities, tuned
from recutils.tune.remedies import Remedy
from recutils.tune.states import Base, States

QUICK = Recipe(epochs=2, learning_rate=1e-2, head_rate=3.0, batch=16)
ROWS, ASKED = np.array([5, 3, 9, 20, 21, 22, 30, 31, 40, 41]), np.arange(150, 170)


@pytest.fixture
def bench(planted, base: Base, tmp_path: Path) -> Bench:
    told: list[str] = []
    return Bench(planted, base, ROWS, ASKED, say=told.append, root=tmp_path)


def test_it_answers_as_a_plain_training_and_trains_once(bench: Bench, states: States, planted, base: Base) -> None:
    made = tuned(base, states.only(ROWS), planted.labels[ROWS], QUICK)
    expected = probabilities(made, states.only(ASKED))
    np.testing.assert_allclose(bench.chances(ROWS, QUICK), expected, atol=1e-6)
    again = Bench(planted, base, ROWS, ASKED, root=bench.root)
    assert np.array_equal(again.chances(ROWS, QUICK), bench.chances(ROWS, QUICK))
    assert "states" not in again.__dict__ and len(bench.say.__self__) == 1  # nothing is read for what is kept
    seen = bench.watched(ROWS, QUICK, ASKED)
    assert len(seen.losses) == 2 and seen.values[-1] == pytest.approx(-log_loss(planted.labels[ASKED], expected).mean())


def test_other_labels_rows_texts_or_recipes_are_other_results(bench: Bench, planted, base: Base) -> None:
    ways = (
        (ROWS, QUICK, ASKED),
        (ROWS[::-1], QUICK, ASKED),
        (ROWS, replace(QUICK, seed=1), ASKED),
        (ROWS, QUICK, ROWS),
    )
    keys = [bench.about(*way) for way in ways]
    turned = replace(planted, labels=1 - planted.labels)
    keys.append(Bench(turned, base, ROWS, ASKED).about(ROWS, QUICK, ASKED))
    other = replace(planted, texts=tuple(text + "!" for text in planted.texts))
    keys.append(Bench(other, base, ROWS, ASKED).about(ROWS, QUICK, ASKED))
    assert len({str(key) for key in keys}) == 6


def test_some_of_the_rows_may_be_asked_and_the_encoder_as_it_came_has_its_row(bench: Bench, planted) -> None:
    np.testing.assert_allclose(bench.chances(ROWS, QUICK, ASKED[:5]), bench.chances(ROWS, QUICK)[:5], atol=1e-6)
    tables = bench.untuned([ROWS, ROWS[:6]], ASKED[:5])
    assert len(tables) == 2 and all(table.shape == (5, 2) for table in tables)
    assert np.array_equal(bench.untuned([ROWS, ROWS[:6]], ASKED[:5])[1], tables[1])


def test_remedies_and_towers_are_kept_apart(bench: Bench, planted, base: Base) -> None:
    plain = bench.chances(ROWS, QUICK)
    words = [planted.texts[row] + " red" for row in ROWS]
    other = bench.remedied(ROWS, QUICK, Remedy(name="wordings", versions="red"), words)
    np.testing.assert_allclose(bench.remedied(ROWS, QUICK, Remedy(name="none")), plain, atol=1e-6)
    assert not np.allclose(other, plain)
    pairs = replace(planted, seconds=tuple("red shirt" if n % 2 else "soft dress" for n in range(200)))
    both = Bench(pairs, base, ROWS, ASKED, root=bench.root)
    found = both.towers(ROWS, QUICK)
    assert both.counted(ROWS).shape == (20, 2)
    assert found.shape == (20, 2) and np.allclose(found.sum(axis=1), 1)


def test_what_is_not_there_is_told(bench: Bench) -> None:
    with pytest.raises(Problem, match="not among the rows"):
        bench.at(np.array([199]))
    with pytest.raises(Problem, match="need pairs"):
        _ = bench.sides
