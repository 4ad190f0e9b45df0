"""The warm-up pulls two views of a text together, leaves the head alone, and is made once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recutils.tables import Problem
from recutils.tune.bench import Bench
from recutils.tune.classifier import Recipe, new_classifier
from recutils.tune.domain import contrast
from recutils.tune.states import Base, States
from recutils.tune.warmup import Fewer, Warmth, recipe_for, warmed

WARMTH = Warmth(epochs=3, batch=20, learning_rate=3e-3, temperature=0.1)
ROWS, ASKED = np.arange(12), np.arange(150, 170)


def loss_of(module: torch.nn.Module, states: States) -> float:
    """Of two views of 40 texts in one batch."""
    module.train()
    torch_state = torch.get_rng_state()
    torch.manual_seed(1)
    with torch.no_grad():
        views = [module.pooled(*states.batch(range(40)))[:, :16] for _ in range(2)]
    torch.set_rng_state(torch_state)
    return float(contrast(views[0], views[1], 0.1))


def test_warming_lowers_the_contrast_and_leaves_the_head_at_zero(base: Base, states: States) -> None:
    made = warmed(base, states, WARMTH)
    assert loss_of(made, states) < loss_of(new_classifier(base, 2), states) - 0.05
    assert not made.head.weight.any() and made.head.weight.requires_grad
    again = warmed(base, states, WARMTH)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True))


@pytest.fixture
def fewer(planted, base: Base, tmp_path: Path) -> Fewer:
    told: list[str] = []
    bench = Bench(planted, base, np.arange(150), ASKED, say=told.append, root=tmp_path)
    return Fewer(bench, np.arange(100), WARMTH, 60)


def test_trainings_are_made_once_and_differ_by_labels_and_start(fewer: Fewer, planted) -> None:
    recipe, labels = Recipe(epochs=2, learning_rate=1e-2, head_rate=3.0), planted.labels[ROWS]
    plain = fewer.tuned(ROWS, labels, recipe, ASKED)
    warm = fewer.tuned(ROWS, labels, recipe, ASKED, warm=True)
    turned = fewer.tuned(ROWS, 1 - labels, recipe, ASKED)
    assert not np.allclose(plain, warm) and not np.allclose(plain, turned)
    told = len(fewer.bench.say.__self__)
    assert np.array_equal(fewer.tuned(ROWS, labels, recipe, ASKED, warm=True), warm)
    assert len(fewer.bench.say.__self__) == told
    np.testing.assert_allclose(plain, fewer.bench.chances(ROWS, recipe), atol=1e-6)


def test_vectors_of_the_frozen_encoder_have_mean_and_maximum(fewer: Fewer) -> None:
    found = fewer.frozen(ASKED)
    assert found.shape == (20, 32) and (found[:, 16:] >= found[:, :16]).all()


def test_bad_input_is_named(fewer: Fewer, base: Base, states: States) -> None:
    with pytest.raises(Problem, match="pool has 100 rows"):
        replace(fewer, n_warm=101)
    with pytest.raises(Problem, match="at least a batch of 20"):
        warmed(base, states.only(np.arange(19)), WARMTH)
    with pytest.raises(Problem, match="batch must be 2"):
        Warmth(batch=1)
    with pytest.raises(Problem, match="two views"):
        Warmth(dropout=0.0)
    with pytest.raises(Problem, match="one pass"):
        recipe_for(100, 99, 0)
    assert recipe_for(50, 600, 3).epochs == 12 and recipe_for(50, 600, 3).seed == 3
