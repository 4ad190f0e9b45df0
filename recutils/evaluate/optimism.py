"""How much the winner of a search flatters itself: chosen on half of the users, measured on the other half."""

import numpy as np
import pandas as pd

from recutils.tables import Problem


def optimism(values: np.ndarray, rng: int | np.random.Generator, *, draws: int = 500) -> pd.DataFrame:
    """The winner's gain over the first setting, where it was chosen and where it was not, by the number of settings.

    values: (n_settings, n_users), one row for each setting in the order tried; settings with NaN are left out. In each
    draw the users are dealt into two halves; of the first t settings the best on one half wins (of equal ones the
    first). Returns a row for each t: settings, chosen (mean gain on the half that chose), other (mean gain on the
    other half); their gap is the optimism. The halves are of one kind, so that nothing but the choice can differ.
    """
    values = values[~np.isnan(values).any(axis=1)]
    if values.shape[0] < 1 or values.shape[1] < 2:
        raise Problem(f"optimism needs at least one setting and two users; got {values.shape} without NaN.")
    rng, half = np.random.default_rng(rng), values.shape[1] // 2
    gains = values - values[0]
    totals = np.zeros((2, len(values)))
    for _ in range(draws):
        order = rng.permutation(values.shape[1])
        chosen, other = gains[:, order[:half]].mean(axis=1), gains[:, order[half:]].mean(axis=1)
        top = np.maximum.accumulate(chosen)
        winner = np.maximum.accumulate(np.where(_is_new(chosen, top), np.arange(len(chosen)), 0))
        totals += chosen[winner], other[winner]
    mean = totals / draws
    return pd.DataFrame({"settings": np.arange(1, len(values) + 1), "chosen": mean[0], "other": mean[1]})


def _is_new(values: np.ndarray, top: np.ndarray) -> np.ndarray:
    """True where a value is the first to reach the highest so far."""
    before = np.concatenate([[-np.inf], top[:-1]])
    return values > before
