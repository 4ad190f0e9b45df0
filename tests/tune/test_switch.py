"""Several adapters on one base answer as each would alone; costs are counted as they are."""

import numpy as np
import pytest
import torch
from torch import nn

from recutils.tables import Problem
from recutils.tune.adapters import Method, adapt, adapted, arrays_of
from recutils.tune.classifier import Recipe, new_classifier, probabilities
from recutils.tune.cost import Watch, answer_seconds, checkpointing, folder_bytes, operations, step_cost, watched
from recutils.tune.states import Base, States
from recutils.tune.switch import Switch

LORA = Method("lora", 4)
QUICK = Recipe(epochs=2, learning_rate=2e-2, head_rate=1.0, batch=16, dropout=0.0)


def tensors(made: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays_of(made).items()}


@pytest.fixture(scope="module")
def models(base: Base, states: States, planted) -> dict[str, nn.Module]:
    lengths = (states.lengths > np.median(states.lengths)).astype(int)
    three = np.digitize(states.lengths, np.quantile(states.lengths, [0.3, 0.6]))
    asked = {"words": (planted.labels, 2), "length": (lengths, 2), "thirds": (three, 3)}
    return {
        name: adapt(base, states, labels, QUICK, LORA, n_classes=n_classes)
        for name, (labels, n_classes) in asked.items()
    }


@pytest.fixture(scope="module")
def switch(base: Base, models: dict[str, nn.Module]) -> Switch:
    made = Switch(base, LORA)
    for name, model in models.items():
        made.add(name, tensors(model))
    return made


def test_every_task_answers_as_its_own_model_in_any_order(switch: Switch, models, states: States) -> None:
    few = states.only(np.arange(30))
    for task in (*switch.tasks, *reversed(switch.tasks)):
        np.testing.assert_allclose(switch.ask(task, few), probabilities(models[task], few), atol=1e-6)
    assert not np.allclose(switch.ask("words", few), switch.ask("length", few), atol=1e-2)


def test_a_batch_of_mixed_tasks_gives_each_row_its_own(switch: Switch, models, states: States) -> None:
    few = states.only(np.arange(30))
    tasks = [switch.tasks[row % 3] for row in range(30)]
    for row, answer in enumerate(switch.ask_mixed(tasks, few)):
        np.testing.assert_allclose(answer, probabilities(models[tasks[row]], few)[row], atol=1e-5)
    switch.use("words")
    np.testing.assert_allclose(switch.ask("words", few), probabilities(models["words"], few), atol=1e-6)


def test_the_base_is_there_once(switch: Switch, base: Base, models) -> None:
    n_base = sum(weight.numel() for weight in new_classifier(base, 2).layers.parameters())
    n_tasks = sum(sum(array.size for array in arrays_of(model).values()) for model in models.values())
    assert sum(weight.numel() for weight in switch.parameters()) == n_base + n_tasks
    assert not any(weight.requires_grad for weight in switch.parameters())


def test_strange_tasks_and_weights_are_refused(base: Base, switch: Switch, models, states: States) -> None:
    few = states.only(np.arange(3))
    with pytest.raises(Problem, match="no task 'rain'"):
        switch.ask("rain", few)
    with pytest.raises(Problem, match="one each"):
        switch.ask_mixed(["words"], few)
    for name in ("words", "", "a.b"):
        with pytest.raises(Problem, match="new name"):
            switch.add(name, tensors(models["words"]))
    for other in (Method("lora", 5), Method("lora", 4, ("query",)), Method("bitfit")):
        with pytest.raises(Problem, match="do not fit"):
            switch.add("other", tensors(adapted(base, 2, other)))
    with pytest.raises(Problem, match="'lora'"):
        Switch(base, Method("ia3"))
    assert switch.tasks == ("words", "length", "thirds")


def test_memory_is_counted_as_on_paper() -> None:
    layer, given = nn.Linear(1000, 1000, bias=False), torch.ones(50, 1000)
    watch = watched(lambda: layer(given).relu().sum().backward(), layer, given)
    assert watch.peak == pytest.approx(4e6 + 2e5, rel=1e-4)  # the weights' gradient and that of 50 rows
    layer.weight.grad = None
    with Watch(iter(())) as again:
        for _ in range(5):
            torch.ones(1000)
    assert again.peak == 4000 and again.now == 0


def test_training_costs_differ_and_answers_cost_the_same(base: Base, states: States, planted) -> None:
    recipe = Recipe(batch=16, dropout=0.0)
    plain = new_classifier(base, 2, dropout=0.0)
    costs = {"plain": step_cost(plain, states, planted.labels, recipe, 1)}
    parts = new_classifier(base, 2, dropout=0.0)
    costs["micro"] = step_cost(parts, states, planted.labels, Recipe(batch=16, micro=4, dropout=0.0), 1)
    again = new_classifier(base, 2, dropout=0.0)
    with checkpointing(again):
        costs["checkpointing"] = step_cost(again, states, planted.labels, recipe, 1)
    assert costs["micro"].peak_mb < costs["plain"].peak_mb
    for name, weight in again.named_parameters():
        torch.testing.assert_close(weight, dict(plain.named_parameters())[name])
    few = states.only(np.arange(4))
    assert operations(plain, few) == operations(parts, few) == operations(again, few)
    assert operations(adapted(base, 2, LORA), few) != operations(plain, few)
    assert answer_seconds(plain, few, 1) > 0


def test_checkpointing_keeps_less_of_deep_layers(tiny: str, states: States, planted) -> None:
    deep = Base(tiny, frozen=0, max_tokens=16)
    peaks = []
    for on in (False, True):
        made = new_classifier(deep, 2, dropout=0.0)
        made.layers = nn.ModuleList([*made.layers, *new_classifier(deep, 2, dropout=0.0).layers])
        with checkpointing(made, on):
            peaks.append(step_cost(made, states, planted.labels, Recipe(batch=64, dropout=0.0), 1).peak_mb)
    assert peaks[1] < 0.8 * peaks[0]


def test_bytes_of_a_folder(tmp_path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"123")
    assert folder_bytes(tmp_path) == 3
