"""Rules that every list must keep, such as "at least 3 of the long tail": solved exactly, or by a greedy walk.

An integer programme is asked only where rules overlap and the free list breaks one. What all lists together must keep
is in `exposure`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recutils.rank.business import Offers
from recutils.rank.programme import programme
from recutils.tables import Problem

FREE, CLOSED, SOLVED = "free list", "closed form", "integer programme"


@dataclass(frozen=True, eq=False)
class Rule:
    """At least `least` and at most `most` of a list's places go to `members`, (n_items,) bool; most None: no limit."""

    name: str
    members: np.ndarray
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if np.asarray(self.members).dtype != bool or np.ndim(self.members) != 1:
            raise Problem(
                f"rule {self.name!r}: members must be one bool per item; got {np.asarray(self.members).dtype}"
            )
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise Problem(
                f"rule {self.name!r} contradicts itself: at least {self.least}, at most {self.most} places. "
                "Expected 0 <= least <= most."
            )

    @property
    def text(self) -> str:
        """The rule in words: "long tail at least 3"."""
        least = [f"at least {self.least}"] if self.least else []
        most = [f"at most {self.most}"] if self.most is not None else []
        return f"{self.name} {' and '.join(least + most) or 'without limit'}"


@dataclass(frozen=True, eq=False)
class Solved:
    """A choice (n_users, n) that keeps all rules, and how each user's was found, (n_users,) text."""

    chosen: np.ndarray
    how: np.ndarray


@dataclass(frozen=True, eq=False)
class _Sheet:
    """All rules for one set of offers: who is a member, and the bounds. member: (n_rules, n_users, n) bool."""

    rules: tuple[Rule, ...]
    member: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def kept(self, chosen: np.ndarray) -> np.ndarray:
        """(n_rules, n_users) bool, where the choice keeps the rule."""
        count = (self.member & chosen).sum(axis=2)
        return (count >= self.least[:, None]) & (count <= self.most[:, None])

    @property
    def apart(self) -> bool:
        """Whether no candidate is a member of two rules, so that the greedy walk is exact."""
        return bool((self.member.sum(axis=0) <= 1).all())


def _sheet(offers: Offers, rules: Sequence[Rule], k: int) -> _Sheet:
    if not rules:
        raise Problem("give at least one rule; without any the best list is offers.top(worth, k).")
    short = [rule.name for rule in rules if len(rule.members) <= offers.items.max()]
    if short:
        raise Problem(f"rules {short} know fewer items than the candidates name ({offers.items.max() + 1}).")
    member = np.array([rule.members[offers.items] & offers.real for rule in rules])
    most = np.array([k if rule.most is None else min(rule.most, k) for rule in rules])
    return _Sheet(tuple(rules), member, np.array([rule.least for rule in rules]), most)


def broken(offers: Offers, chosen: np.ndarray, rules: Sequence[Rule], k: int) -> dict[str, np.ndarray]:
    """Rule -> (n_users,) bool, True where the choice breaks it."""
    kept = _sheet(offers, rules, k).kept(chosen)
    return {rule.name: ~row for rule, row in zip(rules, kept, strict=True)}


def solve(offers: Offers, worth: np.ndarray, rules: Sequence[Rule], k: int) -> Solved:
    """The choice with the largest worth that keeps every rule, exactly, for each user.

    The free list where it keeps the rules; the greedy walk where no candidate falls under two rules (exact there: the
    lists that keep such rules are the bases of a matroid); else an integer programme.
    Raises Problem that names the rule that cannot be kept and the nearest number that can.
    """
    sheet = _sheet(offers, rules, k)
    _check_single(offers, sheet, k)
    chosen = offers.top(worth, k)
    left = np.flatnonzero(~sheet.kept(chosen).all(axis=0))
    how = np.full(len(chosen), FREE, dtype=object)
    if sheet.apart and len(left):
        chosen[left], how[left] = _walk(offers, worth, sheet, k)[left], CLOSED
        left = np.flatnonzero(~sheet.kept(chosen).all(axis=0))  # none, unless the rules cannot be kept together
    for user in left:
        chosen[user] = _one(offers, worth, sheet, k, user)
        how[user] = SOLVED
    return Solved(chosen, how)


def _one(offers: Offers, worth: np.ndarray, sheet: _Sheet, k: int, user: int) -> np.ndarray:
    real = np.flatnonzero(offers.real[user])
    places = min(k, len(real))
    rows = sheet.member[:, user, real].astype(np.float64)
    picked = programme(worth[user, real].astype(np.float64), places, rows, *_bounds(sheet.least, sheet.most, k))
    if picked is None:
        raise Problem(_blame(rows, sheet, places, user))
    chosen = np.zeros(offers.items.shape[1], dtype=bool)
    chosen[real[picked]] = True
    return chosen


def _bounds(least: np.ndarray, most: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds as floats, open where they bind nothing, so that more candidates can be left out."""
    return np.where(least > 0, least, -np.inf), np.where(most < k, most, np.inf)


def _check_single(offers: Offers, sheet: _Sheet, k: int) -> None:
    """Raise Problem when one rule alone cannot be kept by some user, with the nearest number that all can keep."""
    real = offers.real.sum(axis=1)
    places = np.minimum(k, real)
    for place, rule in enumerate(sheet.rules):
        there = sheet.member[place].sum(axis=1)
        highest, lowest = np.minimum(there, places), np.maximum(places - (real - there), 0)
        for wrong, side, near in (
            (highest < rule.least, "least", int(highest.min())),
            (lowest > sheet.most[place], "most", int(lowest.max())),
        ):
            if wrong.any():
                raise Problem(
                    f"the rule {rule.text!r} cannot be kept by {int(wrong.sum())} of {len(real)} users, the first in "
                    f"row {int(np.argmax(wrong))}. The nearest that all can keep is at {side} {near}. Change it, or "
                    "give them other candidates."
                )


def _blame(rows: np.ndarray, sheet: _Sheet, k: int, user: int) -> str:
    """What to say when each rule can be kept, but not all together: which one to move, and how far."""
    cures = []
    for place, rule in enumerate(sheet.rules):
        others = np.arange(len(sheet.rules)) != place
        low, high = _bounds(sheet.least[others], sheet.most[others], k)
        reached = [programme(sign * rows[place], k, rows[others], low, high) for sign in (1.0, -1.0)]
        if reached[0] is None or reached[1] is None:
            continue
        highest, lowest = (int(rows[place][found].sum()) for found in reached)
        if highest < rule.least:
            cures.append(f"{rule.name!r} at least {highest} (asked: {rule.least})")
        elif lowest > sheet.most[place]:
            cures.append(f"{rule.name!r} at most {lowest} (asked: {sheet.most[place]})")
    asked = "; ".join(rule.text for rule in sheet.rules)
    cure = (
        f"Nearest that can be kept, one of: {', or '.join(cures)}" if cures else "No change of a single rule is enough"
    )
    return f"the rules contradict each other for the user in row {user} ({asked}). {cure}."


def greedy(offers: Offers, worth: np.ndarray, rules: Sequence[Rule], k: int) -> np.ndarray:
    """A choice by one walk: place by place the best candidate that breaks no upper bound and leaves room for the rest.

    The heuristic to compare the solver with: fast, exact when no candidate falls under two rules, else it may miss
    worth, and a rule, too. Ask `broken`.
    """
    return _walk(offers, worth, _sheet(offers, rules, k), k)


def _walk(offers: Offers, worth: np.ndarray, sheet: _Sheet, k: int) -> np.ndarray:
    chosen = np.zeros(offers.items.shape, dtype=bool)
    member = sheet.member.astype(np.int64)
    count = np.zeros(member.shape[:2], dtype=np.int64)
    places, users = np.minimum(k, offers.real.sum(axis=1)), np.arange(len(chosen))
    ranked = np.argsort(offers.order(np.where(offers.real, worth, -np.inf)), axis=1)
    for turn in range(k):
        after = count[:, :, None] + member
        over = np.maximum(after - sheet.most[:, None, None], 0).sum(axis=0)
        over -= np.maximum(count - sheet.most[:, None], 0).sum(axis=0)[:, None]
        need = np.maximum(sheet.least[:, None, None] - after, 0).sum(axis=0)
        late = np.maximum(need - (places - turn - 1)[:, None], 0)  # needs that no place is left for
        cost = np.where(chosen | ~offers.real, np.iinfo(np.int64).max, ((over + late) << 32) + ranked)
        best = cost.argmin(axis=1)
        going = turn < places
        chosen[users[going], best[going]] = True
        count += np.where(going, member[:, users, best], 0)
    return chosen
