"""Milliseconds per list of the ways to keep rules: free, greedy walk, integer programme, slack, prices for all lists.

python benchmarks/bench_business.py [n_users]; made-up worths of 200 candidates each, no data needed.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from recutils.rank.business import Offers, lexicographic, scalarised
from recutils.rank.constraints import Rule, greedy, solve
from recutils.rank.exposure import Exposure, paid, prices

N_ITEMS, N, K = 3000, 200, 10


def shop(n_users: int) -> tuple[Offers, list[Rule], list[Rule]]:
    """Offers, rules that do not overlap, and rules that do."""
    rng = np.random.default_rng(0)
    items = np.array([rng.choice(N_ITEMS, N, replace=False) for _ in range(n_users)])
    clicks = rng.gamma(0.5, 0.05, items.shape) * np.where(items < 500, 3.0, 1.0)
    offers = Offers(items, {"clicks": clicks, "margin": clicks * rng.random(N_ITEMS)[items]})
    tail = [Rule("tail", np.arange(N_ITEMS) >= 500, 3)]
    shelves = [Rule(f"shelf {n}", rng.random(N_ITEMS) < 0.15, 0, 3) for n in range(18)]
    return offers, tail, [*tail, *shelves]


def milliseconds(work: Callable[[], object], n_users: int) -> float:
    """Processor time of one call per user."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / n_users * 1e3


def main() -> None:
    """Print one line for each way."""
    n_users = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    offers, apart, crossed = shop(n_users)
    clicks = offers.of("clicks")
    exposure = [Exposure("tail", apart[0].members, 0.3)]
    some = offers.only(np.arange(min(150, n_users)))
    ways = {
        "sort": lambda: offers.top(clicks, K),
        "weighted sum of two goals": lambda: scalarised(offers, {"clicks": 1, "margin": 1}, K),
        "one rule, closed form": lambda: solve(offers, clicks, apart, K),
        "19 rules, greedy walk": lambda: greedy(offers, clicks, crossed, K),
        "19 rules, integer programme": lambda: solve(offers, clicks, crossed, K),
        "slack 5 %, integer programme": lambda: lexicographic(offers, ["clicks", "margin"], 0.05, K),
        "prices of 150 people, sort for all": lambda: offers.top(
            paid(offers, clicks, exposure, prices(some, some.of("clicks"), exposure, K)), K
        ),
    }
    for name, work in ways.items():
        print(f"{name:36s} {milliseconds(work, n_users):8.3f} ms per list, {n_users:,} users")


if __name__ == "__main__":
    main()
