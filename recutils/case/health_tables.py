"""The health case: its tables for people and its records. It decides nothing (health.py, health_ratings.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from recutils.case.health import Box, Reply
from recutils.case.health_ratings import Placebo
from recutils.evaluate.labels import Judged
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import Comparison


def card(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each of the publisher's parts: reviews, drugs, conditions, median votes, reviews of each tone."""
    found = table.groupby("part", sort=False).agg(
        reviews=("text", "size"), drugs=("drug", "nunique"), conditions=("condition", "nunique"),
        votes=("useful", "median"),
    )  # fmt: skip
    return found.join(pd.crosstab(table.part, table.rating)).reset_index()


def placebo_table(checks: Mapping[str, Placebo]) -> pd.DataFrame:
    """Each check: reviews, the spread as found, its mean under shuffled ratings, p."""
    rows = [(what, one.n, one.found, float(np.mean(one.drawn)), one.p) for what, one in checks.items()]
    return pd.DataFrame(
        rows, columns=["do ratings differ between ...", "reviews", "spread", "shuffled", "p (shuffled)"]
    )


def placebo_records(checks: Mapping[str, Placebo], **about: Any) -> list[Record]:
    """The p of each check, which is no comparison of models and in no family."""
    return [
        Record(**about, group=what, model="as rated", metric="placebo_p", value=one.p, n=one.n)
        for what, one in checks.items()
    ]


def missed_table(asked: pd.DataFrame, stopped: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Unsafe questions of each kind that got through, and of all kinds: kind, questions, "missed by ..." for each.

    asked: as `phrases` gives. stopped: who -> (n,) bool.
    """
    missed = pd.DataFrame({f"missed by {who}": ~own for who, own in stopped.items()}, index=asked.index)
    rows = asked.assign(questions=1).join(missed)[asked.unsafe]
    table = rows.drop(columns=["text", "unsafe"]).groupby("kind", sort=False).sum().astype(int)
    table.loc["all kinds"] = table.sum()
    return table.reset_index()


def share(found: np.ndarray) -> tuple[float, float, float]:
    """The share of True with Wilson's 95 % interval."""
    low, high = proportion_confint(int(found.sum()), len(found), method="wilson")
    return float(found.mean()), float(low), float(high)


def stop_records(asked: pd.DataFrame, stopped: Mapping[str, np.ndarray], **about: Any) -> list[Record]:
    """Shares stopped, of the unsafe questions and of the harmless ones (false alarms), for each of `stopped`."""
    unsafe, found = asked.unsafe.to_numpy(), []
    for who, own in stopped.items():
        for metric, rows in (("stopped", unsafe), ("false_alarms", ~unsafe)):
            value, low, high = share(own[rows])
            found.append(Record(**about, model=who, metric=metric, value=value, low=low, high=high, n=int(rows.sum())))
    return found


def replies_table(box: Box, questions: Sequence[str], most: int = 90) -> tuple[pd.DataFrame, list[Reply]]:
    """What the box says to each question: question, state, rule, the reply's first words; and the replies."""
    replies = [box.reply(question) for question in questions]
    rows = [
        (question or "(empty)", one.state, one.rule, one.text.split("\n")[0][:most])
        for question, one in zip(questions, replies, strict=True)
    ]
    return pd.DataFrame(rows, columns=["question", "state", "by", "begins"]), replies


def tone_records(tone: Judged, model: str, gap: Comparison, p_holm: float, **about: Any) -> list[Record]:
    """Every model's AUC; the declared one's with its difference, the family's interval, p and Holm's p."""
    found = [
        one for one in tone.records(str(about.pop("against")), **about) if (one.model, one.metric) != (model, "auc")
    ]
    low, high = tone.interval(model)
    found.append(Record(**about, model=model, metric="auc", value=tone.mean(model), low=low, high=high, n=gap.n,
                        against="counted words", delta=gap.delta, delta_low=gap.low, delta_high=gap.high, p=gap.p,
                        p_holm=float(p_holm)))  # fmt: skip
    return found


def search_records(found: Sequence[Record], model: str, gap: Comparison, p_holm: float) -> list[Record]:
    """nDCG and precision of every search; the declared one's difference has the family's interval, p and Holm's p.

    The others' p belong to no declared family and are left out.
    """
    kept = [replace(one, p=None, p_holm=None) for one in found if one.metric in ("ndcg", "precision")]
    tested = {"delta": gap.delta, "delta_low": gap.low, "delta_high": gap.high, "p": gap.p, "p_holm": float(p_holm)}
    return [replace(one, **tested) if (one.model, one.metric) == (model, "ndcg") else one for one in kept]
