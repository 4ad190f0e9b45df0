"""Gates: published figures that this code must meet before it may claim anything, by the published protocols."""

import os

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.data.load import load
from recutils.data.split import Split, random_items, random_users
from recutils.evaluate.published import (
    FULL_RANKING,
    FULL_RANKING_GATE,
    FULL_RANKING_POPULARITY,
    FULL_RANKING_ROWS,
    OURS,
    RATINGS,
    SURPRISE,
    TOP_TEN,
    TOP_TEN_RATINGS,
    TOP_TEN_ROWS,
    KnownUsers,
    ranked_values,
    rating_errors,
    recbole_events,
    side_by_side,
    surprise_algorithm,
    surprise_errors,
    surprise_folds,
)
from recutils.model.base import Model, RatingModel
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.model.neighbours import ItemNeighbours
from recutils.model.ratings import SlopeOne
from recutils.model.sar import SAR
from recutils.model.svd import SVD, Baseline, NormalRating, SVDPlus
from recutils.rank.top import Scorer
from recutils.tables import Interactions, Problem

pytestmark = pytest.mark.published
LONG = pytest.mark.skipif(
    not os.environ.get("RECUTILS_LONG"), reason="the longest gates: RECUTILS_LONG=1 make test ARGS='-m published'"
)


@pytest.fixture(scope="module")
def ml_100k() -> Interactions:
    return load("ml-100k").interactions


@pytest.fixture(scope="module")
def p2(ml_100k: Interactions) -> Split:
    return random_items(ml_100k)


def top_ten(model: Scorer, split: Split) -> list[float]:
    """P2's four metrics, six digits."""
    values = ranked_values(model, split, TOP_TEN)
    return [round(float(values[metric].mean()), 6) for metric in TOP_TEN]


def test_p2_split_has_the_published_sizes(p2: Split) -> None:
    assert p2.sizes() == {"train": 75_066, "valid": 0, "test": 24_934}


def test_p2_popularity(p2: Split) -> None:
    assert top_ten(Popularity().fit(p2.train), p2) == list(TOP_TEN_ROWS["popularity"])


def test_p2_sar_to_six_digits(p2: Split) -> None:
    assert top_ten(SAR().fit(p2.train), p2) == list(TOP_TEN_ROWS["sar"])


def test_p2_ease_to_six_digits(p2: Split) -> None:
    assert top_ten(EASE(reg=300, values="binary").fit(p2.train), p2) == list(TOP_TEN_ROWS["ease"])


def test_p2_svd_to_six_digits(p2: Split) -> None:
    model = SVD(factors=150, epochs=15, learning_rate=0.005, reg=0.02, seed=42)
    errors = rating_errors(model, p2.train, p2.test)
    assert [round(error, 6) for error in errors] == list(TOP_TEN_RATINGS["svd"])
    assert top_ten(KnownUsers(model, p2.train), p2) == list(TOP_TEN_ROWS["svd"])


def test_p2_ranks_for_training_users_alone(p2: Split) -> None:
    ranker = KnownUsers(Baseline(), p2.train)
    with pytest.raises(Problem, match="history 0 is no training user's"):
        ranker.score(p2.test.matrix()[:2])


SLOW = (SlopeOne, SVDPlus)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, marks=[pytest.mark.slow, LONG] if make is SVDPlus else [pytest.mark.slow] * (make in SLOW))
        for make in OURS.values()
    ],
    ids=lambda make: make.name,
)
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
    "name", [pytest.param(name, marks=[LONG] if number else []) for number, name in enumerate(SURPRISE)]
)
def test_p1_surprises_own_algorithms_within_a_thousandth(name: str, ml_100k: Interactions) -> None:
    errors = [surprise_errors(surprise_algorithm(name), *fold) for fold in surprise_folds(ml_100k)]
    assert np.mean(errors, axis=0) == pytest.approx(RATINGS[name], abs=0.001)


def test_p1_every_row_has_its_gate() -> None:
    assert set(RATINGS) == {*SURPRISE, *OURS, NormalRating.name}
    with pytest.raises(Problem, match="there is no algorithm 'knm'"):
        surprise_algorithm("knm")


@pytest.fixture(scope="module")
def p4() -> Split:
    return random_users(recbole_events(load("ml-1m")), rng=0)


@pytest.mark.slow
def test_p4_filter_has_the_published_sizes(p4: Split) -> None:
    assert sum(p4.sizes().values()) == 834_449
    assert (p4.train.n_users, p4.train.n_items) == (6_033, 3_123)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [EASE(reg=1000), ItemNeighbours(neighbours=250, shrink=1.2, values="binary")], ids=lambda model: model.name
)
def test_p4_within_the_gate(model: Model, p4: Split) -> None:
    values = ranked_values(model.fit(p4.train), p4, FULL_RANKING, masked=("train", "valid"))
    found, published = np.mean(values["ndcg"]), FULL_RANKING_ROWS[model.name][FULL_RANKING.index("ndcg")]
    assert found == pytest.approx(published, abs=FULL_RANKING_GATE)


@pytest.mark.slow
def test_p4_popularity_is_not_what_is_printed(p4: Split) -> None:
    values = ranked_values(Popularity().fit(p4.train), p4, ["ndcg"], masked=("train", "valid"))
    assert np.mean(values["ndcg"]) > FULL_RANKING_POPULARITY + FULL_RANKING_GATE


PLANTED = pd.DataFrame({"user": [0, 0, 0, 1, 1], "item": [0, 1, 2, 0, 3], "value": 1.0})


def planted() -> Split:
    """User 0 trains on item 0, has item 1 in valid and item 2 in test; user 1 trains on items 0 and 3."""
    whole = Interactions(PLANTED, 2, 12)
    return Split(whole.only([0, 3, 4]), whole.only([1]), whole.only([2]), "planted", "planted")


def test_only_the_named_parts_are_masked() -> None:
    class Fixed:
        def score(self, histories: sparse.csr_matrix) -> np.ndarray:
            return np.tile(-np.arange(12.0), (histories.shape[0], 1))

    places = {
        masked: ranked_values(Fixed(), planted(), ["reciprocal_rank"], masked=masked)["reciprocal_rank"].tolist()
        for masked in [("train",), ("train", "valid")]
    }
    assert places == {("train",): [0.5], ("train", "valid"): [1.0]}
    valid = ranked_values(Fixed(), planted(), ["reciprocal_rank"], part="valid")["reciprocal_rank"]
    assert valid.tolist() == [1.0], "on valid the history is train alone, and the test item is a candidate below"


def test_the_comparison_says_when_a_figure_is_missed() -> None:
    table = side_by_side({"a": 0.12, "b": 0.5}, {"a": 0.1234, "b": 0.506}, 2)
    assert table.met.tolist() == [True, False]
    assert table.distance.tolist() == pytest.approx([0.0034, 0.006])
