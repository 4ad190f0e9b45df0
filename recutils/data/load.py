"""`load`: a data set of the catalogue, or the user's own folder, cached as parquet. Readers: `formats`, `folder`."""

import difflib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from recutils import runs
from recutils.data import broken, cells, folder, formats, language, prepare, twins
from recutils.data.prepare import compact
from recutils.tables import Dataset, Interactions, Problem

TABLES = ("interactions", "users", "items")
READERS = (broken, cells, folder, formats, language, prepare, twins)  # part of the cache key: changed ones read again


def load(name_or_folder: str | Path, *, sample_users: float = 1.0, seed: int = 0) -> Dataset:
    """A data set by its name in the catalogue, or the user's own folder with interactions.csv and items.csv.

    name_or_folder: text with a path separator, or an existing folder, is a folder: looked up here, then in the
    repository.
    sample_users: this share of the users, drawn with `seed`, with all their interactions; all items stay.
    Fetches once and shows its terms then; later calls read parquet from data/interim, keyed by content.
    Raises Problem for an unknown name, a share outside 0..1 and files that cannot be read.
    """
    if not 0 < sample_users <= 1:
        raise Problem(f"sample_users must be above 0 and at most 1 (a share of the users); got {sample_users}")
    own = _own_folder(str(name_or_folder))
    dataset = _cached_folder(own) if own else _cached_name(str(name_or_folder))
    return dataset if sample_users == 1 else _sample(dataset, sample_users, seed)


def as_published(name_or_folder: str | Path) -> Dataset:
    """The same with the copy of its people that some file holds, for whoever asks what such a copy does to a study.

    Equal to `load` but for the data sets of `formats.AS_PUBLISHED`. Raises Problem like `load`.
    """
    name = str(name_or_folder)
    if name not in formats.AS_PUBLISHED:
        return load(name)
    files, source = _files(name)
    return _cached(f"{name}-published", files, lambda: formats.AS_PUBLISHED[name](source))


def _own_folder(text: str) -> Path | None:
    """The user's folder, or None when the text is a name. Raises Problem when a path leads nowhere."""
    if text in formats.PARSERS:
        return None
    given = Path(text).expanduser()
    found = [place for place in (given, runs.ROOT / given) if place.is_dir()]
    if text and found:
        return found[0]
    if "/" in text or os.sep in text:
        tried = ", ".join(str(place) for place in dict.fromkeys((given.absolute(), runs.ROOT / given)))
        raise Problem(f"there is no folder {text!r} (tried {tried}). Give one with interactions.csv and items.csv.")
    return None


def _cached_name(name: str) -> Dataset:
    """A data set of the catalogue, fetched if need be. Raises Problem for a name without a reader."""
    if name not in formats.PARSERS:
        raise _unknown(name)
    files, source = _files(name)
    return _cached(name, files, lambda: formats.PARSERS[name](source))


def _files(name: str) -> tuple[list[Path], Path]:
    """The files of a data set that its reader reads, and their folder; fetched if need be."""
    from recutils.data.fetch import fetch

    source = fetch(name, say=print)
    return [source / file for file in formats.FILES[name]], source


def _unknown(name: str) -> Problem:
    """What to say of a name that cannot be loaded: near names, and that a folder would do."""
    from recutils.data.catalogue import entries

    near = difflib.get_close_matches(name.lower(), formats.PARSERS, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    known = f"{', '.join(formats.PARSERS)}, or a folder with interactions.csv and items.csv"
    if name in entries():
        return Problem(f"{name} has no reader yet; expected {known}. recutils.data.fetch gives its files.")
    return Problem(f"unknown data set {name!r}.{hint} Expected {known}.")


def _cached_folder(own: Path) -> Dataset:
    """The user's own data, cached by the content of its files."""
    return _cached("own", folder.own_files(own), lambda: folder.read_folder(own), extra=own.resolve().name)


def _key(files: list[Path], extra: str) -> str:
    """16 hex digits of the files' names and contents, of the readers' source and of `extra`."""
    parts = [f"{path.name} {runs.file_hash(path)}" for path in files]
    parts += [runs.file_hash(Path(module.__file__)) for module in READERS]
    return hashlib.sha256("\n".join([*parts, extra]).encode()).hexdigest()[:16]


def _cached(name: str, files: list[Path], build: Callable[[], Dataset], extra: str = "") -> Dataset:
    """The data set from data/interim, or built and stored there; a damaged cache is built again."""
    place = runs.DATA / "interim" / f"{name}-{_key(files, extra)}"
    if place.is_dir():
        try:
            return _read(place)
        except (OSError, ValueError, KeyError, TypeError):  # a missing, cut or changed file
            shutil.rmtree(place, ignore_errors=True)
    _store(build(), place)
    return _read(place)


def _store(dataset: Dataset, place: Path) -> None:
    """Write parquet and json under a temporary name, then rename."""
    partial = place.with_name(f".{place.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for table, rows in zip(TABLES, (dataset.interactions.rows, dataset.users, dataset.items), strict=True):
            rows.to_parquet(partial / f"{table}.parquet", index=False)
        about = {"name": dataset.name, "explicit": dataset.explicit, "notes": list(dataset.notes)}
        runs.write_text(partial / "dataset.json", json.dumps(about, indent=1) + "\n")
        _rename(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _rename(partial: Path, place: Path) -> None:
    try:
        os.replace(partial, place)
    except OSError:
        if not place.is_dir():  # else another process was first, with the same content
            raise


def _read(place: Path) -> Dataset:
    """The stored data set. Raises FileNotFoundError when there is none."""
    about = json.loads((place / "dataset.json").read_text(encoding="utf-8"))
    rows, users, items = (pd.read_parquet(place / f"{table}.parquet") for table in TABLES)
    interactions = Interactions(rows, len(users), len(items))
    return Dataset(about["name"], interactions, users, items, about["explicit"], tuple(about["notes"]))


def _sample(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with round(share * n) of the n users that have interactions, in their old order, and all items."""
    active = dataset.interactions.user.unique()
    chosen = np.random.default_rng(seed).choice(np.sort(active), max(1, round(share * len(active))), replace=False)
    events = dataset.interactions.only(dataset.interactions.user.isin(chosen))
    note = (
        f"A sample: {len(chosen):,} of {len(active):,} users (seed {seed}), {len(events):,} of "
        f"{len(dataset.interactions):,} interactions."
    )
    sample = compact(dataset, events, keep_items=True)
    return replace(sample, notes=(*dataset.notes, note))
