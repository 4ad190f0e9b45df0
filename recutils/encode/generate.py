"""Texts written by a causal language model, greedily and in batches, kept on disk by content. It judges nothing.

writer = Writer("smollm2", most_tokens=32)
write_cached(writer, [f"Describe this film in one sentence: {text}" for text in texts]).texts
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recutils import runs
from recutils.encode.checkpoint import Checkpoint
from recutils.encode.decoder import find_decoder, open_decoder
from recutils.encode.encoder import DEVICES, PRECISIONS, Progress, distinct
from recutils.tables import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Written:
    """texts in the order of the prompts, "" for an empty prompt. made: written in this call; the others were kept.

    tokens: made by the model in this call. damaged: lines of the kept file that were broken, dropped and made again.
    """

    texts: list[str]
    made: int
    tokens: int
    seconds: float
    damaged: int = 0


@dataclass(frozen=True, eq=False)
class Writer:
    """A causal language model that answers prompts greedily: the likeliest token each time, so nothing is drawn.

    model: as in `decoder.find_decoder`. precision, device: as in `Encoder`; bf16 is twice as fast where there is any.
    system: what the model is told first, in a chat; "" keeps the model's own. most_tokens: an answer ends there at
    the latest. batch: prompts at a time, filled up on the left. In other company an answer may differ now and then.
    """

    model: str | Path
    _: KW_ONLY
    precision: str = "fp32"
    device: str = "cpu"
    system: str = ""
    most_tokens: int = 32
    batch: int = 48
    checkpoint: Checkpoint = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options and find the model, which is loaded when the first prompt needs it."""
        for name, choices in (("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name).split(":")[0] not in choices:
                raise Problem(f"{name} must be one of {', '.join(choices)}; got {getattr(self, name)!r}")
        for name in ("most_tokens", "batch"):
            if getattr(self, name) < 1:
                raise Problem(f"{name} must be at least 1; got {getattr(self, name)}")
        object.__setattr__(self, "checkpoint", find_decoder(self.model))

    @cached_property
    def space(self) -> str:
        """64 hex digits over all that decides an answer besides its prompt and its company in the batch."""
        options = {name: getattr(self, name) for name in ("precision", "system", "most_tokens", "batch")}
        content = json.dumps({"model": self.checkpoint.hash, **options}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def _loaded(self) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
        tokenizer, model = open_decoder(self.checkpoint, self.precision, self.device)
        tokenizer.padding_side = "left"  # the answers begin at one place
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        return tokenizer, model

    def asked(self, prompt: str) -> str:
        """What the model reads: the prompt in the model's own chat form, or as it is when it has none."""
        tokenizer, _ = self._loaded
        if not tokenizer.chat_template:
            return prompt
        told = [{"role": "system", "content": self.system}] if self.system else []
        turns = [*told, {"role": "user", "content": prompt}]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def answer(self, prompts: Sequence[str]) -> tuple[list[str], int]:
        """Answers to one batch of prompts, and how many tokens they took. Raises Problem for a prompt too long."""
        import torch

        tokenizer, model = self._loaded
        texts = [self.asked(prompt) for prompt in prompts]
        given = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=not tokenizer.chat_template)
        width = given["input_ids"].shape[1]
        if width + self.most_tokens > self.checkpoint.longest:
            room = self.checkpoint.longest - self.most_tokens
            raise Problem(f"a prompt has {width} tokens; {self.checkpoint.name} has room for {room}. Shorten the text.")
        with torch.inference_mode():
            made = model.generate(
                input_ids=given["input_ids"].to(self.device), attention_mask=given["attention_mask"].to(self.device),
                max_new_tokens=self.most_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id,
            )[:, width:]  # fmt: skip
        n_tokens = int((made != tokenizer.pad_token_id).sum())
        return [" ".join(text.split()) for text in tokenizer.batch_decode(made, skip_special_tokens=True)], n_tokens


def write_cached(
    writer: Writer, prompts: Sequence[str], *, root: Path | None = None, progress: Progress | None = None
) -> Written:
    """The writer's answers, with only new batches asked; the others come from `root` (data/interim/generated).

    Answers are kept after every batch, so that a killed run goes on where it was. They are kept by batch, not by
    prompt: an answer depends a little on its company, so the same call gives the same answers whatever was asked
    before. Another process with the same writer waits. Raises Problem for what is not text.
    """
    started = time.perf_counter()
    unique, where = distinct(prompts)
    kept = Kept((root or runs.DATA / "interim" / "generated") / _file_name(writer))
    groups = _batches(unique, writer.batch)
    known, damaged = kept.read()
    made = tokens = 0
    if any(not _whole(group, known) for group in groups):
        with kept.locked():
            known, damaged = kept.read()
            made, tokens = _write_missing(writer, groups, kept, known, progress)
    answers = {prompt: known[name_of(group), prompt] for group in groups for prompt in group}
    texts = [answers[unique[place]] if place >= 0 else "" for place in where]
    return Written(texts, made, tokens, time.perf_counter() - started, damaged)


def _file_name(writer: Writer) -> str:
    return f"{writer.checkpoint.folder.name}-{writer.precision}-{writer.most_tokens}-{writer.space[:12]}.jsonl"


def _batches(prompts: list[str], size: int) -> list[list[str]]:
    """Prompts in batches, longest first, so that little is filled up."""
    order = np.argsort([-len(prompt) for prompt in prompts], kind="stable")
    return [[prompts[row] for row in order[start : start + size]] for start in range(0, len(order), size)]


def name_of(group: Sequence[str]) -> str:
    """16 hex digits that name a batch."""
    return hashlib.sha256(json.dumps(list(group)).encode()).hexdigest()[:16]


def _whole(group: Sequence[str], known: "Answers") -> bool:
    return all((name_of(group), prompt) in known for prompt in group)


def _write_missing(
    writer: Writer, groups: list[list[str]], kept: "Kept", known: "Answers", progress: Progress | None
) -> tuple[int, int]:
    """Ask batch by batch into `known` and the file; needs the lock. Returns how many answers and tokens were made."""
    due = [group for group in groups if not _whole(group, known)]
    total, made, tokens, started = sum(map(len, due)), 0, 0, time.perf_counter()
    for group in due:
        answers, n_tokens = writer.answer(group)
        known.update({(name_of(group), prompt): text for prompt, text in zip(group, answers, strict=True)})
        kept.write(known)
        made, tokens = made + len(group), tokens + n_tokens
        if progress:
            progress(made, total, (time.perf_counter() - started) / made * (total - made))
    return made, tokens


Answers = dict[tuple[str, str], str]  # (batch, prompt) -> answer


@dataclass(frozen=True)
class Kept:
    """Prompts and answers of one writer, one JSON object a line, the whole file written anew and renamed."""

    path: Path

    def read(self) -> tuple[Answers, int]:
        """Answers, and the number of broken lines, which are left out."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}, 0
        pairs = [pair for line in lines if (pair := _parsed(line)) is not None]
        return dict(pairs), len(lines) - len(pairs)

    def write(self, known: Answers) -> None:
        """Store all answers, whole or not at all."""
        rows = [
            {"batch": batch, "prompt": prompt, "text": text, "check": _digest(batch, prompt, text)}
            for (batch, prompt), text in known.items()
        ]
        runs.write_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))

    def locked(self) -> "_Lock":
        """Hold the file's lock; the system frees it when its holder dies."""
        return _Lock(self.path)


class _Lock:
    """A lock beside a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.with_name(f".{path.name}.lock").open("a")

    def __enter__(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._handle.close()


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _parsed(line: str) -> tuple[tuple[str, str], str] | None:
    """Batch, prompt and answer of a line, or None when it is not what was written."""
    try:
        row = json.loads(line)
        parts = [row[name] for name in ("batch", "prompt", "text")]
        return ((parts[0], parts[1]), parts[2]) if row["check"] == _digest(*parts) else None
    except (ValueError, KeyError, TypeError):
        return None
