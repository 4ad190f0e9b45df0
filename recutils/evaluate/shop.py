"""One shop with several goals: candidates, what showing them may be worth, and what people then did. No re-ranking.

Events tell clicks, likes and dwell; item tables tell freshness; margins and sponsored items are made up (what-if),
since no data set here has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.split import Split, house
from recutils.evaluate.goals import brought, shown
from recutils.evaluate.groups import by_popularity
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.statistics import compare
from recutils.evaluate.task import Task, task
from recutils.model.base import Model
from recutils.present import interval
from recutils.rank import business
from recutils.rank.business import Offers
from recutils.rank.constraints import SOLVED, Rule, broken, greedy, solve
from recutils.rank.exposure import Exposure, paid, price_of_share
from recutils.rank.worth import MOST_VIEWS, expected, outcomes
from recutils.tables import Dataset, Problem

WHAT_IF = ("margin",)  # goals that rest on a made-up table
SPONSORED = 0.2  # share of the head's items that are called sponsored (what-if)
NEWEST = 0.05  # share of the items called new where only first events tell the age
SOURCES = {
    "clicks": ("events per list", "real: somebody met the item"),
    "likes": ("events per list", "real: rated 4 or more"),
    "dwell": ("views per list", f"real, a stand-in for time: repeated views of one page, at most {MOST_VIEWS:.0f}"),
    "margin": ("money per list", "what-if: a made-up margin for each shelf, earned with each click"),
    "freshness": ("0 to 1, mean of the items shown", "real: age of the item when training ends"),
}


@dataclass(frozen=True, eq=False)
class Shop:
    """The judged people of one data set with their candidates, by goal.

    offers: expected worth. events: goal -> csr (n_users, n_items), worth of what people did in the judged part.
    per_item: goal -> (n_items,), for goals that count what is shown. margins: shelf -> margin, made up.
    groups: name -> (n_items,) bool: "long tail", "sponsored" and where ages are known "new". on: (n_items, n_shelves).
    """

    rules: Task
    split: Split
    offers: Offers
    events: Mapping[str, sparse.csr_matrix]
    per_item: Mapping[str, np.ndarray]
    margins: Mapping[str, float]
    on: np.ndarray
    groups: Mapping[str, np.ndarray]

    @property
    def goals(self) -> tuple[str, ...]:
        """Names of the goals, in the order of SOURCES."""
        return tuple(goal for goal in SOURCES if goal in self.offers.worth)

    def described(self) -> pd.DataFrame:
        """One row for each goal: its unit, where it comes from, and the expected worth of the best lists."""
        best = {goal: self.offers.best(goal, self.rules.k).mean() for goal in self.goals}
        rows = [(goal, *SOURCES[goal], best[goal]) for goal in self.goals]
        return pd.DataFrame(rows, columns=["goal", "unit", "source", "expected of its best lists"])

    def made_for(self, goal: str) -> np.ndarray:
        """The choice (n_users, n) that is best for one goal; where it cannot tell, clicks decide."""
        worth, clicks = self.offers.of(goal), self.offers.of("clicks")
        unit = np.nanmax(np.abs(clicks)) / np.nanmax(np.abs(worth))
        return self.offers.top(worth + (0.0 if goal == "clicks" else 1e-6) * clicks / unit, self.rules.k)

    def lists(self, chosen: np.ndarray) -> np.ndarray:
        """Ranked lists (n_users, k) of a choice, the most expected clicks first, whatever the choice was made for."""
        return self.offers.lists(chosen, "clicks", self.rules.k)

    def goal_lists(self, models: Mapping[str, Model]) -> dict[str, np.ndarray]:
        """Ranked lists: for each goal its own, "all alike" for the weighted sum with equal weights, and the models'."""
        k = self.rules.k
        made = {goal: self.made_for(goal) for goal in self.goals}
        made["all alike"] = business.scalarised(self.offers, dict.fromkeys(self.goals, 1.0), k)
        fitted = {name: model.fit(self.split.train) for name, model in models.items()}
        return {name: self.lists(mask) for name, mask in made.items()} | self.rules.lists(fitted)

    def values(self, lists: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """What the lists brought: goal -> lists' name -> (n_users,)."""
        found = {goal: {name: brought(one, self.events[goal]) for name, one in lists.items()} for goal in self.events}
        found |= {goal: {name: shown(one, row) for name, one in lists.items()} for goal, row in self.per_item.items()}
        return {goal: found[goal] for goal in self.goals}

    def with_margins(self, margins: Mapping[str, float]) -> "Shop":
        """The same shop with another table of margins."""
        money = business.item_margins(self.on, margins)
        worth = {**self.offers.worth, "margin": self.offers.of("clicks") * money[self.offers.items]}
        events = {**self.events, "margin": (self.events["clicks"] @ sparse.diags(money)).tocsr()}
        return replace(self, offers=Offers(self.offers.items, worth), events=events, margins=dict(margins))


def open_shop(data: Dataset, k: int, *, n: int = 200, half_life: float = 5.0, seed: int = 0) -> Shop:
    """The shop of a data set on the validation part of the house split, known people only.

    n: candidates of each person, besides those that the groups reserve. half_life: years in which freshness halves.
    Raises Problem when fewer than two people can be judged.
    """
    split = house(data.interactions, rng=seed)
    rules = task(split, data.name, k)
    if len(rules.users) < 2:
        raise Problem(f"{data.name}: {len(rules.users)} known people are left to judge. Use a larger sample.")
    fresh = business.freshness(data.items, split.train, half_life=half_life)
    groups = _groups(data, split, fresh, seed)
    reserve = [groups[name] for name in ("long tail", "new") if name in groups]
    n = min(n, split.train.n_items)
    items, worth = expected(split.train, rules.users, explicit=data.explicit, n=n, seed=seed, reserve=reserve)
    events = {goal: one[rules.users] for goal, one in outcomes(split.valid, explicit=data.explicit).items()}
    worth = {goal: one for goal, one in worth.items() if goal in events and events[goal].nnz}
    if fresh is not None:
        worth["freshness"] = np.where(items >= 0, fresh[items] / k, np.nan)  # so that a list's sum is its mean
    on, names = business.shelves(data.items, seed=seed)
    made = Shop(rules, split, Offers(items, worth), {g: events[g] for g in worth if g in events}, {}, {}, on, groups)
    made = replace(made, per_item={} if fresh is None else {"freshness": fresh})
    return made.with_margins(business.what_if_margins(names, seed=seed))


def on_average(offers: Offers, worth: np.ndarray, each: np.ndarray, members: np.ndarray, k: int) -> np.ndarray:
    """The choice (n_users, n) that gives `members` (n_items,) the share of places that they have in `each`, on average.

    A weighted sum of worth and membership. The weight of every second person is found on the others, so that nobody's
    own list decides it.
    """
    chosen, half = np.zeros_like(each), np.arange(len(each)) % 2
    for one in (0, 1):
        asked, mine = offers.only(half != one), offers.only(half == one)
        share = float(members[asked.items[each[half != one]]].mean())
        rule = Exposure("members", members, share)
        price = price_of_share(asked, worth[half != one], rule, k)
        chosen[half == one] = mine.top(paid(mine, worth[half == one], [rule], np.array([price])), k)
    return chosen


def rule_costs(
    shop: Shop, sheet: Mapping[str, Sequence[Rule]], *, seed: int, draws: int
) -> tuple[pd.DataFrame, list[str]]:
    """What each entry of a sheet costs against the lists for clicks, solved and greedy; what cannot be kept is told."""
    rows, notes = [], []
    for name, rules in sheet.items():
        try:
            rows.append({"rule": name, **_cost(shop, rules, seed, draws)})
        except Problem as fault:
            notes.append(f"**{name}** is left out: {fault}")
    return pd.DataFrame(rows), notes


def _cost(shop: Shop, rules: Sequence[Rule], seed: int, draws: int) -> dict[str, object]:
    offers, k, clicks = shop.offers, shop.rules.k, shop.offers.of("clicks")
    free, solved, walk = shop.made_for("clicks"), solve(offers, clicks, rules, k), greedy(offers, clicks, rules, k)
    before, best, reached = (offers.total(mask, "clicks") for mask in (free, solved.chosen, walk))
    broke, bad = (np.any(list(broken(offers, mask, rules, k).values()), axis=0) for mask in (free, walk))
    change = compare(
        *(ndcg(shop.lists(mask), shop.rules.truth, k) for mask in (solved.chosen, free)), seed, draws=draws
    )
    return {
        "free lists break it": f"{broke.mean():.0%}",
        "expected clicks lost": f"{1 - best.sum() / before.sum():.1%}",
        "nDCG change": interval(change.delta, change.low, change.high),
        "by programme": f"{(solved.how == SOLVED).mean():.0%}",
        "greedy differs": f"{(walk != solved.chosen).any(axis=1).mean():.0%}",
        "greedy loses": f"{1 - reached[~bad].sum() / best[~bad].sum():.1%}",
        "greedy breaks": int(bad.sum()),
    }


def _groups(data: Dataset, split: Split, fresh: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    """Items that rules speak of. New: the last year where years are known, else the newest twentieth."""
    head = by_popularity(split.train).mask("head")
    sponsored = np.zeros(len(head), dtype=bool)
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(head))
    sponsored[drawn[: max(1, round(SPONSORED * head.sum()))]] = True
    groups = {"long tail": ~head, "sponsored": sponsored}
    if fresh is not None:
        bound = fresh.max() if "year" in data.items else np.quantile(fresh, 1 - NEWEST)
        groups["new"] = fresh >= bound
    return groups
