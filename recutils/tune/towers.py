"""Two towers: a person's text and an item's text read apart by one encoder, compared at the end. No ranking here.

A cross-encoder reads each pair anew; towers read each person and each item once, and a pair costs a product. Both sides
share their weights (Reimers and Gurevych 2019, "Sentence-BERT", section 3).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.data.labelled import check_labels
from recutils.model.plan import History
from recutils.model.threads import one_thread
from recutils.model.training import Say, seeded, train
from recutils.tables import Problem
from recutils.tune.classifier import Classifier, Recipe, new_classifier
from recutils.tune.states import BATCH_TOKENS, Base, States, in_batches, shuffled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

JOINS = ("concat", "dot")
SCALE = 20.0  # of the cosine, so that its head may learn at the rate of the others (the temperature .05 of SimCSE)


class Towers(Classifier):
    """Upper layers and pooling for both texts, then a head over u, v, |u - v| and u * v, or over their cosine.

    joining: "concat" can learn that an item is liked whoever asks; "dot" knows nothing but how alike the two are.
    """

    def __init__(
        self, layers: nn.ModuleList, width: int, n_classes: int, precision: str = "fp32", joining: str = "concat"
    ) -> None:
        super().__init__(layers, width, n_classes, precision)
        if joining not in JOINS:
            raise Problem(f"joining must be one of {', '.join(JOINS)}; got {joining!r}")
        self.joining = joining
        self.head = nn.Linear(8 * width if joining == "concat" else 1, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def joined(self, one: Tensor, other: Tensor) -> Tensor:
        """Logits (b, n_classes) from pooled vectors (b, 2 d) of both sides."""
        if self.joining == "dot":
            return self.head(SCALE * nn.functional.cosine_similarity(one, other, dim=1).unsqueeze(1))
        parts = torch.cat([one, other, (one - other).abs(), one * other], dim=1)
        return self.head(self.dropout(parts))

    def forward(self, hidden: Tensor, mask: Tensor, second: Tensor, second_mask: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (b, n_classes) of pairs: tokens' vectors and mask of the first texts and of the second."""
        return self.joined(self.pooled(hidden, mask), self.pooled(second, second_mask))


def new_towers(
    base: Base, n_classes: int, *, joining: str = "concat", dropout: float = 0.1, model: "PreTrainedModel | None" = None
) -> Towers:
    """Untrained towers over the base's upper layers, as `new_classifier`."""
    plain = new_classifier(base, n_classes, dropout=dropout, model=model)
    made = Towers(plain.layers, plain.head.in_features // 2, n_classes, base.precision, joining)
    made.dropout.p = dropout
    return made


def pair_batches(firsts: States, seconds: States, labels: np.ndarray, batch: int) -> Callable[..., Iterator]:
    """What `training.train` draws its batches from: (labels, first, its mask, second, its mask)."""
    lengths, targets = firsts.lengths + seconds.lengths, torch.from_numpy(np.asarray(labels, dtype=np.int64))

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        for rows in shuffled(lengths, batch, rng):
            yield targets[rows], *firsts.batch(rows), *seconds.batch(rows)

    return draw


def fit_towers(
    base: Base,
    firsts: States,
    seconds: States,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    n_classes: int = 2,
    joining: str = "concat",
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | None = None,
    say: Say | None = None,
) -> tuple[Towers, History]:
    """New towers, tuned on pairs, and their training's history. Raises Problem as `classifier.fit` does."""
    if not len(firsts) == len(seconds) == len(labels):
        raise Problem(f"{len(firsts)} texts, {len(seconds)} seconds and {len(labels)} labels; one each is expected.")
    check_labels(labels, n_classes, "training pairs")
    with seeded(recipe.seed):
        made = new_towers(base, n_classes, joining=joining, dropout=recipe.dropout)

    def loss(module: nn.Module, targets: Tensor, *batch: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(*batch), targets, label_smoothing=recipe.smoothing)

    history = train(
        made, pair_batches(firsts, seconds, labels, recipe.batch), loss, recipe.plan(len(labels)),
        validate=validate, checkpoint=checkpoint, say=say,
    )  # fmt: skip
    return made, history


def vectors(towers: Classifier, states: States, *, batch_tokens: int = BATCH_TOKENS) -> Tensor:
    """Each text's pooled vector (n, 2 d) fp32, without dropout: one reading, whatever it is paired with."""
    return in_batches(towers, towers.pooled, states, batch_tokens=batch_tokens)


def pair_logits(towers: Towers, one: Tensor, other: Tensor, pairs: np.ndarray) -> np.ndarray:
    """Logits (n, n_classes) float64 of pairs (n, 2): rows of `one` and of `other`, as `vectors` gave them."""
    with torch.inference_mode(), one_thread():
        was_training = towers.training
        towers.eval()
        found = towers.joined(one[pairs[:, 0]], other[pairs[:, 1]]).double().numpy()
        towers.train(was_training)
    return found
