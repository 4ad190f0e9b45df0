"""Maps from what is known of an item beforehand to factors, for items nobody has met. Plain ridge: content.py."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.model.als import ALS, check_positive
from recutils.model.base import as_values
from recutils.model.content import VectorModel, Vectors, _scaled, ridge
from recutils.tables import Interactions, Problem

WIDTH = 0.7  # how fast likeness falls with the squared distance of two unit vectors
EPOCHS = 60


def likeness(parts: Sequence[tuple[Vectors, float]], *, width: float = WIDTH) -> np.ndarray:
    """Likeness (n, n) float32 of items by several kinds of vectors: the weighted sum of exp(-width x squared distance).

    parts: (vectors (n, d), weight) each. Dense vectors are centred over all items, all are scaled to length 1. A sum of
    such kernels is a kernel: two items are alike when any of the parts says so. Raises Problem for other lengths.
    """
    n = parts[0][0].shape[0]
    total = np.zeros((n, n), dtype=np.float32)
    for vectors, weight in parts:
        if vectors.shape[0] != n:
            raise Problem(f"all parts must describe the same {n} items in row order; one has {vectors.shape[0]} rows")
        total += weight * _kernel(vectors, width)
    return total


def _kernel(vectors: Vectors, width: float) -> np.ndarray:
    rows = _scaled(vectors if sparse.issparse(vectors) else vectors - vectors.mean(axis=0))
    cosine = rows @ rows.T
    cosine = cosine.toarray() if sparse.issparse(cosine) else cosine
    squares = np.diag(cosine)
    return np.exp(-width * np.maximum(squares[:, None] + squares - 2 * cosine, 0)).astype(np.float32)


def smooth(values: pd.Series | np.ndarray, *, spread: float = 5.0) -> np.ndarray:
    """Numbers, such as years, as vectors (n, d) float32 in which near numbers are alike; a missing one is a zero row.

    spread: how far apart two numbers may be and still be alike. Raises Problem when all are missing.
    """
    given = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(given).all():
        raise Problem("all numbers are missing. Leave this part out.")
    centres = np.arange(np.nanmin(given), np.nanmax(given) + spread, spread)
    return np.nan_to_num(np.exp(-(((given[:, None] - centres) / (2 * spread)) ** 2))).astype(np.float32)


def kernel_ridge(similarity: np.ndarray, known: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Targets (n, f) float32 to expect of every item: kernel ridge regression on the known ones.

    similarity: (n, n) kernel; known: (n,) bool; targets: (n_known, f). The mean target is free, only its rest shrinks.
    """
    from scipy.linalg import cho_factor, cho_solve

    inner, level = similarity[np.ix_(known, known)].astype(np.float64), targets.mean(axis=0)
    inner[np.diag_indices_from(inner)] += penalty
    dual = cho_solve(cho_factor(inner, lower=True, overwrite_a=True), (targets - level).astype(np.float64))
    return similarity[:, known] @ dual.astype(np.float32) + level.astype(np.float32)


def mixtures(similarity: np.ndarray, known: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (n_known, n_unknown) float32: each unknown item as a mixture of the known, summing to 1.

    `kernel_ridge` of any targets is weights' targets; solved for the unknown items alone.
    """
    from scipy.linalg import cho_factor, cho_solve

    inner = similarity[np.ix_(known, known)].astype(np.float64)
    inner[np.diag_indices_from(inner)] += penalty
    solved = cho_factor(inner, lower=True, overwrite_a=True)
    weights = cho_solve(solved, similarity[np.ix_(known, ~known)].astype(np.float64))
    return (weights + (1 - weights.sum(axis=0)) / known.sum()).astype(np.float32)


def _by_ridge(vectors: Vectors, known: np.ndarray, targets: np.ndarray, strength: float, seed: int) -> np.ndarray:
    weights, intercept = ridge(vectors[known], targets, strength)
    return vectors @ weights + intercept


def _by_kernel(vectors: Vectors, known: np.ndarray, targets: np.ndarray, strength: float, seed: int) -> np.ndarray:
    return kernel_ridge(_as_kernel(vectors), known, targets, strength)


def _by_neighbours(vectors: Vectors, known: np.ndarray, targets: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """The mean of the nearest known items' targets; strength: how many."""
    similarity = _as_kernel(vectors)[np.ix_(~known, known)]
    near = np.argsort(-similarity, axis=1, kind="stable")[:, : max(1, int(strength))]
    expected = np.zeros((len(known), targets.shape[1]), dtype=np.float32)
    expected[known], expected[~known] = targets, targets[near].mean(axis=1)
    return expected


def _as_kernel(vectors: Vectors) -> np.ndarray:
    """The vectors themselves where they are a square kernel already (`likeness`), else their likeness."""
    square = not sparse.issparse(vectors) and vectors.shape[0] == vectors.shape[1]
    return vectors if square and np.allclose(vectors[:50, :50], vectors[:50, :50].T) else likeness([(vectors, 1.0)])


def _by_network(vectors: Vectors, known: np.ndarray, targets: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """A network of one hidden layer that reads the vector and, where it is not hidden, the item's own target.

    strength: the share of items whose target is hidden in each step; 1 is a plain network on the vector (MLP), below
    it is DropoutNet (Volkovs, Yu & Poutanen 2017), which learns to do with and without. What is shown is the target
    hidden, as of an item that nobody has met.
    """
    import torch

    rows = torch.from_numpy(
        np.asarray(_scaled(vectors - vectors.mean(axis=0)) * np.sqrt(vectors.shape[1]), dtype=np.float32)
    )
    level, scale = targets.mean(axis=0), targets.std() + 1e-12
    wanted = torch.from_numpy(((targets - level) / scale).astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(rows.shape[1] + wanted.shape[1], 256),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(256, wanted.shape[1]),
        )
        _train(net, rows[torch.from_numpy(known)], wanted, strength)
        with torch.no_grad():
            found = net(torch.cat([rows, torch.zeros(len(rows), wanted.shape[1])], dim=1)).numpy()
    return found * scale + level


def _train(net: "object", rows: "object", wanted: "object", hidden: float) -> None:
    """Adam on the mean squared error, batches of 256, for EPOCHS epochs; changes the network."""
    import torch

    steps = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-5)
    net.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(rows)).split(256):
            shown = wanted[batch] * (torch.rand(len(batch), 1) >= hidden)
            loss = ((net(torch.cat([rows[batch], shown], dim=1)) - wanted[batch]) ** 2).mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
    net.eval()


Map = Callable[[Vectors, np.ndarray, np.ndarray, float, int], np.ndarray]
MAPS: dict[str, Map] = {
    "ridge": _by_ridge,
    "kernel": _by_kernel,
    "neighbours": _by_neighbours,
    "network": _by_network,
}


class TextMap(VectorModel):
    """One or several ALS whose items without training events get the factors that a map expects of their vectors.

    kind: "ridge", "kernel" (kernel ridge), "neighbours" or "network". strength: the penalty of the first two, the
    number of neighbours, the share of hidden targets. bases: (factors, alpha) of each ALS; scores are summed.
    Vectors: (n_items, d), or for kernel and neighbours a kernel (n_items, n_items) from `likeness`.
    Items with training events keep their own factors. Strangers get popularity (Gantner et al. 2010; for DropoutNet
    Volkovs et al. 2017, here on items only and with squared error in the factors).
    """

    name = "text map"
    serves_strangers = False
    arrays = ("item_factors", "grams")

    item_factors: np.ndarray  # (n_items, sum of factors) float32, the bases side by side
    grams: np.ndarray  # (n_bases, most factors, most factors) float32
    trained: Sequence[ALS] | None = None

    def __init__(
        self,
        *,
        kind: str = "kernel",
        strength: float = 0.5,
        bases: Sequence[Sequence[float]] = ((64, 10.0),),
        reg: float = 0.05,
        iterations: int = 15,
        seed: int = 0,
    ) -> None:
        if kind not in MAPS:
            raise Problem(f"kind must be one of {', '.join(MAPS)}; got {kind!r}")
        check_positive(strength=strength, reg=reg, iterations=iterations)
        self.kind, self.strength, self.bases = kind, strength, [list(base) for base in bases]
        self.reg, self.iterations, self.seed = reg, iterations, seed

    def with_bases(self, trained: Sequence[ALS]) -> Self:
        """Use ALS that are fitted already, on the training part of `fit` or on more events; returns the model.

        Items that `fit` meets in its training part keep these factors; the map replaces those of all others.
        """
        self.trained, self.bases = trained, [[base.factors, base.alpha] for base in trained]
        return self

    def _als(self) -> list[ALS]:
        """The bases, not fitted."""
        options = {"reg": self.reg, "iterations": self.iterations, "seed": self.seed}
        return [ALS(factors=int(factors), alpha=alpha, **options) for factors, alpha in self.bases]

    def _fit(self, train: Interactions) -> None:
        vectors = self._given(train.n_items)
        trained = self.trained or [base.fit(train) for base in self._als()]
        known = np.bincount(train.item, minlength=train.n_items) > 0
        own = np.hstack([base.item_factors for base in trained])
        expected = MAPS[self.kind](vectors, known, own[known], self.strength, self.seed)
        self.item_factors = np.where(known[:, None], own, expected).astype(np.float32)
        most = max(base.factors for base in trained)
        self.grams = np.zeros((len(trained), most, most), dtype=np.float32)
        for place, base in enumerate(trained):
            self.grams[place, : base.factors, : base.factors] = base.gram

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Factors (n_histories, sum of factors) float32 of histories; an item without events counts by its vector."""
        found, start = [], 0
        for base, gram in zip(self._als(), self.grams, strict=True):
            stop = start + base.factors
            base.item_factors = np.ascontiguousarray(self.item_factors[:, start:stop], dtype=np.float32)
            base.gram = np.ascontiguousarray(gram[: base.factors, : base.factors])
            found.append(base.fold_in(histories))
            start = stop
        return np.hstack(found)


class TextMixture(VectorModel):
    """Each new item as a mixture of the items met in training, by text: who met those is expected to meet it too.

    Kernel ridge regression straight to the items' columns of events, without factors; score = history x weights. It
    ranks new items only: those met in training score 0. penalty: of the kernel ridge. Vectors as in TextMap. Strangers
    get popularity.
    """

    name = "text mixture"
    serves_strangers = False
    arrays = ("weights",)

    weights: np.ndarray  # (n_items, n_items) float32, column j mixes the items met for the new item j

    def __init__(self, *, penalty: float = 1.5) -> None:
        check_positive(penalty=penalty)
        self.penalty = penalty

    def _fit(self, train: Interactions) -> None:
        vectors = self._given(train.n_items)
        known = np.bincount(train.item, minlength=train.n_items) > 0
        self.weights = np.zeros((train.n_items, train.n_items), dtype=np.float32)
        if not known.all():
            self.weights[np.ix_(known, ~known)] = mixtures(_as_kernel(vectors), known, self.penalty)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_values(histories, "binary") @ self.weights
