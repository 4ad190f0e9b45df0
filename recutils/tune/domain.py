"""Continued training on a domain's texts without labels: masked words, or two halves of one text that belong together.

Nothing here reads a label. As elsewhere in this stage the lower layers are frozen and run once; only the upper layers
move, so the masks are drawn once for each text and not anew in every epoch. The checkpoint brings no head that guesses
words: its own token embeddings serve as one (tied, as in BERT), which has to be learnt into.
Sources: Gururangan et al. (2020), "Don't stop pretraining"; Giorgi et al. (2021), DeCLUTR, for pairs from one text.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.model.plan import History
from recutils.model.training import Say, seeded, train
from recutils.tables import Problem
from recutils.tune.classifier import Recipe
from recutils.tune.states import (
    BATCH_TOKENS,
    Base,
    States,
    autocast,
    by_length,
    in_batches,
    run_layer,
    shuffled,
    states_of,
    states_of_tokens,
)  # fmt: skip

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HOWS = ("masked words", "two halves")
MASKED = 0.15  # share of a text's tokens that are hidden
TEMPERATURE = 0.05
LEAST_WORDS = 8  # a text with fewer has no two halves


class Upper(nn.Module):
    """The layers above the frozen ones, alone. forward: tokens' vectors (b, width, d) fp32."""

    def __init__(self, model: "PreTrainedModel", base: Base) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(model.encoder.layer[base.frozen :]))
        self.precision = base.precision

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Run all layers."""
        hidden = hidden if self.precision == "bf16" else hidden.float()
        with autocast(self.precision):
            for layer in self.layers:
                hidden = run_layer(layer, hidden, mask)
        return hidden.float()


def halves(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """First and second halves, by words, of the texts with at least LEAST_WORDS words.

    >>> halves(["a b c d e f g h i", "too short", "1 2 3 4 5 6 7 8"])
    (['a b c d', '1 2 3 4'], ['e f g h i', '5 6 7 8'])
    """
    words = [text.split() for text in texts]
    long = [row for row in words if len(row) >= LEAST_WORDS]
    if len(long) < 2:
        raise Problem(f"{len(long)} of {len(texts)} texts have {LEAST_WORDS} words or more; two halves need some.")
    return [" ".join(row[: len(row) // 2]) for row in long], [" ".join(row[len(row) // 2 :]) for row in long]


def contrast(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """-log of the share that each vector (b, d) gives its own partner among the batch's, both ways, on average.

    InfoNCE of van den Oord et al. (2018), with the other rows of the batch as what does not belong.
    """
    alike = nn.functional.normalize(first, dim=1) @ nn.functional.normalize(second, dim=1).T / temperature
    own = torch.arange(len(first))
    return (nn.functional.cross_entropy(alike, own) + nn.functional.cross_entropy(alike.T, own)) / 2


@dataclass(frozen=True, eq=False)
class Masked:
    """Texts with hidden words. states: of the texts as they are read. places, words: of each text the hidden tokens'
    positions and what stood there, int64."""

    states: States
    places: tuple[np.ndarray, ...]
    words: tuple[np.ndarray, ...]


def masked(base: Base, texts: Sequence[str], seed: int, share: float = MASKED) -> Masked:
    """Hide a share of each text's tokens (at least one) behind the mask token, and run the frozen layers.

    Special tokens are never hidden. Raises Problem for a share outside 0..1 and a tokenizer without a mask.
    """
    tokenizer, _ = base.opened
    if not 0 < share < 1:
        raise Problem(f"share must lie between 0 and 1; got {share}")
    if tokenizer.mask_token_id is None:
        raise Problem(f"the tokenizer of {base.model} has no mask token; use 'two halves'.")
    rng = np.random.default_rng(seed)
    tokens = [np.array(row) for row in tokenizer(list(texts), truncation=True, max_length=base.max_tokens)["input_ids"]]
    places = tuple(_hidden(len(row), share, rng) for row in tokens)
    words = tuple(row[place] for row, place in zip(tokens, places, strict=True))
    for row, place in zip(tokens, places, strict=True):
        row[place] = tokenizer.mask_token_id
    return Masked(states_of_tokens(base, [row.tolist() for row in tokens]), places, words)


def _hidden(length: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Places to hide in a text of so many tokens, in order; its first and last token are special."""
    return np.sort(rng.permutation(np.arange(1, length - 1))[: max(1, round(share * length))])


def adapted(
    base: Base, texts: Sequence[str], how: str, recipe: Recipe, *, say: Say | None = None
) -> tuple["PreTrainedModel", History]:
    """The base's model with its upper layers trained on unlabelled texts; the loss of each epoch beside it.

    how: one of HOWS. The model is what `new_classifier(base, n, model=...)` and `pooled_vectors` take.
    Raises Problem for another word and when there is not enough text.
    """
    if how not in HOWS:
        raise Problem(f"how must be one of {', '.join(HOWS)}; got {how!r}")
    if len(texts) < recipe.batch:
        raise Problem(f"{len(texts)} texts do not fill a batch of {recipe.batch}; give more texts, or lower batch.")
    model = base.load()[1]
    with seeded(recipe.seed):
        upper = Upper(model, base)
    batches, loss = (_word_batches if how == HOWS[0] else _half_batches)(base, model, texts, recipe)
    history = train(upper, batches, loss, recipe.plan(len(texts)), say=say)
    with torch.no_grad():
        model.encoder.layer[base.frozen :].load_state_dict(upper.layers.state_dict())
    return model, history


Drawn = tuple[Callable[[int, np.random.Generator], Iterator[tuple[Tensor, ...]]], Callable[..., Tensor]]


def _word_batches(base: Base, model: "PreTrainedModel", texts: Sequence[str], recipe: Recipe) -> Drawn:
    """Batches and loss of guessing hidden words with the tied token embeddings."""
    hidden = masked(base, texts, recipe.seed)
    table = model.embeddings.word_embeddings.weight.detach()

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        for rows in shuffled(hidden.states.lengths, recipe.batch, rng):
            counts = [len(hidden.places[row]) for row in rows]
            row_of = torch.from_numpy(np.repeat(np.arange(len(rows)), counts))
            places, words = (
                torch.from_numpy(np.concatenate([one[r] for r in rows])) for one in (hidden.places, hidden.words)
            )
            yield words, row_of, places, *hidden.states.batch(rows)

    def loss(module: nn.Module, words: Tensor, row_of: Tensor, places: Tensor, *given: Tensor) -> Tensor:
        found = module(*given)[row_of, places]
        with autocast(base.precision):
            scores = found @ table.T
        return nn.functional.cross_entropy(scores.float(), words)

    return draw, loss


def _half_batches(base: Base, _: "PreTrainedModel", texts: Sequence[str], recipe: Recipe) -> Drawn:
    """Batches and loss of finding the other half of one's own text."""
    first, second = (states_of(base, half) for half in halves(texts))

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        for rows in shuffled(first.lengths, recipe.batch, rng):
            if len(rows) > 1:
                yield *first.batch(rows), *second.batch(rows)

    def loss(module: nn.Module, *batch: Tensor) -> Tensor:
        vectors = [_mean(module(*pair), pair[1]) for pair in (batch[:2], batch[2:])]
        return contrast(*vectors)

    return draw, loss


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens (b, d)."""
    inside = mask.unsqueeze(-1)
    return (hidden * inside).sum(1) / inside.sum(1)


def word_loss(base: Base, model: "PreTrainedModel", texts: Sequence[str], seed: int = 0) -> np.ndarray:
    """How badly hidden words are guessed: each text's mean of -log p (n,), in nats, which adaptation should lower."""
    hidden = masked(base, texts, seed)
    upper, table = Upper(model, base).eval(), model.embeddings.word_embeddings.weight
    found = np.empty(len(texts))
    with torch.inference_mode():
        for rows in by_length(hidden.states.lengths, BATCH_TOKENS):
            made = upper(*hidden.states.batch(rows))
            for row, state in zip(rows, made, strict=True):
                scores = state[torch.from_numpy(hidden.places[row])] @ table.T
                found[row] = nn.functional.cross_entropy(scores, torch.from_numpy(hidden.words[row])).item()
    return found


def pooled_vectors(base: Base, model: "PreTrainedModel", states: States) -> np.ndarray:
    """One vector (n, d) float32 for each text: the mean over its tokens after the model's upper layers."""
    upper = Upper(model, base)
    return in_batches(upper, lambda hidden, mask: _mean(upper(hidden, mask), mask), states).numpy()
