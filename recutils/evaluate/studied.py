"""Judging a learned ranker's study: its sources, its best single model, its gain over several split seeds."""

from typing import Any

import numpy as np

from recutils.evaluate.metrics import accuracy, ndcg
from recutils.evaluate.task import Task
from recutils.rank.hybrid import Study


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
