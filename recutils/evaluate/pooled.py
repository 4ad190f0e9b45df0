"""AUC over the answers of many users thrown together, with users resampled. The AUC inside each user: metrics.auc."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from recutils.evaluate.records import Record, Records
from recutils.evaluate.resample import blocks, counts, seed_of, sign_flip_p
from recutils.evaluate.statistics import DRAWS, Comparison, Interval, holm
from recutils.present import interval, p_value
from recutils.tables import Problem

_STREAM = 104  # of the draws made here, apart from those of resample.py
TAILS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Answers:
    """n answers that have labels. labels: (n,) bool; users: (n,), whose answer it is.

    Raises Problem when the labels are all alike.
    """

    labels: np.ndarray
    users: np.ndarray

    def __post_init__(self) -> None:
        labels, users = np.asarray(self.labels, dtype=bool), np.asarray(self.users)
        if labels.shape != users.shape or labels.ndim != 1:
            raise Problem(f"labels and users must be rows of one length; got {labels.shape} and {users.shape}")
        if not len(labels) or labels.all() or not labels.any():
            raise Problem(f"an AUC needs labels of both kinds; all {len(labels)} are alike. Judge more answers.")
        owners = np.unique(users, return_inverse=True)[1]
        for name, value in {"labels": labels, "users": users, "_owners": owners}.items():
            object.__setattr__(self, name, value)

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return int(self._owners.max()) + 1

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """True and false labels of each user, (n_users,) each."""
        n = self.n_users
        return tuple(np.bincount(self._owners[part], minlength=n) for part in (self.labels, ~self.labels))

    def wins(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        """(n_users, n_users): in how many pairs a true answer of user u, scored by `positive`, beats a false one of v.

        positive, negative: (n,) scores, or (repeats, n), of which the mean is taken. Equal scores count one half.
        """
        table = np.zeros((self.n_users, self.n_users))
        above, below = (np.atleast_2d(scores) for scores in (positive, negative))
        for one, other in zip(above, below, strict=True):
            gap = one[self.labels][:, None] - other[~self.labels][None]
            rows = _summed((gap > 0) + 0.5 * (gap == 0), self._owners[self.labels], self.n_users)
            table += _summed(rows.T, self._owners[~self.labels], self.n_users).T
        return table / len(above)

    def auc(self, scores: np.ndarray) -> float:
        """The chance that a true answer scores above a false one, of any users. scores: (n,), or (repeats, n).

        >>> Answers(np.array([True, False, True]), np.array([0, 0, 1])).auc(np.array([0.9, 0.5, 0.5]))
        0.75
        """
        positive, negative = self.sizes()
        return float(self.wins(*2 * [self.checked(scores)]).sum() / (positive.sum() * negative.sum()))

    def checked(self, scores: np.ndarray) -> np.ndarray:
        """Scores as ranks (repeats, n), so that two models' scores are on one scale. Raises Problem for others."""
        scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
        if scores.shape[1:] != self.labels.shape or not np.isfinite(scores).all():
            raise Problem(f"scores must be finite, one for each of {len(self.labels)} answers; got {scores.shape}")
        return rankdata(scores, axis=1)


def _summed(table: np.ndarray, owners: np.ndarray, n: int) -> np.ndarray:
    """Rows of the same owner added up: (n, columns)."""
    found = np.zeros((n, table.shape[1]))
    np.add.at(found, owners, table)
    return found


def intervals(
    answers: Answers, scores: Mapping[str, np.ndarray], rng: int | np.random.Generator, *, draws: int = DRAWS
) -> dict[str, Interval]:
    """The AUC of each model and its percentile interval with users drawn: n counts users, all from the same draws."""
    drawn = _drawn(answers, scores, seed_of(rng), draws)
    ends = {name: np.nanquantile(column, TAILS) for name, column in drawn.items()}
    n = answers.n_users
    return {
        name: Interval(answers.auc(scores[name]), float(ends[name][0]), float(ends[name][1]), n, 0) for name in scores
    }


def compare(
    answers: Answers,
    scores: Mapping[str, np.ndarray],
    baseline: str,
    rng: int | np.random.Generator,
    *,
    draws: int = DRAWS,
) -> dict[str, Comparison]:
    """AUC of each model less the baseline's: interval with users drawn, and p with users' two rankings swapped.

    scores: name -> (n,), or (repeats, n) for a model with several random starts, whose mean AUC counts. The test swaps
    the ranks that two models give to all answers of a user (Bandos, Rockette and Gur 2005 do so for each case).
    """
    if baseline not in scores:
        raise Problem(f"baseline {baseline!r} is not among {list(scores)}")
    seed = seed_of(rng)
    drawn, others = _drawn(answers, scores, seed, draws), [name for name in scores if name != baseline]
    found = {}
    for name in others:
        ends = np.nanquantile(drawn[name] - drawn[baseline], TAILS)
        parts = _swapped(answers, scores[name], scores[baseline])
        p = float(sign_flip_p(parts[:, None], seed, draws)[0])
        found[name] = Comparison(float(parts.sum()), float(ends[0]), float(ends[1]), p, answers.n_users, 0)
    return found


def _swapped(answers: Answers, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n_users,) each user's part of the difference of two AUCs, whose sign turns when that user's ranks are swapped.

    The difference with swaps s = +1 or -1 is exactly the sum of s x part: the terms of two users cancel.
    """
    a, b = answers.checked(first), answers.checked(second)
    a, b = (np.broadcast_to(one, (max(len(a), len(b)), one.shape[1])) for one in (a, b))
    straight = answers.wins(a, a) - answers.wins(b, b)
    crossed = answers.wins(a, b) - answers.wins(b, a)
    positive, negative = answers.sizes()
    total = straight.sum(1) + straight.sum(0) + crossed.sum(1) - crossed.sum(0)
    return total / (2 * positive.sum() * negative.sum())


def _drawn(answers: Answers, scores: Mapping[str, np.ndarray], seed: int, draws: int) -> dict[str, np.ndarray]:
    """(draws,) AUCs of each model over drawn users; NaN where a draw holds labels of one kind."""
    wins = {name: answers.wins(*2 * [answers.checked(column)]) for name, column in scores.items()}
    positive, negative = answers.sizes()
    rng = np.random.default_rng([seed, _STREAM])
    found = {name: np.full(draws, np.nan) for name in scores}
    for block in blocks(draws, answers.n_users):
        times = counts(rng, block.stop - block.start, answers.n_users)
        pairs = (times @ positive) * (times @ negative)
        for name, table in wins.items():
            won = ((times @ table) * times).sum(axis=1)
            found[name][block] = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return found


@dataclass(frozen=True, eq=False)
class Pooled:
    """AUCs of several models over the same answers, each against the baseline. family: the tested ones, set before."""

    found: dict[str, Interval]
    compared: dict[str, Comparison]
    p_holm: dict[str, float]
    baseline: str

    def table(self, notes: Mapping[str, str] | None = None) -> pd.DataFrame:
        """One row per model: AUC with interval, difference to the baseline with interval, corrected p; and a note."""
        rows = []
        for name, one in self.found.items():
            other = self.compared.get(name)
            told = "" if other is None else interval(other.delta, other.low, other.high)
            row = {"model": name, "AUC": interval(one.mean, one.low, one.high), f"Δ to {self.baseline}": told}
            row["p (Holm)"] = p_value(self.p_holm.get(name))
            rows.append({**row, **({} if notes is None else {"uses": notes.get(name, "")})})
        return pd.DataFrame(rows)

    def records(self, *, seed: int, **labels: str) -> Records:
        """One record per model. labels: notebook, dataset, protocol, split and, where it applies, group."""
        return Records(self._record(name, seed, labels) for name in self.found)

    def _record(self, name: str, seed: int, labels: Mapping[str, str]) -> Record:
        one, other, tested = self.found[name], self.compared.get(name), name in self.p_holm
        paired = {} if other is None else {
            "against": self.baseline, "delta": other.delta, "delta_low": other.low, "delta_high": other.high,
            "p": other.p if tested else None, "p_holm": self.p_holm.get(name),
        }  # fmt: skip
        about = {"metric": "auc", "model": name, "n": one.n, "seed": seed}
        return Record(**labels, **about, value=one.mean, low=one.low, high=one.high, **paired)


def pooled(
    answers: Answers,
    scores: Mapping[str, np.ndarray],
    *,
    baseline: str,
    family: tuple[str, ...],
    seed: int,
    draws: int = DRAWS,
) -> Pooled:
    """AUC of every model with interval, and against the baseline; p, Holm-corrected, for the models of the family."""
    unknown = sorted(set(family) - set(scores) | {baseline} & set(family))
    if unknown:
        raise Problem(f"family must name models among {list(scores)} other than the baseline; got {unknown}")
    compared = compare(answers, scores, baseline, seed, draws=draws)
    p_holm = dict(zip(family, (float(p) for p in holm([compared[name].p for name in family])), strict=True))
    return Pooled(intervals(answers, scores, seed, draws=draws), compared, p_holm, baseline)
