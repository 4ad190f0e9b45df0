"""A fitted pipeline as one folder of safetensors, parquet and JSON, which loads without executing anything it holds.

FOLDER/manifest.json       format, version, data, code, encoder, figures, and size and sha256 of every other file
      /card.md             the same for people
      /model/              what `Model.save` writes
      /items.parquet       item_id, title and text of each item, by row
      /users.parquet       user_id of each user, by row
      /arrays.safetensors  the users' histories (csr) and, where there is an encoder, the items' vectors
Which bundle is served, and how to go back, is the shelf's: shelf.py.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils import runs
from recutils.model.als import ALS, BPR
from recutils.model.base import Model
from recutils.model.baselines import Popularity, RecentPopularity
from recutils.model.ease import EASE, UserEASE
from recutils.model.neighbours import ItemNeighbours, UserNeighbours
from recutils.model.sar import SAR
from recutils.model.slim import SLIM
from recutils.model.spectral import GraphFilter
from recutils.model.stream_ease import StreamEASE
from recutils.tables import ITEM_ID, TITLE, USER_ID, Problem, check_columns

FORMAT = 1
KIND = "recutils bundle"
TEXT = "text"
MANIFEST = "manifest.json"
FILES = (
    "arrays.safetensors",
    "card.md",
    "items.parquet",
    "model/arrays.safetensors",
    "model/model.json",
    "users.parquet",
)
MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (
        ALS, BPR, EASE, GraphFilter, ItemNeighbours, Popularity, RecentPopularity, SAR, SLIM, StreamEASE, UserEASE,
        UserNeighbours,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """The text encoder whose vectors lie in a bundle: its name, the sha256 of its files, numbers in a vector."""

    name: str
    hash: str
    width: int


@dataclass(frozen=True, eq=False)
class Bundle:
    """All that a service needs.

    model: fitted. items: item_id, title, text, one row an item. user_ids: (n_users,) str. histories: (n_users,
    n_items). vectors: (n_items, d) float32 and the encoder that made them, or None for both. data: name and counts.
    figures: records of what was measured, as JSON takes them. notes: sentences for the card. version: that of the
    contents; "" before they are saved.
    """

    model: Model
    items: pd.DataFrame
    user_ids: np.ndarray
    histories: sparse.csr_matrix
    vectors: np.ndarray | None = None
    encoder: Reader | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""

    def __post_init__(self) -> None:
        """Raises Problem where the parts do not fit together."""
        check_columns(self.items, [ITEM_ID, TITLE, TEXT], "a bundle's items")
        expected, n_items = (len(self.user_ids), len(self.items)), self.model.n_items
        if n_items != len(self.items) or self.histories.shape != expected:
            raise Problem(
                f"the bundle's parts do not fit: a model of {n_items} items, {expected[1]} items and {expected[0]} "
                f"users in tables, histories {self.histories.shape}. Build all from one data set."
            )
        if (self.vectors is None) != (self.encoder is None):
            raise Problem("a bundle has vectors and their encoder, or neither; got one of them.")
        if self.encoder and self.vectors.shape != (n_items, self.encoder.width):
            raise Problem(f"vectors must be {(n_items, self.encoder.width)}; got {self.vectors.shape}")
        if self.model.name not in MODELS:
            raise Problem(f"a bundle serves {', '.join(MODELS)}; got {self.model.name!r}.")

    @cached_property
    def liked(self) -> float:
        """The value that stands for "liked" in a history: what three quarters of all events do not exceed."""
        data = self.histories.data
        return float(np.quantile(data, 0.75)) if len(data) else 1.0


def save(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle as a new folder, whole or not at all. Raises Problem when the folder exists."""
    if folder.exists():
        raise Problem(f"{folder} exists already; a bundle is never changed in place. Choose another name.")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(bundle, partial)
        os.replace(partial, folder)
    except OSError as fault:
        raise Problem(
            f"the bundle could not be written to {folder} ({fault.strerror}). Make room or choose."
        ) from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(bundle: Bundle, folder: Path) -> None:
    from safetensors.numpy import save_file

    bundle.model.save(folder / "model")
    bundle.items[[ITEM_ID, TITLE, TEXT]].astype(str).to_parquet(folder / "items.parquet", index=False)
    pd.DataFrame({USER_ID: bundle.user_ids.astype(str)}).to_parquet(folder / "users.parquet", index=False)
    save_file(_arrays(bundle), folder / "arrays.safetensors")
    runs.write_text(folder / "card.md", card(bundle))
    manifest = _manifest(bundle, {name: _of(folder / name) for name in FILES})
    runs.write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _arrays(bundle: Bundle) -> dict[str, np.ndarray]:
    found = {name: np.ascontiguousarray(getattr(bundle.histories, name)) for name in ("data", "indices", "indptr")}
    return found if bundle.vectors is None else found | {"vectors": np.ascontiguousarray(bundle.vectors, np.float32)}


def _of(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": runs.file_hash(path)}


def _manifest(bundle: Bundle, files: Mapping[str, Any]) -> dict[str, Any]:
    content = {
        "kind": KIND, "format": FORMAT, "model": bundle.model.name, "n_users": len(bundle.user_ids),
        "n_items": len(bundle.items), "data": dict(bundle.data), "commit": runs.commit(), "versions": runs.versions(),
        "encoder": vars(bundle.encoder) if bundle.encoder else None, "figures": list(bundle.figures),
        "notes": list(bundle.notes), "files": dict(files),
    }  # fmt: skip
    return content | {"version": version_of(content)}


def version_of(content: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change with anything in the manifest, the files' hashes included."""
    told = {name: value for name, value in content.items() if name != "version"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def card(bundle: Bundle) -> str:
    """What the bundle is, for people: Markdown."""
    lines = [
        f"# {bundle.model.name} on {bundle.data.get('name', 'unnamed data')}",
        "",
        f"{len(bundle.user_ids):,} users, {len(bundle.items):,} items, {bundle.histories.nnz:,} events. "
        + (f"Texts are read by {bundle.encoder.name}." if bundle.encoder else "It reads no texts."),
        "",
        *[f"- {one}" for one in bundle.notes],
        *[f"- {one['metric']} of {one['model']}: {one['value']:.4f} (n {one['n']})" for one in bundle.figures],
    ]
    return "\n".join(lines) + "\n"


def load(folder: Path, *, encoder: Reader | None = None) -> Bundle:
    """A bundle that `save` wrote, after every file's size and hash were checked; nothing in it is executed.

    encoder: the one at hand; where the bundle has vectors, it must be theirs.
    Raises Problem for a folder that is incomplete, changed, of a newer format, or made with another checkpoint.
    """
    from safetensors.numpy import load_file

    manifest = checked(folder)
    found = _encoder(manifest, encoder, folder)
    arrays = load_file(folder / "arrays.safetensors")
    shape = (manifest["n_users"], manifest["n_items"])
    return Bundle(
        model=MODELS[manifest["model"]].load(folder / "model"),
        items=pd.read_parquet(folder / "items.parquet"),
        user_ids=pd.read_parquet(folder / "users.parquet")[USER_ID].to_numpy(dtype=str),
        histories=sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape),
        vectors=arrays.get("vectors"),
        encoder=found,
        data=manifest["data"],
        figures=tuple(manifest["figures"]),
        notes=tuple(manifest["notes"]),
        version=manifest["version"],
    )


def checked(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files are all as it says. Raises Problem with what is not."""
    manifest = _read(folder)
    if manifest.get("kind") != KIND or not isinstance(manifest.get("format"), int):
        raise Problem(f"{folder / MANIFEST} is not the manifest of a bundle. Give a folder that recutils wrote.")
    if manifest["format"] > FORMAT:
        raise Problem(
            f"{folder} has format {manifest['format']}; this version reads {FORMAT} and older. Update recutils, or "
            "publish the bundle again with this version."
        )
    if manifest.get("version") != version_of(manifest) or set(manifest.get("files", ())) != set(FILES):
        raise Problem(f"{folder / MANIFEST} was changed after it was written. Take the bundle from its source again.")
    if manifest["model"] not in MODELS:
        raise Problem(f"{folder} holds the model {manifest['model']!r}; known are {', '.join(MODELS)}.")
    _check_files(folder, manifest["files"])
    return manifest


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise Problem(
            f"{folder} is not a bundle: {MANIFEST} cannot be read ({type(fault).__name__}). A bundle that was being "
            "written when the machine stopped is a folder that begins with a dot; write it again."
        ) from fault
    return found if isinstance(found, dict) else {}


def _check_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if missing := sorted(set(files) - there):
        raise Problem(f"{folder} is incomplete: {', '.join(missing)} missing. Copy the whole folder again.")
    if extra := sorted(there - set(files) - {MANIFEST}):
        raise Problem(f"{folder} holds files that its manifest does not name: {', '.join(extra)}. Take them out.")
    for name, expected in files.items():
        path = folder / name
        if path.is_symlink() or path.stat().st_size != expected["bytes"] or runs.file_hash(path) != expected["sha256"]:
            raise Problem(f"{path} is not the file that was published (size or sha256 differ). Copy it again.")


def _encoder(manifest: Mapping[str, Any], at_hand: Reader | None, folder: Path) -> Reader | None:
    found = Reader(**manifest["encoder"]) if manifest["encoder"] else None
    if found and at_hand and found.hash != at_hand.hash:
        raise Problem(
            f"the vectors in {folder} were made by {found.name} ({found.hash[:12]}); the encoder at hand is "
            f"{at_hand.name} ({at_hand.hash[:12]}). Queries would meet foreign vectors: use the same checkpoint."
        )
    return found
