"""Cleaning that a reader can follow: k-core, duplicates, titles, item texts, a profile. No files, no languages."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from recutils.tables import ITEM, ITEM_ID, TIME, TITLE, USER, VALUE, Dataset, Interactions, Problem

RULES = ("error", "first", "last", "sum", "max")
ARTICLES = "The|A|An|La|Le|Les|L'|Il|Lo|I|Gli|El|Los|Las|Der|Die|Das|Det|Den|De|Het|O|Os|Un|Une|Una|Ein|Eine"
YEAR_AT_END = re.compile(r"\s*\((\d{4})\)\s*(?:\(V\))?\s*$")
ARTICLE_AT_END = re.compile(rf"^(.+), ({ARTICLES})$", re.IGNORECASE)


def drop_duplicates(interactions: Interactions, rule: str = "last") -> Interactions:
    """One row for each pair of user and item, at the place of the row that is kept.

    rule: "first" or "last" by time (without times, and among equal times, by file order); "sum" and "max" put that
    value on the last row; "error" raises Problem when a pair occurs twice.
    """
    if rule not in RULES:
        raise Problem(f"the rule for duplicates must be one of {RULES}; got {rule!r}")
    rows = interactions.rows
    double = rows.duplicated([USER, ITEM], keep=False)
    if not double.any():
        return interactions
    if rule == "error":
        raise Problem(f"{int(double.sum())} rows repeat a pair of user and item. Choose first, last, sum or max.")
    ordered = rows.sort_values(TIME, kind="stable") if interactions.has_time else rows
    kept = ordered.drop_duplicates([USER, ITEM], keep="first" if rule == "first" else "last").sort_index()
    if rule in ("sum", "max"):
        kept = kept.assign(**{VALUE: rows.groupby([USER, ITEM])[VALUE].transform(rule).loc[kept.index]})
    return Interactions(kept, interactions.n_users, interactions.n_items)


def k_core(interactions: Interactions, k: int = 5, *, k_items: int | None = None) -> Interactions:
    """The largest part in which every user has at least k events and every item k_items (None: k too).

    Users and items are removed in turn until nothing changes. Row numbers stay; `compact` renumbers. Raises Problem
    when nothing is left.
    """
    least = {USER: k, ITEM: k if k_items is None else k_items}
    rows, size = interactions.rows, -1
    while size != len(rows):
        size = len(rows)
        for column, n in least.items():
            rows = rows[np.bincount(rows[column])[rows[column]] >= n] if len(rows) else rows
    if not len(rows):
        raise Problem(f"no users with {k} and items with {least[ITEM]} events are left. Choose a smaller k.")
    return Interactions(rows, interactions.n_users, interactions.n_items)


def compact(dataset: Dataset, interactions: Interactions, *, keep_items: bool = False) -> Dataset:
    """The data set with these interactions and only the users and items in them, renumbered in their old order.

    keep_items: all items stay.
    """
    users = np.unique(interactions.user)
    items = np.arange(interactions.n_items) if keep_items else np.unique(interactions.item)
    rows = interactions.rows.assign(
        **{USER: np.searchsorted(users, interactions.user), ITEM: np.searchsorted(items, interactions.item)}
    )
    return replace(
        dataset,
        interactions=Interactions(rows, len(users), len(items)),
        users=dataset.users.iloc[users].reset_index(drop=True),
        items=dataset.items.iloc[items].reset_index(drop=True),
    )


class Title(NamedTuple):
    """A film's title in reading order, and its year, None where the text gives none."""

    title: str
    year: int | None


def _article_first(title: str) -> str:
    """'Matrix, The' -> 'The Matrix'; "Uomo, L'" -> "L'Uomo"."""
    found = ARTICLE_AT_END.match(title.strip())
    if not found:
        return title.strip()
    name, article = found.groups()
    return f"{article}{name}" if article.endswith("'") else f"{article} {name}"


def normal_title(text: str) -> Title:
    """A film's title with its article first, also in parentheses, and the year that MovieLens writes at the end.

    >>> normal_title("Matrix, The (1999)")
    Title(title='The Matrix', year=1999)
    >>> normal_title("Postino, Il (Postman, The) (1994)").title
    'Il Postino (The Postman)'
    >>> normal_title("I Love You, I Love You Not (1996)").title
    'I Love You, I Love You Not'
    """
    year = YEAR_AT_END.search(text)
    parts = re.split(r"\s*\(([^()]*)\)", text[: year.start()] if year else text)
    main, others = _article_first(parts[0]), [_article_first(part) for part in parts[1::2]]
    rest = "".join(parts[2::2]).strip()
    title = " ".join(piece for piece in (main, rest, *(f"({other})" for other in others)) if piece)
    return Title(title, int(year.group(1)) if year else None)


def normal_titles(items: pd.DataFrame) -> pd.DataFrame:
    """The items with titles in reading order; a year found in a title fills an empty or missing column year."""
    found = [normal_title(title) for title in items[TITLE]]
    years = pd.Series([title.year for title in found], index=items.index, dtype="Int64")
    changed = items.assign(**{TITLE: [title.title for title in found]})
    if years.notna().any():
        changed["year"] = changed["year"].fillna(years) if "year" in changed else years
    return changed


def title_key(title: str) -> str:
    """A title for joins with other lists: article first, without parentheses, case, accents and punctuation.

    >>> title_key("Misérables, Les (1995)") == title_key("les miserables")
    True
    """
    main = re.sub(r"\s*\([^()]*\)", "", normal_title(title).title)
    plain = unicodedata.normalize("NFKD", main.casefold().replace("&", " and "))
    return " ".join(re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c)).replace("'", "")))


def _present(value: object) -> str:
    """A cell as text, "" for a missing one."""
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def item_texts(items: pd.DataFrame, fields: Sequence[str] | None = None) -> list[str]:
    """One text for each item, in row order: "Title (Year). Genres: A, B" and so on, field by field.

    fields: columns after the title; None takes year and every text column. A missing cell leaves its piece out, so a
    model can see that it is missing: where that tells the answer, choose fields that all items have. An item without
    any text gets "". Raises Problem for an unknown column.
    """
    if fields is None:
        chosen = [name for name in items if name == "year" or pd.api.types.is_string_dtype(items[name])]
        fields = [name for name in chosen if name not in (ITEM_ID, TITLE)]
    unknown = [name for name in fields if name not in items]
    if unknown:
        raise Problem(f"items have no column {unknown}; found {list(items.columns)}. Check the spelling of fields.")
    columns = [items[name] for name in (TITLE, *fields)]
    return [_text(cells, fields) for cells in zip(*columns, strict=True)]


def _text(cells: Sequence[object], fields: Sequence[str]) -> str:
    """The text of one item; cells are its title and its fields."""
    title, *values = map(_present, cells)
    pairs = [(name, value) for name, value in zip(fields, values, strict=True) if value]
    year = "".join(f" ({value})" for name, value in pairs if name == "year")
    pieces = [f"{name.replace('_', ' ').capitalize()}: {value}" for name, value in pairs if name != "year"]
    full = [piece for piece in (f"{title}{year}".strip(), *pieces) if piece]
    return " ".join([piece if piece[-1] in ".!?" else f"{piece}." for piece in full[:-1]] + full[-1:])


def gini(counts: np.ndarray) -> float:
    """The Gini coefficient of non-negative counts: 0 when all are equal, 1 - 1/n when one has everything.

    counts: (n,), zeros included. Raises Problem unless they are finite, not negative and not all 0.

    >>> [round(gini(counts), 3) for counts in ([2, 2, 2, 2, 2], [0, 0, 0, 0, 7], [1, 2, 3, 4, 5])]
    [0.0, 0.8, 0.267]
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    if ordered.ndim != 1 or not np.isfinite(ordered).all() or (ordered < 0).any() or ordered.sum() == 0:
        raise Problem("counts must be one row of finite numbers >= 0, not all 0")
    n = len(ordered)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float(weights @ ordered / (n * ordered.sum()))


def profile(dataset: Dataset) -> pd.DataFrame:
    """What a data set looks like, as a table with columns measure, value and unit.

    Users and items are the rows of their tables, with or without events; the Gini coefficient is over all items;
    density is the share of pairs met; a tied time is shared with another event of the same user.
    """
    events = dataset.interactions
    if not len(events):
        raise Problem(f"{dataset.name} has no interactions to profile. Check the files, or sample more users.")
    per_user = np.bincount(events.user, minlength=events.n_users)
    per_item = np.bincount(events.item, minlength=events.n_items)
    active = per_user[per_user > 0]
    lines = [
        ("users", events.n_users, ""),
        ("items", events.n_items, ""),
        ("items without an interaction", int((per_item == 0).sum()), ""),
        ("interactions", len(events), ""),
        ("density", events.matrix("binary").nnz / (events.n_users * events.n_items), "share of pairs"),
        ("median history", float(np.median(active)), "interactions per user"),
        ("users with one interaction", float((active == 1).mean()), "share of users"),
        ("concentration of items (Gini)", gini(per_item), "0 even, 1 all on one"),
        ("mean value", float(events.value.mean()), ""),
    ]
    return pd.DataFrame(lines + _times(events), columns=["measure", "value", "unit"], dtype=object)


def _times(events: Interactions) -> list[tuple[str, object, str]]:
    """The lines of the profile that need times."""
    if not events.has_time:
        return [("first event", "no times", ""), ("last event", "no times", "")]
    tied = events.rows.duplicated([USER, TIME], keep=False).mean()
    days = [
        (name, str(moment.date()), "UTC")
        for name, moment in (("first event", events.time.min()), ("last event", events.time.max()))
    ]
    return [*days, ("tied times of one user", float(tied), "share of interactions")]
