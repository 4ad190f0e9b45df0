"""Tests that catch a future event, a cold item in training, a repeated pair and an id that orders the answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.data.split import Split
from recutils.tables import Interactions, Problem

ID_LIMIT = 0.75  # strength from which an id's order counts as telling: 0.5 says nothing, 1 everything


@dataclass(frozen=True)
class Finding:
    """What one test saw.

    value: the share of events, users or items concerned; for id_order a strength in .5..1. leak: it is above its limit.
    """

    test: str
    value: float
    leak: bool
    sentence: str


def check_time(split: Split) -> Finding:
    """Share of train events later than the first test event: in use, these would not have happened yet."""
    first = split.test.time.min()
    late = split.train.time > first
    sentence = (
        f"{int(late.sum()):,} of {len(late):,} train events ({late.mean():.1%}) are later than the first "
        f"test event ({first})."
    )
    return Finding("time", float(late.mean()), bool(late.any()), sentence)


def check_user_time(split: Split) -> Finding:
    """Share of test users who have a train event later than their own first test event."""
    first = split.test.time.groupby(split.test.user).min()
    last = split.train.time.groupby(split.train.user).max().reindex(first.index)
    late = last > first
    sentence = (
        f"{int(late.sum()):,} of {len(first):,} test users ({late.mean():.1%}) have a train event later than "
        "their first test event."
    )
    return Finding("user_time", float(late.mean()), bool(late.any()), sentence)


def check_cold(split: Split) -> Finding:
    """Share of the test items that occur in train or valid; a split for new items must have none."""
    items = split.test.item.unique()
    known = np.isin(items, np.union1d(split.train.item, split.valid.item))
    sentence = f"{int(known.sum()):,} of {len(items):,} test items ({known.mean():.1%}) have events in train or valid."
    return Finding("cold", float(known.mean()), bool(known.any()), sentence)


def check_pairs(split: Split) -> Finding:
    """Share of test events whose pair of user and item is in train or valid too: the answer itself.

    Where people come back to an item (music, shopping over time) such pairs are to be expected.
    """
    known = pd.concat([_pairs(split.train), _pairs(split.valid)])
    met = _pairs(split.test).isin(known)
    sentence = (
        f"{int(met.sum()):,} of {len(met):,} test events ({met.mean():.1%}) repeat a pair of user and item "
        "from train or valid."
    )
    return Finding("pairs", float(met.mean()), bool(met.any()), sentence)


def _pairs(interactions: Interactions) -> pd.Series:
    """One int64 for each pair of user and item."""
    return interactions.user.astype(np.int64) * interactions.n_items + interactions.item


def _rank_strength(left: Sequence, right: Sequence) -> float:
    """How strongly one order tells the other: (1 + |Spearman correlation|) / 2; .5 where one is constant."""
    ranks = pd.DataFrame({"left": np.asarray(left), "right": np.asarray(right)}).rank()
    rho = ranks["left"].corr(ranks["right"]) if (ranks.nunique() > 1).all() else 0.0
    return 0.5 + abs(float(rho)) / 2


def id_auc(interactions: Interactions) -> float:
    """AUC of guessing events by the item's row number alone, low rows first: P(row of an event < row of a random item).

    .5 says nothing. Far from it, the row number knows what is popular, and so does every tie broken by row.
    """
    below = (interactions.n_items - interactions.item - 0.5) / interactions.n_items
    return float(below.mean())


def id_strengths(interactions: Interactions) -> dict[str, float]:
    """How strongly the row numbers of items and users tell what they should not, .5 (nothing) to 1 (all)."""
    auc = id_auc(interactions)
    found = {"the item row tells which items are chosen": max(auc, 1 - auc)}
    for noun, rows, n in (
        ("item", interactions.item, interactions.n_items),
        ("user", interactions.user, interactions.n_users),
    ):
        events = np.bincount(rows, minlength=n)
        found[f"the {noun} row tells how many events the {noun} has"] = _rank_strength(np.arange(n), events)
        if interactions.has_time:
            first = interactions.time.astype("int64").groupby(rows).min()
            found[f"the {noun} row tells when the {noun} came first"] = _rank_strength(first.index, first)
    return found


def check_id_order(interactions: Interactions, limit: float = ID_LIMIT) -> Finding:
    """The strongest way in which row numbers order the answer: choices, popularity, activity or first time.

    limit: strength in .5..1 above which it is called a leak. Then no model may read the row number, and ties broken by
    it favour what is popular.
    """
    if not len(interactions):
        raise Problem("id order needs at least one interaction; got none. Check the split's sizes.")
    strengths = id_strengths(interactions)
    what = max(strengths, key=strengths.get)
    sentence = f"At strength {strengths[what]:.2f} (.50 nothing, 1 all; limit {limit:.2f}) {what}."
    return Finding("id_order", strengths[what], strengths[what] > limit, sentence)


def _check_test_ids(split: Split) -> Finding:
    return check_id_order(split.test)


CHECKS: dict[str, Callable[[Split], Finding]] = {
    "time": check_time,
    "user_time": check_user_time,
    "cold": check_cold,
    "pairs": check_pairs,
    "id_order": _check_test_ids,
}
PROMISES = {  # what each kind of split promises; the other findings are only told
    "temporal": ("time", "user_time"),
    "last": ("user_time",),
    "random": ("pairs",),
    "k_fold": ("pairs",),
    "cold_items": ("cold", "pairs"),
}


def promises(split: Split) -> tuple[str, ...]:
    """Names of the tests that this kind of split must pass; nothing for a name we do not know."""
    return next((tests for kind, tests in PROMISES.items() if split.name.startswith(kind)), ())


def _applies(test: str, split: Split) -> bool:
    timed = split.train.has_time and split.test.has_time
    return {"time": timed, "user_time": timed, "cold": "cold" in promises(split)}.get(test, True)


def check(split: Split) -> list[Finding]:
    """All tests that apply: those on time where there are times, `cold` for splits of items.

    A finding is no fault yet: a random split does look into the future. `require` holds a split to its promises.
    """
    return [run(split) for test, run in CHECKS.items() if _applies(test, split)]


def require(split: Split, tests: Sequence[str] | None = None) -> list[Finding]:
    """The findings, if none of the tests finds a leak.

    tests: names of CHECKS; None takes what this kind of split promises.
    Raises Problem with the sentences of the leaks, and for an unknown test.
    """
    chosen = promises(split) if tests is None else tuple(tests)
    unknown = [test for test in chosen if test not in CHECKS]
    if unknown:
        raise Problem(f"unknown leakage tests {unknown}; known are {sorted(CHECKS)}")
    findings = [CHECKS[test](split) for test in chosen]
    leaks = [finding.sentence for finding in findings if finding.leak]
    if leaks:
        cure = "Rebuild it with recutils.data.split, or compare nothing on it."
        raise Problem(f"split {split.name} leaks: {' '.join(leaks)} {cure}")
    return findings
