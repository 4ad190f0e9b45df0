"""Remedies against over-fitting with few labels, each to be switched on alone: M10 of the project.

Some change the loss, some the texts, some the recipe. What works on tokens' vectors works on those that the tuned
layers are given (states.py), not on the token embeddings below the frozen layers: a departure from the papers, for
speed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils.data.labelled import check_labels
from recutils.encode.generate import Writer, write_cached
from recutils.model.training import Loss, seeded, train
from recutils.tables import Problem
from recutils.tune.classifier import Classifier, Recipe, batches_of, cross_entropy, new_classifier
from recutils.tune.states import Base, States, shuffled

WORD = re.compile(r"[a-z]{3,}")
LossMaker = Callable[[Recipe], Loss]


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One change to a training. recipe: fields of Recipe to replace. loss: makes another loss from the recipe.

    versions: the name of other wordings of the training texts, one of which stands in for a text at every second
    reading: "" for none.
    """

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    loss: LossMaker = cross_entropy
    versions: str = ""


def token_dropout(share: float = 0.15) -> LossMaker:
    """The loss with this share of each text's tokens hidden, drawn anew at every reading; the first token stays."""
    _check_share("share", share)

    def make(recipe: Recipe) -> Loss:
        plain = cross_entropy(recipe)

        def loss(module: nn.Module, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
            kept = torch.rand(mask.shape) >= share
            kept[:, 0] = True
            return plain(module, labels, hidden, mask & kept)

        return loss

    return make


def fgm(share: float = 0.1) -> LossMaker:
    """The mean of the loss and of the loss at the worst nearby input: a step along the gradient of the input.

    Fast gradient method of Miyato, Dai and Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text
    Classification", equation 8: r = epsilon g / |g| for each text; here epsilon is this share of the text's own length.
    """
    _check_share("share", share)

    def make(recipe: Recipe) -> Loss:
        plain = cross_entropy(recipe)

        def loss(module: nn.Module, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
            given = hidden.detach().float().requires_grad_()
            first = plain(module, labels, given, mask)
            (slope,) = torch.autograd.grad(first, given, retain_graph=True)
            return (first + plain(module, labels, (given + worst(given, slope, share)).detach(), mask)) / 2

        return loss

    return make


def worst(given: Tensor, slope: Tensor, share: float) -> Tensor:
    """The step (b, width, d) along each text's gradient whose length is this share of the text's own; 0 where flat."""
    lengths, steep = given.detach().flatten(1).norm(dim=1), slope.flatten(1).norm(dim=1)
    return slope * (share * lengths / steep.clamp_min(1e-30) * (steep > 0))[:, None, None]


def r_drop(alpha: float = 1.0) -> LossMaker:
    """Each batch read twice with different dropout: the mean loss, and alpha times how far the two answers differ.

    Liang et al. (2021), "R-Drop", equations 2 to 4, halved: alpha times the mean of both Kullback-Leibler divergences.
    """
    if alpha < 0:
        raise Problem(f"alpha must be at least 0; got {alpha}")

    def make(recipe: Recipe) -> Loss:
        def loss(module: nn.Module, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
            both = module(hidden.repeat(2, 1, 1), mask.repeat(2, 1))
            value = nn.functional.cross_entropy(both, labels.repeat(2), label_smoothing=recipe.smoothing)
            return value + alpha / 2 * _apart(*both.log_softmax(1).chunk(2))

        return loss

    return make


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Half the sum of both Kullback-Leibler divergences between rows of log probabilities, mean over rows."""
    return ((one.exp() - other.exp()) * (one - other)).sum(1).mean() / 2


def standing_in(states: States, versions: States, labels: np.ndarray, batch: int, share: float = 0.5) -> Callable:
    """Batches as `classifier.batches_of`, in which a text's other wording stands in for it with this chance.

    As many steps as without, in the same batches: who stands in is drawn from a generator of its own, so that wordings
    that change nothing change nothing.
    """
    if not len(states) == len(versions) == len(labels):
        raise Problem(f"{len(states)} texts, {len(versions)} wordings, {len(labels)} labels; one each is expected.")
    lengths, targets = states.lengths, torch.from_numpy(np.asarray(labels, dtype=np.int64))

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        other = rng.spawn(1)[0].random(len(labels)) < share
        mixed = States(tuple((versions if other[row] else states).rows[row] for row in range(len(labels))))
        for rows in shuffled(lengths, batch, rng):
            yield targets[rows], *mixed.batch(rows)

    return draw


def tuned_with(
    remedy: Remedy, base: Base, states: States, labels: np.ndarray, recipe: Recipe, *, versions: States | None = None
) -> Classifier:
    """A classifier of two classes, or of as many as the labels name, tuned with one remedy and otherwise as ever.

    versions: the texts in other words, when the remedy asks for them. Raises Problem when they are missing.
    """
    if remedy.versions and versions is None:
        raise Problem(f"{remedy.name} needs the texts in other words ({remedy.versions}); got none.")
    recipe = replace(recipe, **remedy.recipe)
    n_classes = max(2, int(labels.max()) + 1)
    check_labels(labels, n_classes, "training rows")
    with seeded(recipe.seed):
        made = new_classifier(base, n_classes, dropout=recipe.dropout)
    plain = batches_of(states, labels, recipe.batch)
    batches = standing_in(states, versions, labels, recipe.batch) if remedy.versions and versions else plain
    train(made, batches, remedy.loss(recipe), recipe.plan(len(labels)))
    return made


def neighbours(base: Base, words: Sequence[str]) -> dict[str, str]:
    """For each of these words that the vocabulary holds whole: the other whole word nearest to it, by cosine in the
    model's table of token embeddings. Near in use is not the same in meaning: antonyms are neighbours, too."""
    tokenizer, model = base.load()
    rows = {word: row for word, row in tokenizer.get_vocab().items() if WORD.fullmatch(word)}
    names, places = list(rows), torch.tensor(list(rows.values()))
    table = nn.functional.normalize(model.embeddings.word_embeddings.weight.detach()[places], dim=1)
    where = {name: place for place, name in enumerate(names)}
    asked = [word for word in dict.fromkeys(words) if word in where]
    if not asked:
        return {}
    mine = torch.tensor([where[word] for word in asked])
    alike = table[mine] @ table.T
    alike[torch.arange(len(mine)), mine] = -torch.inf
    return {word: names[int(place)] for word, place in zip(asked, alike.argmax(1), strict=True)}


def with_synonyms(texts: Sequence[str], near: Mapping[str, str], share: float, rng: np.random.Generator) -> list[str]:
    """The texts with this share of the words that have a neighbour replaced by it; the rest stays as it was."""
    _check_share("share", share)

    def other(match: re.Match[str]) -> str:
        word = match.group()
        return near[word.lower()] if word.lower() in near and rng.random() < share else word

    return [re.sub(r"[A-Za-z]{3,}", other, text) for text in texts]


def paraphrases(writer: Writer, texts: Sequence[str]) -> list[str]:
    """Each text in the words of a small language model; where it says nothing, the text as it was."""
    asked = [
        f"Rewrite this review in other words, keeping its opinion:\n{' '.join(text.split()[:60])}" for text in texts
    ]
    written = write_cached(writer, asked).texts
    return [made if made.strip() else text for made, text in zip(written, texts, strict=True)]


def _check_share(name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise Problem(f"{name} must lie in 0..1 (below 1); got {share}")
