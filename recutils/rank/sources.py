"""Where candidates come from: the first-stage models and their scores. Nothing here learns to rank."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.base import Model
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE, UserEASE
from recutils.model.neighbours import ItemNeighbours, UserNeighbours
from recutils.model.sar import SAR
from recutils.model.text_ease import TextEASE
from recutils.rank.blend import standardised
from recutils.rank.features import Side
from recutils.rank.fuse import pooled
from recutils.rank.top import top_k
from recutils.tables import Interactions

BLEND = "blend"
# Settings and shares were fixed on validation cuts inside the training parts of the split seeds 1 and 2 of ml-100k.
SHARES = {"ease": 1.0, "user ease, roots": 1.0, "als": 2.0}
ROOTS = {"values": "value", "power": 0.5, "balance": 0.5}
TEXT_WEIGHT = 100.0  # how many events a pair of items with cosine 1 counts for
HANDICAP = {BLEND: 1.0}  # the blend's place counts once, any other source's OTHERS times
OTHERS = 5.0


def collaborative(train: Interactions) -> dict[str, Model]:
    """Unfitted first-stage models that suit the data: roots of values need ratings above 0, SAR needs times."""
    values = train.value.to_numpy()
    graded = len(values) > 0 and values.min() >= 0 and values.min() < values.max()
    strength = {"values": "value", "alpha": 2.0, "reg": 50.0} if graded else {"alpha": 5.0, "reg": 40.0}
    models: dict[str, Model] = {
        "ease": EASE(reg=500.0),
        "ease, roots": EASE(reg=1000.0, **ROOTS) if graded else EASE(reg=1000.0, balance=0.5),
        "user ease": UserEASE(reg=500.0),
        "user ease, roots": UserEASE(reg=1750.0, **ROOTS) if graded else UserEASE(reg=800.0, balance=0.5),
        "als": ALS(factors=64, **strength),
        "item neighbours": ItemNeighbours(neighbours=100, shrink=10.0, values="binary"),
        "user neighbours": UserNeighbours(neighbours=100, values="binary"),
    }
    return models | ({"sar": SAR(half_life=30.0)} if train.has_time else {})


@dataclass(frozen=True, eq=False)
class Scores:
    """First-stage scores on one training part.

    dense: source -> (n_users, n_items) float32, one row for every user row. seen: sparse, the training events.
    text: the sources that read texts.
    """

    dense: Mapping[str, np.ndarray]
    seen: sparse.csr_matrix
    text: frozenset[str]

    def lists(self, k: int) -> dict[str, np.ndarray]:
        """Ranked lists (n_users, k) of every source, the training events left out."""
        return {name: top_k(scores, self.seen, k) for name, scores in self.dense.items()}

    def candidates(self, n: int) -> np.ndarray:
        """The pooled candidates (n_users, n) of all sources, the blend's first; all items when there are fewer."""
        n_items = self.seen.shape[1]
        n = min(n, n_items)
        lists = self.lists(max(1, int(n / OTHERS))) | {BLEND: top_k(self.dense[BLEND], self.seen, n)}
        return pooled(lists, {name: HANDICAP.get(name, OTHERS) for name in lists}, n, n_items)


def first_stage(train: Interactions, side: Side, only: Collection[str] = ()) -> Scores:
    """Every source fitted on train and asked about its users; popularity and the blend are among them.

    only: names of collaborative models to keep beside those of the blend; none means all.
    """
    histories = train.matrix()
    wanted = {name: one for name, one in collaborative(train).items() if not only or name in {*only, *SHARES}}
    models: dict[str, Model] = {"popularity": Popularity(), **wanted}
    text = {} if side.text is None else {TextEASE.name: TextEASE(weight=TEXT_WEIGHT).with_vectors(side.text)}
    dense = {name: model.fit(train).score(histories) for name, model in (models | text).items()}
    if side.similar is not None:
        known = train.matrix("binary")
        lengths = np.maximum(np.diff(known.indptr), 1).astype(np.float32)[:, None]
        dense["text profile"] = np.asarray(known @ side.similar) / lengths
    dense[BLEND] = blended(dense)
    return Scores(dense, histories, frozenset(text) | {"text profile"})


def blended(dense: Mapping[str, np.ndarray], shares: Mapping[str, float] = SHARES) -> np.ndarray:
    """The weighted sum of sources, each standardised within the user: what a ranker has to beat."""
    return sum(np.float32(share) * standardised(dense[name]) for name, share in shares.items())
