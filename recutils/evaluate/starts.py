"""Models that draw random numbers: one column for each random start. No tests here (records.py, statistics.py).

The mean over the starts is what a person's value is expected to be; the interval over people then tells about people,
the range of the starts' means about luck.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.present import interval, p_value
from recutils.tables import Problem

Columns = Mapping[tuple[str, int], np.ndarray]  # (model, start) -> values (n_users,)


def over_starts(columns: Columns) -> dict[str, np.ndarray]:
    """Per-user values of each model, averaged over its starts, in the order of the models.

    >>> over_starts({("svd", 1): np.array([1.0, 0.0]), ("svd", 2): np.array([0.0, 0.0])})
    {'svd': array([0.5, 0. ])}
    """
    names = dict.fromkeys(name for name, _ in columns)
    return {name: np.mean([column for (of, _), column in columns.items() if of == name], axis=0) for name in names}


def means(columns: Columns, model: str) -> np.ndarray:
    """The mean over users of each start of a model (n_starts,), users without a value left out."""
    found = [float(np.nanmean(column)) for (name, _), column in columns.items() if name == model]
    if not found:
        raise Problem(f"there is no start of {model!r}; models are {sorted({name for name, _ in columns})}")
    return np.array(found)


def table(records: Iterable[Record], columns: Columns, metric: str, *, digits: int = 3) -> pd.DataFrame:
    """One row for each record of one metric: mean with interval, range of single starts, difference and corrected p."""
    rows, against = [], ""
    for one in records:
        starts = means(columns, one.model)
        span = f"{starts.min():.{digits}f} to {starts.max():.{digits}f}" if len(starts) > 1 else ""
        signs = tuple(f"{end:+.{digits}f}" for end in (one.delta or 0, one.delta_low or 0, one.delta_high or 0))
        delta = "" if one.delta is None else f"{signs[0]} [{signs[1]}, {signs[2]}]"
        rows.append((one.model, interval(one.value, one.low, one.high), span, delta, p_value(one.p_holm)))
        against = one.against or against
    return pd.DataFrame(rows, columns=["model", metric, "single starts", f"Δ to {against}", "p (Holm)"])


def verdict(record: Record, *, level: float = 0.05) -> str:
    """A tested difference in words, from its sign and its corrected p. Raises Problem where nothing was tested."""
    if record.delta is None or record.p_holm is None:
        raise Problem(f"{record.model}/{record.metric} was not tested against anything; name it in the family.")
    return in_words(record.delta, record.p_holm, level=level)


def in_words(delta: float, p: float, *, level: float = 0.05) -> str:
    """A difference in words, from its sign and its corrected p."""
    if p >= level:
        return "not clearly different from"
    return "clearly lower than" if delta < 0 else "clearly higher than"


def sentence(record: Record) -> str:
    """The verdict with its numbers: "clearly lower than that of baseline (-0.120 [-0.150, -0.090], p < .001)"."""
    ends = f"{record.delta:+.3f} [{record.delta_low:+.3f}, {record.delta_high:+.3f}]"
    p = p_value(record.p_holm)
    return f"{verdict(record)} that of {record.against} ({ends}, p {p if p.startswith('<') else f'= {p}'})"
