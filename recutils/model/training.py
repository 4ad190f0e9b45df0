"""The training loop of all torch networks here: AdamW, validation, checkpoints, event files. No network lives here."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils import runs
from recutils.model.plan import History, Plan
from recutils.model.threads import one_thread
from recutils.tables import Problem

FORMAT = 1
Batch = Sequence[Tensor]
Batches = Callable[[int, np.random.Generator], Iterable[Batch]]  # (epoch, 0 first; rng) -> the batches of that epoch
Loss = Callable[..., Tensor]  # (module, *batch) -> one number to be made small, a mean over the batch's rows
Say = Callable[[str], None]


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Inside, torch draws from a generator of this seed alone; afterwards its global generator is as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield


def train(
    module: nn.Module,
    batches: Batches,
    loss: Loss,
    plan: Plan,
    *,
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | None = None,
    events: Path | None = None,
    about: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> History:
    """Train a module in place and leave it in evaluation mode, with the weights of the best epoch.

    Each epoch has generators of its own, made from (seed, epoch): training to epoch 9 is bit for bit the same as
    training to 5, being killed and going on. It takes one thread, so that the bits are the same on one machine.
    checkpoint: a folder for the state after each epoch; when it holds one, training goes on from there. `about` (plain
    JSON: the data, the settings) is kept with it. A larger plan.epochs goes on; any other plan, another architecture
    or other `about` is refused. events: a folder for TensorBoard's event files (`tensorboard --logdir`).
    validate: (module) -> value, higher is better; called without gradients. say: takes a line after each epoch.
    Raises Problem on a refused checkpoint, an epoch without batches, and when the loss is not finite.
    """
    state = _State(module, plan, json.loads(json.dumps(about or {})))
    if checkpoint is not None:
        state.resume(checkpoint)
    began, first = time.perf_counter(), len(state.history.losses)
    with one_thread(), _board(events, first) as write:
        for epoch in range(first, plan.epochs):
            if state.history.stopped(plan.patience):
                break
            state.run(epoch, batches, loss, validate)
            write(state.history)
            if checkpoint is not None:
                state.save(checkpoint)
            if say is not None:
                say(_line(state.history, plan, (time.perf_counter() - began) / (epoch + 1 - first)))
    module.load_state_dict(state.best or module.state_dict())
    module.eval()
    return state.history


class _State:
    """A training between two epochs: all that a checkpoint must hold."""

    def __init__(self, module: nn.Module, plan: Plan, about: dict[str, Any]) -> None:
        self.module, self.plan, self.about = module, plan, about
        named = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
        self.trained = [weight for _, weight in named]
        if not self.trained:
            raise Problem("the module has no weights that require gradients; there is nothing to train.")
        factors = dict.fromkeys(plan.factor(name) for name, _ in named)
        groups = [{"params": [w for n, w in named if plan.factor(n) == factor], "factor": factor} for factor in factors]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self.history, self.steps, self.best = History(), 0, {}

    def run(self, epoch: int, batches: Batches, loss: Loss, validate: Callable[[nn.Module], float] | None) -> None:
        """One epoch and its validation."""
        self.module.train()
        with seeded(self.plan.seed, epoch):
            mean = self._mean_loss(epoch, batches(epoch, np.random.default_rng((self.plan.seed, epoch))), loss)
        self.module.eval()
        with torch.no_grad():
            value = None if validate is None else float(validate(self.module))
        if value is not None and not math.isfinite(value):
            raise Problem(f"validation gave {value} after epoch {epoch + 1}; a finite number is expected.")
        values = self.history.values if value is None else (*self.history.values, value)
        self.history = History((*self.history.losses, mean), values)
        if value is not None and self.history.best == epoch:
            self.best = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def _mean_loss(self, epoch: int, batches: Iterable[Batch], loss: Loss) -> float:
        total, rows = 0.0, 0
        for number, batch in enumerate(batches):
            total += self._step(f"epoch {epoch + 1}, batch {number + 1}", batch, loss) * len(batch[0])
            rows += len(batch[0])
        if rows == 0:
            raise Problem(f"epoch {epoch + 1} has no batches; the training part is empty or its histories too short.")
        return total / rows

    def _step(self, where: str, batch: Batch, loss: Loss) -> float:
        self.steps += 1
        rate = self.plan.learning_rate * self.plan.share(self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        device = self.trained[0].device
        value = loss(self.module, *(tensor.to(device) for tensor in batch))
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.trained, self.plan.clip or math.inf)
        if not (math.isfinite(value.item()) and math.isfinite(norm.item())):
            raise Problem(
                f"the loss is {value.item()} with a gradient of length {norm.item():g} at step {self.steps} ({where}); "
                f"finite numbers are expected. Lower learning_rate (now {rate:g}), set clip=1, or look for NaN in the "
                "batch and its vectors."
            )
        self.optimiser.step()
        return value.item()

    def _manifest(self) -> dict[str, Any]:
        shapes = {name: list(tensor.shape) for name, tensor in self.module.state_dict().items()}
        return {"format": FORMAT, "plan": _fresh(self.plan), "about": self.about, "shapes": shapes}

    def _tensors(self) -> dict[str, Tensor]:
        """Weights, best weights and the optimiser's tensors under one name each."""
        found = {f"now/{name}": tensor for name, tensor in self.module.state_dict().items()}
        found |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for number, kept in self.optimiser.state_dict()["state"].items():
            found |= {f"adam/{number}/{name}": tensor for name, tensor in kept.items()}
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in found.items()}

    def save(self, folder: Path) -> None:
        """A new folder epoch-0001 and so on, whole or not at all; the one before it goes when the new one stands."""
        from safetensors.torch import save_file

        target = folder / f"epoch-{len(self.history.losses):04d}"
        partial = folder / f".{target.name}.{os.getpid()}.part"
        partial.mkdir(parents=True, exist_ok=True)
        save_file(self._tensors(), partial / "tensors.safetensors")
        told = self._manifest() | {"steps": self.steps, "losses": self.history.losses, "values": self.history.values}
        runs.write_text(partial / "state.json", json.dumps(told, indent=1) + "\n")
        os.replace(partial, target)
        for older in set(_folders(folder)) - {target}:
            shutil.rmtree(older, ignore_errors=True)

    def resume(self, folder: Path) -> None:
        """Go on from the newest state in the folder, if there is one. Raises Problem when it is another training's."""
        from safetensors.torch import load_file

        found = _folders(folder)
        if not found:
            return
        told = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
        self._check(told, found[-1])
        tensors = load_file(found[-1] / "tensors.safetensors")
        self.history, self.steps = History(tuple(told["losses"]), tuple(told["values"])), told["steps"]
        self.module.load_state_dict(_under("now/", tensors))
        self.best = _under("best/", tensors)
        adam: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("adam/", tensors).items():
            number, _, key = name.partition("/")
            adam.setdefault(int(number), {})[key] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": adam})

    def _check(self, told: dict[str, Any], folder: Path) -> None:
        mine = self._manifest()
        told["plan"] = _fresh(Plan()) | told["plan"]  # a state from before a setting existed had its default
        faults = [_difference(name, told.get(name), mine[name]) for name in mine]
        if len(told["losses"]) > self.plan.epochs:
            faults.append(f"it is at epoch {len(told['losses'])}, {self.plan.epochs} are asked for")
        if any(faults):
            told_faults = "; ".join(filter(None, faults))
            raise Problem(
                f"{folder} is the state of another training: {told_faults}. Give another, or delete this one."
            )


def _fresh(plan: Plan) -> dict[str, Any]:
    """The plan as JSON gives it back."""
    return json.loads(json.dumps(asdict(plan)))


def _difference(name: str, came: Any, wanted: Any) -> str:
    """What differs between a stored and a wanted value, in words; "" when nothing does. plan.epochs may differ."""
    if not (isinstance(came, dict) and isinstance(wanted, dict)):
        return "" if came == wanted else f"{name} is {came}, expected {wanted}"
    keys = [key for key in {**came, **wanted} if (name, key) != ("plan", "epochs") and came.get(key) != wanted.get(key)]
    return ", ".join(f"{name} {key} is {came.get(key)}, expected {wanted.get(key)}" for key in keys[:3])


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*")) if folder.is_dir() else []


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _line(history: History, plan: Plan, seconds: float) -> str:
    """Progress for people: "epoch 3 of 10: loss 5.1234, validation 0.1234 (best), 12.0 s an epoch, 1.4 min left"."""
    done = len(history.losses)
    value = f", validation {history.values[-1]:.4f}" if history.values else ""
    best = " (best)" if history.values and history.best == done - 1 else ""
    cost = f"{seconds:.1f} s an epoch, {(plan.epochs - done) * seconds / 60:.1f} min left"
    return f"epoch {done} of {plan.epochs}: loss {history.losses[-1]:.4f}{value}{best}, {cost}"


@contextmanager
def _board(folder: Path | None, first: int) -> Iterator[Callable[[History], None]]:
    """A function that writes the newest epoch to TensorBoard's event files; steps from `first` on are written anew."""
    with ExitStack() as stack:
        if folder is None:
            yield lambda history: None
            return
        from torch.utils.tensorboard import SummaryWriter

        writer = stack.enter_context(SummaryWriter(str(folder), purge_step=first + 1 if first else None))

        def write(history: History) -> None:
            step = len(history.losses)
            writer.add_scalar("loss/train", history.losses[-1], step)
            if history.values:
                writer.add_scalar("value/valid", history.values[-1], step)
            writer.flush()

        yield write
