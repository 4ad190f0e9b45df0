"""Search for settings on a validation part with Optuna, kept in a file and resumable. A closed menu: choose.py.

The file (one JSON line for each step, Optuna's journal) holds trials only, no sampler and no pickle: trial n is drawn
by a fresh sampler with a seed made from (seed, n), so that a search that was killed goes on as if it had not been.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recutils import runs
from recutils.evaluate.choose import faults
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.task import Task
from recutils.model.base import Model
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Setting = dict[str, Any]
Objective = Callable[[Setting], np.ndarray]  # setting -> one value for each user (n_users,), higher is better
Say = Callable[[str], None]
SAMPLERS = ("tpe", "random")
START_UP = 8  # random trials before TPE begins to learn, the default setting among them


@dataclass(frozen=True)
class Range:
    """The values that a parameter may take: whole numbers or fractions from low to high, or some choices.

    Whole when low and high are both int. log: even over the logarithm, for what acts by factors; low is then above 0.
    """

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    def distribution(self) -> Any:
        """As Optuna writes it. Raises Problem for a range that holds nothing."""
        from optuna import distributions

        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        if not self.low <= self.high or (self.log and not self.low > 0):
            raise Problem(f"a range needs low <= high, and low > 0 with log; got {self}")
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        kind = distributions.IntDistribution if whole else distributions.FloatDistribution
        return kind(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Space:
    """A model, the ranges of what is searched, and what stays fixed. needs_time as in the model."""

    make: type[Model]
    ranges: Mapping[str, Range]
    fixed: Mapping[str, Any]

    def default(self) -> Setting:
        """The setting that the code has as its default; the first trial of each search."""
        plain = self.make(**self.fixed)
        return {name: getattr(plain, name) for name in self.ranges}

    def model(self, setting: Setting) -> Model:
        """An unfitted model of a setting."""
        return self.make(**{**self.fixed, **setting})

    def on_validation(self, train: Interactions, rules: Task) -> Objective:
        """nDCG@k (n_users,) of a setting: fitted on train, judged by the task. Raises Problem for the test part."""
        if rules.part != "valid":
            raise Problem(
                f"settings are searched on the part 'valid'; the task is of {rules.part!r}. Use task(split, ...)."
            )

        def objective(setting: Setting) -> np.ndarray:
            lists = recommend(self.model(setting).fit(train), rules.histories, rules.k)
            return ndcg(lists, rules.truth, rules.k)

        return objective


@dataclass(frozen=True, eq=False)
class Search:
    """What a search found, its trials in the order in which they were done.

    settings: one for each trial; the first is the default. values: (n_trials, n_users) of the objective, NaN in a
    trial that failed. failed: number of the trial -> the message. path: the file.
    """

    settings: tuple[Setting, ...]
    values: np.ndarray
    failed: Mapping[int, str]
    path: Path
    study: "Study"

    @property
    def means(self) -> np.ndarray:
        """Mean value (n_trials,) of each trial, -inf for one that failed."""
        users = np.maximum((~np.isnan(self.values)).sum(axis=1), 1)
        means = np.nansum(self.values, axis=1) / users
        return np.where(np.isnan(self.values).all(axis=1), -np.inf, means)

    @property
    def best(self) -> int:
        """The first trial with the highest mean: optimistic, the more so the more trials there were."""
        return int(np.argmax(self.means))

    @property
    def setting(self) -> Setting:
        """The setting of the best trial."""
        return self.settings[self.best]

    def so_far(self) -> np.ndarray:
        """The highest mean up to each trial (n_trials,)."""
        return np.maximum.accumulate(self.means)

    def table(self) -> pd.DataFrame:
        """A row for each trial: trial (0 is the default setting), value (NaN when it failed), its parameters."""
        means = np.where(np.isinf(self.means), np.nan, self.means)
        return pd.DataFrame(self.settings).assign(value=means).reset_index(names="trial")

    def importance(self, *, seed: int) -> dict[str, float]:
        """Share of the variance of the values that each parameter explains over its range (sums to 1; fANOVA).

        Hutter, Hoos & Leyton-Brown 2014. Trust it for random trials; a sampler that learns looks where values are high.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        if len(self.settings[0]) == 1:
            return dict.fromkeys(self.settings[0], 1.0)
        if len(np.unique(self.means)) < 2:
            return dict.fromkeys(self.settings[0], 0.0)
        found = get_param_importances(self.study, evaluator=FanovaImportanceEvaluator(seed=seed))
        return {name: float(found.get(name, 0.0)) for name in self.settings[0]}

    def board(self, folder: Path) -> Path:
        """Write the search for TensorBoard (`tensorboard --logdir`): values, best so far, a table of the settings."""
        from torch.utils.tensorboard import SummaryWriter

        shutil.rmtree(folder, ignore_errors=True)
        with SummaryWriter(str(folder)) as writer:
            for trial, (setting, mean, top) in enumerate(zip(self.settings, self.means, self.so_far(), strict=True)):
                if np.isfinite(mean):
                    writer.add_scalar("search/value", mean, trial)
                    writer.add_scalar("search/best so far", top, trial)
                    writer.add_hparams(setting, {"search/value": mean}, run_name=f"trial-{trial:03d}")
        return folder


def search(
    objective: Objective,
    ranges: Mapping[str, Range],
    default: Setting,
    folder: Path,
    *,
    name: str,
    trials: int,
    seed: int,
    sampler: str = "tpe",
    about: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> Search:
    """Try the default and then `trials - 1` drawn settings; what the file holds already is not tried again.

    sampler: "tpe" (learns from the trials before, Bergstra et al. 2011) or "random". about: plain JSON that tells what
    is searched (`told`); another question, seed or sampler gets another file, and a larger `trials` goes on. A setting
    that fails takes its place in the budget. Raises Problem when all fail.
    """
    from optuna.trial import TrialState

    if trials < 1 or sampler not in SAMPLERS:
        raise Problem(f"trials must be at least 1, sampler one of {SAMPLERS}; got {trials} and {sampler!r}")
    _check_default(ranges, default)
    question = {"name": name, "seed": seed, "sampler": sampler, "default": default, "about": dict(about or {})}
    question["ranges"] = {parameter: repr(allowed) for parameter, allowed in ranges.items()}
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{name.replace(' ', '_')}-{digest}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet():
        study = _opened(path, name)
        while len(done := _done(study)) < trials:
            study.sampler = _sampler(sampler, seed, len(done))
            if not done and not study.get_trials(states=(TrialState.WAITING,)):
                study.enqueue_trial(default)
            _run(study, {parameter: allowed.distribution() for parameter, allowed in ranges.items()}, objective)
            if say is not None:
                say(f"{name}: trial {len(done) + 1} of {trials}")
    return _found(_done(study)[:trials], path, study)


def told(space: Space, train: Interactions, rules: Task) -> dict[str, str]:
    """What `search` must know to tell one question from another: model, data, task and the models' code, as digests."""
    from recutils import model

    code = [runs.file_hash(path) for path in sorted(Path(str(model.__file__)).parent.glob("*.py"))]
    table = pd.util.hash_pandas_object(train.rows, index=False).to_numpy()
    parts = (table, rules.users, rules.histories.indices, rules.truth.indptr, rules.truth.indices)
    data = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    fixed = json.dumps(dict(space.fixed), sort_keys=True)
    return {"model": space.make.name, "fixed": fixed, "data": data, "k": str(rules.k), "code": "".join(code)}


def _check_default(ranges: Mapping[str, Range], default: Setting) -> None:
    if not ranges or set(ranges) != set(default):
        raise Problem(f"ranges and default must name the same parameters, at least one; got {[*ranges]}, {[*default]}")
    for name, allowed in ranges.items():
        distribution, value = allowed.distribution(), default[name]
        if (allowed.choices and value not in allowed.choices) or not (
            allowed.choices or distribution._contains(distribution.to_internal_repr(value))
        ):
            raise Problem(f"the default {name} = {value!r} lies outside {allowed}. Widen the range.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells on stderr that a study was made; afterwards it is as talkative as before."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _opened(path: Path, name: str) -> "Study":
    """The study of a file, with what a kill left half done put right: a torn last line, a trial without an end."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if path.exists() and not (text := path.read_bytes()).endswith(b"\n"):
        runs.write_text(path, text[: text.rfind(b"\n") + 1].decode())
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _done(study: "Study") -> list["FrozenTrial"]:
    """Trials that reached their end, in order; those that a kill cut short have neither a value nor a fault."""
    return [trial for trial in study.get_trials() if trial.value is not None or "fault" in trial.user_attrs]


def _sampler(kind: str, seed: int, number: int) -> "BaseSampler":
    """The sampler of one trial, made from (seed, number) alone."""
    from optuna.samplers import RandomSampler, TPESampler

    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    return TPESampler(n_startup_trials=START_UP, seed=own) if kind == "tpe" else RandomSampler(seed=own)


def _run(study: "Study", distributions: dict[str, Any], objective: Objective) -> None:
    """One trial: its per-user values are stored before its mean, so that a trial with an end has both."""
    from optuna.trial import TrialState

    trial = study.ask(distributions)
    try:
        values = np.asarray(objective(dict(trial.params)), dtype=np.float64)
        if not np.isfinite(np.nanmean(values)):
            raise Problem("the objective gave no finite value")
        trial.set_user_attr("values", [None if np.isnan(value) else float(value) for value in values])
        study.tell(trial, float(np.nanmean(values)))
    except faults() as fault:
        trial.set_user_attr("fault", str(fault))
        study.tell(trial, state=TrialState.FAIL)


def _found(done: list["FrozenTrial"], path: Path, study: "Study") -> Search:
    failed = {place: trial.user_attrs["fault"] for place, trial in enumerate(done) if trial.value is None}
    if len(failed) == len(done):
        raise Problem(f"all {len(done)} settings failed; the first: {failed[0]}. Check the data and the ranges.")
    n_users = max(len(trial.user_attrs.get("values", ())) for trial in done)
    values = np.full((len(done), n_users), np.nan)
    for place, trial in enumerate(done):
        if trial.value is not None:
            values[place] = np.array(trial.user_attrs["values"], dtype=np.float64)
    return Search(tuple(dict(trial.params) for trial in done), values, failed, path, study)
