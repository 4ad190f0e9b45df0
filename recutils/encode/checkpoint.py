"""Finding, checking, hashing and loading a checkpoint folder of transformers. It encodes nothing."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recutils import runs
from recutils.data import catalogue
from recutils.data.fetch import fetch
from recutils.tables import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DECISIVE = (  # every file that can change a vector; all else in a folder is ignored
    "config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
SETTINGS = ("sentence_bert_config.json", "1_Pooling/config.json")  # how the publisher cuts and pools
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
FALLBACK_TOKENS = 512  # when a folder does not say how long a text may be
WANTED = ("config.json", "model.safetensors", "tokenizer.json")  # of the usual folder
UNUSED = "pooler."  # weights that mean pooling never reads, so that they may be missing


@dataclass(frozen=True)
class Checkpoint:
    """A checked folder. name: as it was asked for."""

    name: str
    folder: Path

    @cached_property
    def hash(self) -> str:
        """sha256 over the names and contents of the decisive files: the same model anywhere, whatever its folder."""
        paths = sorted({path for pattern in DECISIVE for path in self.folder.glob(pattern)})
        lines = [f"{path.name} {runs.file_hash(path)}\n" for path in paths]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return _read_json(self.folder / "config.json", self.name)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        found = self.config.get("hidden_size", self.config.get("dim"))
        if not isinstance(found, int):
            raise Problem(f"{self.name}: config.json has no hidden_size. Expected the folder of a text encoder.")
        return found

    @property
    def longest(self) -> int:
        """Most tokens that the model can read, special ones included."""
        limits = [
            self.config.get("max_position_embeddings"),
            self._setting("tokenizer_config.json", "model_max_length"),
        ]
        return min([limit for limit in limits if isinstance(limit, int)], default=FALLBACK_TOKENS)

    @property
    def max_tokens(self) -> int:
        """Where the publisher cuts texts: max_seq_length of sentence_bert_config.json, else the longest."""
        return min(self._setting(SETTINGS[0], "max_seq_length") or self.longest, self.longest)

    @property
    def pooling(self) -> str:
        """How the publisher pools: "cls" when 1_Pooling/config.json says so, else "mean"."""
        return "cls" if self._setting(SETTINGS[1], "pooling_mode_cls_token") else "mean"

    def _setting(self, file: str, key: str) -> Any:
        path = self.folder / file
        return _read_json(path, self.name).get(key) if path.is_file() else None


def _read_json(path: Path, name: str) -> dict[str, Any]:
    """A JSON file with an object. Raises Problem when it holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise Problem(f"{name}: {path} is not valid JSON ({fault}). Copy this file again from its publisher.") from None
    if not isinstance(found, dict):
        raise Problem(f"{name}: {path} holds {type(found).__name__}, expected an object. Copy this file again.")
    return found


def find(model: str | Path) -> Checkpoint:
    """The checked folder of a model: a checkpoint's name in the catalogue, which is fetched, a folder (from here, then
    from the repository), or a name on the hub such as "owner/model", of which only safetensors are taken.

    Raises Problem for a name that is none of these, a hub that is not reached, and a folder with missing files.
    """
    text = str(model)
    if text in catalogue.entries():
        return check(Checkpoint(text, _from_catalogue(text)))
    for place in (Path(text).expanduser(), runs.ROOT / text):
        if text and place.is_dir():
            return check(Checkpoint(text, place))
    if HUB_NAME.fullmatch(text) and not isinstance(model, Path) and not Path(text).parent.exists():
        return check(Checkpoint(text, _from_hub(text)))
    if "/" in text or isinstance(model, Path):
        raise Problem(f"there is no folder {text!r}. Give a folder with {', '.join(WANTED)}.")
    names = [name for name, entry in catalogue.entries().items() if entry.kind == "checkpoint"]
    raise Problem(f"no checkpoint is called {text!r}; expected one of {', '.join(names)}, a folder or a hub name.")


def _from_catalogue(name: str) -> Path:
    if catalogue.entry(name).kind != "checkpoint":
        raise Problem(f"{name!r} is a data set; expected a checkpoint. See `python -m recutils data list`.")
    return fetch(name, say=print)  # its terms, once; progress of the download


def _from_hub(name: str) -> Path:
    """The snapshot of a hub repository; taken from its cache when HF_HUB_OFFLINE=1."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*DECISIVE, *SETTINGS]))
    except (OSError, ValueError, RuntimeError) as fault:  # offline, not found, gated, no space
        first = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        raise Problem(
            f"there is no folder {name!r}, and the hub did not give a model of this name ({first}). Check the spelling "
            "and the connection (HF_HUB_OFFLINE forbids it), or give a local folder."
        ) from fault


def check(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint itself, when its folder is complete. Raises Problem naming every missing file."""
    folder = checkpoint.folder
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    missing += _missing_weights(checkpoint)
    tokenizers = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
    missing += [] if any(any(folder.glob(pattern)) for pattern in tokenizers) else ["tokenizer.json"]
    if not missing:
        return checkpoint
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    refused = f" {', '.join(pickles)} is a pickle, which can run any code, and is not read." if pickles else ""
    found = sorted(path.name for path in folder.iterdir())[:12]
    raise Problem(
        f"{checkpoint.name}: {folder} lacks {', '.join(missing)}; found {found}."
        f"{refused} Copy the missing files from the model's publisher (weights as safetensors)."
    )


def _missing_weights(checkpoint: Checkpoint) -> list[str]:
    """Weight files that are not there: the single one, or those that the index of a split model names."""
    index = checkpoint.folder / "model.safetensors.index.json"
    if (checkpoint.folder / "model.safetensors").is_file():
        return []
    if not index.is_file():
        return ["model.safetensors"]
    parts = _read_json(index, checkpoint.name).get("weight_map", {})
    return sorted({part for part in parts.values() if not (checkpoint.folder / Path(part).name).is_file()})


def check_available(precision: str, device: str) -> None:
    """Raise Problem when this machine lacks the device, or has it without fast bf16. Nothing is switched silently."""
    import torch

    kind = device.split(":")[0]
    there = {"cpu": lambda: True, "cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}[kind]()
    if not there:
        raise Problem(f"device {device!r} is not available here (torch {torch.__version__}). Use device='cpu'.")
    fast = {"cpu": _cpu_bf16, "cuda": torch.cuda.is_bf16_supported, "mps": lambda: True}[kind]
    if precision == "bf16" and not fast():
        raise Problem(f"this {kind} has no bf16 arithmetic; it would be slower than fp32. Use precision='fp32'.")


def _cpu_bf16() -> bool:
    """AVX512-BF16 or AMX on x86, the bf16 extension on ARM."""
    import torch

    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


def load(
    checkpoint: Checkpoint, precision: str, device: str, kind: str = "AutoModel"
) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
    """Tokenizer and model in evaluation mode, from the folder alone: no network, no pickle, no code of the folder.

    kind: the class of transformers that opens the model: AutoModel without a head, AutoModelForCausalLM to write.
    Raises Problem when a file cannot be read, when weights are missing (they would be random) or when the tokenizer
    knows more tokens than the model.
    """
    check_available(precision, device)
    import torch
    from safetensors import SafetensorError

    local = {"local_files_only": True, "trust_remote_code": False}
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    try:
        with quiet():
            import transformers

            tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, **local)
            model, found = getattr(transformers, kind).from_pretrained(
                checkpoint.folder, use_safetensors=True, dtype=dtype, output_loading_info=True, **local
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as fault:
        raise Problem(
            f"{checkpoint.name}: {checkpoint.folder} cannot be loaded ({fault}). Copy it again from its publisher."
        ) from fault
    _check_loaded(checkpoint, model, {*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise Problem(f"{checkpoint.name}: tokenizer and weights do not belong together. Copy both from one model.")
    return tokenizer, model.eval().to(device)


def _check_loaded(checkpoint: Checkpoint, model: "PreTrainedModel", missing: set[str]) -> None:
    lacking = sorted(key for key in missing if UNUSED not in key)
    if lacking:
        kind = type(model).__name__
        raise Problem(
            f"{checkpoint.name}: the weights lack {len(lacking)} tensors of {kind}, such as {lacking[:3]}; "
            "they would be random. Give a folder whose config.json and weights belong together."
        )


NOISE = {  # logger -> what it says whenever transformers imports torchao: kernels for graphics cards that are not used
    "torchao": "Failed to load ",
    "torch.utils._pytree": "is an Enum subclass and is now natively supported",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Without progress bar, NOISE and load report (what matters of it becomes a Problem). Settings come back."""
    filters = [
        (logging.getLogger(name), lambda line, text=text: text not in str(line.msg)) for name, text in NOISE.items()
    ]
    for logger, wanted in filters:
        logger.addFilter(wanted)
    from transformers.utils import logging as shown

    level, bars = shown.get_verbosity(), shown.is_progress_bar_enabled()
    shown.set_verbosity_error()
    shown.disable_progress_bar()
    try:
        yield
    finally:
        shown.set_verbosity(level)
        if bars:
            shown.enable_progress_bar()
        for logger, wanted in filters:
            logger.removeFilter(wanted)
