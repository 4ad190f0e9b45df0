"""The five source articles as tables: reads and checks notebooks/articles.toml. No claim is judged here."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recutils.runs import ROOT
from recutils.tables import Problem

STAGES = ("start", "data", "encode", "model", "tune", "rank", "evaluate", "deploy", "trust", "case", "report")
NOTEBOOK = re.compile(rf"\d\d_({'|'.join(STAGES)})_[a-z0-9_]+")
OUTSIDE = ("all", "practice", "not recorded")  # what `from` may say besides the articles' short names
LISTS = {
    "articles": {"short", "title"},
    "loop": {"step", "stage"},
    "systems": {"theme", "id", "system", "from", "notebooks", "fate"},
    "errors": {"group", "id", "from", "fault", "holds"},
}


@dataclass(frozen=True, eq=False)
class Articles:
    """The tables in the order of the file. systems: `status` is here, in part or planned; `notebooks` is text."""

    articles: pd.DataFrame
    loop: pd.DataFrame
    systems: pd.DataFrame
    errors: pd.DataFrame


def read(folder: Path = ROOT / "notebooks") -> Articles:
    """The map in folder/articles.toml; a notebook is here when it is in that folder. Raises Problem when wrong."""
    path = folder / "articles.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise Problem(f"{path} must be a TOML file; {fault}. Restore it from the repository.") from fault
    raw["systems"] = [{"theme": one["theme"], **row} for one in raw.get("themes", []) for row in one["systems"]]
    raw["errors"] = [{"group": one["group"], **row} for one in raw.get("faults", []) for row in one["errors"]]
    for name, fields in LISTS.items():
        _check_rows(name, fields, raw.get(name, []))
    shorts = {row["short"] for row in raw["articles"]}
    _check_sources([*raw["systems"], *raw["errors"]], shorts)
    for row in raw["systems"]:
        row |= _placed(row["id"], row["notebooks"], folder)
    return Articles(**{name: pd.DataFrame(raw[name]).rename(columns={"from": "article"}) for name in LISTS})


def _check_rows(name: str, fields: set[str], rows: list[dict[str, Any]]) -> None:
    if not rows:
        raise Problem(f"articles.toml: the list {name!r} is missing or empty. Restore it from the repository.")
    for row in rows:
        if set(row) != fields or not all(row.values()):
            raise Problem(f"articles.toml, {name}: expected {sorted(fields)}, none empty; got {row}. Correct it.")


def _check_sources(rows: list[dict[str, Any]], shorts: Iterable[str]) -> None:
    ids = [row["id"] for row in rows]
    if len(set(ids)) < len(ids):
        raise Problem(f"articles.toml: ids must be unique; {sorted({i for i in ids if ids.count(i) > 1})} occur twice.")
    for row in rows:
        if row["from"] not in OUTSIDE and not set(row["from"].split()) <= set(shorts):
            raise Problem(f"articles.toml, {row['id']}: from = {row['from']!r}; use {sorted(shorts)} or {OUTSIDE}.")


def _placed(system: str, names: list[str], folder: Path) -> dict[str, str]:
    """The status of a system and its notebooks as text, those that are not in the folder marked."""
    wrong = [name for name in names if not NOTEBOOK.fullmatch(name)]
    if wrong:
        raise Problem(f"articles.toml, {system}: {wrong} should look like 31_model_svd, with a stage of {STAGES}.")
    here = [(folder / f"{name}.ipynb").is_file() for name in names]
    marked = [name if found else f"{name} (planned)" for name, found in zip(names, here, strict=True)]
    return {"status": "here" if all(here) else "in part" if any(here) else "planned", "notebooks": ", ".join(marked)}
