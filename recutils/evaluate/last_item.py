"""The protocol of sequential recommendation: rank each user's last item, after all that came before. No model here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recutils.data import split
from recutils.data.split import Split
from recutils.evaluate.judge import Judgement
from recutils.evaluate.metrics import accuracy
from recutils.evaluate.task import Task
from recutils.evaluate.task import task as make_task
from recutils.rank.top import Scorer, recommend
from recutils.tables import Interactions


@dataclass(frozen=True, eq=False)
class LastItem:
    """Each user's last event is test, the one before it valid, the rest train; every unseen item is a candidate.

    split: the parts. valid: ranks the event before the last from the training events. test: ranks the last from all
    before it, those of train and valid; nothing is learnt from valid, as in the published runs.
    """

    split: Split
    valid: Task
    test: Task

    def value(self, model: Scorer, metric: str = "ndcg") -> float:
        """The mean of a metric on valid, for choices while training."""
        lists = recommend(model, self.valid.histories, self.valid.k)
        return float(np.nanmean(accuracy(lists, self.valid.truth, self.valid.k)[metric]))

    def judge_test(self, models: Mapping[str, Scorer], *, seed: int, **options: Any) -> Judgement:
        """As Task.judge, on test; models that read histories in order are told the order of the events of valid."""
        known = split.frozen(self.split).train
        told = {name: model.knowing(known) if hasattr(model, "knowing") else model for name, model in models.items()}
        return self.test.judge(told, seed=seed, **options)


def last_item(interactions: Interactions, dataset: str, k: int, *, protocol: str = "last item") -> LastItem:
    """The protocol's parts and tasks. Users of fewer than 3 events stay in train; equal times keep the order of rows.

    Raises Problem without times.
    """
    parts = split.last_n(interactions, 1)
    valid = make_task(parts, dataset, k)
    all_known = split.frozen(parts)
    test = make_task(all_known, dataset, k, part="test")
    tasks = [_named(found, protocol, parts.name) for found in (valid, test)]
    return LastItem(parts, *tasks)


def _named(found: Task, protocol: str, name: str) -> Task:
    return replace(found, protocol=protocol, split=name)
