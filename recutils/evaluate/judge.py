"""One call from ranked lists to per-user values, records and a table. Metrics and statistics are made elsewhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.metrics import METRICS, accuracy
from recutils.evaluate.records import LEFT_OUT, Record, Records, from_users
from recutils.evaluate.statistics import DRAWS
from recutils.present import MAX_ROWS, interval, p_value
from recutils.tables import Problem

SHOWN = ("ndcg", "recall", "reciprocal_rank", "hit_rate")


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is known about several models' lists over the same users.

    values: metric -> model -> (n_users,), NaN where a user has no truth. users: (n_users,) rows of the judged users.
    family: the metrics whose differences from `baseline` are tested.
    """

    values: Mapping[str, Mapping[str, np.ndarray]]
    users: np.ndarray
    k: int
    baseline: str | None
    family: tuple[str, ...]
    _records: Records = field(repr=False)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order given."""
        return tuple(next(iter(self.values.values())))

    @property
    def n_left_out(self) -> int:
        """How many users have no truth, and so no place in any mean of accuracy."""
        return int(np.isnan(self.values[self.family[0]][self.models[0]]).sum())

    @property
    def per_user(self) -> pd.DataFrame:
        """All values as a tidy table: user, model, metric, value; users without truth stay, as NaN."""
        columns = [(model, metric) for metric in self.values for model in self.models]
        value = np.concatenate([self.values[metric][model] for model, metric in columns])
        model, metric = (np.repeat(names, len(self.users)) for names in zip(*columns, strict=True))
        return pd.DataFrame(
            {"user": np.tile(self.users, len(columns)), "model": model, "metric": metric, "value": value}
        )

    def records(self, notebook: str, dataset: str, protocol: str, split: str, *, group: str = "all") -> Records:
        """The judgement as records, ready for `run.add`."""
        return self._records.labelled(notebook=notebook, dataset=dataset, protocol=protocol, split=split, group=group)

    def find(self, model: str, metric: str) -> Record:
        """The record of one model and metric, for sentences and assertions; its notebook and split are unnamed yet."""
        for record in self._records:
            if (record.model, record.metric) == (model, metric):
                return record
        raise Problem(f"no {metric!r} of {model!r}; models are {list(self.models)}, metrics {[*self.values, LEFT_OUT]}")

    def table(self, metrics: Sequence[str] = SHOWN, *, rows: int = MAX_ROWS) -> pd.DataFrame:
        """One row per model: "mean [low, high]" of each metric, the difference from the baseline, p_holm and n.

        Delta and p belong to the first metric of the family. With more than `rows` models the baseline and the best by
        that metric stay, in the order given; `records` and `per_user` hold all.
        """
        first = self.family[0]
        chosen = [metric for metric in metrics if metric in self.values]
        if not chosen:
            raise Problem(f"metrics must name some of {list(self.values)}; got {list(metrics)}")
        return pd.DataFrame([self._row(model, chosen, first) for model in self._best(first, rows)])

    def _row(self, model: str, metrics: list[str], first: str) -> dict[str, object]:
        row: dict[str, object] = {"model": model}
        for metric in metrics:
            found = self.find(model, metric)
            row[f"{metric}@{self.k}" if metric in METRICS else metric] = interval(found.value, found.low, found.high)
        tested = self.find(model, first)
        if self.baseline is not None:
            row[f"Δ {first} to {self.baseline}"] = _difference(tested)
            row["p (Holm)"] = p_value(tested.p_holm)
        return {**row, "users": tested.n}

    def _best(self, metric: str, rows: int) -> list[str]:
        """At most `rows` models, the baseline always among them."""
        if rows < 1:
            raise Problem(f"rows must be at least 1; got {rows}")
        ranked = sorted(self.models, key=lambda model: (model != self.baseline, -self.find(model, metric).value))
        return [model for model in self.models if model in ranked[:rows]]


def judge(
    lists: Mapping[str, np.ndarray],
    truth: sparse.csr_matrix,
    k: int = 10,
    *,
    seed: int,
    baseline: str | None = "popularity",
    family: Collection[str] = ("ndcg",),
    extra: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    users: np.ndarray | None = None,
    draws: int = DRAWS,
) -> Judgement:
    """Every accuracy metric of several models' lists, with intervals, and differences from a baseline tested.

    lists: model name -> (n_users, >= k) item rows; truth: csr (n_users, n_items); metrics.py says what they must obey.
    family: the metrics tested, declared beforehand; Holm runs over these x the models, the others get intervals only.
    extra: more per-user values, metric -> model -> (n_users,), such as novelty.
    users: (n_users,) row numbers for `per_user`.
    Raises Problem when lists do not fit the truth, the baseline is missing, or no user has truth.
    """
    if not lists:
        raise Problem("lists must hold at least one model: name -> ranked lists (n_users, k)")
    judged = {model: accuracy(ranked, truth, k) for model, ranked in lists.items()}
    values = {metric: {model: judged[model][metric] for model in lists} for metric in METRICS}
    values |= _checked_extra(extra or {}, len(next(iter(lists.values()))))
    users = np.arange(truth.shape[0]) if users is None else np.asarray(users)
    return of_values(values, users, k, seed=seed, baseline=baseline, family=family, draws=draws)


def of_values(
    values: Mapping[str, Mapping[str, np.ndarray]],
    users: np.ndarray,
    k: int,
    *,
    seed: int,
    baseline: str | None = "popularity",
    family: Collection[str] = ("ndcg",),
    draws: int = DRAWS,
) -> Judgement:
    """A judgement of per-user values that are made already, such as each user's mean over several random starts.

    values: metric -> model -> (n_users,), NaN where a user has no truth. The rest as in `judge`.
    """
    n_users = len(next(iter(next(iter(values.values())).values())))
    if users.shape != (n_users,):
        raise Problem(f"users must hold one row number per judged user ({n_users}); got shape {users.shape}")
    if not family:
        raise Problem(f"family must name at least one metric to test, declared beforehand; metrics: {list(values)}")
    unnamed = dict.fromkeys(("notebook", "dataset", "protocol", "split"), "unnamed")
    records = from_users(values, seed=seed, baseline=baseline, family=family, draws=draws, k=k, **unnamed)
    return Judgement(values, users, k, baseline, tuple(family), records)


def _checked_extra(extra: Mapping[str, Mapping[str, np.ndarray]], n_users: int) -> dict[str, dict[str, np.ndarray]]:
    for metric, columns in extra.items():
        wrong = [model for model, column in columns.items() if np.shape(column) != (n_users,)]
        if metric in METRICS or wrong:
            raise Problem(
                f"extra {metric!r} must be a new name with {n_users} values per model; wrong: {wrong or metric}"
            )
    return {metric: dict(columns) for metric, columns in extra.items()}


def _difference(record: Record) -> str:
    """The paired difference with its interval, signed; nothing for the baseline itself."""
    if record.delta is None:
        return ""
    text = interval(record.delta, record.delta_low, record.delta_high)
    return text if text.startswith("-") else f"+{text}"
