"""Settings, shares and a learned blend, chosen on inner cuts of a training part. One valid part alone: validated.py.

For the top-ten protocol: the menu is closed, and nothing here ever sees a test part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.split import Split, random_items
from recutils.evaluate.candidates import Settings, described, each
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.published import ranked_values
from recutils.model.als import ALS
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE, UserEASE
from recutils.model.neighbours import UserNeighbours
from recutils.model.sar import SAR
from recutils.model.spectral import GraphFilter
from recutils.rank.blend import Blend, climb, standardised
from recutils.rank.stack import Case, Learnt, Stack, item_facts, learn
from recutils.rank.top import Scorer, top_k
from recutils.tables import Interactions, Problem

Menu = Mapping[str, tuple[Callable[..., Any], Settings]]
BLEND, LEARNED = "blend", "learned blend"
MOST_CELLS = 25_000_000  # 100 MB of float32 scores for each model and cut
CUT_SHARE = 0.15  # of the training part is held out by each inner cut

# Settings near the best of a search on inner cuts of the training parts of split seeds 42 to 44; no test part was read.
_ROOTS = {"values": ["value"], "power": [0.5], "balance": [0.5]}
TOP_TEN_MENU: Menu = {
    "als": (ALS, each(factors=[64, 128], values=["value"], alpha=[2.0], reg=[50.0])),
    "als, events": (ALS, each(factors=[64], values=["binary"], alpha=[10.0], reg=[60.0])),
    "ease": (EASE, each(**_ROOTS, reg=[1250.0, 1750.0])),
    "user ease": (UserEASE, each(**_ROOTS, reg=[1250.0, 1750.0])),
    "graph filter": (GraphFilter, each(waves=[32], user_norm=[0.25], item_norm=[0.25])),
    "graph filter, flat": (GraphFilter, each(waves=[48], user_norm=[0.5], item_norm=[0.5])),
    "sar": (SAR, each(half_life=[30.0])),
    "user neighbours": (UserNeighbours, each(neighbours=[100], values=["binary"])),
}


def inner_cuts(train: Interactions, n_cuts: int, *, seed: int, share: float = CUT_SHARE) -> list[Split]:
    """The training part cut n_cuts times, each time anew: `share` of each item's events becomes the inner test part.

    Raises Problem when n_cuts is below 1 or a part would be empty.
    """
    if n_cuts < 1:
        raise Problem(f"n_cuts must be at least 1; got {n_cuts}")
    return [random_items(train, 1 - share, seed=seed + 1000 * number) for number in range(1, n_cuts + 1)]


def fitting(menu: Menu, train: Interactions) -> dict[str, tuple[Callable[..., Any], Settings]]:
    """The models of the menu that these data can serve: those that need times are left out without them.

    Raises Problem when the standardised scores of all models would not fit into memory.
    """
    if (cells := train.n_users * train.n_items) > MOST_CELLS:
        raise Problem(
            f"{train.n_users:,} users x {train.n_items:,} items are {cells:,} scores for each model; "
            f"at most {MOST_CELLS:,} are held. Keep a share of the users, or use the models of notebook 60."
        )
    return {name: one for name, one in menu.items() if train.has_time or not getattr(one[0], "needs_time", False)}


@dataclass(frozen=True, eq=False)
class Nested:
    """What was tried on the inner cuts, and the best of it, frozen.

    tried: a row for each setting and for the blend: model, setting, ndcg (mean nDCG@10 over people and cuts).
    settings: model -> its class and best setting. shares: model -> its weight in the blend with fixed shares.
    learnt: the learned blend. n_shares: how many shares were tried.
    """

    tried: pd.DataFrame
    settings: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]]
    shares: Mapping[str, float]
    learnt: Learnt
    n_shares: int

    def refit(self, train: Interactions) -> dict[str, Scorer]:
        """The frozen choice fitted on the whole training part: each model, the blend and the learned blend."""
        fitted = {name: make(**setting).fit(train) for name, (make, setting) in self.settings.items()}
        stack = Stack(fitted, self.learnt, *item_facts(train.matrix()))
        return {**fitted, BLEND: Blend(fitted, self.shares), LEARNED: stack}

    def table(self) -> pd.DataFrame:
        """The best row of each model, in the order of the menu: model, setting, ndcg and how many were tried."""
        best = self.tried.loc[self.tried.groupby("model", sort=False).ndcg.idxmax()]
        tried = self.tried.groupby("model").size()[best.model].to_numpy(copy=True)
        tried[best.model.to_numpy() == BLEND] = self.n_shares
        return best.assign(tried=tried).reset_index(drop=True)

    @property
    def best_single(self) -> str:
        """The model with the highest value on the inner cuts, the blend apart; of equal ones the first."""
        singles = self.tried[self.tried.model != BLEND]
        return str(singles.model[singles.ndcg.idxmax()])


def nested(menu: Menu, cuts: Sequence[Split], *, seed: int, most: int | None = None) -> Nested:
    """Each model at its best setting, the shares of a blend and a learned blend, by mean nDCG@10 over the cuts.

    cuts: as `inner_cuts` makes them; each is fitted on its train and judged on its test part. seed: starts the trees
    of the learned blend. most: at most so many settings of each model, the first ones. Equal values go to the first.
    Raises Problem without cuts, for an empty menu and for most below 1.
    """
    if not menu or not cuts or (most is not None and most < 1):
        raise Problem(f"nothing would be tried; got {len(menu)} models, {len(cuts)} cuts, at most {most} settings")
    judged = [_Judged(cut) for cut in cuts]
    rows, settings = [], {}
    for name, (make, options) in menu.items():
        values = [_tried(name, make, setting, judged) for setting in options[:most]]
        best = int(np.argmax([value for value, _ in values]))
        settings[name] = (make, dict(options[best]))
        rows += [(name, described(setting), value) for setting, (value, _) in zip(options, values, strict=False)]
        for cut, scores in zip(judged, values[best][1], strict=True):
            cut.scores[name] = scores
    cases = [cut.case() for cut in judged]
    pooled = [(case, case.pool()) for case in cases]
    start = dict.fromkeys(menu, 0.0) | {max(rows, key=lambda row: row[2])[0]: 1.0}
    found = climb(lambda shares: float(np.mean([_blended(*one, shares) for one in pooled])), start)
    rows.append((BLEND, _parts(found.shares), found.value))
    tried = pd.DataFrame(rows, columns=["model", "setting", "ndcg"])
    return Nested(tried, settings, found.shares, learn(cases, seed=seed), found.n_tried)


class _Judged:
    """One inner cut: its people with events held out, and the standardised scores of the models kept so far."""

    def __init__(self, cut: Split) -> None:
        self.train = cut.train
        known, truth = cut.train.matrix(), cut.test.matrix("binary")
        self.counts, self.means = item_facts(known)
        people = np.flatnonzero(np.diff(truth.indptr))
        self.known, self.truth = known[people], truth[people]
        self.scores: dict[str, np.ndarray] = {}

    def case(self) -> Case:
        return Case(self.scores, self.known, self.counts, self.means, self.truth)


def _tried(
    name: str, make: Callable[..., Any], setting: Mapping[str, Any], judged: Sequence[_Judged]
) -> tuple[float, list[np.ndarray]]:
    """Mean nDCG@10 of one setting over the cuts, and its standardised scores on each."""
    values, kept = [], []
    for cut in judged:
        kept.append(standardised(make(**setting).fit(cut.train).score(cut.known)))
        values.append(_value(top_k(kept[-1], cut.known, 10), cut.truth))
    return float(np.mean(values)), kept


def _value(lists: np.ndarray, truth: sparse.csr_matrix) -> float:
    return float(np.nanmean(ndcg(lists, truth, 10)))


def _blended(case: Case, pool: np.ndarray, shares: Mapping[str, float]) -> float:
    """Mean nDCG@10 of a blend with fixed shares, ranked within the pool."""
    asked = [name for name, share in shares.items() if share]
    summed = sum(shares[name] * np.take_along_axis(case.scores[name], pool, axis=1) for name in asked)
    lists = np.take_along_axis(pool, top_k(summed, None, min(10, pool.shape[1])), axis=1)
    return _value(lists, case.truth)


def _parts(shares: Mapping[str, float]) -> str:
    """Shares for people, such as "1 user ease + 2 als"."""
    return " + ".join(f"{share:g} {name}" for name, share in shares.items() if share)


def read(choice: Nested, split: Split, metrics: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Model -> metric -> values (n_users,) at 10 of the frozen choice, and popularity last, on the test part."""
    models = choice.refit(split.train) | {"popularity": Popularity().fit(split.train)}
    return {name: ranked_values(model, split, metrics) for name, model in models.items()}
