"""Which tables of a folder hold events and which items, by the ids that they share. What columns mean is in `guess`."""

from collections.abc import Sequence
from pathlib import Path

from recutils.data.cells import CsvTable, read_csv
from recutils.data.names import named
from recutils.tables import ITEM_ID, USER_ID, Problem

ENDINGS = (".csv", ".tsv", ".txt", ".dat")
LOOKED_AT = 20_000  # rows whose cells are looked at
RIVAL = 0.15  # two columns whose points differ by less stand for one guess that is unsure


def tables_of(folder: Path) -> list[CsvTable]:
    """The tables that can be read. Raises Problem when there is none."""
    if not folder.is_dir():
        raise Problem(f"{folder} is no folder; expected one with your CSV files.")
    found = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS):
        try:
            table = read_csv(path, broken="skip")
        except Problem:
            continue
        if len(table.rows.columns) > 1:
            found.append(table)
    if not found:
        names = sorted(path.name for path in folder.iterdir())[:10]
        raise Problem(f"{folder} holds no table with two columns or more; found {names}. Export your events as CSV.")
    return found


Key = tuple[str, str, float]  # column of the events, column of the items, share of the events' cells found there


def pair(tables: Sequence[CsvTable]) -> tuple[CsvTable, CsvTable | None, Key | None]:
    """The events, and the items whose ids they name most; the longest table alone when no two belong together."""
    best: tuple[float, CsvTable, CsvTable, Key] | None = None
    for items in tables:
        for theirs in items.rows:
            ids = items.rows[theirs]
            if named(ITEM_ID, theirs) == 0 and ids.nunique() < 0.9 * len(ids):
                continue
            for events in tables:
                key = _key(events, items, theirs) if events is not items else None
                worth = key[2] + named(ITEM_ID, theirs) + named(ITEM_ID, key[0]) if key else 0.0
                if key and key[2] >= 0.5 and (best is None or worth > best[0]):
                    best = (worth, events, items, key)
    return best[1:] if best else (max(tables, key=lambda table: len(table.rows)), None, None)


def _key(events: CsvTable, items: CsvTable, theirs: str) -> Key | None:
    """The column of the events that repeats the ids of a column of the items, with the share that is found there.

    Users may be numbered like items: then the names decide, and `rival` tells whether they could.
    """
    shares = _shares(events, items, theirs)
    name = max(shares, key=lambda one: shares[one] + _leaning(one), default=None)
    return None if name is None else (name, theirs, shares[name])


def _shares(events: CsvTable, items: CsvTable, theirs: str) -> dict[str, float]:
    """For each column of the events that repeats itself, the share of its cells that are ids of the items."""
    ids, looked = set(items.rows[theirs]), events.rows.head(LOOKED_AT)
    return {name: float(looked[name].isin(ids).mean()) for name in looked if looked[name].duplicated().any()}


def _leaning(name: str) -> float:
    """Above 0 when a column's name speaks for items, below when for users."""
    return named(ITEM_ID, name) - named(USER_ID, name)


def rival(events: CsvTable, items: CsvTable, key: Key) -> str | None:
    """Another column of the events that could name the items as well, if the names do not tell them apart."""
    shares = _shares(events, items, key[1])
    for name, share in shares.items():
        if name != key[0] and share > key[2] - RIVAL and _leaning(name) >= _leaning(key[0]):
            return name
    return None
