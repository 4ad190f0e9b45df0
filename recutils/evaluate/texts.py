"""Which text about an item serves best: the same cold items, people, factors and penalties, only the text differs.

One ridge map for each kind of text (Gantner et al. 2010), on the bench of `vectors`. No texts and no encoder here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from recutils.evaluate.cold import crossed, nested_folds
from recutils.evaluate.statistics import Interval
from recutils.evaluate.vectors import cold_bench
from recutils.model.content import Vectors
from recutils.tables import Interactions, Problem


@dataclass(frozen=True, eq=False)
class TextComparison:
    """values: the table of `cold.pairs`, one column for each kind of text, "random" and "oracle" beside them.

    regs: penalty chosen for each (fold, kind). The oracle ranks by the cold items' true popularity.
    """

    values: pd.DataFrame
    regs: dict[tuple[int, str], float]
    seed: int
    draws: int

    def mean(self, kind: str) -> Interval:
        """Mean nDCG of a kind, interval over people and items."""
        return crossed(self.values, self.values[kind], self.seed, draws=self.draws)

    def difference(self, kind: str, against: str) -> Interval:
        """The mean of kind - against over the same people and items, interval over both."""
        return crossed(self.values, self.values[kind] - self.values[against], self.seed, draws=self.draws)


def compare_texts(
    interactions: Interactions,
    kinds: Mapping[str, Vectors],
    regs: Sequence[float],
    *,
    k: int = 10,
    n_folds: int = 5,
    seed: int = 0,
    draws: int = 1000,
    factors: int = 32,
    alpha: float = 1.0,
) -> TextComparison:
    """Rank cold items by each kind of text: house protocol, every item judged once, penalties chosen on another fold.

    kinds: name -> vectors (n_items, d) in item row order. regs: penalties of the map, tried for each kind and fold.
    factors, alpha: of ALS, whose starts begin at `seed` (`vectors.cold_bench`). Raises Problem for names in use and
    for wrong shapes.
    """
    wrong = [n for n, v in kinds.items() if v.shape[0] != interactions.n_items or n in ("random", "oracle")]
    if wrong or not regs:
        raise Problem(
            f"kinds need one vector for each of {interactions.n_items} items and another name; wrong: {wrong}"
        )
    bench = cold_bench(nested_folds(interactions, n_folds), k, factors=factors, alpha=alpha, seed=seed)
    lists, chosen = bench.yardsticks(seed), {}
    for kind, vectors in kinds.items():
        penalties = bench.chosen(vectors, regs)
        chosen |= {(fold.number, kind): reg for fold, reg in zip(bench.folds, penalties, strict=True)}
        lists[kind] = bench.lists_with(vectors, penalties)
    return TextComparison(bench.pairs(lists), chosen, seed, draws)
