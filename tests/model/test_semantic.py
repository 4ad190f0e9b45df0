"""Attention, association matrix and fusion against what can be worked out by hand."""

import numpy as np
import pytest
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.content import ContentProfile
from recutils.model.semantic import AttentionProfile, SemanticFactors, SemanticFusion, khatri_rao, side_by_side
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem


@pytest.fixture
def vectors() -> np.ndarray:
    made = np.random.default_rng(4).normal(size=(30, 6)).astype(np.float32)
    made[7] = 0
    return made


def test_attention_by_hand(ratings: Interactions, vectors):
    model = AttentionProfile(temperature=0.2, values="value").with_vectors(vectors).fit(ratings)
    history = ratings.matrix()[3]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosine = unit[11] @ unit[history.indices].T
    weight = history.data * np.exp(cosine / 0.2)
    assert model.score(history)[0, 11] == pytest.approx((weight @ cosine) / weight.sum(), rel=1e-5)
    assert model.score(history)[0, 7] == 0, "an empty text is alike to nothing"


def test_hot_attention_is_the_mean_and_cold_attention_the_nearest(ratings: Interactions, vectors):
    histories = ratings.matrix("binary")
    hot = AttentionProfile(temperature=1e5).with_vectors(vectors).fit(ratings).score(histories)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosine = unit @ unit.T
    mean = histories @ cosine / np.diff(histories.indptr)[:, None]
    np.testing.assert_allclose(hot, mean, atol=1e-4)
    profile = ContentProfile(values="binary").with_vectors(vectors).fit(ratings)
    assert np.array_equal(recommend(profile, histories, 3)[:, 0], np.where(histories.toarray() > 0, -9, mean).argmax(1))
    cold = AttentionProfile(temperature=0.01).with_vectors(vectors).fit(ratings).score(histories)
    nearest = np.stack([cosine[row.indices].max(axis=0) for row in histories])
    np.testing.assert_allclose(cold, nearest, atol=0.02)


def test_attention_takes_sparse_vectors(ratings: Interactions, vectors):
    dense = AttentionProfile().with_vectors(vectors).fit(ratings).score(ratings.matrix())
    thin = AttentionProfile().with_vectors(sparse.csr_matrix(vectors)).fit(ratings).score(ratings.matrix())
    np.testing.assert_allclose(dense, thin, atol=1e-5)


def test_the_association_matrix_comes_back_at_full_rank(ratings: Interactions, vectors):
    model = SemanticFactors(rank=99).with_vectors(vectors).fit(ratings)
    profiles = model.profiles(ratings.matrix())
    whole = profiles @ model.vectors.T
    np.testing.assert_allclose(model.score(ratings.matrix()), whole, atol=1e-5)
    assert len(model.strengths) == 6, "its rank is at most the vectors' width"
    np.testing.assert_allclose(model.strengths, np.linalg.svd(whole, compute_uv=False)[:6], rtol=1e-4)


def test_lower_ranks_have_the_least_error_there_is(ratings: Interactions, vectors):
    whole = SemanticFactors(rank=6).with_vectors(vectors).fit(ratings).score(ratings.matrix())
    two = SemanticFactors(rank=2).with_vectors(vectors).fit(ratings)
    rest = np.linalg.svd(whole, compute_uv=False)[2:]
    assert np.linalg.norm(whole - two.score(ratings.matrix())) == pytest.approx(np.sqrt((rest**2).sum()), rel=1e-3)
    np.testing.assert_allclose(two.item_factors.T @ two.item_factors, np.eye(2), atol=1e-5)


def test_weight_zero_is_als_and_weight_one_the_association(ratings: Interactions, vectors):
    histories = ratings.matrix("binary")
    als = ALS(factors=8).fit(ratings)
    fused = {w: SemanticFusion(weight=w, factors=8).with_vectors(vectors).fit(ratings) for w in (0.0, 1.0)}
    assert np.array_equal(recommend(fused[0.0], histories, 5), recommend(als, histories, 5))
    alone = SemanticFactors(values="binary").with_vectors(vectors).fit(ratings)
    assert np.array_equal(recommend(fused[1.0], histories, 5), recommend(alone, histories, 5))
    gated = SemanticFusion(weight=0.0, fusion="product", factors=8).with_vectors(vectors).fit(ratings)
    assert np.array_equal(recommend(gated, histories, 5), recommend(als, histories, 5))


def test_the_sum_is_the_sum_and_the_product_the_product(ratings: Interactions, vectors):
    histories = ratings.matrix("binary")
    a = ALS(factors=8).fit(ratings).score(histories)
    s = SemanticFactors(values="binary").with_vectors(vectors).fit(ratings).score(histories)
    a = a / a.std(axis=1, keepdims=True)
    added = SemanticFusion(weight=0.25, factors=8).with_vectors(vectors).fit(ratings).score(histories)
    np.testing.assert_allclose(added, 0.75 * a + 0.25 * s / s.std(axis=1, keepdims=True), atol=1e-3)
    gate = 1 + 0.25 * s / np.abs(s).max(axis=1, keepdims=True)
    times = SemanticFusion(weight=0.25, fusion="product", factors=8).with_vectors(vectors).fit(ratings)
    np.testing.assert_allclose(times.score(histories), a * gate, atol=1e-3)


def test_cold_items_are_served_by_the_sum_and_not_by_the_product(ratings: Interactions, vectors):
    warm = ratings.only(ratings.item < 20)
    scores = {
        kind: SemanticFusion(fusion=kind, factors=8).with_vectors(vectors).fit(warm).score(warm.matrix())
        for kind in ("sum", "product")
    }
    assert np.ptp(scores["sum"][:, 20:], axis=1).min() > 0
    assert not scores["product"][:, 20:].any()


def test_rows_of_products_give_products_of_rows():
    rng = np.random.default_rng(0)
    (u, v), (p, q) = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 2))
    np.testing.assert_allclose(khatri_rao(u, p) @ khatri_rao(v, q).T, (u @ v.T) * (p @ q.T))
    np.testing.assert_allclose(side_by_side(u, p) @ side_by_side(v, q).T, u @ v.T + p @ q.T)


def test_texts_that_are_all_empty_leave_behaviour_or_popularity(ratings: Interactions):
    histories, nothing = ratings.matrix("binary"), np.zeros((30, 6), np.float32)
    als = ALS(factors=8).fit(ratings)
    for fusion in ("sum", "product"):
        fused = SemanticFusion(fusion=fusion, factors=8).with_vectors(nothing).fit(ratings)
        assert np.array_equal(recommend(fused, histories, 5), recommend(als, histories, 5))
    for make in (SemanticFactors, AttentionProfile):
        scores = make().with_vectors(nothing).fit(ratings).score(histories)
        assert np.array_equal(scores, np.tile(als.popular, (len(scores), 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionProfile(temperature=0), "temperature must be at least 0.01; got 0"),
        (lambda: SemanticFactors(rank=0), "rank must be a positive number"),
        (lambda: SemanticFusion(weight=1.5), r"weight must lie in 0..1"),
        (lambda: SemanticFusion(fusion="max"), "fusion be one of sum, product; got 0.3, 'max'"),
        (lambda: khatri_rao(np.ones((2, 1)), np.ones((3, 1))), "got 2 and 3"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(Problem, match=message):
        make()


def test_vectors_and_dislikes_are_checked(ratings: Interactions, vectors):
    with pytest.raises(Problem, match="learns from item vectors and has none"):
        SemanticFusion().fit(ratings)
    model = AttentionProfile(values="value").with_vectors(vectors).fit(ratings)
    with pytest.raises(Problem, match="needs 0 or more"):
        model.score(-ratings.matrix())
