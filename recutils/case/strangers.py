"""Real data written as strangers write theirs: other names, separators, encodings, dates, doubles and broken lines.

For demonstrations and tests of what reads a folder (data/folder.py, data/guess.py); nothing is read here.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recutils.tables import ITEM_ID, TIME, TITLE, USER_ID, VALUE, Dataset, Problem

MILLISECONDS = "ms"


@dataclass(frozen=True)
class Style:
    """How one owner writes. columns, item_columns: our name -> theirs, in the order of the file.

    items: "" writes no item file. encodings: of events and items; "mixed" writes every other line as cp1252. dates: a
    format of strftime, or "ms" for Unix milliseconds. damaged: lines that are cut, too long or hold no value or date.
    repeated: rows that come twice. order_numbers: a column of running numbers that mean nothing here.
    """

    events: str
    items: str
    columns: Mapping[str, str]
    item_columns: Mapping[str, str]
    separator: str = ","
    encodings: tuple[str, str] = ("utf-8", "utf-8")
    dates: str = "%Y-%m-%d %H:%M:%S"
    decimal: str = "."
    damaged: int = 0
    repeated: int = 0
    order_numbers: bool = False


GERMAN = {USER_ID: "Kunden-Nr", ITEM_ID: "Artikel-Nr", TIME: "Datum", VALUE: "Sterne"}
STYLES: dict[str, Style] = {
    "German shop": Style(
        "bestellungen.csv", "artikel.csv", GERMAN,
        {ITEM_ID: "Artikel-Nr", TITLE: "Bezeichnung", "genres": "Kategorie", "year": "Jahr"},
        ";", ("utf-8-sig", "latin-1"), "%d.%m.%Y %H:%M:%S", ",", damaged=12, repeated=40,
    ),
    "American export": Style(
        "orders.csv", "catalog.csv", {USER_ID: "customer", ITEM_ID: "sku", TIME: "when", VALUE: "stars"},
        {ITEM_ID: "sku", TITLE: "name", "genres": "category"},
        ",", ("cp1252", "cp1252"), "%m/%d/%Y %H:%M:%S", damaged=4, order_numbers=True,
    ),
    "French, two hands": Style(
        "notes.txt", "livres.txt", {TIME: "Jour", USER_ID: "Lecteur", VALUE: "Note", ITEM_ID: "Livre"},
        {TITLE: "Titre", ITEM_ID: "Code"}, "\t", ("utf-8", "mixed"), "%d/%m/%Y", ",", repeated=10,
    ),
    "Log of an app": Style(
        "log.dat", "things.dat", {"": "requestId", USER_ID: "userId", ITEM_ID: "itemId", TIME: "createdAt"},
        {ITEM_ID: "itemId", TITLE: "title"}, "|", ("utf-8", "utf-8"), MILLISECONDS, damaged=3, order_numbers=True,
    ),
    "Saved by a spreadsheet": Style(
        "Ratings.csv", "Movies.csv", {ITEM_ID: "Movie", USER_ID: "Viewer", VALUE: "My Rating", TIME: "Date"},
        {ITEM_ID: "Movie", TITLE: "Title", "year": "Year"}, ";", ("utf-16", "utf-16"), "%d-%m-%Y", ",",
    ),
    "One file, no dates": Style(
        "plays.tsv", "", {USER_ID: "member_id", ITEM_ID: "track", VALUE: "count"}, {}, "\t", ("latin-1", "latin-1"),
    ),
    "Names that say nothing": Style(
        "a.csv", "b.csv", {USER_ID: "f1", ITEM_ID: "f2", VALUE: "f3", TIME: "f4"}, {ITEM_ID: "g1", TITLE: "g2"},
        ";", ("utf-8", "utf-8"), "%d.%m.%Y", damaged=2,
    ),
}  # fmt: skip


def rewrite(dataset: Dataset, folder: Path, style: Style, *, seed: int = 0) -> Path:
    """Write a data set as two CSV files in a stranger's style; returns the folder.

    Raises Problem when the style has a date and the data have none.
    """
    if TIME in style.columns and not dataset.interactions.has_time:
        raise Problem(f"the style dates its rows and {dataset.name} has no times. Leave {TIME!r} out of its columns.")
    rng = np.random.default_rng(seed)
    rows = _rows(dataset, style)
    rows += [rows[place] for place in rng.choice(len(rows), style.repeated, replace=False)]
    lines = _damaged(_lines([*style.columns.values()], rows, style.separator), style, rng)
    _write(folder / style.events, lines, style.encodings[0])
    if style.items:
        names = [name for name in style.item_columns if name in dataset.items]
        cells = [dataset.items[name].astype(str).tolist() for name in names]
        table = [list(row) for row in zip(*cells, strict=True)]
        header = [style.item_columns[name] for name in names]
        _write(folder / style.items, _lines(header, table, style.separator), style.encodings[1])
    return folder


def _rows(dataset: Dataset, style: Style) -> list[list[str]]:
    """The cells of all events, in the order of the style's columns."""
    events = dataset.interactions
    made = {USER_ID: dataset.user_ids.ids(events.user), ITEM_ID: dataset.item_ids.ids(events.item)}
    made[VALUE] = [f"{value:.1f}".replace(".", style.decimal) for value in events.value]
    made[""] = [f"{number:08d}" for number in range(len(events))]
    if TIME in style.columns:
        dated = (
            events.time.dt.strftime(style.dates) if style.dates != MILLISECONDS else events.time.astype("int64") * 1000
        )
        made[TIME] = dated.astype(str)
    return [[str(cell) for cell in row] for row in zip(*(made[name] for name in style.columns), strict=True)]


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]], separator: str) -> list[str]:
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue().splitlines()


def _damaged(lines: list[str], style: Style, rng: np.random.Generator) -> list[str]:
    """The lines with some further ones that are no whole records: cut, too long, without a value, with no such day."""
    kept = list(lines)
    width, names = len(style.columns), [*style.columns]
    for number, place in enumerate(np.sort(rng.choice(np.arange(1, len(lines)), style.damaged, replace=False))[::-1]):
        cells = lines[place].split(style.separator)
        kind = number % 4
        if kind == 2 and VALUE in names:
            cells[names.index(VALUE)] = "n/a"
        elif kind == 3 and TIME in names:
            cells[names.index(TIME)] = "31.02.2001"
        else:
            cells = cells[: width - 1] if kind != 1 else [*cells, *cells]
        kept.insert(int(place), style.separator.join(cells))
    return kept


def _write(path: Path, lines: Sequence[str], encoding: str) -> None:
    """Write lines in an encoding, whole or not at all; "mixed": every other line as cp1252."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if encoding == "mixed":
        ways = ("utf-8", "cp1252")
        raw = b"".join(f"{line}\n".encode(ways[n % 2], errors="replace") for n, line in enumerate(lines))
    else:
        raw = "".join(f"{line}\n" for line in lines).encode(encoding, errors="replace")
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(raw)
    partial.replace(path)
