"""What stands beside a tuned network on a prepared task: the shares of the classes, counted words, the encoder as it
came, and for pairs a rule without words. No network is trained here.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from recutils.data.pairs import Pairs
from recutils.tables import Dataset, Problem
from recutils.tune.baselines import counted_words, linear, majority
from recutils.tune.gates import Shared
from recutils.tune.prepared import Prepared
from recutils.tune.simple import by_numbers, item_counts, item_means
from recutils.tune.states import in_batches


def beside(task: Prepared, bare: Shared, rows: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Model -> probabilities (n, n_classes) for the rows, one table for each seed's labels.

    bare: an untrained network with a scenario of any name.
    """
    asked = task.texts(rows)
    learnt = [(task.texts(train), task.labels(train)) for train in task.train]
    return {
        "majority": [majority(labels, len(rows), task.n_classes) for _, labels in learnt],
        "counted words": [counted_words(*pair, asked, n_classes=task.n_classes) for pair in learnt],
        "without tuning": refitted(bare, bare.names[0], task, rows),
    }


def refitted(
    network: Shared, view: str, task: Prepared, rows: np.ndarray, seeds: Sequence[int] | None = None
) -> list[np.ndarray]:
    """Probabilities for the rows by a fresh head on a network's trunk, one table for each seed's labels (None: all).

    view: the scenario through whose adapter or gate the trunk is read, if it has any.
    """

    def pooled(which: np.ndarray) -> np.ndarray:
        return in_batches(network, partial(network.pooled, view), task.at(which)).numpy()

    asked = pooled(rows)
    drawn = [task.train[seed] for seed in (range(len(task.train)) if seeds is None else seeds)]
    known = [(pooled(train), task.labels(train)) for train in drawn]
    return [linear(*pair, asked, n_classes=task.n_classes) for pair in known]


def without_words(task: Prepared, data: Dataset, rows: np.ndarray) -> list[np.ndarray]:
    """Probabilities for windows from two numbers, one table a seed: the share of liked items in the history, and the
    item's mean rating, or its readers where there are no opinions, among all events of people of the training part.

    Raises Problem for a task that is no pairs.
    """
    if not isinstance(task.found, Pairs):
        raise Problem(f"{task.name}: a rule without words needs windows of histories; got single texts.")
    of_items = (item_means if data.explicit else item_counts)(data.interactions, task.people)
    numbers = np.column_stack([task.found.liked_share(), np.log1p(of_items[task.found.items])])
    return [
        by_numbers(numbers[train], task.labels(train), numbers[rows], n_classes=task.n_classes) for train in task.train
    ]
