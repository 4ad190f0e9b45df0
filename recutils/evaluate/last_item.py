"""The protocol of sequential recommendation: rank each user's last item, after all before it. No model is made here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recutils import runs
from recutils.data import split
from recutils.data.load import load
from recutils.data.order import reorder_ties
from recutils.data.prepare import k_core
from recutils.data.split import Split
from recutils.evaluate.judge import Judgement
from recutils.evaluate.metrics import accuracy
from recutils.evaluate.task import Task
from recutils.evaluate.task import task as make_task
from recutils.model.base import Model
from recutils.model.baselines import Popularity
from recutils.model.sasrec import SASRec
from recutils.model.sequence import Markov
from recutils.model.training import Say
from recutils.rank.top import Scorer, recommend
from recutils.tables import Interactions, Problem

PUBLISHED = (  # ml-1m: model, HR@10, nDCG@10, where it was published; all items ranked, seen ones removed
    ("MF-BPR", 0.0740, 0.0377, "Petrov & Macdonald 2022"),
    ("SASRec, one negative", 0.1993, 0.1078, "Petrov & Macdonald 2022"),
    ("SASRec, one negative", 0.2500, 0.1341, "Klenitskiy & Vasilev 2023"),
    ("BERT4Rec", 0.2843, 0.1537, "Klenitskiy & Vasilev 2023"),
    ("SASRec, all items", 0.3152, 0.1821, "Klenitskiy & Vasilev 2023"),
    ("SASRec", 0.3058, 0.1779, "RecTools"),
)


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


def long_run(plan: str, dataset: str, *, say: Say | None = None) -> tuple[LastItem, dict[str, Model]]:
    """The protocol as published, and popularity, Markov and SASRec fitted for it; SASRec goes on where it was stopped.

    plan: "length ties epochs", such as "200 file 100". Items of fewer than 5 events are dropped, as in the published
    runs; ties as in `reorder_ties`. The weights of the best epoch by valid's nDCG@10 stay; training ends when 10
    epochs bring none better (8 below length 100). State and event files lie in data/checkpoints/trained.
    Raises Problem for another plan.
    """
    length, ties, epochs = _plan(plan)
    events = k_core(load(dataset).interactions, 1, k_items=5)
    found = last_item(reorder_ties(events, ties, rng=0), dataset, 10, protocol="P5")
    folder = runs.DATA / "checkpoints" / "trained" / f"sasrec-{dataset.replace('/', '_')}-{length}-{ties}"
    patience = 10 if length >= 100 else 8
    deep = SASRec(length=length, epochs=epochs, patience=patience, every=False, seed=0)
    deep.with_training(validate=found.value, checkpoint=folder, events=folder / "events", say=say)
    models = {"popularity": Popularity(), "markov": Markov(), "sasrec": deep}
    return found, {name: model.fit(found.split.train) for name, model in models.items()}


def _plan(plan: str) -> tuple[int, str, int]:
    parts = plan.split()
    if len(parts) != 3 or not (parts[0].isdecimal() and parts[2].isdecimal()):
        raise Problem(f"a plan is 'length ties epochs', such as '50 file 40'; got {plan!r}")
    return int(parts[0]), parts[1], int(parts[2])
