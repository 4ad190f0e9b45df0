"""Macro-F1 of predicted classes, with intervals and paired comparisons over rows. Probabilities are labels.py's.

F1 of a class: 2 x right / (rows of the class + rows said to be of it). Macro: the plain mean over the classes that
occur in the labels, so that a class of three rows weighs as much as one of a thousand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.resample import blocks, counts, seed_of
from recutils.evaluate.statistics import Comparison, from_draws
from recutils.tables import Problem

_ROWS = 109  # a stream of its own, as in resample.py


def class_f1(labels: np.ndarray, answers: np.ndarray, n_classes: int) -> np.ndarray:
    """F1 of each class (n_classes,), NaN for a class without rows. answers: classes, -1 where none is given.

    >>> class_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 3).round(2).tolist()
    [0.67, 0.67, nan]
    """
    return _f1(np.ones((1, len(labels))), _shown(labels, answers, n_classes))[0]


def _shown(labels: np.ndarray, answers: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, n_classes) each: rows of the class, rows said to be of it, and both."""
    labels, answers = np.asarray(labels), np.asarray(answers)
    if labels.shape != answers.shape or labels.ndim != 1 or not len(labels):
        raise Problem(f"labels and answers must have one length; got shapes {labels.shape} and {answers.shape}")
    if labels.min() < 0 or max(labels.max(), answers.max()) >= n_classes:
        raise Problem(f"labels must lie in 0..{n_classes - 1}, answers too, or be -1 for none.")
    true, said = (column[:, None] == np.arange(n_classes) for column in (labels, answers))
    return true.astype(np.float64), said.astype(np.float64), (true & said).astype(np.float64)


def _f1(weights: np.ndarray, shown: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    true, said, right = (weights @ one for one in shown)
    return np.divide(2 * right, true + said, out=np.full(true.shape, np.nan), where=true > 0)


@dataclass(frozen=True, eq=False)
class JudgedClasses:
    """Models on the same rows. levels: model, macro_f1, low, high, accuracy. draws: model -> (draws,) of macro-F1."""

    levels: pd.DataFrame
    draws: dict[str, np.ndarray]
    n: int

    def value(self, model: str, metric: str = "macro_f1") -> float:
        """One model's figure."""
        return float(self.levels.set_index("model").loc[model, metric])

    def compare(self, model: str, against: str, *, level: float = 0.95) -> Comparison:
        """The difference of macro-F1 over the same rows, its interval and the bootstrap's two-sided p."""
        delta = self.value(model) - self.value(against)
        return from_draws(self.draws[model] - self.draws[against], delta, self.n, level=level)

    def records(self, *, seed: int = 0, **about: Any) -> list[Record]:
        """Macro-F1 with its interval and accuracy of every model. about: notebook, dataset, protocol, split."""
        found = []
        for row in self.levels.itertuples():
            common: dict[str, Any] = {"model": row.model, "n": self.n, "seed": seed, **about}
            found.append(Record(metric="macro_f1", value=row.macro_f1, low=row.low, high=row.high, **common))
            found.append(Record(metric="accuracy", value=row.accuracy, **common))
        return found


def judge_classes(
    labels: np.ndarray, answers: Mapping[str, np.ndarray], n_classes: int, *, seed: int, draws: int = 10_000
) -> JudgedClasses:
    """Macro-F1 and accuracy of each model's answers (n,), with the percentile bootstrap's interval over rows.

    All models share each draw. A class of which a draw holds no row keeps its figure there: left out, rare classes,
    the hard ones, would be missing and the interval would sit too high.
    """
    shown = {name: _shown(labels, given, n_classes) for name, given in answers.items()}
    points = {name: class_f1(labels, given, n_classes) for name, given in answers.items()}
    found = {name: np.empty(draws) for name in answers}
    for block in blocks(draws, 4 * len(labels)):
        rng = np.random.default_rng([seed_of(seed), _ROWS, block.start])
        weights = counts(rng, block.stop - block.start, len(labels))
        for name, one in shown.items():
            drawn = _f1(weights, one)
            found[name][block] = np.nanmean(np.where(np.isnan(drawn), points[name], drawn), axis=1)
    rows = []
    for name, given in answers.items():
        low, high = np.quantile(found[name], [0.025, 0.975])
        value = float(np.nanmean(points[name]))
        rows.append((name, value, min(low, value), max(high, value), float(np.mean(np.asarray(given) == labels))))
    return JudgedClasses(
        pd.DataFrame(rows, columns=["model", "macro_f1", "low", "high", "accuracy"]), found, len(labels)
    )


def by_taught(f1: Mapping[str, np.ndarray], taught: np.ndarray, edges: Sequence[int]) -> pd.DataFrame:
    """Mean F1 of the classes by how many rows taught them: a row for each band from one edge to the next.

    f1: model -> (n_classes,) as `class_f1` gives. taught: (n_classes,). edges: rising, the first 0; the last band is
    open. Bands without a judged class are left out.
    """
    judged = ~np.isnan(next(iter(f1.values())))
    rows = []
    for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
        pick = judged & (taught >= low) & (taught < high)
        if pick.any():
            band = f"{low} or more" if np.isinf(high) else str(low) if high == low + 1 else f"{low} to {high - 1}"
            rows.append((band, int(pick.sum()), *(float(one[pick].mean()) for one in f1.values())))
    return pd.DataFrame(rows, columns=["training texts", "classes", *(f"mean F1, {name}" for name in f1)])
