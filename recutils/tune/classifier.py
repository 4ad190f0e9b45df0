"""An encoder with a head that names a class: built, trained, asked. Adapters, remedies, several heads build on it.

M9 of the project: cross-entropy, AdamW, warm-up and decay, dropout, clipping, early stopping. What is trained are the
layers above `Base.frozen` and the head; the token embeddings and the layers below stay (see states.py).
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.data.labelled import check_labels
from recutils.model.plan import History, Plan
from recutils.model.training import Loss, Say, seeded, train
from recutils.tables import Problem
from recutils.tune.states import BATCH_TOKENS, Base, States, autocast, in_batches, run_layer, shuffled

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is tuned.

    learning_rate: of the layers; the head learns at head_rate times it. warm_up: share of all steps over which the rate
    rises; it then falls in a straight line to 0 at the last. batch: rows a step. micro: rows computed at once, whose
    gradients are summed up to the batch; 0 takes the whole batch (less memory, the same mean gradient).
    smoothing: of labels (Szegedy et al. 2016). patience: epochs without a better validation value before it stops.
    """

    epochs: int = 4
    batch: int = 16
    micro: int = 0
    learning_rate: float = 1e-4
    head_rate: float = 10.0
    weight_decay: float = 0.01
    warm_up: float = 0.1
    dropout: float = 0.1
    clip: float = 1.0
    smoothing: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 <= self.micro <= self.batch:
            raise Problem(f"batch must be at least 1 and micro in 0..batch; got {self.batch} and {self.micro}")
        for name in ("warm_up", "dropout", "smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise Problem(f"{name} is a share in 0..1 (below 1); got {getattr(self, name)}")

    def plan(self, n_rows: int) -> Plan:
        """The training loop's plan for so many rows."""
        steps = self.epochs * math.ceil(n_rows / self.batch)
        return Plan(
            epochs=self.epochs, learning_rate=self.learning_rate, weight_decay=self.weight_decay, clip=self.clip,
            warm_up=max(1, round(self.warm_up * steps)), steps=steps, rates=(("head.", self.head_rate),),
            patience=self.patience, seed=self.seed,
        )  # fmt: skip


class Classifier(nn.Module):
    """Upper layers, pooling (mean and maximum over the tokens, side by side) and a linear head.

    The head begins at zero, so that the first guess is the same for all and the seed decides only what it should:
    the order of batches and dropout.
    """

    def __init__(self, layers: nn.ModuleList, width: int, n_classes: int, precision: str = "fp32") -> None:
        super().__init__()
        self.layers, self.precision = layers, precision
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(2 * width, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def n_classes(self) -> int:
        """How many classes the head knows."""
        return self.head.out_features

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """One vector (b, 2 d) fp32 for each text from its tokens' (b, width, d)."""
        with autocast(self.precision):
            hidden = hidden if self.precision == "bf16" else hidden.float()
            for layer in self.layers:
                hidden = run_layer(layer, hidden, mask)
        return mean_and_max(hidden.float(), mask)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits (b, n_classes) fp32."""
        return self.head(self.dropout(self.pooled(hidden, mask)))


def mean_and_max(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean and maximum over the tokens where mask is True: (b, 2 d)."""
    inside = mask.unsqueeze(-1)
    mean = (hidden * inside).sum(1) / inside.sum(1)
    return torch.cat([mean, hidden.masked_fill(~inside, -torch.inf).amax(1)], dim=1)


def new_classifier(
    base: Base, n_classes: int, *, dropout: float = 0.1, model: "PreTrainedModel | None" = None
) -> Classifier:
    """An untrained classifier over the base's upper layers. model: the base's own, loaded before; it is not changed."""
    model = model or base.load()[1]
    layers = copy.deepcopy(model.encoder.layer[base.frozen :])
    made = Classifier(nn.ModuleList(layers), model.config.hidden_size, n_classes, base.precision)
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return made


def batches_of(states: States, labels: np.ndarray, batch: int) -> Callable[[int, np.random.Generator], Iterator]:
    """What `training.train` draws its batches from: (labels, hidden, mask) with texts of like length together."""
    lengths, targets = states.lengths, torch.from_numpy(np.asarray(labels, dtype=np.int64))

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for rows in shuffled(lengths, batch, rng):
            yield targets[rows], *states.batch(rows)

    return draw


def cross_entropy(recipe: Recipe) -> Loss:
    """The mean of -log p(label), with the recipe's smoothing, in micro-batches where it asks for them."""

    def loss(module: nn.Module, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(hidden, mask), labels, label_smoothing=recipe.smoothing)

    return accumulated(loss, recipe.micro)


def accumulated(loss: Loss, micro: int) -> Loss:
    """The same loss and gradient from at most `micro` rows at once: all but the last part are sent back at once.

    A training cost, not an inference one: it saves memory and takes as long. 0 changes nothing.
    """

    def summed(module: nn.Module, *batch: Tensor) -> Tensor:
        n_rows, done = len(batch[0]), torch.zeros(())
        for start in range(0, n_rows, micro):
            part = [tensor[start : start + micro] for tensor in batch]
            value = loss(module, *part) * (len(part[0]) / n_rows)
            if start + micro >= n_rows:
                return value + done
            value.backward()
            done = done + value.detach()
        return done

    return summed if micro else loss


def fit(
    classifier: nn.Module,
    states: States,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    loss: Loss | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | None = None,
    events: Path | None = None,
    say: Say | None = None,
) -> History:
    """Tune in place; see `training.train` for resuming, early stopping and what a loss that is not finite says.

    Raises Problem for a single class, and when texts and labels differ in number.
    """
    if len(states) != len(labels):
        raise Problem(f"{len(states)} texts, but {len(labels)} labels; one each is expected.")
    check_labels(labels, getattr(classifier, "n_classes", None), "training rows")
    return train(
        classifier, batches_of(states, labels, recipe.batch), loss or cross_entropy(recipe), recipe.plan(len(labels)),
        validate=validate, checkpoint=checkpoint, events=events, say=say,
    )  # fmt: skip


def tuned(
    base: Base, states: States, labels: np.ndarray, recipe: Recipe, *, n_classes: int = 2, **options: object
) -> Classifier:
    """A new classifier, tuned: `new_classifier` and `fit` in one call; options as in `fit`."""
    with seeded(recipe.seed):
        made = new_classifier(base, n_classes, dropout=recipe.dropout)
    fit(made, states, labels, recipe, **options)  # type: ignore[arg-type]
    return made


def probabilities(classifier: nn.Module, states: States, *, batch_tokens: int = BATCH_TOKENS) -> np.ndarray:
    """Each text's class probabilities (n, n_classes) float64, rows that sum to 1."""
    return softmax(logits(classifier, states, batch_tokens=batch_tokens))


def logits(classifier: nn.Module, states: States, *, batch_tokens: int = BATCH_TOKENS) -> np.ndarray:
    """Each text's logits (n, n_classes) float64, without dropout."""
    return in_batches(classifier, classifier, states, batch_tokens=batch_tokens).double().numpy()


def softmax(scores: np.ndarray) -> np.ndarray:
    """Rows of probabilities from rows of logits."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def n_trained(module: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


BYTES_PER_NUMBER = 140  # of (rows x tokens x width) a layer keeps for the way back, measured in fp32: see fitting


def fitting(recipe: Recipe, states: States, n_layers: int, *, free: int | None = None) -> tuple[Recipe, str]:
    """The recipe with micro-batches small enough for the free memory, and what was changed in words ("" for nothing).

    free: bytes that may be used; None asks the machine and takes half. The estimate: each layer keeps about
    BYTES_PER_NUMBER bytes for every number of its input until the gradient has come back.
    Raises Problem when not even one row fits.
    """
    if free is None:
        import psutil

        free = psutil.virtual_memory().available // 2
    longest = int(states.lengths.max())
    row = longest * states.rows[0].shape[1] * BYTES_PER_NUMBER * max(n_layers, 1)
    rows = free // row
    if rows < 1:
        raise Problem(
            f"one text of {longest} tokens needs about {row / 2**20:.0f} MB, {free / 2**20:.0f} MB are free. "
            "Lower max_tokens, freeze more layers, or close other programs."
        )
    now = recipe.micro or recipe.batch
    if rows >= now:
        return recipe, ""
    told = f"{free / 2**20:.0f} MB are free: {rows} rows at once instead of {now}, gradients summed to {recipe.batch}."
    return replace(recipe, micro=int(rows)), told
