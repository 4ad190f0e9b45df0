"""The advertising case: models of rare clicks, places on a page, the policies on offer, and what a test would need.

Logs are read in data/bandit.py, rankers and Thompson sampling are in rank/policies.py, estimators in
evaluate/policies.py, intervals in evaluate/rare.py. Nothing here reads a text: the shop's data hold none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from recutils.data.bandit import Log
from recutils.evaluate.counterfactual import Campaign
from recutils.evaluate.experiments import POWER, Z
from recutils.evaluate.policies import Estimate, click_terms, difference_terms, dr, largest_weight, shuffled_p, weights
from recutils.evaluate.rare import Terms, betting, gamma, gamma_typical, pooled, terms_of
from recutils.evaluate.statistics import Comparison, Interval
from recutils.rank.policies import RANKERS, REGULARISED, at_rows, best_share, item_features, top_list, uniform
from recutils.tables import TIME, Problem

PARTS = ("place", "item", "item features", "visitor", "vectors")  # what a click model may know
TRIVIAL, FULL, HASHES = "average rate", "place, features, visitor", "place, MiniLM of hashes"
LADDER: dict[str, tuple[str, ...]] = {
    TRIVIAL: (), "place": ("place",), "place, item": ("place", "item"),
    "place, item features": ("place", "item features"), "place, visitor": ("place", "visitor"),
    FULL: ("place", "item features", "visitor"), HASHES: ("place", "vectors"),
}  # fmt: skip
STEPS = {  # what is added: (model, model without it)
    "place": ("place", TRIVIAL), "item, by name": ("place, item", "place"),
    "item, by hashed features": ("place, item features", "place"), "MiniLM of the hashes": (HASHES, "place"),
    "visitor": ("place, visitor", "place"), "all against the average": (FULL, TRIVIAL),
}  # fmt: skip
Policy = Callable[[Log], np.ndarray]  # the probability of each item at each impression, (n, n_items)


@dataclass(frozen=True, eq=False)
class Days:
    """One campaign cut by time. teach: the sampler's early days. choose: chance's early days. judge: chance's later."""

    teach: Log
    choose: Log
    judge: Log


def cut(campaign: Campaign, days: int, *, share: float = 1.0, seed: int = 0) -> Days:
    """The first `days` calendar days to teach and choose with, the rest to judge on; share: of each part's rows, drawn.

    Raises Problem when a part would hold no impression or no click: nothing could be learnt, or judged, there.
    """
    parts = []
    for log, early in ((campaign.bts, True), (campaign.random, True), (campaign.random, False)):
        day = log.rows[TIME].dt.normalize()
        mask = ((day - day.min()).dt.days.to_numpy() < days) == early
        if not (log.click[mask] > 0).any():
            raise Problem(f"{log.name}: no click in the {'first' if early else 'last'} part; choose other than {days}")
        parts.append(thinned(log.only(mask), share, seed))
    return Days(*parts)


def thinned(log: Log, share: float, seed: int) -> Log:
    """A random share of the impressions, in their order; 1 keeps all. Problem when no click is left."""
    if not 0 < share <= 1:
        raise Problem(f"share must lie in (0, 1]; got {share}")
    kept = log.only(np.sort(np.random.default_rng(seed).permutation(len(log))[: max(1, round(share * len(log)))]))
    if len(kept.clicked) == 0:
        raise Problem(f"{log.name}: no click is left in {len(kept):,} impressions; keep a larger share than {share}")
    return kept


def item_texts(log: Log) -> list[str]:
    """All that an item's row says in letters: its hashed categories, one string for each item."""
    return [" ".join(row) for row in log.items.select_dtypes(exclude="number").to_numpy()]


def click_model(
    train: Log, parts: Sequence[str], *, vectors: np.ndarray | None = None, balanced: bool = False
) -> Policy:
    """Chances of a click, (n, n_items), by a logistic regression on the parts that it may know; () is the mean rate.

    Additive: a visitor moves all items alike. Strength as in rank/policies.py, not tuned. A visitor's feature that was
    not seen in training counts as none. vectors: (n_items, d) for the part "vectors". balanced: weigh clicks up to
    half of all, which ruins the chances on purpose (see `moved`).
    """
    unknown = set(parts) - set(PARTS)
    if unknown or ("vectors" in parts) != (vectors is not None):
        raise Problem(f"parts are among {', '.join(PARTS)}, vectors given with their part; got {tuple(parts)}")
    clicks = train.click > 0
    if clicks.all() or not clicks.any():
        raise Problem(f"{train.name}: {clicks.sum()} clicks in {len(train):,} rows; a model needs some and not all.")
    if not parts:
        return lambda log: np.full((len(log), log.n_items), clicks.mean())
    seen = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train.people)
    things = _things(train, parts, vectors)
    around = _around(train, parts, seen)
    model = LogisticRegression(C=REGULARISED, max_iter=2000, class_weight="balanced" if balanced else None)
    model.fit(np.column_stack([around, things[train.item]]), clicks)
    of_around, of_things = np.split(model.coef_[0], [around.shape[1]])

    def chances(log: Log) -> np.ndarray:
        return special.expit(
            (_around(log, parts, seen) @ of_around)[:, None] + things @ of_things + model.intercept_[0]
        )

    return chances


def _things(log: Log, parts: Sequence[str], vectors: np.ndarray | None) -> np.ndarray:
    """What is known of each item, (n_items, d)."""
    known = {"item": np.eye(log.n_items), "item features": item_features(log.items), "vectors": vectors}
    return np.column_stack([np.zeros((log.n_items, 0)), *(known[name] for name in parts if name in known)])


def _around(log: Log, parts: Sequence[str], seen: OneHotEncoder) -> np.ndarray:
    """What is known of each impression beside the item, (n, d)."""
    known = {"place": np.eye(log.n_positions)[log.position], "visitor": seen.transform(log.people)}
    return np.column_stack([np.zeros((len(log), 0)), *(known[name] for name in parts if name in known)])


def shown(log: Log, table: np.ndarray) -> np.ndarray:
    """The column of the item that was shown, of each row of (n, n_items)."""
    return table[np.arange(len(log)), log.item]


def foretold(
    days: Days, parts: Sequence[str], vectors: np.ndarray, *, early: bool = False, balanced: bool = False
) -> np.ndarray:
    """Chances of the shown items, (n,), on the judging days (or chance's early ones), by a model of the teaching days.

    vectors: (n_items, d), used where the parts ask for them.
    """
    log = days.choose if early else days.judge
    known = vectors if "vectors" in parts else None
    return shown(log, click_model(days.teach, parts, vectors=known, balanced=balanced)(log))


def placements(log: Log, chances: np.ndarray) -> np.ndarray:
    """For each click the share of impressions without one that had a lower chance, ties as a half; the mean is the AUC.

    chances: (n,) of the shown items. With so few clicks among so many others the clicks alone make the spread.

    >>> from types import SimpleNamespace
    >>> placements(SimpleNamespace(click=np.array([1, 0, 0, 1])), np.array([0.3, 0.2, 0.3, 0.1])).tolist()
    [0.75, 0.0]
    """
    others = np.sort(chances[log.click <= 0])
    clicked = chances[log.click > 0]
    return (np.searchsorted(others, clicked, "left") + np.searchsorted(others, clicked, "right")) / (2 * len(others))


def happened(clicks: float, n: int) -> tuple[float, float, float]:
    """A click rate with the exact Poisson interval."""
    low, high = gamma(Terms(np.ones(round(clicks)), n, 0.0, 1.0, 1.0))
    return clicks / n, low, high


def calibration(chances: np.ndarray, clicks: np.ndarray, n_bins: int = 4) -> pd.DataFrame:
    """Bins of equal size by chance: predicted (mean), happened with its exact interval, impressions, clicks."""
    rows = []
    for own in np.array_split(np.argsort(chances, kind="stable"), n_bins):
        hits = float((clicks[own] > 0).sum())
        rows.append((chances[own].mean(), *happened(hits, len(own)), len(own), int(hits)))
    return pd.DataFrame(rows, columns=["predicted", "happened", "low", "high", "impressions", "clicks"])


def moved(chances: np.ndarray, rate: float) -> Callable[[np.ndarray], np.ndarray]:
    """The shift of all log-odds that makes the mean of `chances` the rate of clicks seen: it keeps the order."""
    if not 0 < rate < 1:
        raise Problem(f"rate must lie between 0 and 1 to be met by a shift of log-odds; got {rate}")
    odds = special.logit(chances)
    shift = optimize.brentq(lambda step: special.expit(odds + step).mean() - rate, -30, 30)
    return lambda others: special.expit(special.logit(others) + shift)


def places_p(table: pd.DataFrame, rng: int, *, draws: int = 10_000) -> float:
    """p of "every place draws clicks alike" by dealing the clicks out anew, chi-squared as the statistic."""
    share = table.impressions.to_numpy() / table.impressions.sum()
    expected = table.clicks.sum() * share
    dealt = np.random.default_rng(rng).multinomial(table.clicks.sum(), share, size=draws)
    found = ((table.clicks.to_numpy() - expected) ** 2 / expected).sum()
    return float((1 + (((dealt - expected) ** 2 / expected).sum(axis=1) >= found - 1e-9).sum()) / (1 + draws))


def shown_worth(log: Log, rates: np.ndarray) -> np.ndarray:
    """The mean believed click rate of the items that each place showed, (n_positions,): unlike where items differ."""
    return np.array([rates[log.item[log.position == place]].mean() for place in range(log.n_positions)])


def best_by_place(train: Log, epsilon: float) -> np.ndarray:
    """The items that were clicked most where they stood, no item twice; with probability epsilon any: a policy's table.

    Rates of an item at a place are drawn towards the log's mean as if each had been shown until one expected click.
    Returns (n_items, n_positions); columns sum to 1.
    """
    counts = np.zeros((2, train.n_items, train.n_positions))
    np.add.at(counts[0], (train.item, train.position), 1.0)
    np.add.at(counts[1], (train.item, train.position), train.click)
    if not counts[1].any():
        raise Problem(f"{train.name}: no click among {len(train):,} impressions, so nothing can be learnt. Use more.")
    rate = (counts[1] + 1) / (counts[0] + 1 / train.click.mean())
    items, at = optimize.linear_sum_assignment(-rate)
    table = np.full(rate.shape, epsilon / train.n_items)
    table[items, at] += 1 - epsilon
    return table


def offered(campaign: Campaign, days: Days, epsilon: float) -> dict[str, Policy]:
    """The policies on offer for one campaign, taught by the early days; "random" is chance, "bts" runs today."""
    table = best_by_place(days.teach, epsilon)
    model = click_model(days.teach, ("place", "item", "item features"))
    personal = RANKERS["features"](days.teach)
    return {
        "random": uniform,
        "bts": lambda log: at_rows(campaign.table, log),
        "bts, half chance": lambda log: (at_rows(campaign.table, log) + uniform(log)) / 2,
        "best by place": lambda log: at_rows(table, log),
        "model, best half": lambda log: best_share(model(log), 0.5, epsilon),
        "model, greedy": lambda log: top_list(model(log), log.position, epsilon),
        "personal, greedy": lambda log: top_list(personal(log), log.position, epsilon),
    }


def heard(logs: Sequence[Log], policies: Sequence[np.ndarray]) -> int:
    """Clicks on items that the policy shows at least as often as the log does: the clicks that say something of it."""
    pairs = zip(logs, policies, strict=True)
    return sum(int((weights(log, own)[log.clicked] >= 1 - 1e-9).sum()) for log, own in pairs)


def judged(logs: Sequence[Log], policies: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> dict[str, Interval]:
    """Clicks per impression by ipw, snipw and dr, the mean of the logs, each with an interval that fits rare clicks.

    ipw: typical gamma; snipw: the same over the mean weight; dr: betting. expected: (n, n_items) of each log.
    """
    pairs = list(zip(logs, policies, strict=True))
    plain = pooled([click_terms(log, policy) for log, policy in pairs])
    low, high = gamma_typical(plain)
    weight = float(np.mean([weights(log, policy).mean() for log, policy in pairs]))
    robust = pooled([_dr_terms(log, own, q) for (log, own), q in zip(pairs, expected, strict=True)])
    return {
        "ipw": Interval(plain.mean, low, high, plain.n, 0),
        "snipw": Interval(plain.mean / weight, low / weight, high / weight, plain.n, 0),
        "dr": Interval(robust.mean, *betting(robust), robust.n, 0),
    }


def _dr_terms(log: Log, policy: np.ndarray, expected: np.ndarray) -> Terms:
    """The terms of `dr` with what they could have been at most and at least."""
    found: Estimate = dr(log, policy, expected)
    heavy, most = largest_weight(log, policy), float(expected.max())
    return terms_of(found.terms, heavy + most, -heavy * most)


def against(
    logs: Sequence[Log],
    policies: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    rng: int,
    *,
    level: float = 0.95,
    draws: int = 10_000,
) -> Comparison:
    """One policy less another, clicks per impression by ipw, the mean of logs of chance: betting interval, exact p.

    level: 1 - .05 / m in a family of m (Bonferroni). The p supposes that the item shown does not matter at all
    (`shuffled_p`); the interval supposes nothing.
    """
    parts = [difference_terms(*one) for one in zip(logs, policies, others, strict=True)]
    terms = pooled(parts)
    p = shuffled_p(logs, policies, rng, against=others, draws=draws)
    return Comparison(terms.mean, *betting(terms, level), p, terms.n, 0)


def log_needed(
    logs: Sequence[Log], policies: Sequence[np.ndarray], others: Sequence[np.ndarray], difference: float
) -> int:
    """Impressions of chance that would tell such a difference with POWER at ALPHA, by the spread of its terms here."""
    terms = pooled([difference_terms(*one) for one in zip(logs, policies, others, strict=True)])
    spread = float(terms.values @ terms.values) / terms.n - terms.mean**2
    return int(np.ceil(spread * ((Z + special.ndtri(POWER)) / difference) ** 2))


def why(policy: np.ndarray, item: int, epsilon: float) -> str:
    """One line for the visitor: whether this ad stands here by its clicks, or by the share left to chance.

    policy: (n_items,), the probabilities at this impression.
    """
    if policy[item] <= epsilon / len(policy) + 1e-12:
        return f"shown by chance, as {epsilon:.0%} of the ads are, to learn what people like"
    return f"shown because ads like it were clicked more often ({policy[item]:.0%} of visits see it here)"
