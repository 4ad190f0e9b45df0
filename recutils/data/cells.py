"""Reads a CSV file of unknown separator and encoding as text and turns its cells into ids, numbers and times.

Each fault names file, line, value and cure. Which files and columns make a data set is in `folder`.
"""

import csv
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.tables import TIME, VALUE, Problem

SEPARATORS = (",", ";", "\t")
NOT_AN_ID = ("", "nan", "null", "none")  # what programs write for "nothing here"
MILLISECONDS_FROM = 1e11  # Unix seconds reach this in the year 5138
LATEST = pd.Timestamp("2200-01-01")
CSV_CURE = 'Quote cells that hold the separator or a line break, as in "a, b", and save as UTF-8 CSV.'


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A CSV file as text.

    rows: cells are str, stripped, "" where missing; the index is the record's number in the file, 0 after the header.
    """

    path: Path
    rows: pd.DataFrame
    separator: str
    encoding: str
    notes: tuple[str, ...] = ()

    def lines(self, records: list[int]) -> list[int]:
        """File lines (1 is the first) on which records begin, also where cells hold line breaks."""
        wanted, found, start = set(records), [], 1
        with self.path.open(encoding=self.encoding, newline="") as stream:
            reader = csv.reader(stream, delimiter=self.separator)
            for number, _ in enumerate(islice(reader, max(records) + 2), -1):  # the header is record -1
                found += [start] if number in wanted else []
                start = reader.line_num + 1
        return found

    def fault(self, bad: np.ndarray | pd.Series, column: str, expected: str, cure: str) -> Problem:
        """The Problem for the rows of a bool mask: file, first line and value, number of rows, further lines, cure."""
        chosen = self.rows[np.asarray(bad)]
        lines = self.lines(chosen.index[:3].tolist())
        more = f" {len(chosen):,} such rows, on lines {', '.join(map(str, lines))}{' ...' if len(chosen) > 3 else ''}."
        came = f"{self.path.name}, line {lines[0]}: {column} {chosen[column].iloc[0]!r}; expected {expected}."
        return Problem(f"{came}{more if len(chosen) > 1 else ''} {cure}")


def _encoding(raw: bytes, name: str) -> tuple[str, list[str]]:
    """The encoding of a file's bytes, and a note where it is not UTF-8. Raises Problem for an Excel or zip file."""
    if raw.startswith(b"PK\x03\x04") or b"\x00" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Problem(f"{name} is not a text file. Save the table as CSV (UTF-8), not as a workbook or an archive.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", [f"{name} is UTF-16."]
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = raw[: fault.start].count(b"\n") + 1
        return "latin-1", [f"{name} is not UTF-8 (line {line}); read as latin-1: check names with accents."]
    return "utf-8-sig", []


def _header(path: Path, encoding: str) -> tuple[list[str], str]:
    """Column names and separator, taken from the first line. Raises Problem for repeated names."""
    with path.open(encoding=encoding, newline="") as stream:
        line = stream.readline()
    separator = max(SEPARATORS, key=line.count)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    if not any(header):
        raise Problem(f"{path.name}, line 1: expected column names; the line is blank. Remove what stands before them.")
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double:
        raise Problem(f"{path.name}, line 1: columns {double} occur twice; found {header}. Rename one of each.")
    return [name or f"unnamed {number}" for number, name in enumerate(header, 1)], separator


def read_csv(path: Path) -> CsvTable:
    """A CSV file as text; separator (comma, semicolon, tab) and encoding are found by looking; blank lines skipped.

    Raises Problem for an empty file, a file without rows, repeated column names and rows with too many cells.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise Problem(f"{path.name} is empty; expected a line of column names and rows below it. Export it again.")
    encoding, notes = _encoding(raw, path.name)
    header, separator = _header(path, encoding)
    rows = _parse(path, {"sep": separator, "encoding": encoding, "names": header})
    rows = rows.fillna("").apply(lambda column: column.str.strip())
    rows = rows[(rows != "").any(axis=1)]
    if not len(rows):
        raise Problem(f"{path.name} has a header and no rows; found columns {header}. Export it again.")
    return CsvTable(path, rows, separator, encoding, tuple(notes))


def _parse(path: Path, options: dict) -> pd.DataFrame:
    """All records as text, blank ones too so that their numbers fit; a row with too many cells is a Problem."""
    fixed = {"header": 0, "index_col": False, "dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, **fixed, **options)
    except pd.errors.ParserWarning:
        came = f"rows have more cells than the {len(options['names'])} column names {options['names']}"
        raise Problem(f"{path.name}: {came}. {CSV_CURE}") from None
    except pd.errors.ParserError as fault:
        raise Problem(f"{path.name}: {str(fault).strip()}. {CSV_CURE}") from None


def check_ids(table: CsvTable, column: str) -> None:
    """Raise Problem when an id is missing: empty, nan, null or none."""
    bad = table.rows[column].str.lower().isin(NOT_AN_ID)
    if bad.any():
        raise table.fault(bad, column, "an id", "Fill it in, or drop these rows.")


def parse_values(table: CsvTable) -> pd.Series:
    """The column value as finite float32. Raises Problem for empty, unreadable and infinite cells."""
    with np.errstate(over="ignore"):
        numbers = pd.to_numeric(table.rows[VALUE], errors="coerce").astype(np.float32)
    bad = ~np.isfinite(numbers)
    if bad.any():
        cure = "Correct or drop these rows; write decimals with a point."
        raise table.fault(bad, VALUE, "a finite number such as 3.5", cure)
    return numbers


def parse_times(table: CsvTable) -> pd.Series:
    """The column time as datetime64[s], UTC: Unix seconds, milliseconds above 1e11, or ISO dates (without a zone: UTC).

    What most rows are decides for all. Raises Problem for a cell that is no such time.
    """
    numbers = pd.to_numeric(table.rows[TIME], errors="coerce")
    if numbers.notna().mean() > 0.5:
        _check_not_dates(table, numbers)
        seconds = np.where(numbers.abs() > MILLISECONDS_FROM, numbers / 1000, numbers)
        bad = ~(np.abs(seconds) <= LATEST.timestamp())
        times = pd.Series(np.where(bad, 0, seconds), index=numbers.index).astype(np.int64).astype("datetime64[s]")
    else:
        found = pd.to_datetime(table.rows[TIME], format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
        bad = ~(found < LATEST)
        times = found.astype("datetime64[s]")
    if np.any(bad):
        cure = "Write all times as Unix seconds (881250949) or all as ISO dates (1997-12-04 15:55:49)."
        raise table.fault(bad, TIME, "a time", cure)
    return times


def _check_not_dates(table: CsvTable, numbers: pd.Series) -> None:
    """Raise Problem when all numbers read as days such as 19971204: as seconds they would all lie in 1970."""
    days = pd.to_datetime(table.rows[TIME], format="%Y%m%d", errors="coerce")
    if numbers.between(19000101, 21001231).all() and days.notna().all():
        expected = "Unix seconds, but as such it would lie in 1970"
        raise table.fault(days.notna(), TIME, expected, "If it is a day, write it like 1997-12-04.")
