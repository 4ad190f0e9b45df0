"""The same adapter trained on fewer and more labels, from several starts. The training itself: lora.py."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recutils.model.plan import Plan
from recutils.tables import Problem
from recutils.tune.decoder import Decoder, Read
from recutils.tune.lora import Adapted, Lora, tune
from recutils.tune.prompts import Wording
from recutils.tune.windows import few


@dataclass(frozen=True, eq=False)
class Tuned:
    """Adapters by size and start. table: labels, seed, loss (last epoch) and AUC (best epoch, validation)."""

    modules: dict[tuple[int, int], Adapted]
    rows: dict[tuple[int, int], np.ndarray]
    table: pd.DataFrame

    @property
    def sizes(self) -> list[int]:
        """Numbers of labels, rising."""
        return sorted({size for size, _ in self.modules})

    def answers(self, size: int, found: Sequence[Read]) -> np.ndarray:
        """Log odds of yes of all starts of a size: (n_starts, n)."""
        return np.stack([module.answers(found) for (one, _), module in self.modules.items() if one == size])


def sweep(
    decoder: Decoder,
    words: Wording,
    found: Sequence[Read],
    labels: np.ndarray,
    valid: tuple[Sequence[Read], np.ndarray],
    *,
    sizes: Sequence[int],
    seeds: int,
    plan: Plan,
    lora: Lora | None = None,
) -> Tuned:
    """Train an adapter for each size and start. found, labels: texts with one ending each; valid chooses the epoch.

    Each start draws its labels anew and has first weights of its own; a size above all labels takes all of them.
    """
    if seeds < 1 or not sizes:
        raise Problem(f"sizes must name at least one number of labels, seeds at least 1; got {list(sizes)}, {seeds}")
    modules, rows, table = {}, {}, []
    for size in sorted({min(size, len(labels)) for size in sizes}):
        for seed in range(seeds):
            chosen = few(labels, size, seed)
            module = Adapted(decoder, lora or Lora(), words.yes, words.no, seed=seed)
            texts, one = [found[row] for row in chosen], replace(plan, seed=seed)
            history = tune(module, texts, labels[chosen], one, valid=valid)
            modules[size, seed], rows[size, seed] = module, chosen
            table.append((size, seed, history.losses[-1], max(history.values)))
    return Tuned(modules, rows, pd.DataFrame(table, columns=["labels", "seed", "loss", "AUC"]))
