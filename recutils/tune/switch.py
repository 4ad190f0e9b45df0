"""Several tasks on one encoder: a LoRA and a head each, changed per request or per row. Nothing is trained here."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils.model.threads import one_thread
from recutils.tables import Problem
from recutils.tune.adapters import NAME, Method, adapted, inject
from recutils.tune.classifier import new_classifier, softmax
from recutils.tune.states import BATCH_TOKENS, Base, States, by_length, in_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD = ("head.weight", "head.bias")


class Switch(nn.Module):
    """One copy of the upper layers, and for each task a LoRA and a head.

    The base's weights are there once, whatever the number of tasks. method: of kind "lora", the same for all.
    """

    def __init__(self, base: Base, method: Method, *, model: "PreTrainedModel | None" = None) -> None:
        super().__init__()
        if method.kind != "lora":
            raise Problem(f"tasks are switched by adapters of kind 'lora'; got {method.kind!r}")
        self.method = method
        pattern = adapted(base, 2, method, model=model)
        self.shapes = {name: tuple(w.shape) for name, w in pattern.named_parameters() if w.requires_grad}
        self.trunk = new_classifier(base, 2, dropout=0.0, model=model)
        self.trunk.head = nn.Identity()  # a task brings its own
        self.heads = nn.ModuleDict()
        self.requires_grad_(False).eval()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names, in the order they came."""
        return tuple(self.heads)

    def add(self, task: str, weights: Mapping[str, Tensor]) -> None:
        """A task, from the trained weights of a classifier that `adapters.adapted` made with this method.

        Raises Problem for a name that is taken or holds a dot, and for weights of another make.
        """
        if task in self.heads or not task or "." in task:
            raise Problem(f"a task needs a new name without a dot; got {task!r}, there are {', '.join(self.tasks)}")
        self._check(task, weights)
        head = nn.Linear(self.shapes[HEAD[0]][1], len(weights[HEAD[1]]))
        head.load_state_dict({"weight": weights[HEAD[0]], "bias": weights[HEAD[1]]})
        inject(self.trunk, self.method, task)
        mine = dict(self.trunk.named_parameters())
        with torch.no_grad():
            for name in self.shapes.keys() - set(HEAD):
                mine[name.replace(f".{NAME}.", f".{task}.")].copy_(weights[name])
        self.heads[task] = head
        self.requires_grad_(False).eval()

    def _check(self, task: str, weights: Mapping[str, Tensor]) -> None:
        came = {name: tuple(weight.shape) for name, weight in weights.items()}
        n_classes = came.get(HEAD[1], (0,))[0]
        wanted = self.shapes | {HEAD[0]: (n_classes, self.shapes[HEAD[0]][1]), HEAD[1]: (n_classes,)}
        faults = [name for name in {**wanted, **came} if came.get(name) != wanted.get(name)]
        if faults:
            name = faults[0]
            raise Problem(
                f"{task}: {len(faults)} weights do not fit; {name} is {came.get(name, 'missing')}, expected "
                f"{wanted.get(name, 'nothing of that name')}. Train a LoRA of rank {self.method.size} on "
                f"{', '.join(self.method.places)} of these {len(self.trunk.layers)} layers."
            )

    def use(self, task: str) -> None:
        """From now on `forward` without names answers for this task."""
        from peft.functional import set_adapter

        self._known([task])
        set_adapter(self.trunk, task, inference_mode=True)

    def _known(self, tasks: Sequence[str]) -> None:
        strangers = sorted(set(tasks) - set(self.tasks))
        if strangers:
            raise Problem(f"there is no task {strangers[0]!r}; there are {', '.join(self.tasks) or 'none yet'}.")

    def forward(self, tasks: Sequence[str], hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """Logits of each row for its own task, (n_classes of that task,) each. tasks: one name a row."""
        with per_row(self.trunk, list(tasks)):
            pooled = self.trunk(hidden, mask)
        return [self.heads[task](row) for task, row in zip(tasks, pooled, strict=True)]

    def ask(self, task: str, states: States) -> np.ndarray:
        """One task's probabilities (n, n_classes) float64."""
        self.use(task)
        logits = in_batches(self, lambda *given: self.heads[task](self.trunk(*given)), states)
        return softmax(logits.double().numpy())

    def ask_mixed(self, tasks: Sequence[str], states: States) -> list[np.ndarray]:
        """Each text's probabilities for its own task, rows of different tasks side by side in one batch."""
        self._known(tasks)
        if len(tasks) != len(states):
            raise Problem(f"{len(states)} texts, but {len(tasks)} tasks; one each is expected.")
        found: list[np.ndarray] = [np.empty(0)] * len(states)
        with torch.inference_mode(), one_thread():
            for rows in by_length(states.lengths, BATCH_TOKENS):
                answers = self([tasks[row] for row in rows], *states.batch(rows))
                for row, answer in zip(rows, answers, strict=True):
                    found[row] = softmax(answer.double().numpy()[None])[0]
        return found


@contextmanager
def per_row(trunk: nn.Module, tasks: list[str]) -> Iterator[None]:
    """Inside, every LoRA of the trunk is told which row belongs to which task."""
    from peft.tuners.lora import LoraLayer

    def tell(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"adapter_names": tasks}

    layers = [module for module in trunk.modules() if isinstance(module, LoraLayer)]
    handles = [layer.register_forward_pre_hook(tell, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
