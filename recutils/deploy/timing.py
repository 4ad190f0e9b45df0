"""Seconds of calls that take turns, so that a busy machine slows all alike. What is called stands elsewhere."""

import time
from collections.abc import Callable, Hashable, Mapping

import numpy as np
import pandas as pd

from recutils.tables import Problem

Calls = Mapping[Hashable, Callable[[], object]]


def in_turn(calls: Calls, rounds: int) -> pd.DataFrame:
    """Seconds of each call in each round: one column a name, one row a round. One round before is not counted.

    Round r begins with call r, so that no call always follows the same one. Raises Problem without calls or rounds.
    """
    if not calls or rounds < 1:
        raise Problem(f"at least one call and one round are needed; got {len(calls)} and {rounds}")
    names = list(calls)
    found = np.empty((rounds + 1, len(names)))
    for number in range(rounds + 1):
        for place in np.roll(np.arange(len(names)), -number):
            began = time.perf_counter()
            calls[names[place]]()
            found[number, place] = time.perf_counter() - began
    return pd.DataFrame(found[1:], columns=names)
