"""Fusion of sources judged on cold items: settings tried on the inner fold, the best taken, gaps answered.

The fusing itself is `rank.fusion`, folds and intervals are `evaluate.cold`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.evaluate.vectors import Behaviour
from recutils.rank import fuse, fusion
from recutils.tables import Problem

HOW, REG, NDCG = "how", "reg", "ndcg"
WAYS = ("early", "late")
ANSWERS = (*fusion.WAYS, "dropout", "late")
Gaps = Mapping[str, np.ndarray]  # source -> (n_items,) bool, True where it is missing while serving


@dataclass(frozen=True)
class Setting:
    """How sources are joined ("early" or "late"), the share of each, and the penalty of the maps."""

    how: str
    shares: Mapping[str, float]
    reg: float


class Stage(Behaviour):
    """What all fusions of one training part share: its task on cold items, and the factors of an ALS."""

    def mapped_for_gaps(self, vectors: np.ndarray, reg: float, widths: Sequence[int], missing: float) -> np.ndarray:
        """As `mapped`, with the map that expects each source to be missing at times (`fusion.ridge_for_gaps`)."""
        return self.expected(vectors, *fusion.ridge_for_gaps(vectors[self.rated], self.own, reg, widths, missing))

    def scores(self, blocks: fusion.Blocks, setting: Setting, gaps: Gaps | None = None) -> np.ndarray:
        """Scores (n_users, n_cold) of a setting; in late fusion a source is silent where it has a gap or a zero row.

        Raises Problem for gaps in early fusion, which needs something in their place (`answers`).
        """
        if setting.how == "early":
            if gaps:
                raise Problem("early fusion cannot leave a gap open. Fill it with fusion.filled, or fuse late.")
            return self.mapped(fusion.stacked(blocks, setting.shares), setting.reg)
        asked = {name: block for name, block in blocks.items() if setting.shares[name] > 0}
        return self.joined(
            {name: self.mapped(block, setting.reg) for name, block in asked.items()}, blocks, setting, gaps
        )

    def joined(
        self, scores: fusion.Blocks, blocks: fusion.Blocks, setting: Setting, gaps: Gaps | None = None
    ) -> np.ndarray:
        """Late fusion of scores (n_users, n_cold) that the sources' maps gave already."""
        knows = {name: fusion.known(blocks[name]) & ~np.asarray((gaps or {}).get(name, False)) for name in scores}
        shares = {name: setting.shares[name] for name in scores}
        return fusion.late(scores, shares, {name: told[self.task.items] for name, told in knows.items()})

    def by_ranks(self, scores: fusion.Blocks) -> np.ndarray:
        """Reciprocal-rank fusion (n_users, n_cold) of several tables of scores, all candidates ranked."""
        nothing = np.zeros(next(iter(scores.values())).shape, dtype=bool)
        return fuse.reciprocal_rank({name: fuse.places(one, nothing) for name, one in scores.items()})

    def lists(self, scores: fusion.Blocks, k: int) -> dict[str, np.ndarray]:
        """Ranked cold items (n_users, k) of each table of scores; -1 where there are fewer than k."""
        return {name: self.listed(one, k) for name, one in scores.items()}


def tried(
    stage: Stage, blocks: fusion.Blocks, menu: Sequence[Mapping[str, float]], regs: Sequence[float], k: int
) -> pd.DataFrame:
    """Mean nDCG@k of early and late fusion for every penalty and every split of shares: how, reg, the shares, ndcg."""
    rows = []
    for reg in regs:
        alone = {name: stage.mapped(block, reg) for name, block in blocks.items()}
        for shares in menu:
            early, late = Setting("early", shares, reg), Setting("late", shares, reg)
            tables = {"early": stage.scores(blocks, early), "late": stage.joined(alone, blocks, late)}
            rows += [{HOW: how, REG: reg, **shares, NDCG: stage.worth(table, k)} for how, table in tables.items()]
    return pd.DataFrame(rows)


def best(table: pd.DataFrame, how: str, *, without: Iterable[str] = ()) -> Setting:
    """The setting with the highest value in `tried`'s table, of equal ones the first; `without`: sources left out.

    Raises Problem when no row is left.
    """
    names = [name for name in table.columns if name not in (HOW, REG, NDCG)]
    rows = table[(table[HOW] == how) & (table[list(without)] == 0).all(axis=1)]
    if not len(rows):
        raise Problem(f"no setting of {how!r} fusion is left without {list(without)}; sources are {names}.")
    row = rows.loc[rows[NDCG].idxmax()]
    return Setting(how, {name: float(row[name]) for name in names}, float(row[REG]))


def best_alone(table: pd.DataFrame) -> dict[str, Setting]:
    """The best setting of each source by itself, the most valued source first."""
    names = [name for name in table.columns if name not in (HOW, REG, NDCG)]
    corners = table[(table[HOW] == "early") & (table[names].max(axis=1) == 1)]
    worth = {name: corners.loc[corners[name] == 1, NDCG].max() for name in names}
    order = sorted(names, key=lambda name: -worth[name])
    return {name: best(table, "early", without=[other for other in names if other != name]) for name in order}


def answers(
    stage: Stage, blocks: fusion.Blocks, settings: Mapping[str, Setting], gaps: Gaps, *, missing: float
) -> dict[str, np.ndarray]:
    """Scores (n_users, n_cold) of the five ANSWERS to sources that are missing for cold items.

    settings: "early" and "late". missing: how often the map trained for gaps expects each source to fail. Raises
    Problem when a gap lies on a rated item, since the maps are learnt with all sources.
    """
    if any((gap & stage.rated).any() for gap in gaps.values()):
        raise Problem("a gap lies on an item with training events; expected gaps of cold items only.")
    early = settings["early"]
    tables = {
        how: fusion.stacked(fusion.filled(blocks, gaps, how, penalty=early.reg), early.shares) for how in fusion.WAYS
    }
    found = {how: stage.mapped(table, early.reg) for how, table in tables.items()}
    widths = [block.shape[1] for name, block in blocks.items() if early.shares[name] > 0]
    found["dropout"] = stage.mapped_for_gaps(tables["mean"], early.reg, widths, missing)
    return found | {"late": stage.scores(blocks, settings["late"], gaps)}
