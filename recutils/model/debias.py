"""Against popularity: ALS with inverse propensities, and a projection of item vectors trained by contrast. No judging.

Propensity: the chance that an event is seen at all, taken to be a power of the item's popularity.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from recutils.model import training
from recutils.model.als import ALS, check_positive
from recutils.model.content import ContentProfile, Vectors, unit_rows
from recutils.model.training import Batch, History, Plan
from recutils.tables import Interactions, Problem


def propensities(counts: np.ndarray, eta: float = 0.5, *, floor: float = 0.05) -> np.ndarray:
    """(n_items,) float64 in floor..1: (count / largest count) ** eta, clipped from below at `floor`.

    eta: 0 says that popularity tells nothing of exposure (all are 1), 1 that exposure is popularity itself.
    Source: Saito et al. 2020, who take eta = 0.5. The floor bounds the weight of one event, at the price of a bias.
    Raises Problem for counts that are negative or all 0, a negative eta and a floor outside 0..1.

    >>> propensities(np.array([100, 25, 1, 0]), 0.5, floor=0.2).tolist()
    [1.0, 0.5, 0.2, 0.2]
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise Problem("counts must be one row of finite numbers >= 0, not all 0: the events of each item")
    if not (np.isfinite(eta) and eta >= 0):
        raise Problem(f"eta must be 0 or more, such as 0.5; got {eta}")
    if not 0 < floor <= 1:
        raise Problem(f"floor must lie above 0 and at most at 1, such as 0.05; got {floor}. Nothing divides by 0.")
    return np.maximum((counts / counts.max()) ** eta, floor)


class _Propensities:
    """What both ways share, put before ALS: the parameters eta and floor."""

    def __init__(self, *, eta: float = 0.5, floor: float = 0.05, **als: Any) -> None:
        super().__init__(**als)
        propensities(np.ones(1), eta, floor=floor)
        self.eta, self.floor = eta, floor

    def _chances(self, train: Interactions) -> np.ndarray:
        """(n_items,) propensities of the items, from the counts of the training part."""
        return propensities(np.bincount(train.item, minlength=train.n_items), self.eta, floor=self.floor)


class WeightedALS(_Propensities, ALS):
    """ALS whose events count by the inverse of their item's propensity, in training and when a history is folded in.

    The weights have mean 1 over the training events, so that alpha keeps its meaning and eta = 0 is ALS itself.
    Schnabel et al. 2016 weight the squared error of the ratings that were seen; here the weight is the confidence of an
    event, while pairs that were not seen keep confidence 1 (Saito et al. 2020 correct these too).
    """

    name = "weighted als"
    arrays = (*ALS.arrays, "weights")

    weights: np.ndarray  # (n_items,) float32, 1 on average over the training events

    def _fit(self, train: Interactions) -> None:
        inverse = 1 / self._chances(train)
        self.weights = (inverse / inverse[train.item].mean()).astype(np.float32)
        super()._fit(train)

    def _strengths(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        plain = super()._strengths(histories)
        plain.data = plain.data * self.weights[plain.indices]
        return plain


class DividedALS(_Propensities, ALS):
    """ALS whose scores are divided by the propensity of the item: the chance of liking, given that of being seen.

    An event needs exposure and liking, P(event) = P(seen) P(liked) (Saito et al. 2020), and the score of ALS
    stands for P(event). Scores of 0 or below are left as they are: they say no, however rarely the item was seen.
    """

    name = "divided als"
    arrays = (*ALS.arrays, "chances")

    chances: np.ndarray  # (n_items,) float32, the propensity of each item

    def _fit(self, train: Interactions) -> None:
        self.chances = self._chances(train).astype(np.float32)
        super()._fit(train)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        scores = super()._score(histories)
        return np.where(scores > 0, scores / self.chances, scores)


class ContrastiveProfile(ContentProfile):
    """ContentProfile over projected vectors: a linear map trained so that items met by one person point alike.

    Each event is an anchor; another item of the same person, drawn anew in each epoch, is its positive; the other
    positives of the batch are the negatives (InfoNCE: van den Oord et al. 2018). Popular items are negatives often,
    which alone would teach cosine / temperature = log P(other | item) / P(other). Yi et al. 2019 take the log of an
    item's share of the positives off its logit, here log_q times it: with 1 the map learns log P(other | item),
    popularity within it; with 0 popularity is divided out.
    Vectors are scaled to length 1 and centred; the map starts at their `width` principal axes and the vectors stay as
    they are. Zero rows (no text) stay zero and are no part of any pair. history: the losses of the training.
    """

    name = "contrastive content"
    arrays = ("vectors", "weights", "centre")

    frozen: Vectors | None = None
    history: History = History()
    weights: np.ndarray  # (d, width) float32
    centre: np.ndarray  # (d,) float32

    def __init__(
        self,
        *,
        width: int = 64,
        temperature: float = 0.1,
        log_q: float = 1.0,
        epochs: int = 4,
        batch: int = 512,
        learning_rate: float = 1e-3,
        values: str = "value",
        centred: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(values=values, centred=centred)
        check_positive(width=width, temperature=temperature)
        if not 0 <= log_q <= 1 or batch < 2:
            raise Problem(f"log_q must lie in 0..1 and batch be at least 2; got {log_q} and {batch}")
        Plan(epochs=epochs, learning_rate=learning_rate, seed=seed)
        self.width, self.temperature, self.log_q = width, temperature, log_q
        self.epochs, self.batch, self.learning_rate, self.seed = epochs, batch, learning_rate, seed

    def with_vectors(self, vectors: Vectors) -> Self:
        """As in VectorModel; dense vectors only, since a map of sparse ones would be as wide as the vocabulary."""
        if sparse.issparse(vectors):
            raise Problem("a contrastive projection needs dense vectors; got sparse ones. Reduce them first.")
        super().with_vectors(vectors)
        self.frozen = self.vectors
        return self

    def _fit(self, train: Interactions) -> None:
        self.vectors = self.frozen
        frozen = unit_rows(self._given(train.n_items))
        told = np.abs(frozen).sum(axis=1) > 0
        self.centre = frozen[told].mean(axis=0) if told.any() else np.zeros(frozen.shape[1], np.float32)
        rest = np.where(told[:, None], frozen - self.centre, 0).astype(np.float32)
        start = np.ascontiguousarray(_axes(rest)[:, : self.width], dtype=np.float32)
        self.weights = self._trained(start, rest, Pairs(train, told))
        self.vectors = unit_rows(rest @ self.weights)

    def _trained(self, start: np.ndarray, rest: np.ndarray, pairs: "Pairs") -> np.ndarray:
        """The map after training; the start itself when nobody has met two items with a text."""
        if not len(pairs):
            return start
        module = nn.Linear(*start.shape, bias=False)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(start.T.copy()))
        vectors, shift = torch.from_numpy(rest), torch.from_numpy(self.log_q * pairs.log_share())

        def loss(now: nn.Module, anchors: Tensor, positives: Tensor) -> Tensor:
            left, right = (normalize(now(vectors[rows]), dim=1) for rows in (anchors, positives))
            return info_nce(left @ right.T / self.temperature - shift[positives], anchors, positives)

        plan = Plan(epochs=self.epochs, learning_rate=self.learning_rate, seed=self.seed)
        self.history = training.train(module, lambda _, rng: pairs.batches(rng, self.batch), loss, plan)
        return np.ascontiguousarray(module.weight.detach().numpy().T)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Projected vectors (n, width) of length 1 for texts (n, d) that came after fit; zero rows stay zero."""
        unit = unit_rows(np.asarray(vectors, dtype=np.float32))
        told = np.abs(unit).sum(axis=1, keepdims=True) > 0
        return unit_rows(np.where(told, unit - self.centre, 0).astype(np.float32) @ self.weights)


def _axes(rest: np.ndarray) -> np.ndarray:
    """Principal axes (d, d) as columns, the longest first, of rows (n, d) that are centred."""
    return np.linalg.eigh(rest.T.astype(np.float64) @ rest)[1][:, ::-1]


def info_nce(logits: Tensor, anchors: Tensor, positives: Tensor) -> Tensor:
    """Mean cross-entropy of telling each anchor's positive from the others of the batch.

    logits: (n, n), anchor by positive. anchors, positives: (n,) item rows. A negative that is the anchor itself or its
    positive once more is no negative, and is left out.
    """
    same = (positives[None, :] == positives[:, None]) | (positives[None, :] == anchors[:, None])
    same = same & ~torch.eye(len(logits), dtype=torch.bool)
    return cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(logits)))


class Pairs:
    """Pairs of different items that one person met, made anew from each generator; one pair for each event."""

    def __init__(self, train: Interactions, told: np.ndarray) -> None:
        """told: (n_items,) bool, which items may be in a pair."""
        met = train.matrix("binary").tocoo()
        kept = told[met.col]
        users, items = met.row[kept], met.col[kept]
        sizes = np.bincount(users, minlength=train.n_users)
        self.items = items[sizes[users] > 1].astype(np.int64)  # by person, each person's in a row
        sizes = sizes[sizes > 1]
        self.sizes = np.repeat(sizes, sizes)
        self.starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        self.n_items = train.n_items

    def __len__(self) -> int:
        return len(self.items)

    def log_share(self) -> np.ndarray:
        """(n_items,) float32: the log of each item's share of the positives; 0 for items that are never one."""
        counts = np.bincount(self.items, minlength=self.n_items)
        return np.log(np.where(counts > 0, counts / len(self.items), 1.0)).astype(np.float32)

    def partners(self, rng: np.random.Generator) -> np.ndarray:
        """(n_pairs,) for each event another item of the same person, all equally likely."""
        place = np.arange(len(self)) - self.starts
        return self.items[self.starts + (place + rng.integers(1, self.sizes)) % self.sizes]

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        """Batches of (anchors, positives), int64 each, in random order."""
        partners, order = self.partners(rng), rng.permutation(len(self))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield torch.from_numpy(self.items[rows]), torch.from_numpy(partners[rows])
