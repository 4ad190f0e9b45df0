"""Gates: published figures that this code must meet before it may claim anything, by the published protocols."""

import numpy as np
import pytest
import surprise

from recutils.data.load import load
from recutils.data.split import Split, random_items
from recutils.evaluate.published import (
    RATINGS,
    TOP_TEN,
    TOP_TEN_RATINGS,
    TOP_TEN_ROWS,
    rating_errors,
    side_by_side,
    surprise_errors,
    surprise_folds,
    top_ten,
)
from recutils.model.base import RatingModel
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.model.svd import NMF, SVD, Baseline, NormalRating
from recutils.tables import Interactions

pytestmark = pytest.mark.published


@pytest.fixture(scope="module")
def ml_100k() -> Interactions:
    return load("ml-100k").interactions


@pytest.fixture(scope="module")
def p2(ml_100k: Interactions) -> Split:
    return random_items(ml_100k)


def test_p2_split_has_the_published_sizes(p2: Split) -> None:
    assert p2.sizes() == {"train": 75_066, "valid": 0, "test": 24_934}


def test_p2_popularity(p2: Split) -> None:
    found = top_ten(Popularity().fit(p2.train), p2)
    assert [round(found[metric], 6) for metric in TOP_TEN] == list(TOP_TEN_ROWS["popularity"])


def test_p2_ease_to_six_digits(p2: Split) -> None:
    found = top_ten(EASE(reg=300, values="binary").fit(p2.train), p2)
    assert [round(found[metric], 6) for metric in TOP_TEN] == list(TOP_TEN_ROWS["ease"])


def test_p2_svd_to_six_digits(p2: Split) -> None:
    model = SVD(factors=150, epochs=15, learning_rate=0.005, reg=0.02, seed=42)
    errors = rating_errors(model, p2.train, p2.test)
    assert [round(error, 6) for error in errors] == list(TOP_TEN_RATINGS["svd"])
    found = top_ten(KnownUsers(model, p2.train), p2)
    assert [round(found[metric], 6) for metric in TOP_TEN] == list(TOP_TEN_ROWS["svd"])


class KnownUsers:
    """The protocol ranks by the rating predicted for the training user, clipped to 1-5."""

    def __init__(self, model: RatingModel, train: Interactions) -> None:
        self.model, self.row_of = model, {row.tobytes(): user for user, row in enumerate(train.matrix().toarray())}

    def score(self, histories) -> np.ndarray:
        users = [self.row_of[row.tobytes()] for row in histories.toarray()]
        n_items = histories.shape[1]
        predicted = self.model.predict(np.repeat(users, n_items), np.tile(np.arange(n_items), len(users)))
        return predicted.reshape(len(users), n_items)


@pytest.mark.parametrize("make", [SVD, NMF, Baseline], ids=lambda make: make.name)
def test_p1_within_a_thousandth(make: type[RatingModel], ml_100k: Interactions) -> None:
    errors = [rating_errors(make(), train, test) for train, test in surprise_folds(ml_100k)]
    assert np.mean(errors, axis=0) == pytest.approx(RATINGS[make.name], abs=0.001)


def test_p1_random_within_a_thousandth(ml_100k: Interactions) -> None:
    folds = list(surprise_folds(ml_100k))
    starts = np.cumsum([0, *(len(test) for _, test in folds)])
    models = [NormalRating(seed=0, skip=int(start)) for start in starts]
    errors = [rating_errors(model, *fold) for model, fold in zip(models, folds, strict=False)]
    assert np.mean(errors, axis=0) == pytest.approx(RATINGS["random rating"], abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"),
    [("knn", "KNNBasic"), ("centred knn", "KNNWithMeans"), ("knn baseline", "KNNBaseline")],
    ids=["knn", "centred knn", "knn baseline"],
)
def test_p1_neighbours_within_a_thousandth(name: str, make: str, ml_100k: Interactions) -> None:
    algorithm = getattr(surprise, make)
    errors = [surprise_errors(algorithm(verbose=False), *fold) for fold in surprise_folds(ml_100k)]
    assert np.mean(errors, axis=0) == pytest.approx(RATINGS[name], abs=0.001)


def test_the_comparison_says_when_a_figure_is_missed() -> None:
    table = side_by_side({"a": 0.12, "b": 0.5}, {"a": 0.1234, "b": 0.506}, 2)
    assert table.met.tolist() == [True, False]
    assert table.distance.tolist() == pytest.approx([0.0034, 0.006])
