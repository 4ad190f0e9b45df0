"""Windows of people's histories as labelled pairs of texts: what somebody met so far, and one more item.

Movies: does the person like the next film? Articles: was this one read, or drawn from those that were not? The texts
are for a reader of pairs (a cross-encoder) or for two towers; the rows behind them serve the simple rules. Nothing is
learnt here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from recutils.data.labelled import Labelled
from recutils.data.prepare import item_texts
from recutils.tables import TITLE, Dataset, Interactions, Problem

LIKED = 4.0
LEVELS = {2: ("not liked", "liked"), 3: ("low", "middle", "high"), 5: ("1", "2", "3", "4", "5")}
NEGATIVES = ("popular", "uniform")
TURNED = re.compile(r"^(.*), (The|An?|Les?|La|Das|Der|Die|El|Il)$")


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs(Labelled):
    """Labelled windows: texts are the people's, seconds the items', groups the users' rows.

    items: (n,) rows of the items asked about. before: n arrays of item rows, the history that the person's text tells,
    oldest first (in the order of the item rows where there is no time). values: n arrays, what these were given.
    positions: (n,) rows of the interactions asked about, -1 for an item that was never met.
    """

    items: np.ndarray
    before: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    positions: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("items", "before", "values", "positions"):
            if len(getattr(self, name)) != len(self):
                raise Problem(f"{self.name}: {len(self)} pairs, but {len(getattr(self, name))} {name}; one each.")

    def only(self, rows: np.ndarray) -> "Pairs":
        """These rows, in this order. Raises Problem when they hold a single class."""
        rows = np.asarray(rows)
        whole = ("name", "classes", "notes")
        chosen = {one.name: _taken(getattr(self, one.name), rows) for one in fields(self) if one.name not in whole}
        return Pairs(**chosen, **{name: getattr(self, name) for name in whole})

    def liked_share(self) -> np.ndarray:
        """The share of liked items in each window's history, (n,): the rule that needs no text."""
        return np.array([float(np.mean(values >= LIKED)) for values in self.values])


def _taken(values: tuple | np.ndarray, rows: np.ndarray) -> tuple | np.ndarray:
    return tuple(values[row] for row in rows) if isinstance(values, tuple) else values[rows]


def movie_pairs(dataset: Dataset, n_windows: int = 1000, *, history: int = 8, classes: int = 2, seed: int = 0) -> Pairs:
    """n_windows events, spread evenly over the users, each with the `history` events before it and its rating as label.

    Only events strictly earlier count as before, so that ratings given in one second never explain one another.
    classes: 2 (liked, from LIKED on, or not), 3 (low to 2, middle 3, high from 4) or 5 (the rating itself).
    Raises Problem for data without opinions or times, other scales than 1..5, and when there are too few windows.
    """
    _check_movies(dataset, history, classes)
    rows = dataset.interactions.rows
    order = np.argsort(rows["time"].to_numpy(), kind="stable")
    seen = {user: found for user, found in pd.Series(order).groupby(rows["user"].to_numpy()[order])}
    windows = [one for user in sorted(seen) for one in _windows(seen[user].to_numpy(), dataset.interactions, history)]
    asked = np.array([position for position, _ in windows], dtype=np.int64)
    chosen = _spread(rows["user"].to_numpy()[asked], n_windows, seed, dataset.name)
    return _movies(dataset, [windows[row] for row in chosen], classes)


def _check_movies(dataset: Dataset, history: int, classes: int) -> None:
    if not dataset.explicit or not dataset.interactions.has_time:
        lacks = "opinions (ratings)" if not dataset.explicit else "times"
        raise Problem(f"preference windows need ratings with times; {dataset.name} has no {lacks}. Use article_pairs.")
    if classes not in LEVELS or history < 1:
        raise Problem(f"classes must be 2, 3 or 5 and history at least 1; got {classes} and {history}")
    low, high = dataset.interactions.value.min(), dataset.interactions.value.max()
    if low < 0.5 or high > 5:
        raise Problem(f"ratings must lie in .5..5; {dataset.name} has {low:g}..{high:g}. Rescale them before.")


def _windows(mine: np.ndarray, found: Interactions, history: int) -> Iterator[tuple[int, np.ndarray]]:
    """(event, the `history` events before it) of one user, whose events `mine` stand in order of time."""
    times = found.time.to_numpy()[mine]
    n_before = np.searchsorted(times, times, side="left")  # strictly earlier
    for place in np.flatnonzero(n_before >= history):
        yield int(mine[place]), mine[n_before[place] - history : n_before[place]]


def _spread(users: np.ndarray, n: int, seed: int, name: str) -> np.ndarray:
    """n places, one of each user before a second of any, in random order; fewer users are touched only when n is."""
    if not 2 <= n <= len(users):
        raise Problem(
            f"{name}: {n} windows wanted, from 2 to {len(users)} are possible. Ask for fewer, or less history."
        )
    rng = np.random.default_rng((seed, n))
    order = rng.permutation(len(users))
    turn = pd.Series(users[order]).groupby(users[order]).cumcount().to_numpy()
    return order[np.argsort(turn, kind="stable")[:n]][rng.permutation(n)]


def _movies(dataset: Dataset, windows: Sequence[tuple[int, np.ndarray]], classes: int) -> Pairs:
    rows = dataset.interactions.rows
    item, value = rows["item"].to_numpy(), rows["value"].to_numpy()
    titles, shown = _titles(dataset), item_words(dataset)
    asked = np.array([position for position, _ in windows], dtype=np.int64)
    before, values = (tuple(table[past] for _, past in windows) for table in (item, value))
    texts = tuple(told(titles, past, given) for past, given in zip(before, values, strict=True))
    return Pairs(
        name=f"{dataset.name} preference", texts=texts, seconds=tuple(shown[row] for row in item[asked]),
        labels=levels(value[asked], classes), classes=LEVELS[classes], groups=rows["user"].to_numpy()[asked],
        items=item[asked], before=before, values=values, positions=asked,
        notes=(f"{len(asked):,} events of {rows['user'].iloc[asked].nunique():,} users, after {len(before[0])} each.",),
    )  # fmt: skip


def levels(values: np.ndarray, classes: int) -> np.ndarray:
    """Ratings (n,) as places in LEVELS[classes], int64; half stars go to the star above from 3 classes on.

    >>> levels(np.array([1.0, 3.0, 3.5, 4.0, 5.0]), 3), levels(np.array([3.5, 4.0]), 2)
    (array([0, 1, 2, 2, 2]), array([0, 1]))
    """
    if classes == 2:
        return (np.asarray(values) >= LIKED).astype(np.int64)
    stars = np.clip(np.ceil(values), 1, 5).astype(np.int64) - 1
    return stars if classes == 5 else np.clip(stars - 1, 0, 2)


def told(titles: Sequence[str], items: np.ndarray, values: np.ndarray) -> str:
    """A history in words, in its order: "likes A, B; dislikes C". Not liked is whatever is below LIKED."""
    liked = [titles[item] for item, value in zip(items, values, strict=True) if value >= LIKED]
    others = [titles[item] for item, value in zip(items, values, strict=True) if value < LIKED]
    parts = [f"{verb} {', '.join(names)}" for verb, names in (("likes", liked), ("dislikes", others)) if names]
    return "; ".join(parts)


def _titles(dataset: Dataset) -> list[str]:
    """Titles by item row, as people say them ("The Edge" for "Edge, The"); "unknown" where there is none."""
    return [TURNED.sub(r"\2 \1", str(title).strip()) or "unknown" for title in dataset.items[TITLE].fillna("")]


def item_words(dataset: Dataset) -> list[str]:
    """What the item side of a pair says: the title and, where the data have them, year and genres."""
    there = [name for name in ("genres", "year") if name in dataset.items]
    table = dataset.items[[TITLE, *there]].assign(**{TITLE: _titles(dataset)})
    return [text.strip() or "unknown" for text in item_texts(table, there)]


def article_pairs(
    dataset: Dataset, n_windows: int = 1000, *, history: int = 8, negatives: str = "popular", seed: int = 0
) -> Pairs:
    """Pairs of a reader and an article, half read and half not: each reader's window asks about one of each.

    The history are up to `history` other items of the reader: the latest strictly earlier ones where there is time,
    else drawn at random (articles has no time, so this foresees nothing: it fills a gap). The item that was not met is
    drawn "popular", in proportion to its readers, so that being popular alone does not give the answer away, or
    "uniform" over all items not met. Raises Problem for other words, an odd number and too few readers.
    """
    if negatives not in NEGATIVES or history < 1 or n_windows % 2:
        came = f"{negatives!r}, {history} and {n_windows}"
        raise Problem(f"negatives must be one of {NEGATIVES}, history at least 1, n_windows even; got {came}")
    rng = np.random.default_rng((seed, n_windows, history))
    rows = dataset.interactions.rows
    windows = _read_windows(dataset.interactions, history, rng)
    users = rows["user"].to_numpy()
    chosen = _spread(users[[position for position, _ in windows]], n_windows // 2, seed, dataset.name)
    picked = [windows[row] for row in chosen]
    unread = _unread(dataset.interactions, users[[position for position, _ in picked]], negatives, rng)
    return _articles(dataset, picked, unread, negatives, rng)


def _read_windows(found: Interactions, history: int, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """(event, earlier events or others of the same reader) of all events with at least one such."""
    times = found.time.to_numpy() if found.has_time else None
    order = np.argsort(times, kind="stable") if times is not None else np.arange(len(found))
    windows = []
    for _, mine in pd.Series(order).groupby(found.user.to_numpy()[order]):
        mine = mine.to_numpy()
        for place, position in enumerate(mine):
            past = mine[times[mine] < times[position]][-history:] if times is not None else np.delete(mine, place)
            if len(past):
                windows.append((int(position), past if times is not None else _some(past, history, rng)))
    return windows


def _some(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.permutation(rows)[:n])


def _unread(found: Interactions, users: np.ndarray, negatives: str, rng: np.random.Generator) -> np.ndarray:
    """An item for each user that the user never met, (n,). Raises Problem for a user who met everything."""
    met = found.matrix("binary")
    weight = np.asarray(met.sum(axis=0)).ravel() if negatives == "popular" else np.ones(found.n_items)
    drawn = np.empty(len(users), dtype=np.int64)
    for place, user in enumerate(users):
        left = weight.copy()
        left[met[user].indices] = 0
        if left.sum() == 0:
            raise Problem(f"user row {user} has met every item; nothing is left as not met. Leave this user out.")
        drawn[place] = rng.choice(len(left), p=left / left.sum())
    return drawn


def _articles(
    dataset: Dataset,
    picked: list[tuple[int, np.ndarray]],
    unread: np.ndarray,
    negatives: str,
    rng: np.random.Generator,
) -> Pairs:
    item, value = (dataset.interactions.rows[name].to_numpy() for name in ("item", "value"))
    positions = np.array([position for position, _ in picked], dtype=np.int64)
    twice, asked = np.tile(np.arange(len(picked)), 2), np.concatenate([item[positions], unread])
    labels = np.repeat([1, 0], len(picked))
    where = np.where(labels == 1, positions[twice], -1)
    titles, order = _titles(dataset), rng.permutation(len(twice))
    past = [picked[row][1] for row in twice[order]]
    n_readers = len(np.unique(dataset.interactions.user.to_numpy()[positions]))
    return Pairs(
        name=f"{dataset.name} reading", texts=tuple("read " + "; ".join(titles[i] for i in item[one]) for one in past),
        seconds=tuple(titles[row] for row in asked[order]), labels=labels[order], classes=("not read", "read"),
        groups=dataset.interactions.user.to_numpy()[positions[twice[order]]], items=asked[order],
        before=tuple(item[one] for one in past), values=tuple(value[one] for one in past), positions=where[order],
        notes=(f"{len(twice):,} pairs of {n_readers:,} readers; items not read are drawn {negatives}.",),
    )  # fmt: skip


def to_rank(dataset: Dataset, windows: Pairs, shown: np.ndarray) -> Pairs:
    """Each window's person beside each of the first items of `shown` that were not met before: n x c pairs in order.

    windows: one for each person, as movie_pairs gave them. shown: item rows, in the order in which they are taken, such
    as the most popular ones; each person gets as many as all can. The label tells whether the person liked the item at
    the window's event or later. Raises Problem for several windows of one person, and when fewer than two are left.
    """
    if len(np.unique(windows.groups)) < len(windows):
        raise Problem("one window for each person is expected; some have several. Keep the first of each.")
    rows = dataset.interactions.rows
    user, item, time = (rows[name].to_numpy() for name in ("user", "item", "time"))
    old, later = [], []
    for person, asked in zip(windows.groups, windows.positions, strict=True):
        mine = user == person
        old.append(np.isin(shown, item[mine & (time < time[asked])]))
        later.append(np.isin(shown, item[mine & (time >= time[asked]) & (rows["value"].to_numpy() >= LIKED)]))
    n_each = min(int((~one).sum()) for one in old)
    if n_each < 2:
        raise Problem(f"{len(shown)} items are too few: somebody has met all but {n_each}. Name more items to show.")
    places = np.stack([np.flatnonzero(~one)[:n_each] for one in old])
    who = np.repeat(np.arange(len(windows)), n_each)
    items, words = shown[places.ravel()], item_words(dataset)
    return Pairs(
        name=f"{dataset.name} lists", texts=tuple(windows.texts[row] for row in who),
        seconds=tuple(words[row] for row in items), classes=LEVELS[2], groups=windows.groups[who], items=items,
        labels=np.concatenate([one[place] for one, place in zip(later, places, strict=True)]).astype(np.int64),
        before=tuple(windows.before[row] for row in who), values=tuple(windows.values[row] for row in who),
        positions=np.full(len(who), -1), notes=(f"{len(windows)} people, {n_each} items each.",),
    )  # fmt: skip
