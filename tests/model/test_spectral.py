"""The graph filter by full decomposition, and on planted tastes."""

import numpy as np
import pytest
from scipy import sparse

from recutils.model.spectral import GraphFilter
from recutils.tables import Interactions, Problem


def by_hand(known: np.ndarray, model: GraphFilter) -> np.ndarray:
    """The damped approximation from numpy's full decomposition, a user's own norm undone."""
    users, items = (np.maximum((known != 0).sum(axis=axis), 1.0) for axis in (1, 0))
    normal = known**model.power / users[:, None] ** model.user_norm / items**model.item_norm
    left, strengths, right = np.linalg.svd(normal, full_matrices=False)
    cut = strengths[model.waves] if model.waves < len(strengths) else 0
    damped = strengths**3 / (strengths**2 + cut**2)
    return (left[:, : model.waves] * damped[: model.waves]) @ right[: model.waves] * items**model.item_norm


@pytest.mark.parametrize("waves", [1, 5, 29, 40])
def test_scores_are_the_damped_approximation(waves: int, ratings: Interactions) -> None:
    model = GraphFilter(waves=waves, user_norm=0.5).fit(ratings)
    known = ratings.matrix().toarray().astype(float)
    own = np.maximum((known != 0).sum(axis=1), 1.0) ** 0.5
    np.testing.assert_allclose(
        model.score(ratings.matrix()), by_hand(known, model) * own[:, None], rtol=1e-3, atol=1e-4
    )


def test_two_planted_tastes_are_told_apart(ratings: Interactions) -> None:
    scores = GraphFilter(waves=2, values="value", power=1.0).fit(ratings).score(ratings.matrix())
    users, items = np.indices(scores.shape)
    same, unseen = (users % 2) == (items % 2), ratings.matrix("binary").toarray() == 0
    assert scores[same & unseen].mean() > 1.5 * scores[~same & unseen].mean()


def test_bad_parameters_and_values_are_named(ratings: Interactions) -> None:
    for given in ({"waves": 0}, {"power": 0.0}, {"item_norm": -1.0}):
        with pytest.raises(Problem, match="waves must be 1 or more, power above 0, both norms 0 or more"):
            GraphFilter(**given)
    negative = Interactions(ratings.rows.assign(value=-1.0), ratings.n_users, ratings.n_items)
    with pytest.raises(Problem, match="cannot raise negative values"):
        GraphFilter().fit(negative)
    assert np.isfinite(GraphFilter(power=1.0).fit(negative).score(sparse.csr_matrix((1, ratings.n_items)))).all()
