"""The one interface of all models, and how a fitted model is saved. No algorithm lives here."""

import hashlib
import inspect
import json
import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from recutils import runs
from recutils.tables import Interactions, Problem

FORMAT = 1


class Model(ABC):
    """Fit on interactions, then score histories.

    A history is a sparse row over items (n_items columns, values as in training). A known user, a list of liked items
    and a new user (an empty row) are therefore one and the same call. Seen items are masked in `rank`, not here.
    Keyword arguments of __init__ are the parameters; they are kept under the same names and saved with the model.
    Strangers: a model that can say nothing of a history without items (`serves_strangers` is False) gives popularity.
    """

    name: ClassVar[str]
    needs_time: ClassVar[bool] = False
    serves_strangers: ClassVar[bool] = True  # False: `score` puts popularity where this model has nothing to say
    arrays: ClassVar[tuple[str, ...]] = ()  # names of the fitted attributes, numpy or csr, all that `save` must keep
    n_items: int | None = None
    popular: np.ndarray  # (n_items,) float32, training events of each item

    @abstractmethod
    def _fit(self, train: Interactions) -> None:
        """Learn the arrays from the training part."""

    @abstractmethod
    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) of checked histories."""

    def fit(self, train: Interactions) -> Self:
        """Learn from the training part, which is not changed. Raises Problem when it is empty or lacks time."""
        if len(train) == 0:
            raise Problem(
                f"{self.name} cannot learn from an empty training part; check the split's shares or the sample."
            )
        if self.needs_time and not train.has_time:
            raise Problem(
                f"{self.name} needs a time for each interaction; these data have none. Use a model that needs no time."
            )
        self._fit(train)
        self.popular = np.bincount(train.item, minlength=train.n_items).astype(np.float32)
        self.n_items = train.n_items
        return self

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) float32, higher is better; finite for every history, the empty one included.

        Where `serves_strangers` is False, an empty history gets the items' training counts instead, and so does one
        that tells the model nothing (all its scores are equal: no item of it was met in training, say).
        Raises Problem before fit and when the histories have another number of items than the training part.
        """
        if self.n_items is None:
            raise Problem(f"{self.name} was asked to score before it was fitted. Call fit(train) first.")
        if histories.shape[1] != self.n_items:
            raise Problem(
                f"histories have {histories.shape[1]} items; {self.name} was fitted on {self.n_items}. "
                "Build both from one data set."
            )
        histories = histories.tocsr()
        scores = np.ascontiguousarray(self._score(histories), dtype=np.float32)
        if not self.serves_strangers:
            scores[(np.diff(histories.indptr) == 0) | (scores.max(axis=1) == scores.min(axis=1))] = self.popular
        return scores

    def parameters(self) -> dict[str, Any]:
        """The arguments of __init__ by name."""
        return {name: getattr(self, name) for name in self.arguments()}

    @classmethod
    def arguments(cls) -> tuple[str, ...]:
        """Names of the arguments of __init__; where it takes the rest (`**rest`) for its parent, the parent's too."""
        names: list[str] = []
        for part in [part for part in cls.__mro__[:-1] if "__init__" in vars(part)]:
            taken = list(inspect.signature(part.__init__).parameters.values())[1:]
            names += [one.name for one in taken if one.kind is not one.VAR_KEYWORD and one.name not in names]
            if not any(one.kind is one.VAR_KEYWORD for one in taken):
                break
        return tuple(names)

    def save(self, folder: Path) -> Path:
        """Write parameters (JSON) and arrays (safetensors) as a folder, whole or not at all; replaces an older one."""
        from safetensors.numpy import save_file

        if self.n_items is None:
            raise Problem(f"{self.name} was asked to be saved before it was fitted. Call fit(train) first.")
        partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        partial.mkdir(parents=True)
        save_file(self._fitted(), partial / "arrays.safetensors")
        manifest = {"format": FORMAT, "model": self.name, "n_items": self.n_items, "parameters": self.parameters()}
        runs.write_text(partial / "model.json", json.dumps(manifest, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        return folder

    def _fitted(self) -> dict[str, np.ndarray]:
        """What was learnt, as plain arrays by name."""
        return _packed({name: getattr(self, name) for name in ("popular", *self.arrays)})

    def size_mb(self) -> float:
        """Size of what was learnt, as saved, MB (10^6 bytes)."""
        return sum(array.nbytes for array in self._fitted().values()) / 1e6

    @classmethod
    def load(cls, folder: Path) -> Self:
        """A model that `save` wrote. Raises Problem for another model's folder or a newer format."""
        from safetensors.numpy import load_file

        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if manifest["model"] != cls.name or manifest["format"] > FORMAT:
            came = f"model {manifest['model']!r} in format {manifest['format']}"
            raise Problem(
                f"{folder} holds {came}; expected {cls.name!r} in format {FORMAT} or older. "
                "Load it with the right class or version."
            )
        model = cls(**manifest["parameters"])
        for name, array in _unpacked(load_file(folder / "arrays.safetensors")).items():
            setattr(model, name, array)
        model.n_items = manifest["n_items"]
        return model


def check_values(values: str) -> None:
    """Raise Problem unless `values` is "value" or "binary"."""
    if values not in ("value", "binary"):
        raise Problem(f"values must be 'value' or 'binary'; got {values!r}")


def as_values(histories: sparse.csr_matrix, values: str) -> sparse.csr_matrix:
    """Histories as a model reads them: "value" as they are, "binary" with 1 for every stored entry; a new matrix."""
    data = histories.data.astype(np.float32) if values == "value" else np.ones(histories.nnz, dtype=np.float32)
    return sparse.csr_matrix((data, histories.indices, histories.indptr), shape=histories.shape)


def row_keys(histories: sparse.csr_matrix) -> np.ndarray:
    """Digest (n_histories,) int64 of each row's items and values, whatever their order: known users are found by it."""
    return np.array([_row_key(row.indices, row.data) for row in histories], dtype=np.int64)


def _row_key(items: np.ndarray, values: np.ndarray) -> int:
    order = np.argsort(items)
    content = items[order].astype(np.int64).tobytes() + values[order].astype(np.float32).tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little", signed=True)


def known_rows(keys: np.ndarray, user_keys: np.ndarray) -> np.ndarray:
    """Row (n_histories,) int64 of the first training user with each key; -1 where there is none."""
    row_of = {key: row for row, key in reversed(list(enumerate(user_keys.tolist())))}
    return np.array([row_of.get(key, -1) for key in keys.tolist()], dtype=np.int64)


def _packed(fitted: dict[str, Any]) -> dict[str, np.ndarray]:
    """Contiguous arrays by name; a csr matrix becomes four, "name.data" and so on."""
    arrays: dict[str, np.ndarray] = {}
    for name, array in fitted.items():
        if sparse.issparse(array):
            shape = np.array(array.shape)
            parts = {"data": array.data, "indices": array.indices, "indptr": array.indptr, "shape": shape}
            arrays |= {f"{name}.{part}": values for part, values in parts.items()}
        else:
            arrays[name] = np.ascontiguousarray(array)
    return arrays


def _unpacked(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of `_packed`."""
    fitted: dict[str, Any] = {name: array for name, array in arrays.items() if "." not in name}
    for name in {name.split(".")[0] for name in arrays if "." in name}:
        data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr", "shape"))
        fitted[name] = sparse.csr_matrix((data, indices, indptr), shape=tuple(int(size) for size in shape))
    return fitted


class RatingModel(Model):
    """A model that also says which rating a user would give."""

    @abstractmethod
    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings (n,) of user rows for item rows; where one side is unknown, from what is known of the other."""
