"""Logs of a shop that noted how likely each item was to be shown: the six logs of Open Bandit, and their priors.

No estimate of another policy is made here (evaluate/policies.py), and no policy either (rank/policies.py).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from recutils.data.fetch import fetch
from recutils.tables import ITEM, ITEM_ID, TIME, Problem, check_columns

NAME = "open-bandit"
CAMPAIGNS = ("all", "men", "women")
POLICIES = ("random", "bts")  # who chose the items: chance, or Bernoulli Thompson sampling
POSITION, CLICK, PROPENSITY = "position", "click", "propensity"
ROWS = (ITEM, POSITION, CLICK, PROPENSITY)
# Clicks per impression of the whole logs, 26 million rows, in per cent: Saito and others (2021), table 1.
PUBLISHED_RATES = {"all": (0.35, 0.50), "men": (0.51, 0.67), "women": (0.48, 0.64)}  # random, bts

PUBLISHED_SIZES = {"all": (1_374_327, 12_168_084), "men": (452_949, 4_077_727), "women": (864_585, 7_765_497)}  # same
DAYS = 7  # of the logs


@dataclass(frozen=True, eq=False)
class Log:
    """Impressions with their clicks, and how likely the shop was to show that item there.

    rows: item (row number), position (0 is the first place), click (a reward >= 0), propensity (0..1], perhaps time.
    people: one row for each impression, the visitor's features as text. affinity: (n, n_items), the shop's own guess.
    items: one row for each item, in the order of the row numbers. n_positions: places that an impression has.
    Raises Problem for rows that no estimate could use, naming the first of them.
    """

    name: str
    rows: pd.DataFrame
    people: pd.DataFrame
    affinity: np.ndarray
    items: pd.DataFrame
    n_positions: int

    def __post_init__(self) -> None:
        """Check the rows and fix their types; the caller's table is not changed."""
        check_columns(self.rows, ROWS, self.name)
        check_rows(self.rows, len(self.items), self.n_positions, self.name)
        types = {ITEM: np.int32, POSITION: np.int32, CLICK: np.float64, PROPENSITY: np.float64}
        object.__setattr__(self, "rows", self.rows.astype(types).reset_index(drop=True))
        sizes = len(self.people), self.affinity.shape
        if sizes != (len(self), (len(self), self.n_items)):
            raise Problem(
                f"{self.name}: people and affinity must have one row for each of {len(self)} impressions, and affinity "
                f"{self.n_items} columns; got {sizes}. Take the same rows of all three."
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_items(self) -> int:
        """How many items the shop can show."""
        return len(self.items)

    @property
    def item(self) -> np.ndarray:
        """Item row of each impression, (n,)."""
        return self.rows[ITEM].to_numpy()

    @property
    def position(self) -> np.ndarray:
        """Place of each impression, (n,), 0 is the first."""
        return self.rows[POSITION].to_numpy()

    @property
    def click(self) -> np.ndarray:
        """Reward of each impression, (n,) float64."""
        return self.rows[CLICK].to_numpy()

    @property
    def propensity(self) -> np.ndarray:
        """How likely the shop was to show this item at this place, (n,) float64."""
        return self.rows[PROPENSITY].to_numpy()

    @property
    def clicked(self) -> np.ndarray:
        """Positions of the rows with a reward above 0."""
        return np.flatnonzero(self.click > 0)

    def only(self, chosen: np.ndarray) -> "Log":
        """The impressions of a bool mask or of positions, in that order."""
        chosen = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen)
        people = self.people.iloc[chosen].reset_index(drop=True)
        return Log(self.name, self.rows.iloc[chosen], people, self.affinity[chosen], self.items, self.n_positions)


def check_rows(rows: pd.DataFrame, n_items: int, n_positions: int, name: str) -> None:
    """Raise Problem for impressions that no estimate could use: none at all, or a value out of its range."""
    if len(rows) == 0:
        raise Problem(f"{name}: the log holds no impression; expected at least one. Choose a longer period.")
    limits = {
        ITEM: (rows[ITEM].between(0, n_items - 1), f"must lie in 0..{n_items - 1}. Use row numbers of the items table"),
        POSITION: (rows[POSITION].between(0, n_positions - 1), f"must lie in 0..{n_positions - 1}, 0 is the first"),
        CLICK: (
            np.isfinite(rows[CLICK]) & (rows[CLICK] >= 0),
            "must be finite and not negative. Shift or scale rewards such as losses so that 0 is the least",
        ),
        PROPENSITY: (
            (rows[PROPENSITY] > 0) & (rows[PROPENSITY] <= 1),
            "must be above 0 and at most 1: the item was shown, so it had a chance. Log the probability when the item "
            "is chosen; a rounded 0 must be logged with more digits, and such rows cannot be dropped without bias",
        ),
    }
    for column, (good, rule) in limits.items():
        bad = np.flatnonzero(~good.to_numpy())
        if len(bad):
            came = rows[column].iloc[bad[0]]
            raise Problem(f"{name}: {column} of row {bad[0]} is {came}; it {rule}. ({len(bad):,} such rows.)")


def read_log(folder: str | Path, campaign: str, name: str) -> Log:
    """One log in the layout of Open Bandit: <campaign>.csv and item_context.csv, sorted by time.

    Its places 1, 2, 3 become 0, 1, 2. Hashed features keep their text; the logs of the two policies hash the same items
    differently, so that only `codes` may be compared between them.
    """
    folder = Path(folder)
    raw = pd.read_csv(folder / f"{campaign}.csv", index_col=0)
    check_columns(raw, ["timestamp", ITEM_ID, POSITION, CLICK, "propensity_score"], f"{campaign}.csv")
    raw = raw.sort_values("timestamp", kind="stable").reset_index(drop=True)
    items = pd.read_csv(folder / "item_context.csv", index_col=0).sort_values(ITEM_ID).reset_index(drop=True)
    rows = pd.DataFrame({ITEM: raw[ITEM_ID], POSITION: raw[POSITION] - 1, CLICK: raw[CLICK]})
    rows = rows.assign(**{PROPENSITY: raw["propensity_score"]}).assign(
        **{TIME: pd.to_datetime(raw["timestamp"], utc=True).dt.tz_localize(None).astype("datetime64[s]")}
    )
    people = raw.filter(regex=r"^user_feature_\d+$").astype(str)
    affinity = raw.filter(regex=r"^user-item_affinity_\d+$").to_numpy(np.float32)
    return Log(name, rows, people, affinity, items, int(raw[POSITION].max()))


def open_bandit(policy: str, campaign: str) -> Log:
    """The small log of one policy ("random" or "bts") in one campaign ("all", "men" or "women"), fetched on first use.

    10,000 impressions of one week, drawn by the publisher from the whole log; there is no user id, and the three places
    of one page view are not kept together.
    """
    _check_name("policy", policy, POLICIES)
    _check_name("campaign", campaign, CAMPAIGNS)
    return read_log(fetch(NAME, say=print) / policy / campaign, campaign, f"{campaign}, {policy}")


def prior(campaign: str) -> tuple[np.ndarray, np.ndarray]:
    """The parameters of each item's Beta distribution with which the shop's Thompson sampler began: 2 x (n_items,).

    Their means a / (a + b) are click rates that the shop had learnt before the week of the logs.
    """
    _check_name("campaign", campaign, CAMPAIGNS)
    table = yaml.safe_load((fetch(NAME, say=print) / "prior_bts.yaml").read_text(encoding="utf-8"))
    return np.array(table[campaign]["alpha"], dtype=np.float64), np.array(table[campaign]["beta"], dtype=np.float64)


def codes(features: pd.DataFrame) -> np.ndarray:
    """Categories as whole numbers in order of first appearance, (n, n_columns): the same in both policies' logs."""
    return np.column_stack([pd.factorize(features[column])[0] for column in features.columns])


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise Problem(f"{what} must be one of {', '.join(known)}; got {name!r}")
