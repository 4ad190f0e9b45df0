"""A text encoder that was made small: how it reads, how it lies on disk and comes back. How it is made: compress.py.

FOLDER/compact.json         kind, precision, the sizes of its layers, and the sha256 of the weights
      /weights.safetensors  all tensors (torchao's are written as fp32 and rounded again when opened); no pickle
      /tokenizer.json       of the encoder that it was made from
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils import runs
from recutils.deploy.int8 import Int8Linear, as_torchao, plain, with_int8
from recutils.encode.encoder import batches, padded, pool
from recutils.encode.reduce import Step
from recutils.tables import Problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertModel

FORMAT = 1
PRECISIONS = ("fp32", "bf16", "int8", "int8 torchao")
BATCH_TOKENS = 1024


class Layers(nn.Module):
    """A BERT with any number of layers and heads; forward gives the mean over the tokens (b, d) fp32."""

    def __init__(self, bert: "BertModel") -> None:
        super().__init__()
        self.bert = bert

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """numbers, mask: (b, width) int64; mask is 0 where nothing stands."""
        hidden = self.bert(input_ids=numbers, attention_mask=mask).last_hidden_state
        return pool(hidden.float(), mask, "mean")


class Table(nn.Module):
    """One row for each token and their mean: no word knows its neighbours, no order is seen. rows: (V, d)."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """As `Layers.forward`."""
        inside = mask.to(self.rows.dtype)
        weights = inside / inside.sum(1, keepdim=True)
        return nn.functional.embedding_bag(numbers, self.rows, mode="sum", per_sample_weights=weights).float()


@dataclass(frozen=True, eq=False)
class Compact:
    """A small encoder. module: (numbers, mask) -> (b, d) fp32 (`Layers` or `Table`), in evaluation mode.

    kept: (V,) int64, the row of each token of the tokenizer after the vocabulary was trimmed; None where none was.
    step: cuts dimensions after pooling (encode/reduce.py); None keeps all. max_tokens: longer texts are cut there.
    """

    tokenizer: "Tokenizer"
    module: nn.Module
    precision: str = "fp32"
    max_tokens: int = 64
    kept: np.ndarray | None = None
    step: Step | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise Problem(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        self.module.eval()

    def but(self, **changes: Any) -> "Compact":
        """The same encoder with some fields changed."""
        return replace(self, **changes)

    @cached_property
    def _cutting(self) -> "Tokenizer":
        """A copy of the tokenizer that cuts and never fills up."""
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.tokenizer.to_str())
        made.no_padding()
        made.enable_truncation(self.max_tokens)
        return made

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, special ones included, as the module reads them.

        Raises Problem for a text with a token that the trimmed vocabulary does not hold: its vector would be another.
        """
        found = [row.ids for row in self._cutting.encode_batch(list(texts))]
        if self.kept is None:
            return found
        rows = [self.kept[row] for row in found]
        strange = [n for n, row in enumerate(rows) if (row < 0).any()]
        if strange:
            word = self.tokenizer.id_to_token(int(np.array(found[strange[0]])[rows[strange[0]] < 0][0]))
            raise Problem(
                f"{len(strange)} of {len(texts)} texts hold tokens that were trimmed away, such as {word!r} in "
                f"{texts[strange[0]]!r}. Trim with these texts among the known ones, or use the whole vocabulary."
            )
        return [row.tolist() for row in rows]

    def forward(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """Vectors (b, d) float32 of length 1 of one batch of token numbers."""
        numbers, mask = (torch.from_numpy(table) for table in padded(tokens))
        with torch.inference_mode():
            vectors = self.module(numbers, mask)
            return self._finished(nn.functional.normalize(vectors, dim=1).numpy())

    def _finished(self, vectors: np.ndarray) -> np.ndarray:
        return vectors if self.step is None else self.step(vectors)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, d) float32 in the order of the texts, in batches of one length; nothing is cached."""
        tokens = self.tokens(texts)
        lengths = np.array([len(row) for row in tokens])
        parts = [(rows, self.forward([tokens[row] for row in rows])) for rows in batches(lengths, BATCH_TOKENS)]
        found = np.empty((len(texts), parts[0][1].shape[1]), dtype=np.float32)
        for rows, vectors in parts:
            found[rows] = vectors
        return found

    def save(self, folder: Path) -> Path:
        """Write the folder whole or not at all; an older one is replaced."""
        from safetensors.torch import save_file

        partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(self._tensors(), partial / "weights.safetensors")
        self.tokenizer.save(str(partial / "tokenizer.json"), pretty=False)
        told = self._about() | {"sha256": runs.file_hash(partial / "weights.safetensors")}
        runs.write_text(partial / "compact.json", json.dumps(told, indent=1, sort_keys=True) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
        return folder

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"module.{name}": plain(tensor) for name, tensor in self.module.state_dict().items()}
        extra: dict[str, np.ndarray] = {} if self.kept is None else {"kept": self.kept.astype(np.int32)}
        if self.step is not None:
            extra |= {"step.mean": self.step.mean, "step.matrix": self.step.matrix}
        found |= {name: torch.from_numpy(array) for name, array in extra.items()}
        return {name: tensor.contiguous().clone() for name, tensor in found.items()}

    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = {"format": FORMAT, "kind": "table", "precision": self.precision}
        if isinstance(self.module, Layers):
            heads = [layer.attention.self.num_attention_heads for layer in self.module.bert.encoder.layer]
            about |= {"kind": "layers", "heads": heads, "config": _config(self.module.bert)}
        return about | {"max_tokens": self.max_tokens, "step": None if self.step is None else self.step.name}


def _config(bert: "BertModel") -> dict[str, Any]:
    """What the layers need, as plain JSON."""
    wanted = ("hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "max_position_embeddings",
              "type_vocab_size", "layer_norm_eps", "pad_token_id")  # fmt: skip
    return {name: getattr(bert.config, name) for name in wanted}


def open_compact(folder: Path) -> Compact:
    """The encoder of a folder that `Compact.save` wrote; nothing in it is executed, int8 layers are packed anew.

    Raises Problem for a folder that is not whole, was changed, or has a newer format.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    about = _checked(folder)
    tensors = load_file(folder / "weights.safetensors")
    step = None
    if about["step"] is not None:
        step = Step(about["step"], tensors.pop("step.mean").numpy(), tensors.pop("step.matrix").numpy())
    kept = tensors.pop("kept").numpy().astype(np.int64) if "kept" in tensors else None
    weights = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    module = Table(weights["rows"]) if about["kind"] == "table" else _layers(about, weights)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Compact(tokenizer, module, about["precision"], about["max_tokens"], kept, step)


def _checked(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / "compact.json").read_text(encoding="utf-8"))
        same = runs.file_hash(folder / "weights.safetensors") == about["sha256"]
    except (OSError, ValueError, KeyError) as fault:
        raise Problem(f"{folder} is not the folder of a compact encoder ({fault}). Save it again.") from None
    if about.get("format") != FORMAT:
        raise Problem(f"{folder} has format {about.get('format')}, this version reads {FORMAT}. Update, or save again.")
    if not same:
        raise Problem(f"{folder}: weights.safetensors is not what compact.json names. Copy the folder anew.")
    return about


def _layers(about: dict[str, Any], weights: dict[str, Tensor]) -> Layers:
    """The layers, built without numbers and given the stored ones."""
    from transformers import BertConfig, BertModel

    vocabulary = len(weights["bert.embeddings.word_embeddings.weight"])
    config = BertConfig(vocab_size=vocabulary, num_hidden_layers=len(about["heads"]), **about["config"])
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        bert = BertModel(config, add_pooling_layer=False)
    for layer, heads in zip(bert.encoder.layer, about["heads"], strict=True):
        with torch.device("meta"):
            resize_heads(layer.attention, heads)
    made = Layers(bert)
    if about["precision"] == "int8":
        with_int8(made, lambda linear: Int8Linear.empty(linear.in_features, linear.out_features))
    made.load_state_dict(weights, assign=True)
    places = torch.arange(config.max_position_embeddings)[None]
    bert.embeddings.position_ids, bert.embeddings.token_type_ids = places, torch.zeros_like(places)
    return as_torchao(made) if about["precision"] == "int8 torchao" else made


def resize_heads(attention: nn.Module, heads: int) -> None:
    """Give an attention block room for so many heads; their numbers are not set."""
    inner, outer = attention.self, attention.output.dense
    width = heads * inner.attention_head_size
    for name in ("query", "key", "value"):
        setattr(inner, name, nn.Linear(getattr(inner, name).in_features, width))
    attention.output.dense = nn.Linear(width, outer.out_features)
    inner.num_attention_heads, inner.all_head_size = heads, width
