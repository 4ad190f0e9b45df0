"""Features of (user, candidate) pairs for a learned ranker, from training events and side information alone.

Every function here reads the training part that it is given and nothing else: what is held out cannot reach a feature.
The ranker itself lives in `hybrid`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.rank.blend import standardised
from recutils.tables import Dataset, Interactions, Problem

GROUPS = ("cf", "text", "popularity", "context", "traits")
DAY = 86_400.0  # seconds
NEAR = (60.0, 300.0)  # seconds after which the tie of two events of one person has faded to 1/e
LAG = 40  # events back that still count as near; bounds the work for long histories
RECENT_DAYS = 7.0  # half-life of a history's events in the recency-weighted text profile
KERNEL_DAYS = (3.0, 15.0)  # widths of the time windows of an item's popularity
PRIOR = 10.0  # expected events that pull a group's share towards everybody's
AGE_CUTS = (20, 25, 30, 36, 45, 52)  # years
Column = tuple[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Side:
    """What is known beside the events; None where it is not.

    text: (n_items, d) float32, the items' text vectors, centred and of length 1; zeros where an item has no text.
    users, items: the data set's tables, of which age, gender, occupation, year and genres are read where they are.
    missing: sentences on what lacks.
    """

    text: np.ndarray | None
    users: pd.DataFrame | None
    items: pd.DataFrame | None
    missing: tuple[str, ...] = ()

    @cached_property
    def similar(self) -> np.ndarray | None:
        """(n_items, n_items) float32, cosine of the items' centred text vectors; None without texts."""
        return None if self.text is None else self.text @ self.text.T


def side_of(dataset: Dataset, vectors: np.ndarray | None = None) -> Side:
    """The side information of a data set. vectors: (n_items, d) text vectors in row order, or None.

    Vectors that are all zero (no item has a text) count as none. Raises Problem for another number of items or NaN.
    """
    text = None if vectors is None else _centred(vectors, dataset.interactions.n_items)
    lacking = [name for name in ("age", "gender", "occupation") if name not in dataset.users]
    lacking += [name for name in ("year", "genres") if name not in dataset.items]
    missing = [] if text is not None else ["There are no text vectors: the group text is empty."]
    missing += [] if dataset.interactions.has_time else ["There are no times: the group context is empty, and no SAR."]
    missing += [f"Not in these data: {', '.join(lacking)}."] if lacking else []
    return Side(text, dataset.users, dataset.items, tuple(missing))


def _centred(vectors: np.ndarray, n_items: int) -> np.ndarray | None:
    if vectors.ndim != 2 or len(vectors) != n_items or not np.isfinite(vectors).all():
        raise Problem(f"vectors must be finite, one row for each of {n_items} items; got shape {vectors.shape}")
    known = np.abs(vectors).sum(axis=1) > 0
    if not known.any():
        return None
    centred = np.where(known[:, None], vectors - vectors[known].mean(axis=0), 0).astype(np.float32)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-9)


def columns(train: Interactions, side: Side, items: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Group, name and values (n_users, n) float32 of each feature that needs no fitted model.

    items: (n_users, n), the candidates of every user row. NaN marks what is not known.
    """
    makers = {"popularity": _popularity, "context": _context, "text": _text, "traits": _traits}
    for group, make in makers.items():
        for name, values in make(train, side, items):
            yield group, name, np.ascontiguousarray(values, dtype=np.float32)


def _popularity(train: Interactions, side: Side, items: np.ndarray) -> Iterator[Column]:
    """How well known an item is, as a share of events (which transfers to larger parts), and how well it is liked."""
    counts = _counts(train.item, train.n_items)
    values = train.value.to_numpy(np.float64)
    yield "log share", np.log((counts + 1) / len(train))[items]
    yield "place", np.argsort(np.argsort(-counts, kind="stable"), kind="stable")[items]
    sums = np.bincount(train.item, values, train.n_items)
    yield "mean value", ((sums + 5 * values.mean()) / (counts + 5))[items]


def _context(train: Interactions, side: Side, items: np.ndarray) -> Iterator[Column]:
    """When: items met within minutes of the history's, and items that were popular while the user was about."""
    if not train.has_time:
        return
    seconds = train.time.to_numpy().astype("datetime64[s]").astype(np.int64)
    known, lengths = train.matrix("binary"), np.sqrt(_counts(train.item, train.n_items) + 5)
    for fade in NEAR:
        ties = near_in_time(train, seconds, fade) / np.outer(lengths, lengths).astype(np.float32)
        yield f"met within {fade:g} s", standardised(_picked(known @ ties, items))
    days = ((seconds - seconds.min()) // DAY).astype(np.int64)
    for width in KERNEL_DAYS:
        yield f"in vogue, {width:g} days", _vogue(train, days, width, items)
    first = np.full(train.n_items, days.max() + 1)
    np.minimum.at(first, train.item.to_numpy(), days)
    own = _mean_of(train.user, days, train.n_users)[:, None]
    yield "days since first met", own - first[items]
    yield "day of the user", np.broadcast_to(own, items.shape)


def near_in_time(train: Interactions, seconds: np.ndarray, fade: float) -> np.ndarray:
    """Ties (n_items, n_items) float32: the sum over users of exp(-gap / fade) for items met by one user.

    seconds: (n,) time of each event. Of each user's events, in time order, only those at most LAG apart are tied.
    """
    order = np.lexsort((seconds, train.user))
    users, items, times = train.user.to_numpy()[order], train.item.to_numpy()[order], seconds[order]
    ties = np.zeros(train.n_items**2)
    for lag in range(1, min(LAG, len(users) - 1) + 1):
        same = users[lag:] == users[:-lag]
        gap = (times[lag:] - times[:-lag])[same]
        close = gap < 10 * fade
        pair = (items[lag:][same] * train.n_items + items[:-lag][same])[close]
        np.add.at(ties, pair, np.exp(-gap[close] / fade))
    square = ties.reshape(train.n_items, train.n_items)
    return (square + square.T).astype(np.float32)


def _vogue(train: Interactions, days: np.ndarray, width: float, items: np.ndarray) -> np.ndarray:
    """log of an item's share of events in the user's days (smoothed by a Gaussian), over its share of all events."""
    from scipy.ndimage import gaussian_filter1d

    shape = (train.n_items, int(days.max()) + 1)
    by_day = sparse.csr_matrix((np.ones(len(days)), (train.item, days)), shape=shape).toarray()
    smooth = gaussian_filter1d(by_day, width, axis=1)
    shares = smooth / np.maximum(smooth.sum(axis=0), 1e-9)
    ones = np.ones(len(days), dtype=np.float32)
    own = sparse.csr_matrix((ones, (train.user, days)), shape=(train.n_users, shape[1]))
    lengths = np.maximum(np.asarray(own.sum(axis=1)), 1)
    expected = _picked((own @ shares.T) / lengths, items) * len(train)
    return np.log(expected + 2) - np.log(_counts(train.item, train.n_items)[items] + 2)


def _text(train: Interactions, side: Side, items: np.ndarray) -> Iterator[Column]:
    """Cosine of the candidate's text with the history's: mean, weighted by value and by recency, the best, three."""
    if side.similar is None:
        return
    values, user = train.value.to_numpy(np.float64), train.user.to_numpy()
    centred = values - _mean_of(train.user, values, train.n_users)[user]
    weights = {"mean": np.ones(len(values)), "by value": centred}
    if train.has_time:
        seconds = train.time.to_numpy().astype("datetime64[s]").astype(np.float64)
        last = np.zeros(train.n_users)
        np.maximum.at(last, user, seconds)
        weights["recent"] = 2.0 ** ((seconds - last[user]) / (RECENT_DAYS * DAY))
    for name, weight in weights.items():
        table = sparse.csr_matrix((weight.astype(np.float32), (user, train.item)), shape=(train.n_users, train.n_items))
        yield f"cosine, {name}", standardised(_picked(table @ side.similar, items))
    best, three = _nearest(train.matrix("binary"), side.similar, items)
    yield "cosine, best", best
    yield "cosine, three best", three


def _nearest(known: sparse.csr_matrix, similar: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest cosine of each candidate with a met item, and the mean of the three largest; 0 without a history."""
    best, three = np.zeros(items.shape, np.float32), np.zeros(items.shape, np.float32)
    for user, row in enumerate(items):
        met = known.indices[known.indptr[user] : known.indptr[user + 1]]
        if len(met):
            top = np.partition(similar[np.ix_(met, row)], -min(3, len(met)), axis=0)[-min(3, len(met)) :]
            best[user], three[user] = top.max(axis=0), top.mean(axis=0)
    return best, three


def _traits(train: Interactions, side: Side, items: np.ndarray) -> Iterator[Column]:
    """Who: length and mean value of the history, age, what one's group prefers; and what: year, genres."""
    values = train.value.to_numpy(np.float64)
    yield "history length", _for_all(np.log1p(_counts(train.user, train.n_users)), items)
    yield "user's mean value", _for_all(_mean_of(train.user, values, train.n_users), items)
    if side.users is not None:
        yield from _user_groups(train, side.users, items)
    if side.items is not None and "year" in side.items:
        year = pd.to_numeric(side.items["year"], errors="coerce").to_numpy(np.float64)
        own = train.item.map(pd.Series(year)).groupby(train.user).mean().reindex(range(train.n_users)).to_numpy()
        yield "year", year[items]
        yield "years from own mean", np.log1p(np.abs(year[items] - own[:, None]))
    if side.items is not None and "genres" in side.items:
        yield "genre match", standardised(_genre_match(train, side.items["genres"], items))


def _user_groups(train: Interactions, users: pd.DataFrame, items: np.ndarray) -> Iterator[Column]:
    """How much more often a user's age band, gender and occupation meet an item than everybody does; log."""
    if "age" in users:
        age = pd.to_numeric(users["age"], errors="coerce").to_numpy(np.float64)
        yield "age", _for_all(age, items)
        yield "age band's lift", _lift(train, np.digitize(np.nan_to_num(age, nan=-1), AGE_CUTS), items)
    for field in ("gender", "occupation"):
        if field in users:
            group = np.unique(users[field].astype(str).to_numpy(dtype=str), return_inverse=True)[1]
            yield f"{field}'s lift", _lift(train, group, items)


def _lift(train: Interactions, group: np.ndarray, items: np.ndarray) -> np.ndarray:
    """log((events of the group + PRIOR) / (events expected of it + PRIOR)) of each candidate."""
    met = np.zeros((int(group.max()) + 1, train.n_items))
    np.add.at(met, (group[train.user], train.item.to_numpy()), 1)
    expected = met.sum(axis=1, keepdims=True) * met.sum(axis=0) / len(train)
    return np.take_along_axis(np.log((met + PRIOR) / (expected + PRIOR))[group], items, axis=1)


def _genre_match(train: Interactions, genres: pd.Series, items: np.ndarray) -> np.ndarray:
    """The share of the user's events in the candidate's genres, each over its share of all events."""
    flags = genres.fillna("").astype(str).str.get_dummies(", ").to_numpy(np.float64)
    flags = flags / np.sqrt(np.maximum(flags.sum(axis=1, keepdims=True), 1))
    profile = train.matrix("binary") @ flags
    profile /= np.maximum(profile.sum(axis=1, keepdims=True), 1e-9)
    return _picked((profile / np.maximum(profile.mean(axis=0), 1e-3)) @ flags.T, items)


def _picked(scores: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.take_along_axis(np.asarray(scores), items, axis=1)


def _for_all(per_user: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.broadcast_to(per_user[:, None], items.shape)


def _counts(rows: pd.Series, n: int) -> np.ndarray:
    return np.bincount(rows, minlength=n).astype(np.float64)


def _mean_of(rows: pd.Series, values: np.ndarray, n: int) -> np.ndarray:
    """Mean (n,) of the values of each row; 0 for rows without any."""
    return np.bincount(rows, values, n) / np.maximum(_counts(rows, n), 1)
