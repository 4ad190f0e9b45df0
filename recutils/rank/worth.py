"""What showing an item to a person may be worth: expected clicks, likes and views, learnt from training events.

Nothing here decides what is shown (business, constraints, exposure) and nothing is judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.model.ease import EASE
from recutils.rank.blend import standardised
from recutils.rank.hybrid import Cut, random_cuts, temporal_cuts
from recutils.rank.top import top_k
from recutils.tables import Interactions, Problem

LIKED = 4.0  # a rating from here on counts as satisfied
MOST_VIEWS = 10.0  # views of one page by one person beyond these count no more: a page may have stayed open
RECENT = 0.1  # share of the training events, the last ones, whose counts are the recent popularity
PRIOR = 10.0  # events that pull an item's mean value towards everybody's


def outcomes(part: Interactions, *, explicit: bool) -> dict[str, sparse.csr_matrix]:
    """The goals that the events themselves tell, name -> csr (n_users, n_items) of each event's worth.

    "clicks": 1 for each event. With ratings "likes": 1 where the rating is at least 4. With counts that differ "dwell":
    the count, at most 10 (repeated views of one page, the nearest that these data have to time spent).
    """
    events = part.matrix()
    found = {"clicks": part.matrix("binary")}
    if explicit:
        found["likes"] = _worth(events, (events.data >= LIKED).astype(np.float32))
    elif len(events.data) and events.data.min() < events.data.max():
        found["dwell"] = _worth(events, events.data.clip(0, MOST_VIEWS))
    return found


def _worth(events: sparse.csr_matrix, data: np.ndarray) -> sparse.csr_matrix:
    worth = sparse.csr_matrix((data, events.indices.copy(), events.indptr.copy()), shape=events.shape)
    worth.eliminate_zeros()
    return worth


@dataclass(frozen=True, eq=False)
class Signals:
    """What one training part tells about pairs: two EASE models and the items' counts and mean values.

    models: name -> (fitted model, least value of a history's event that it reads). traits: name -> (n_items,), each
    standardised over the items.
    """

    models: Mapping[str, tuple[EASE, float]]
    traits: Mapping[str, np.ndarray]

    def dense(self, histories: sparse.csr_matrix) -> dict[str, np.ndarray]:
        """Each model's scores (n_histories, n_items), standardised within the history, long tails drawn in."""
        read = {name: (model, _from(histories, least)) for name, (model, least) in self.models.items()}
        return {name: np.arcsinh(standardised(model.score(kept))) for name, (model, kept) in read.items()}

    def shortlist(
        self, histories: sparse.csr_matrix, n: int, reserve: Sequence[np.ndarray] = (), least: int = 10
    ) -> tuple[np.ndarray, np.ndarray]:
        """The n unseen items with the largest sum of scores and known counts, and the features of these pairs.

        reserve: masks (n_items,) of items of which the best `least` are candidates in any case, since a rule may ask
        for them. Returns items (n_histories, n + what the masks add at most), -1 where they run out, and features
        (n_histories, that many, n_features).
        """
        dense = self.dense(histories)
        scores = sum(dense.values()) + self.traits["known"]
        parts = [top_k(scores, histories, n)]
        parts += [top_k(np.where(mask, scores, -np.inf), histories, least) for mask in reserve]
        items = _once(np.concatenate(parts, axis=1))
        rows = np.maximum(items, 0)
        own = [np.take_along_axis(scores, rows, axis=1) for scores in dense.values()]
        length = np.log1p(np.diff(histories.indptr))[:, None] * np.ones(items.shape)
        return items, np.stack([*own, *(values[rows] for values in self.traits.values()), length], axis=2)


def _once(items: np.ndarray) -> np.ndarray:
    """Rows of items without their repetitions, in the order given, -1 at the end."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    again = np.zeros(items.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    kept = np.where(again, -1, items)
    kept = np.take_along_axis(kept, np.argsort(kept < 0, axis=1, kind="stable"), axis=1)
    return kept[:, : max(1, int((kept >= 0).sum(axis=1).max()))]


def _from(histories: sparse.csr_matrix, least: float) -> sparse.csr_matrix:
    """The histories' events of at least this value."""
    return histories if least == -np.inf else _worth(histories, histories.data * (histories.data >= least))


def signals(train: Interactions, *, explicit: bool, reg: float = 300.0) -> Signals:
    """The signals of a training part: its events only, recent counts where it has times, likes where it has ratings."""
    models = {"met": (EASE(reg=reg).fit(train), -np.inf)}
    liked = train.value.to_numpy() >= LIKED
    if explicit and liked.any():
        models["liked"] = (EASE(reg=reg).fit(train.only(liked)), LIKED)
    traits = {"known": np.log1p(np.bincount(train.item, minlength=train.n_items))}
    if train.has_time:
        late = np.argsort(train.time.to_numpy(), kind="stable")[-max(1, round(RECENT * len(train))) :]
        traits["known of late"] = np.log1p(np.bincount(train.item.to_numpy()[late], minlength=train.n_items))
    traits["mean value"] = _mean_value(train)
    return Signals(models, {name: standardised(values[None, :])[0] for name, values in traits.items()})


def _mean_value(train: Interactions) -> np.ndarray:
    """Each item's mean value (n_items,), with 10 events of the overall mean added."""
    count = np.bincount(train.item, minlength=train.n_items)
    total = np.bincount(train.item, weights=train.value, minlength=train.n_items)
    return (total + PRIOR * float(train.value.mean())) / (count + PRIOR)


def inner_cut(train: Interactions, *, seed: int) -> Cut:
    """What the weights are learnt from and what they must foresee: an eighth, the last by time or else at random.

    An eighth, because the house split's validation part has an eighth of the training part's size; the expected worth
    of a pair depends on how long one waits.
    """
    return temporal_cuts(train, 1, 1 / 8)[0] if train.has_time else random_cuts(train, 8, seed)[0]


def expected(
    train: Interactions,
    users: np.ndarray,
    *,
    explicit: bool,
    n: int,
    seed: int,
    most: int = 1000,
    reserve: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Candidates (n_users, n) of some training users, and for each goal of `outcomes` its expected worth, so shaped.

    The weights of the signals are learnt inside the training part: signals of its earlier events foresee its later
    ones, by a Poisson regression (scikit-learn; its predictions sum to what happened where it learns). Then the signals
    are made again from the whole part. most: people (drawn with `seed`) the weights are learnt from. reserve: masks
    (n_items,), whose best 10 join the n. -1 fills the candidates where they run out; its worth is NaN.
    Raises Problem when no person has events on both sides of the inner cut, or n exceeds the items.
    """
    if not 1 <= n <= train.n_items:
        raise Problem(f"n must lie in 1..{train.n_items} (the number of items); got {n} candidates")
    before, after = inner_cut(train, seed=seed)
    both = np.intersect1d(before.user, after.user)
    if not len(both):
        raise Problem("nobody has events on both sides of the inner cut, so no weight can be learnt. Use more users.")
    taught = np.sort(np.random.default_rng(seed).choice(both, min(most, len(both)), replace=False))
    shown, known = signals(before, explicit=explicit).shortlist(before.matrix()[taught], n, reserve)
    items, asked = signals(train, explicit=explicit).shortlist(train.matrix()[users], n, reserve)
    found = {}
    for name, worth in outcomes(after, explicit=explicit).items():
        happened = worth_at(worth[taught], shown)
        if np.nansum(happened) > 0:
            found[name] = np.where(items >= 0, _foreseen(known, happened, asked), np.nan)
    if "clicks" not in found:
        raise Problem(
            "no later event is among the candidates, so nothing can be learnt. Give more candidates or users."
        )
    return items, found


def worth_at(worth: sparse.csr_matrix, items: np.ndarray) -> np.ndarray:
    """The worth (n_users, n) of each candidate; NaN at the fill -1."""
    found = np.take_along_axis(worth.toarray(), np.maximum(items, 0), axis=1)
    return np.where(items >= 0, found, np.nan)


def _foreseen(known: np.ndarray, worth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Expected worth (n_users, n) of pairs described by `asked`, learnt from `known` pairs and their worth."""
    from sklearn.linear_model import PoissonRegressor

    real = ~np.isnan(worth)
    model = PoissonRegressor(alpha=1e-6, max_iter=300).fit(known[real], worth[real])
    return model.predict(asked.reshape(-1, asked.shape[2])).reshape(asked.shape[:2])
