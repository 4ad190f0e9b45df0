"""Texts with one label each, for fine-tuning, and their parts. Interactions are load.py's; nothing is learnt here.

`recommended` of the clothing reviews is told from title and text alone: the star rating of the same review gives it
away (AUC .97 without reading a word), so it is not even read.
"""

import csv
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.fetch import fetch
from recutils.tables import Problem

SHARES = (0.6, 0.2, 0.2)
NEWSWIRE_PARTS = ("train", "test")
REVIEW_FILE = "WomensClothingE-CommerceReviews.parquet.brotli"  # of clothing-reviews


@dataclass(frozen=True, eq=False)
class Labelled:
    """n texts, a label each.

    texts: n strings, none empty. seconds: n strings, the other half of a pair (an item's text beside a person's), or
    () for single texts. labels: (n,) int64, places in `classes`. groups: (n,) int64 rows that must not be torn apart
    (a person's windows), or None: every row is its own group. notes: what was dropped, for the reader.
    Raises Problem for empty texts, labels outside the classes, and fewer than two classes that occur.
    """

    name: str
    texts: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    seconds: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels))
        _check_lengths(self)
        _check_texts(self)
        check_labels(self.labels, len(self.classes), self.name)

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: np.ndarray) -> "Labelled":
        """These rows, in this order. Raises Problem when they hold a single class."""
        rows = np.asarray(rows)
        seconds = tuple(self.seconds[row] for row in rows) if self.seconds else ()
        groups = None if self.groups is None else self.groups[rows]
        texts = tuple(self.texts[row] for row in rows)
        return replace(self, texts=texts, seconds=seconds, labels=self.labels[rows], groups=groups)

    def counts(self) -> pd.DataFrame:
        """One row per class: class, rows, share."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return pd.DataFrame({"class": self.classes, "rows": counts, "share": counts / len(self)})


def check_labels(labels: np.ndarray, n_classes: int | None, where: str) -> None:
    """Raise Problem unless labels are whole numbers in 0..n_classes - 1 with at least two different ones.

    n_classes: None where any number of classes will do.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise Problem(f"{where}: labels must be whole numbers, places in the classes; got {labels.dtype}.")
    n_classes = int(labels.max(initial=0)) + 1 if n_classes is None else n_classes
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(outside):
        row = int(outside[0])
        raise Problem(
            f"{where}: row {row} has label {labels[row]}, expected 0..{n_classes - 1}. Name all classes, or drop it."
        )
    if len(np.unique(labels)) < 2:
        raise Problem(
            f"{where}: {len(labels)} rows hold {len(np.unique(labels))} class(es); at least two are needed to learn "
            "from. Take more rows, or draw them by class."
        )


def _check_lengths(found: Labelled) -> None:
    for name in ("labels", "seconds", "groups"):
        values = getattr(found, name)
        if values is not None and (name == "labels" or len(values)) and len(values) != len(found.texts):
            raise Problem(f"{found.name}: {len(found.texts)} texts, but {len(values)} {name}; one each is expected.")


def _check_texts(found: Labelled) -> None:
    for name in ("texts", "seconds"):
        empty = [row for row, text in enumerate(getattr(found, name)) if not str(text).strip()]
        if empty:
            raise Problem(
                f"{found.name}: {len(empty)} of {len(found)} {name} are empty, the first in row {empty[0]}. "
                "Drop these rows, or put a word in their place, such as 'unknown'."
            )


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of a Labelled: train, valid and test, int64, disjoint, in random order."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def parts(found: Labelled, shares: Sequence[float] = SHARES, seed: int = 0) -> Parts:
    """A random cut by these shares; groups stay whole. Raises Problem when a part would be empty."""
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise Problem(f"shares must be three numbers above 0 that sum to 1; got {tuple(shares)}")
    groups = np.arange(len(found)) if found.groups is None else np.unique(found.groups, return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    order = np.random.default_rng(seed).permutation(n_groups)
    ends = [round(shares[0] * n_groups), round((shares[0] + shares[1]) * n_groups)]
    place = np.empty(n_groups, dtype=np.int64)
    place[order] = np.arange(n_groups)
    rows = np.argsort(place[groups], kind="stable")
    train, valid, test = np.split(rows, np.searchsorted(place[groups][rows], ends))
    if min(len(train), len(valid), len(test)) == 0:
        raise Problem(f"{found.name}: {n_groups} groups are too few for three parts {tuple(shares)}; use more rows.")
    return Parts(train, valid, test)


def drawn(found: Labelled, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """n of the rows, drawn by class in their proportion (at least one of each class that occurs), in random order.

    Draws of different sizes are independent even with one seed. Raises Problem when fewer rows are there.
    """
    rows = np.asarray(rows)
    if not 2 <= n <= len(rows):
        raise Problem(f"{found.name}: {n} labels wanted, from 2 to {len(rows)} are possible.")
    rng = np.random.default_rng((seed, n))
    order = rng.permutation(rows)
    if n == len(rows):
        return order
    labels = found.labels[order]
    place = np.empty(len(order))  # each class is spread evenly over 0..1: the lowest n hold the classes in proportion
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        place[mine] = (np.arange(len(mine)) + rng.random()) / len(mine)
    first = [np.flatnonzero(labels == label)[0] for label in np.unique(labels)]
    place[np.array(first)[:n]] = -1.0
    return order[np.argsort(place, kind="stable")[:n]][rng.permutation(n)]


def _clothing(folder: Path) -> Labelled:
    """Whether the writer recommends the piece: title and text of the review, nothing else."""
    wanted = {"Title": "title", "Review Text": "text", "Recommended IND": "label"}
    path = folder / REVIEW_FILE
    table = pd.read_parquet(path, columns=list(wanted)).rename(columns=wanted)
    title, text = (table[name].fillna("").str.split().str.join(" ") for name in ("title", "text"))
    kept = text != ""
    texts = title.where(title == "", title + ". ") + text
    again = kept & texts.duplicated()
    notes = (
        f"{int((~kept).sum())} of {len(table):,} reviews have no text and are left out, {int(again.sum())} that repeat "
        "another word for word too.",
    )
    texts, labels = texts[kept & ~again], table["label"][kept & ~again].to_numpy(np.int64)
    return Labelled("clothing-reviews", tuple(texts), labels, ("not recommended", "recommended"), notes=notes)


def drug_table(folder: Path) -> pd.DataFrame:
    """All drug reviews, one row each, as the publisher cut them; entities and quotes of the texts are undone.

    Columns: drug, condition, text, rating (three bins), useful (votes), part ("train", 600 rows, or "test", 379). Text
    and condition are "" where they are missing; some conditions are the publisher's scraps, which case/health.py mends.
    """
    wanted = {
        "drugName": "drug",
        "condition": "condition",
        "review": "text",
        "rating": "rating",
        "usefulCount": "useful",
    }
    files = {"train": folder / "drugsComTrain.tsv", "test": folder / "drugsComTest.tsv"}
    read = {part: pd.read_csv(path, sep="\t", index_col=0) for part, path in files.items()}
    table = pd.concat([one.assign(part=part) for part, one in read.items()], ignore_index=True)
    table = table[[*wanted, "part"]].rename(columns=wanted)
    text = table["text"].fillna("").map(html.unescape).str.strip().str.strip('"').str.split().str.join(" ")
    return table.assign(text=text, condition=table["condition"].fillna(""), rating=table["rating"].astype(str))


def _drugs(folder: Path) -> Labelled:
    """The rating of a drug in three bins, from the condition and the review; the drug's name is left out."""
    table = drug_table(folder)
    names = tuple(sorted(table["rating"].unique()))
    kept = table["text"] != ""
    labels = pd.Categorical(table["rating"], categories=names).codes[kept].astype(np.int64)
    notes = (f"{int((~kept).sum())} of {len(table):,} reviews have no text and are left out.",)
    return Labelled("drug-reviews", tuple(table["text"][kept]), labels, names, notes=notes)


def _newswire(folder: Path) -> Labelled:
    """The topic of a Reuters text: the eight topics of reuters-r8, both parts in one."""
    rows = [row for part in NEWSWIRE_PARTS for row in _tab(folder / f"reuters-r8-{part}.tab")]
    return _wire(rows, tuple(sorted({topic for topic, text in rows if text.strip()})))


def newswire(part: str) -> Labelled:
    """One part of reuters-r52 as its maker cut it, in the order of the file: "train" (6,532 texts) or "test" (2,568).

    classes: the 52 topics, the same for both parts. There is no usable time; the order is all that is known.
    """
    if part not in NEWSWIRE_PARTS:
        raise Problem(f"part must be one of {', '.join(NEWSWIRE_PARTS)}; got {part!r}")
    rows = {name: _tab(fetch("reuters", say=print) / f"reuters-r52-{name}.tab") for name in NEWSWIRE_PARTS}
    return _wire(rows[part], tuple(sorted({topic for each in rows.values() for topic, _ in each if topic})))


def _wire(rows: Sequence[Sequence[str]], names: tuple[str, ...]) -> Labelled:
    """Topic and text, one blank between words; texts that are empty are left out and counted."""
    kept = [(topic, " ".join(text.split())) for topic, text in rows if text.strip()]
    labels = np.array([names.index(topic) for topic, _ in kept], dtype=np.int64)
    notes = (f"{len(rows) - len(kept)} of {len(rows):,} texts are empty and left out.",)
    return Labelled("reuters", tuple(text for _, text in kept), labels, names, notes=notes)


def _tab(path: Path) -> list[list[str]]:
    """Rows of an Orange table: three lines of head, then topic and text."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return [row[:2] for row in list(csv.reader(file, delimiter="\t"))[3:] if len(row) >= 2]


READERS: dict[str, Callable[[Path], Labelled]] = {
    "clothing-reviews": _clothing, "drug-reviews": _drugs, "reuters": _newswire,
}  # fmt: skip


def load_labelled(name: str) -> Labelled:
    """The labelled texts of a data set of the catalogue, fetched and verified when needed. Raises Problem on others."""
    if name not in READERS:
        raise Problem(f"no labelled texts are called {name!r}; expected one of {', '.join(READERS)}.")
    return READERS[name](fetch(name, say=print))
