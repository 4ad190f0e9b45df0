"""A bandit judged on somebody else's log: the replay method, its check, and what few clicks decide. Policies: rank."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recutils.data.bandit import Log as Shop
from recutils.rank.bandits import Bandit
from recutils.tables import ITEM, Problem, check_columns

Rng = int | list[int] | np.random.Generator  # a seed, or a generator that goes on


@dataclass(frozen=True, eq=False)
class Log:
    """Decisions in order of time, n of them with m arms on offer each.

    arms: (n, m) int arm rows. chosen: (n,) place of the logged arm. propensity: (n,) the chance with which it was
    chosen. reward: (n, m) in 0..1, NaN where it was not seen (all but the chosen one, in a true log).
    contexts: (n, m, d) or None. users: (n,) who decided; used for intervals only.
    """

    arms: np.ndarray
    chosen: np.ndarray
    propensity: np.ndarray
    reward: np.ndarray
    contexts: np.ndarray | None
    users: np.ndarray

    def __post_init__(self) -> None:
        n, m = self.arms.shape
        if n == 0 or self.reward.shape != (n, m) or not n == len(self.chosen) == len(self.propensity):
            raise Problem(
                f"a log needs one row of arms and rewards per decision; got {self.arms.shape} arms, "
                f"{self.reward.shape} rewards, {len(self.chosen)} choices, {len(self.propensity)} chances"
            )
        wrong = np.flatnonzero(~((self.propensity > 0) & (self.propensity <= 1)))
        if len(wrong):
            raise Problem(
                f"decision {wrong[0]} has propensity {self.propensity[wrong[0]]:g}; it must lie above 0 and at most 1: "
                f"an arm without any chance cannot have been logged. Drop or mend these {len(wrong)} decisions."
            )
        if np.isnan(self.reward[np.arange(n), self.chosen]).any():
            raise Problem("the reward of a logged arm is missing (NaN); drop these decisions or take 0 on purpose.")
        if np.nanmin(self.reward) < 0 or np.nanmax(self.reward) > 1:
            raise Problem(
                f"rewards must lie in 0..1; got {np.nanmin(self.reward)} to {np.nanmax(self.reward)}. Scale them."
            )

    def __len__(self) -> int:
        return len(self.arms)

    @property
    def n_arms(self) -> int:
        """One more than the largest arm row on offer."""
        return int(self.arms.max()) + 1

    def context(self, place: int) -> np.ndarray | None:
        """What is known (m, d) of the arms of one decision, or None."""
        return None if self.contexts is None else self.contexts[place]

    def first(self, n: int) -> "Log":
        """The first n decisions."""
        contexts = None if self.contexts is None else self.contexts[:n]
        rest = (part[:n] for part in (self.arms, self.chosen, self.propensity, self.reward))
        return Log(*rest, contexts, self.users[:n])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a policy earned: places (n,) of the decisions that counted, reward (n,) and place chosen (n,) in each."""

    places: np.ndarray
    reward: np.ndarray
    chosen: np.ndarray

    @property
    def mean(self) -> float:
        """Mean reward; NaN when no decision counted."""
        return float(self.reward.mean()) if len(self.reward) else float("nan")


def live(log: Log, policy: Bandit, rng: Rng) -> Outcome:
    """The policy decides everything itself. Needs every arm's reward; raises Problem when a needed one is unknown."""
    rng, chosen = np.random.default_rng(rng), np.empty(len(log), dtype=np.int64)
    reward = np.empty(len(log))
    for place, arms in enumerate(log.arms):
        chosen[place] = policy.choose(arms, log.context(place), rng)
        reward[place] = log.reward[place, chosen[place]]
        if np.isnan(reward[place]):
            raise Problem(f"decision {place}: the chosen arm's reward was never seen. Judge this log by `replay`.")
        _teach(log, policy, place, chosen[place])
    return Outcome(np.arange(len(log)), reward, chosen)


def replay(log: Log, policy: Bandit, rng: Rng, *, reject: bool = True) -> Outcome:
    """The replay method: a decision counts, and teaches, only where the policy would have chosen the logged arm.

    Unbiased for as many decisions as counted if the log chose uniformly at random (Li, Chu, Langford & Wang 2011,
    theorem 1). reject: where the log did not, a match counts with chance min(propensity) / propensity only, which makes
    the matches uniform again at the price of losing more of them (ours: von Neumann's rejection). False is the naive
    way, for study.
    """
    rng = np.random.default_rng(rng)
    kept = (rng.random(len(log)) < log.propensity.min() / log.propensity) | (not reject)
    places = []
    for place, arms in enumerate(log.arms):
        choice = policy.choose(arms, log.context(place), rng)
        if choice == log.chosen[place] and kept[place]:
            _teach(log, policy, place, choice)
            places.append(place)
    places = np.array(places, dtype=np.int64)
    return Outcome(places, log.reward[places, log.chosen[places]], log.chosen[places])


def _teach(log: Log, policy: Bandit, place: int, choice: int) -> None:
    context = log.context(place)
    policy.learn(int(log.arms[place, choice]), None if context is None else context[choice], log.reward[place, choice])


def from_impressions(rows: pd.DataFrame, n_arms: int, contexts: np.ndarray | None = None) -> Log:
    """A true log (columns item, click, propensity): every arm on offer each time, only the shown one's click is known.

    contexts: (n, n_arms, d) or None. Raises Problem for missing columns, items outside 0..n_arms - 1, clicks outside
    0..1 and propensities of 0.
    """
    check_columns(rows, [ITEM, "click", "propensity"], "impressions")
    items, n = rows[ITEM].to_numpy(), len(rows)
    if n and (items.min() < 0 or items.max() >= n_arms):
        raise Problem(f"items must lie in 0..{n_arms - 1}; got {items.min()}..{items.max()}. Give the right n_arms.")
    reward = np.full((n, n_arms), np.nan)
    reward[np.arange(n), items] = rows["click"]
    arms = np.broadcast_to(np.arange(n_arms), (n, n_arms))
    return Log(arms, items, rows["propensity"].to_numpy(dtype=np.float64), reward, contexts, np.arange(n))


def from_shop(log: Shop) -> Log:
    """Open Bandit's log; contexts of each item: 1, the item's own number, and the visitor's logged affinity to it."""
    own = np.broadcast_to(log.items["item_feature_0"].to_numpy(), log.affinity.shape)
    return from_impressions(log.rows, log.n_items, np.stack([np.ones_like(log.affinity), own, log.affinity], axis=2))


def planted(n: int, rng: np.random.Generator, *, skewed: bool) -> Log:
    """A log of known answer: two kinds of visitors, four arms, and each kind likes another arm.

    Every reward is known, so that `live` gives the truth. skewed: the log shows a visitor the arm he likes far more
    often than the rest (as a good recommender's log does) instead of all arms alike.
    """
    kind = rng.integers(2, size=n)
    chance = np.where(kind[:, None] == 0, [0.6, 0.2, 0.3, 0.3], [0.2, 0.4, 0.3, 0.3])
    shown = (
        np.where(kind[:, None] == 0, [0.7, 0.1, 0.1, 0.1], [0.1, 0.3, 0.3, 0.3]) if skewed else np.full((n, 4), 0.25)
    )
    chosen = (shown.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=3)
    contexts = np.zeros((n, 4, 8))
    contexts[np.arange(n)[:, None], np.arange(4), kind[:, None] * 4 + np.arange(4)] = 1
    reward = (rng.random((n, 4)) < chance).astype(np.float64)
    propensity = shown[np.arange(n), chosen]
    return Log(np.broadcast_to(np.arange(4), (n, 4)), chosen, propensity, reward, contexts, np.arange(n))


def check_unbiased(make: Callable[[], Bandit], n: int, runs: int, seed: int) -> pd.DataFrame:
    """Replay against truth on planted logs: one row for each kind of log, means over `runs` logs of n decisions.

    Columns: log, counted (decisions, mean), replay, truth (the same policy live for as many decisions as counted),
    error (replay minus truth), low, high (95 % interval of the error over the runs, Student's t).
    """
    rows = []
    for name, skewed, reject in (("uniform", False, True), ("skewed", True, False), ("skewed, corrected", True, True)):
        found = []
        for one in range(runs):
            rng = np.random.default_rng([seed, one, 11 + skewed])  # never 0 last: it would be the stream of [seed, one]
            seen = replay(planted(n, rng, skewed=skewed), make(), [seed, one, 21], reject=reject)
            true = live(planted(max(len(seen.places), 1), rng, skewed=False), make(), [seed, one, 22])
            found.append((len(seen.places), seen.mean, true.mean))
        rows.append((name, *_summed(np.array(found))))
    return pd.DataFrame(rows, columns=["log", "counted", "replay", "truth", "error", "low", "high"])


def _summed(found: np.ndarray) -> tuple[float, ...]:
    """Means of counted, replay and truth, and the error with its interval, from one row per run."""
    error = found[:, 1] - found[:, 2]
    reach = stats.t.ppf(0.975, len(error) - 1) * error.std(ddof=1) / np.sqrt(len(error))
    return (*found.mean(axis=0), error.mean(), error.mean() - reach, error.mean() + reach)


def pooled(logs: Mapping[str, Log], policies: Mapping[str, Callable[[Log], Bandit]], seed: int) -> pd.DataFrame:
    """Replay of each policy on several logs of clicks, counts added up: policy, counted, clicks, rate, low, high.

    low, high: the exact 95 % interval of a share (Clopper & Pearson 1934), fit for few clicks.
    """
    rows = []
    for name, make in policies.items():
        found = [replay(log, make(log), seed) for log in logs.values()]
        counted, clicks = sum(len(one.places) for one in found), int(sum(one.reward.sum() for one in found))
        ends = stats.binomtest(clicks, max(counted, 1)).proportion_ci()
        rows.append((name, counted, clicks, clicks / max(counted, 1), ends.low, ends.high))
    return pd.DataFrame(rows, columns=["policy", "counted", "clicks", "rate", "low", "high"])


def best_of_equals(log: Log, rng: Rng, draws: int) -> np.ndarray:
    """The best arm's apparent mean reward if all arms were alike: (draws,). Shows the luck in "the best fixed arm".

    The log's rewards are dealt at random over its showings, which leaves each arm as many showings as it had.
    """
    rng, reward = np.random.default_rng(rng), log.reward[np.arange(len(log)), log.chosen]
    showings = np.bincount(log.chosen, minlength=log.arms.shape[1])
    best = np.empty(draws)
    for draw in range(draws):
        sums = np.bincount(log.chosen, weights=rng.permutation(reward), minlength=len(showings))
        best[draw] = np.divide(sums, showings, out=np.zeros(len(sums)), where=showings > 0).max()
    return best


def best_arms(logs: Mapping[str, Log], seed: int, draws: int) -> pd.DataFrame:
    """The arm with the best rate in each log, beside the rate it would seem to reach by luck alone (`best_of_equals`).

    Columns: log, decisions, rewards, arms, best rate, by luck, luck reaches it (the share of draws that do).
    """
    rows = []
    for name, log in logs.items():
        reward, luck = log.reward[np.arange(len(log)), log.chosen], best_of_equals(log, seed, draws)
        best = pd.Series(reward).groupby(log.chosen).mean().max()
        rows.append(
            (name, len(log), int(reward.sum()), log.arms.shape[1], best, luck.mean(), (luck >= best - 1e-12).mean())
        )
    return pd.DataFrame(
        rows, columns=["log", "decisions", "rewards", "arms", "best rate", "by luck", "luck reaches it"]
    )


def needed(base: float, lift: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """Decisions per policy that must count so that a click rate `base` is told from base x (1 + lift), two-sided.

    Normal approximation for two independent shares (Fleiss 1981, without continuity correction).
    """
    better = base * (1 + lift)
    if not 0 < base < 1 or lift == 0 or not 0 < better < 1:
        raise Problem(f"base and base x (1 + lift) must lie between 0 and 1 and differ; got {base} and lift {lift}")
    z = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    return int(np.ceil(z**2 * (base * (1 - base) + better * (1 - better)) / (better - base) ** 2))
