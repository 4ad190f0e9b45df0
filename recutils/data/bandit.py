"""Logs of shown items with clicks and the chance of each showing (open-bandit). No estimators here (evaluate)."""

from pathlib import Path

import numpy as np
import pandas as pd

from recutils.tables import ITEM, TIME, Problem, check_columns

CAMPAIGNS = ("all", "men", "women")
LOGS = ("random", "bts")  # which policy showed the items: uniform at random, or Bernoulli Thompson sampling
_NAMES = {"timestamp": TIME, "item_id": ITEM, "propensity_score": "propensity"}
_USER_FEATURES = [f"user_feature_{n}" for n in range(4)]


def impressions(campaign: str, log: str = "random") -> pd.DataFrame:
    """One row for each impression, in order of time; equal times keep file order. Fetches open-bandit once.

    campaign: "all", "men" or "women". log: the policy that showed the items, "random" or "bts".
    Columns: item (int, row of the item's table), position (1 is the first place), click (0 or 1), propensity (the
    chance with which the log's policy showed this item there), time (UTC), user_feature_0..3 (hashed text).
    Raises Problem for an unknown name and for rows that no estimator can use (see `check_log`).
    """
    table = pd.read_csv(_folder(campaign, log) / f"{campaign}.csv", usecols=lambda name: "affinity" not in name)
    table = table.rename(columns=_NAMES)
    check_log(table, f"open-bandit {log}/{campaign}")
    table[TIME] = pd.to_datetime(table[TIME], utc=True, format="ISO8601").dt.tz_localize(None)
    columns = [ITEM, "position", "click", "propensity", TIME, *_USER_FEATURES]
    return table[columns].sort_values(TIME, kind="stable", ignore_index=True)


def contexts(campaign: str, log: str = "random") -> np.ndarray:
    """What is known of each impression's person and every item: (n, n_items, 3) float32, rows as in `impressions`.

    Per item: 1, the item's one numeric feature, and the person's logged affinity to it (past clicks on it).
    """
    folder = _folder(campaign, log)
    table = pd.read_csv(folder / f"{campaign}.csv")
    table = table.iloc[np.argsort(pd.to_datetime(table["timestamp"], utc=True, format="ISO8601"), kind="stable")]
    n_items = int(sum(name.startswith("user-item_affinity_") for name in table.columns))
    affinity = table[[f"user-item_affinity_{n}" for n in range(n_items)]].to_numpy(dtype=np.float32)
    feature = pd.read_csv(folder / "item_context.csv").sort_values("item_id")["item_feature_0"].to_numpy()
    own = np.broadcast_to(feature.astype(np.float32), affinity.shape)
    return np.stack([np.ones_like(affinity), own, affinity], axis=2)


def check_log(rows: pd.DataFrame, where: str = "log") -> None:
    """Raise Problem unless every row has an item, a click of 0 or 1 and a propensity above 0 and at most 1."""
    check_columns(rows, [ITEM, "click", "propensity"], where)
    propensity = rows["propensity"].to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~((propensity > 0) & (propensity <= 1)))
    if len(wrong):
        raise Problem(
            f"{where}: row {wrong[0]} has propensity {propensity[wrong[0]]:g}; it must lie above 0 and at most 1: "
            f"a showing with no chance cannot have been logged. Drop or mend these {len(wrong)} rows."
        )
    wrong = np.flatnonzero(~rows["click"].isin([0, 1]))
    if len(wrong):
        came = rows["click"].iloc[wrong[0]]
        raise Problem(f"{where}: row {wrong[0]} has click {came}; expected 0 or 1. Drop or recode {len(wrong)} rows.")


def _folder(campaign: str, log: str) -> Path:
    from recutils.data.fetch import fetch

    if campaign not in CAMPAIGNS or log not in LOGS:
        raise Problem(f"campaign must be one of {CAMPAIGNS} and log one of {LOGS}; got {campaign!r} and {log!r}")
    return fetch("open-bandit", say=print) / log / campaign
