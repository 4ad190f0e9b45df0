"""Six ways to part interactions into train, valid and test; each says what it pretends. Leakage tests: `leakage`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.tables import Interactions, Problem

TRAIN, VALID, TEST = 0, 1, 2
PARTS = ("train", "valid", "test")
NOBODY = np.empty(0, dtype=np.int64)
Rng = int | np.random.Generator

PRETENDS = {
    "temporal": "Pretends that a model learns once from all that is known at one moment and then serves what comes "
    "after, without learning again.",
    "last": "Pretends that only each user's own last events are unknown: later events of other users are known, so a "
    "model may learn from a future it would not have.",
    "random_users": "Pretends that every history has holes at random: the past is guessed from the future too, so "
    "figures are better than in use.",
    "random_items": "Pretends that ratings are missing at random and every item keeps its share: nothing is new, and "
    "the past is guessed from the future too.",
    "k_fold": "Pretends that single ratings are missing at random: fit to compare rating predictions, not to foresee "
    "what a list will do in use.",
    "cold_items": "Pretends that a part of the catalogue appears today without any history while every other item is "
    "old; time plays no role.",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts of one table of interactions, with the row numbers of the whole.

    name: the kind of split, and its fold if it has folds. pretends: one honest sentence on what it stands for.
    notes: sentences with counts (ties, users too short, users and items without training events).
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    name: str
    pretends: str
    notes: tuple[str, ...] = ()

    def sizes(self) -> dict[str, int]:
        """Number of interactions in each part."""
        return {part: len(getattr(self, part)) for part in PARTS}


def check_shares(shares: Sequence[float]) -> None:
    """Raise Problem unless shares are three numbers that sum to 1; only valid may be 0."""
    came = f"got {tuple(shares)}, sum {sum(shares):g}. For example (.8, .1, .1)."
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise Problem(f"shares must be three numbers (train, valid, test) that sum to 1; {came}")
    if shares[0] == 0 or shares[2] == 0:
        raise Problem(f"train and test need a share above 0; {came}")


def _check_folds(n_folds: int, least: int, n: int, noun: str) -> None:
    if not least <= n_folds <= n:
        raise Problem(f"n_folds must lie in {least}..{n} (there are {n} {noun}); got {n_folds}")


def _check_time(interactions: Interactions, what: str) -> None:
    if not interactions.has_time:
        raise Problem(
            f"{what} needs the column 'time'; these interactions have none. Use split.random_users, or "
            "split.last_n with order='file' if the file is in order of time."
        )


def _strangers(train: Interactions, part: Interactions, name: str) -> list[str]:
    """A note on the users and items of a part that have no training event, if there are any."""
    found = []
    for noun, known, seen in (("users", train.user, part.user), ("items", train.item, part.item)):
        unique = seen.unique()
        n_new = int((~np.isin(unique, known.unique())).sum())
        found += [f"{n_new:,} of {len(unique):,} {noun}"] if n_new else []
    return [f"{name}: {' and '.join(found)} without a training event."] if found else []


def _make(
    interactions: Interactions,
    rows: Sequence[np.ndarray],
    name: str,
    *,
    notes: Sequence[str] = (),
    shares: Sequence[float] = (1, 1, 1),
) -> Split:
    """A Split from three arrays of positions. Raises Problem when a part is empty though its share is above 0."""
    sizes = {part: len(chosen) for part, chosen in zip(PARTS, rows, strict=True)}
    for (part, size), share in zip(sizes.items(), shares, strict=True):
        if size == 0 and share > 0:
            cure = "Give it a larger share, use fewer folds or a smaller n, or bring more interactions."
            raise Problem(f"split {name}: the {part} part would be empty, sizes {sizes}. {cure}")
    train, valid, test = (interactions.only(np.asarray(chosen, dtype=np.int64)) for chosen in rows)
    strangers = _strangers(train, valid, "valid") + _strangers(train, test, "test")
    pretends = next(sentence for kind, sentence in PRETENDS.items() if name.startswith(kind))
    return Split(train, valid, test, name, pretends, (*notes, *strangers))


def _by_label(labels: np.ndarray) -> list[np.ndarray]:
    """Positions of the train, valid and test labels, each in file order."""
    return [np.flatnonzero(labels == label) for label in (TRAIN, VALID, TEST)]


def _place_in_group(groups: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row its place in its group, 0 first, when rows stand in `order`; and the size of its group."""
    sizes = np.bincount(groups)
    by_group = order[np.argsort(groups[order], kind="stable")]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.empty(len(groups), dtype=np.int64)
    place[by_group] = np.arange(len(groups)) - starts
    return place, sizes[groups]


def temporal(interactions: Interactions, shares: Sequence[float] = (0.8, 0.1, 0.1)) -> Split:
    """The oldest events train, the newest test, cut by position after a stable sort by time; parts are in time order.

    Events of one timestamp keep file order, also where a cut falls between them: notes count them.
    Raises Problem without times, for wrong shares and when a part would be empty.
    """
    check_shares(shares)
    _check_time(interactions, "a temporal split")
    order = np.argsort(interactions.time.to_numpy(), kind="stable")
    cuts = np.rint(np.cumsum(shares)[:2] * len(order)).astype(int)
    times = interactions.time.to_numpy()[order]
    notes = [note for cut, part in zip(cuts, PARTS[1:], strict=True) for note in _tie_note(times, cut, part)]
    return _make(interactions, np.split(order, cuts), "temporal", notes=notes, shares=shares)


def _tie_note(times: np.ndarray, cut: int, part: str) -> list[str]:
    """A note when the cut before `part` falls inside one timestamp; times are sorted."""
    if not 0 < cut < len(times) or times[cut - 1] != times[cut]:
        return []
    before = cut - int(np.searchsorted(times, times[cut]))
    after = int(np.searchsorted(times, times[cut], side="right")) - cut
    moment = pd.Timestamp(times[cut]).isoformat(sep=" ")
    told = f"which {before + after} events share: {before} before, {after} after, in file order."
    return [f"The cut before {part} falls inside {moment}, {told}"]


def house(interactions: Interactions, rng: Rng = 0) -> Split:
    """The split of house protocol H: temporal where events have times, else random per user; its name tells which."""
    return temporal(interactions) if interactions.has_time else random_users(interactions, rng=rng)


def frozen(split: Split) -> Split:
    """Train and valid as one training part, for the one reading of test after every choice is made. valid is empty."""
    rows = pd.concat([split.train.rows, split.valid.rows], ignore_index=True)
    train = Interactions(rows, split.train.n_users, split.train.n_items)
    notes = tuple(_strangers(train, split.test, "test"))
    return Split(train, split.valid.only(NOBODY), split.test, f"{split.name}, refitted", split.pretends, notes)


def last_n(interactions: Interactions, n: int = 1, *, order: str = "time") -> Split:
    """Each user's n last events are test, the n before them valid. Rows of each part keep file order.

    Users with fewer than 2n + 1 events stay in train and are counted.
    order: "time" (stable: equal times keep file order; notes count the users whose cut such a tie decides) or "file",
    where the order of the file stands for time. Raises Problem without times and when no user is long enough.
    """
    if n < 1 or order not in ("time", "file"):
        raise Problem(f"n must be at least 1 and order 'time' or 'file'; got n={n}, order={order!r}")
    if order == "time":
        _check_time(interactions, "a split by each user's last events")
    users = interactions.user.to_numpy()
    by_time = order == "time"
    ordered = np.argsort(interactions.time.to_numpy(), kind="stable") if by_time else np.arange(len(users))
    place, size = _place_in_group(users, ordered)
    from_end, short = size - 1 - place, size < 2 * n + 1
    labels = np.select([short, from_end < n, from_end < 2 * n], [TRAIN, TEST, VALID], TRAIN)
    n_short = len(np.unique(users[short]))
    notes = [f"{n_short:,} users with fewer than {2 * n + 1} events stay in train."] if n_short else []
    notes += _user_tie_note(interactions, labels) if by_time else ["The order of the file stands for time."]
    return _make(interactions, _by_label(labels), f"last_{n}", notes=notes)


def _user_tie_note(interactions: Interactions, labels: np.ndarray) -> list[str]:
    """A note on the users whose first test event is at the time of the event before it."""
    time, user = interactions.time, interactions.user
    first = time[labels == TEST].groupby(user[labels == TEST]).min()
    last = time[labels != TEST].groupby(user[labels != TEST]).max()
    tied = int((first == last.reindex(first.index)).sum())
    told = "the first test event is at the time of the event before it; file order decides."
    return [f"For {tied:,} of {len(first):,} users {told}"] if tied else []


def random_users(interactions: Interactions, shares: Sequence[float] = (0.8, 0.1, 0.1), rng: Rng = 0) -> Split:
    """Each user's events are dealt at random to train, valid and test. Rows of each part keep file order.

    Rounding as in RecBole (`_calcu_split_ids`): valid and test get floor(share * n), but 1 where that is 0 and train
    keeps at least one; test is served first. The draw itself is ours. Raises Problem for wrong shares and when a part
    would be empty.
    """
    check_shares(shares)
    draws = np.random.default_rng(rng).random(len(interactions))
    place, size = _place_in_group(interactions.user.to_numpy(), np.argsort(draws, kind="stable"))
    n_train, n_valid = _recbole_sizes(size, shares)
    labels = np.select([place < n_train, place < n_train + n_valid], [TRAIN, VALID], TEST)
    rule = "Valid and test get floor(share x n) of a user's n events, at least 1 while train keeps one"
    notes = [f"{rule}; train holds {np.mean(labels == TRAIN):.1%} of all."] if len(labels) else []
    return _make(interactions, _by_label(labels), "random_users", notes=notes, shares=shares)


def _recbole_sizes(size: np.ndarray, shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of train and valid for histories of the given sizes, by RecBole's rounding."""
    counts = [(share * size).astype(np.int64) for share in shares]
    counts[TRAIN] = size - counts[VALID] - counts[TEST]
    for part in (TEST, VALID):
        wanted = shares[part] * size
        gets_one = (counts[TRAIN] > 1) & (wanted > 0) & (wanted < 1)
        counts[part] = counts[part] + gets_one
        counts[TRAIN] = counts[TRAIN] - gets_one
    return counts[TRAIN], counts[VALID]


def random_items(interactions: Interactions, share: float = 0.75, *, valid_share: float = 0.0, seed: int = 42) -> Split:
    """Each item's events are dealt at random: the first round(share * n_i) in random order train, the others test.

    The split of recommenders-team's public MovieLens benchmark (stratified by item): legacy generator
    `RandomState(seed)`, one draw per row in file order, rows sorted by (item row, draw), rounding half to even as
    Python does. Parts keep that order, on which Surprise's results depend.
    valid_share: this share of train becomes valid, cut in the same way with the generator's next draws.
    Raises Problem for shares outside 0..1 and when a part would be empty.
    """
    if not 0 < share < 1 or not 0 <= valid_share < 1:
        raise Problem(f"share must lie between 0 and 1, valid_share in 0..1; got {share} and {valid_share}")
    generator = np.random.RandomState(seed)
    items = interactions.item.to_numpy()
    train, test = _item_cut(items, np.arange(len(items)), share, generator)
    valid = NOBODY
    if valid_share:
        train, valid = _item_cut(items, train, 1 - valid_share, generator)
    return _make(interactions, (train, valid, test), "random_items", shares=(1, valid_share, 1))


def _item_cut(
    items: np.ndarray, rows: np.ndarray, share: float, generator: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of row positions, sorted by (item, draw): the first round(share * n) of each item, and the rest."""
    draws = generator.rand(len(rows))
    ordered = rows[np.lexsort((draws, items[rows]))]
    place, size = _place_in_group(items[ordered], np.arange(len(ordered)))
    first = place < np.rint(share * size)  # rint rounds half to even, as Python's round
    return ordered[first], ordered[~first]


def k_fold(interactions: Interactions, n_folds: int = 5, rng: Rng = 0) -> list[Split]:
    """n_folds splits whose test parts together are all events once; valid is empty. Rows keep file order.

    The folds are ours; Surprise's published figures need Surprise's own KFold.
    """
    _check_folds(n_folds, 2, len(interactions), "interactions")
    fold = np.empty(len(interactions), dtype=np.int64)
    for number, rows in enumerate(np.array_split(np.random.default_rng(rng).permutation(len(fold)), n_folds)):
        fold[rows] = number
    splits = []
    for number in range(n_folds):
        rows = (np.flatnonzero(fold != number), NOBODY, np.flatnonzero(fold == number))
        splits.append(_make(interactions, rows, f"k_fold_{number + 1}_of_{n_folds}", shares=(1, 0, 1)))
    return splits


def cold_items(interactions: Interactions, n_folds: int = 5, rng: Rng = 0) -> list[Split]:
    """n_folds splits; each leaves one fold of the items out of training altogether, and the next fold, its valid.

    House protocol: items in order of first appearance are permuted by `default_rng(rng)` and cut into n_folds.
    test holds all events of the fold's items, valid all of the next fold's, train the rest; rows keep file order.
    Raises Problem for fewer than 3 folds or more folds than items.
    """
    items = interactions.item.to_numpy()
    appeared = pd.unique(items)
    _check_folds(n_folds, 3, len(appeared), "items with interactions")
    fold_of = np.full(interactions.n_items, -1)
    for number, members in enumerate(np.array_split(np.random.default_rng(rng).permutation(appeared), n_folds)):
        fold_of[members] = number
    return [_cold_fold(interactions, fold_of[items], number, n_folds) for number in range(n_folds)]


def _cold_fold(interactions: Interactions, fold: np.ndarray, number: int, n_folds: int) -> Split:
    """The cold-item split whose test fold is `number`; fold (n,) is the fold of each event's item."""
    labels = np.select([fold == number, fold == (number + 1) % n_folds], [TEST, VALID], TRAIN)
    return _make(interactions, _by_label(labels), f"cold_items_{number + 1}_of_{n_folds}")
