"""Early exits: the rule on paper, the running encoder obeys it, the chosen thresholds keep their budget."""

import numpy as np
import pytest

from recutils.evaluate.labels import auc
from recutils.tables import Problem
from recutils.tune.classifier import Recipe, fit
from recutils.tune.exits import NEVER, all_logits, answer, choose_thresholds, leave, new_exits, scales, summed_loss
from recutils.tune.states import Base

CHANCES = np.array([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [0.3, 0.7], [0.1, 0.9]]])


@pytest.fixture(scope="module")
def made(tiny, states, planted):
    exits = new_exits(Base(tiny, frozen=1, max_tokens=16), 2)
    fit(exits, states, planted.labels, Recipe(epochs=6, learning_rate=1e-2), loss=summed_loss())
    return exits


def test_the_rule_on_paper() -> None:
    assert leave(CHANCES, [0.85, 0.95]).exits.tolist() == [0, 2]
    found = leave(CHANCES, [NEVER, 0.7])
    assert found.exits.tolist() == [1, 1] and found.chances.tolist() == [[0.2, 0.8], [0.3, 0.7]]
    assert leave(CHANCES, [NEVER, NEVER]).layers(frozen=4) == 6


def test_exits_learn_and_the_running_encoder_gives_the_answers_of_the_rule(made, states, planted) -> None:
    logits = all_logits(made, states)
    assert logits.shape == (200, 2, 2)
    assert ((logits[:, -1].argmax(1) == planted.labels).mean()) > 0.9
    scaled = scales(logits, planted.labels)
    for thresholds in ([0.9], [0.6], [NEVER]):
        wanted, found = leave(scaled.all(logits), thresholds), answer(made, states, thresholds, scaled)
        np.testing.assert_allclose(found.chances, wanted.chances, atol=1e-5)
        assert np.array_equal(found.exits, wanted.exits)
    assert 0 < leave(scaled.all(logits), [0.9]).exits.mean() < 1


def test_scales_make_probabilities_come_true() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=2000)
    margin = 4.0 * (labels * 2 - 1 + 1.5 * rng.normal(size=2000))  # far too sure of itself
    logits = np.stack([np.column_stack([-margin, margin])] * 2, axis=1)
    found = scales(logits, labels).all(logits)[:, 0]
    sure = found.max(axis=1)
    assert sure.mean() == pytest.approx((found.argmax(axis=1) == labels).mean(), abs=0.01)


def test_chosen_thresholds_keep_the_budget_and_lose_least() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, size=400)
    chance = 1 / (1 + np.exp(-np.stack([(labels - 0.5) * scale + rng.normal(size=400) for scale in (2, 4)], axis=1)))
    chances = np.stack([1 - chance, chance], axis=2)
    grid = (0.6, 0.7, 0.8, 0.9, NEVER)
    chosen = choose_thresholds(chances, labels, 4.5, 4, grid)
    assert leave(chances, chosen).layers(4) <= 4.5 and chosen != (NEVER,)
    values = {one: auc(labels, leave(chances, [one]).chances[:, 1]) for one in grid}
    assert choose_thresholds(chances, labels, 5.0, 4, grid) == (max(values, key=values.get),)
    assert values[max(values, key=values.get)] > values[0.6]
    with pytest.raises(Problem, match="Freeze fewer"):
        choose_thresholds(chances, labels, 3.9, 4, grid)
    with pytest.raises(Problem, match="too many"):
        choose_thresholds(chances, labels, 5.0, 4, np.linspace(0.5, 1, 20_001))


def test_bad_thresholds_and_labels(made, states) -> None:
    for wrong in ([], [0.5, 0.5, 0.5], [0.0, 0.5], [np.nan, 0.5]):
        with pytest.raises(Problem, match="thresholds"):
            leave(CHANCES, wrong)
    with pytest.raises(Problem, match="class 1"):
        scales(all_logits(made, states), np.zeros(200, dtype=int))
