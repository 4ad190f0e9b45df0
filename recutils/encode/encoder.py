"""Texts to vectors with a transformer: tokenise, run in batches of one length, pool, normalise. No files, no cache."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recutils.encode import checkpoint
from recutils.encode.checkpoint import Checkpoint
from recutils.tables import Problem

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PRECISIONS = ("fp32", "bf16")
POOLINGS = ("mean", "cls", "max")
DEVICES = ("cpu", "cuda", "mps")
FACTS = ("tokens", "truncated", "unknown")  # what is counted of each text, the columns of `Rows.facts`
Progress = Callable[[int, int, float], None]  # texts done, texts in all, seconds left


@dataclass(frozen=True)
class Report:
    """What became of n texts, duplicates counted each time.

    truncated: texts longer than max_tokens. empty: texts without a character, whose vector is zero. unknown: tokens
    that stand for what the vocabulary lacks (emoji, other scripts). tokens: what the model reads, with special ones.
    encoded: different texts that went through the model in this call; all else came from the cache or was a duplicate.
    damaged: files of the cache that were damaged and made again.
    """

    n: int
    truncated: int
    empty: int
    unknown: int
    tokens: int
    encoded: int
    seconds: float
    damaged: int = 0


@dataclass(frozen=True, eq=False)
class Encoded:
    """vectors (n, d) float32 in the order of the texts, and the report on them."""

    vectors: np.ndarray
    report: Report


@dataclass(frozen=True, eq=False)
class Rows:
    """Vectors (m, d) float32 and facts (m, 3) int64, the columns of FACTS, of different texts that are not empty."""

    vectors: np.ndarray
    facts: np.ndarray


@dataclass(frozen=True, eq=False)
class Encoder:
    """A text encoder. Its model is loaded when the first text needs it, so that cached texts cost no loading.

    model:     a folder, a checkpoint's name in the catalogue, or a hub name (see `checkpoint.find`).
    precision: "fp32" or "bf16" (weights and layers; pooling is fp32). device: "cpu", "cuda", "cuda:1", "mps".
               What this machine lacks is an error when the model is loaded; nothing is switched silently.
    pooling:   over the tokens without padding: "mean", "max" (number by number), or "cls", the first; None takes the
               publisher's.
    normalise: scale vectors to length 1. max_tokens: longer texts are cut there; None takes the publisher's limit.
    batch_tokens: tokens in a batch. Threads are torch's own and stay untouched.
    A batch holds texts of one length and no padding, so that a text's vector does not depend on its company: on one
    machine, with the same number of threads, its bytes are the same in any call.
    """

    model: str | Path
    _: KW_ONLY
    precision: str = "fp32"
    device: str = "cpu"
    pooling: str | None = None
    normalise: bool = True
    max_tokens: int | None = None
    batch_tokens: int = 1024  # the fastest of 256 to 4096 in fp32 and bf16 on two cores: benchmarks/bench_encode.py
    checkpoint: Checkpoint = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options, find the checkpoint and take from it what was left open."""
        _check_choice("precision", self.precision, PRECISIONS)
        _check_choice("device", self.device.split(":")[0], DEVICES)
        _check_choice("pooling", self.pooling or "mean", POOLINGS)
        found = checkpoint.find(self.model)
        limit = found.max_tokens if self.max_tokens is None else self.max_tokens
        if not 3 <= limit <= found.longest:
            raise Problem(f"max_tokens must lie in 3..{found.longest} for {found.name} (its positions); got {limit}")
        if self.batch_tokens < 1:
            raise Problem(f"batch_tokens must be at least 1; got {self.batch_tokens}")
        for name, value in {"checkpoint": found, "max_tokens": limit, "pooling": self.pooling or found.pooling}.items():
            object.__setattr__(self, name, value)

    @property
    def width(self) -> int:
        """Numbers in a vector, d."""
        return self.checkpoint.width

    @cached_property
    def options(self) -> dict[str, str | int | bool]:
        """All that decides a text's vector, whatever the template, the folder, the device and the batches."""
        names = ("precision", "pooling", "normalise", "max_tokens")
        return {"model": self.checkpoint.hash, "batches": "one length", **{n: getattr(self, n) for n in names}}

    @cached_property
    def space(self) -> str:
        """64 hex digits that name the vector space: vectors of different spaces must never meet."""
        return hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _loaded(self) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
        return checkpoint.load(self.checkpoint, self.precision, self.device)

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Encoded:
        """Vectors (n, d) float32 in the order of `texts`; equal texts are encoded once, empty ones get zeros.

        progress: called after each batch with texts done, texts in all and seconds left.
        Raises Problem for what is not text, and for an option that this machine cannot serve.
        """
        started = time.perf_counter()
        unique, where = distinct(texts)
        rows = self.run(unique, progress)
        return gathered(rows, where, encoded=len(unique), seconds=time.perf_counter() - started)

    def run(self, texts: Sequence[str], progress: Progress | None = None) -> Rows:
        """The model's vectors and facts of different texts, none empty, in their order."""
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        if not texts:
            return Rows(vectors, np.zeros((0, len(FACTS)), dtype=np.int64))
        tokens, facts = self._tokenise(texts)
        lengths = facts[:, 0]
        started, read, total = time.perf_counter(), 0, int(lengths.sum())
        done = 0
        for batch in batches(lengths, self.batch_tokens):
            vectors[batch] = self._forward([tokens[row] for row in batch])
            done, read = done + len(batch), read + int(lengths[batch].sum())
            if progress:
                progress(done, len(texts), (time.perf_counter() - started) / read * (total - read))
        if not np.isfinite(vectors).all():
            raise Problem(f"{self.checkpoint.name} gave values that are not finite. Check its weights, or use fp32.")
        return Rows(vectors, facts)

    def _tokenise(self, texts: Sequence[str]) -> tuple[list[list[int]], np.ndarray]:
        """Token numbers of each text, cut at max_tokens, and the facts (m, 3)."""
        tokenizer, _ = self._loaded
        plain = {"padding": False, "return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # half a surrogate pair is read as "?"
        found = tokenizer(texts, truncation=False, **plain)["input_ids"]
        cut = np.array([len(row) > self.max_tokens for row in found])
        if cut.any():
            long = np.flatnonzero(cut)
            kept = tokenizer([texts[row] for row in long], truncation=True, max_length=self.max_tokens, **plain)
            for row, tokens in zip(long, kept["input_ids"], strict=True):
                found[row] = tokens
        unknown = [row.count(tokenizer.unk_token_id) for row in found]
        return found, np.column_stack([[len(row) for row in found], cut, unknown]).astype(np.int64)

    def _forward(self, tokens: list[list[int]]) -> np.ndarray:
        """Vectors of one batch."""
        import torch

        tokenizer, model = self._loaded
        fill = tokenizer.pad_token_id or 0  # some models count positions by it
        pair = [*tokens, tokens[0]] if len(tokens) == 1 else tokens  # one text alone is split over threads otherwise
        numbers, mask = (torch.from_numpy(table).to(self.device) for table in padded(pair, fill))
        with torch.inference_mode():
            hidden = model(input_ids=numbers, attention_mask=mask).last_hidden_state
            vectors = pool(hidden.float(), mask, str(self.pooling))
            if self.normalise:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
            return vectors.cpu().numpy()[: len(tokens)]


def pool(hidden: "torch.Tensor", mask: "torch.Tensor", pooling: str) -> "torch.Tensor":
    """One vector (m, d) for each text from its tokens' vectors (m, width, d); padding, where mask is 0, is left out."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -float("inf")).amax(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def padded(tokens: Sequence[Sequence[int]], fill: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token numbers (m, width) int64, filled on the right, and the mask (m, width), 1 where a token stands."""
    lengths = np.array([len(row) for row in tokens])
    mask = np.arange(lengths.max()) < lengths[:, None]
    numbers = np.full(mask.shape, fill, dtype=np.int64)
    numbers[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in tokens])
    return numbers, mask.astype(np.int64)


def batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Positions in batches of texts of one length, at most `budget` tokens each but at least one text, longest first.

    The longest first: memory is known from the start, and the time left is not underrated. Ties keep their order.

    >>> [batch.tolist() for batch in batches(np.array([2, 9, 2, 4, 2]), 4)]
    [[1], [3], [0, 2], [4]]
    """
    order = np.argsort(-lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        size = max(1, budget // int(lengths[group[0]]))
        yield from np.split(group, range(size, len(group), size))


def distinct(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The different texts that are not empty, in order of first appearance, and (n,) where each is found; -1 if empty.

    >>> unique, where = distinct(["b", " ", "a", "b"])
    >>> unique, where.tolist()
    (['b', 'a'], [0, -1, 1, 0])
    """
    if isinstance(texts, str):
        raise Problem(f"expected a list of texts; got one text {texts[:40]!r}. Put it into a list.")
    places: dict[str, int] = {}
    where = np.empty(len(texts), dtype=np.int64)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise Problem(
                f"text {position} is {text!r} ({type(text).__name__}); expected str. "
                "`texts_of` and `clean` make missing cells empty texts."
            )
        where[position] = places.setdefault(text, len(places)) if text.strip() else -1
    return list(places), where


def gathered(rows: Rows, where: np.ndarray, *, encoded: int, seconds: float, damaged: int = 0) -> Encoded:
    """The rows laid out as the caller's texts; -1 gives zeros."""
    there = where >= 0
    vectors = np.zeros((len(where), rows.vectors.shape[1]), dtype=np.float32)
    vectors[there] = rows.vectors[where[there]]
    tokens, truncated, unknown = (int(total) for total in rows.facts[where[there]].sum(axis=0))
    counts = {"tokens": tokens, "truncated": truncated, "unknown": unknown, "empty": int((~there).sum())}
    return Encoded(vectors, Report(n=len(where), encoded=encoded, seconds=seconds, damaged=damaged, **counts))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise Problem(f"{name} must be one of {', '.join(choices)}; got {value!r}")
