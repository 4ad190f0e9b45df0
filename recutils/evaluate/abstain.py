"""Answer, or leave it to a person: how sure a rule must be, what it answers then and how often wrongly.

A rule gives each question an answer and a number that says how sure it is; any scale will do, higher is surer. What an
answer costs is not known here. (El-Yaniv & Wiener 2010 call it selective classification.)
"""

from dataclasses import dataclass

import numpy as np

from recutils.tables import Problem

LEAST_ANSWERED = 10  # a share of fewer answers says too little to choose a threshold by


@dataclass(frozen=True, eq=False)
class Curve:
    """A place for each different sureness, surest first. coverage: share answered from there up; risk: wrong of it."""

    threshold: np.ndarray
    coverage: np.ndarray
    risk: np.ndarray


def risk_coverage(sure: np.ndarray, right: np.ndarray) -> Curve:
    """Coverage and risk at every threshold. sure: (n,) finite; right: (n,) bool. Equal sureness stays together.

    >>> curve = risk_coverage(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    >>> curve.coverage.tolist(), curve.risk.round(3).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.333, 0.5])
    """
    sure, right = np.asarray(sure, dtype=np.float64), np.asarray(right, dtype=bool)
    if sure.shape != right.shape or sure.ndim != 1 or not len(sure) or not np.isfinite(sure).all():
        raise Problem(f"sure and right are one finite number and one flag a question; got {sure.shape}, {right.shape}")
    order = np.argsort(-sure, kind="stable")
    last = np.flatnonzero(np.diff(sure[order], append=-np.inf))
    answered = last + 1
    wrong = np.cumsum(~right[order])[last]
    return Curve(sure[order][last], answered / len(sure), wrong / answered)


def least_sure(sure: np.ndarray, right: np.ndarray, most_wrong: float) -> float:
    """The lowest threshold at which at most the share `most_wrong` of the answers is wrong; inf where none is so good.

    Choose it on validation questions. `tune.few.choose_threshold` is for probabilities of known classes; this takes any
    score, and questions without any right answer (right is False). A threshold needs at least ten answers to count.
    """
    if not 0 <= most_wrong < 1:
        raise Problem(f"most_wrong is a share in 0..1, 1 excluded; got {most_wrong}")
    curve = risk_coverage(sure, right)
    good = (curve.risk <= most_wrong) & (curve.coverage * len(sure) >= LEAST_ANSWERED - 1e-9)
    return float(curve.threshold[good].min()) if good.any() else float("inf")


def share(hits: int, n: int) -> tuple[float, float, float]:
    """A share and its exact 95 % interval, which holds for few cases and for none (Clopper & Pearson 1934).

    >>> [round(number, 3) for number in share(0, 20)]
    [0.0, 0.0, 0.168]
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= n or n < 1:
        raise Problem(f"hits must lie in 0..n and n be at least 1; got {hits} of {n}")
    ends = binomtest(int(hits), int(n)).proportion_ci()
    return hits / n, float(ends.low), float(ends.high)


def macro_f1(labels: np.ndarray, answers: np.ndarray, n_classes: int, weights: np.ndarray | None = None) -> float:
    """The mean over the classes that occur of F1 = 2 right / (given + asked). weights: (n,) how often a row counts.

    >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    0.6666666666666666
    """
    weights = np.ones(len(labels)) if weights is None else weights
    asked = np.bincount(labels, weights, n_classes)
    given = np.bincount(answers, weights, n_classes)
    right = np.bincount(labels[labels == answers], weights[labels == answers], n_classes)
    return float((2 * right / np.maximum(asked + given, 1e-12))[asked > 0].mean())


def macro_f1_bounds(
    labels: np.ndarray, answers: list[np.ndarray], n_classes: int, *, seed: int, draws: int
) -> tuple[float, float, float]:
    """Mean macro F1 over several tables of answers (one a seed), and its 95 % interval over the questions."""
    rng, n = np.random.default_rng([seed, 871]), len(labels)
    mean = float(np.mean([macro_f1(labels, one, n_classes) for one in answers]))
    found = np.empty(draws)
    for draw in range(draws):
        weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        found[draw] = np.mean([macro_f1(labels, one, n_classes, weights) for one in answers])
    low, high = np.quantile(found, [0.025, 0.975])
    return mean, min(float(low), mean), max(float(high), mean)
