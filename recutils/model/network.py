"""Two embeddings and their dot product, trained by torch: for ratings and for lists. No layers on top, no graph."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from recutils.model import training
from recutils.model.als import BPR, check_no_dislikes, check_positive, item_keys
from recutils.model.svd import SVD
from recutils.model.training import Batch, Batches, History, Plan, seeded
from recutils.tables import Interactions, Problem

REDRAWS = 8  # times that a drawn item is drawn anew because the user met it; then it stays


class Embeddings(nn.Module):
    """mean + user bias + item bias + user vector . item vector; without biases the mean and the dot product alone."""

    mean: Tensor

    def __init__(self, n_users: int, n_items: int, factors: int, *, mean: float = 0.0, biases: bool = True) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.vectors = nn.ParameterList([torch.randn(n, factors) * 0.1 for n in (n_users, n_items)])
        self.biases = nn.ParameterList([torch.zeros(n, 1) for n in (n_users, n_items)])
        self.biases.requires_grad_(biases)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of user rows for item rows; shapes (n,) and (n,), or (n, 1) and (n, m), one score for each pair."""
        left, right = (embedding(rows, own) for rows, own in zip((users, items), self.vectors, strict=True))
        biases = (embedding(rows, own).squeeze(-1) for rows, own in zip((users, items), self.biases, strict=True))
        return self.mean + sum(biases) + (left * right).sum(-1)

    def squares(self, users: Tensor, items: Tensor) -> Tensor:
        """Squared length (n,) of all that each pair of user and item row touches: what weight decay makes small."""
        touched = zip((users, items, users, items), (*self.vectors, *self.biases), strict=True)
        return torch.stack([embedding(rows, own).square().sum(-1) for rows, own in touched]).sum(0)

    def learnt(self) -> dict[str, np.ndarray]:
        """Copies of the weights under the names that `svd.SVD` and `als.BPR` keep; a bias is (n,)."""
        vectors, biases = ([own.detach().numpy().copy() for own in kind] for kind in (self.vectors, self.biases))
        names = ("user_factors", "item_factors", "user_bias", "item_bias")
        return dict(zip(names, (*vectors, *(bias[:, 0] for bias in biases)), strict=True))


class Watched:
    """What the trained networks share: an eye on the training, and what it saw.

    history: loss of each epoch and, where a value is watched, its course (recutils.model.training.History).
    """

    history: History = History()
    _value: Callable[[Any], float] | None = None
    _patience: int = 0
    _events: Path | None = None

    def watched(
        self, value: Callable[[Any], float] | None = None, *, patience: int = 0, events: Path | None = None
    ) -> Self:
        """Watch the next `fit`: value(model) after each epoch, higher is better; the best epoch's weights are kept.

        patience: epochs without a better value before it stops, 0 never. events: a folder for TensorBoard's files.
        The watched part must not be the one that judges the model.
        """
        if patience < 0 or (patience and value is None):
            raise Problem(f"patience must be 0 or more, and needs a value to watch; got {patience}.")
        self._value, self._patience, self._events = value, patience, events
        return self

    def _train(
        self, train: Interactions, module: nn.Module, batches: Batches, loss: Callable[..., Tensor], **options: Any
    ) -> None:
        """Train the module and take what it learnt; options are those of `training.Plan`."""

        def look(now: nn.Module) -> float:
            self._take(now)
            return float(self._value(self))

        self.n_items, self.popular = train.n_items, np.bincount(train.item, minlength=train.n_items).astype(np.float32)
        plan, value = Plan(patience=self._patience, **options), look if self._value else None
        self.history = training.train(module, batches, loss, plan, validate=value, events=self._events)
        self._take(module)

    def _take(self, module: nn.Module) -> None:
        """Copy what was learnt into the model's arrays."""
        raise NotImplementedError


def in_batches(columns: tuple[np.ndarray, ...], size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """The rows in random order, `size` at a time, each column as a tensor."""
    order = rng.permutation(len(columns[0]))
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        yield tuple(torch.from_numpy(np.ascontiguousarray(column[rows])) for column in columns)


Form = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (module, user rows, item rows) -> predictions (n,)


def fit_pairs(
    module: nn.Module,
    form: Form,
    events: Interactions,
    plan: Plan,
    *,
    batch: int = 1024,
    value: Callable[[nn.Module], float] | None = None,
) -> History:
    """Train any network of user and item rows on values, by squared error; value: as `validate` of `training.train`.

    For comparisons with networks that are no `Model`, since they cannot serve new histories: `predict_pairs` asks them.
    """
    columns = (events.user.to_numpy(np.int64), events.item.to_numpy(np.int64), events.value.to_numpy())

    def loss(now: nn.Module, users: Tensor, items: Tensor, values: Tensor) -> Tensor:
        return (form(now, users, items) - values).square().mean()

    return training.train(module, lambda _, rng: in_batches(columns, batch, rng), loss, plan, validate=value)


@torch.no_grad()
def predict_pairs(module: nn.Module, form: Form, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What a network that `fit_pairs` trained says of user rows (n,) and item rows (n,), not clipped."""
    rows = (torch.from_numpy(np.asarray(side, dtype=np.int64)) for side in (users, items))
    return form(module, *rows).numpy()


class Network(Watched, SVD):
    """The two-embedding network for ratings: mean + biases + dot product, squared error, mini-batches and Adam.

    It is the model of `svd.SVD`, whose predictions and folding in it shares (Koren, Bell & Volinsky 2009); only the
    training differs. reg: weight decay as in the paper, a penalty on the squared length of all weights that a rating
    touches, once for each rating, so that folding in solves the same problem. batch: ratings in one step.
    The defaults are the best of the nine settings in the table "grid" of notebook 35 (inner validation part, ml-100k).
    """

    name = "network"

    def __init__(
        self,
        *,
        factors: int = 64,
        epochs: int = 5,
        learning_rate: float = 0.01,
        reg: float = 0.1,
        batch: int = 1024,
        biases: bool = True,
        seed: int = 0,
    ) -> None:
        check_positive(epochs=epochs, learning_rate=learning_rate, batch=batch)
        if factors < 0 or reg < 0:
            raise Problem(f"factors and reg must be 0 or more; got {factors} and {reg}")
        super().__init__(factors=factors, epochs=epochs, learning_rate=learning_rate, reg=reg, seed=seed)
        self.batch, self.biases = batch, biases

    def _fit(self, train: Interactions) -> None:
        values = train.value.to_numpy()
        self.scale = np.array([values.min(), values.max()], dtype=np.float64)
        self.mean = np.array([values.mean(dtype=np.float64)])
        with seeded(self.seed):
            module = Embeddings(
                train.n_users, train.n_items, self.factors, mean=float(self.mean[0]), biases=self.biases
            )
        self._met = [np.bincount(rows, minlength=n) > 0 for rows, n in _sides(train)]
        columns = (train.user.to_numpy(np.int64), train.item.to_numpy(np.int64), values)
        plan = {"epochs": self.epochs, "learning_rate": self.learning_rate, "seed": self.seed}
        self._train(train, module, lambda _, rng: in_batches(columns, self.batch, rng), self._loss, **plan)

    def _loss(self, module: Embeddings, users: Tensor, items: Tensor, values: Tensor) -> Tensor:
        error = (module(users, items) - values).square()
        return (error + self.reg * module.squares(users, items)).mean()

    def _take(self, module: Embeddings) -> None:
        """Rows that training never touched hold their first random draw; they become 0."""
        for name, weights in module.learnt().items():
            met = self._met[0 if name.startswith("user") else 1]
            weights[~met] = 0
            setattr(self, name, weights.astype(np.float64))

    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """As `svd.SVD` does, also without biases (the user's is then 0) and without a penalty."""
        design = np.column_stack([np.full(len(items), float(self.biases)), self.item_factors[items]])
        penalty = max(self.reg, 1e-6) * len(items)
        rest = values - self.mean[0] - self.item_bias[items]
        return design.T @ np.linalg.solve(design @ design.T + penalty * np.eye(len(items)), rest)


def _sides(train: Interactions) -> tuple[tuple[np.ndarray, int], ...]:
    return (train.user.to_numpy(), train.n_users), (train.item.to_numpy(), train.n_items)


class Events:
    """Training events with drawn other items: batches for a ranking loss. Items that the user met are drawn anew."""

    def __init__(self, train: Interactions, *, batch: int, others: int) -> None:
        self.users, self.items = train.user.to_numpy(np.int64), train.item.to_numpy(np.int64)
        self.n_items, self.batch, self.others = train.n_items, batch, others
        self._pairs = np.unique(self.users * self.n_items + self.items)

    def __call__(self, epoch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of users (n,), met items (n,), drawn items (n, others), in random order."""
        for users, items in in_batches((self.users, self.items), self.batch, rng):
            yield users, items, torch.from_numpy(self._draw(users.numpy(), rng))

    def _draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.integers(self.n_items, size=(len(users), self.others))
        for _ in range(REDRAWS):
            met = self._met(users[:, None] * self.n_items + drawn)
            if not met.any():
                break
            drawn[met] = rng.integers(self.n_items, size=int(met.sum()))
        return drawn

    def _met(self, pairs: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        return self._pairs[place] == pairs


def above(met: Tensor, others: Tensor) -> Tensor:
    """Loss (n,) of scores of met items (n,) against drawn ones (n, m): -log softmax of the met; BPR's when m is 1."""
    return torch.logsumexp(torch.cat([met[:, None], others], dim=1), dim=1) - met


class RankingNetwork(Watched, BPR):
    """The two-embedding network for lists: a met item should stand above items drawn evenly from the others.

    The loss is the sampled softmax; with others = 1 it is BPR's (Rendle et al. 2009). Scoring, and folding in of
    histories that are no training user's, are those of `als.BPR`. reg: as in `Network`, for each event. Reads which
    items were met, not the values. Strangers get popularity. Raises Problem for negative values.
    """

    name = "ranking network"

    def __init__(
        self,
        *,
        factors: int = 32,
        epochs: int = 10,
        learning_rate: float = 0.005,
        reg: float = 0.01,
        others: int = 4,
        batch: int = 1024,
        seed: int = 0,
    ) -> None:
        check_positive(epochs=epochs, batch=batch, others=others)
        super().__init__(factors=factors, learning_rate=learning_rate, reg=reg, seed=seed)
        self.epochs, self.others, self.batch = epochs, others, batch

    def _fit(self, train: Interactions) -> None:
        check_no_dislikes(train.value.to_numpy(), self.name)
        self.user_keys = item_keys(train.matrix("binary"))
        with seeded(self.seed):
            module = Embeddings(train.n_users, train.n_items, self.factors)
        events = Events(train, batch=self.batch, others=self.others)
        plan = {"epochs": self.epochs, "learning_rate": self.learning_rate, "seed": self.seed}
        self._train(train, module, events, self._loss, **plan)

    def _loss(self, module: Embeddings, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
        lost = above(module(users, items), module(users[:, None], others))
        return (lost + self.reg * module.squares(users, items)).mean()

    def _take(self, module: Embeddings) -> None:
        found = module.learnt()
        self.user_factors, self.item_factors = found["user_factors"], found["item_factors"]
        self.item_bias = found["item_bias"]
