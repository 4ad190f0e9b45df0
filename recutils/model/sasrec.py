"""SASRec: a transformer reads a history in order; its item table is free or made of text. Its parts: transformer.py."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from recutils.data.order import Sequences, sequences, windows
from recutils.model.als import check_positive
from recutils.model.base import Model
from recutils.model.content import VectorModel
from recutils.model.sequence import OrderModel
from recutils.model.training import History, Plan, Say, seeded, train
from recutils.model.transformer import START, Network
from recutils.model.weights import flat_weights, with_flat_weights
from recutils.tables import Interactions, Problem


def chunks(found: Sequences, length: int, *, every: bool) -> np.ndarray:
    """Training windows (n, length + 1) int32: each position but the first is a target once.

    every: all of a history, cut from its end; else its last length + 1 items, as in the paper. Histories of one item
    have none.
    """
    sizes = np.diff(found.starts)
    parts = np.where(sizes > 1, np.maximum(-(-(sizes - 1) // length), 1) if every else 1, 0)
    users = np.repeat(np.arange(len(sizes)), parts)
    number = np.arange(len(users)) - np.repeat(np.cumsum(parts) - parts, parts)
    return windows(found.items, found.starts[users], found.starts[users + 1] - number * length, length + 1)


class SASRec(OrderModel):
    """Self-attentive sequential recommendation (Kang & McAuley 2018), trained with cross-entropy over all items.

    A causal transformer reads the last `length` items; at each position it is asked for the next one among all items
    with training events (softmax over all, Klenitskiy & Vasilev 2023, where the paper draws one negative). Departures:
    pre-norm, GELU, and `every`: long histories are cut into windows instead of read at their end only (False: as the
    paper). Inputs and outputs share the item table. Items without training events score as the worst item does;
    strangers get popularity, and so does everybody when no training user has two events.
    epochs, learning_rate, batch (windows), patience: as in training.Plan. Equal seeds give equal weights on one
    machine with the same number of threads. `history` holds the curve after fit.
    """

    name = "sasrec"
    arrays = (*OrderModel.arrays, "weights", "warm")

    weights: np.ndarray  # (n,) float32, all of the network, in its order
    warm: np.ndarray  # (n_items,) bool, items with training events; all False when there was nothing to learn
    history: History = History()
    _options: dict[str, Any]
    _network: Network

    def __init__(
        self,
        *,
        length: int = 50,
        factors: int = 64,
        blocks: int = 2,
        heads: int = 1,
        dropout: float = 0.2,
        epochs: int = 20,
        learning_rate: float = 1e-3,
        batch: int = 128,
        every: bool = True,
        patience: int = 0,
        seed: int = 0,
    ) -> None:
        check_positive(length=length, factors=factors, blocks=blocks, heads=heads, batch=batch)
        if factors % heads or not 0 <= dropout < 1:
            raise Problem(f"factors must divide by heads, dropout lie in 0..1; got {factors}, {heads}, {dropout}")
        self.length, self.factors, self.blocks, self.heads, self.dropout = length, factors, blocks, heads, dropout
        self.epochs, self.learning_rate, self.batch, self.every = epochs, learning_rate, batch, every
        self.patience, self.seed = patience, seed
        self._options = {}
        self._plan()

    def with_training(
        self,
        *,
        validate: Callable[[Model], float] | None = None,
        checkpoint: Path | None = None,
        events: Path | None = None,
        say: Say | None = None,
    ) -> Self:
        """How the next fit is watched and kept; returns the model. The arguments are those of `training.train`.

        validate: (this model) -> value after each epoch; the best epoch's weights stay.
        """
        self._options = {"validate": validate, "checkpoint": checkpoint, "events": events, "say": say}
        return self

    def _plan(self) -> Plan:
        rates = {"learning_rate": self.learning_rate, "patience": self.patience, "seed": self.seed}
        return Plan(epochs=self.epochs, **rates)

    def _fit(self, train_part: Interactions) -> None:
        self._remember(train_part, anew=True)
        self.n_items = train_part.n_items
        self.popular = np.bincount(train_part.item, minlength=self.n_items).astype(np.float32)
        found = chunks(sequences(train_part), self.length, every=self.every)
        self.warm = (self.popular > 0) & (len(found) > 0)
        self._network, self.history = self._new_network(), History()
        if len(found):
            self.history = self._train(found)
        self.weights = flat_weights(self._network.eval())

    def _train(self, found: np.ndarray) -> History:
        read, wanted = torch.from_numpy(found[:, :-1]).long(), self._targets(found)
        warm = torch.from_numpy(np.flatnonzero(self.warm))

        def batches(epoch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.from_numpy(rng.permutation(len(read)))
            return ((read[rows], wanted[rows]) for rows in order.split(self.batch))

        def loss(network: Network, read: Tensor, wanted: Tensor) -> Tensor:
            items = network.items()
            hidden, _ = network(read, items)
            chosen = wanted >= 0
            return functional.cross_entropy(hidden[chosen] @ items[warm].T, wanted[chosen])

        validate = self._options.get("validate")
        options = self._options | {"validate": (lambda network: validate(self)) if validate else None}
        return train(self._network, batches, loss, self._plan(), about=self._about(found), **options)

    def _targets(self, found: np.ndarray) -> Tensor:
        """Of each position the next item, as its place among the warm items; -1 where there is no input."""
        place = np.cumsum(self.warm) - 1
        return torch.from_numpy(np.where(found[:, :-1] >= 0, place[found[:, 1:]], -1)).long()

    def _about(self, found: np.ndarray) -> dict[str, Any]:
        """What a checkpoint must agree with, besides plan and shapes."""
        settings = {name: value for name, value in self.parameters().items() if name != "epochs"}
        return {"model": self.name, "data": hashlib.sha256(found.tobytes()).hexdigest()} | settings

    def _new_network(self) -> Network:
        with seeded(self.seed):
            table = START * torch.randn(self.n_items, self.factors)
            return self._assembled(table, None)

    def _assembled(self, table: Tensor, vectors: Tensor | None) -> Network:
        return Network(table, vectors, self.length, blocks=self.blocks, heads=self.heads, dropout=self.dropout)

    def network(self) -> Network:
        """The trained network, in evaluation mode. Raises Problem before fit."""
        if self.n_items is None:
            raise Problem(f"{self.name} has no network before it was fitted. Call fit(train) first.")
        if not hasattr(self, "_network"):
            self._network = with_flat_weights(self._new_network(), self.weights)
        return self._network

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        if not self.warm.any():
            return np.zeros(histories.shape)
        read = self._known(self.read(histories))
        with torch.no_grad():
            items = self.network().items()
            hidden, _ = self.network()(torch.from_numpy(read).long(), items)
            scores = (hidden[:, -1] @ items.T).numpy()
        scores = self._cold(scores)
        scores[(read < 0).all(axis=1)] = 0
        return scores

    def _known(self, read: np.ndarray) -> np.ndarray:
        """What it can read: items without training events are passed over."""
        read = np.where(self.warm[read], read, -1)
        return np.take_along_axis(read, np.argsort(read >= 0, axis=1, kind="stable"), axis=1)

    def _cold(self, scores: np.ndarray) -> np.ndarray:
        """Items without training events get the lowest score of the others."""
        return np.where(self.warm, scores, scores[:, self.warm].min(axis=1, keepdims=True))

    def attention(self, history: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Items of one history, oldest first, and how much the last layer looks at each when it guesses the next.

        Two arrays (n,): item rows, and weights that sum to 1 (mean of the heads).
        """
        read = self._known(self.read(history))
        with torch.no_grad():
            _, weights = self.network()(torch.from_numpy(read).long(), self.network().items())
        there = read[0] >= 0
        return read[0][there], weights[0].mean(0)[-1].numpy()[there]


class TextSASRec(SASRec, VectorModel):
    """SASRec with item vectors from text: as the start of its item table, or in its place.

    text: "start" (the vectors' principal components, scaled to the size of the random start, then learnt as before; of
    fewer than `factors` the rest starts at random) or "only" (the vectors stay as they are and a projection to
    `factors` is learnt, so that every item with a text has a place, met or not). Items without training events are
    scored by their text: exactly so with "only", by the place they started from with "start".
    """

    name = "text sasrec"
    arrays = (*SASRec.arrays, "vectors")

    def __init__(self, *, text: str = "only", **settings: Any) -> None:
        if text not in ("start", "only"):
            raise Problem(f"text must be 'start' or 'only'; got {text!r}")
        super().__init__(**settings)
        self.text = text

    def _new_network(self) -> Network:
        given = self._given(self.n_items)
        centred = given.toarray() if sparse.issparse(given) else given
        centred = centred - centred.mean(axis=0)
        with seeded(self.seed):
            table = START * torch.randn(self.n_items, self.factors)
            if self.text == "only":
                return self._assembled(table, torch.from_numpy(_sized(centred, 1.0)))
            found = torch.from_numpy(_sized(principal(centred, self.factors), START))
            table[:, : found.shape[1]] = found
            return self._assembled(table, None)

    def _known(self, read: np.ndarray) -> np.ndarray:
        return read

    def _cold(self, scores: np.ndarray) -> np.ndarray:
        return scores


def principal(centred: np.ndarray, n: int) -> np.ndarray:
    """The first n principal components (n_items, at most n) of centred vectors; their signs are scikit-learn's."""
    from sklearn.decomposition import PCA

    most = min(n, *centred.shape)
    return PCA(most, svd_solver="full").fit_transform(centred).astype(np.float32)


def _sized(values: np.ndarray, size: float) -> np.ndarray:
    """Values scaled so that the root of their mean square is `size`; zeros stay."""
    root = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    return (values * (size / root if root > 0 else 0.0)).astype(np.float32)
