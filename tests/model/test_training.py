"""The training loop: it learns, stops, resumes bit for bit, refuses what is not its own, and tells what went wrong."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recutils.model.training import History, Plan, seeded, train
from recutils.model.weights import flat_weights, with_flat_weights
from recutils.tables import Problem

INPUTS = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32))
TARGETS = INPUTS @ torch.tensor([1.0, -2.0, 0.5, 0.0])


def network(width: int = 5) -> nn.Module:
    with seeded(3):
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 1))


def batches(epoch: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
    for rows in np.array_split(rng.permutation(len(INPUTS)), 4):
        yield INPUTS[rows], TARGETS[rows]


def loss(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(module(inputs)[:, 0], targets)


def minus_error(module: nn.Module) -> float:
    assert not module.training and not torch.is_grad_enabled()
    return -float(loss(module, INPUTS, TARGETS))


def test_it_learns_a_planted_line() -> None:
    line = nn.Linear(4, 1, bias=False)
    history = train(line, batches, loss, Plan(epochs=150, learning_rate=0.05))
    np.testing.assert_allclose(line.weight.detach().numpy()[0], [1, -2, 0.5, 0], atol=1e-3)
    assert len(history.losses) == 150 and history.values == () and history.best == 149
    assert history.losses[-1] < 1e-4 * history.losses[0]


def test_one_seed_gives_the_same_bits_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    weights = []
    for seed in (1, 1, 2):
        module = network()
        train(module, batches, loss, Plan(epochs=3, seed=seed))
        weights.append(flat_weights(module))
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("killed_in", [1, 3, 5])
def test_killed_and_resumed_is_bit_for_bit_the_same(killed_in: int, tmp_path: Path) -> None:
    plan = Plan(epochs=7, learning_rate=0.02, weight_decay=0.1, warm_up=9, clip=1, seed=4)
    whole = network()
    wanted = train(whole, batches, loss, plan, validate=minus_error)

    def dying(epoch: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
        for number, batch in enumerate(batches(epoch, rng)):
            if epoch == killed_in and number == 2:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        train(network(), dying, loss, plan, validate=minus_error, checkpoint=tmp_path / "state")
    resumed = network()
    history = train(resumed, batches, loss, plan, validate=minus_error, checkpoint=tmp_path / "state")
    assert history == wanted
    assert np.array_equal(flat_weights(resumed), flat_weights(whole))
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["epoch-0007"]
    names = sorted(path.name for path in (tmp_path / "state/epoch-0007").iterdir())
    assert names == ["state.json", "tensors.safetensors"]


def test_more_epochs_go_on_where_the_first_ended(tmp_path: Path) -> None:
    whole, parts = network(), network()
    wanted = train(whole, batches, loss, Plan(epochs=6))
    train(parts, batches, loss, Plan(epochs=2), checkpoint=tmp_path)
    assert train(network(), batches, loss, Plan(epochs=2), checkpoint=tmp_path).losses == wanted.losses[:2]
    again = network()
    assert train(again, batches, loss, Plan(epochs=6), checkpoint=tmp_path) == wanted
    assert np.array_equal(flat_weights(again), flat_weights(whole))


def test_an_unfinished_state_is_not_read(tmp_path: Path) -> None:
    train(network(), batches, loss, Plan(epochs=2), checkpoint=tmp_path)
    (tmp_path / ".epoch-0009.1.part").mkdir()
    assert len(train(network(), batches, loss, Plan(epochs=3), checkpoint=tmp_path).losses) == 3


@pytest.mark.parametrize(
    ("width", "plan", "about", "told"),
    [
        (6, Plan(epochs=2), {"data": "a"}, r"shapes 0.weight is \[5, 4\], expected \[6, 4\]"),
        (5, Plan(epochs=2, learning_rate=0.5), {"data": "a"}, "plan learning_rate is 0.001, expected 0.5"),
        (5, Plan(epochs=1), {"data": "a"}, "it is at epoch 2, 1 are asked for"),
        (5, Plan(epochs=2), {"data": "b"}, "about data is a, expected b"),
    ],
)
def test_another_trainings_state_is_refused(
    width: int, plan: Plan, about: dict[str, str], told: str, tmp_path: Path
) -> None:
    train(network(), batches, loss, Plan(epochs=2), checkpoint=tmp_path, about={"data": "a"})
    with pytest.raises(Problem, match=f"another training.*{told}.*delete this one"):
        train(network(width), batches, loss, plan, checkpoint=tmp_path, about=about)


def test_patience_stops_and_the_best_weights_come_back(tmp_path: Path) -> None:
    planted, seen = iter([0.1, 0.3, 0.2, 0.3, 0.0, 9.0]), []

    def validate(module: nn.Module) -> float:
        seen.append(flat_weights(module))
        return next(planted)

    module = network()
    history = train(module, batches, loss, Plan(epochs=6, patience=3), validate=validate, checkpoint=tmp_path)
    assert history.values == (0.1, 0.3, 0.2, 0.3, 0.0) and history.best == 1
    assert np.array_equal(flat_weights(module), seen[1]) and not np.array_equal(seen[1], seen[4])
    again = network()
    assert train(again, batches, loss, Plan(epochs=6, patience=3), validate=validate, checkpoint=tmp_path) == history
    assert np.array_equal(flat_weights(again), seen[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named_with_its_place(bad: float) -> None:
    def broken(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        broken.calls += 1
        return loss(module, inputs, targets) * (bad if broken.calls == 6 else 1)

    broken.calls = 0
    with pytest.raises(Problem, match=r"the loss is (nan|inf) .*at step 6 \(epoch 2, batch 2\).*Lower learning_rate"):
        train(network(), batches, broken, Plan(epochs=3))


def test_misuse_is_named() -> None:
    with pytest.raises(Problem, match="epoch 1 has no batches"):
        train(network(), lambda epoch, rng: [], loss, Plan())
    with pytest.raises(Problem, match="validation gave nan after epoch 1"):
        train(network(), batches, loss, Plan(), validate=lambda module: math.nan)
    with pytest.raises(Problem, match="nothing to train"):
        train(network().requires_grad_(False), batches, loss, Plan())
    with pytest.raises(Problem, match="epochs must be at least 1"):
        Plan(epochs=0)
    with pytest.raises(Problem, match="patience must be 0 or more; got -1"):
        Plan(patience=-1)


def test_clipping_and_warm_up_limit_the_first_step() -> None:
    def moved(plan: Plan) -> float:
        module = network()
        before = flat_weights(module)
        train(module, lambda epoch, rng: [(INPUTS, TARGETS)], loss, plan)
        return float(np.abs(flat_weights(module) - before).max())

    assert moved(Plan(epochs=1, learning_rate=0.1)) == pytest.approx(0.1, rel=1e-3), "Adam's first step is the rate"
    assert moved(Plan(epochs=1, learning_rate=0.1, warm_up=10)) == pytest.approx(0.01, rel=1e-3)
    assert moved(Plan(epochs=1, learning_rate=0.1, clip=1e-9)) < 0.05, "a gradient as small as Adam's epsilon"


def test_frozen_weights_stay(tmp_path: Path) -> None:
    module = network()
    module[0].weight.requires_grad_(False)
    before = module[0].weight.clone()
    train(module, batches, loss, Plan(epochs=2), checkpoint=tmp_path)
    assert torch.equal(before, module[0].weight)


def test_the_event_files_hold_the_history_also_after_a_restart(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (2, 4):
        history = train(
            network(), batches, loss, Plan(epochs=epochs), validate=minus_error,
            checkpoint=tmp_path / "state", events=tmp_path / "events",
        )  # fmt: skip
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    for tag, wanted in (("loss/train", history.losses), ("value/valid", history.values)):
        found = {event.step: event.value for event in read.Scalars(tag)}
        assert found == pytest.approx(dict(enumerate(wanted, 1)), rel=1e-6)


def test_a_line_for_each_epoch() -> None:
    lines: list[str] = []
    train(network(), batches, loss, Plan(epochs=2), validate=minus_error, say=lines.append)
    assert len(lines) == 2 and lines[0].startswith("epoch 1 of 2: loss ") and "validation -" in lines[0]
    assert lines[1].endswith("0.0 min left")


def test_history_as_a_table() -> None:
    table = History((3.0, 2.0), (0.1, 0.2)).table()
    assert table.to_dict("list") == {"epoch": [1, 2], "loss": [3.0, 2.0], "value": [0.1, 0.2]}
    assert History((3.0,)).table().value.isna().all()


def test_weights_as_one_array_and_back() -> None:
    module, other = network(), nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 1))
    weights = flat_weights(module)
    assert weights.shape == (31,) and weights.dtype == np.float32
    assert torch.equal(with_flat_weights(other, weights)(INPUTS), module.eval()(INPUTS))
    with pytest.raises(Problem, match="this network has 31 weights"):
        with_flat_weights(other, weights[1:])


def test_the_learning_rate_rises_and_falls_and_weights_may_learn_at_rates_of_their_own() -> None:
    plan = Plan(warm_up=2, steps=6, rates=(("head", 10.0),))
    assert [plan.share(step) for step in range(1, 8)] == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert [Plan().share(1), Plan(warm_up=4).share(2), Plan(steps=2).share(2)] == [1.0, 0.5, 0.5]
    assert (plan.factor("head.weight"), plan.factor("trunk.head")) == (10.0, 1.0)


def test_a_rate_of_zero_keeps_weights_as_they_are() -> None:
    module = network()
    names = [name for name, _ in module.named_parameters()]
    before = [weight.detach().clone() for weight in module.parameters()]
    train(module, batches, loss, Plan(epochs=1, rates=((names[0], 0.0),)))
    kept = [torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True)]
    assert kept == [True] + [False] * (len(names) - 1)
