"""How a network is trained, and what a training leaves behind besides its weights. The loop is in training.py."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.tables import Problem

_NOT_NEGATIVE = ("weight_decay", "warm_up", "steps", "clip", "patience", "seed")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a network is trained. Raises Problem for senseless numbers.

    warm_up: steps over which the learning rate rises from 0 in a straight line. steps: it then falls in a straight line
    to 0 at this step; 0 keeps it. rates: (start of a weight's name, factor) pairs; those weights learn at factor times
    the learning rate, the first pair that fits decides. clip: longest gradient allowed (its norm over all weights), 0
    for no limit. patience: epochs without a better validation value before it stops, 0 never. seed: of the order of
    batches and of dropout; the first weights are the caller's (`seeded`).
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warm_up: int = 0
    steps: int = 0
    rates: tuple[tuple[str, float], ...] = ()
    clip: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.learning_rate > 0:
            raise Problem(f"epochs must be at least 1, learning_rate above 0; got {self.epochs}, {self.learning_rate}")
        low = [name for name in _NOT_NEGATIVE if not getattr(self, name) >= 0]
        if low:
            raise Problem(f"{low[0]} must be 0 or more; got {getattr(self, low[0])}")

    def share(self, step: int) -> float:
        """The share of the learning rate at a step, 1 first."""
        rise = min(1.0, step / max(self.warm_up, 1))
        return min(rise, max(0.0, (self.steps + 1 - step) / max(self.steps - self.warm_up, 1))) if self.steps else rise

    def factor(self, name: str) -> float:
        """At how many times the learning rate a weight of this name learns."""
        return next((factor for start, factor in self.rates if name.startswith(start)), 1.0)


@dataclass(frozen=True)
class History:
    """What a training leaves behind besides the weights.

    losses: mean training loss of each epoch. values: validation value after each epoch, higher is better; () without.
    """

    losses: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def best(self) -> int:
        """The first epoch with the highest validation value; the last epoch without validation."""
        return int(np.argmax(self.values)) if self.values else len(self.losses) - 1

    def table(self) -> pd.DataFrame:
        """One row per epoch: epoch (1 first), loss, value (NaN without validation)."""
        values = self.values or (math.nan,) * len(self.losses)
        return pd.DataFrame({"epoch": range(1, len(self.losses) + 1), "loss": self.losses, "value": values})

    def stopped(self, patience: int) -> bool:
        """True when the last `patience` epochs brought no better value; 0 never stops."""
        return bool(patience) and len(self.losses) - 1 - self.best >= patience
