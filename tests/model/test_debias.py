"""Propensities by hand, weights that must find what was planted, and pairs whose taste the text hides."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.content import ContentProfile
from recutils.model.debias import ContrastiveProfile, DividedALS, Pairs, WeightedALS, info_nce, propensities
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem

each_weighting = pytest.mark.parametrize("make", [WeightedALS, DividedALS], ids=lambda make: make.name)
SMALL = {"factors": 8, "alpha": 1.0, "iterations": 5}


def events(pairs: list[tuple[int, int]], n_users: int, n_items: int) -> Interactions:
    users, items = zip(*pairs, strict=True)
    return Interactions(pd.DataFrame({"user": users, "item": items, "value": 1.0}), n_users, n_items)


@pytest.fixture
def skewed() -> Interactions:
    """60 people, 30 items: item r is met by a share 1 / (r + 1) of the people, taste plays no role."""
    met = np.random.default_rng(1).random((60, 30)) < 1 / np.arange(1, 31)
    return events([(int(u), int(i)) for u, i in zip(*np.nonzero(met), strict=True)], 60, 30)


def test_propensities_by_hand() -> None:
    counts = np.array([16, 4, 1, 0])
    assert propensities(counts, 0.5, floor=0.01).tolist() == [1, 0.5, 0.25, 0.01]
    assert propensities(counts, 1.0, floor=0.1).tolist() == [1, 0.25, 0.1, 0.1]
    assert propensities(counts, 0.0).tolist() == [1, 1, 1, 1]
    assert propensities(np.full(3, 7), 2.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("counts", [[0, 0], [1, -1], [1, np.nan], [[1, 2]], []])
def test_bad_counts_are_named(counts: list) -> None:
    with pytest.raises(Problem, match="counts must be one row"):
        propensities(np.array(counts, dtype=float))


@each_weighting
def test_bad_settings_are_named(make: type[ALS]) -> None:
    for eta in (-0.1, np.nan):
        with pytest.raises(Problem, match="eta must be 0 or more"):
            make(eta=eta)
    for floor in (0.0, 1.1, -1.0, np.nan):
        with pytest.raises(Problem, match="floor must lie above 0"):
            make(floor=floor)


@each_weighting
def test_without_power_or_without_a_difference_it_is_als(make: type[ALS], skewed: Interactions) -> None:
    plain = ALS(**SMALL).fit(skewed).score(skewed.matrix())
    assert np.array_equal(make(eta=0.0, **SMALL).fit(skewed).score(skewed.matrix()), plain)
    assert np.array_equal(make(eta=1.0, floor=1.0, **SMALL).fit(skewed).score(skewed.matrix()), plain)
    ring = events([(u, (u + step) % 12) for u in range(12) for step in range(4)], 12, 12)
    same = make(eta=1.0, **SMALL).fit(ring).score(ring.matrix())
    assert np.array_equal(same, ALS(**SMALL).fit(ring).score(ring.matrix())), "all items are equally popular"


@each_weighting
def test_a_larger_power_shows_less_popular_items(make: type[ALS]) -> None:
    chance = np.arange(1, 61.0) ** -0.7 * np.where(np.arange(60) % 2 == np.arange(200)[:, None] % 2, 1, 0.1)  # 2 tastes
    met = np.argwhere(np.random.default_rng(1).random((200, 60)) < chance)
    train = events([(int(user), int(item)) for user, item in met], 200, 60)
    counts, shown = np.bincount(train.item, minlength=60), []
    for eta in (0.0, 0.5, 1.0):
        model = make(eta=eta, floor=0.02, **SMALL).fit(train)
        shown.append(counts[recommend(model, train.matrix(), 5)].mean())
    assert shown[0] > 1.1 * shown[1] > 1.1 * 1.1 * shown[2], shown


def test_weights_have_mean_one_and_fall_with_popularity(skewed: Interactions) -> None:
    model = WeightedALS(eta=1.0, floor=0.001, **SMALL).fit(skewed)
    assert model.weights[skewed.item].mean() == pytest.approx(1, rel=1e-5)
    counts = np.bincount(skewed.item, minlength=30)
    met = counts > 0
    np.testing.assert_allclose(model.weights[met] * counts[met], model.weights[0] * counts[0], rtol=1e-5)


def test_division_by_hand(skewed: Interactions) -> None:
    plain = ALS(**SMALL).fit(skewed).score(skewed.matrix())
    divided = DividedALS(eta=1.0, floor=0.1, **SMALL).fit(skewed).score(skewed.matrix())
    counts = np.bincount(skewed.item, minlength=30)
    chances = np.maximum(counts / counts.max(), 0.1)
    np.testing.assert_allclose(divided, np.where(plain > 0, plain / chances, plain), rtol=1e-5)
    assert (plain < 0).any()


def test_pairs_are_of_one_person_and_of_two_items(skewed: Interactions) -> None:
    met, told = skewed.matrix("binary").toarray() > 0, np.arange(30) != 3
    pairs = Pairs(skewed, told)
    partners = pairs.partners(np.random.default_rng(0))
    assert (partners != pairs.items).all() and 3 not in pairs.items and 3 not in partners
    together = met.T.astype(int) @ met
    assert (together[pairs.items, partners] > 0).all()
    batches = list(pairs.batches(np.random.default_rng(0), 10))
    assert sorted(torch.cat([one for one, _ in batches]).tolist()) == sorted(pairs.items)
    assert np.exp(pairs.log_share())[np.unique(pairs.items)].sum() == pytest.approx(1, rel=1e-5)


def test_every_partner_is_equally_likely() -> None:
    pairs = Pairs(events([(0, 0), (0, 1), (0, 2), (1, 0)], 2, 3), np.ones(3, dtype=bool))
    assert len(pairs) == 3, "who met one item makes no pair"
    rng = np.random.default_rng(0)
    drawn = np.array([pairs.partners(rng) for _ in range(3000)])
    assert np.mean(drawn[:, 0] == 1) == pytest.approx(0.5, abs=0.04)


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 5.0], [3.0, 0.0, 0.0]])
    anchors, positives = torch.tensor([0, 1, 2]), torch.tensor([5, 6, 5])  # 0 and 2 share a positive
    expected = [np.log(np.exp([2.0, 1.0]).sum()) - 2, np.log(np.exp([0.0, 1, 5]).sum()) - 1, np.log(2.0)]
    assert info_nce(logits, anchors, positives).item() == pytest.approx(np.mean(expected), rel=1e-5)
    masked = info_nce(logits, torch.tensor([6, 1, 2]), positives)  # the second positive is the first's anchor
    assert masked.item() == pytest.approx(np.mean([0, *expected[1:]]), rel=1e-5)


@pytest.fixture
def hidden_taste() -> tuple[Interactions, np.ndarray, np.ndarray]:
    """40 items of two kinds; people meet one kind. The text tells the kind faintly and something else loudly."""
    rng = np.random.default_rng(4)
    kind = np.arange(40) % 2
    loud = rng.normal(size=(40, 6)) * 3
    vectors = np.hstack([loud, (2.0 * kind[:, None] - 1) * 0.7]).astype(np.float32)
    met = [(user, int(item)) for user in range(60) for item in rng.choice(np.flatnonzero(kind == user % 2), 8, False)]
    return events(met, 60, 40), vectors, kind


def test_training_finds_the_taste_that_the_text_hides(hidden_taste: tuple) -> None:
    train, vectors, kind = hidden_taste
    settings = {"epochs": 15, "batch": 64, "learning_rate": 0.03}

    def gap(model: ContentProfile) -> float:
        """Mean cosine within a kind less that across kinds."""
        cosines, alike = model.vectors @ model.vectors.T, kind[:, None] == kind
        return cosines[alike & ~np.eye(40, dtype=bool)].mean() - cosines[~alike].mean()

    model = ContrastiveProfile(**settings).with_vectors(vectors).fit(train)
    assert gap(model) > 1.0 > 0.3 > gap(ContentProfile().with_vectors(vectors).fit(train))
    assert model.history.losses[-1] < model.history.losses[0]
    np.testing.assert_allclose(model.project(vectors), model.vectors, rtol=1e-4, atol=1e-5)


def test_a_popular_item_scores_higher_with_log_q() -> None:
    rng = np.random.default_rng(2)
    met = np.hstack([np.ones((200, 1)), rng.random((200, 19)) < 0.2]) > 0  # item 0 is met by everybody
    train = events([(int(u), int(i)) for u, i in zip(*np.nonzero(met), strict=True)], 200, 20)
    mean = []
    for log_q in (0.0, 1.0):
        model = ContrastiveProfile(log_q=log_q, temperature=0.5, epochs=20, batch=128, learning_rate=0.02)
        model.with_vectors(np.eye(20)).fit(train)
        mean.append((model.vectors @ model.vectors[0])[1:].mean())
    assert mean[1] > mean[0] + 0.1


def test_empty_texts_stay_empty_and_are_in_no_pair(hidden_taste: tuple) -> None:
    train, vectors, _ = hidden_taste
    vectors = np.where(np.arange(40)[:, None] < 5, 0, vectors)
    model = ContrastiveProfile(epochs=1, batch=64).with_vectors(vectors).fit(train)
    assert (model.vectors[:5] == 0).all() and (np.abs(model.vectors[5:]).sum(axis=1) > 0).all()
    assert (model.project(np.zeros((2, 7))) == 0).all()
    nothing = ContrastiveProfile(epochs=1).with_vectors(np.zeros((40, 7))).fit(train)
    assert np.array_equal(nothing.score(train.matrix()[:1])[0], np.bincount(train.item, minlength=40))


def test_untrained_it_is_the_centred_profile() -> None:
    alone = events([(user, user) for user in range(6)], 6, 6)  # nobody met two items: no pair
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    model = ContrastiveProfile().with_vectors(vectors).fit(alone)
    plain = ContentProfile().with_vectors(vectors - vectors.mean(axis=0)).fit(alone)
    np.testing.assert_allclose(model.score(alone.matrix()), plain.score(alone.matrix()), atol=1e-5)


def test_fitting_again_starts_from_the_given_vectors(hidden_taste: tuple) -> None:
    train, vectors, _ = hidden_taste
    model = ContrastiveProfile(epochs=2, batch=64).with_vectors(vectors)
    first = model.fit(train).score(train.matrix())
    assert np.array_equal(model.fit(train).score(train.matrix()), first)


def test_bad_settings_of_the_contrast_are_named(hidden_taste: tuple) -> None:
    for bad in ({"log_q": 1.5}, {"batch": 1}):
        with pytest.raises(Problem, match="log_q must lie in"):
            ContrastiveProfile(**bad)
    for bad in ({"width": 0}, {"temperature": 0}):
        with pytest.raises(Problem, match="must be a positive number"):
            ContrastiveProfile(**bad)
    with pytest.raises(Problem, match="needs dense vectors"):
        ContrastiveProfile().with_vectors(sparse.eye(3, format="csr"))
    with pytest.raises(Problem, match="has none"):
        ContrastiveProfile().fit(hidden_taste[0])
