"""Tuned readers of pairs beside rules without words: the same windows, people held out, and the lists this gives.

What is learnt comes from the people of the training part alone, item means and popularity too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy import sparse

from recutils.data.labelled import drawn, parts
from recutils.data.pairs import Pairs, item_words, to_rank
from recutils.encode.tfidf import tfidf
from recutils.evaluate.labels import Judged, judged
from recutils.model.training import Say
from recutils.tables import Dataset
from recutils.tune.baselines import majority
from recutils.tune.bench import Bench
from recutils.tune.classifier import Recipe
from recutils.tune.simple import by_numbers, item_counts, item_means, likeness
from recutils.tune.states import Base

Tables = dict[str, list[np.ndarray]]  # model -> (n, n_classes) for each seed


@dataclass(frozen=True, eq=False)
class Study:
    """Pairs cut by people, and several drawings of n_labels training rows (one for each seed).

    pairs: the windows, then the pairs of the lists. test: rows of held-out people's windows. lists: rows of the pairs
    that make up lists, whole and in order, or none. learners: rows of the people who may be learnt from.
    """

    data: Dataset
    pairs: Pairs
    test: np.ndarray
    lists: np.ndarray
    learners: np.ndarray
    draws: tuple[np.ndarray, ...]

    @property
    def asked(self) -> np.ndarray:
        """Test rows, then those of the lists."""
        return np.concatenate([self.test, self.lists])

    def rules(self) -> Tables:
        """Majority and the rules without words, one table for each seed; rows as in `asked`."""
        told = self._numbers()
        told |= {"both rules": np.hstack(list(told.values()))}
        labels, n_classes = self.pairs.labels, len(self.pairs.classes)
        found = {"majority": [majority(labels[rows], len(self.asked), n_classes) for rows in self.draws]}
        return found | {
            name: [by_numbers(values[rows], labels[rows], values[self.asked], n_classes=n_classes)
                   for rows in self.draws] for name, values in told.items()
        }  # fmt: skip

    def _numbers(self) -> dict[str, np.ndarray]:
        """Columns (n, 1) of every pair: what the rules without words look at."""
        events, items = self.data.interactions, self.pairs.items
        if self.data.explicit:
            means = item_means(events, self.learners)
            return {"share of liked": self.pairs.liked_share()[:, None], "item mean": means[items][:, None]}
        counts = np.log1p(item_counts(events, self.learners))
        alike = likeness(self.pairs, tfidf(item_words(self.data)))
        return {"popularity": counts[items][:, None], "shared words": alike[:, None]}

    def readers(self, base: Base, recipe: Recipe, *, towers: bool = True, root: Path | None = None,
                say: Say | None = None) -> Tables:  # fmt: skip
        """Counted words, a cross-encoder and, where wanted, two towers, tuned for each seed; rows as in `asked`."""
        bench = Bench(self.pairs, base, np.unique(np.concatenate(self.draws)), self.asked, say=say, root=root)
        each = [replace(recipe, seed=seed) for seed in range(len(self.draws))]
        found = {
            "counted words": [bench.counted(rows) for rows in self.draws],
            "cross-encoder": [bench.chances(rows, one) for rows, one in zip(self.draws, each, strict=True)],
        }
        if towers:
            found["two towers"] = [bench.towers(rows, one) for rows, one in zip(self.draws, each, strict=True)]
        return found

    def judge(self, tables: Mapping[str, list[np.ndarray]], *, seed: int, draws: int) -> Judged:
        """The tables' test rows, with intervals over people and seeds."""
        n = len(self.test)
        cut = {name: [one[:n] for one in found] for name, found in tables.items()}
        return judged(self.pairs.labels[self.test], cut, seed=seed, draws=draws, groups=self._groups(self.test))

    def _groups(self, rows: np.ndarray) -> np.ndarray | None:
        return None if self.pairs.groups is None else self.pairs.groups[rows]

    def ranked(self, scores: np.ndarray, k: int) -> np.ndarray:
        """Lists (n_people, k) of item rows from scores (n_lists,), ties by item row."""
        people, items = self.people, self.pairs.items[self.lists].reshape(len(self.people), -1)
        values = np.asarray(scores, dtype=np.float64).reshape(len(people), -1)
        k = min(k, items.shape[1])
        order = np.lexsort((items, -values), axis=1)[:, :k]
        return np.take_along_axis(items, order, axis=1).astype(np.int32)

    @property
    def people(self) -> np.ndarray:
        """User rows of the lists, in their order."""
        found = self.pairs.groups[self.lists] if self.pairs.groups is not None else np.zeros(0, dtype=np.int64)
        return found[np.sort(np.unique(found, return_index=True)[1])]

    def truth(self) -> sparse.csr_matrix:
        """Which listed items each person of the lists liked later, sparse (n_people, n_items)."""
        rows = self.lists[self.pairs.labels[self.lists] == 1]
        place = {int(person): number for number, person in enumerate(self.people)}
        groups = self.pairs.groups if self.pairs.groups is not None else np.zeros(0, dtype=np.int64)
        who = np.array([place[int(person)] for person in groups[rows]], dtype=np.int64)
        shape = (len(self.people), len(self.data.items))
        return sparse.csr_matrix((np.ones(len(rows)), (who, self.pairs.items[rows])), shape=shape)


def study(
    data: Dataset, pairs: Pairs, n_labels: int, n_seeds: int, *, people: int = 0, shown: int = 0, seed: int = 0
) -> Study:
    """The pairs cut 60/20/20 by people, n_seeds drawings of n_labels training rows; the validation part is not used.

    people, shown: how many held-out people get a list, and of how many items: the most popular among the learners.
    Fewer training rows than n_labels are all taken.
    """
    cut = parts(pairs, seed=seed)
    groups = pairs.groups if pairs.groups is not None else np.arange(len(pairs))
    learners = np.unique(groups[cut.train])
    draws = tuple(drawn(pairs, cut.train, min(n_labels, len(cut.train)), number) for number in range(n_seeds))
    lists = np.zeros(0, dtype=np.int64)
    if people and shown:
        first = np.sort(cut.test[np.unique(groups[cut.test], return_index=True)[1]])[:people]
        best = np.argsort(-item_counts(data.interactions, learners), kind="stable")
        more = to_rank(data, pairs.only(first), best[: _enough(data, pairs, first, best, shown)])
        lists = np.arange(len(pairs), len(pairs) + len(more))
        pairs = joined(pairs, more)
    return Study(data, pairs, cut.test, lists, learners, draws)


def _enough(data: Dataset, pairs: Pairs, rows: np.ndarray, best: np.ndarray, shown: int) -> int:
    """How many of the best items must be offered so that everybody has `shown` left that were not met before."""
    events = data.interactions.rows
    time, user, item = (events[name].to_numpy() for name in ("time", "user", "item"))
    need = shown
    for row in rows:
        past = (
            item[(user == pairs.groups[row]) & (time < time[pairs.positions[row]])] if pairs.groups is not None else []
        )
        fresh = np.flatnonzero(~np.isin(best, past))
        need = max(need, int(fresh[min(shown, len(fresh)) - 1]) + 1)
    return need


def joined(one: Pairs, other: Pairs) -> Pairs:
    """The pairs of both, one after the other; name and classes are the first's."""
    whole: dict[str, object] = {"name": one.name, "classes": one.classes, "notes": one.notes}
    for field in fields(one):
        if field.name not in whole:
            left, right = getattr(one, field.name), getattr(other, field.name)
            whole[field.name] = left + right if isinstance(left, tuple) else np.concatenate([left, right])
    return Pairs(**whole)  # type: ignore[arg-type]
