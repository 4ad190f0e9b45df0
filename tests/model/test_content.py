"""Content profiles by hand, and a map from text to factors that must find what was planted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.baselines import Popularity
from recutils.model.content import ContentProfile, TextToFactors, ridge
from recutils.tables import Interactions, Problem

VECTORS = np.array([[2.0, 0], [0, 1], [3, 3], [0, 0]])
MET = Interactions(pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 2], "value": [4.0, 3, 5]}), 2, 4)
HALF = np.sqrt(0.5)
both_kinds = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])


@both_kinds
def test_profile_by_hand(kind: type) -> None:
    scores = ContentProfile().with_vectors(kind(VECTORS)).fit(MET).score(MET.matrix())
    np.testing.assert_allclose(scores, [[0.8, 0.6, 1.4 * HALF, 0], [HALF, HALF, 1, 0]], rtol=1e-6)


@both_kinds
def test_binary_and_centred_profiles_by_hand(kind: type) -> None:
    binary = ContentProfile(values="binary").with_vectors(kind(VECTORS)).fit(MET).score(MET.matrix()[:1])
    np.testing.assert_allclose(binary, [[HALF, HALF, 1, 0]], rtol=1e-6)
    centred = ContentProfile(centred=True).with_vectors(kind(VECTORS)).fit(MET).score(MET.matrix())
    np.testing.assert_allclose(centred, [[HALF, -HALF, 0, 0], [HALF, HALF, 1, 0]], rtol=1e-6, atol=1e-7)


def test_a_history_without_text_gives_popularity() -> None:
    model = ContentProfile().with_vectors(VECTORS).fit(MET)
    scores = model.score(sparse.csr_matrix([[0, 0, 0, 5.0], [0, 0, 0, 0]]))
    assert scores.tolist() == [[1, 1, 1, 0]] * 2


def test_sparse_vectors_survive_saving(tmp_path: Path) -> None:
    model = ContentProfile().with_vectors(sparse.csr_matrix(VECTORS)).fit(MET)
    loaded = ContentProfile.load(model.save(tmp_path / "bundle"))
    assert sparse.issparse(loaded.vectors)
    assert np.array_equal(loaded.score(MET.matrix()), model.score(MET.matrix()))


@pytest.mark.parametrize("make", [ContentProfile, TextToFactors], ids=lambda make: make.name)
def test_bad_vectors_are_named(make: type[ContentProfile | TextToFactors]) -> None:
    with pytest.raises(Problem, match=r"has none. Write model.with_vectors\(vectors\).fit\(train\)"):
        make().fit(MET)
    with pytest.raises(Problem, match="vectors of 3 items, but the training part has 4"):
        make().with_vectors(VECTORS[:3]).fit(MET)
    with pytest.raises(Problem, match=r"shape \(n_items, d\)"):
        make().with_vectors(VECTORS[:, 0])
    spoilt = np.where(VECTORS == 3, np.nan, VECTORS)
    for vectors in (spoilt, sparse.csr_matrix(spoilt)):
        with pytest.raises(Problem, match="item row 2 holds NaN"):
            make().with_vectors(vectors)


def test_the_callers_vectors_are_not_changed() -> None:
    given = VECTORS.astype(np.float32)
    ContentProfile().with_vectors(given).fit(MET).score(MET.matrix())
    assert np.array_equal(given, VECTORS)


@both_kinds
@pytest.mark.parametrize("shape", [(50, 6), (12, 40)], ids=["more rows", "more columns"])
def test_ridge_solves_its_own_equations(kind: type, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    vectors, targets = rng.normal(size=shape) + 1, rng.normal(size=(shape[0], 3)) - 2
    weights, intercept = ridge(kind(vectors), targets, 0.7)
    centred = vectors - vectors.mean(axis=0)
    expected = np.linalg.solve(
        centred.T @ centred + 0.7 * np.eye(shape[1]), centred.T @ (targets - targets.mean(axis=0))
    )
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(intercept, targets.mean(axis=0) - vectors.mean(axis=0) @ expected, rtol=1e-4, atol=1e-5)


def test_ridge_recovers_a_planted_map() -> None:
    rng = np.random.default_rng(4)
    vectors, planted = rng.normal(size=(200, 5)), rng.normal(size=(5, 3))
    weights, intercept = ridge(vectors, vectors @ planted + 1.5, 1e-9)
    np.testing.assert_allclose(weights, planted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(intercept, 1.5, rtol=1e-4)


@pytest.fixture
def world() -> tuple[Interactions, np.ndarray, np.ndarray]:
    """Events by planted tastes, vectors that are a linear picture of the items' traits, and the rows of cold items."""
    rng = np.random.default_rng(6)
    traits = rng.normal(size=(120, 3))
    chance = 1 / (1 + np.exp(3 - 2 * rng.normal(size=(200, 3)) @ traits.T))
    user, item = np.nonzero(rng.random(chance.shape) < chance)
    events = Interactions(pd.DataFrame({"user": user, "item": item, "value": 1.0}), *chance.shape)
    return events, traits @ rng.normal(size=(3, 8)) + rng.normal(size=8), np.arange(90, 120)


def test_the_map_serves_cold_items_where_popularity_cannot(world: tuple[Interactions, np.ndarray, np.ndarray]) -> None:
    events, vectors, cold = world
    is_cold = np.isin(events.item, cold)
    train, truth = events.only(~is_cold), events.only(is_cold).matrix("binary").toarray()[:, cold] > 0
    judged = truth.any(axis=1) & ~truth.all(axis=1)

    def auc(model: object) -> float:
        """The chance that a cold item of the user's stands above one that is not, ties half."""
        scores = model.fit(train).score(train.matrix())[:, cold]
        pairs = [np.sign(row[met][:, None] - row[~met]) for row, met in zip(scores[judged], truth[judged], strict=True)]
        return float(np.mean([0.5 + pair.mean() / 2 for pair in pairs]))

    assert auc(Popularity()) == 0.5
    mapped = auc(TextToFactors(factors=8).with_vectors(vectors))
    assert mapped > 0.8
    shuffled = vectors[np.random.default_rng(0).permutation(len(vectors))]
    assert mapped - auc(TextToFactors(factors=8).with_vectors(shuffled)) > 0.2


def test_warm_items_keep_the_scores_of_als(world: tuple[Interactions, np.ndarray, np.ndarray]) -> None:
    events, vectors, cold = world
    train = events.only(~np.isin(events.item, cold))
    mapped, plain = TextToFactors(factors=8).with_vectors(vectors).fit(train), ALS(factors=8).fit(train)
    warm = np.setdiff1d(np.arange(events.n_items), cold)
    assert np.array_equal(mapped.item_factors[warm], plain.item_factors[warm])
    assert np.array_equal(mapped.score(train.matrix())[:, warm], plain.score(train.matrix())[:, warm])
    np.testing.assert_allclose(mapped.factors_of(vectors[cold]), mapped.item_factors[cold], rtol=1e-4, atol=1e-6)


def test_a_cold_item_in_a_history_counts_through_its_text(world: tuple[Interactions, np.ndarray, np.ndarray]) -> None:
    events, vectors, cold = world
    model = TextToFactors(factors=8).with_vectors(vectors).fit(events.only(~np.isin(events.item, cold)))
    history = sparse.csr_matrix(([1.0], ([0], [cold[0]])), shape=(1, events.n_items))
    assert not np.array_equal(model.score(history)[0], model.popular)
    assert model.score(history)[0].argmax() in np.argsort(-(vectors @ vectors[cold[0]]))[:60]


def test_without_cold_items_it_is_als(world: tuple[Interactions, np.ndarray, np.ndarray]) -> None:
    events, vectors, _ = world
    assert len(np.unique(events.item)) == events.n_items
    mapped = TextToFactors(factors=8).with_vectors(vectors).fit(events)
    assert np.array_equal(mapped.item_factors, ALS(factors=8).fit(events).item_factors)
