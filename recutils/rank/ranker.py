"""Tables of candidates with features, and rankers that learn from them. Which features and labels: `hybrid`."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recutils.rank.blend import standardised
from recutils.rank.features import GROUPS
from recutils.tables import Problem

OBJECTIVES = ("rank_xendcg", "lambdarank")


@dataclass(frozen=True, eq=False)
class Table:
    """Candidates of every user and what is known of them.

    items: (n_users, n). values: (n_users, n, n_features) float32, NaN where unknown. names, groups: of features.
    labels: (n_users, n) bool, or None where nothing is to be learnt. blend: (n_users, n) float32, the blend.
    """

    items: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    groups: tuple[str, ...]
    blend: np.ndarray
    labels: np.ndarray | None = None

    def of(self, groups: Collection[str]) -> np.ndarray:
        """The values of some groups' features, (n_users, n, n_chosen)."""
        return self.values[:, :, [place for place, group in enumerate(self.groups) if group in groups]]


@dataclass(frozen=True, eq=False)
class Ranker:
    """Two rankers over the same features, fused with the blend: a linear one and boosted trees.

    Linear: a softmax over each list's candidates, the list-wise loss of ListNet (Cao et al. 2007); it is smooth and
    cannot overfit much. Trees: LightGBM with a list-wise gain (`rank_xendcg`, Bruch 2021) or LambdaMART (`lambdarank`,
    Burges 2010). shares: weights of linear, trees and blend, each standardised within the list.
    Both are deterministic for one seed: one thread, rows in order.
    """

    groups: tuple[str, ...] = GROUPS
    objective: str = "rank_xendcg"
    rounds: int = 60
    leaves: int = 15
    learning_rate: float = 0.1
    penalty: float = 30.0
    shares: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seed: int = 0
    fitted: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise Problem(f"objective must be one of {', '.join(OBJECTIVES)}; got {self.objective!r}")
        if not self.groups or not set(self.groups) <= set(GROUPS):
            raise Problem(f"groups must name some of {', '.join(GROUPS)}; got {self.groups}")
        if len(self.shares) != 3 or min(self.shares) < 0 or not sum(self.shares) > 0:
            raise Problem(f"shares are three weights of 0 or more, one above 0; got {self.shares}")

    def fit(self, lessons: Iterable[Table]) -> "Ranker":
        """A fitted copy. Raises Problem when no candidate of the lessons is a label."""
        values, labels = _stacked(lessons, self.groups)
        if values.shape[2] == 0:
            raise Problem(f"these data give no feature of the groups {self.groups}; name further groups.")
        filled, centre, spread = _scaled(values)
        weights = softmax_weights(filled, labels, self.penalty)
        fitted = {"centre": centre, "spread": spread, "weights": weights, "trees": self._boosted(values, labels)}
        settings = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "fitted"}
        return Ranker(**settings, fitted=fitted)

    def _boosted(self, values: np.ndarray, labels: np.ndarray) -> Any:
        import lightgbm

        n_lists, n, width = values.shape
        data = lightgbm.Dataset(values.reshape(-1, width), labels.ravel().astype(int), group=np.full(n_lists, n))
        return lightgbm.train(self._tree_settings(), data, self.rounds)

    def _tree_settings(self) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": 100,
            "lambda_l2": 5.0,
            "feature_fraction": 0.5,
            "max_bin": 63,
            "lambdarank_truncation_level": 20,
            "seed": self.seed,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }

    def parts(self, asked: Table) -> dict[str, np.ndarray]:
        """What linear, trees and blend say of each candidate, (n_users, n) float32, standardised within the list."""
        if not self.fitted:
            raise Problem("the ranker was asked before it was fitted. Call fit(lessons) first.")
        values = asked.of(self.groups)
        linear = _filled(values, self.fitted["centre"], self.fitted["spread"]) @ self.fitted["weights"]
        flat = self.fitted["trees"].predict(values.reshape(-1, values.shape[2]), num_threads=1)
        said = {"linear": linear, "trees": flat.reshape(linear.shape), "blend": asked.blend}
        return {name: standardised(scores) for name, scores in said.items()}

    def score(self, asked: Table) -> np.ndarray:
        """Scores (n_users, n) float32 of the candidates, higher is better."""
        return sum(
            np.float32(share) * part for share, part in zip(self.shares, self.parts(asked).values(), strict=True)
        )

    def importance(self, names: Sequence[str]) -> dict[str, float]:
        """The share of the trees' gain that each feature has; names: those of the ranker's groups, in order."""
        gain = self.fitted["trees"].feature_importance("gain")
        return dict(zip(names, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True))


def _stacked(lessons: Iterable[Table], groups: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of all lists that hold a label and a miss, over all lessons."""
    values, labels = zip(*((one.of(groups), one.labels) for one in lessons), strict=True)
    joined = np.concatenate(labels)
    useful = joined.any(axis=1) & ~joined.all(axis=1)
    if not useful.any():
        raise Problem("no candidate of the lessons is a held-out event. Use more candidates or larger cuts.")
    return np.concatenate(values)[useful], joined[useful]


def _scaled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values with mean 0 and deviation 1 over all candidates, unknown ones 0; and the means and deviations (f,)."""
    flat = values.reshape(-1, values.shape[2]).astype(np.float64)
    known = ~np.isnan(flat)
    n = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, flat, 0).sum(axis=0) / n
    spread = np.sqrt((np.where(known, flat - centre, 0) ** 2).sum(axis=0) / n)
    spread = np.where(spread > 1e-9, spread, 1)
    return _filled(values, centre, spread), centre, spread


def _filled(values: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.nan_to_num((values - centre.astype(np.float32)) / spread.astype(np.float32), nan=0.0)


def softmax_weights(values: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (f,) float32 that maximise the sum over lists of the labels' log share of the softmax, less a ridge.

    values: (n_lists, n, f); labels: (n_lists, n) bool, one true in each list. A list counts as many times as it has
    labels. Features that are equal within every list get weight 0.
    """
    from scipy.optimize import minimize

    n_lists, n, width = values.shape
    flat, wanted = values.reshape(-1, width), labels.astype(np.float32)
    counts = wanted.sum(axis=1, keepdims=True)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = (flat @ weights.astype(np.float32)).reshape(n_lists, n)
        scores -= scores.max(axis=1, keepdims=True)
        total = np.exp(scores).sum(axis=1, keepdims=True)
        slope = (wanted - counts * np.exp(scores) / total).ravel() @ flat
        told = float((wanted * (scores - np.log(total))).sum(dtype=np.float64))
        return penalty / 2 * float(weights @ weights) - told, penalty * weights - slope.astype(np.float64)

    found = minimize(loss, np.zeros(width), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return found.x.astype(np.float32)
