"""What standing still costs: when the weights learn, and what is heard of the person. Streams: online.py."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from recutils.evaluate.online import HISTORIES, Learner, Stream, System, prequential, stream
from recutils.evaluate.records import Record, Records
from recutils.evaluate.statistics import DRAWS, Interval, mean_intervals
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random, RecentPopularity
from recutils.model.ease import EASE
from recutils.model.stream_ease import StreamEASE
from recutils.present import interval
from recutils.tables import Interactions

WHEN = ("never", "rarely", "each block")  # when the weights of EASE learn


def choose(
    warm: Interactions, regs: Sequence[float], half_lives: Sequence[float], k: int
) -> tuple[pd.DataFrame, float, float]:
    """EASE's penalty and recent popularity's half-life (days) that do best on the last fifth of the warm part.

    Returns the table of all settings (columns model, setting, ndcg) and the two choices; ties go to the larger.
    """
    trial = stream(warm, warm=0.8, n_blocks=1)
    models = {("ease", reg): EASE(reg=reg) for reg in regs}
    models |= {("recent popularity", days): RecentPopularity(half_life=days) for days in half_lives}
    names = {f"{name} {setting}": (name, setting) for name, setting in models}
    learners = {name: Learner(models[key].fit(trial.warm)) for name, key in names.items()}
    found = prequential(trial, learners, {name: (name, "live") for name in names}, k)
    tried = pd.DataFrame([(*names[name], found[name].mean()) for name in names], columns=["model", "setting", "ndcg"])
    best = tried.sort_values(["ndcg", "setting"]).groupby("model").setting.last()
    return tried, float(best["ease"]), float(best["recent popularity"])


def line_up(
    warm: Interactions, reg: float, half_life: float, rarely: int, seed: int
) -> tuple[dict[str, Learner], dict[str, System]]:
    """Learners fitted on the warm part, and the systems made of them: EASE by WHEN x HISTORIES, and what stands beside.

    rarely: blocks between two refits of that learner.
    """
    learners = {
        "never": Learner(EASE(reg=reg)),
        "rarely": Learner(EASE(reg=reg), every=rarely),
        "each block": Learner(StreamEASE(reg=reg), incremental=True),
        "random": Learner(Random(seed=seed)),
        "popularity, never": Learner(Popularity()),
        "popularity": Learner(Popularity(), every=1),
        "recent popularity": Learner(RecentPopularity(half_life=half_life), every=1),
        "als, never": Learner(ALS(factors=32, seed=seed)),
        "als, each block": Learner(ALS(factors=32, seed=seed), every=1),
    }
    for learner in learners.values():
        learner.model.fit(warm)
    systems = {f"{when}, {heard}": (when, heard) for when in WHEN for heard in HISTORIES}
    return learners, systems | {name: (name, "live") for name in learners if name not in WHEN}


def grid(means: Mapping[str, Interval]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of "mean [low, high]": EASE, weights by histories, and the systems beside it."""
    text = {name: interval(one.mean, one.low, one.high) for name, one in means.items()}
    rows = [(when, *(text.pop(f"{when}, {heard}") for heard in HISTORIES)) for when in WHEN]
    columns = ["weights learn", *(f"history {heard}" for heard in HISTORIES)]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(text.items(), columns=["beside it", "ndcg"])


def by_kind(judged: pd.DataFrame, systems: Sequence[str], *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """Each system by kind of visit, first or later: "mean [low, high]" over visits, and their number."""
    rows = []
    for new, own in judged.groupby("new"):
        found = mean_intervals({name: own[name].to_numpy() for name in systems}, seed, draws=draws)
        text = {name: interval(one.mean, one.low, one.high) for name, one in found.items()}
        rows.append({"kind of visit": "first visit" if new else "later visit"} | text | {"visits": len(own)})
    return pd.DataFrame(rows)


def records(means: Mapping[str, Interval], metric: str, **labels: Any) -> Records:
    """Means with intervals as records, without comparisons. labels: notebook, dataset, protocol, split, seed ..."""
    return Records(_record(name, one, metric, labels) for name, one in means.items())


def _record(name: str, one: Interval, metric: str, labels: Mapping[str, Any]) -> Record:
    return Record(**labels, model=name, metric=metric, value=one.mean, low=one.low, high=one.high, n=one.n)


def newest_weights_agree(events: Stream, learner: Learner, reg: float) -> float:
    """The largest difference between incremental weights at the stream's end and those of one fit on all of it."""
    again = EASE(reg=reg).fit(events.until(len(events.blocks) - 1))
    return float(abs(again.weights - learner.model.weights).max())


def frame_records(rows: pd.DataFrame, metric: str, **labels: Any) -> Records:
    """Records of a table with the columns model, value, low, high and n; others are not read."""
    return Records(
        Record(**labels, metric=metric, model=row.model, value=row.value, low=row.low, high=row.high, n=row.n)
        for row in rows.itertuples()
    )
