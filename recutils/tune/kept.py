"""Results of long trainings, kept by what decided them, and tuned weights as a folder. Nothing is trained here.

A key covers the settings, the data and the source code of the modules named, so that no result outlives its code.
Weights are safetensors and JSON; no pickle is written or read.
"""

import fcntl
import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recutils import runs
from recutils.tables import Problem

FORMAT = 1
MODULES = (
    "recutils.model.plan", "recutils.model.training", "recutils.model.threads",
    "recutils.tune.states", "recutils.tune.classifier",
)  # fmt: skip
Arrays = dict[str, np.ndarray]


def key_of(about: Mapping[str, Any], modules: Sequence[str] = MODULES) -> str:
    """64 hex digits over the settings (plain JSON), the modules' source and torch's version."""
    sources = [importlib.import_module(name).__file__ for name in sorted(modules)]
    code = hashlib.sha256("".join(runs.file_hash(Path(str(path))) for path in sources).encode()).hexdigest()
    told = json.dumps({"about": about, "code": code, "torch": torch.__version__, "format": FORMAT}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def digest(*parts: Any) -> str:
    """16 hex digits of texts, arrays and plain values: what stands for large data in a key."""
    found = hashlib.sha256()
    for part in parts:
        content = part.tobytes() if isinstance(part, np.ndarray) else json.dumps(part).encode()
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


def kept(
    about: Mapping[str, Any],
    make: Callable[[Path], Arrays],
    *,
    modules: Sequence[str] = MODULES,
    root: Path | None = None,
) -> Arrays:
    """What `make` gave for these settings: made now, or read back when it was made before.

    make: takes a folder for its checkpoints, so that a killed training goes on; the folder goes when all is done.
    Another process that wants the same waits. root: data/interim/tuned. A damaged file is made again.
    """
    from safetensors.numpy import save_file

    root = root or runs.DATA / "interim" / "tuned"
    root.mkdir(parents=True, exist_ok=True)
    key = key_of(about, modules)[:24]
    path, working = root / f"{key}.safetensors", root / f"{key}.part"
    with (root / f".{key}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _read(path)
        if found is None:
            found = {name: np.ascontiguousarray(array) for name, array in make(working).items()}
            partial = path.with_suffix(f".{os.getpid()}.tmp")
            save_file(found, partial)
            os.replace(partial, path)
            shutil.rmtree(working, ignore_errors=True)
    return found


def _read(path: Path) -> Arrays | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError, ValueError, EOFError):
        return None


def save_weights(module: nn.Module, folder: Path, about: Mapping[str, Any]) -> Path:
    """The trained weights of a module and what they belong to, as a folder, whole or not at all.

    Only weights that training may change are stored: an adapter of a large model stays small.
    """
    from safetensors.torch import save_file

    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    partial.mkdir(parents=True, exist_ok=True)
    tensors = {name: w.detach().cpu().contiguous() for name, w in module.named_parameters() if w.requires_grad}
    save_file(tensors, partial / "weights.safetensors")
    told = {"format": FORMAT, "about": dict(about), "sha256": runs.file_hash(partial / "weights.safetensors")}
    runs.write_text(partial / "manifest.json", json.dumps(told, indent=1, sort_keys=True) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(partial, folder)
    return folder


def load_weights(module: nn.Module, folder: Path, about: Mapping[str, Any]) -> nn.Module:
    """Put stored weights into a module of the same make, in evaluation mode.

    Raises Problem for a folder that is not whole, was changed, or belongs to another base, task or architecture.
    """
    from safetensors.torch import load_file

    try:
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        same = runs.file_hash(folder / "weights.safetensors") == told["sha256"]
    except (OSError, ValueError, KeyError) as fault:
        raise Problem(f"{folder} is not a folder of tuned weights ({fault}). Tune again, or copy it anew.") from None
    if not same:
        raise Problem(f"{folder}: weights.safetensors is not what manifest.json names. Copy the folder anew.")
    wanted = json.loads(json.dumps({"format": FORMAT, "about": dict(about)}))
    faults = [
        f"{name} is {told.get(name)}, expected {wanted[name]}" for name in wanted if told.get(name) != wanted[name]
    ]
    tensors = load_file(folder / "weights.safetensors")
    mine = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    faults += [f"{name} is missing" for name in [*mine.keys() - tensors.keys()][:2]]
    faults += [f"{name} is not part of this model" for name in [*tensors.keys() - mine.keys()][:2]]
    both = mine.keys() & tensors.keys()
    faults += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(mine[name].shape)}"
        for name in sorted(both) if tensors[name].shape != mine[name].shape
    ][:2]  # fmt: skip
    if faults:
        raise Problem(f"{folder} belongs to another model: {'; '.join(faults)}. Give its own base, or tune again.")
    with torch.no_grad():
        for name, weight in mine.items():
            weight.copy_(tensors[name])
    return module.eval()
