"""A setting chosen on one half of the users and judged on the other, then swapped: all are judged. No models."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from scipy import sparse

from recutils.evaluate.metrics import ndcg
from recutils.tables import Problem

Setting = TypeVar("Setting", bound=Hashable)


def crossfit(
    tried: Mapping[Setting, np.ndarray], truth: sparse.csr_matrix, k: int
) -> tuple[np.ndarray, tuple[Setting, Setting]]:
    """Lists (n_users, k) in which each user's setting was chosen without this user, and the two settings chosen.

    tried: setting -> lists (n_users, >= k). The halves are every second user; the setting with the highest mean nDCG@k
    of the other half is taken, of equal ones the first. The settings are those of the first and of the second half.
    Raises Problem when a half has nobody with truth.

    >>> truth = sparse.csr_matrix([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> lists, chosen = crossfit({"a": np.array([[0]] * 4), "b": np.array([[1], [0], [1], [1]])}, truth, 1)
    >>> chosen, lists.ravel().tolist()
    (('b', 'a'), [1, 0, 1, 0])
    """
    values = {setting: ndcg(lists, truth, k) for setting, lists in tried.items()}
    second = np.arange(truth.shape[0]) % 2 == 1
    judged = ~np.isnan(next(iter(values.values())))
    if not (judged & second).any() or not (judged & ~second).any():
        raise Problem(f"{int(judged.sum())} users have truth; each half needs one to choose with. Use a larger sample.")
    chosen = tuple(max(values, key=lambda name, of=of: np.nanmean(values[name][of])) for of in (second, ~second))
    return np.where(second[:, None], tried[chosen[1]], tried[chosen[0]]), (chosen[0], chosen[1])
