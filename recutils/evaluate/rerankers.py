"""The re-rankers that are compared, each at its strongest setting within a loss, and what else their lists do.

What a loss is, who chooses and who judges: varied.py. The rules themselves: rank/diversity.py, rank/intents.py.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from recutils.evaluate import beyond, tastes
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.statistics import DRAWS
from recutils.evaluate.varied import LOSS, STEPS, Chosen, Ratio, World, ratio
from recutils.rank import intents, kernels
from recutils.rank.diversity import dpp, mmr, spread
from recutils.tables import Interactions

Rule = Callable[..., np.ndarray]  # (given, similarity, trade, k, in_order=...) -> lists
GROUPS = "groups"  # the only variant of a rule that reads groups instead of a view
ONE = {  # given one view, judged by the others
    "MMR": (mmr, False),
    "MMR, by score": (mmr, True),
    "DPP": (dpp, True),
    "sum, one view": (spread, True),
}
MIXED = {"MMR, mixed": (mmr, True), "DPP, mixed": (dpp, True), "spread": (spread, True)}  # given all views but one


@dataclass(frozen=True, eq=False)
class Studied:
    """A rule at its strongest setting within the loss, in one or more variants.

    variants: name -> Chosen; the name is the view that is given, or the one left out of a mixture, or GROUPS.
    used: the same names -> the distances that the variant was given, which therefore do not judge it.
    """

    variants: Mapping[str, Chosen]
    used: Mapping[str, Collection[str]]

    @cached_property
    def ndcg(self) -> np.ndarray:
        """(n_users,) mean nDCG over the variants."""
        return np.mean([one.ndcg for one in self.variants.values()], axis=0)

    def share(self, world: World) -> np.ndarray:
        """(n_users,) mean share of the headroom over all pairs of a variant and a distance that it did not use."""
        return world.shares(self.variants, self.used)


def losses(
    world: World, found: Mapping[str, Studied], others: Mapping[str, np.ndarray], seed: int, *, draws: int = DRAWS
) -> dict[tuple[str, str], Ratio]:
    """The loss of every rule and variant, (rule, variant), and of the rule's mean over variants, (rule, "").

    others: name -> (n_users,) nDCG of further lists, such as popularity's; they come out under (name, "").
    """
    columns = {(rule, variant): one.ndcg for rule, kind in found.items() for variant, one in kind.variants.items()}
    columns |= {(rule, ""): kind.ndcg for rule, kind in found.items()}
    return world.losses(columns | {(name, ""): values for name, values in others.items()}, seed, draws=draws)


def all_but_one(world: World, seed: int) -> dict[str, np.ndarray]:
    """view -> the mixture of all other views, a similarity (n_items, n_items)."""
    every = world.likenesses
    return {
        view: kernels.mixed({name: one for name, one in every.items() if name != view}, world.given.items, seed=seed)
        for view in every
    }


def study(
    world: World, train: Interactions, *, loss: float = LOSS, steps: int = STEPS, seed: int = 0
) -> dict[str, Studied]:
    """Every rule by name: MMR, DPP, sum and spread with their variants; calibration, covering and the long tail."""
    alone = {view: one.table for view, one in world.likenesses.items()}
    rest = all_but_one(world, seed)
    options = {"loss": loss, "steps": steps}
    found = {
        name: Studied(_chosen(world, *rule, alone, **options), {v: {v} for v in alone}) for name, rule in ONE.items()
    }
    found |= {
        name: Studied(_chosen(world, *rule, rest, **options), {v: set(alone) - {v} for v in rest})
        for name, rule in MIXED.items()
    }
    return found | _by_groups(world, train, **options)


def _chosen(
    world: World, rule: Rule, in_order: bool, tables: Mapping[str, np.ndarray], *, loss: float, steps: int
) -> dict[str, Chosen]:
    """The rule with each table."""

    def rerank(users: np.ndarray, trade: float, table: np.ndarray) -> np.ndarray:
        return rule(world.given.only(users), table, trade, world.k, in_order=in_order)

    return {
        name: world.chosen(lambda users, trade, table=table: rerank(users, trade, table), loss=loss, steps=steps)
        for name, table in tables.items()
    }


def _by_groups(world: World, train: Interactions, *, loss: float, steps: int) -> dict[str, Studied]:
    """The rules that follow a person's mix of groups; the long tail's groups are head and tail, which no view is."""
    tail = intents.head_and_tail(np.bincount(train.item, minlength=train.n_items))
    seen, own = world.views.groups, {world.views.grouped}
    asked = {
        "calibration": (intents.calibrated, seen, world.mix, own),
        "covering": (intents.covering, seen, world.mix, own),
        "long tail": (intents.long_tail, tail, intents.mixes(world.rules.histories, tail), set()),
    }
    return {
        name: Studied(
            {GROUPS: world.chosen(_follower(world, rule, groups, mix), loss=loss, steps=steps)}, {GROUPS: used}
        )
        for name, (rule, groups, mix, used) in asked.items()
    }


def _follower(world: World, rule: Rule, groups: np.ndarray, mix: np.ndarray) -> Callable[..., np.ndarray]:
    """users, trade -> lists of a rule that reads groups and mixes."""
    return lambda users, trade: rule(world.given.only(users), groups, mix[users], trade, world.k)


def front(world: World, name: str, trades: Collection[float], *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """What settings of a rule of ONE or MIXED keep of nDCG and reach of the headroom, means over its variants.

    Columns trade, kept and share, each of the two with low and high: kept is nDCG over the first stage's.
    """
    rule, in_order = (ONE | MIXED)[name]
    tables = {v: one.table for v, one in world.likenesses.items()} if name in ONE else all_but_one(world, seed)
    used = {view: {view} if name in ONE else set(tables) - {view} for view in tables}
    rows = []
    for trade in trades:
        lists = {v: rule(world.given, table, trade, world.k, in_order=in_order) for v, table in tables.items()}
        chosen = {v: Chosen(one, (trade, trade), ndcg(one, world.truth, world.k)) for v, one in lists.items()}
        studied = Studied(chosen, used)
        share = studied.share(world)
        kept = ratio(studied.ndcg, world.ndcg, seed, draws=draws)
        reached = ratio(share, np.ones(len(share)), seed, draws=draws)
        rows.append((trade, kept.value, kept.low, kept.high, reached.value, reached.low, reached.high))
    return pd.DataFrame(rows, columns=["trade", "kept", "kept_low", "kept_high", "share", "share_low", "share_high"])


def further(world: World, lists: Mapping[str, np.ndarray], train: Interactions, obvious: np.ndarray) -> pd.DataFrame:
    """Other measures of each rule's lists (n_users, k): what is shown, how new and welcome, and whose tastes.

    A row for each rule; means over people, but coverage and Gini are of all lists together. obvious: (n_users, any)
    popularity's lists, what nobody needs a model for.
    """
    groups, known = world.views.groups, train.matrix("binary")
    best = tastes.best_alpha_dcg(world.truth, groups, world.k)
    rows = []
    for rule, found in lists.items():
        shown = beyond.exposure(found, train.n_items)
        people = {
            "novelty, bits": beyond.novelty(found, known),
            "serendipity": beyond.serendipity(found, world.truth, obvious),
            "calibration error": tastes.calibration_error(found, groups, world.mix),
            "intents covered": tastes.intent_coverage(found, groups, world.mix),
            "alpha-nDCG": tastes.alpha_ndcg(found, world.truth, groups, best=best),
        }
        everybody = {"rule": rule, "coverage": float((shown > 0).mean()), "Gini": beyond.gini(shown)}
        rows.append(everybody | {name: float(np.nanmean(values)) for name, values in people.items()})
    return pd.DataFrame(rows)
