"""A causal language model as a clean folder: one GGUF file is converted once to safetensors. It writes nothing itself.

A model that transformers loads from GGUF keeps traces of its 4 bits and refuses to be saved or trained; the folder made
here holds the same weights as plain float32 of a LlamaForCausalLM, with its tokenizer, and opens like any other.
"""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING

from recutils import runs
from recutils.data import catalogue
from recutils.data.fetch import fetch
from recutils.encode.checkpoint import Checkpoint, check, find, load, quiet
from recutils.tables import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ORIGIN = "converted_from.json"  # in the made folder: which file it came from
LEFT = ("quantization_config", "model_type", "transformers_version", "_name_or_path", "architectures", "dtype")
KIND = "AutoModelForCausalLM"


def find_decoder(model: str | Path, *, root: Path | None = None, say: Callable[[str], None] = print) -> Checkpoint:
    """The checked folder of a causal language model: a checkpoint's name in the catalogue, a folder or a hub name.

    A checkpoint that is one GGUF file is converted on first use, into root (data/checkpoints) / NAME-safetensors: half
    a minute and half a gigabyte for the small one. A second process waits. Raises Problem as `checkpoint.find`, for
    a folder with several GGUF files and for another architecture than Llama.
    """
    name = str(model)
    if name not in catalogue.entries() or catalogue.entry(name).kind != "checkpoint":
        return find(model)
    source = fetch(name, say=say)
    if (source / "config.json").is_file():
        return check(Checkpoint(name, source))
    place = root or runs.DATA / "checkpoints"
    return check(Checkpoint(name, converted(_only(source, name), place / f"{name}-safetensors", say=say)))


def open_decoder(
    checkpoint: Checkpoint, precision: str, device: str
) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
    """Tokenizer and model that can write, in evaluation mode (see `checkpoint.load`)."""
    return load(checkpoint, precision, device, KIND)


def _only(folder: Path, name: str) -> Path:
    """The one GGUF file of a folder."""
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise Problem(f"{name}: {folder} must hold config.json or one GGUF file; found {len(files)} of them.")
    return files[0]


def converted(file: Path, folder: Path, *, say: Callable[[str], None] = print) -> Path:
    """The folder with the clean model of a GGUF file, made when it is lacking or came from another file.

    Written under a temporary name and renamed, so that half a model is never found.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        digest = runs.file_hash(file)
        if _origin(folder) == digest:
            return folder
        say(f"{file.name}: converted to safetensors once, half a minute ...")
        partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            _convert(file, partial)
            runs.write_text(partial / ORIGIN, json.dumps({"file": file.name, "sha256": digest}) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _origin(folder: Path) -> str:
    """sha256 of the file that a made folder came from; "" when there is none."""
    try:
        return str(json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError):
        return ""


def _convert(file: Path, folder: Path) -> None:
    """Read GGUF, put the weights into a fresh model without any trace of quantisation, save both parts."""
    with quiet(), redirect_stderr(io.StringIO()):  # transformers shows a bar of its own for GGUF
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

        local = {"gguf_file": file.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **local)
        model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **local)
        if not isinstance(model, LlamaForCausalLM):
            raise Problem(f"{file.name} holds a {type(model).__name__}; only Llama can be converted. Give safetensors.")
        settings = {name: value for name, value in model.config.to_dict().items() if name not in LEFT}
        clean = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.float32)
        clean.load_state_dict(model.state_dict(), strict=True)
        clean.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
