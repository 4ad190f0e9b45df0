"""An encoder before and after reading domains without labels, asked about labelled texts by a probe and by tuning.

How it reads is in domain.py; the judging is in evaluate/labels.py.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recutils.data.labelled import Labelled, Parts, drawn
from recutils.tune import domain
from recutils.tune.baselines import linear
from recutils.tune.classifier import Recipe, fit, new_classifier, probabilities
from recutils.tune.kept import MODULES, Arrays, digest, kept
from recutils.tune.states import Base, States, states_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GUESSED = 200  # texts whose hidden words are guessed
CODE = (
    *MODULES, "recutils.tune.domain", "recutils.tune.reading", "recutils.tune.baselines",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Domains:
    """Domains and one encoder.

    data, cuts: domain -> labelled texts and their parts. n_texts: read without labels. n_labels, n_seeds, epochs: of
    tuning and probes. n_chosen, n_asked: validation and test texts that are asked about.
    """

    base: Base
    data: Mapping[str, Labelled]
    cuts: Mapping[str, Parts]
    n_texts: int
    n_labels: int
    n_seeds: int
    epochs: int
    n_chosen: int
    n_asked: int
    _states: dict[str, States] = field(default_factory=dict, repr=False)

    def read_by(self, name: str) -> tuple[str, ...]:
        """The texts of a domain that are read without their labels."""
        found = self.data[name]
        return tuple(found.texts[row] for row in self.cuts[name].train[: self.n_texts])

    def asked(self, name: str, part: str) -> np.ndarray:
        """Rows asked about: part "valid" or "test"."""
        return self.cuts[name].valid[: self.n_chosen] if part == "valid" else self.cuts[name].test[: self.n_asked]

    def labels(self, name: str, part: str) -> np.ndarray:
        """Their labels."""
        return self.data[name].labels[self.asked(name, part)]

    def answers(self, name: str, how: str, *, probed: tuple[str, ...] = (), tuned: tuple[str, ...] = ()) -> Arrays:
        """What the encoder answers after reading the domain `name` in the way `how` ("" reads nothing).

        probed, tuned: the domains asked about by a probe and by tuning. "NAME, probe SEED" and "NAME, tuned SEED" hold
        probabilities for the validation texts, then the test texts. "NAME, words": loss at hidden words of each of
        GUESSED validation texts (at most those asked). Kept by content.
        """
        texts = self.read_by(name) if how else ()
        names = sorted({*probed, *tuned})
        about = {
            "task": "reading", "how": how, "read": digest(texts), "base": asdict(self.base), "probed": probed,
            "tuned": tuned, "asked": [digest(self.data[one].texts, self._some(one)) for one in names],
            "labels": self.n_labels, "seeds": self.n_seeds, "epochs": self.epochs,
        }  # fmt: skip
        return kept(about, lambda _: self._answers(texts, how, probed, tuned), modules=CODE)

    def chances(self, found: Arrays, name: str, kind: str, part: str) -> list[np.ndarray]:
        """Each seed's probabilities for one part's texts. kind: "probe" or "tuned"."""
        n = len(self.asked(name, "valid"))
        cut = slice(0, n) if part == "valid" else slice(n, None)
        return [found[f"{name}, {kind} {seed}"][cut] for seed in range(self.n_seeds)]

    def _some(self, name: str) -> np.ndarray:
        return np.concatenate([self.asked(name, "valid"), self.asked(name, "test")])

    def _answers(self, texts: tuple[str, ...], how: str, probed: tuple[str, ...], tuned: tuple[str, ...]) -> Arrays:
        ready = Recipe(epochs=1, batch=32)
        model = domain.adapted(self.base, texts, how, ready)[0] if how else self.base.load()[1]
        found: Arrays = {}
        for name in dict.fromkeys((*probed, *tuned)):
            states = self._of(name, self._some(name))
            guessed = self.data[name].only(self.asked(name, "valid")[:GUESSED]).texts
            found[f"{name}, words"] = domain.word_loss(self.base, model, guessed)
            for seed in range(self.n_seeds):
                if name in probed:
                    found[f"{name}, probe {seed}"] = self._probe(model, name, states, seed)
                if name in tuned:
                    found[f"{name}, tuned {seed}"] = self._tuned(model, name, states, seed)
        return found

    def _lesson(self, name: str, seed: int) -> tuple[States, np.ndarray]:
        rows = drawn(self.data[name], self.cuts[name].train, self.n_labels, seed)
        return self._of(name, rows), self.data[name].labels[rows]

    def _of(self, name: str, rows: np.ndarray) -> States:
        """The frozen layers' states of some rows, computed once: every way of reading shares them."""
        key = digest(name, rows)
        if key not in self._states:
            self._states[key] = states_of(self.base, self.data[name].only(rows).texts)
        return self._states[key]

    def _probe(self, model: "PreTrainedModel", name: str, states: States, seed: int) -> np.ndarray:
        mine, labels = self._lesson(name, seed)
        lesson, asked = (domain.pooled_vectors(self.base, model, one) for one in (mine, states))
        return linear(lesson, labels, asked, n_classes=len(self.data[name].classes))

    def _tuned(self, model: "PreTrainedModel", name: str, states: States, seed: int) -> np.ndarray:
        mine, labels = self._lesson(name, seed)
        made = new_classifier(self.base, len(self.data[name].classes), model=model)
        fit(made, mine, labels, Recipe(epochs=self.epochs, seed=seed))
        return probabilities(made, states)
