"""A model of clicks for the direct method, as obp's quickstart fits it; the estimators are in policies.py."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import LabelEncoder

from recutils.data.bandit import ITEM_ID, Log
from recutils.tables import Problem


def expected_clicks(log: Log, *, folds: int = 3, seed: int = 12345) -> np.ndarray:
    """Each item's chance of a click at each impression's place by obp's quickstart model: (n, n_items).

    A logistic regression for each place on the visitor's one-hot features and the item's categories as whole numbers
    (an order that means nothing), fitted on the other folds. Kept as published, to compare; not a good model. Raises
    Problem when a fold's place has clicks everywhere or nowhere.
    """
    people = pd.get_dummies(log.people, drop_first=True).to_numpy(np.float64)
    described = log.items.drop(columns=ITEM_ID)
    kinds = described.select_dtypes(exclude="number").apply(LabelEncoder().fit_transform)
    things = np.column_stack([kinds, described.select_dtypes("number")])
    expected = np.empty((len(log), log.n_items))
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(people):
        for place in range(log.n_positions):
            here, there = train[log.position[train] == place], test[log.position[test] == place]
            expected[there] = _logistic(log, people, things, here, there)
    return expected


def _logistic(log: Log, people: np.ndarray, things: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A model fitted on the rows `here`: the chance of a click on every item at the rows `there`."""
    clicks = log.click[here] > 0
    if clicks.all() or not clicks.any():
        raise Problem(
            f"{log.name}: a fold has {clicks.sum()} clicks in {len(here)} rows; use fewer folds or more rows."
        )
    model = LogisticRegression(max_iter=1000).fit(np.column_stack([people[here], things[log.item[here]]]), clicks)
    weight, n_people = model.coef_[0], people.shape[1]
    logit = (people[there] @ weight[:n_people])[:, None] + (things @ weight[n_people:])[None, :] + model.intercept_
    return 1 / (1 + np.exp(-logit))
