"""What an encoder reads of a person: named templates over the training events. No model here, no item texts (items.py).

The text holds titles and genres only, never an id, an age or a place: what is encoded tells taste and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.encode.items import clean
from recutils.tables import ITEM, TITLE, USER, Dataset, Interactions, Problem

N_GENRES = 4  # genres that a text names


@dataclass(frozen=True)
class UserTemplate:
    """Which pieces a person's text has, in this order.

    likes: "time" (the latest titles), "value" (the best rated ones, the later first among equals) or "" (no titles).
    dislikes: name the worst rated titles too, of those at least one deviation below the person's own mean rating.
    genres: name the commonest genres.
    """

    likes: str = ""
    dislikes: bool = False
    genres: bool = False

    def needs(self) -> list[str]:
        """What the data must have, in words."""
        wanted = {"times": self.likes == "time", "genres": self.genres, "ratings that differ": self.dislikes}
        return [name for name, is_wanted in wanted.items() if is_wanted]


USER_TEMPLATES: dict[str, UserTemplate] = {
    "recent": UserTemplate(likes="time"),
    "best": UserTemplate(likes="value"),
    "best and worst": UserTemplate(likes="value", dislikes=True),
    "genres": UserTemplate(genres=True),
    "best and genres": UserTemplate(likes="value", genres=True),
}


def fillable_users(dataset: Dataset, train: Interactions) -> list[str]:
    """Names of the templates that these data can fill, in the order of USER_TEMPLATES."""
    return [name for name, template in USER_TEMPLATES.items() if not _lacking(template, dataset, train)]


def user_texts(
    dataset: Dataset, train: Interactions, users: Sequence[int] | np.ndarray, template: str = "best", *, n: int = 8
) -> list[str]:
    """One text for each of the users (rows), from training events: "Likes Toy Story, Alien. Dislikes Batman."

    template: one of USER_TEMPLATES. n: at most so many titles, likes and dislikes each. Items without a title are
    passed over; a user without events, or whose items tell nothing, gets "", to which an encoder gives zeros.
    Equal times and values keep file order, the later row first.
    Raises Problem for an unknown template, one that these data cannot fill, users outside the table and n below 1.
    """
    chosen = _checked(dataset, train, template, n)
    wanted = np.asarray(users, dtype=np.int64)
    if len(wanted) and not (wanted.min() >= 0 and wanted.max() < train.n_users):
        raise Problem(f"users must be rows 0..{train.n_users - 1}; got {wanted.min()}..{wanted.max()}")
    rows = train.rows[train.user.isin(wanted)]
    events = dict(tuple(_latest_first(rows).groupby(USER, sort=False)))
    titles = np.array([clean(cell) for cell in dataset.items[TITLE]], dtype=object)
    genres = _genres(dataset) if chosen.genres else []
    none = rows.head(0)
    return [_text(events.get(user, none), chosen, titles, genres, n) for user in wanted.tolist()]


def genre_mix(items: np.ndarray, genres: Sequence[Sequence[str]]) -> list[str]:
    """The commonest genres of the items, most frequent first, equal ones by name; at most N_GENRES.

    >>> genre_mix(np.array([0, 1, 2]), [["Drama"], ["Comedy", "Drama"], []])
    ['Drama', 'Comedy']
    """
    counts = pd.Series([genre for item in items for genre in genres[item]], dtype=object).value_counts()
    return sorted(counts.index, key=lambda genre: (-counts[genre], genre))[:N_GENRES]


def _checked(dataset: Dataset, train: Interactions, template: str, n: int) -> UserTemplate:
    if template not in USER_TEMPLATES:
        raise Problem(f"there is no user template {template!r}; expected one of {', '.join(USER_TEMPLATES)}.")
    if n < 1:
        raise Problem(f"n must be at least 1 title; got {n}")
    lacking = _lacking(USER_TEMPLATES[template], dataset, train)
    if lacking:
        cure = ", ".join(fillable_users(dataset, train))
        raise Problem(f"{dataset.name}: user template {template!r} needs {' and '.join(lacking)}. Use one of: {cure}.")
    return USER_TEMPLATES[template]


def _lacking(template: UserTemplate, dataset: Dataset, train: Interactions) -> list[str]:
    found = {"times": train.has_time, "genres": "genres" in dataset.items}
    found["ratings that differ"] = bool(train.value.nunique() > 1)
    return [name for name in template.needs() if not found[name]]


def _latest_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows from last to first: by time, and equal times (without times: all) by their place in the file."""
    turned = rows.iloc[::-1]
    return turned.sort_values("time", ascending=False, kind="stable") if "time" in rows else turned


def _genres(dataset: Dataset) -> list[list[str]]:
    cells = map(clean, dataset.items["genres"])
    return [[genre.strip() for genre in cell.split(",") if genre.strip()] for cell in cells]


def _text(
    events: pd.DataFrame, template: UserTemplate, titles: np.ndarray, genres: Sequence[Sequence[str]], n: int
) -> str:
    """The text of one user; events with the latest first."""
    pieces = []
    if template.likes:
        ordered = events.sort_values("value", ascending=False, kind="stable") if template.likes == "value" else events
        pieces.append(("Likes", _named(ordered, titles, n)))
    if template.dislikes:
        liked = {title for _, names in pieces for title in names}
        pieces.append(("Dislikes", [title for title in _named(_worst(events), titles, n) if title not in liked]))
    if template.genres:
        pieces.append(("Mostly" if template.likes else "Likes", genre_mix(events[ITEM].to_numpy(), genres)))
    return " ".join(f"{label} {', '.join(names)}." for label, names in pieces if names)


def _worst(events: pd.DataFrame) -> pd.DataFrame:
    """Events rated at least one deviation below the mean of all, the worst first."""
    rest = events.value - events.value.mean()
    low = (rest < 0) & (rest <= 1e-9 - events.value.std(ddof=0))
    return events[low].sort_values("value", kind="stable")


def _named(events: pd.DataFrame, titles: np.ndarray, n: int) -> list[str]:
    """The first n titles that are not empty, each once."""
    found = dict.fromkeys(titles[events[ITEM].to_numpy()])
    return [title for title in found if title][:n]
