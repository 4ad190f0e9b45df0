"""Tables of a multiverse with intervals from drawn users: what moves it, and one pair of models through all protocols.

The arithmetic is in anova.py, the figures come from multiverse.py. All intervals are exploratory: not corrected.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from recutils.evaluate import anova
from recutils.evaluate.multiverse import Multiverse
from recutils.evaluate.records import Record, Records
from recutils.evaluate.statistics import compare_all

View = Callable[[np.ndarray], np.ndarray]
VIEWS: Mapping[str, View] = {"nDCG": np.asarray, "place": anova.ranks}


def shares(world: Multiverse, *, seed: int, draws: int) -> pd.DataFrame:
    """How much of the variance of nDCG, and of the models' places, each choice explains; one row for each.

    Columns: of ("nDCG" or "place"), choice ("model" last), alone, low, high, in all, in all low, in all high. Choices
    with one option are left out. Intervals (95 %, percentile) draw the users anew; a share grows with noise, so that
    small ones may lie below their interval.
    """
    names = [*world.choices, anova.MODEL]
    rows = []
    for of, view in VIEWS.items():
        both = _both(view, world.shape)
        found, (low, high) = both(world.means), anova.ends(world.drawn(both, seed, draws))
        for n in [n for n, size in enumerate(world.shape) if size > 1]:
            numbers = [(found[part, n], low[part, n], high[part, n]) for part in (0, 1)]
            rows.append((of, names[n], *numbers[0], *numbers[1]))
    columns = ["of", "choice", "alone", "low", "high", "in all", "in all low", "in all high"]
    return pd.DataFrame(rows, columns=columns)


def _both(view: View, shape: Sequence[int]) -> View:
    """means (..., n_protocols, n_models) -> (..., 2, n_choices): the shares alone and in all."""
    return lambda means: np.stack(anova.shares(view(means), shape), axis=-2)


def share_records(found: pd.DataFrame, world: Multiverse, **about: object) -> Records:
    """The shares as records, the choice in place of a model; `about` names notebook, dataset, protocol, seed and k."""
    n_users = int(np.isfinite(world.values).any(axis=(1, 2)).sum())
    made = []
    for of, choice, *numbers in found.itertuples(index=False):
        for kind, (value, low, high) in {"alone": numbers[:3], "in_all": numbers[3:]}.items():
            metric = f"share_of_{of.lower()}_variance_{kind}"
            ends = {"low": min(low, value), "high": max(high, value)}
            made.append(
                Record(**about, split="all protocols", model=choice, metric=metric, value=value, n=n_users, **ends)
            )
    return Records(made)


def curve(world: Multiverse, pair: Sequence[str], *, seed: int, draws: int) -> pd.DataFrame:
    """The paired difference of two models under every protocol, with its 95 % interval, sorted by the difference.

    Columns: the choices, delta (first minus second), low, high, n (users).
    """
    values = world.only(pair).values.astype(np.float64)
    pairs = {n: (values[:, n, 0], values[:, n, 1]) for n in range(values.shape[1])}
    found = compare_all(pairs, seed, draws=draws).values()
    numbers = pd.DataFrame(
        [(one.delta, one.low, one.high, one.n) for one in found], columns=["delta", "low", "high", "n"]
    )
    return world.protocols.join(numbers).sort_values("delta", kind="stable").reset_index(drop=True)


def places(world: Multiverse) -> pd.DataFrame:
    """Mean, best and worst place of each model over all protocols, 1 is best. Columns: model, then "mean place" ..."""
    found = anova.ranks(world.means)
    columns = {"mean place": found.mean(axis=0), "best place": found.min(axis=0), "worst place": found.max(axis=0)}
    return pd.DataFrame({"model": world.models, **columns})
