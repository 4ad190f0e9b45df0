"""The five source articles: reads and checks notebooks/articles.toml, draws their loop. No claim is judged here."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recutils.runs import ROOT
from recutils.tables import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES = ("start", "data", "encode", "model", "tune", "rank", "evaluate", "deploy", "trust", "case", "report")
NOTEBOOK = re.compile(rf"\d\d_({'|'.join(STAGES)})_[a-z0-9_]+")
FATES = ("kept", "mended", "replaced", "reduced", "added")
OUTSIDE = ("all", "practice", "not recorded")  # what `from` may say besides the articles' short names
LISTS = {
    "articles": {"short", "title"},
    "loop": {"step", "stage"},
    "systems": {"theme", "id", "system", "from", "notebooks", "fate", "note"},
    "errors": {"group", "id", "from", "fault", "holds", "shown"},
}


@dataclass(frozen=True, eq=False)
class Articles:
    """The tables in the order of the file. systems: `status` is here, in part or planned; `notebooks` is text."""

    articles: pd.DataFrame
    loop: pd.DataFrame
    systems: pd.DataFrame
    errors: pd.DataFrame

    def counted(self) -> pd.DataFrame:
        """The articles, with the number of systems and of errors that name each; "all" counts for every article."""
        found = self.articles.copy()
        for name, table in (("systems", self.systems), ("errors", self.errors)):
            found[name] = [table.article.str.contains(rf"\b{short}\b|^all$").sum() for short in found.short]
        return found

    def beside(self, values: Mapping[str, str]) -> pd.DataFrame:
        """The errors with these ids, in that order, and beside them the value that a check computed: id -> text."""
        unknown = sorted(set(values) - set(self.errors.id))
        if unknown:
            raise Problem(f"no error {unknown} in articles.toml; it has {', '.join(self.errors.id)}. Correct the id.")
        found = self.errors.set_index("id").loc[list(values), ["article", "fault", "holds", "shown"]].reset_index()
        found.insert(4, "computed here", list(values.values()))
        return found.rename(columns={"shown": "on"})


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
        if row["fate"] not in FATES:
            raise Problem(f"articles.toml, {row['id']}: fate = {row['fate']!r}; use one of {FATES}, and note for how.")
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
    """The status of a system and its notebooks as text; where only a part of them is here, the others are marked."""
    wrong = [name for name in names if not NOTEBOOK.fullmatch(name)]
    if wrong:
        raise Problem(f"articles.toml, {system}: {wrong} should look like 31_model_svd, with a stage of {STAGES}.")
    here = [(folder / f"{name}.ipynb").is_file() for name in names]
    mark = " (planned)" if any(here) else ""
    marked = [name if found else name + mark for name, found in zip(names, here, strict=True)]
    return {"status": "here" if all(here) else "in part" if any(here) else "planned", "notebooks": ", ".join(marked)}


def draw_loop(ax: "Axes", loop: pd.DataFrame) -> None:
    """Draw the steps as boxes in two rows, clockwise from the upper left, an arrow from each to the next."""
    upper = (len(loop) + 1) // 2
    x = np.r_[np.arange(upper), np.arange(len(loop) - upper)[::-1] + 0.5 * (len(loop) % 2)]
    y = (np.arange(len(loop)) < upper).astype(float)
    ax.set_axis_off()
    ax.set(xlim=(-0.5, upper - 0.5), ylim=(-0.35, 1.35))
    for i, text in enumerate(loop.step + "\n(" + loop.stage + ")"):
        box = {"boxstyle": "round", "fc": "white"}
        ax.text(x[i], y[i], text, ha="center", va="center", fontsize=8, zorder=3, bbox=box)
        after, gap = (i + 1) % len(loop), 0.36 if y[i] == y[(i + 1) % len(loop)] else 0.22  # box to arrow, share
        way = np.array([x[after] - x[i], y[after] - y[i]])
        ends = [np.array([x[i], y[i]]) + share * way for share in (gap, 1 - gap)]
        ax.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0})
