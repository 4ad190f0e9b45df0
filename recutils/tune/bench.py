"""Trainings on one set of labelled texts, each made once and kept: what notebooks ask for by rows and recipe.

The frozen layers' states are made when the first training that is not kept needs them. Nothing is judged here.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recutils.data.labelled import Labelled
from recutils.model.plan import History
from recutils.model.training import Say, seeded
from recutils.tables import Problem
from recutils.tune.baselines import counted_words, linear
from recutils.tune.classifier import Recipe, fit, new_classifier, probabilities, softmax
from recutils.tune.kept import MODULES, Arrays, digest, kept
from recutils.tune.remedies import Remedy, tuned_with
from recutils.tune.states import Base, States, states_of
from recutils.tune.towers import fit_towers, pair_logits, vectors

CODE = (*MODULES, "recutils.tune.bench")


@dataclass(frozen=True, eq=False)
class Bench:
    """found: the texts. rows: all that trainings draw from. asked: rows whose probabilities are wanted, or some of them
    where a call names fewer.

    say: takes a line before each training that is not kept. root: where results are kept; None is the project's place.
    """

    found: Labelled
    base: Base
    rows: np.ndarray
    asked: np.ndarray
    say: Say | None = None
    root: Path | None = None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {int(row): place for place, row in enumerate(np.unique(np.concatenate([self.rows, self.asked])))}

    @cached_property
    def states(self) -> States:
        """Of all rows, in ascending order; pairs are read as one text."""
        rows = list(self._places)
        texts, seconds = (
            [side[row] for row in rows] if side else [] for side in (self.found.texts, self.found.seconds)
        )
        return states_of(self.base, texts, seconds)

    @cached_property
    def sides(self) -> tuple[States, States]:
        """Of all rows, first and second texts read apart; a text that comes back is read once."""
        if not self.found.seconds:
            raise Problem(f"{self.found.name} has single texts; towers need pairs.")
        return _apart(self.base, self._only(self.found.texts)), _apart(self.base, self._only(self.found.seconds))

    def _only(self, texts: Sequence[str]) -> list[str]:
        return [texts[row] for row in self._places]

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Where these rows' states stand. Raises Problem for rows that are not among those named."""
        unknown = [int(row) for row in rows if int(row) not in self._places]
        if unknown:
            raise Problem(f"rows {unknown[:3]} are not among the rows of this bench; name them in rows or asked.")
        return np.array([self._places[int(row)] for row in rows])

    def about(self, rows: np.ndarray, recipe: Recipe, asked: np.ndarray, **more: Any) -> dict[str, Any]:
        """What decides a training and its answers: the key under which they are kept."""
        texts = digest([self.found.texts[row] for row in [*rows, *asked]])
        seconds = digest([self.found.seconds[row] for row in [*rows, *asked]]) if self.found.seconds else ""
        return {
            "task": self.found.name, "rows": digest(np.asarray(rows)), "asked": digest(np.asarray(asked)),
            "base": [self.base.model, self.base.frozen, self.base.max_tokens, self.base.precision],
            "recipe": asdict(recipe), "texts": [texts, seconds], "labels": digest(self.found.labels[rows]), **more,
        }  # fmt: skip

    def chances(self, rows: np.ndarray, recipe: Recipe, asked: np.ndarray | None = None) -> np.ndarray:
        """Probabilities (n_asked, n_classes) of a classifier tuned on these rows."""
        asked = self.asked if asked is None else asked

        def make(folder: Path) -> Arrays:
            with seeded(recipe.seed):
                made = new_classifier(self.base, len(self.found.classes), dropout=recipe.dropout)
            fit(made, self.states.only(self.at(rows)), self.found.labels[rows], recipe, checkpoint=folder)
            return {"chances": probabilities(made, self.states.only(self.at(asked)))}

        return self._kept("classifier", rows, recipe, make, asked)["chances"]

    def untuned(self, many: Sequence[np.ndarray], asked: np.ndarray | None = None) -> list[np.ndarray]:
        """Probabilities of a linear rule over the pooled vectors of the encoder as it came, one table for each set of
        rows; its strength is chosen by cross-validation among these rows."""
        asked, every = self.asked if asked is None else asked, np.unique(np.concatenate(many))

        def make(_: Path) -> Arrays:
            plain = new_classifier(self.base, len(self.found.classes))
            read = np.unique(np.concatenate([every, asked]))
            found = vectors(plain, self.states.only(self.at(read))).numpy()
            labels, n_classes = self.found.labels, len(self.found.classes)
            tables = [
                linear(found[np.searchsorted(read, rows)], labels[rows], found[np.searchsorted(read, asked)],
                       n_classes=n_classes) for rows in many
            ]  # fmt: skip
            return {str(number): table for number, table in enumerate(tables)}

        sets = digest(*[np.asarray(rows) for rows in many])
        code = (*CODE, "recutils.tune.baselines", "recutils.tune.towers")
        kept_tables = self._kept("untuned", every, Recipe(), make, asked, modules=code, sets=sets)
        return [kept_tables[str(number)] for number in range(len(many))]

    def watched(self, rows: np.ndarray, recipe: Recipe, watched: np.ndarray) -> History:
        """Loss and, as `values`, minus the log loss on the watched rows, after each epoch of such a training."""

        def make(_: Path) -> Arrays:
            given, seen = self.states.only(self.at(rows)), self.states.only(self.at(watched))
            labels = self.found.labels[watched]
            with seeded(recipe.seed):
                made = new_classifier(self.base, len(self.found.classes), dropout=recipe.dropout)
            history = fit(
                made, given, self.found.labels[rows], recipe,
                validate=lambda module: float(np.log(_given(probabilities(module, seen), labels)).mean()),
            )  # fmt: skip
            return {"losses": np.array(history.losses), "values": np.array(history.values)}

        found = self._kept("watched", rows, recipe, make, watched)
        return History(tuple(found["losses"].tolist()), tuple(found["values"].tolist()))

    def counted(self, rows: np.ndarray, asked: np.ndarray | None = None) -> np.ndarray:
        """Probabilities (n_asked, n_classes) of counted words with logistic regression, learnt from these rows."""
        asked = self.asked if asked is None else asked

        def make(_: Path) -> Arrays:
            known, new = self._words(rows), self._words(asked)
            labels, n_classes = self.found.labels[rows], len(self.found.classes)
            return {"chances": counted_words(known, labels, new, n_classes=n_classes)}

        code = ("recutils.tune.baselines", "recutils.tune.bench")
        return self._kept("counted words", rows, Recipe(), make, asked, modules=code)["chances"]

    def _words(self, rows: np.ndarray) -> list[str]:
        sides = [side for side in (self.found.texts, self.found.seconds) if side]
        return [" ".join(side[row] for side in sides) for row in rows]

    def remedied(self, rows: np.ndarray, recipe: Recipe, remedy: Remedy, wordings: Sequence[str] = ()) -> np.ndarray:
        """The same with one remedy. wordings: these rows' texts in other words, where the remedy wants them."""

        def make(_: Path) -> Arrays:
            versions = states_of(self.base, wordings) if remedy.versions else None
            given = self.states.only(self.at(rows))
            made = tuned_with(remedy, self.base, given, self.found.labels[rows], recipe, versions=versions)
            return {"chances": probabilities(made, self.states.only(self.at(self.asked)))}

        name = {"remedy": remedy.name, "changes": dict(remedy.recipe), "wordings": digest(list(wordings))}
        code = (*CODE, "recutils.tune.remedies")
        return self._kept("remedy", rows, recipe, make, self.asked, modules=code, **name)["chances"]

    def towers(self, rows: np.ndarray, recipe: Recipe, joining: str = "concat") -> np.ndarray:
        """Probabilities (n_asked, n_classes) of two towers tuned on these pairs."""

        def make(folder: Path) -> Arrays:
            first, second = self.sides
            at, asked, n_classes = self.at(rows), self.at(self.asked), len(self.found.classes)
            made, _ = fit_towers(
                self.base, first.only(at), second.only(at), self.found.labels[rows], recipe, n_classes=n_classes,
                joining=joining, checkpoint=folder,
            )  # fmt: skip
            pairs = np.stack([_distinct(first.only(asked))[1], _distinct(second.only(asked))[1]], axis=1)
            one, other = (vectors(made, _distinct(side.only(asked))[0]) for side in (first, second))
            return {"chances": softmax(pair_logits(made, one, other, pairs))}

        code = (*CODE, "recutils.tune.towers")
        return self._kept("towers", rows, recipe, make, self.asked, modules=code, joining=joining)["chances"]

    def _kept(
        self, kind: str, rows: np.ndarray, recipe: Recipe, make: Callable[[Path], Arrays], asked: np.ndarray,
        *, modules: Sequence[str] = CODE, **more: Any,
    ) -> Arrays:  # fmt: skip
        def told(folder: Path) -> Arrays:
            if self.say is not None:
                self.say(f"{self.found.name}: {kind}, {len(rows):,} labels, seed {recipe.seed}")
            return make(folder)

        about = self.about(rows, recipe, asked, kind=kind, **more)
        return kept(about, told, modules=modules, root=self.root)


def _apart(base: Base, texts: Sequence[str]) -> States:
    """States of texts, each distinct one read once."""
    distinct = list(dict.fromkeys(texts))
    read = states_of(base, distinct)
    place = {text: number for number, text in enumerate(distinct)}
    return read.only(np.array([place[text] for text in texts]))


def _distinct(states: States) -> tuple[States, np.ndarray]:
    """The states that differ, by identity, and for each text the place of its own among them."""
    first: dict[int, int] = {}
    where = np.array([first.setdefault(id(row), len(first)) for row in states.rows])
    kept_rows = {id(row): row for row in states.rows}
    return States(tuple(kept_rows[name] for name in first)), where


def _given(chances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each row's own label, kept off 0."""
    return np.maximum(chances[np.arange(len(labels)), labels], 1e-12)
