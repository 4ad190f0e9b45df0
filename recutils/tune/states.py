"""What frozen layers make of texts, computed once and kept in memory. Nothing is trained and nothing is stored here.

Where the lower layers of an encoder stay as they are, their output never changes: one pass serves every epoch, seed and
method above. This is what makes fine-tuning cheap on a small machine; with 0 layers it is the token embeddings' output.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recutils.encode import checkpoint
from recutils.encode.encoder import padded
from recutils.model.threads import one_thread
from recutils.tables import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PRECISIONS = ("bf16", "fp32")
BATCH_TOKENS = 4096
Progress = Callable[[int, int], None]  # texts done, texts in all


@dataclass(frozen=True, eq=False)
class Base:
    """An encoder whose layers are taken apart: the lower ones stay frozen, the upper ones are tuned.

    model: as in `checkpoint.find`. frozen: how many layers stay as they are, besides the token embeddings.
    max_tokens: longer texts are cut there. precision of the frozen part and of the tuned layers' products: "bf16",
    about twice as fast where the processor has it (weights, sums and losses stay in fp32), or "fp32".
    """

    model: str
    frozen: int = 3
    max_tokens: int = 96
    precision: str = "fp32"

    def __post_init__(self) -> None:
        found = checkpoint.find(self.model)
        layers = found.config.get("num_hidden_layers", 0)
        if found.config.get("model_type") != "bert":
            kind = found.config.get("model_type")
            raise Problem(f"{found.name} is a {kind!r} model; its layers can be taken apart for BERT models only.")
        if not 0 <= self.frozen <= layers:
            raise Problem(f"frozen must lie in 0..{layers}, the layers of {found.name}; got {self.frozen}")
        if not 3 <= self.max_tokens <= found.longest:
            raise Problem(f"max_tokens must lie in 3..{found.longest} for {found.name}; got {self.max_tokens}")
        if self.precision not in PRECISIONS:
            raise Problem(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        checkpoint.check_available(self.precision, "cpu")

    def load(self) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
        """Tokenizer and a fresh model in fp32, in evaluation mode: what one training changes, another does not see."""
        tokenizer, model = self.opened
        return tokenizer, copy.deepcopy(model)

    @property
    def opened(self) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
        """The same, read from disk once and shared: for reading only."""
        return _opened(checkpoint.find(self.model).folder.resolve(), self.model)


@lru_cache(maxsize=2)
def _opened(folder: Path, name: str) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
    return checkpoint.load(checkpoint.Checkpoint(name, folder), "fp32", "cpu")


def fast_precision() -> str:
    """ "bf16" where this processor has it, else "fp32"."""
    try:
        checkpoint.check_available("bf16", "cpu")
    except Problem:
        return "fp32"
    return "bf16"


@dataclass(frozen=True, eq=False)
class States:
    """n texts as their tokens' vectors. rows: n tensors (length, d), bf16 or fp32. lengths: (n,) int64.

    truncated: texts cut at max_tokens.
    """

    rows: tuple[Tensor, ...]
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.array([len(row) for row in self.rows], dtype=np.int64)

    def only(self, rows: np.ndarray) -> "States":
        """These texts, in this order; nothing is copied."""
        return States(tuple(self.rows[row] for row in rows))

    def batch(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        """Vectors (b, width, d), filled up with zeros on the right, and the mask (b, width), True where a token is."""
        chosen = [self.rows[row] for row in rows]
        lengths = torch.tensor([len(row) for row in chosen])
        filled = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        return filled, torch.arange(filled.shape[1])[None] < lengths[:, None]


def states_of(
    base: Base, texts: Sequence[str], seconds: Sequence[str] = (), *, progress: Progress | None = None
) -> States:
    """The texts after the frozen layers; with `seconds`, each text and its second as one pair, cut at the longer half.

    About 100 tokens of 384 numbers take 77 KB a text in bf16: ten thousand texts 0.8 GB.
    """
    tokenizer, _ = base.opened
    pairs = [list(texts)] if not len(seconds) else [list(texts), list(seconds)]
    given = tokenizer(*pairs, truncation=True, max_length=base.max_tokens, padding=False)
    return states_of_tokens(base, given["input_ids"], given.get("token_type_ids"), progress=progress)


def states_of_tokens(
    base: Base,
    tokens: Sequence[Sequence[int]],
    types: Sequence[Sequence[int]] | None = None,
    *,
    progress: Progress | None = None,
) -> States:
    """The same for texts that are token numbers already. types: 0 and 1 in the halves of a pair; None: no pairs."""
    _, model = base.opened
    lengths = np.array([len(row) for row in tokens])
    rows: list[Tensor] = [torch.empty(0)] * len(tokens)
    done = 0
    for batch in by_length(lengths, BATCH_TOKENS):
        kinds = None if types is None else [types[row] for row in batch]
        for row, state in zip(batch, _forward(base, model, [tokens[row] for row in batch], kinds), strict=True):
            rows[row] = state
        done += len(batch)
        if progress:
            progress(done, len(tokens))
    return States(tuple(rows), int((lengths == base.max_tokens).sum()))


def _forward(
    base: Base, model: "PreTrainedModel", tokens: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None
) -> Iterator[Tensor]:
    """Each text's own (length, d) after the frozen layers."""
    numbers, mask = (torch.from_numpy(table) for table in padded(tokens, 0))
    kinds = None if types is None else torch.from_numpy(padded(types)[0])
    with torch.no_grad(), autocast(base.precision):
        hidden = model.embeddings(input_ids=numbers, token_type_ids=kinds)
        for layer in model.encoder.layer[: base.frozen]:
            hidden = run_layer(layer, hidden, mask)
    kept = hidden.to(torch.bfloat16 if base.precision == "bf16" else torch.float32)
    for row, length in zip(kept, mask.sum(1), strict=True):
        yield row[: int(length)].clone()


def run_layer(layer: torch.nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:
    """One transformer layer over (b, width, d), with padding (mask 0 or False) hidden from attention."""
    found = layer(hidden, attention_mask=mask[:, None, None, :].bool())
    return found[0] if isinstance(found, tuple) else found


def autocast(precision: str) -> torch.autocast:
    """Products in bf16 inside, when the precision says so."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def by_length(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Rows in batches of about `batch_tokens` tokens with their filling, shortest texts first."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= batch_tokens:
            stop += 1
        yield order[start:stop]
        start = stop


def in_batches(
    module: torch.nn.Module,
    ask: Callable[[Tensor, Tensor], Tensor],
    states: States,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> Tensor:
    """What `ask` (a method of the module) says of (hidden, mask), one row for each text, in their order.

    Without dropout and gradients, in batches of like length. Raises Problem for no texts.
    """
    if len(states) == 0:
        raise Problem("there are no texts to ask about; at least one is expected.")
    was_training = module.training
    module.eval()
    found, order = [], []
    with torch.inference_mode(), one_thread():
        for rows in by_length(states.lengths, batch_tokens):
            found.append(ask(*states.batch(rows)))
            order.append(rows)
    module.train(was_training)
    return torch.cat(found)[np.argsort(np.concatenate(order))]


def shuffled(lengths: np.ndarray, batch: int, rng: np.random.Generator, pool: int = 8) -> list[np.ndarray]:
    """Rows in random batches whose texts are of like length: sorted within pools of `pool` batches, so that little is
    filled up, then the batches are shuffled."""
    order = rng.permutation(len(lengths))
    pools = [order[start : start + pool * batch] for start in range(0, len(order), pool * batch)]
    sorted_pools = [rows[np.argsort(lengths[rows], kind="stable")] for rows in pools]
    batches = [rows[start : start + batch] for rows in sorted_pools for start in range(0, len(rows), batch)]
    return [batches[place] for place in rng.permutation(len(batches))]
