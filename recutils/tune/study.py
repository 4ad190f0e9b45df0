"""Trainings of one labelled task that are kept: a method, a rate, a seed, what they answer. No method lives here."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recutils.data.labelled import Labelled
from recutils.model.training import Say
from recutils.tables import Problem
from recutils.tune.adapters import Method, about_adapter, adapt, adapted, arrays_of, mergeable, merged, put
from recutils.tune.baselines import counted_words, majority
from recutils.tune.classifier import Classifier, Recipe, probabilities
from recutils.tune.kept import MODULES, Arrays, digest, kept, load_weights, save_weights
from recutils.tune.states import Base, States, states_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MINE = (*MODULES, "recutils.tune.adapters", "recutils.tune.inserts", "recutils.tune.study")


@dataclass(frozen=True, eq=False)
class Study:
    """One task on one base: training rows by seed, and rows that will be asked about.

    Texts are run through the frozen layers once, and only when a training or an answer is not kept already.
    train: seed -> rows. asked: part -> rows. head_rate: the head's own learning rate, the same for all methods.
    root: where results are kept (kept.py). say: takes a line before each training.
    """

    base: Base
    found: Labelled
    train: Mapping[int, np.ndarray]
    asked: Mapping[str, np.ndarray]
    recipe: Recipe
    head_rate: float = 1e-3
    root: Path | None = None
    say: Say | None = field(default=None, repr=False)

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The whole encoder, loaded once; trainings copy its upper layers."""
        return self.base.load()[1]

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.unique(np.concatenate([*self.train.values(), *self.asked.values()]))

    @cached_property
    def ran(self) -> States:
        """All texts after the frozen layers."""
        if self.say:
            self.say(f"{len(self._rows):,} texts through {self.base.frozen} frozen layers, once for all")
        return states_of(self.base, [self.found.texts[row] for row in self._rows])

    def states_at(self, rows: np.ndarray) -> States:
        """Those of these rows, in this order."""
        return self.ran.only(np.searchsorted(self._rows, rows))

    def recipe_of(self, rate: float, seed: int) -> Recipe:
        """The recipe with this rate; the head's rate stays."""
        return replace(self.recipe, learning_rate=rate, head_rate=self.head_rate / rate, seed=seed)

    def weights(self, method: Method, rate: float, seed: int) -> Arrays:
        """The trained weights by name, and "seconds": of the processor, one number, measured when it was trained."""
        return kept(self._about(method, rate, seed), lambda _: self._train(method, rate, seed), modules=MINE,
                    root=self.root)  # fmt: skip

    def _about(self, method: Method, rate: float, seed: int) -> dict[str, Any]:
        if seed not in self.train:
            raise Problem(f"there are no training rows for seed {seed}; there are {sorted(self.train)}.")
        base = [self.base.model, self.base.frozen, self.base.max_tokens, self.base.precision]
        rows = self.train[seed]
        return {
            "task": self.found.name, "rows": digest(rows, self.found.labels[rows], [self.found.texts[r] for r in rows]),
            "base": base, "recipe": asdict(self.recipe_of(rate, seed)), "method": asdict(method),
        }  # fmt: skip

    def _train(self, method: Method, rate: float, seed: int) -> Arrays:
        rows = self.train[seed]
        states = self.states_at(rows)
        if self.say:
            self.say(f"training {method.kind}, rate {rate:g}, seed {seed}")
        began = time.process_time()
        made = adapt(
            self.base, states, self.found.labels[rows], self.recipe_of(rate, seed), method,
            n_classes=len(self.found.classes), model=self.model,
        )  # fmt: skip
        return arrays_of(made) | {"seconds": np.array(time.process_time() - began)}

    def classifier(self, method: Method, rate: float, seed: int) -> Classifier:
        """The trained classifier, its weights taken from what is kept."""
        made = adapted(self.base, len(self.found.classes), method, dropout=self.recipe.dropout, model=self.model)
        put(made, self.weights(method, rate, seed))
        return made

    def chances(self, method: Method, rate: float, seed: int, part: str) -> np.ndarray:
        """Probabilities (n, n_classes) for the rows of this part; what can be merged is merged before it is asked."""
        rows = self.asked[part]
        about = self._about(method, rate, seed) | {"asked": digest(rows, [self.found.texts[row] for row in rows])}

        def ask(_: Path) -> Arrays:
            made = self.classifier(method, rate, seed)
            return {"chances": probabilities(merged(made) if mergeable(method) else made, self.states_at(rows))}

        return kept(about, ask, modules=MINE, root=self.root)["chances"]

    def store(self, method: Method, rate: float, seed: int, folder: Path) -> Path:
        """The weights that moved as a folder of their own, which names its base, method and classes."""
        about = about_adapter(self.base, method, self.found.classes)
        return save_weights(self.classifier(method, rate, seed), folder, about)

    def load(self, method: Method, folder: Path) -> Classifier:
        """The classifier of a stored folder. Raises Problem when it belongs to another base, method or task."""
        empty = adapted(self.base, len(self.found.classes), method, dropout=self.recipe.dropout, model=self.model)
        return load_weights(empty, folder, about_adapter(self.base, method, self.found.classes))

    def majority(self, part: str) -> np.ndarray:
        """The trivial rule for the rows of this part: the shares of the classes in the first training draw."""
        known = self.found.labels[next(iter(self.train.values()))]
        return majority(known, len(self.asked[part]), len(self.found.classes))

    def counted(self, part: str) -> list[np.ndarray]:
        """The linear baseline's probabilities for the rows of this part, one table a training draw."""
        asked = [self.found.texts[row] for row in self.asked[part]]
        found = []
        for rows in self.train.values():
            texts, known = [self.found.texts[row] for row in rows], self.found.labels[rows]
            found.append(counted_words(texts, known, asked, n_classes=len(self.found.classes)))
        return found
