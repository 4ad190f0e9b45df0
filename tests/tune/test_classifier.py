"""Tuning: it learns what is planted, leaves frozen layers alone, resumes, and says what is wrong with its input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recutils.data.labelled import Labelled
from recutils.tables import Problem
from recutils.tune.classifier import (
    Recipe,
    accumulated,
    cross_entropy,
    fit,
    fitting,
    logits,
    n_trained,
    new_classifier,
    probabilities,
    tuned,
)  # fmt: skip
from recutils.tune.states import Base, States

QUICK = Recipe(epochs=10, learning_rate=1e-2, head_rate=3.0, batch=16)


def test_it_learns_what_the_words_decide(base: Base, states: States, planted: Labelled) -> None:
    train, asked = np.arange(140), np.arange(140, 200)
    made = tuned(base, states.only(train), planted.labels[train], QUICK)
    found = probabilities(made, states.only(asked))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    assert (found.argmax(axis=1) == planted.labels[asked]).mean() > 0.95


def test_one_seed_gives_one_classifier_and_the_base_stays_as_it_was(base: Base, states: States, planted) -> None:
    before = {name: tensor.clone() for name, tensor in base.load()[1].state_dict().items()}
    short = replace(QUICK, epochs=1)
    first, again, other = (
        logits(tuned(base, states, planted.labels, replace(short, seed=seed)), states) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert all(torch.equal(before[name], tensor) for name, tensor in base.load()[1].state_dict().items())


def test_an_untrained_head_has_no_opinion(base: Base, states: States) -> None:
    assert np.array_equal(probabilities(new_classifier(base, 4), states), np.full((200, 4), 0.25))


def test_answers_do_not_depend_on_their_company(base: Base, states: States, planted: Labelled) -> None:
    made = tuned(base, states, planted.labels, replace(QUICK, epochs=1))
    alone = np.concatenate([logits(made, states.only(np.array([row]))) for row in range(6)])
    np.testing.assert_allclose(logits(made, states, batch_tokens=64)[:6], alone, atol=1e-5)


def test_micro_batches_give_the_same_gradient(base: Base, states: States, planted: Labelled) -> None:
    rows = np.arange(10)
    gradients, values = [], []
    for micro in (0, 3):
        made = new_classifier(base, 2, dropout=0.0)
        torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(0))
        loss = accumulated(cross_entropy(Recipe()), micro)
        value = loss(made, torch.from_numpy(planted.labels[rows]), *states.batch(rows))
        value.backward()
        values.append(value.item())
        gradients.append(torch.cat([weight.grad.ravel() for weight in made.parameters()]))
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_a_killed_tuning_goes_on_to_the_same_weights(base: Base, states, planted, tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=3)
    whole = logits(tuned(base, states, planted.labels, recipe), states)
    calls = []

    def stop(line: str) -> None:
        calls.append(line)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(base, states, planted.labels, recipe, checkpoint=tmp_path, say=stop)
    assert np.array_equal(logits(tuned(base, states, planted.labels, recipe, checkpoint=tmp_path), states), whole)


def test_a_checkpoint_of_another_architecture_is_refused(tiny: str, base: Base, states, planted, tmp_path) -> None:
    recipe = replace(QUICK, epochs=1)
    tuned(base, states, planted.labels, recipe, checkpoint=tmp_path)
    with pytest.raises(Problem, match="another training"):
        fit(new_classifier(Base(tiny, frozen=2, max_tokens=16), 2), states, planted.labels, recipe, checkpoint=tmp_path)


def test_bad_labels_are_refused(base: Base, states: States, planted: Labelled) -> None:
    for labels, word in ((np.ones(200, int), "class"), (np.full(200, 2), r"0\.\.1"), (np.zeros(200), "whole numbers")):
        with pytest.raises(Problem, match=word):
            tuned(base, states, labels, QUICK)
    with pytest.raises(Problem, match="one each"):
        tuned(base, states, planted.labels[:-1], QUICK)


def test_a_loss_that_is_not_finite_stops_with_step_batch_and_cure(base: Base, states: States, planted) -> None:
    rows = tuple(row * torch.nan if number == 7 else row for number, row in enumerate(states.rows))
    with pytest.raises(Problem, match=r"step \d+ \(epoch 1, batch \d+\).*Lower learning_rate"):
        tuned(base, States(rows), planted.labels, QUICK)


def test_little_memory_means_smaller_batches_said_aloud(states: States) -> None:
    row = int(states.lengths.max()) * 16 * 140
    same, nothing = fitting(QUICK, states, 1, free=row * 16)
    assert same == QUICK and nothing == ""
    smaller, told = fitting(QUICK, states, 1, free=row * 5)
    assert smaller.micro == 5 and smaller.batch == 16 and "5 rows at once instead of 16" in told
    with pytest.raises(Problem, match="Lower max_tokens"):
        fitting(QUICK, states, 1, free=row - 1)


def test_what_is_trained_is_what_lies_above_the_frozen_layers(tiny: str) -> None:
    counts = [n_trained(new_classifier(Base(tiny, frozen=n, max_tokens=16), 2)) for n in (0, 1, 2)]
    assert counts[2] == 2 * 32 + 2 and counts[0] - counts[1] == counts[1] - counts[2] > 0


def test_a_recipes_plan_warms_up_and_ends_at_zero() -> None:
    plan = Recipe(epochs=4, batch=10, warm_up=0.1).plan(95)
    assert (plan.steps, plan.warm_up) == (40, 4) and plan.share(41) == 0 < plan.share(40)
    for wrong in ({"micro": 17}, {"batch": 0}, {"dropout": 1.0}):
        with pytest.raises(Problem):
            Recipe(**wrong)
