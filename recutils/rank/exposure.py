"""Rules for all lists together, such as "the long tail gets 30 % of all places": a price for each rule, paid per place.

A linear programme over some users finds the prices (its Lagrange multipliers); with them every other user's list is a
plain sort. Rules that each single list must keep are in `constraints`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import linprog

from recutils.rank.business import Offers
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Exposure:
    """At least `least` and at most `most` (shares) of the places of all lists go to `members`, (n_items,) bool."""

    name: str
    members: np.ndarray
    least: float = 0.0
    most: float = 1.0

    def __post_init__(self) -> None:
        if np.asarray(self.members).dtype != bool or np.ndim(self.members) != 1:
            raise Problem(f"exposure {self.name!r}: members must be one bool per item")
        if not 0 <= self.least <= self.most <= 1:
            raise Problem(f"exposure {self.name!r}: expected 0 <= least <= most <= 1; got {self.least} and {self.most}")


def shares(offers: Offers, chosen: np.ndarray, rules: Sequence[Exposure]) -> dict[str, float]:
    """The share of all filled places that goes to each rule's members."""
    return {rule.name: float(rule.members[offers.items[chosen]].mean()) for rule in rules}


def promised(
    offers: Offers, choices: Mapping[str, np.ndarray], rules: Sequence[Exposure], price: np.ndarray
) -> pd.DataFrame:
    """One row for each rule: what it asks for, its price, and the share of places it has in each of the choices."""
    found = {f"share, {name}": shares(offers, mask, rules) for name, mask in choices.items()}
    asked = [f"{rule.least:.0%} to {rule.most:.0%}" for rule in rules]
    table = pd.DataFrame({"group": [rule.name for rule in rules], "promised": asked, "price of a place": price})
    return table.assign(**{name: [f"{one[rule.name]:.1%}" for rule in rules] for name, one in found.items()})


def share_range(offers: Offers, rule: Exposure, k: int) -> tuple[float, float]:
    """The smallest and the largest share of places that the rule's members can have with these candidates."""
    inside = np.where(offers.real, rule.members[offers.items], False).astype(np.float64)
    low, high = (shares(offers, offers.top(sign * inside, k), [rule])[rule.name] for sign in (-1, 1))
    return low, high


def prices(offers: Offers, worth: np.ndarray, rules: Sequence[Exposure], k: int) -> np.ndarray:
    """What a place for a member of each rule must be paid, (n_rules,), in the unit of worth; below 0 it costs.

    The multipliers of the linear programme: largest total worth, k places for each user, and the shares of the rules.
    By duality, sorting by worth + prices gives every user a best list, up to ties.
    Raises Problem for shares that cannot be reached, one by one or together, with the nearest that can.
    """
    for rule in rules:
        _check_reach(offers, rule, k)
    users, places = np.nonzero(offers.real)
    each = np.minimum(k, offers.real.sum(axis=1))
    whose = sparse.csr_matrix((np.ones(len(users)), (users, np.arange(len(users)))))
    sides = [(place, -1.0, -rule.least) for place, rule in enumerate(rules) if rule.least > 0]
    sides += [(place, 1.0, rule.most) for place, rule in enumerate(rules) if rule.most < 1]
    if not sides:
        return np.zeros(len(rules))
    inside = np.array([rule.members[offers.items[users, places]] for rule in rules], dtype=np.float64)
    table = sparse.csr_matrix(np.array([sign * inside[place] for place, sign, _ in sides]))
    bounds = np.array([bound for *_, bound in sides]) * each.sum()
    unit = float(np.abs(worth[offers.real]).max()) or 1.0
    cost = -worth[users, places].astype(np.float64) / unit
    result = linprog(cost, A_ub=table, b_ub=bounds, A_eq=whose, b_eq=each, bounds=(0, 1), method="highs")
    if result.x is None:
        asked = "; ".join(f"{rule.name} {rule.least:.0%} to {rule.most:.0%}" for rule in rules)
        raise Problem(f"the shares cannot be reached together ({asked}), though each can alone. Lower the largest one.")
    found = np.zeros(len(rules))
    for (place, sign, _), dual in zip(sides, result.ineqlin.marginals, strict=True):
        found[place] += sign * dual * unit  # the dual of a minimum is 0 or below
    return found


def _check_reach(offers: Offers, rule: Exposure, k: int) -> None:
    low, high = share_range(offers, rule, k)
    if rule.least > high or rule.most < low:
        near = f"at least {high:.3f}" if rule.least > high else f"at most {low:.3f}"
        raise Problem(
            f"exposure {rule.name!r} asks for {rule.least:g} to {rule.most:g} of all places; with these candidates the "
            f"share lies in {low:.3f}..{high:.3f}. The nearest is {near}; or widen the candidates."
        )


def paid(offers: Offers, worth: np.ndarray, rules: Sequence[Exposure], price: np.ndarray) -> np.ndarray:
    """Worth (n_users, n) with the prices added at the members of each rule."""
    return worth + sum(one * rule.members[offers.items] for one, rule in zip(price, rules, strict=True))


def price_of_share(offers: Offers, worth: np.ndarray, rule: Exposure, k: int) -> float:
    """The smallest price at which the members have at least the share `rule.least` of all places, found by halving.

    With one rule this is the weighted sum of two goals, and needs no programme. Raises Problem out of reach.
    """
    _check_reach(offers, rule, k)
    low, high = 0.0, 2.0 * float(np.abs(worth[offers.real]).max()) + 1e-12
    if shares(offers, offers.top(worth, k), [rule])[rule.name] >= rule.least:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        enough = shares(offers, offers.top(paid(offers, worth, [rule], np.array([middle])), k), [rule])[rule.name]
        low, high = (low, middle) if enough >= rule.least else (middle, high)
    return high
