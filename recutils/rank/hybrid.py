"""The hybrid ranker: candidates of several sources, features of several kinds, one ranking learnt from held-out events.

Two stages. First-stage models are fitted on a part of the training events and describe candidates for the rest, which
are the labels; this is done for several cuts, so that every training event can be a label once and none is ever seen by
the features that have to find it. Then the first stage learns again from all training events, and the ranker, frozen,
orders its candidates. Features are made in `features`, sources in `sources`, the learning happens in `ranker`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recutils.model.base import known_rows, row_keys
from recutils.rank.blend import standardised
from recutils.rank.features import Side, columns
from recutils.rank.fuse import places, reciprocal_rank, stored
from recutils.rank.ranker import Ranker, Table
from recutils.rank.sources import BLEND, SHARES, Scores, blended, collaborative, first_stage
from recutils.tables import Interactions, Problem

Cut = tuple[Interactions, Interactions]  # what the first stage learns from, what the ranker has to find
LIST = 10  # items in the lists by which single models are judged
BELOW = np.float32(1e3)  # keeps items that are no candidates below all candidates, in the order of the blend


def random_cuts(train: Interactions, n: int = 4, seed: int = 0) -> list[Cut]:
    """n cuts at random, stratified by item: each event is a label in exactly one. Rows keep their order.

    Raises Problem for fewer than 2 cuts, or fewer events than cuts.
    """
    if not 2 <= n <= len(train):
        raise Problem(f"n must lie in 2..{len(train)} (the training events); got {n} cuts")
    rng = np.random.default_rng(seed)
    items = train.item.to_numpy()
    order = np.lexsort((rng.random(len(items)), items))
    part = np.empty(len(items), dtype=np.int64)
    part[order] = (np.arange(len(items)) + rng.integers(n)) % n  # neighbours in the order fall into different parts
    return [(train.only(part != one), train.only(part == one)) for one in range(n)]


def temporal_cuts(train: Interactions, n: int = 3, share: float = 0.1) -> list[Cut]:
    """n cuts in time: all before a moment, and the next `share` of the events; the moments are `share` apart.

    For splits in time, where the ranker will have to find what comes after. Raises Problem without times, and when
    the first cut would leave fewer than half of the events to learn from.
    """
    if n < 1 or not 0 < share < 1 or n * share > 0.5:
        raise Problem(f"n x share must lie above 0 and at most 0.5; got {n} cuts of {share}")
    times = np.sort(train.time.to_numpy())
    edges = [times[int(len(times) * (1 - share * back))] for back in range(n, 0, -1)] + [times[-1]]
    time = train.time.to_numpy()
    parts = [(time < first, (time >= first) & (time <= last)) for first, last in zip(edges, edges[1:], strict=False)]
    return [(train.only(before), train.only(after)) for before, after in parts if before.any() and after.any()]


def table(scores: Scores, train: Interactions, side: Side, n: int, labels: Interactions | None = None) -> Table:
    """The candidates of one training part with all their features; labels: the held-out events."""
    items = scores.candidates(n)
    made = [
        ("text" if name in scores.text else "cf", name, standardised(np.take_along_axis(dense, items, axis=1)))
        for name, dense in scores.dense.items()
        if name not in ("popularity", "text profile")  # they have features of their own
    ]
    made += list(columns(train, side, items))
    groups, names, values = zip(*made, strict=True)
    wanted = None if labels is None else np.take_along_axis(stored(labels.matrix("binary")), items, axis=1)
    return Table(items, np.stack(values, axis=2), names, groups, values[names.index(BLEND)], wanted)


class ForUsers:
    """Scores (n_users, n_items) that were made once for the training users, behind the interface of all models.

    A history that equals a training user's, items and values, is that user's (the first such one).
    """

    def __init__(self, scores: np.ndarray, keys: np.ndarray) -> None:
        self.scores, self.keys = scores, keys

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) float32. Raises Problem for a history that is no training user's."""
        rows = known_rows(row_keys(histories), self.keys)
        if (rows < 0).any():
            raise Problem(f"history {int(rows.argmin())} is no training user's; these scores hold for those alone.")
        return self.scores[rows]


@dataclass(frozen=True, eq=False)
class Study:
    """All that the rankers of one training part learn from (lessons) and are asked about (final).

    lists: for each cut, the first stage's lists of 10 and what they had to find, so that single models can be judged.
    """

    train: Interactions
    side: Side
    lessons: tuple[Table, ...]
    final: Table
    scores: Scores
    lists: tuple[tuple[dict[str, np.ndarray], Interactions], ...]

    @cached_property
    def keys(self) -> np.ndarray:
        """Digest (n_users,) of each user row's history."""
        return row_keys(self.train.matrix())

    def models(self) -> dict[str, ForUsers]:
        """The sources, the blend among them, and their reciprocal-rank fusion, as models for the training users."""
        dense = self.scores.dense
        seen = stored(self.scores.seen)
        fused = reciprocal_rank({name: places(dense[name], seen) for name in SHARES})
        return {name: ForUsers(one, self.keys) for name, one in {**dense, "reciprocal ranks": fused}.items()}


def study(
    train: Interactions, side: Side, cuts: Sequence[Cut], *, n_candidates: int = 100, only: Collection[str] = ()
) -> Study:
    """First stage and features for each cut and for the whole training part. Raises Problem without a usable cut.

    only: names of first-stage models to keep beside those of the blend; none means all.
    """
    if not cuts:
        raise Problem("a ranker learns from held-out events; give at least one cut, such as random_cuts(train).")
    lessons, lists = [], []
    for inner, held in cuts:
        scores = first_stage(inner, side, only)
        lessons.append(table(scores, inner, side, n_candidates, held))
        lists.append((scores.lists(LIST), held))
    scores = first_stage(train, side, only)
    return Study(train, side, tuple(lessons), table(scores, train, side, n_candidates), scores, tuple(lists))


class Hybrid(ForUsers):
    """A fitted ranker over one study's candidates: `score(histories)`, as all models.

    A history that is empty, or no training user's, has neither traits nor times: it gets the blend of the first-stage
    models, folded in. Items that are no candidates follow the candidates in the order of the blend.
    """

    name = "hybrid"

    def __init__(self, base: Study, ranker: Ranker) -> None:
        scores = standardised(base.scores.dense[BLEND]) - BELOW
        np.put_along_axis(scores, base.final.items, ranker.score(base.final), axis=1)
        super().__init__(scores, base.keys)
        self.base, self.ranker = base, ranker

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) float32; see the class for histories that are no training user's."""
        rows = known_rows(row_keys(histories), self.keys)
        new = np.flatnonzero((rows < 0) | (np.diff(histories.indptr) == 0))
        found = self.scores[rows]
        if len(new):
            models = collaborative(self.base.train)
            asked = {name: models[name].fit(self.base.train).score(histories[new]) for name in SHARES}
            found[new] = blended(asked)
        return found
