"""Windows of a person's history: some films with opinions, then candidates to judge. No texts and no models here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recutils.tables import ITEM, TIME, USER, VALUE, Interactions, Problem

Rng = int | np.random.Generator


@dataclass(frozen=True)
class Window:
    """What is known about a person, and what is asked. All films are item rows.

    history, likes: the films before the question, oldest first, and whether each was liked. candidates, labels: the
    films that came next, and whether each was liked. Raises Problem when there is no candidate, or lengths differ.
    """

    user: int
    history: tuple[int, ...]
    likes: tuple[bool, ...]
    candidates: tuple[int, ...]
    labels: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not self.candidates:
            raise Problem(f"the window of user {self.user} has no candidate; give at least one film to judge.")
        for films, opinions in ((self.history, self.likes), (self.candidates, self.labels)):
            if len(films) != len(opinions):
                raise Problem(
                    f"user {self.user}: {len(films)} films with {len(opinions)} opinions; one each is needed."
                )

    @property
    def liked(self) -> tuple[int, ...]:
        """The liked films of the history."""
        return tuple(film for film, is_liked in zip(self.history, self.likes, strict=True) if is_liked)

    @property
    def disliked(self) -> tuple[int, ...]:
        """The other films of the history."""
        return tuple(film for film, is_liked in zip(self.history, self.likes, strict=True) if not is_liked)

    @property
    def share(self) -> float:
        """The share of liked films in the history; .5 without any history."""
        return float(np.mean(self.likes)) if self.likes else 0.5

    def first(self, n: int) -> "Window":
        """The same window with its first n candidates."""
        return replace(self, candidates=self.candidates[:n], labels=self.labels[:n])

    def apart(self) -> "list[Window]":
        """One window for each candidate."""
        pairs = zip(self.candidates, self.labels, strict=True)
        return [replace(self, candidates=(film,), labels=(label,)) for film, label in pairs]

    def shuffled(self, rng: Rng) -> "Window":
        """The same films with their opinions, in another order of the history."""
        order = np.random.default_rng(rng).permutation(len(self.history))
        moved = {name: tuple(getattr(self, name)[place] for place in order) for name in ("history", "likes")}
        return replace(self, **moved)

    def dealt(self, rng: Rng) -> "Window":
        """The same films, with as many liked ones, but others."""
        return replace(self, likes=tuple(np.random.default_rng(rng).permutation(self.likes).tolist()))

    def turned(self) -> "Window":
        """The same films, with every opinion of the history turned round."""
        return replace(self, likes=tuple(not is_liked for is_liked in self.likes))


def windows(
    events: Interactions,
    users: Iterable[int],
    *,
    n_history: int = 10,
    n_candidates: int = 1,
    liked: float = 4.0,
    known: np.ndarray | None = None,
    rng: Rng = 0,
) -> list[Window]:
    """One window for each of the users, at a random place of the history; who has too few events is left out.

    A window is n_history events in a row and the n_candidates that follow, in order of time (equal times, and data
    without times, keep file order). liked: the value from which on a film counts as liked. known: (n_items,) bool,
    False for items without a title, which are passed over. As in TALLRec (Bao and others 2023), except that the place
    is drawn and the people are parted, not the time. Raises Problem for sizes below 1.
    """
    if n_history < 1 or n_candidates < 1:
        raise Problem(f"n_history and n_candidates must be at least 1; got {n_history} and {n_candidates}")
    rng = np.random.default_rng(rng)
    rows = events.rows if known is None else events.rows[np.asarray(known)[events.rows[ITEM].to_numpy()]]
    rows = rows.sort_values(TIME, kind="stable") if events.has_time else rows
    by_user = {user: group for user, group in rows.groupby(USER)}
    found = []
    for user in users:
        group, start = by_user.get(user), rng.random()
        spare = (0 if group is None else len(group)) - n_history - n_candidates
        if spare >= 0:
            found.append(_window(group, int(start * (spare + 1)), n_history, n_candidates, liked))
    return found


def _window(group: "object", start: int, n_history: int, n_candidates: int, liked: float) -> Window:
    """The window of one user's events that begins at `start`."""
    part = group.iloc[start : start + n_history + n_candidates]
    films = tuple(int(film) for film in part[ITEM])
    likes = tuple(bool(value >= liked) for value in part[VALUE])
    user = int(part[USER].iloc[0])
    return Window(user, films[:n_history], likes[:n_history], films[n_history:], likes[n_history:])


def deal(users: Sequence[int] | np.ndarray, sizes: Sequence[int], rng: Rng = 0) -> list[np.ndarray]:
    """Disjoint random groups of users of these sizes, all smaller in proportion when there are too few users.

    Raises Problem when a group would have fewer than 2.
    """
    users, wanted = np.asarray(users), np.asarray(sizes)
    shrunk = wanted if wanted.sum() <= len(users) else wanted * len(users) // wanted.sum()
    if shrunk.min() < 2:
        raise Problem(f"{len(users)} users cannot be parted like {list(sizes)}; each group needs 2. Bring more users.")
    order = np.random.default_rng(rng).permutation(users)
    return [np.sort(part) for part in np.split(order, np.cumsum(shrunk))[:-1]]


def few(labels: np.ndarray, n: int, rng: Rng = 0) -> np.ndarray:
    """n random rows, with both labels among them. Raises Problem when that cannot be."""
    labels = np.asarray(labels, dtype=bool)
    if not 2 <= n <= len(labels) or labels.all() or not labels.any():
        raise Problem(f"{n} of {len(labels)} labels with both kinds among them cannot be drawn.")
    order = np.random.default_rng(rng).permutation(len(labels))
    first, rest = order[:n], order[n:]
    if labels[first].all() or not labels[first].any():
        first[-1] = rest[np.argmax(labels[rest] != labels[first[0]])]
    return first


def labels_of(asked: Sequence[Window]) -> np.ndarray:
    """The labels of all candidates of all windows, (n,) bool. Raises Problem when they are all alike."""
    labels = np.array([label for window in asked for label in window.labels], dtype=bool)
    if len(labels) == 0 or labels.all() or not labels.any():
        kind = "no label" if not len(labels) else f"only {'liked' if labels.all() else 'disliked'} films"
        raise Problem(f"{len(asked)} windows hold {kind}; both kinds are needed. Take more windows.")
    return labels


def owners(asked: Sequence[Window]) -> np.ndarray:
    """The user of each candidate of all windows, (n,) int64, in the order of `labels_of`."""
    return np.repeat([window.user for window in asked], [len(window.labels) for window in asked])
