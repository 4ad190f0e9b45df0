"""For whom a model wins: means and paired differences by group, with intervals and n. Groups are made in groups.py.

Slices are exploratory (house protocol): intervals, never a p, and a count of how many intervals chance alone would move
off zero. Groups with few people are shown with their n and get no verdict; groups with nobody stay in the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.split import Split
from recutils.evaluate.groups import Groups
from recutils.evaluate.judge import Judgement
from recutils.evaluate.metrics import by_pair
from recutils.evaluate.records import LEFT_OUT, Record, Records, from_users
from recutils.evaluate.resample import blocks, bootstrap_means, counts, seed_of
from recutils.evaluate.statistics import DRAWS, LEVEL, Comparison
from recutils.evaluate.task import Task, task
from recutils.tables import Problem

LEAST = 10  # people; below it a bootstrap interval is too short to be trusted, so that no verdict is given
FOUND = "events_found"  # the metric of item groups: the share of their events in the truth that the lists hold
_UNNAMED = dict.fromkeys(("notebook", "dataset", "protocol", "split"), "unnamed")


def everybody(split: Split, dataset: str, k: int, *, part: str = "valid", liked: float | None = None) -> Task:
    """The task of `task.task` for known and new users together, new ones with an empty history.

    Raises Problem when nobody is known; that nobody is new is no fault.
    """
    known = task(split, dataset, k, part=part, liked=liked)
    try:
        new = task(split, dataset, k, part=part, users="new", liked=liked)
    except Problem:
        return replace(known, group="all users")
    return replace(
        known,
        users=np.concatenate([known.users, new.users]),
        histories=sparse.vstack([known.histories, new.histories], format="csr"),
        truth=sparse.vstack([known.truth, new.truth], format="csr"),
        group="all users",
        notes=(known.notes[0].replace("the known ones", "all of them"), *known.notes[1:]),
    )


@dataclass(frozen=True, eq=False)
class Slices:
    """What each group gets from each model. records: without p; their `group` is "slice: group".

    groups: the partitions, in order. baseline: the model that others are compared with.
    """

    groups: tuple[Groups, ...]
    records: Records
    models: tuple[str, ...]
    baseline: str

    def find(self, groups: str, label: str, model: str, metric: str = "ndcg") -> Record | None:
        """The record of one group and model; None when the group has nobody with a value."""
        name = next((one.full_name(label) for one in self.groups if one.name == groups and label in one.labels), None)
        if name is None or model not in self.models:
            known = {one.name: one.labels for one in self.groups}
            raise Problem(f"no group {label!r} of {groups!r}, or no model {model!r}; groups {known}, {self.models}")
        wanted = (name, model, metric)
        return next((r for r in self.records if (r.group, r.model, r.metric) == wanted), None)

    def named(self, notebook: str, rules: Task) -> Records:
        """The records under the task's name, for `run.add`."""
        return self.records.labelled(**{**_about(rules), "notebook": notebook})

    def table(self, metric: str = "ndcg") -> pd.DataFrame:
        """One row for each group and model: slice, group, model, users, value, low, high, delta, its interval, verdict.

        verdict: "better" or "worse" when the interval of the paired difference lies off zero, else "open"; "too few"
        below LEAST people, "nobody" for an empty group; "" for the baseline itself.
        """
        indexed = {(r.group, r.model): r for r in self.records if r.metric == metric}
        rows = [
            {"slice": one.name, "group": label, "model": model}
            | _row(indexed.get((one.full_name(label), model)), model == self.baseline)
            for one in self.groups
            for label in one.labels
            for model in self.models
        ]
        return pd.DataFrame(rows)

    def gains(
        self, models: Sequence[str], *, without: Sequence[str] = (), metric: str = "ndcg"
    ) -> dict[tuple[str, str], tuple[float, float, float]]:
        """For `present.differences`: ("slice: group, n = people", model) -> difference, low, high.

        without: names of slices or groups to leave out; groups without a verdict are left out, too.
        """
        table = self.table(metric).query("verdict in ['better', 'worse', 'open'] and model in @models")
        kept = table[~table["slice"].isin(without) & ~table["group"].isin(without)]
        return {
            (f"{row.slice}: {row.group}, n = {row.users:,}", row.model): (row.delta, row.delta_low, row.delta_high)
            for row in kept.itertuples(index=False)
        }

    def sizes(self) -> pd.DataFrame:
        """One row for each group, empty ones too: slice, group, users."""
        rows = [(one.name, label, n) for one in self.groups for label, n in one.sizes.items()]
        return pd.DataFrame(rows, columns=["slice", "group", "users"])

    def off_zero(self, metric: str = "ndcg", models: Sequence[str] | None = None) -> tuple[int, int, float]:
        """How many intervals of a difference got a verdict, how many lie off zero, and how many chance would put there.

        models: those counted; None: all. Chance: 5 % of them if no model differed from the baseline anywhere. Not
        counted: differences of exactly 0, which chance cannot move, and a group that stands in two slices twice.
        """
        judged = self.table(metric).query("verdict in ['better', 'worse', 'open']")
        judged = judged[(judged.delta_low != 0) | (judged.delta_high != 0)]
        judged = judged[judged.model.isin(models or self.models)].drop_duplicates(["model", "users", "value", "delta"])
        off = int(judged.verdict.isin(["better", "worse"]).sum())
        return len(judged), off, (1 - LEVEL) * len(judged)


def where_wins(
    judgement: Judgement,
    groups: Groups | Sequence[Groups],
    *,
    seed: int,
    metrics: Sequence[str] = ("ndcg", "recall"),
    draws: int = DRAWS,
) -> Slices:
    """Each model's mean in each group and its paired difference from the baseline, with intervals, n and no p.

    groups: partitions of the judged users, in the judgement's order. People without truth have no value; where there
    are any, a record `users_left_out` counts them. Raises Problem without a baseline and for a partition of others.
    """
    if judgement.baseline is None:
        raise Problem("the judgement has no baseline to compare with; judge with baseline='popularity'")
    groups = (groups,) if isinstance(groups, Groups) else tuple(groups)
    for one in groups:
        if len(one.of) != len(judgement.users):
            raise Problem(f"{one.name} parts {len(one.of):,} users, the judgement has {len(judgement.users):,}")
    options: dict[str, Any] = {"seed": seed, "draws": draws, "metrics": metrics}
    parts = [_of_group(judgement, one, label, **options) for one in groups for label in one.labels]
    records = Records(record for part in parts for record in part)
    return Slices(groups, records, judgement.models, judgement.baseline)


def _of_group(
    judgement: Judgement, groups: Groups, label: str, *, seed: int, draws: int, metrics: Sequence[str]
) -> Records:
    """The records of one group; none of its models when nobody in it has a value."""
    mask = groups.mask(label)
    values = {metric: {m: v[mask] for m, v in judgement.values[metric].items()} for metric in metrics}
    if not all(np.isfinite(column).any() for columns in values.values() for column in columns.values()):
        return Records()
    labels = {**_UNNAMED, "k": judgement.k, "group": groups.full_name(label)}
    made = from_users(values, seed=seed, baseline=judgement.baseline, family=(), draws=draws, **labels)
    return Records(record for record in made if record.metric != LEFT_OUT or record.value > 0)


def _row(record: Record | None, is_baseline: bool) -> dict[str, Any]:
    names = ("value", "low", "high", "delta", "delta_low", "delta_high")
    numbers = {name: np.nan if record is None else _number(getattr(record, name)) for name in names}
    verdict = "" if is_baseline and record is not None else _verdict(record)
    return {"users": 0 if record is None else record.n, **numbers, "verdict": verdict}


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _verdict(record: Record | None) -> str:
    if record is None:
        return "nobody"
    if record.n < LEAST or record.delta_low is None or record.delta_high is None:
        return "too few"
    return "better" if record.delta_low > 0 else "worse" if record.delta_high < 0 else "open"


def contrast(
    judgement: Judgement,
    groups: Groups,
    first: str,
    second: str,
    model: str,
    *,
    seed: int,
    metric: str = "ndcg",
    draws: int = DRAWS,
) -> Comparison:
    """Whether a model's gain over the baseline differs between two groups: gain in first - gain in second, no p (NaN).

    The groups share nobody, so each is resampled on its own. "Better here, open there" does not show that the gains
    differ (Gelman & Stern 2006); this does. Raises Problem for a group with fewer than two people with values.
    """
    if judgement.baseline is None:
        raise Problem("the judgement has no baseline to compare with; judge with baseline='popularity'")
    gain = judgement.values[metric][model] - judgement.values[metric][judgement.baseline]
    sides = [gain[groups.mask(label)] for label in (first, second)]
    kept = [side[np.isfinite(side)] for side in sides]
    for label, side in zip((first, second), kept, strict=True):
        if len(side) < 2:
            raise Problem(
                f"{groups.full_name(label)} has {len(side)} people with values; a contrast needs 2 in each group"
            )
    drawn = [bootstrap_means(side[:, None], seed_of(seed) + n, draws)[:, 0] for n, side in enumerate(kept)]
    low, high = np.quantile(drawn[0] - drawn[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    delta = float(kept[0].mean() - kept[1].mean())
    n_left_out = sum(len(side) for side in sides) - sum(len(side) for side in kept)
    return Comparison(delta, float(low), float(high), np.nan, sum(len(side) for side in kept), n_left_out)


def truth_of(rules: Task, groups: Groups) -> pd.DataFrame:
    """What the truth holds of each item group, empty ones too: group, items (different ones), events, share, users."""
    entries = rules.truth.tocoo()
    place = groups.of[entries.col]
    rows = []
    for number, label in enumerate(groups.labels):
        mine = place == number
        n_items, n_users = len(np.unique(entries.col[mine])), len(np.unique(entries.row[mine]))
        rows.append((label, n_items, int(mine.sum()), float(mine.mean()), n_users))
    return pd.DataFrame(rows, columns=["group", "items", "events", "share of events", "users"])


def item_recall(
    lists: Mapping[str, np.ndarray],
    rules: Task,
    groups: Groups,
    *,
    seed: int,
    baseline: str = "popularity",
    draws: int = DRAWS,
) -> Records:
    """Of the events of each item group in the truth, the share that each model's lists hold; and the paired difference.

    Pooled over people, so a person with many such events counts for more. Users and items are both resampled (the
    pigeonhole bootstrap, Owen 2007), since the few items of a group are a draw, too. n counts the people who have such
    events; a group without events has no record (`truth_of` shows it). As `statistics.crossed_interval`, other draws.
    """
    if baseline not in lists:
        raise Problem(f"baseline {baseline!r} is not among the lists of {list(lists)}")
    pairs = {name: by_pair(ranked, rules.truth, rules.k, "recall") for name, ranked in lists.items()}
    first = pairs[baseline]
    values = np.column_stack([pairs[name].value for name in lists])
    place = groups.of[first.item]
    records: list[Record] = []
    for number, label in enumerate(groups.labels):
        mine = np.flatnonzero(place == number)
        if len(mine):
            axes = first.user.to_numpy()[mine], first.item.to_numpy()[mine]
            drawn = _crossed_shares(values[mine], *axes, seed=seed, draws=draws)
            about = {"metric": FOUND, "group": groups.full_name(label), "seed": seed, "n": len(np.unique(axes[0]))}
            labels = {**_about(rules), "k": rules.k, **about}
            records += _shares(values[mine].mean(axis=0), drawn, list(lists), baseline, labels)
    return Records(records)


def _about(rules: Task) -> dict[str, Any]:
    """The labels that a task gives its records; the notebook is still unnamed."""
    part = f"{rules.split}, {rules.part}"
    return {"notebook": "unnamed", "dataset": rules.dataset, "protocol": rules.protocol, "split": part}


def _shares(
    means: np.ndarray, drawn: np.ndarray, models: list[str], baseline: str, labels: dict[str, Any]
) -> list[Record]:
    """One record for each model from the pooled shares (n_models,) and their draws (draws, n_models)."""
    tails, base = [(1 - LEVEL) / 2, (1 + LEVEL) / 2], models.index(baseline)
    ends = np.nanquantile(drawn, tails, axis=0)
    gaps = np.nanquantile(drawn - drawn[:, [base]], tails, axis=0)
    found = []
    for n, model in enumerate(models):
        delta = {"against": baseline, "delta": float(means[n] - means[base])}
        paired = {} if n == base else {**delta, "delta_low": float(gaps[0, n]), "delta_high": float(gaps[1, n])}
        value = {"value": float(means[n]), "low": float(ends[0, n]), "high": float(ends[1, n])}
        found.append(Record(model=model, **labels, **value, **paired))
    return found


def _crossed_shares(values: np.ndarray, users: np.ndarray, items: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    """(draws, n_models): weighted means of values (n_pairs, n_models), users and items drawn, for all models alike."""
    user, item = (np.unique(axis, return_inverse=True)[1] for axis in (users, items))
    rng = np.random.default_rng([seed_of(seed), 104])  # a stream of its own, as in resample.py
    shares = np.empty((draws, values.shape[1]))
    for block in blocks(draws, len(values)):
        size = block.stop - block.start
        weight = counts(rng, size, user.max() + 1)[:, user] * counts(rng, size, item.max() + 1)[:, item]
        total = weight.sum(axis=1, keepdims=True)
        shares[block] = np.divide(weight @ values, total, out=np.full((size, values.shape[1]), np.nan), where=total > 0)
    return shares
