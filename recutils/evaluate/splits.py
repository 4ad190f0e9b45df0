"""Means over random splits of one data set, which share most of their events: corrected intervals, tests, records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.split import Split
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import FoldMean, corrected_k_fold, holm
from recutils.present import interval, p_value
from recutils.tables import Problem


def seed_records(levels: pd.DataFrame, split: str, **about: Any) -> list[Record]:
    """One record for each split seed (row) and model (column) of a table of means; split: its name without the seed."""
    return [
        Record(**about, split=f"{split} seed {seed}, test", group="split seeds", model=model, value=value)
        for seed, row in levels.iterrows()
        for model, value in row.items()
    ]


@dataclass(frozen=True, eq=False)
class OverSplits:
    """One model less several others, over split seeds that share most of their data.

    levels: one row for each split seed, one column for each model: the mean of the metric. model: the one that is
    compared. differences: other model -> mean, interval and p (corrected: Nadeau & Bengio 2003); p_holm over these.
    """

    levels: pd.DataFrame
    model: str
    mean: FoldMean
    differences: Mapping[str, FoldMean]
    p_holm: Mapping[str, float]

    def gaps(self, other: str) -> np.ndarray:
        """The model less the other, (n_splits,)."""
        return (self.levels[self.model] - self.levels[other]).to_numpy()

    def table(self) -> pd.DataFrame:
        """One row for each difference: its mean with interval, how many splits lie above 0, and the corrected p."""
        rows = [
            (
                f"{self.model} less {name}",
                interval(one.mean, one.low, one.high, 4),
                f"{int((self.gaps(name) > 0).sum())} of {one.n_folds}",
                p_value(self.p_holm[name]),
            )
            for name, one in self.differences.items()
        ]
        return pd.DataFrame(rows, columns=["difference", "nDCG@10", "splits above 0", "p (Holm)"])

    def records(self, *, n_users: int, **about: Any) -> list[Record]:
        """The level of every model on every split, and the compared model's mean against each other one."""
        split, about = about.pop("split"), {**about, "metric": "ndcg", "k": 10}
        return seed_records(self.levels, split, n=n_users, **about) + [
            Record(
                **about,
                split=f"{split}, {one.n_folds} seeds, test",
                group=f"over splits, less {name}",
                model=self.model,
                value=self.mean.mean,
                low=self.mean.low,
                high=self.mean.high,
                n=one.n_folds,
                against=name,
                delta=one.mean,
                delta_low=one.low,
                delta_high=one.high,
                p=one.p,
                p_holm=self.p_holm[name],
            )
            for name, one in self.differences.items()
        ]


def over_splits(levels: pd.DataFrame, model: str, others: Sequence[str], n_train: int, n_test: int) -> OverSplits:
    """The model less each of the others over split seeds, with corrected intervals and Holm over the others.

    levels: rows are split seeds, columns models. n_train, n_test: events of one split's parts.
    Raises Problem for fewer than two split seeds, which show no spread.
    """
    if len(levels) < 2:
        raise Problem(f"an interval over splits needs at least two split seeds; got {len(levels)}. Raise N_SEEDS.")
    found = {name: corrected_k_fold(levels[model] - levels[name], n_train, n_test) for name in others}
    p_holm = dict(zip(found, holm([one.p for one in found.values()]).tolist(), strict=True))
    return OverSplits(levels, model, corrected_k_fold(levels[model], n_train, n_test), found, p_holm)


def told(levels: Sequence[float] | pd.Series, split: Split) -> str:
    """The interval of a mean over random splits, which share most of their training data, in words."""
    if len(levels) < 2:
        return "one split shows no spread: the standard profile runs more."
    whole = corrected_k_fold(np.asarray(levels, dtype=np.float64), len(split.train), len(split.test))
    return f"over {len(levels)} splits, with the corrected interval: [{whole.low:.4f}, {whole.high:.4f}]."


def split_records(
    levels: pd.DataFrame, part: Split, over: Sequence[int], *, n_users: int, **about: Any
) -> list[Record]:
    """nDCG@10 of each model on every split seed, and its mean over the seeds `over` with the corrected interval.

    levels: rows are split seeds, columns models. part: one of the splits, for its sizes. about: the records' other
    fields; `split` is the split's name without its seed. Fewer than two seeds give no mean.
    """
    name, about = about.pop("split"), {**about, "metric": "ndcg", "k": 10}
    each = seed_records(levels, name, n=n_users, **about)
    if len(over) < 2:
        return each
    about |= {"split": f"{name}, {len(over)} seeds, test", "group": "over splits", "n": len(over)}
    found = {
        model: corrected_k_fold(column, len(part.train), len(part.test)) for model, column in levels.loc[over].items()
    }
    return each + [Record(**about, model=model, value=m.mean, low=m.low, high=m.high) for model, m in found.items()]
