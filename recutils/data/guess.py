"""What the files and columns of a stranger's folder may mean: guesses, each with its reason and how sure it is.

Nothing is read as data here and nothing is decided: `propose` writes down what `folder` would need to be told, as a
dataset.toml that the folder's owner reads, corrects and keeps.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.cells import DATES, CsvTable, read_numbers, read_times
from recutils.data.names import named
from recutils.data.pairing import LOOKED_AT, RIVAL, Key, pair, rival, tables_of
from recutils.tables import ITEM_ID, TIME, TITLE, USER_ID, VALUE

SURE, LIKELY, UNSURE = "sure", "likely", "unsure"
EVENT_COLUMNS, ITEM_COLUMNS = (ITEM_ID, TIME, VALUE, USER_ID), (TITLE, "genres", "year", "description", "author")


@dataclass(frozen=True)
class Guess:
    """What one thing may mean. about: a table, or "cells" or "rules". ours: our name; theirs: what the folder has."""

    about: str
    ours: str
    theirs: str
    sure: str
    why: str


@dataclass(frozen=True)
class Proposal:
    """All guesses on a folder, and our names for which nothing was found though they are needed."""

    folder: Path
    guesses: tuple[Guess, ...]
    missing: tuple[str, ...] = ()

    @property
    def doubtful(self) -> tuple[Guess, ...]:
        """The guesses that nobody should act on unread."""
        return tuple(guess for guess in self.guesses if guess.sure == UNSURE)

    def table(self) -> pd.DataFrame:
        """One row a guess: where, our name, read as, how sure, why."""
        rows = [(one.about, one.ours, one.theirs, one.sure, one.why) for one in self.guesses]
        return pd.DataFrame(rows, columns=["where", "our name", "read from", "how sure", "why"])

    def to_toml(self) -> str:
        """A dataset.toml that says what was guessed, with the reasons as comments."""
        lines = ["# Guessed, not known: read each line, correct what is wrong, and keep the file beside the data.",
                 f"name = {json.dumps(self.folder.resolve().name, ensure_ascii=False)}"]  # fmt: skip
        heads = {"files": "[files]", "interactions": "[columns.interactions]", "items": "[columns.items]"}
        for about, head in (heads | {"cells": "[cells]", "rules": "[rules]"}).items():
            told = [one for one in self.guesses if one.about == about]
            lines += ["", head] if told else []
            lines += [
                f"{one.ours} = {json.dumps(one.theirs, ensure_ascii=False)}  # {one.sure}: {one.why}" for one in told
            ]
        return "\n".join(lines) + "\n"


def propose(folder: str | Path) -> Proposal:
    """Guesses on the files, columns and cells of a folder. Raises Problem when no table of events can be made out.

    A guess is sure when a column's name and its cells agree, likely when one of them speaks clearly and the other does
    not speak against it, and unsure when only the cells speak, or when another column would do nearly as well.
    """
    folder = Path(folder)
    tables = tables_of(folder)
    events, items, key = pair(tables)
    guesses = [Guess("files", "interactions", events.path.name, *_file_reason(tables, events, items))]
    fixed = {}
    if items is not None and key is not None:
        told = (f"its ids are those of {key[2]:.0%} of the rows",)
        guesses.append(Guess("files", "items", items.path.name, guesses[0].sure, *told))
        fixed = {ITEM_ID: (key[0], *_key_reason(events, items, key))}
    dates, date_guesses = _dates(events, exclude={found[0] for found in fixed.values()})
    found = _assigned("interactions", events, EVENT_COLUMNS, fixed, dates)
    guesses += found
    if items is not None and key is not None:
        fixed = {ITEM_ID: (key[1], SURE if key[2] > 0.9 else LIKELY, "each cell once, and the events name them")}
        guesses += _assigned("items", items, (ITEM_ID, *ITEM_COLUMNS), fixed, {})
    guesses += _cells(events, {one.ours: one.theirs for one in found}, date_guesses)
    guesses += _rules(events, items, {one.ours: one.theirs for one in found})
    missing = [name for name in (USER_ID, ITEM_ID) if name not in {one.ours for one in found}]
    return Proposal(folder, tuple(guesses), tuple(missing))


def _file_reason(tables: Sequence[CsvTable], events: CsvTable, items: CsvTable | None) -> tuple[str, str]:
    if items is None:
        return (
            (LIKELY, "the only table") if len(tables) == 1 else (UNSURE, "the longest table; no other shares its ids")
        )
    return (
        SURE if len(tables) == 2 else LIKELY
    ), f"{len(events.rows):,} rows that name {len(items.rows):,} items again and again"


def _key_reason(events: CsvTable, items: CsvTable, key: Key) -> tuple[str, str]:
    other, why = rival(events, items, key), f"{key[2]:.0%} of its cells are ids of {items.path.name}"
    if other:
        return UNSURE, f"{why}; but so are those of {other!r}, and no name tells which"
    return SURE if key[2] > 0.9 else LIKELY, why


Fixed = Mapping[str, tuple[str, str, str]]  # our name -> theirs, how sure, why


def _assigned(
    about: str, table: CsvTable, wanted: Sequence[str], fixed: Fixed, dates: Mapping[str, str]
) -> list[Guess]:
    """A column for each of our names, each column once, the clearest first; names without any sign are left out."""
    found = [Guess(about, ours, *told) for ours, told in fixed.items()]
    points = {
        (ours, name): _points(table, ours, name, dates) for ours in wanted if ours not in fixed for name in table.rows
    }
    taken = {one.theirs for one in found}
    while points := {pair: told for pair, told in points.items() if pair[1] not in taken and told[0] > 0}:
        ours, name = max(points, key=lambda pair: points[pair][0])
        worth, by_name, by_cells = points[ours, name]
        rivals = [
            other for (one, other), told in points.items() if one == ours and other != name and told[0] > worth - RIVAL
        ]
        sure = UNSURE if rivals or by_name == 0 else SURE if by_name == 1 and by_cells > 0 else LIKELY
        why = f"{_said(by_name)}; {_cells_said(ours, by_cells)}" + (f"; or is it {rivals[0]!r}?" if rivals else "")
        found.append(Guess(about, ours, name, sure, why))
        taken.add(name)
        points = {pair: told for pair, told in points.items() if pair[0] != ours}
    return found


def _points(table: CsvTable, ours: str, name: str, dates: Mapping[str, str]) -> tuple[float, float, float]:
    """All points of a column for one of our names, those of the name, those of the cells (negative: against it)."""
    by_name, cells = named(ours, name), table.rows[name].head(LOOKED_AT)
    filled = cells[cells != ""]
    if not len(filled):
        return 0.0, by_name, -1.0
    by_cells = _by_cells(ours, filled, name in dates)
    if ours == VALUE and by_name == 0:
        by_cells = min(by_cells, 0.04)  # small numbers may be anything; who took what comes first
    only_by_name = ours in ("genres", "description", "author", "year", TITLE)  # their cells look like many others
    return (0.0 if only_by_name and by_name == 0 else by_name + by_cells), by_name, by_cells


def _by_cells(ours: str, cells: pd.Series, is_time: bool) -> float:
    """.5 when the cells look like this kind, -1 when they cannot be it, 0 when they do not tell."""
    distinct, numbers = cells.nunique() / len(cells), _share_of_numbers(cells)
    if ours == TIME:
        return 0.5 if is_time else -1.0
    if ours == VALUE:
        return -1.0 if numbers < 0.9 or is_time else 0.5 if cells.nunique() <= 100 else 0.0
    if ours in (USER_ID, ITEM_ID):
        if is_time or cells.nunique() < 3:
            return -1.0
        return 0.25 if 0.0005 < distinct < 0.9 and cells.nunique() > 20 else 0.05 if distinct < 0.9 else 0.0
    if ours == "year":
        return 0.5 if numbers > 0.9 else -1.0
    return -0.5 if numbers > 0.9 else 0.25


def _share_of_numbers(cells: pd.Series) -> float:
    return max(float(np.isfinite(read_numbers(cells, decimal)).mean()) for decimal in (".", ","))


def _said(by_name: float) -> str:
    return {1.0: "its name says so", 0.6: "a part of its name says so", 0.4: "its name is near"}.get(
        by_name, "no word in its name"
    )


def _cells_said(ours: str, by_cells: float) -> str:
    return (
        "its cells agree"
        if by_cells > 0
        else "its cells do not tell"
        if by_cells == 0
        else "its cells speak against it"
    )


def _dates(table: CsvTable, exclude: set[str]) -> tuple[dict[str, str], dict[str, Guess]]:
    """For each column that reads as times: how they are written; and the guess on that, sure only where a day tells."""
    styles, guesses = {}, {}
    for name in table.rows:
        cells = table.rows[name].head(LOOKED_AT)
        cells = cells[cells != ""]
        if name in exclude or not len(cells) or (_share_of_numbers(cells) > 0.9 and not _unix(cells)):
            continue
        shares = {style: float(1 - read_times(cells, style)[1].mean()) for style in DATES}
        style = max(shares, key=lambda one: shares[one])
        if shares[style] < 0.9:
            continue
        other = [one for one in DATES if one != style and shares[one] > shares[style] - 0.02]
        sure, why = (UNSURE, f"so can {other[0]!r}: no day above 12") if other else (SURE, "no other way reads them")
        styles[name] = style
        guesses[name] = Guess("cells", "dates", style, sure, f"{shares[style]:.0%} of {name!r} read so; {why}")
    return styles, guesses


def _unix(cells: pd.Series) -> bool:
    """Whether most numbers are seconds or milliseconds of the years 1990 to 2100."""
    numbers = pd.to_numeric(cells, errors="coerce")
    seconds = numbers.where(numbers < 1e11, numbers / 1000)
    return float(seconds.between(631_152_000, 4_102_444_800).mean()) > 0.9


def _cells(events: CsvTable, columns: Mapping[str, str], dates: Mapping[str, Guess]) -> list[Guess]:
    """How times and decimals are written, where that is not the default."""
    found = []
    if TIME in columns and dates[columns[TIME]].theirs != "iso":
        found.append(dates[columns[TIME]])
    if VALUE in columns:
        cells = events.rows[columns[VALUE]].head(LOOKED_AT)
        point, comma = (float(np.isfinite(read_numbers(cells, one)).mean()) for one in (".", ","))
        if comma > point:
            found.append(
                Guess(
                    "cells",
                    "decimal",
                    ",",
                    SURE if comma > 0.9 else UNSURE,
                    f"{comma:.0%} of the values read so, {point:.0%} with a point",
                )
            )
    return found


def _rules(events: CsvTable, items: CsvTable | None, columns: Mapping[str, str]) -> list[Guess]:
    """What should become of broken rows and repeated pairs: proposals that lose something, so each says how much."""
    dropped = events.dropped + (items.dropped if items is not None else 0)
    found = []
    if dropped:  # without a broken row the default stays: a later one is an error
        sure = UNSURE if dropped > 0.05 * len(events.rows) else LIKELY
        why = f"{dropped:,} records have another number of cells than the header"
        found.append(Guess("rules", "broken", "skip", sure, why))
    if USER_ID in columns and ITEM_ID in columns:
        again = int(events.rows.duplicated([columns[USER_ID], columns[ITEM_ID]]).sum())
        if again:
            found.append(
                Guess("rules", "duplicates", "last", LIKELY, f"{again:,} rows repeat a pair; the later one stays")
            )
    return found
