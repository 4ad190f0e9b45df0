"""Leaving out rows that cannot be read, with a note for each kind. What is done only when dataset.toml asks for it."""

from dataclasses import replace

import numpy as np
import pandas as pd

from recutils.data.cells import CsvTable, missing_ids, read_numbers, read_times
from recutils.data.formats import count
from recutils.tables import ITEM_ID, TIME, USER_ID, VALUE

MOST = 0.5  # when a larger share of the rows goes, not the rows are broken


def readable(table: CsvTable, decimal: str, dates: str) -> CsvTable:
    """The events whose ids, value and time can be read; the notes say which were not, with their lines.

    decimal, dates: as in `cells.read_numbers` and `cells.read_times`. Raises Problem when more than half of the rows
    fail in one column: then the settings are wrong, and dropping would hide it.
    """
    bad = {column: missing_ids(table, column) for column in (USER_ID, ITEM_ID)}
    if VALUE in table.rows:
        bad[VALUE] = ~np.isfinite(read_numbers(table.rows[VALUE], decimal))
    if TIME in table.rows:
        bad[TIME] = read_times(table.rows[TIME], dates)[1]
    worst = max(bad, key=lambda column: int(bad[column].sum()))
    if bad[worst].mean() > MOST:
        cure = f"So many rows are not broken: correct [columns], or [cells] (now decimal {decimal!r}, dates {dates!r})."
        raise table.fault(bad[worst], worst, "cells that can be read in most rows", cure)
    notes = [_told(table, column, mask, "unreadable") for column, mask in bad.items() if mask.any()]
    gone = np.logical_or.reduce(list(bad.values()))
    return replace(table, rows=table.rows[~gone], notes=(*table.notes, *notes), dropped=table.dropped + int(gone.sum()))


def once(table: CsvTable, key: str) -> CsvTable:
    """The table with the first row of each id; the notes say which rows had none, or one that came before."""
    without = missing_ids(table, key)
    again = table.rows[key].duplicated().to_numpy() & ~without
    notes = [_told(table, key, without, "missing")] if without.any() else []
    notes += [_told(table, key, again, "repeated: the first row stays")] if again.any() else []
    gone = without | again
    return replace(table, rows=table.rows[~gone], notes=(*table.notes, *notes), dropped=table.dropped + int(gone.sum()))


def _told(table: CsvTable, column: str, mask: np.ndarray | pd.Series, what: str) -> str:
    """One sentence: how many rows, why, an example and the first lines."""
    chosen = table.rows[column][np.asarray(mask)]
    lines = ", ".join(map(str, table.lines(chosen.index[:3].tolist())))
    more = " ..." if len(chosen) > 3 else ""
    rows = count(len(chosen), "row")
    return f"{table.path.name}: {rows} left out, {column} {what}, such as {chosen.iloc[0]!r} (lines {lines}{more})."
