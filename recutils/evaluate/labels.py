"""Predicted class probabilities against labels: AUC, log loss, F1 and so on, with intervals over rows and seeds.

One row is one text (or one pair); nothing is ranked per user here (metrics.py). Intervals resample the rows, or the
groups of rows that belong together, and the seeds of models that were trained several times; all models share each
draw, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.resample import blocks, seed_of
from recutils.evaluate.statistics import Comparison, from_draws, holm
from recutils.tables import Problem

METRICS = ("auc", "log_loss", "f1_minority", "balanced_accuracy", "accuracy", "calibration_error")
BINS = 10
_ROWS, _SEEDS = 106, 107  # streams of their own, as in resample.py
Chances = Mapping[str, Sequence[np.ndarray]]  # model -> one table (n, n_classes) a seed


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of (positive, negative) pairs in which the positive scores higher, ties as a half. labels: 0 or 1.

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.9]))
    0.875
    """
    return float(auc_draws(labels, scores, np.ones((1, len(np.asarray(labels)))))[0])


def auc_draws(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The AUC under each row of weights (draws, n): how often a row was drawn. NaN where a class was not drawn.

    Raises Problem for a single class and for scores that are not finite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise Problem(f"labels and scores must have one length; got shapes {labels.shape} and {scores.shape}")
    if not np.isfinite(scores).all():
        raise Problem(f"scores must be finite; row {int(np.flatnonzero(~np.isfinite(scores))[0])} is not.")
    if set(np.unique(labels)) != {0, 1}:
        raise Problem(
            f"an AUC needs labels 0 and 1, both of them; got {np.unique(labels)[:5].tolist()}. Use more rows."
        )
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = np.add.reduceat(weights[:, order] * (labels[order] == 1), starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (labels[order] == 0), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.divide((positive * below).sum(axis=1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def macro_auc(labels: np.ndarray, chances: np.ndarray) -> float:
    """The mean over the classes that occur of one class against the rest; for two classes the AUC of the second."""
    if chances.shape[1] == 2:
        return auc(labels, chances[:, 1])
    return float(np.mean([auc((labels == c).astype(int), chances[:, c]) for c in np.unique(labels)]))


def log_loss(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """-log p(label) of each row, float64; a probability of 0 counts as 1e-12."""
    return -np.log(np.maximum(chances[np.arange(len(labels)), labels], 1e-12))


def measures(labels: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """All METRICS of one table of probabilities (n, n_classes), rows that sum to 1. The likeliest class is the answer.

    f1_minority: of the class with the fewest rows. calibration_error: mean distance between confidence and share right
    over BINS bins of equal size, weighted by rows (Guo et al. 2017, with bins of equal size).
    Raises Problem when the rows are no probabilities.
    """
    from sklearn.metrics import balanced_accuracy_score, f1_score

    labels, chances = np.asarray(labels), np.asarray(chances, dtype=np.float64)
    check_chances(labels, chances)
    answers = chances.argmax(axis=1)
    rarest = int(np.argmin([count or np.inf for count in np.bincount(labels, minlength=chances.shape[1])]))
    found = {
        "auc": macro_auc(labels, chances),
        "log_loss": float(log_loss(labels, chances).mean()),
        "f1_minority": float(f1_score(labels == rarest, answers == rarest, zero_division=0.0)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, answers)),
        "accuracy": float((answers == labels).mean()),
        "calibration_error": calibration_error(labels, chances),
    }
    return {name: found[name] for name in METRICS}


def check_chances(labels: np.ndarray, chances: np.ndarray) -> None:
    """Raise Problem unless chances is (n, n_classes) with rows that sum to 1 and a column for every label."""
    if chances.ndim != 2 or len(chances) != len(labels):
        raise Problem(f"expected one row of probabilities for each of {len(labels)} labels; got shape {chances.shape}")
    if not np.isfinite(chances).all() or chances.min() < 0 or np.abs(chances.sum(axis=1) - 1).max() > 1e-4:
        raise Problem("each row must hold probabilities that sum to 1. Give probabilities, not scores or logits.")
    if labels.min() < 0 or labels.max() >= chances.shape[1]:
        raise Problem(f"labels must lie in 0..{chances.shape[1] - 1}; got {labels.min()}..{labels.max()}")


def calibration_error(labels: np.ndarray, chances: np.ndarray) -> float:
    """See `measures`."""
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == labels
    bins = np.array_split(np.argsort(sure, kind="stable"), min(BINS, len(labels)))
    return float(sum(len(rows) * abs(sure[rows].mean() - right[rows].mean()) for rows in bins) / len(labels))


@dataclass(frozen=True, eq=False)
class Judged:
    """Models on the same rows. levels: model, seed, and METRICS, one row a table. draws: model -> (draws,) of the
    mean AUC over seeds. n: rows."""

    levels: pd.DataFrame
    draws: dict[str, np.ndarray]
    n: int

    def mean(self, model: str, metric: str = "auc") -> float:
        """The mean over a model's seeds."""
        return float(self.levels.loc[self.levels.model == model, metric].mean())

    def interval(self, model: str, level: float = 0.95) -> tuple[float, float]:
        """Bounds of the mean AUC."""
        low, high = np.nanquantile(self.draws[model], [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def compare(self, model: str, against: str, *, level: float = 0.95) -> Comparison:
        """The difference of mean AUC, its interval, and the bootstrap's two-sided p of no difference.

        level: 1 - .05 / m for the simultaneous intervals of a family of m (Bonferroni).
        """
        delta = self.mean(model) - self.mean(against)
        return from_draws(self.draws[model] - self.draws[against], delta, self.n, level=level)

    def loss_bound(self, model: str, against: str, level: float = 0.95) -> float:
        """The one-sided upper bound of AUC(against) - AUC(model): no worse when it lies below the margin."""
        return float(np.nanquantile(self.draws[against] - self.draws[model], level))

    def verdict(self, model: str, against: str, margin: float) -> str:
        """ "no worse", "worse" or "undecided": where both one-sided 95 % bounds of the lost AUC lie to the margin."""
        if self.loss_bound(model, against) < margin:
            return "no worse"
        return "worse" if self.loss_bound(model, against, 0.05) > margin else "undecided"

    def table(self, against: str | None = None, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
        """One row per model: means over seeds, AUC's bounds, seeds, the difference to `against` with its interval."""
        rows = []
        for name in self.draws:
            low, high = self.interval(name)
            row: dict[str, Any] = {"model": name, "seeds": int((self.levels.model == name).sum())}
            row |= {metric: self.mean(name, metric) for metric in metrics}
            row["95 % (AUC)"] = f"{low:.3f} to {high:.3f}"
            if against is not None:
                gap = None if name == against else self.compare(name, against)
                row[f"Δ AUC to {against}"] = f"{gap.delta:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" if gap else ""
            rows.append(row)
        return pd.DataFrame(rows)

    def records(self, against: str, *, family: Sequence[str] = (), seed: int = 0, **about: Any) -> list[Record]:
        """AUC of every model with its interval and its difference to `against`; p, and Holm's, for the family only.

        about: notebook, dataset, protocol, split and perhaps group. Log loss and F1 follow as records without tests.
        """
        gaps = {name: self.compare(name, against) for name in self.draws if name != against}
        corrected = dict(zip(family, holm([gaps[name].p for name in family]), strict=True)) if family else {}
        found = []
        for name in self.draws:
            low, high = self.interval(name)
            paired: dict[str, Any] = {}
            if name in gaps:
                gap = gaps[name]
                paired = {"against": against, "delta": gap.delta, "delta_low": gap.low, "delta_high": gap.high}
            if name in corrected:
                paired |= {"p": gaps[name].p, "p_holm": float(corrected[name])}
            common = {"model": name, "n": self.n, "seed": seed, **about}
            value = self.mean(name)
            found.append(
                Record(metric="auc", value=value, low=min(low, value), high=max(high, value), **common, **paired)
            )
            for metric in ("log_loss", "f1_minority"):
                found.append(Record(metric=metric, value=self.mean(name, metric), **common))
        return found


def judged(
    labels: np.ndarray, chances: Chances, *, seed: int, draws: int = 10_000, groups: np.ndarray | None = None
) -> Judged:
    """Judge models on the same rows. chances: model -> one table (n, n_classes) for each seed it was trained with.

    Each draw resamples the rows (whole groups where `groups` (n,) is given) and, for a model with several seeds, its
    seeds; models with equally many seeds share these, so that seed i is paired with seed i.
    """
    labels = np.asarray(labels)
    tables = {name: [np.asarray(one, dtype=np.float64) for one in found] for name, found in chances.items()}
    rows = [
        {"model": name, "seed": number, **measures(labels, one)}
        for name, found in tables.items() for number, one in enumerate(found)
    ]  # fmt: skip
    return Judged(pd.DataFrame(rows), _auc_draws(labels, tables, seed_of(seed), draws, groups), len(labels))


def _auc_draws(
    labels: np.ndarray, tables: Mapping[str, list[np.ndarray]], seed: int, draws: int, groups: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Draws of each model's mean AUC."""
    unit = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(unit.max()) + 1
    rng = np.random.default_rng([seed, _ROWS])
    found = {name: np.empty(draws) for name in tables}
    for block in blocks(draws, 4 * len(labels)):
        size = block.stop - block.start
        weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=size)[:, unit].astype(np.float64)
        for name, several in tables.items():
            each = np.stack([_weighted(labels, one, weights) for one in several])
            found[name][block] = _over_seeds(each, seed, block)
    return found


def _weighted(labels: np.ndarray, chances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The AUC of one table under each row of weights: of the second class, or the mean over the classes."""
    if chances.shape[1] == 2:
        return auc_draws(labels, chances[:, 1], weights)
    each = [auc_draws((labels == c).astype(int), chances[:, c], weights) for c in np.unique(labels)]
    return np.mean(each, axis=0)


def _over_seeds(each: np.ndarray, seed: int, block: slice) -> np.ndarray:
    """The mean over drawn seeds. each: (n_seeds, draws of this block)."""
    n_seeds, size = each.shape
    if n_seeds == 1:
        return each[0]
    chosen = np.random.default_rng([seed, _SEEDS, block.start]).integers(0, n_seeds, size=(n_seeds, size))
    return each[chosen, np.arange(size)].mean(axis=0)
