"""An encoder that may stop early: a head after every layer, trained together, and the rule that decides when to stop.

Multi-exit training follows BranchyNet (Teerapittayanon et al. 2016) and DeeBERT (Xin et al. 2020); here all exits and
the layers between them are trained at once, with the plain sum of their losses. The rule is confidence: the first exit
answers whose likeliest class reaches that exit's threshold. Cascades of whole models are in rank/cascade.py.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.model.threads import one_thread
from recutils.model.training import Loss
from recutils.tables import Problem
from recutils.tune.classifier import mean_and_max
from recutils.tune.states import BATCH_TOKENS, Base, States, autocast, by_length, in_batches, run_layer

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NEVER = 1.01  # a threshold that no probability reaches
GRID = (0.6, 0.75, 0.85, 0.9, 0.95, 0.98, 0.99, NEVER)
MOST_COMBINATIONS = 20_000


class Exits(nn.Module):
    """Upper layers of an encoder with a head on the frozen states and one after each layer.

    layers: m of them. head: m + 1 linear heads over mean and maximum; head i reads what i layers have made.
    """

    def __init__(self, layers: nn.ModuleList, width: int, n_classes: int, precision: str = "fp32") -> None:
        super().__init__()
        self.layers, self.precision = layers, precision
        self.dropout = nn.Dropout(0.1)
        self.head = nn.ModuleList(nn.Linear(2 * width, n_classes) for _ in range(len(layers) + 1))
        for head in self.head:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def deeper(self, hidden: Tensor, mask: Tensor, number: int) -> Tensor:
        """The states after one more layer (b, width, d)."""
        with autocast(self.precision):
            return run_layer(self.layers[number], hidden, mask)

    def say(self, hidden: Tensor, mask: Tensor, number: int) -> Tensor:
        """Logits (b, n_classes) of one exit, from the states that its layers have made."""
        return self.head[number](self.dropout(mean_and_max(hidden.float(), mask)))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits of all exits (b, m + 1, n_classes)."""
        hidden = hidden if self.precision == "bf16" else hidden.float()
        found = [self.say(hidden, mask, 0)]
        for number in range(len(self.layers)):
            hidden = self.deeper(hidden, mask, number)
            found.append(self.say(hidden, mask, number + 1))
        return torch.stack(found, dim=1)


def new_exits(base: Base, n_classes: int, *, dropout: float = 0.1) -> Exits:
    """Untrained exits over the base's upper layers."""
    model = base.load()[1]
    layers = nn.ModuleList(copy.deepcopy(model.encoder.layer[base.frozen :]))
    made = Exits(layers, model.config.hidden_size, n_classes, base.precision)
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return made


def summed_loss(smoothing: float = 0.0) -> Loss:
    """The mean over the exits of their cross-entropies: every exit is taught, the last one no more than the others."""

    def loss(module: nn.Module, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        found = module(hidden, mask)
        each = [nn.functional.cross_entropy(one, labels, label_smoothing=smoothing) for one in found.unbind(dim=1)]
        return torch.stack(each).mean()

    return loss


def all_logits(exits: Exits, states: States) -> np.ndarray:
    """Logits of every text at every exit (n, m + 1, n_classes) float64: what a choice of thresholds needs."""
    return in_batches(exits, exits, states).double().numpy()


@dataclass(frozen=True, eq=False)
class Scales:
    """What turns each exit's logits into probabilities that can be compared: one logistic regression per exit.

    fitted: m + 1 of them. Vector scaling of Guo et al. 2017, the general form of Platt's for two classes. Without it,
    one threshold means another thing at each exit, and texts that left at different exits cannot be ranked together.
    """

    fitted: tuple["LogisticRegression", ...]

    def of(self, logits: np.ndarray, number: int) -> np.ndarray:
        """Probabilities (n, n_classes) of one exit's logits."""
        return self.fitted[number].predict_proba(logits)

    def all(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (n, m + 1, n_classes) of all exits' logits."""
        return np.stack([self.of(logits[:, number], number) for number in range(logits.shape[1])], axis=1)


def scales(logits: np.ndarray, labels: np.ndarray) -> Scales:
    """Fitted on validation rows (n, m + 1, n_classes). Raises Problem when a class has no row there."""
    from sklearn.linear_model import LogisticRegression

    missing = sorted({*range(logits.shape[2])} - set(np.asarray(labels).tolist()))
    if missing:
        raise Problem(f"no validation row is of class {missing[0]}; take more rows, so that every class occurs.")
    each = [LogisticRegression(C=100.0, max_iter=1000).fit(logits[:, i], labels) for i in range(logits.shape[1])]
    return Scales(tuple(each))


@dataclass(frozen=True, eq=False)
class Left:
    """Where n texts left. chances: (n, n_classes) of the exit taken. exits: (n,) its number, 0 on the frozen states."""

    chances: np.ndarray
    exits: np.ndarray

    def layers(self, frozen: int) -> float:
        """Mean number of layers a text went through, the frozen ones included."""
        return float(self.exits.mean()) + frozen


def leave(chances: np.ndarray, thresholds: Sequence[float]) -> Left:
    """The answers of a rule: each text leaves at the first exit whose likeliest class reaches that exit's threshold.

    chances: (n, m + 1, n_classes). thresholds: m of them; the last exit takes what is left.

    >>> leave(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]]]), [0.85]).exits.tolist()
    [0, 1]
    """
    wanted = _checked(thresholds, chances.shape[1] - 1)
    sure = chances.max(axis=2) >= np.append(wanted, 0.0)
    taken = sure.argmax(axis=1)
    return Left(chances[np.arange(len(chances)), taken], taken)


def _checked(thresholds: Sequence[float], n_exits: int) -> np.ndarray:
    """Raise Problem unless there is one probability (or NEVER) for each exit but the last."""
    wanted = np.asarray(thresholds, dtype=np.float64)
    if wanted.shape != (n_exits,) or not ((wanted > 0) & (wanted <= NEVER)).all():
        raise Problem(
            f"expected {n_exits} thresholds, probabilities above 0 or NEVER, one for each exit but the last; "
            f"got {list(thresholds)}"
        )
    return wanted


def choose_thresholds(
    chances: np.ndarray, labels: np.ndarray, most_layers: float, frozen: int, grid: Sequence[float] = GRID
) -> tuple[float, ...]:
    """The thresholds of the highest validation AUC (two classes) that take at most `most_layers` on average.

    All combinations of the grid are tried. Raises Problem when none is cheap enough, and when there are too many.
    """
    n_exits = chances.shape[1] - 1
    if len(grid) ** n_exits > MOST_COMBINATIONS:
        raise Problem(f"{len(grid)} thresholds at {n_exits} exits make too many combinations; offer fewer thresholds.")
    from sklearn.metrics import roc_auc_score

    found: dict[tuple[float, ...], float] = {}
    for tried in itertools.product(grid, repeat=n_exits):
        left = leave(chances, tried)
        if left.layers(frozen) <= most_layers:
            found[tried] = float(roc_auc_score(labels, left.chances[:, 1]))
    if not found:
        least = leave(chances, (min(grid),) * n_exits).layers(frozen)
        raise Problem(
            f"no thresholds stop after {most_layers:g} layers on average; the lowest take {least:.2f}. Freeze fewer "
            "layers, offer lower thresholds, or allow more layers."
        )
    return max(found, key=lambda tried: found[tried])


def answer(exits: Exits, states: States, thresholds: Sequence[float], scaled: Scales) -> Left:
    """The same rule while the encoder runs: a text that has left is not computed any further. This is what saves time.

    Answers equal those of `leave` on `all_logits` up to rounding in batches of other company.
    """
    exits.eval()
    rule = _checked(thresholds, len(exits.layers)), scaled
    taken = np.zeros(len(states), dtype=np.int64)
    chances = np.zeros((len(states), exits.head[0].out_features))
    with torch.inference_mode(), one_thread():
        for rows in by_length(states.lengths, BATCH_TOKENS):
            _answer_batch(exits, states, rows, rule, Left(chances, taken))
    return Left(chances, taken)


def _answer_batch(exits: Exits, states: States, rows: np.ndarray, rule: tuple[np.ndarray, Scales], into: Left) -> None:
    """Run one batch layer by layer, dropping the texts that leave; writes into `into`."""
    thresholds, scaled = rule
    hidden, mask = states.batch(rows)
    hidden = hidden if exits.precision == "bf16" else hidden.float()
    for number in range(len(exits.head)):
        if number:
            hidden = exits.deeper(hidden, mask, number - 1)
        found = scaled.of(exits.say(hidden, mask, number).double().numpy(), number)
        last = number == len(exits.layers)
        out = np.full(len(rows), True) if last else found.max(axis=1) >= thresholds[number]
        into.chances[rows[out]], into.exits[rows[out]] = found[out], number
        rows, hidden, mask = rows[~out], hidden[torch.from_numpy(~out)], mask[torch.from_numpy(~out)]
        if len(rows) == 0:
            return
