"""EASE that goes on learning: new events change the fitted weights without starting over. The batch model: ease.py."""

import numpy as np
from scipy import sparse

from recutils.model.ease import EASE, inverse
from recutils.tables import Interactions, Problem

FEW = 8  # an update of rank up to n_items / FEW is cheaper than a new inversion


class StreamEASE(EASE):
    """EASE (Steck 2019) with `learn`: after any sequence of batches the weights are those of a fit on all events.

    EASE needs the inverse P of G = X'X + reg I only. A batch replaces the row x of each user who came by x + d, so
    that G changes by a matrix of rank at most twice their number, and Woodbury's identity gives the new P without an
    inversion (one user: Sherman & Morrison 1950, two steps). Larger batches invert anew, which is then the cheaper way.
    memory: how much a user weighs who did not come with the newest batch, per batch: 1 never forgets and equals EASE;
    0 knows the users of the newest batch only (with all their events). That is ours.
    Events are binary; a (user, item) pair that is known already changes nothing.
    """

    name = "stream ease"
    arrays = ("weights", "inverted", "known", "user_weight")

    inverted: np.ndarray  # (n_items, n_items) float64, P
    known: sparse.csr_matrix  # (n_users, n_items) float64 ones, all events so far
    user_weight: np.ndarray  # (n_users,) float64, in 0..1

    def __init__(self, *, reg: float = 300.0, memory: float = 1.0) -> None:
        super().__init__(reg=reg)
        if not 0 <= memory <= 1:
            raise Problem(f"memory must lie in 0 (newest batch only) .. 1 (nothing is forgotten); got {memory}")
        self.memory = memory

    def _fit(self, train: Interactions) -> None:
        self.known = train.matrix("binary").astype(np.float64)
        self.user_weight = np.ones(train.n_users)
        self._invert()

    def learn(self, events: Interactions) -> "StreamEASE":
        """Take in a batch; returns self. An empty batch changes nothing, and nothing is forgotten for it.

        events: rows of the same users and items as in fit; more of either (a grown catalogue) are taken in.
        Raises Problem before fit, or when there are fewer users or items than before.
        """
        self._grow(events)
        if len(events) == 0:
            return self
        after = self.known.maximum(events.matrix("binary").astype(np.float64)).tocsr()
        after.sort_indices()
        came = np.unique(events.user)
        before, self.known = self.known, after
        self.user_weight = self.user_weight * self.memory
        self.user_weight[came] = 1.0
        self.popular = (self.known.T @ self.user_weight).astype(np.float32)  # strangers: forgotten people do not count
        if self.memory == 1 and 2 * len(came) <= self.inverted.shape[0] / FEW:
            self.inverted = replaced(self.inverted, before[came], after[came])
            self._set_weights()
        else:
            self._invert()
        return self

    def _grow(self, events: Interactions) -> None:
        """Make room for new users and items, which have no event yet."""
        if self.n_items is None:
            raise Problem(f"{self.name} was asked to learn more before it was fitted. Call fit(train) first.")
        n_users, n_items = self.known.shape
        if events.n_users < n_users or events.n_items < n_items:
            raise Problem(
                f"a batch must come with at least the {n_users} users and {n_items} items known so far; got "
                f"{events.n_users} and {events.n_items}. Row numbers may grow, never shrink: keep one table of ids."
            )
        more = events.n_items - n_items
        self.known = _resized(self.known, (events.n_users, events.n_items))
        self.user_weight = np.pad(self.user_weight, (0, events.n_users - n_users), constant_values=1.0)
        if more:
            self.popular = np.pad(self.popular, (0, more))
            self.inverted = np.pad(self.inverted, (0, more))
            new = np.arange(n_items, events.n_items)
            self.inverted[new, new] = 1 / self.reg
            self.n_items = events.n_items
            self._set_weights()

    def _invert(self) -> None:
        gram = (self.known.T @ sparse.diags(self.user_weight) @ self.known).toarray()
        gram[np.diag_indices_from(gram)] += self.reg
        self.inverted = inverse(gram)
        self._set_weights()

    def _set_weights(self) -> None:
        weights = (self.inverted / -np.diag(self.inverted)).astype(np.float32)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights


def _resized(known: sparse.csr_matrix, shape: tuple[int, int]) -> sparse.csr_matrix:
    """The same entries in a larger matrix, a new one."""
    grown = known.copy()
    grown.resize(shape)
    return grown


def replaced(inverted: np.ndarray, before: sparse.csr_matrix, after: sparse.csr_matrix) -> np.ndarray:
    """The inverse of G - before'before + after'after from the inverse of G: (n, n) float64, symmetric.

    before, after: sparse (m, n), rows taken out and rows put in. Costs of the order m n^2. Source: Woodbury 1950.
    Raises Problem when the change leaves no inverse.
    """
    moved = sparse.vstack([after, before], format="csr")
    sign = np.repeat([1.0, -1.0], [after.shape[0], before.shape[0]])
    spread = moved @ inverted  # (2m, n)
    core = np.diag(sign) + spread @ moved.T
    try:
        return inverted - spread.T @ np.linalg.solve(core, spread)
    except np.linalg.LinAlgError as fault:
        raise Problem("the update leaves a gram matrix without inverse; raise reg or fit anew.") from fault
