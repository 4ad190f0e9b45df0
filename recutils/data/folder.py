"""A folder of the user's own CSV files as a Dataset. How a single file and its cells are read is in `cells`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recutils.data.cells import CsvTable, check_ids, parse_times, parse_values, read_csv
from recutils.data.formats import build_dataset, count
from recutils.data.language import language
from recutils.data.prepare import RULES, drop_duplicates
from recutils.tables import ITEM_ID, TIME, TITLE, USER_ID, VALUE, Dataset, Problem, check_columns

OWN_FILES = ("interactions.csv", "items.csv", "users.csv", "dataset.toml")
TABLES = ("interactions", "items", "users")
MAX_RATING_LEVELS = 20  # a value with more different numbers is read as a count or a price, not as an opinion


@dataclass(frozen=True)
class Settings:
    """What dataset.toml says. columns: for each table, our name -> the column's name in the file."""

    name: str
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    duplicates: str = "error"
    explicit: bool | None = None


def _check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Problem(f"dataset.toml: {where} {unknown} is unknown; known are {list(known)}. Check the spelling.")


def read_settings(folder: Path) -> Settings:
    """What dataset.toml says, or the folder's name and the defaults. Raises Problem for unknown keys and values."""
    path = folder / "dataset.toml"
    if not path.exists():
        return Settings(folder.resolve().name)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Problem(f"dataset.toml is not valid TOML: {fault}. Correct that line.") from None
    _check_keys(raw, ("name", "columns", "rules"), "key")
    rules = raw.get("rules", {})
    _check_keys(rules, ("duplicates", "explicit"), "key under [rules]")
    duplicates, explicit = rules.get("duplicates", "error"), rules.get("explicit")
    if duplicates not in RULES or not (explicit is None or isinstance(explicit, bool)):
        wanted = f"duplicates must be one of {list(RULES)} and explicit true or false"
        raise Problem(f"dataset.toml: under [rules] {wanted}; got {rules}.")
    name = str(raw.get("name", folder.resolve().name))
    return Settings(name, _mappings(raw.get("columns", {})), duplicates, explicit)


def _mappings(raw: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Names for each table: [columns] serves all, [columns.items] that table alone."""
    shared = {ours: theirs for ours, theirs in raw.items() if not isinstance(theirs, dict)}
    own = {table: names for table, names in raw.items() if isinstance(names, dict)}
    _check_keys(own, TABLES, "table under [columns]")
    for ours, theirs in [pair for names in (shared, *own.values()) for pair in names.items()]:
        if not isinstance(theirs, str):
            raise Problem(f'dataset.toml: under [columns] write {ours} = "your column"; got {ours} = {theirs!r}.')
    return {table: {**shared, **own.get(table, {})} for table in TABLES}


def _read_tables(folder: Path, settings: Settings) -> dict[str, CsvTable]:
    """The CSV files that are there, under our column names.

    Raises Problem when interactions.csv or a mapped column is missing.
    """
    if not (folder / "interactions.csv").is_file():
        found = sorted(path.name for path in folder.iterdir())[:10]
        cure = "Add it, with columns user_id, item_id and, if known, value and time."
        raise Problem(f"{folder} holds no interactions.csv; found {found}. {cure}")
    found = {table: read_csv(folder / f"{table}.csv") for table in TABLES if (folder / f"{table}.csv").is_file()}
    headers = {table: list(read.rows.columns) for table, read in found.items()}
    wanted = {theirs for names in settings.columns.values() for theirs in names.values()}
    missing = sorted(wanted - {name for names in headers.values() for name in names})
    if missing:
        raise Problem(f"dataset.toml maps columns {missing}, which no file has; found {headers}. Correct the names.")
    return {table: _renamed(read, settings.columns.get(table, {})) for table, read in found.items()}


def _renamed(table: CsvTable, names: dict[str, str]) -> CsvTable:
    """The table under our names; a column that already had such a name gives way to the mapped one."""
    known = {ours: theirs for ours, theirs in names.items() if theirs in table.rows and theirs != ours}
    rows = table.rows.drop(columns=[ours for ours in known if ours in table.rows])
    return replace(table, rows=rows.rename(columns={theirs: ours for ours, theirs in known.items()}))


def _events(table: CsvTable) -> tuple[pd.DataFrame, list[str]]:
    """user_id, item_id, value (1 where the file has none) and perhaps time, in file order; notes on other columns."""
    check_columns(table.rows, [USER_ID, ITEM_ID], "interactions.csv")
    check_ids(table, USER_ID)
    check_ids(table, ITEM_ID)
    events = table.rows[[USER_ID, ITEM_ID]].copy()
    events[VALUE] = parse_values(table) if VALUE in table.rows else 1.0
    if TIME in table.rows:
        events[TIME] = parse_times(table)
    others = [name for name in table.rows if name not in (USER_ID, ITEM_ID, VALUE, TIME)]
    notes = [f"interactions.csv: columns {others} are not used."] if others else []
    return events.reset_index(drop=True), notes


def _keyed(table: CsvTable, key: str, required: tuple[str, ...]) -> pd.DataFrame:
    """A table of items or users. Raises Problem for missing columns and for missing or repeated ids."""
    check_columns(table.rows, required, table.path.name)
    check_ids(table, key)
    double = table.rows[key].duplicated(keep=False)
    if double.any():
        raise table.fault(double, key, "each id once", "Keep one row for each id.")
    rows = table.rows[[*required, *(name for name in table.rows if name not in required)]].reset_index(drop=True)
    if "year" in rows:
        years = pd.to_numeric(rows["year"].replace("", None), errors="coerce")
        whole = years.notna() | (rows["year"] == "")
        rows["year"] = years.astype("Int64") if whole.all() and (years.dropna() % 1 == 0).all() else rows["year"]
    return rows


def _items(tables: dict[str, CsvTable], events: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The item table and notes: on titles that are missing, on a language that is not English."""
    if "items" not in tables:
        ids = events[ITEM_ID].unique()
        note = "There is no items.csv: the ids stand for titles, and text models have nothing to read."
        return pd.DataFrame({ITEM_ID: ids, TITLE: ids}), [note]
    items = _keyed(tables["items"], ITEM_ID, (ITEM_ID, TITLE))
    _check_overlap(items, events)
    empty = int((items[TITLE] == "").sum())
    if empty == len(items):
        cure = "Fill the column title, or map another column to it in dataset.toml."
        raise Problem(f"items.csv: all {empty} titles are empty; expected text. {cure}")
    notes = [f"items.csv: {count(empty, 'item')} without a title."] if empty else []
    notice = language(items[TITLE]).notice
    return items, [*notes, notice] if notice else notes


def _check_overlap(items: pd.DataFrame, events: pd.DataFrame) -> None:
    """Raise Problem when no interaction knows any item: the two files write their ids differently."""
    if not events[ITEM_ID].isin(items[ITEM_ID]).any():
        ours, theirs = items[ITEM_ID].iloc[0], events[ITEM_ID].iloc[0]
        came = f"no item_id of interactions.csv (such as {theirs!r}) is in items.csv (such as {ours!r})"
        raise Problem(f"{came}; expected the same ids in both. Write them alike.")


def _check_duplicates(table: CsvTable) -> None:
    double = table.rows.duplicated([USER_ID, ITEM_ID], keep=False)
    if double.any():
        pair = table.rows.assign(pair=table.rows[USER_ID] + " and " + table.rows[ITEM_ID])
        rule = 'duplicates = "last" (or first, sum, max) under [rules] in dataset.toml'
        cure = f"Keep one row for each pair, or write {rule}."
        raise replace(table, rows=pair).fault(double, "pair", "each user_id and item_id together once", cure)


def _explicit(events: pd.DataFrame, settings: Settings) -> tuple[bool, list[str]]:
    """Whether the values are opinions, and how that was decided."""
    levels = events[VALUE].nunique()
    if settings.explicit is not None or levels == 1:
        return bool(settings.explicit), []
    explicit = levels <= MAX_RATING_LEVELS and settings.duplicates != "sum"
    kind = "opinions (ratings)" if explicit else "events or counts"
    other = str(not explicit).lower()
    cure = f"explicit = {other} under [rules] in dataset.toml changes that."
    return explicit, [f"Values ({levels} different) are read as {kind}; {cure}"]


def read_folder(folder: Path) -> Dataset:
    """The Dataset of a folder with interactions.csv, and if there items.csv, users.csv and dataset.toml.

    Raises Problem naming file, line and cure for whatever cannot be read; what can be kept is kept and noted.
    """
    settings = read_settings(folder)
    tables = _read_tables(folder, settings)
    notes = [note for table in tables.values() for note in table.notes]
    events, event_notes = _events(tables["interactions"])
    if settings.duplicates == "error":
        _check_duplicates(tables["interactions"])
    items, item_notes = _items(tables, events)
    explicit, value_notes = _explicit(events, settings)
    fields = {"items": items} | ({"users": _keyed(tables["users"], USER_ID, (USER_ID,))} if "users" in tables else {})
    notes += event_notes + item_notes + value_notes
    dataset = build_dataset(settings.name, events, fields, explicit=explicit, notes=notes)
    kept = drop_duplicates(dataset.interactions, settings.duplicates)
    merged = len(dataset.interactions) - len(kept)
    note = f"{count(merged, 'row')} of repeated pairs merged by the rule {settings.duplicates!r}."
    return replace(dataset, interactions=kept, notes=(*dataset.notes, note)) if merged else dataset
