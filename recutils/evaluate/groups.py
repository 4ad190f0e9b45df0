"""Who belongs to which slice: users by history, taste, fields and time, items by popularity. Nothing is judged here.

All cuts come from the training part (or the users table), never from the part that is judged. Nobody is dropped: who
has no history, no stated field or no training event gets a group of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from recutils.evaluate.hits import stored_entries
from recutils.evaluate.task import Task
from recutils.tables import USER_ID, Interactions, Problem

NO_FIELD, OTHER = "not stated", "other"
MOST_GROUPS = 8  # values of a field that get a group each


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of the judged users (in the order of the task) or of all items (by row).

    of: (n,) int, the place of each one's group in `labels`. rule: one sentence on where the cuts are.
    Raises Problem when somebody is in no group or a label stands twice.
    """

    name: str
    labels: tuple[str, ...]
    of: np.ndarray
    rule: str

    def __post_init__(self) -> None:
        """Check that this is a partition."""
        if len(set(self.labels)) != len(self.labels) or self.of.ndim != 1:
            raise Problem(f"{self.name}: labels must differ and `of` be one row; got {self.labels}, {self.of.shape}")
        if len(self.of) and not (0 <= self.of.min() and self.of.max() < len(self.labels)):
            came = f"{self.of.min()}..{self.of.max()}"
            raise Problem(f"{self.name}: each one must be in a group 0..{len(self.labels) - 1}; got {came}")

    @property
    def sizes(self) -> dict[str, int]:
        """How many there are in each group, empty ones included."""
        return dict(zip(self.labels, np.bincount(self.of, minlength=len(self.labels)).tolist(), strict=True))

    def mask(self, label: str) -> np.ndarray:
        """(n,) bool, True for the members of one group."""
        if label not in self.labels:
            raise Problem(f"{self.name} has no group {label!r}; its groups are {list(self.labels)}")
        return self.of == self.labels.index(label)

    def full_name(self, label: str) -> str:
        """What the records call a group: "history: short (1 to 40)"."""
        return f"{self.name}: {label}"


def by_history(task: Task, train: Interactions, cuts: tuple[int, int] | None = None) -> Groups:
    """The task's users by the number of items in training: new, short, middle, long.

    cuts: the most items of a short and of a middle history; None: the thirds of the users who have training events.
    """
    lengths = np.diff(train.matrix().indptr)
    active = lengths[lengths > 0]
    short, middle = cuts or _third_lengths(active)
    if not 1 <= short < middle:
        raise Problem(f"cuts must be two numbers of items, 1 <= short < middle; got {short} and {middle}")
    labels = (
        "new (0)",
        f"short (1 to {short})",
        f"middle ({short + 1} to {middle})",
        f"long ({middle + 1} and more)",
    )
    source = "as given" if cuts else f"the thirds of the {len(active):,} people with training events"
    rule = f"History: items in training; the cuts after {short} and {middle} are {source}."
    return Groups("history", labels, np.searchsorted((0, short, middle), lengths[task.users]), rule)


def _third_lengths(active: np.ndarray) -> tuple[int, int]:
    """Where the thirds of the lengths end; two different numbers also when all lengths are one."""
    short, middle = np.quantile(active, (1 / 3, 2 / 3), method="lower").astype(int).tolist()
    return short, max(middle, short + 1)


def by_taste(task: Task, train: Interactions) -> Groups:
    """The task's users by how well known the items of their history are: no history, niche, between, crowd.

    Known to: the share of the users with training events who have an item, as a mean over the history. The cuts are the
    thirds of these users. Long histories reach further down the catalogue, so that taste and length go together.
    """
    share = _known_to(train)
    low, high = np.nanquantile(share, (1 / 3, 2 / 3)).tolist()
    if low == high:
        raise Problem("every history is equally popular, so that nobody is niche or crowd; leave this slice out.")
    own = share[task.users]
    place = np.where(np.isnan(own), 0, 1 + np.searchsorted((low, high), own, side="left"))
    labels = ("no history", f"niche (up to {low:.1%})", "between", f"crowd (above {high:.1%})")
    rule = (
        f"Taste: the share of people who know an item, as a mean over the history; the cuts {low:.1%} and {high:.1%} "
        f"are the thirds of the {int(np.isfinite(share).sum()):,} people with training events."
    )
    return Groups("taste", labels, place, rule)


def _known_to(train: Interactions) -> np.ndarray:
    """(n_users,) mean share of active users who have a history's items; NaN without a history."""
    entries = stored_entries(train.matrix("binary"))
    lengths = np.diff(entries.indptr)
    holders = np.bincount(entries.indices, minlength=entries.shape[1]) / max(1, (lengths > 0).sum())
    return np.divide(entries @ holders, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)


def usable_fields(users: pd.DataFrame, most: int = MOST_GROUPS) -> list[str]:
    """Fields of the users table that part people into few groups: numbers, or text with 2 to `most` values."""
    found = []
    for name in users.columns.drop(USER_ID):
        n_values = users[name].nunique()
        if n_values >= 2 and (n_values <= most or pd.api.types.is_numeric_dtype(users[name])):
            found.append(name)
    return found


def by_field(task: Task, users: pd.DataFrame, field: str, *, most: int = MOST_GROUPS) -> Groups:
    """The task's users by a field of the users table; who states nothing is "not stated".

    Numbers with more than `most` values are cut into the thirds of the table; of text with more, the rarer values
    become "other". Raises Problem for an unknown field and for one that is the same for all.
    """
    if field not in users.columns or field == USER_ID:
        raise Problem(f"the users table has no field {field!r}; it has {[n for n in users.columns if n != USER_ID]}")
    column = users[field]
    n_values = column.nunique()
    if n_values < 2:
        raise Problem(f"the field {field!r} has {n_values} value(s), which parts nobody; leave it out.")
    numeric = pd.api.types.is_numeric_dtype(column)
    named, order, rule = _thirds(column) if numeric and n_values > most else _values(column, most)
    labels = (*order, NO_FIELD) if column.isna().any() else tuple(order)
    place = pd.Index(labels).get_indexer(named.fillna(NO_FIELD))
    return Groups(field, labels, place[task.users], f"{field.capitalize()}: {rule}.")


def _thirds(column: pd.Series) -> tuple[pd.Series, list[str], str]:
    """The labels of a column of numbers cut into thirds, their order, and the rule."""
    low, high = column.quantile([1 / 3, 2 / 3]).tolist()
    order = list(dict.fromkeys((f"up to {low:g}", f"above {low:g} to {high:g}", f"above {high:g}")))
    named = pd.cut(column, [-np.inf, low, high, np.inf], labels=order) if low < high else _two(column, low, order)
    return named.astype(object), order, f"cut at {low:g} and {high:g}, the thirds of the users table"


def _two(column: pd.Series, cut: float, order: list[str]) -> pd.Series:
    """Labels when both cuts fall on one value."""
    return pd.Series(np.where(column <= cut, order[0], order[-1]), column.index).where(column.notna())


def _values(column: pd.Series, most: int) -> tuple[pd.Series, list[str], str]:
    """The labels of a column with few values, or its commonest and "other"; numbers in their order, text by count."""
    counts = column.value_counts()
    kept = counts.index if len(counts) <= most else counts.index[: most - 1]
    named = column.astype(object).where(column.isin(kept) | column.isna(), OTHER)
    ordered = sorted(kept) if pd.api.types.is_numeric_dtype(column) else list(kept)
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in ordered]
    named = named.map({**dict(zip(ordered, texts, strict=True)), OTHER: OTHER})
    more = [OTHER] if len(counts) > most and OTHER not in texts else []
    return named, [*texts, *more], "one group for each value" + (", rarer ones together" if len(counts) > most else "")


def by_first_day(task: Task, part: Interactions, *, days: int = 0, most: int = 6) -> Groups:
    """The task's users by the day of their first event in the judged part, counted from its beginning: time drift.

    days: length of a period; 0: whole weeks, as many as keep it to `most` periods. Later ones join the last period.
    Raises Problem without times.
    """
    seconds = part.time.to_numpy().astype("datetime64[s]").astype(np.int64)
    first = np.full(part.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, part.user.to_numpy(), seconds)
    age = (first[task.users] - seconds.min()) // 86_400
    span = int((seconds.max() - seconds.min()) // 86_400) + 1
    days = days or 7 * -(-span // (7 * most))
    n_periods = min(most, -(-span // days))
    labels = [f"days {days * n + 1} to {days * (n + 1)}" for n in range(n_periods)]
    if span > days * n_periods:
        labels[-1] = f"day {days * (n_periods - 1) + 1} on"
    rule = f"First day: of a person's first event in a part of {span:,} days, in periods of {days} days."
    return Groups("first day", tuple(labels), np.minimum(age // days, n_periods - 1), rule)


def by_popularity(train: Interactions, share: float = 0.5) -> Groups:
    """All items: head (the best known, which hold `share` of the training events), tail, new (no training event).

    Items with as many holders as the last of the head belong to it, too.
    """
    if not 0 < share < 1:
        raise Problem(f"share must lie between 0 and 1, such as 0.5; got {share}")
    holders = np.bincount(train.matrix("binary").indices, minlength=train.n_items)
    ordered = np.sort(holders)[::-1]
    least = max(1, ordered[np.searchsorted(np.cumsum(ordered), share * holders.sum())])
    place = np.select([holders >= least, holders > 0], [0, 1], 2)
    n_head = int((place == 0).sum())
    rule = f"Head: the {n_head:,} items with at least {least} people in training, which hold {share:.0%} of its events."
    return Groups("items", ("head", "tail", "new"), place, rule)


def user_groups(
    task: Task, train: Interactions, users: pd.DataFrame, fields: Sequence[str] = ()
) -> tuple[list[Groups], list[str]]:
    """All partitions of the task's users that these data allow, and a sentence for each that they do not.

    fields: of the users table; none: those that `usable_fields` finds.
    """
    makers: dict[str, Callable[[], Groups]] = {
        "history": lambda: by_history(task, train),
        "taste": lambda: by_taste(task, train),
    }
    for field in fields or usable_fields(users):
        makers[field] = partial(by_field, task, users, field)
    found, missing = [], []
    for name, make in makers.items():
        try:
            found.append(make())
        except Problem as fault:
            missing.append(f"No slice by {name}: {fault}")
    if len(makers) == 2:
        missing.append("No slice by a field: the users table has none that parts people into few groups.")
    return found, missing
