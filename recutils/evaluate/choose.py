"""Which setting of each model suits the data: chosen on the validation part alone. The menu stands in `candidates`."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.split import Split
from recutils.evaluate.candidates import BASELINE, FLOOR, Candidate, described, menu
from recutils.evaluate.judge import Judgement, judge
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.statistics import DRAWS
from recutils.evaluate.task import Task
from recutils.model.base import Model
from recutils.model.content import Vectors
from recutils.present import interval
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Chosen:
    """One model's best setting on the validation part, fitted on train.

    value, low, high: mean nDCG@k over the validation users and its interval; optimistic the more settings were tried.
    fit_seconds, score_seconds: of this setting. all_seconds: of every setting tried.
    """

    name: str
    parameters: Mapping[str, Any]
    value: float
    low: float | None
    high: float | None
    n_tried: int
    n_settings: int
    fit_seconds: float
    score_seconds: float
    all_seconds: float
    model: Model = field(repr=False)
    vectors: Vectors | None = field(repr=False)

    def fresh(self) -> Model:
        """A model of the same setting that is not fitted yet, with its vectors."""
        return _built(type(self.model), self.model.parameters(), self.vectors)

    def refit(self, train: Interactions) -> Model:
        """A fresh model of the same setting, fitted on other events of the same items."""
        return self.fresh().fit(train)


@dataclass(frozen=True, eq=False)
class Choice:
    """What the validation part says of each model. Seconds stand in `cost` alone, so that `table` is the same again.

    left_out: model -> why it was not tried. failed: model -> the message of what went wrong in some or all settings.
    judgement: the chosen settings' lists on the validation part, with intervals and tests against popularity.
    """

    chosen: Mapping[str, Chosen]
    left_out: Mapping[str, str]
    failed: Mapping[str, str]
    judgement: Judgement

    @property
    def models(self) -> dict[str, Model]:
        """The models of the chosen settings, fitted on train."""
        return {name: one.model for name, one in self.chosen.items()}

    @property
    def best(self) -> str:
        """The model with the highest validation value, of equal ones the simpler (the first); never random."""
        return max((name for name in self.chosen if name != FLOOR), key=lambda name: self.chosen[name].value)

    def refit(self, train: Interactions, only: Collection[str] | None = None) -> dict[str, Model]:
        """Fresh models of the frozen settings, fitted on other events such as train and valid together."""
        return {name: one.refit(train) for name, one in self.chosen.items() if only is None or name in only}

    def table(self) -> pd.DataFrame:
        """One row for each model: its setting, nDCG on the validation part, how many settings were tried."""
        rows = [
            {
                "model": one.name,
                "chosen setting": described(one.parameters),
                f"valid ndcg@{self.judgement.k}": interval(one.value, one.low, one.high),
                "settings tried": one.n_tried,
            }
            for one in self.chosen.values()
        ]
        return pd.DataFrame(rows)

    def cost(self) -> pd.DataFrame:
        """One row for each model: seconds to fit and to score the chosen setting, and for all settings together."""
        names = {"fit_seconds": "fit (s)", "score_seconds": "score (s)", "all_seconds": "all settings (s)"}
        rows = [{"model": one.name} | {names[key]: getattr(one, key) for key in names} for one in self.chosen.values()]
        return pd.DataFrame(rows)


def choose(
    split: Split,
    rules: Task,
    vectors: Mapping[str, Vectors] | None = None,
    *,
    seed: int,
    draws: int = DRAWS,
    only: Collection[str] | None = None,
    explicit: bool | None = None,
    budget_seconds: float | None = None,
    say: Say | None = None,
) -> Choice:
    """Every model at the setting with the best mean nDCG@k on the validation part; equal settings go to the first.

    rules: the task of the validation part, of this split. vectors: kind -> (n_items, d), for one content model each.
    only: names of models to try, with popularity always among them. explicit: whether values are opinions; None means
    yes when they differ. budget_seconds: no further setting starts after it (the first of popularity and `only` does);
    the result then depends on the machine. say: told before each setting what comes and how long it may take.
    Raises Problem for the test part, for unknown names and when popularity itself fails.
    """
    vectors = vectors or {}
    _check(split, rules, vectors)
    names = menu(vectors)
    _check_names(only or (), names)
    explicit = split.train.value.nunique() > 1 if explicit is None else explicit
    left_out = {name: "it was not asked for" for name in names if only is not None and name not in {*only, BASELINE}}
    for name in names.keys() - left_out.keys():
        reason = names[name].unfit(split.train, explicit=explicit, has_vectors=bool(vectors))
        left_out |= {name: reason} if reason else {}
    fit = {name: candidate for name, candidate in names.items() if name not in left_out}
    trials = _Trials(split.train, rules, vectors, seed, _Clock(budget_seconds, say), only or ())
    trials.run(fit)
    if BASELINE not in trials.best:
        raise Problem(f"popularity could not be judged: {trials.failed.get(BASELINE)}. Check the data.")
    best = {name: trials.best[name] for name in fit if name in trials.best}
    lists = {name: one.lists for name, one in best.items()}
    judgement = judge(lists, rules.truth, rules.k, seed=seed, users=rules.users, baseline=BASELINE, draws=draws)
    left_out |= trials.left_out
    return Choice(
        {name: _chosen(name, trials, fit[name], judgement) for name in best},
        {name: left_out[name] for name in names if name in left_out},
        trials.failed,
        judgement,
    )


def _check(split: Split, rules: Task, vectors: Mapping[str, Vectors]) -> None:
    if rules.part != "valid":
        raise Problem(f"settings are chosen on the part 'valid'; the task is of {rules.part!r}. Use task(split, ...).")
    if rules.histories.shape[1] != split.train.n_items:
        sizes = f"{rules.histories.shape[1]:,} items, the split {split.train.n_items:,}"
        raise Problem(f"the task has {sizes}. Make the task from this split.")
    for kind, given in vectors.items():
        if given.shape[0] != split.train.n_items:
            came = f"{given.shape[0]:,} rows, but there are {split.train.n_items:,} items"
            raise Problem(f"vectors {kind!r} have {came}. Encode all items, in row order.")


def _check_names(only: Collection[str], names: Mapping[str, Candidate]) -> None:
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise Problem(f"there is no model {', '.join(map(repr, unknown))}; expected some of {', '.join(names)}.")


def _built(make: type[Model], parameters: Mapping[str, Any], vectors: Vectors | None) -> Any:
    """An unfitted model, with its vectors where it takes them."""
    model: Any = make(**parameters)
    return model if vectors is None else model.with_vectors(vectors)


@dataclass
class _Clock:
    """Tells how far the trials are, and when the budget is used up."""

    budget: float | None
    say: Say | None
    total: int = 0
    done: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def over(self) -> bool:
        return self.budget is not None and time.perf_counter() - self.started > self.budget

    def tell(self, name: str) -> None:
        """One more setting begins."""
        passed = time.perf_counter() - self.started
        left = f", about {passed / self.done * (self.total - self.done):.0f} s left" if self.done else ""
        self.done += 1
        if self.say:
            self.say(f"setting {self.done} of {self.total}: {name}{left}")


@dataclass(frozen=True, eq=False)
class _Trial:
    """One setting that was fitted and ranked. mean: nDCG@k over the users."""

    parameters: dict[str, Any]
    model: Model
    lists: np.ndarray
    mean: float
    fit_seconds: float
    score_seconds: float


@dataclass
class _Trials:
    """Runs the settings of each candidate and keeps the best of each."""

    train: Interactions
    rules: Task
    vectors: Mapping[str, Vectors]
    seed: int
    clock: _Clock
    asked: Collection[str]
    best: dict[str, _Trial] = field(default_factory=dict)
    n_tried: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def run(self, candidates: Mapping[str, Candidate]) -> None:
        """The first setting of every candidate, then the second of every one: a small budget is shared fairly.

        Popularity comes first; the first setting of popularity and of `asked` is tried whatever the budget.
        """
        turns = [(number, name) for name, candidate in candidates.items() for number in range(len(candidate.settings))]
        self.clock.total = len(turns)
        self.n_tried, self.seconds = dict.fromkeys(candidates, 0), dict.fromkeys(candidates, 0.0)
        for number, name in sorted(turns, key=lambda turn: (turn[0], turn[1] != BASELINE)):
            if (number == 0 and name in (BASELINE, *self.asked)) or not self.clock.over:
                self._run(name, candidates[name], candidates[name].settings[number])

    def _run(self, name: str, candidate: Candidate, parameters: dict[str, Any]) -> None:
        self.clock.tell(f"{name} {described(parameters)}".strip())
        started = time.perf_counter()
        self.n_tried[name] += 1
        try:
            self._keep(name, self._try(name, candidate, parameters))
        except faults() as fault:
            told = f"{described(parameters)}: {fault}" if parameters else str(fault)
            self.faults.setdefault(name, []).append(told)
        self.seconds[name] += time.perf_counter() - started

    @property
    def left_out(self) -> dict[str, str]:
        """Models that the budget did not reach."""
        reason = f"the budget of {self.clock.budget} seconds was used up"
        return {name: reason for name, n in self.n_tried.items() if n == 0}

    @property
    def failed(self) -> dict[str, str]:
        """How many settings of a model failed, and the first message."""
        told = "{} of {} settings failed; the first: {}"
        return {name: told.format(len(every), self.n_tried[name], every[0]) for name, every in self.faults.items()}

    def _try(self, name: str, candidate: Candidate, parameters: dict[str, Any]) -> _Trial:
        seeded = {"seed": self.seed} if "seed" in candidate.make.arguments() else {}
        start = time.perf_counter()
        model = _built(candidate.make, {**parameters, **seeded}, self.vectors_of(name)).fit(self.train)
        fitted = time.perf_counter()
        lists = recommend(model, self.rules.histories, self.rules.k)
        ranked = time.perf_counter()
        mean = float(np.nanmean(ndcg(lists, self.rules.truth, self.rules.k)))
        return _Trial(parameters, model, lists, mean, fitted - start, ranked - fitted)

    def _keep(self, name: str, trial: _Trial) -> None:
        if name not in self.best or trial.mean > self.best[name].mean:
            self.best[name] = trial

    def vectors_of(self, name: str) -> Vectors | None:
        """The vectors of "content tfidf" and its like, None for other models."""
        return self.vectors[name.removeprefix("content ")] if name.startswith("content ") else None


def faults() -> tuple[type[Exception], ...]:
    """What a model may raise for data that do not suit it; it is told in `failed`, and the others go on."""
    from implicit.recommender_base import ModelFitError

    return (ValueError, ArithmeticError, RuntimeError, MemoryError, np.linalg.LinAlgError, ModelFitError)


def _chosen(name: str, trials: _Trials, candidate: Candidate, judgement: Judgement) -> Chosen:
    best, record = trials.best[name], judgement.find(name, "ndcg")
    return Chosen(
        name=name,
        parameters=best.parameters,
        value=record.value,
        low=record.low,
        high=record.high,
        n_tried=trials.n_tried[name],
        n_settings=len(candidate.settings),
        fit_seconds=best.fit_seconds,
        score_seconds=best.score_seconds,
        all_seconds=trials.seconds[name],
        model=best.model,
        vectors=trials.vectors_of(name),
    )
