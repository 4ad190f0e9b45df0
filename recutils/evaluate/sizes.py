"""One comparison at several numbers of labels: simultaneous intervals, Holm, records. The judging is labels.py's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.labels import Judged
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import holm


def gains(found: Mapping[int, Judged], model: str, against: str, *, least: float = 0.0) -> pd.DataFrame:
    """One row for each number of labels: both AUCs, their difference, its interval, p and Holm's p, the verdict.

    The intervals hold together: level 1 - .05 / m for m sizes (Bonferroni). least: the smallest gain that counts.
    verdict: "yes" when the gain is at least that and the interval lies above 0, "below" when it lies below 0, "too
    small" where it lies above 0 but the gain is less than `least`, else "open".
    """
    level = 1 - 0.05 / len(found)
    rows = []
    for n, one in found.items():
        gap = one.compare(model, against, level=level)
        verdict = "below" if gap.high < 0 else "open" if gap.low <= 0 else "yes" if gap.delta >= least else "too small"
        rows.append(
            {"labels": n, against: one.mean(against), model: one.mean(model), "gain": gap.delta, "low": gap.low,
             "high": gap.high, "p": gap.p, "rows": one.n, "verdict": verdict}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    table.insert(list(table).index("p") + 1, "p (Holm)", holm(table["p"].to_numpy()))
    return table.drop(columns="p")


def records(found: Mapping[int, Judged], model: str, against: str, *, seed: int, **about: Any) -> list[Record]:
    """Records of every size; the p of `model` against `against` is corrected over the sizes, nothing else has one."""
    raw = [one.compare(model, against).p for one in found.values()]
    corrected = holm(np.array(raw))
    made: list[Record] = []
    for (n, one), p, p_holm in zip(found.items(), raw, corrected, strict=True):
        for record in one.records(against, seed=seed, group=f"{n} labels", **about):
            tested = record.model == model and record.metric == "auc"
            made.append(replace(record, p=p, p_holm=float(p_holm)) if tested else record)
    return made
