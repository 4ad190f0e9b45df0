"""Few labels: rows worth asking for, answers worth believing, and what a curve over label counts says.

A `Learner` learns and answers, whether it is a linear rule over frozen vectors (here) or a tuned encoder (warmup.py).
Places are rows of the pool, 0 first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recutils.tables import Problem

Learner = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (places, their labels) -> the pool's chances (n, n_classes)
WAYS = ("random", "uncertain", "diverse", "clusters")
THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Believed:
    """Rows whose answers are taken for labels. places: (n,) int64 of the pool; labels: (n,), not checked by anyone."""

    places: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.places)


def linear_learner(vectors: np.ndarray, n_pool: int, strength: float, *, n_classes: int = 2) -> Learner:
    """Logistic regression over vectors (n, d) whose first n_pool rows are the pool; it answers for all n rows.

    Columns are put on the pool's scale, for which no label is needed. strength: C, larger fits closer.
    """
    from sklearn.linear_model import LogisticRegression

    spread = vectors[:n_pool].std(axis=0)
    scaled = ((vectors - vectors[:n_pool].mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float64)

    def learn(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        made = LogisticRegression(C=strength, max_iter=300).fit(scaled[places], labels)
        found = np.zeros((len(scaled), n_classes))
        found[:, made.classes_] = made.predict_proba(scaled)
        return found

    return learn


def start(labels: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """n places drawn at random until two classes are among them, and how many draws it took.

    Drawing anew is a small favour to all ways alike; how often it was needed should be said.
    Raises Problem when the pool has one class, or fewer than n rows.
    """
    labels = np.asarray(labels)
    if not 2 <= n <= len(labels):
        raise Problem(f"a start of {n} labels was asked for; from 2 to {len(labels)}, the pool's rows, are possible.")
    if len(np.unique(labels)) < 2:
        raise Problem(f"the pool's {len(labels)} rows hold one class; two are needed to learn from. Take more rows.")
    for tries in range(1, 1001):
        places = rng.permutation(len(labels))[:n]
        if len(np.unique(labels[places])) > 1:
            return places, tries
    raise Problem(f"1,000 draws of {n} rows all held one class; the other is too rare. Start with more labels.")


def rounds(
    way: str,
    first: np.ndarray,
    counts: Sequence[int],
    learn: Learner,
    *,
    labels: np.ndarray,
    vectors: np.ndarray,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """The labelled places after each round: one array of counts[i] places each, every one beginning with the last.

    way: "random"; "uncertain", nearest to a tie between the two likeliest classes (Lewis & Gale 1994); "diverse",
    farthest from all that is labelled (k-centre, Sener & Savarese 2018); "clusters", one near each centre of k-means.
    labels: (n,) of the whole pool, asked for only at the chosen places. vectors: (n, d). counts[0] is len(first).
    Raises Problem for an unknown way, counts that do not rise, and a round larger than what is left of the pool.
    """
    _check_rounds(way, first, counts, len(labels))
    found = [np.asarray(first)]
    for count in counts[1:]:
        known, more = found[-1], count - len(found[-1])
        left = np.setdiff1d(np.arange(len(labels)), known)
        if way == "random":
            chosen = rng.permutation(left)[:more]
        elif way == "uncertain":
            chosen = left[_ties(learn(known, labels[known])[left])[:more]]
        elif way == "diverse":
            chosen = farthest(vectors, known, more)
        else:
            chosen = left[_near_centres(vectors[left], more, rng)]
        found.append(np.concatenate([known, chosen]))
    return found


def _check_rounds(way: str, first: np.ndarray, counts: Sequence[int], n_pool: int) -> None:
    if way not in WAYS:
        raise Problem(f"way must be one of {', '.join(WAYS)}; got {way!r}")
    if not len(counts) or counts[0] != len(first) or any(b <= a for a, b in zip(counts, counts[1:], strict=False)):
        raise Problem(f"counts must rise from {len(first)}, the labels at the start; got {list(counts)}")
    if counts[-1] > n_pool:
        raise Problem(
            f"a round up to {counts[-1]} labels was asked for, the pool has {n_pool} rows. Ask for fewer, or add rows."
        )


def _ties(chances: np.ndarray) -> np.ndarray:
    """Places with the smallest gap between the two likeliest classes first."""
    two = np.sort(chances, axis=1)[:, -2:]
    return np.argsort(two[:, 1] - two[:, 0], kind="stable")


def farthest(vectors: np.ndarray, known: np.ndarray, n: int) -> np.ndarray:
    """n places one after the other, each the farthest from all that are known or chosen (greedy k-centre)."""
    squares = np.einsum("nd,nd->n", vectors, vectors)

    def distances(place: int) -> np.ndarray:
        return squares + squares[place] - 2 * vectors @ vectors[place]

    near = np.full(len(vectors), np.inf)
    for place in known:
        near = np.minimum(near, distances(int(place)))
    chosen: list[int] = []
    taken = np.zeros(len(vectors), dtype=bool)
    taken[known] = True
    for _ in range(n):
        place = int(np.argmax(np.where(taken, -np.inf, near)))
        chosen.append(place)
        taken[place] = True
        near = np.minimum(near, distances(place))
    return np.array(chosen, dtype=np.int64)


def _near_centres(vectors: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The place nearest to each of n centres; where two centres share one, the farthest others fill up."""
    from sklearn.cluster import MiniBatchKMeans

    made = MiniBatchKMeans(n, n_init=1, max_iter=20, random_state=int(rng.integers(2**31)), batch_size=1024)
    places = np.unique(made.fit_transform(vectors).argmin(axis=0))
    return np.concatenate([places, farthest(vectors, places, n - len(places))])


def check_threshold(threshold: float) -> float:
    """Raise Problem unless it lies in .5..1: below .5 an answer is not even the likelier one of two."""
    if not 0.5 <= threshold <= 1:
        raise Problem(f"threshold is a probability in 0.5..1; got {threshold}. 0.9 is common.")
    return threshold


def choose_threshold(
    chances: np.ndarray, labels: np.ndarray, *, right: float = 0.95, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """The lowest threshold above which at least the share `right` of the answers is right, on validation rows.

    Where none is that good, the one with the best share, the highest among equals. Thresholds above which fewer than 10
    rows lie are left out unless all are.
    """
    sure, correct = chances.max(axis=1), chances.argmax(axis=1) == labels
    tried = sorted(check_threshold(one) for one in thresholds)
    shares = {one: float(correct[sure >= one].mean()) for one in tried if (sure >= one).sum() >= 10}
    if not shares:
        return tried[-1]
    good = [one for one, share in shares.items() if share >= right]
    return good[0] if good else max(shares, key=lambda one: (shares[one], one))


def believe(
    chances: np.ndarray, unlabelled: np.ndarray, threshold: float, *, most: int, shares: np.ndarray
) -> Believed:
    """The surest answers above the threshold, at most `most`, each class at most in its share of them.

    chances: (n, n_classes) of the pool. unlabelled: places to choose from. shares: (n_classes,) among the true labels:
    without this bound the common class, which is easier to be sure of, would drown the other.
    Raises Problem for a threshold outside .5..1 and when more are wanted than there are unlabelled rows.
    """
    check_threshold(threshold)
    if most > len(unlabelled):
        raise Problem(
            f"{most} pseudo-labels were asked for, only {len(unlabelled)} rows are unlabelled. Ask for fewer."
        )
    answers, sure = chances[unlabelled].argmax(axis=1), chances[unlabelled].max(axis=1)
    kept = []
    for label, share in enumerate(shares):
        mine = np.flatnonzero((answers == label) & (sure >= threshold))
        kept.append(mine[np.argsort(-sure[mine], kind="stable")][: round(share * most)])
    places = np.concatenate(kept)
    return Believed(np.asarray(unlabelled)[places], answers[places])


def needed(counts: Sequence[int], curve: np.ndarray, goal: float) -> float:
    """How many labels the curve needs to reach the goal, interpolated over log(labels) on its running maximum.

    NaN where the goal lies below the curve's start; inf where the curve never reaches it.
    """
    raised = np.maximum.accumulate(np.asarray(curve, dtype=np.float64))
    if goal > raised[-1]:
        return float("inf")
    if goal < raised[0]:
        return float("nan")
    after = int(np.argmax(raised >= goal))
    if after == 0:
        return float(counts[0])
    low, high = np.log(counts[after - 1]), np.log(counts[after])
    part = (goal - raised[after - 1]) / (raised[after] - raised[after - 1])
    return float(np.exp(low + part * (high - low)))


@dataclass(frozen=True)
class Saving:
    """Labels that a method saves: what the plain curve needs for the same value, less what the method used.

    low, high: 95 % over seeds. A bound of inf: the plain curve, as far as it was drawn, does not get there; -inf: the
    method does not reach the plain curve's start. beyond: the share of draws outside the curve.
    """

    used: int
    saved: float
    low: float
    high: float
    beyond: float

    def told(self) -> str:
        """Such as "37 [-10, more than 200]" """
        return f"{self._one(self.saved)} [{self._one(self.low)}, {self._one(self.high)}]"

    def _one(self, value: float) -> str:
        return f"{value:+.0f}" if np.isfinite(value) else "beyond the curve" if value > 0 else "below the curve"


def saving(
    counts: Sequence[int], plain: np.ndarray, used: int, values: np.ndarray, *, seed: int, draws: int = 2000
) -> Saving:
    """How many labels a method saves with `used` labels.

    plain: (n_seeds, n_counts); values: (n_seeds,), the same seeds. Draws resample the seeds, the
    method's with the plain curve's; rows are not resampled.
    """
    plain, values = np.asarray(plain), np.asarray(values)
    if plain.shape != (len(values), len(counts)):
        raise Problem(f"plain must be ({len(values)}, {len(counts)}), seeds by counts; got {plain.shape}")
    rng = np.random.default_rng([seed, 1444])
    chosen = rng.integers(0, len(values), size=(draws, len(values)))
    each = [_saved(counts, plain[rows].mean(0), values[rows].mean(), used) for rows in chosen]
    low, high = np.quantile(each, [0.025, 0.975], method="nearest")
    point = _saved(counts, plain.mean(0), float(values.mean()), used)
    return Saving(used, point, float(low), float(high), float(1 - np.isfinite(each).mean()))


def _saved(counts: Sequence[int], curve: np.ndarray, value: float, used: int) -> float:
    found = needed(counts, curve, value)
    return -np.inf if np.isnan(found) else found - used
