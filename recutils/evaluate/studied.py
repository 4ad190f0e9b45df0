"""Judging a learned ranker's study: its sources, its best single model, its gain over several split seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.metrics import accuracy, ndcg
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import FoldMean, corrected_k_fold, holm
from recutils.evaluate.task import Task
from recutils.present import interval, p_value
from recutils.rank.hybrid import Study
from recutils.tables import Problem


def best_single(base: Study) -> str:
    """The collaborative model with the highest mean nDCG@10 on the held-out events of the study's cuts."""
    singles = [name for name in base.scores.dense if name not in {*base.scores.text, "blend", "popularity"}]
    values = {name: [] for name in singles}
    for lists, held in base.lists:
        truth = held.matrix("binary")
        for name in singles:
            values[name].append(float(np.nanmean(ndcg(lists[name], truth, 10))))
    return max(singles, key=lambda name: float(np.mean(values[name])))


def reach(base: Study, rules: Task) -> dict[str, float]:
    """Share of the truth among n candidates, mean over the task's users: each source's own n best, and "the pool"."""
    n = base.final.items.shape[1]
    lists = base.scores.lists(n) | {"the pool": base.final.items}
    options: dict[str, Any] = {"truth": rules.truth, "k": n, "metrics": ["recall"]}
    return {name: float(np.nanmean(accuracy(one[rules.users], **options)["recall"])) for name, one in lists.items()}


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
        each = [
            Record(**about, split=f"{split} seed {seed}, test", group="split seeds", model=name, value=value, n=n_users)
            for seed, row in self.levels.iterrows()
            for name, value in row.items()
        ]
        return each + [
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
