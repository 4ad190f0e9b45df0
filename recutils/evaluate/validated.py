"""Settings and a blend of several models, all chosen on one validation part. Single models with a test each: choose.py.

For published splits: the menus here are few and closed, so that what was tried can be counted in one table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.split import Split
from recutils.evaluate.candidates import Settings, described, each
from recutils.evaluate.published import ranked_values
from recutils.model.als import ALS
from recutils.model.ease import EASE
from recutils.rank.blend import Blend
from recutils.rank.top import Scorer
from recutils.tables import Interactions, Problem

Menu = Mapping[str, tuple[Callable[..., Any], Settings]]
BLEND = "blend"


# Regs around the best of a coarse search on P4's valid part. EASE works on the roots of the ratings, and on the item
# side, which is the cheaper one here.
FULL_RANKING_MENU: Menu = {
    "ease": (EASE, each(values=["value"], power=[0.5], balance=[0.5], reg=[2000.0, 1000.0])),
    "als": (ALS, each(factors=[64], values=["value"], alpha=[1.0], reg=[50.0, 30.0])),
}
FULL_RANKING_SHARES = ((2, 1), (1, 1))


@dataclass(frozen=True, eq=False)
class Validated:
    """What was tried on the valid part, and the best of it, frozen.

    tried: a row for each setting and each blend: model, setting, ndcg (mean nDCG@10 on valid).
    parameters: model -> the best setting. shares: model -> its weight in the best blend. fitted: on train.
    """

    tried: pd.DataFrame
    parameters: Mapping[str, dict[str, Any]]
    shares: Mapping[str, float]
    fitted: Mapping[str, Any]

    def models(self) -> dict[str, Scorer]:
        """The chosen models fitted on train, and their blend last."""
        return {**self.fitted, BLEND: Blend(self.fitted, self.shares)}

    def refit(self, train: Interactions) -> dict[str, Scorer]:
        """The same settings and shares, fitted on other events such as train and valid together."""
        fitted = {name: type(model)(**self.parameters[name]).fit(train) for name, model in self.fitted.items()}
        return {**fitted, BLEND: Blend(fitted, self.shares)}

    def table(self) -> pd.DataFrame:
        """The best row of each model, in the order of the menu: model, setting, ndcg and how many were tried."""
        best = self.tried.loc[self.tried.groupby("model", sort=False).ndcg.idxmax()]
        return best.assign(tried=self.tried.groupby("model").size()[best.model].to_numpy()).reset_index(drop=True)

    @property
    def best_single(self) -> str:
        """The model with the highest value on valid, the blend apart; of equal ones the first."""
        singles = self.tried[self.tried.model != BLEND]
        return str(singles.model[singles.ndcg.idxmax()])


def validated(menu: Menu, shares: Sequence[Sequence[float]], split: Split, *, most: int | None = None) -> Validated:
    """Each model at its best setting, and the best blend of these, by mean nDCG@10 on the valid part.

    shares: the blends that are tried, one weight for each model of the menu. most: at most so many settings of each
    model and so many blends, the first ones. Equal values go to the first. Raises Problem when nothing would be tried.
    """
    if most is not None and most < 1:
        raise Problem(f"most must be at least 1 setting, or None for all; got {most}")
    if not menu or not shares or any(len(weights) != len(menu) for weights in shares):
        raise Problem(f"menu and shares must not be empty, with {len(menu)} weights in each of shares; got {shares}")
    rows, fitted = [], {}
    for name, (make, settings) in menu.items():
        models = {described(setting): make(**setting).fit(split.train) for setting in settings[:most]}
        values = {setting: _value(model, split) for setting, model in models.items()}
        rows += [(name, setting, value) for setting, value in values.items()]
        fitted[name] = models[max(values, key=lambda setting: values[setting])]
    blends = [dict(zip(menu, map(float, weights), strict=True)) for weights in shares[:most]]
    values = [_value(Blend(fitted, weights), split) for weights in blends]
    rows += [(BLEND, _parts(weights), value) for weights, value in zip(blends, values, strict=True)]
    parameters = {name: model.parameters() for name, model in fitted.items()}
    table = pd.DataFrame(rows, columns=["model", "setting", "ndcg"])
    return Validated(table, parameters, blends[int(np.argmax(values))], fitted)


def _value(model: Scorer, split: Split) -> float:
    return float(ranked_values(model, split, ["ndcg"], part="valid")["ndcg"].mean())


def _parts(weights: Mapping[str, float]) -> str:
    """Shares for people, such as "1 user ease + 2 als"."""
    return " + ".join(f"{weight:g} {name}" for name, weight in weights.items() if weight)
