"""Vectors on disk, by content: only texts that no file holds go through the model. No model code here.

A folder of data/vectors belongs to one vector space (model, pooling, precision, length, scaling). Its files are
safetensors, each named by the sha256 of its content, so that a damaged one is found, and never changed once written.
"""

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recutils import runs
from recutils.data.faults import DiskFull
from recutils.encode.encoder import FACTS, Encoded, Encoder, Progress, Rows, distinct, gathered
from recutils.tables import Problem

PIECE = 4096  # texts encoded between two writes: a killed run loses at most these
MOST_FILES = 16  # more are merged into one
KEY_BYTES = 32


def encode_cached(
    encoder: Encoder, texts: Sequence[str], *, root: Path | None = None, progress: Progress | None = None
) -> Encoded:
    """What `encoder.encode(texts)` gives, with only new texts encoded; the others come from `root` (data/vectors).

    A damaged file is found by its hash, and its texts are encoded again. Two processes that need the same texts encode
    them once: the second waits. Raises Problem when a file holds vectors of another model, option or length.
    """
    started = time.perf_counter()
    unique, where = distinct(texts)
    store = Store((root or runs.DATA / "vectors") / _folder_name(encoder), encoder.space, encoder.width)
    keys = [key_of(encoder.space, text) for text in unique]
    found = store.read(keys)
    encoded = 0
    if found.lacking or found.damaged:
        with store.locked():
            found = store.read(keys)  # another process may have added them
            encoded = len(found.lacking)
            _encode_missing(encoder, store, found, unique, progress)
    seconds, damaged = time.perf_counter() - started, len(found.damaged)
    return gathered(found.rows, where, encoded=encoded, seconds=seconds, damaged=damaged)


def key_of(space: str, text: str) -> bytes:
    """32 bytes that name a text in a vector space."""
    return hashlib.sha256(f"{space}\n{text}".encode("utf-8", "surrogatepass")).digest()


def _folder_name(encoder: Encoder) -> str:
    """Readable first, then enough of the space's name to be its own: minilm-fp32-mean-256-0123456789ab."""
    name = "".join(c if c.isalnum() else "-" for c in Path(encoder.checkpoint.name).name.lower())
    return f"{name}-{encoder.precision}-{encoder.pooling}-{encoder.max_tokens}-{encoder.space[:12]}"


@dataclass(frozen=True, eq=False)
class Found:
    """What a store holds of m texts. rows: zeros where lacking. lacking: positions. damaged: files to remove."""

    keys: list[bytes]
    rows: Rows
    lacking: list[int]
    damaged: list[Path]


def _encode_missing(
    encoder: Encoder, store: "Store", found: Found, texts: list[str], progress: Progress | None
) -> None:
    """Encode what is lacking, piece by piece, into the store and into the found rows; needs the lock."""
    for path in found.damaged:
        path.unlink(missing_ok=True)
    started = time.perf_counter()
    for start in range(0, len(found.lacking), PIECE):
        piece = found.lacking[start : start + PIECE]
        shifted = _shifted(progress, start, len(found.lacking), started) if progress else None
        rows = encoder.run([texts[row] for row in piece], shifted)
        store.write([found.keys[row] for row in piece], rows)
        found.rows.vectors[piece], found.rows.facts[piece] = rows.vectors, rows.facts
    store.merge()


def _shifted(progress: Progress, before: int, total: int, started: float) -> Progress:
    """A progress call for one piece, told in terms of all pieces."""

    def told(done: int, size: int, left: float) -> None:
        finished = before + done
        later = (time.perf_counter() - started) / finished * (total - finished)
        progress(finished, total, left if total == size else later)

    return told


@dataclass(frozen=True)
class Store:
    """The files of one vector space. space: its 64 hex digits. width: numbers in a vector."""

    folder: Path
    space: str
    width: int

    def read(self, keys: list[bytes]) -> Found:
        """The rows of these keys from all whole files. Raises Problem for a file of another space or width."""
        places = {key: place for place, key in enumerate(keys)}
        vectors = np.zeros((len(keys), self.width), dtype=np.float32)
        facts = np.zeros((len(keys), len(FACTS)), dtype=np.int64)
        lacking, damaged = set(range(len(keys))), []
        for path in self._files():
            tensors = self._open(path)
            if tensors is None:
                damaged += [path] if path.exists() else []  # gone: another process merged it
                continue
            hits = [(places[key], row) for row, key in enumerate(_split(tensors["keys"])) if key in places]
            into, rows = [place for place, _ in hits], [row for _, row in hits]
            vectors[into], facts[into] = tensors["vectors"][rows], tensors["facts"][rows]
            lacking.difference_update(into)
        return Found(keys, Rows(vectors, facts), sorted(lacking), damaged)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

    def _open(self, path: Path) -> dict[str, np.ndarray] | None:
        """The arrays of one file, or None when it is gone or its content is not what its name says."""
        from safetensors.numpy import load

        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != path.stem:
            return None
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        tensors = load(content)
        self._check(path, header.get("__metadata__", {}).get("space", "none"), tensors)
        return tensors

    def _check(self, path: Path, space: str, tensors: dict[str, np.ndarray]) -> None:
        """Raise Problem when a whole file does not belong here: it was put here by hand, or by another program."""
        n, width = tensors["vectors"].shape if "vectors" in tensors else (0, 0)
        if space != self.space:
            came, wanted = f"of the space {space[:12]} (another model or option)", f"of {self.space[:12]}"
        elif width != self.width or {name: t.shape for name, t in tensors.items()} != _shapes(n, width):
            came, wanted = f"of length {width}", f"of length {self.width}"
        else:
            return
        raise Problem(
            f"{path} holds vectors {came}; this folder takes those {wanted}. Move the file away; nothing is lost."
        )

    def write(self, keys: list[bytes], rows: Rows) -> Path:
        """Store rows under their keys, in a new file. Returns its path."""
        from safetensors.numpy import save

        table = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), KEY_BYTES)
        tensors = {"keys": table, "vectors": rows.vectors, "facts": rows.facts}
        content = save(tensors, metadata={"space": self.space})
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        _write_bytes(path, content)
        return path

    def merge(self) -> None:
        """Make one file of many; needs the lock."""
        files = self._files()
        if len(files) <= MOST_FILES:
            return
        whole = [tensors for path in files if (tensors := self._open(path)) is not None]
        vectors, facts = (np.concatenate([tensors[name] for tensors in whole]) for name in ("vectors", "facts"))
        merged = self.write([key for tensors in whole for key in _split(tensors["keys"])], Rows(vectors, facts))
        for path in files:
            if path != merged:
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the space's lock; another process waits. The system frees it when its holder dies."""
        path = self.folder.parent / ".locks" / f"{self.folder.name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("a")
        except OSError as fault:
            raise _disk_fault(path, fault) from fault
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _shapes(n: int, width: int) -> dict[str, tuple[int, int]]:
    return {"keys": (n, KEY_BYTES), "vectors": (n, width), "facts": (n, len(FACTS))}


def _split(keys: np.ndarray) -> list[bytes]:
    """Keys (m, 32) uint8 as m byte strings."""
    joined = keys.tobytes()
    return [joined[start : start + KEY_BYTES] for start in range(0, len(joined), KEY_BYTES)]


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as fault:
        raise _disk_fault(path, fault) from fault
    finally:
        partial.unlink(missing_ok=True)


def _disk_fault(path: Path, fault: OSError) -> Problem:
    """A full or closed disk as a message with a cure."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"the disk became full while vectors were written to {path.parent}. Free some space and run again."
        )
    return Problem(f"{path} cannot be written ({fault.strerror}). Make {path.parent} writable, or set RECUTILS_HOME.")
