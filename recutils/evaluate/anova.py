"""Which choice moves results, and how far orders of models agree. Where the figures come from: multiverse.py.

Arrays of means are (..., n_protocols, n_models): leading axes are draws of users, protocols are the product of the
choices, the last varying fastest.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from recutils.tables import Problem

MODEL = "model"


def ranks(means: np.ndarray) -> np.ndarray:
    """The place of each model within its protocol, 1 is best, equal ones share the middle; the shape stays.

    >>> ranks(np.array([[0.1, 0.3, 0.2], [0.5, 0.5, 0.6]])).tolist()
    [[3.0, 1.0, 2.0], [2.5, 2.5, 1.0]]
    """
    return stats.rankdata(-np.asarray(means), axis=-1)


def shares(means: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """How much of the variance each choice (and the model, last) explains: alone, and with all it interacts with.

    shape: options of each choice, and models. Returns two arrays (..., n_choices + 1). Alone: the variance of the means
    of its options; these sum to 1 when nothing interacts. With interactions: the mean variance that is left when
    everything but it is held. Source: Sobol' 1993, first-order and total index of a full factorial.

    >>> both = np.add.outer([0.0, 3.0], [0.0, 4.0])
    >>> [part.tolist() for part in shares(both, (2, 2))]
    [[0.36, 0.64], [0.36, 0.64]]
    """
    means = np.asarray(means, dtype=np.float64)
    if means.shape[-2:] != (int(np.prod(shape[:-1])), shape[-1]):
        raise Problem(f"means must be (..., protocols, models) of the shape {tuple(shape)}; got {means.shape}")
    lead = means.ndim - 2
    table = means.reshape(*means.shape[:lead], *shape)
    axes = tuple(range(lead, table.ndim))
    total = table.var(axis=axes)
    alone = [table.mean(axis=tuple(a for a in axes if a != axis)).var(axis=-1) for axis in axes]
    moved = [table.var(axis=axis).mean(axis=tuple(range(lead, table.ndim - 1))) for axis in axes]
    whole = np.where(total > 0, total, np.nan)[..., None]
    return np.stack(alone, axis=-1) / whole, np.stack(moved, axis=-1) / whole


def agreement(means: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Kendall's tau-a of two orders of models, (...,): pairs in the same order minus pairs in the opposite, over all.

    >>> agreement(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0])).round(3).tolist()
    0.333
    """
    first, second = np.triu_indices(np.shape(means)[-1], 1)
    signs = [np.sign(values[..., first] - values[..., second]) for values in (np.asarray(means), np.asarray(others))]
    return (signs[0] * signs[1]).mean(axis=-1)


def flips(means: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether the best model is another one, (...,) bool; of equal models the first is best."""
    return np.argmax(means, axis=-1) != np.argmax(others, axis=-1)


def pairs(choices: Mapping[str, Sequence[str]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of protocols that differ in one choice and in nothing else: two arrays of protocol numbers.

    >>> [side.tolist() for side in pairs({"split": ("a", "b"), "seen": ("x", "y")}, "split")]
    [[0, 1], [2, 3]]
    """
    if name not in choices:
        raise Problem(f"there is no choice {name!r}; expected one of {', '.join(choices)}")
    sizes = [len(options) for options in choices.values()]
    numbers = np.moveaxis(np.arange(int(np.prod(sizes))).reshape(sizes), list(choices).index(name), 0)
    first, second = np.triu_indices(len(numbers), 1)
    return numbers[first].ravel(), numbers[second].ravel()


def by_choice(means: np.ndarray, choices: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """For each choice, over the pairs of protocols that differ in it alone: how often the winner changes, mean tau.

    means: (n_protocols, n_models). Pairs with equal figures (a choice that cannot matter there) are left out and not
    counted. Columns: choice, winner_changes (share), tau, n_pairs; a choice without a pair has no row.
    """
    rows = []
    for name in choices:
        first, second = pairs(choices, name)
        differ = (means[first] != means[second]).any(axis=1) if len(first) else np.zeros(0, dtype=bool)
        if differ.any():
            a, b = means[first[differ]], means[second[differ]]
            rows.append((name, float(flips(a, b).mean()), float(agreement(a, b).mean()), int(differ.sum())))
    return pd.DataFrame(rows, columns=["choice", "winner_changes", "tau", "n_pairs"])


def by_chance(drawn: np.ndarray) -> tuple[float, float]:
    """The same for one protocol asked of two samples of its users: share of winners that change, mean tau.

    drawn: (n_draws, n_protocols, n_models) means of drawn users; each draw is compared with the next.
    """
    if len(drawn) < 2:
        raise Problem(f"two draws of users are needed to compare them; got {len(drawn)}")
    return float(flips(drawn[:-1], drawn[1:]).mean()), float(agreement(drawn[:-1], drawn[1:]).mean())


def ends(drawn: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval over draws, the first axis: two arrays (...)."""
    return tuple(np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0))
