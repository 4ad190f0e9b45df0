"""What may be searched of each model: the ranges, wide around the defaults. The search itself: tune.py."""

from recutils.evaluate.tune import Range, Space
from recutils.model.als import ALS, BPR
from recutils.model.baselines import RecentPopularity
from recutils.model.ease import EASE
from recutils.model.neighbours import ItemNeighbours
from recutils.tables import Interactions

VALUES = Range(choices=("binary", "value"))

# From simple to less simple, the cheapest first.
SPACES = {
    "recent popularity": Space(RecentPopularity, {"half_life": Range(1.0, 1000.0, log=True)}, {}),
    "item neighbours": Space(
        ItemNeighbours,
        {
            "neighbours": Range(choices=(10, 20, 50, 100, 200, 500)),
            "shrink": Range(choices=(0.0, 10.0, 100.0, 1000.0)),
            "values": VALUES,
        },
        {},
    ),
    "ease": Space(EASE, {"reg": Range(10.0, 3000.0, log=True), "balance": Range(0.0, 1.0), "values": VALUES}, {}),
    "als": Space(
        ALS,
        {
            "factors": Range(8, 128, log=True),
            "reg": Range(0.01, 100.0, log=True),
            "alpha": Range(0.5, 50.0, log=True),
            "values": VALUES,
        },
        {"seed": 0},
    ),
    "bpr": Space(
        BPR,
        {
            "factors": Range(8, 128, log=True),
            "learning_rate": Range(0.003, 0.1, log=True),
            "reg": Range(0.0001, 0.1, log=True),
            "iterations": Range(10, 100, log=True),
        },
        {"seed": 0},
    ),
}


def spaces(train: Interactions) -> dict[str, Space]:
    """The spaces whose model these data can serve: without times none that needs a time."""
    return {name: space for name, space in SPACES.items() if train.has_time or not space.make.needs_time}
