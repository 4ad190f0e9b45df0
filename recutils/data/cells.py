"""Reads a CSV file of unknown separator and encoding as text and turns its cells into ids, numbers and times.

Each fault names file, line, value and cure. Which files and columns make a data set is in `folder`.
"""

import codecs
import csv
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from recutils.tables import TIME, VALUE, Problem

SEPARATORS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
DATES = ("iso", "day first", "month first")  # or a format of strptime, such as "%d.%m.%y"
BROKEN = ("error", "skip")
NOT_AN_ID = ("", "nan", "null", "none")  # what programs write for "nothing here"
MILLISECONDS_FROM = 1e11  # Unix seconds reach this in the year 5138
LATEST = pd.Timestamp("2200-01-01")
GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})*(,\d+)?|[+-]?\d+(,\d+)?")  # 1.234,5 and 1234,5: a comma for decimals
EUROPEAN = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:[ T,]+(\d.*))?")
MIXED = "recutils_byte_by_byte"  # the name of the rule that reads a byte which is not UTF-8 as Windows' character
codecs.register_error(MIXED, lambda fault: (_windows(fault.object[fault.start : fault.end]), fault.end))  # type: ignore[attr-defined]
CSV_CURE = 'Quote cells that hold the separator or a line break, as in "a, b", and save as UTF-8 CSV.'
SKIP_CURE = 'Or write broken = "skip" under [rules] in dataset.toml, which leaves such records out and counts them.'


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A CSV file as text.

    rows: cells are str, stripped, "" where missing; the index is the record's number in the file, 0 after the header.
    errors: how bytes that the encoding does not know are read ("strict": there are none). dropped: records left out.
    """

    path: Path
    rows: pd.DataFrame
    separator: str
    encoding: str
    notes: tuple[str, ...] = ()
    errors: str = "strict"
    dropped: int = 0

    def lines(self, records: list[int]) -> list[int]:
        """File lines (1 is the first) on which records begin, also where cells hold line breaks."""
        wanted, found, start = set(records), [], 1
        with _opened(self) as stream:
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


def _windows(raw: bytes) -> str:
    """Bytes as cp1252, as latin-1 where that has no character."""
    return "".join(bytes([one]).decode("cp1252", errors="ignore") or chr(one) for one in raw)


def _encoding(raw: bytes, name: str) -> tuple[str, str, list[str]]:
    """Encoding and error rule of a file's bytes, and a note where it is not UTF-8. Raises Problem for Excel or zip."""
    if raw.startswith(b"PK\x03\x04") or b"\x00" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Problem(f"{name} is not a text file. Save the table as CSV (UTF-8), not as a workbook or an archive.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "strict", [f"{name} is UTF-16."]
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        return _not_utf8(raw, name, raw[: fault.start].count(b"\n") + 1)
    return "utf-8-sig", "strict", []


def _not_utf8(raw: bytes, name: str, line: int) -> tuple[str, str, list[str]]:
    """Windows' or latin-1's characters, in the whole file or, where other lines hold UTF-8, in some lines only."""
    lines = [one for one in raw.split(b"\n") if not one.isascii()]
    n_utf8 = sum(_is_utf8(one) for one in lines)
    if n_utf8:
        counts = f"{len(lines) - n_utf8:,} lines are not UTF-8 (the first is line {line}), {n_utf8:,} with accents are"
        return "utf-8-sig", MIXED, [f"{name} mixes encodings: {counts}; each read in its own. Check a few names."]
    windows = re.search(rb"[\x80-\x9f]", raw) is not None
    encoding = "cp1252" if windows and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", raw) else "latin-1"
    return encoding, "strict", [f"{name} is not UTF-8 (line {line}); read as {encoding}: check names with accents."]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _header(line: str, name: str) -> tuple[list[str], str]:
    """Column names and separator, taken from the first line. Raises Problem for repeated names."""
    separator = max(SEPARATORS, key=line.count)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    if not any(header):
        raise Problem(f"{name}, line 1: expected column names; the line is blank. Remove what stands before them.")
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double:
        raise Problem(f"{name}, line 1: columns {double} occur twice; found {header}. Rename one of each.")
    return [name or f"unnamed {number}" for number, name in enumerate(header, 1)], separator


def read_csv(path: Path, *, broken: str = "error") -> CsvTable:
    """A CSV file as text; separator (comma, semicolon, tab, bar) and encoding found by looking; blank lines skipped.

    broken: what becomes of records with another number of cells than the header: "error", or "skip", which leaves them
    out and notes their lines. Raises Problem for an empty file, one without rows and repeated column names.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise Problem(f"{path.name} is empty; expected a line of column names and rows below it. Export it again.")
    encoding, errors, notes = _encoding(raw, path.name)
    with path.open(encoding=encoding, errors=errors, newline="") as stream:
        header, separator = _header(stream.readline(), path.name)
    found = CsvTable(path, pd.DataFrame(columns=header), separator, encoding, tuple(notes), errors)
    found = _parsed(found) if broken == "error" else _whole_records(found)
    rows = found.rows.fillna("").apply(lambda column: column.str.strip())
    rows = rows[(rows != "").any(axis=1)]
    if not len(rows):
        raise Problem(f"{path.name} has a header and no rows; found columns {header}. Export it again.")
    return replace(found, rows=rows)


def _parsed(table: CsvTable) -> CsvTable:
    """All records as text, blank ones too so that their numbers fit; a row with too many cells is a Problem."""
    fixed = {"header": 0, "index_col": False, "dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    names = list(table.rows.columns)
    how = {"sep": table.separator, "encoding": table.encoding, "encoding_errors": table.errors, "names": names}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return replace(table, rows=pd.read_csv(table.path, **fixed, **how))
    except pd.errors.ParserWarning:
        came = f"rows have more cells than the {len(names)} column names {names}"
        raise Problem(f"{table.path.name}: {came}. {CSV_CURE} {SKIP_CURE}") from None
    except pd.errors.ParserError as fault:
        raise Problem(f"{table.path.name}: {str(fault).strip()}. {CSV_CURE} {SKIP_CURE}") from None


@contextmanager
def _opened(table: CsvTable) -> Iterator[TextIO]:
    with table.path.open(encoding=table.encoding, errors=table.errors, newline="") as stream:
        yield stream


def _whole_records(table: CsvTable) -> CsvTable:
    """The records that have as many cells as the header; the others are counted, with the lines they begin on."""
    width, kept, numbers, bad, start = len(table.rows.columns), [], [], [], 1
    with _opened(table) as stream:
        reader = csv.reader(stream, delimiter=table.separator)
        for number, cells in enumerate(reader, -1):
            if number >= 0 and len(cells) == width:
                kept.append(cells)
                numbers.append(number)
            elif number >= 0 and any(cell.strip() for cell in cells):
                bad.append((start, reader.line_num - start + 1))
            start = reader.line_num + 1
    rows = pd.DataFrame(kept, columns=table.rows.columns, index=numbers, dtype=str)
    return replace(table, rows=rows, notes=(*table.notes, *_told(table, bad, width)), dropped=len(bad))


def _told(table: CsvTable, bad: list[tuple[int, int]], width: int) -> list[str]:
    """A note on the records that were left out, if any: how many, where, and how many lines of the file they take."""
    if not bad:
        return []
    where = f"{', '.join(str(first) for first, _ in bad[:3])}{' ...' if len(bad) > 3 else ''}"
    lines = sum(n for _, n in bad)
    counted = f"{len(bad):,} broken record{'s' if len(bad) > 1 else ''} on {lines:,} line{'s' if lines > 1 else ''}"
    return [f"{table.path.name}: {counted} left out (from line {where}): not {width} cells."]


def missing_ids(table: CsvTable, column: str) -> np.ndarray:
    """True where an id is missing: empty, nan, null or none."""
    return table.rows[column].str.lower().isin(NOT_AN_ID).to_numpy()


def check_ids(table: CsvTable, column: str) -> None:
    """Raise Problem when an id is missing."""
    bad = missing_ids(table, column)
    if bad.any():
        raise table.fault(bad, column, "an id", "Fill it in, or drop these rows.")


def read_numbers(cells: pd.Series, decimal: str = ".") -> np.ndarray:
    """Numbers (n,) float32, not finite where a cell is none. decimal: "." (1234.5) or "," (1234,5 and 1.234,5).

    With a comma for decimals a point may only part thousands: "3.5" is no number then, rather than 35.
    """
    if decimal == ",":
        whole = cells.str.fullmatch(GROUPED)
        points = cells.where(whole, "").str.replace(".", "", regex=False)
        cells = points.str.replace(",", ".", regex=False)
    with np.errstate(over="ignore"):
        return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float32)


def parse_values(table: CsvTable, decimal: str = ".") -> pd.Series:
    """The column value as finite float32. Raises Problem for empty, unreadable and infinite cells."""
    numbers = read_numbers(table.rows[VALUE], decimal)
    bad = ~np.isfinite(numbers)
    if bad.any():
        other = DECIMALS[1 - DECIMALS.index(decimal)]
        cure = f'Correct or drop these rows, or write decimal = "{other}" under [cells] in dataset.toml.'
        expected = "a finite number such as 3.5" if decimal == "." else "a finite number such as 3,5"
        raise table.fault(bad, VALUE, expected, cure)
    return pd.Series(numbers, index=table.rows.index)


def read_times(cells: pd.Series, dates: str = "iso") -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) datetime64[s], UTC, and where a cell is none: Unix seconds, milliseconds above 1e11, or dates.

    What most cells are, numbers or dates, decides for all. dates: "iso" (without a zone: UTC), "day first" (31.12.1999,
    31/12/1999 14:05), "month first" (12/31/1999), strictly, or a format of strptime with "%".
    """
    numbers = pd.to_numeric(cells, errors="coerce")
    if dates == "iso" and numbers.notna().mean() > 0.5:
        seconds = np.where(numbers.abs() > MILLISECONDS_FROM, numbers / 1000, numbers)
        bad = ~(np.abs(seconds) <= LATEST.timestamp())
        return np.where(bad, 0, seconds).astype(np.int64).astype("datetime64[s]"), bad
    if dates in DATES:
        cells = cells if dates == "iso" else _as_iso(cells, day_first=dates == "day first")
        found = pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce")
    else:
        found = pd.to_datetime(cells, format=dates, utc=True, errors="coerce")
    found = found.dt.tz_localize(None)
    bad = ~(found < LATEST).to_numpy()
    return found.to_numpy().astype("datetime64[s]"), bad


def _as_iso(cells: pd.Series, *, day_first: bool) -> pd.Series:
    """Dates such as 31.12.1999 or 12/31/1999 as 1999-12-31, "" for whatever has another shape."""
    parts = cells.str.extract(rf"^{EUROPEAN.pattern}$")
    day, month = (parts[0], parts[1]) if day_first else (parts[1], parts[0])
    clock = parts[3].fillna("")
    iso = parts[2] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + clock.where(clock == "", " " + clock)
    return iso.fillna("")


def parse_times(table: CsvTable, dates: str = "iso") -> pd.Series:
    """The column time as datetime64[s], UTC, as `read_times` reads it. Raises Problem for a cell that is no time."""
    if dates == "iso":
        _check_not_days(table)
    times, bad = read_times(table.rows[TIME], dates)
    if bad.any():
        raise table.fault(bad, TIME, "a time", _date_cure(dates))
    return pd.Series(times, index=table.rows.index)


def _date_cure(dates: str) -> str:
    if dates != "iso":
        return f"Read as {dates!r}, by dates under [cells] in dataset.toml: correct the cells or that line."
    return (
        "Write all times as Unix seconds (881250949) or all as ISO dates (1997-12-04 15:55:49), or say how they are "
        'written: dates = "day first" (or "month first", or a format) under [cells] in dataset.toml.'
    )


def _check_not_days(table: CsvTable) -> None:
    """Raise Problem when all numbers read as days such as 19971204: as seconds they would all lie in 1970."""
    numbers = pd.to_numeric(table.rows[TIME], errors="coerce")
    days = pd.to_datetime(table.rows[TIME], format="%Y%m%d", errors="coerce")
    if numbers.between(19000101, 21001231).all() and days.notna().all():
        expected = "Unix seconds, but as such it would lie in 1970"
        cure = 'If it is a day, write it like 1997-12-04, or dates = "%Y%m%d" under [cells] in dataset.toml.'
        raise table.fault(days.notna(), TIME, expected, cure)
