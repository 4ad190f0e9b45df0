"""Upper layers warmed up on texts without labels (SimCSE), and tuned from there; results are kept by content.

Source: Gao, Yao & Chen 2021, the unsupervised half. Departures: dropout acts in the tuned layers only, since the frozen
ones are run once; the mean of the tokens stands for the text; texts of like length share a batch; the loss looks both
ways, from each view to the other.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from recutils.model.plan import Plan
from recutils.model.training import seeded, train
from recutils.model.weights import flat_weights, with_flat_weights
from recutils.tables import Problem
from recutils.tune.bench import CODE, Bench
from recutils.tune.classifier import Classifier, Recipe, fit, new_classifier, probabilities
from recutils.tune.domain import contrast
from recutils.tune.kept import Arrays, digest, kept
from recutils.tune.states import Base, States, shuffled
from recutils.tune.towers import vectors

CODES = (*CODE, "recutils.tune.warmup", "recutils.tune.domain", "recutils.tune.towers")


@dataclass(frozen=True, kw_only=True)
class Warmth:
    """How layers are warmed up. temperature: of the softmax over the batch's cosines. batch: texts a step."""

    epochs: int = 1
    batch: int = 48
    learning_rate: float = 3e-5
    temperature: float = 0.05
    dropout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 2 or not self.temperature > 0:
            raise Problem(f"batch must be 2 or more, temperature above 0; got {self.batch} and {self.temperature}")
        if not 0 < self.dropout < 1:
            raise Problem(f"dropout must lie between 0 and 1, it makes the two views; got {self.dropout}")


def warmed(base: Base, states: States, warmth: Warmth, n_classes: int = 2) -> Classifier:
    """A new classifier whose layers were trained to know a text again under other dropout; its head is still at zero.

    Raises Problem for fewer texts than one batch holds.
    """
    if len(states) < warmth.batch:
        raise Problem(
            f"a warm-up needs at least a batch of {warmth.batch} unlabelled texts; got {len(states)}. "
            "Lower the batch, or give more texts."
        )
    with seeded(warmth.seed):
        made = new_classifier(base, n_classes, dropout=warmth.dropout)
    made.head.requires_grad_(False)
    width = made.head.in_features // 2

    def draw(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in shuffled(states.lengths, warmth.batch, rng):
            if len(rows) > 1:
                yield states.batch(rows)

    def loss(module: nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:
        views = [module.pooled(hidden, mask)[:, :width] for _ in range(2)]
        return contrast(views[0], views[1], warmth.temperature)

    steps = warmth.epochs * -(-len(states) // warmth.batch)
    plan = Plan(epochs=warmth.epochs, learning_rate=warmth.learning_rate, clip=1.0, warm_up=max(1, steps // 10),
                steps=steps, seed=warmth.seed)  # fmt: skip
    train(made, draw, loss, plan)
    made.head.requires_grad_(True)
    return made


@dataclass(frozen=True, eq=False)
class Fewer:
    """Few labels on a bench. pool: rows of the data without labels, or whose labels are asked for one by one.

    Every answer is about the pool first and then the bench's `asked` rows.
    """

    bench: Bench
    pool: np.ndarray
    warmth: Warmth
    n_warm: int

    def __post_init__(self) -> None:
        if self.n_warm > len(self.pool):
            raise Problem(
                f"{self.n_warm} unlabelled texts were asked for the warm-up, the pool has {len(self.pool)} rows. "
                "Ask for fewer, or enlarge the pool."
            )

    def frozen(self, rows: np.ndarray) -> np.ndarray:
        """Pooled vectors (n, 2 d) float32 of the encoder as it came."""

        def make(_: Path) -> Arrays:
            plain = new_classifier(self.bench.base, len(self.bench.found.classes))
            return {"vectors": vectors(plain, self.bench.states.only(self.bench.at(rows))).numpy()}

        about = self.bench.about(rows[:0], Recipe(), rows, kind="frozen vectors")
        return kept(about, make, modules=CODES, root=self.bench.root)["vectors"]

    def warm(self) -> Classifier:
        """The classifier warmed up on the first n_warm rows of the pool, made once."""
        base, rows = self.bench.base, self.pool[: self.n_warm]

        def make(_: Path) -> Arrays:
            made = warmed(base, self.bench.states.only(self.bench.at(rows)), self.warmth)
            return {"weights": flat_weights(made)}

        about = self.bench.about(rows[:0], Recipe(), rows, kind="warm-up", warmth=asdict(self.warmth))
        weights = kept(about, make, modules=CODES, root=self.bench.root)["weights"]
        return with_flat_weights(new_classifier(base, 2, dropout=self.warmth.dropout), weights)

    def tuned(
        self, rows: np.ndarray, labels: np.ndarray, recipe: Recipe, asked: np.ndarray, *, warm: bool = False
    ) -> np.ndarray:
        """Chances (n_asked, n_classes) after tuning on these rows with these labels, which may be pseudo-labels."""
        bench = self.bench

        def make(_: Path) -> Arrays:
            if bench.say is not None:
                bench.say(f"{len(rows):,} rows, seed {recipe.seed}{', warmed up' if warm else ''}")
            with seeded(recipe.seed):
                made = new_classifier(bench.base, len(bench.found.classes), dropout=recipe.dropout)
            if warm:
                made.load_state_dict(self.warm().state_dict())
            fit(made, bench.states.only(bench.at(rows)), labels, recipe)
            return {"chances": probabilities(made, bench.states.only(bench.at(asked)))}

        start = [asdict(self.warmth), digest(self.pool[: self.n_warm])] if warm else []
        about = bench.about(rows, recipe, asked, kind="few", given=digest(np.asarray(labels)), start=start)
        return kept(about, make, modules=CODES, root=bench.root)["chances"]


def recipe_for(n_rows: int, reads: int, seed: int) -> Recipe:
    """A recipe that reads about `reads` texts in all, however many rows there are: the same steps for every count."""
    if reads < n_rows:
        raise Problem(f"{reads} texts are fewer than one pass over {n_rows} rows; read at least that many.")
    return Recipe(epochs=round(reads / n_rows), seed=seed)
