"""A folder of the user's own CSV files as a Dataset, by what dataset.toml says of it and nothing else.

How a single file and its cells are read is in `cells`; what a folder without dataset.toml may mean is guessed in
`guess`, which proposes a dataset.toml for its owner to read.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recutils.data.broken import once, readable
from recutils.data.cells import (
    BROKEN,
    DATES,
    DECIMALS,
    CsvTable,
    check_ids,
    parse_times,
    parse_values,
    read_csv,
)
from recutils.data.formats import build_dataset, count
from recutils.data.language import language
from recutils.data.names import near
from recutils.data.prepare import RULES, drop_duplicates
from recutils.tables import ITEM_ID, TIME, TITLE, USER_ID, VALUE, Dataset, Problem, check_columns

OWN_FILES = ("interactions.csv", "items.csv", "users.csv", "dataset.toml")
TABLES = ("interactions", "items", "users")
DRAFT = "in dataset.toml, which `python -m recutils data guess {folder}` drafts."
MAX_RATING_LEVELS = 20  # a value with more different numbers is read as a count or a price, not as an opinion


@dataclass(frozen=True)
class Settings:
    """What dataset.toml says. columns: for each table, our name -> the column's name in the file.

    files: table -> file name, where it is not interactions.csv and so on. decimal, dates: as in `cells.read_numbers`
    and `cells.read_times`. broken: "error", or "skip", which leaves broken rows out of interactions.csv and notes them.
    """

    name: str
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    duplicates: str = "error"
    explicit: bool | None = None
    broken: str = "error"
    decimal: str = "."
    dates: str = "iso"
    files: dict[str, str] = field(default_factory=dict)


def _check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Problem(f"dataset.toml: {where} {unknown} is unknown; known are {list(known)}. Check the spelling.")


def read_settings(folder: Path, said: Path | None = None) -> Settings:
    """What dataset.toml says, or the folder's name and the defaults. Raises Problem for unknown keys and values.

    said: another place of dataset.toml, such as a proposal that lies outside a folder that must not be written to.
    """
    path = said or folder / "dataset.toml"
    if not path.exists():
        return Settings(folder.resolve().name)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Problem(f"dataset.toml is not valid TOML: {fault}. Correct that line.") from None
    _check_keys(raw, ("name", "files", "columns", "cells", "rules"), "key")
    rules, cells, files = raw.get("rules", {}), raw.get("cells", {}), raw.get("files", {})
    _check_keys(rules, ("duplicates", "explicit", "broken"), "key under [rules]")
    _check_keys(cells, ("decimal", "dates"), "key under [cells]")
    _check_keys(files, TABLES, "table under [files]")
    found = Settings(
        str(raw.get("name", folder.resolve().name)), _mappings(raw.get("columns", {})), **rules, **cells, files=files
    )
    _check_settings(found, rules, cells)
    return found


def _check_settings(found: Settings, rules: dict[str, Any], cells: dict[str, Any]) -> None:
    if found.duplicates not in RULES or not (found.explicit is None or isinstance(found.explicit, bool)):
        wanted = f"duplicates must be one of {list(RULES)} and explicit true or false"
        raise Problem(f"dataset.toml: under [rules] {wanted}; got {rules}.")
    if found.broken not in BROKEN:
        raise Problem(f"dataset.toml: under [rules] broken must be one of {list(BROKEN)}; got {found.broken!r}.")
    if found.decimal not in DECIMALS or not (found.dates in DATES or "%" in str(found.dates)):
        wanted = f"decimal must be one of {list(DECIMALS)}, dates one of {list(DATES)} or a format such as '%d.%m.%y'"
        raise Problem(f"dataset.toml: under [cells] {wanted}; got {cells}.")
    outside = [name for name in found.files.values() if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise Problem(f"dataset.toml: under [files] write names of files in this folder; got {outside}.")


def own_files(folder: Path) -> list[Path]:
    """The files that a folder's data are read from, those that are there; they name its cache and are not overwritten.

    Raises Problem for a dataset.toml that cannot be read.
    """
    files = read_settings(folder).files
    names = [files.get(name.removesuffix(".csv"), name) for name in OWN_FILES]
    return [folder / name for name in names if (folder / name).is_file()]


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
    places = {table: folder / settings.files.get(table, f"{table}.csv") for table in TABLES}
    if not places["interactions"].is_file():
        found = sorted(path.name for path in folder.iterdir())[:10]
        cure = "Add it, with columns user_id, item_id and, if known, value and time; or name your own files and columns"
        came = f"{folder} holds no {places['interactions'].name}; found {found}."
        raise Problem(f"{came} {cure} {DRAFT.format(folder=folder)}")
    absent = [table for table in settings.files if not places[table].is_file()]
    if absent:
        found = sorted(path.name for path in folder.iterdir())[:10]
        came = f"dataset.toml names {settings.files[absent[0]]!r} under [files], which is not there"
        raise Problem(f"{came}; found {found}. Correct the name.")
    found = {table: read_csv(path, broken=settings.broken) for table, path in places.items() if path.is_file()}
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


def _need(table: CsvTable, required: tuple[str, ...], name: str) -> None:
    """Raise Problem for a missing column: what was found, which of it may be meant, and the lines to write."""
    lacking = [column for column in required if column not in table.rows]
    meant = {ours: found for ours in lacking for found in [near(ours, [*table.rows])] if found}
    if lacking and not meant:
        check_columns(table.rows, required, table.path.name)
    if lacking:
        came = f"{table.path.name}: column {', '.join(map(repr, lacking))} is missing; found {[*table.rows]}."
        lines = "  ".join(f'{ours} = "{theirs[0]}"' for ours, theirs in meant.items())
        names = "; ".join(f"{ours} may be {' or '.join(map(repr, theirs))}" for ours, theirs in meant.items())
        raise Problem(f"{came} By their names {names}. If so, write in dataset.toml: [columns.{name}]  {lines}")


def _events(table: CsvTable, settings: Settings) -> tuple[pd.DataFrame, list[str]]:
    """user_id, item_id, value (1 where the file has none) and perhaps time, in file order; notes on other columns."""
    _need(table, (USER_ID, ITEM_ID), "interactions")
    check_ids(table, USER_ID)
    check_ids(table, ITEM_ID)
    events = table.rows[[USER_ID, ITEM_ID]].copy()
    events[VALUE] = parse_values(table, settings.decimal) if VALUE in table.rows else 1.0
    if TIME in table.rows:
        events[TIME] = parse_times(table, settings.dates)
    others = [name for name in table.rows if name not in (USER_ID, ITEM_ID, VALUE, TIME)]
    notes = [f"{table.path.name}: columns {others} are not used."] if others else []
    return events.reset_index(drop=True), notes


def _skipped(tables: dict[str, CsvTable], settings: Settings) -> dict[str, CsvTable]:
    """The tables without the rows that cannot be read, where dataset.toml asks for it."""
    if settings.broken != "skip":
        return tables
    _need(tables["interactions"], (USER_ID, ITEM_ID), "interactions")
    keys = {"items": ITEM_ID, "users": USER_ID}
    found = {"interactions": readable(tables["interactions"], settings.decimal, settings.dates)}
    for name, key in keys.items():
        if name in tables:
            _need(tables[name], (key,), name)
            found[name] = once(tables[name], key)
    return found


def _keyed(table: CsvTable, name: str, key: str, required: tuple[str, ...]) -> pd.DataFrame:
    """A table of items or users. Raises Problem for missing columns and for missing or repeated ids."""
    _need(table, required, name)
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
    items = _keyed(tables["items"], "items", ITEM_ID, (ITEM_ID, TITLE))
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


def read_folder(folder: Path, said: Path | None = None) -> Dataset:
    """The Dataset of a folder with interactions.csv, and if there items.csv, users.csv and dataset.toml.

    said: another place of dataset.toml (`read_settings`). Raises Problem naming file, line and cure for whatever cannot
    be read; what can be kept is kept and noted.
    """
    settings = read_settings(folder, said)
    tables = _skipped(_read_tables(folder, settings), settings)
    notes = [note for table in tables.values() for note in table.notes]
    events, event_notes = _events(tables["interactions"], settings)
    if settings.duplicates == "error":
        _check_duplicates(tables["interactions"])
    items, item_notes = _items(tables, events)
    explicit, value_notes = _explicit(events, settings)
    fields = {"items": items} | (
        {"users": _keyed(tables["users"], "users", USER_ID, (USER_ID,))} if "users" in tables else {}
    )
    notes += event_notes + item_notes + value_notes
    dataset = build_dataset(settings.name, events, fields, explicit=explicit, notes=notes)
    kept = drop_duplicates(dataset.interactions, settings.duplicates)
    merged = len(dataset.interactions) - len(kept)
    note = f"{count(merged, 'row')} of repeated pairs merged by the rule {settings.duplicates!r}."
    return replace(dataset, interactions=kept, notes=(*dataset.notes, note)) if merged else dataset
