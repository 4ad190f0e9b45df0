"""A study trains once, keeps weights and answers, and asks the frozen layers only when it must."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recutils.data.labelled import Labelled
from recutils.tables import Problem
from recutils.tune.adapters import Method
from recutils.tune.classifier import Recipe, probabilities
from recutils.tune.states import Base
from recutils.tune.study import Study

LORA, PROMPT = Method("lora", 4), Method("prompt", 4)


@pytest.fixture
def study(base: Base, planted: Labelled, tmp_path: Path) -> Study:
    train = {0: np.arange(80), 1: np.arange(40, 120)}
    recipe = Recipe(epochs=1, batch=16, dropout=0.0)
    return Study(base, planted, train, {"valid": np.arange(150, 120, -1)}, recipe, root=tmp_path)


def test_trained_once_and_asked_once_even_by_another_study(study: Study) -> None:
    told: list[str] = []
    heard = replace(study, say=told.append)
    first = heard.chances(LORA, 1e-2, 0, "valid")
    assert [line.split()[0] for line in told] == ["80", "training"] or len(told) == 2
    again = replace(study, say=told.append)
    assert np.array_equal(again.chances(LORA, 1e-2, 0, "valid"), first)
    assert again.weights(LORA, 1e-2, 0)["seconds"] > 0 and len(told) == 2
    again.chances(LORA, 1e-2, 1, "valid")
    assert len(told) == 4


def test_answers_are_the_classifiers_own_in_the_order_of_the_rows(study: Study) -> None:
    for method in (LORA, PROMPT):
        made = study.classifier(method, 1e-2, 0)
        wanted = probabilities(made, study.states_at(study.asked["valid"]))
        np.testing.assert_allclose(study.chances(method, 1e-2, 0, "valid"), wanted, atol=1e-5)
    single = study.states_at(np.array([125]))
    np.testing.assert_allclose(probabilities(made, single), wanted[[25]], atol=1e-5)


def test_the_heads_rate_stays_when_the_methods_moves(study: Study) -> None:
    for rate in (1e-4, 1e-2):
        recipe = study.recipe_of(rate, 3)
        assert recipe.learning_rate * recipe.head_rate == pytest.approx(study.head_rate) and recipe.seed == 3


def test_unknown_seeds_are_refused(study: Study) -> None:
    with pytest.raises(Problem, match="seed 9"):
        study.weights(LORA, 1e-2, 9)


def test_what_is_stored_comes_back_and_only_to_its_own_task(study: Study, tmp_path: Path) -> None:
    folder = study.store(LORA, 1e-2, 0, tmp_path / "lora")
    states = study.states_at(study.asked["valid"])
    made = study.load(LORA, folder)
    assert np.array_equal(probabilities(made, states), probabilities(study.classifier(LORA, 1e-2, 0), states))
    other = replace(study, found=replace(study.found, classes=("rain", "sun")))
    for wrong, method in ((other, LORA), (study, PROMPT)):
        with pytest.raises(Problem, match="another model"):
            wrong.load(method, folder)


def test_the_rules_that_read_no_encoder(study: Study) -> None:
    asked = study.found.labels[study.asked["valid"]]
    assert np.ptp(study.majority("valid"), axis=0).max() == 0
    found = study.counted("valid")
    assert len(found) == 2 and (found[0].argmax(axis=1) == asked).mean() > 0.9
