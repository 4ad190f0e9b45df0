"""LightGCN: embeddings smoothed over the graph of users and items, by torch-geometric. Plain embeddings: network.py."""

import warnings
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from recutils.model.als import check_no_dislikes, check_positive, item_keys
from recutils.model.base import Model, as_values, known_rows
from recutils.model.network import Events, Watched, above
from recutils.model.training import seeded
from recutils.tables import Interactions


class LightGCN(Watched, Model):
    """Embeddings of users and items, averaged over 0 to `layers` steps of the normalised graph (He et al. 2020).

    The network is torch-geometric's; the graph is handed to it as a sparse CSR matrix, normalised once. (With a list of
    edges, its message passing copies a vector for each edge: several times slower on a processor, same numbers.) Loss:
    BPR with one other item (`others` more: the sampled softmax), drawn evenly among those the user did not meet, plus
    reg times the squared length of the first embeddings of a batch, as in the paper.
    A history with exactly the items of a training user gets his trained vector. Any other is folded in as the graph
    would place a new node without an embedding of its own: the layers' mean over its items. Strangers get popularity.
    Raises Problem for negative values; reads which items were met, not the values. The defaults are not tuned: on data
    dealt at random, more passes and others = 4 with learning_rate = 0.05 did better in one exploratory look.
    """

    name = "lightgcn"
    serves_strangers = False
    arrays = ("user_factors", "item_factors", "item_steps", "user_keys")

    user_factors: np.ndarray  # (n_users, factors) float32, mean over the layers
    item_factors: np.ndarray  # (n_items, factors) float32, mean over the layers
    item_steps: np.ndarray  # (n_items, factors) float32, what an item passes to a new neighbour, all layers together
    user_keys: np.ndarray  # (n_users,) int64, digest of each training user's items

    def __init__(
        self,
        *,
        factors: int = 64,
        layers: int = 3,
        epochs: int = 20,
        learning_rate: float = 0.02,
        reg: float = 1e-4,
        others: int = 1,
        batch: int = 8192,
        seed: int = 0,
    ) -> None:
        check_positive(
            factors=factors, layers=layers, epochs=epochs, learning_rate=learning_rate, others=others, batch=batch
        )
        self.factors, self.layers, self.epochs, self.learning_rate = factors, layers, epochs, learning_rate
        self.reg, self.others, self.batch, self.seed = reg, others, batch, seed

    def _fit(self, train: Interactions) -> None:
        from torch_geometric.nn.models import LightGCN as Network

        check_no_dislikes(train.value.to_numpy(), self.name)
        known = train.matrix("binary")
        self.user_keys, self._degrees = item_keys(known), np.bincount(known.indices, minlength=train.n_items)
        self._graph, self._n_users = graph(known), train.n_users
        with seeded(self.seed):
            module = Network(train.n_users + train.n_items, self.factors, self.layers, normalize=False)
        events = Events(train, batch=self.batch, others=self.others)
        plan = {"epochs": self.epochs, "learning_rate": self.learning_rate, "seed": self.seed}
        self._train(train, module, events, self._loss, **plan)
        del self._graph

    def _loss(self, module: Any, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
        placed, first = module.get_embedding(self._graph), module.embedding.weight
        rows = (users, items + self._n_users, others + self._n_users)
        user, met, other = (nn.functional.embedding(row, placed) for row in rows)
        lost = above((user * met).sum(-1), (user[:, None] * other).sum(-1))
        squares = [nn.functional.embedding(row, first).square().sum(-1) for row in rows]
        return (lost + self.reg * (squares[0] + squares[1] + squares[2].sum(-1))).mean()

    @torch.no_grad()
    def _take(self, module: Any) -> None:
        placed = module.get_embedding(self._graph).numpy()
        self.user_factors, self.item_factors = placed[: self._n_users].copy(), placed[self._n_users :].copy()
        now, steps = module.embedding.weight, 0.0
        for weight in module.alpha[1:]:
            steps = steps + weight * now
            now = self._graph @ now
        scale = np.maximum(self._degrees, 1)[:, None] ** -0.5
        self.item_steps = (steps.numpy()[self._n_users :] * scale).astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """User vectors (n_histories, factors): trained ones for a training user's items, else by the graph."""
        check_no_dislikes(histories.data, self.name)
        rows = known_rows(item_keys(histories), self.user_keys)
        counts = np.maximum(np.diff(histories.indptr), 1)[:, None]
        by_graph = (as_values(histories, "binary") @ self.item_steps) / np.sqrt(counts)
        return np.where((rows >= 0)[:, None], self.user_factors[rows], by_graph).astype(np.float32)


def graph(known: sparse.csr_matrix) -> Tensor:
    """Sparse CSR (n_users + n_items,) squared: 1 / sqrt(degree x degree) where a user met an item, both directions."""
    table = sparse.bmat([[None, known], [known.T, None]], format="csr", dtype=np.float32)
    scale = sparse.diags(np.maximum(np.diff(table.indptr), 1) ** -0.5)
    table = (scale @ table @ scale).tocsr().astype(np.float32)
    table.sort_indices()
    parts = (torch.from_numpy(own.astype(np.int64)) for own in (table.indptr, table.indices))
    with warnings.catch_warnings():  # torch says once that CSR is new; only products with dense tables are used here
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state", UserWarning)
        return torch.sparse_csr_tensor(*parts, torch.from_numpy(table.data), size=table.shape, check_invariants=True)
