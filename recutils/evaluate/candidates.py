"""The models of a comparison and the settings tried of each: one readable table. Choosing among them: `choose`."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recutils.model.als import ALS, BPR
from recutils.model.base import Model
from recutils.model.baselines import Popularity, Random, RecentPopularity
from recutils.model.content import ContentProfile
from recutils.model.ease import EASE, UserEASE
from recutils.model.neighbours import ItemNeighbours, UserNeighbours
from recutils.model.sar import SAR
from recutils.model.slim import SLIM
from recutils.model.svd import SVD
from recutils.tables import Interactions

BASELINE, FLOOR = "popularity", "random"
NEEDS = ("", "time", "ratings", "vectors")
Settings = tuple[dict[str, Any], ...]


def each(**options: Sequence[Any]) -> Settings:
    """All combinations of the options, the last varying fastest; so write the simplest value of each first.

    >>> each(neighbours=(50, 200), shrink=(0,))
    ({'neighbours': 50, 'shrink': 0}, {'neighbours': 200, 'shrink': 0})
    """
    return tuple(dict(zip(options, values, strict=True)) for values in itertools.product(*options.values()))


@dataclass(frozen=True)
class Candidate:
    """A model and the settings that are tried of it, simplest first. needs: one of NEEDS.

    most_users, most_items: above these sizes it is left out, since it would fill the memory or take hours.
    """

    name: str
    make: type[Model]
    settings: Settings = ({},)
    needs: str = ""
    most_users: int | None = None
    most_items: int | None = None

    def unfit(self, train: Interactions, *, explicit: bool, has_vectors: bool) -> str:
        """Why it cannot serve these data; "" when it can."""
        if self.needs == "time" and not train.has_time:
            return "it needs times, and these data have none"
        if self.needs == "ratings" and not explicit:
            return "it predicts ratings, and these values are events, counts or all equal"
        if self.needs == "vectors" and not has_vectors:
            return "no item vectors were given"
        for noun, size, most in (
            ("users", train.n_users, self.most_users),
            ("items", train.n_items, self.most_items),
        ):
            if most is not None and size > most:
                return f"it is tried with at most {most:,} {noun}, and these data have {size:,}"
        return ""


CONTENT = Candidate("content", ContentProfile, each(values=("binary", "value"), centred=(False, True)), "vectors")

# From simple to less simple: of models that are equally good the first is chosen. Slope one, co-clustering and SVD++
# foresee ratings and are judged by them (notebook 62); svd stands here for their kind.
CANDIDATES = (
    Candidate(FLOOR, Random),
    Candidate(BASELINE, Popularity),
    Candidate("recent popularity", RecentPopularity, each(half_life=(365.0, 90.0, 30.0, 14.0, 7.0, 3.0)), "time"),
    CONTENT,  # once for each kind of vectors: "content tfidf", "content minilm"
    Candidate(
        "item neighbours", ItemNeighbours, each(neighbours=(50, 200), values=("binary", "value"), shrink=(0, 10))
    ),
    Candidate(
        "user neighbours", UserNeighbours, each(neighbours=(50, 200), values=("binary", "value")), most_users=30_000
    ),
    Candidate("sar", SAR, each(half_life=(30.0, 90.0)), "time", most_items=10_000),
    Candidate("als", ALS, each(factors=(16, 64), alpha=(1.0, 10.0), reg=(0.05, 1.0))),
    Candidate("bpr", BPR, each(factors=(16, 64), learning_rate=(0.01, 0.05))),
    Candidate("ease", EASE, each(reg=(1000.0, 300.0, 100.0)), most_items=10_000),  # 10,000 items: 1.6 GB while it fits
    Candidate("user ease", UserEASE, each(reg=(1000.0, 300.0)), most_users=10_000),
    Candidate("slim", SLIM, each(reg=(300.0,), l1=(5.0,)), most_items=2_000),  # 1,682 items: 4 s; the cube beyond
    Candidate("svd", SVD, each(factors=(20, 100)), "ratings"),
)


def menu(vectors: Iterable[str] = ()) -> dict[str, Candidate]:
    """The candidates by name, in order; content once for each kind of vectors, such as "content tfidf"."""
    found: dict[str, Candidate] = {}
    for candidate in CANDIDATES:
        kinds = [f"content {kind}" for kind in vectors] if candidate is CONTENT else []
        found |= dict.fromkeys(kinds or [candidate.name], candidate)
    return found


def described(parameters: Mapping[str, Any]) -> str:
    """A setting for people; "" when there is nothing to set.

    >>> described({"half_life": 30.0})
    'half life 30.0'
    """
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items())
