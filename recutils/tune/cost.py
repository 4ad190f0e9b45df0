"""What a training step costs in seconds and memory, and which operations an answer takes. Nothing is judged here."""

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from recutils.model.threads import one_thread
from recutils.model.training import seeded
from recutils.tune.classifier import Recipe, cross_entropy
from recutils.tune.states import States


@dataclass(frozen=True)
class Cost:
    """Of one training step. seconds: the median. peak_mb: most tensor memory beyond weights and inputs, in 10^6
    bytes: gradients, AdamW's two numbers per weight, and what the layers keep for the way back. The same on each run.
    """

    seconds: float
    peak_mb: float


class Watch(TorchDispatchMode):
    """Counts the bytes of tensors that live, and notes each operation with the shape and type of what it gives.

    peak: the most at any time, bytes. operations: names in the order they ran. Memory that an operation takes and
    gives back inside itself is not seen.
    """

    def __init__(self, known: Iterator[Tensor]) -> None:
        super().__init__()
        self.now, self.peak, self.operations = 0, 0, list[str]()
        self._known = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        shapes = []
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                shapes.append(f"{tuple(tensor.shape)} {tensor.dtype}")
                self._meet(tensor.untyped_storage())
        self.operations.append(f"{func} -> {', '.join(shapes)}")
        return found

    def _meet(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def step_cost(classifier: nn.Module, states: States, labels: np.ndarray, recipe: Recipe, steps: int = 3) -> Cost:
    """Train a few steps on the longest texts and look: one to begin with, one watched, `steps` timed.

    The classifier is changed; give one that is not needed. The longest texts need the most memory, hence these.
    """
    rows = np.argsort(-states.lengths, kind="stable")[: recipe.batch]
    targets, inputs = torch.from_numpy(np.asarray(labels, dtype=np.int64)[rows]), states.batch(rows)
    trained = [weight for weight in classifier.parameters() if weight.requires_grad]
    optimiser, loss = torch.optim.AdamW(trained, lr=recipe.learning_rate), cross_entropy(recipe)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(classifier, targets, *inputs).backward()
        optimiser.step()

    classifier.train()
    with one_thread(), seeded(recipe.seed):
        peak = watched(step, classifier, *inputs).peak  # the first: AdamW's numbers are made in it and stay
        seconds = [timed(step) for _ in range(steps)]
    classifier.eval()
    return Cost(float(np.median(seconds)), peak / 1e6)


def watched(call: Callable[[], object], module: nn.Module, *inputs: Tensor) -> Watch:
    """Run `call` and watch; weights and inputs that were there before are not counted."""
    with Watch(iter([*module.parameters(), *module.buffers(), *inputs])) as watch:
        call()
    return watch


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def operations(classifier: nn.Module, states: States) -> list[str]:
    """What an answer takes: every operation with the shape and type of its result, in order."""
    classifier.eval()
    inputs = states.batch(np.arange(len(states)))
    with torch.inference_mode(), one_thread():
        return watched(lambda: classifier(*inputs), classifier, *inputs).operations


def answer_seconds(classifier: nn.Module, states: States, repeats: int = 5) -> float:
    """Median seconds for one batch of these texts, after one to begin with."""
    classifier.eval()
    inputs = states.batch(np.arange(len(states)))
    with torch.inference_mode(), one_thread():
        classifier(*inputs)
        return float(np.median([timed(lambda: classifier(*inputs)) for _ in range(repeats)]))


@contextmanager
def checkpointing(classifier: nn.Module, on: bool = True) -> Iterator[None]:
    """Inside, each layer keeps only its input in training and is computed again on the way back (Chen et al. 2016).

    on: False changes nothing.
    """
    layers = [module for module in classifier.modules() if on and hasattr(module, "gradient_checkpointing")]
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = False


def folder_bytes(folder: Path) -> int:
    """Bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
