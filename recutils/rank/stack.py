"""A learned blend: how models' scores add up is learnt from lists with known outcome. Fixed shares: blend.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recutils.rank.blend import standardised
from recutils.rank.top import Scorer, top_k
from recutils.tables import Problem

POOL = 120  # items of each history that are ranked anew, the best by the mean of the models' scores
BELOW = np.float32(1e3)  # keeps all other items below the pool, in the order of that mean
TREES = {
    "max_iter": 120,
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 200,
    "l2_regularization": 5.0,
}


@dataclass(frozen=True, eq=False)
class Case:
    """Models fitted on the known part of some histories, and what came next.

    scores: model -> standardised scores (n, n_items). known: (n, n_items) training histories of the same people, never
    shown again. counts, means: (n_items,) events and mean value of each item in training. truth: (n, n_items), what
    came next, or None where it is to be foreseen.
    """

    scores: Mapping[str, np.ndarray]
    known: sparse.csr_matrix
    counts: np.ndarray
    means: np.ndarray
    truth: sparse.csr_matrix | None = None

    def mean(self) -> np.ndarray:
        """The models' mean score (n, n_items)."""
        return sum(self.scores.values()) / np.float32(len(self.scores))

    def pool(self) -> np.ndarray:
        """Rows (n, size) of the items that are ranked anew: the best unseen of the mean; size is at most POOL."""
        fewest = self.known.shape[1] - int(np.diff(self.known.indptr).max(initial=0))
        if fewest < 1:
            raise Problem("a history holds every item, so that none is left to rank. Leave such people out.")
        return top_k(self.mean(), self.known, min(POOL, fewest))

    def features(self, pool: np.ndarray) -> np.ndarray:
        """A row for each item of each pool (n x size, n_models + 3): scores, log counts, mean value, log length."""
        columns = [np.take_along_axis(one, pool, axis=1) for one in self.scores.values()]
        lengths = np.log1p(np.diff(self.known.indptr)).astype(np.float32)
        columns += [np.log1p(self.counts)[pool], self.means[pool], np.broadcast_to(lengths[:, None], pool.shape)]
        return np.stack([column.ravel() for column in columns], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Learnt:
    """How scores add up: a linear rule and trees, whose log odds are summed. names: the models, in order."""

    names: tuple[str, ...]
    linear: Any
    trees: Any

    def rank(self, case: Case) -> np.ndarray:
        """Scores (n, n_items) float32: the summed log odds in the pool, all other items below it in the old order."""
        if tuple(case.scores) != self.names:
            raise Problem(f"the blend was learnt for the models {self.names}; got {tuple(case.scores)}")
        pool = case.pool()
        features = case.features(pool)
        odds = self.linear.decision_function(features) + self.trees.decision_function(features)
        scores = case.mean() - BELOW
        np.put_along_axis(scores, pool, odds.reshape(pool.shape).astype(np.float32), axis=1)
        return scores


def learn(cases: Sequence[Case], *, seed: int) -> Learnt:
    """Logistic regression and boosted trees on the pools of all cases: will this item come next?

    Stacked generalisation (Wolpert 1992): the models must not have seen the truth they are weighed by. Raises Problem
    without cases, when a case has no truth, and when no pool holds an item that came next.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not cases or any(case.truth is None for case in cases):
        raise Problem(f"a blend is learnt from cases with a truth; got {len(cases)} cases, not all with one.")
    pools = [case.pool() for case in cases]
    features = np.concatenate([case.features(pool) for case, pool in zip(cases, pools, strict=True)])
    came = np.concatenate([_came(case.truth, pool) for case, pool in zip(cases, pools, strict=True)])
    if came.all() or not came.any():
        raise Problem(f"of {len(came):,} items in the pools {came.sum():,} came next; some must and some must not.")
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(features, came)
    trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **TREES).fit(features, came)
    return Learnt(tuple(cases[0].scores), linear, trees)


def _came(truth: sparse.csr_matrix, pool: np.ndarray) -> np.ndarray:
    """Whether each item of each pool came next, bool (n x size,)."""
    return np.take_along_axis(truth.toarray() != 0, pool, axis=1).ravel()


@dataclass(frozen=True, eq=False)
class Stack:
    """Fitted models behind a learned blend, as one scorer.

    models: name -> model fitted on the training part. counts, means: as in Case. Histories are what is never shown.
    """

    models: Mapping[str, Scorer]
    learnt: Learnt
    counts: np.ndarray
    means: np.ndarray

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) float32, higher is better."""
        scores = {name: standardised(self.models[name].score(histories)) for name in self.learnt.names}
        return self.learnt.rank(Case(scores, histories, self.counts, self.means))


def item_facts(known: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Events and mean value (n_items,) float32 of each item in training histories; the mean of none is 0."""
    counts = np.bincount(known.indices, minlength=known.shape[1]).astype(np.float32)
    sums = np.bincount(known.indices, weights=known.data, minlength=known.shape[1])
    return counts, np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0).astype(np.float32)
