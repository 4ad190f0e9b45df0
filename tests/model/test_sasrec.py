"""SASRec on planted walks: it looks back and never ahead, learns order, stands aside for strangers, reads text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from recutils.data.order import sequences
from recutils.model.sasrec import SASRec, TextSASRec, chunks, principal
from recutils.model.transformer import Network, causal_mask
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem
from tests.model.test_sequence import history, walks

SMALL = {"length": 6, "factors": 16, "batch": 16, "learning_rate": 0.02, "dropout": 0.0}


def test_it_learns_that_only_order_tells_what_is_next() -> None:
    train = walks(n_users=60)
    model = SASRec(epochs=25, **SMALL).fit(train)
    newest = train.rows.sort_values("time").groupby("user").item.last().to_numpy()
    assert (recommend(model, train.matrix(), 1)[:, 0] == (newest + 1) % 12).mean() > 0.95
    assert model.score(history([7, 2])).argmax() == 3 and model.score(history([2, 7])).argmax() == 8
    assert model.history.losses[-1] < 0.5 * model.history.losses[0]


def network(heads: int = 2) -> Network:
    torch.manual_seed(0)
    return Network(torch.randn(9, 8), None, 5, blocks=2, heads=heads, dropout=0.5).eval()


def test_no_position_sees_a_later_one_or_the_filling() -> None:
    module = network()
    read = torch.tensor([[-1, 3, 1, 4, 2]])
    before, weights = module(read, module.items())
    changed, _ = module(torch.tensor([[-1, 3, 1, 4, 8]]), module.items())
    assert torch.equal(before[0, :4], changed[0, :4]) and not torch.allclose(before[0, 4], changed[0, 4])
    assert weights.shape == (1, 2, 5, 5)
    assert (weights.triu(1) == 0).all() and (weights[..., 1:, 0] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 5))
    assert causal_mask(torch.tensor([[False, True]])).tolist() == [[[True, False], [False, True]]]


def test_attention_is_that_of_torch() -> None:
    """One head against torch's own scaled_dot_product_attention."""
    module = network(heads=1).blocks[0].attention
    hidden, mask = torch.randn(3, 5, 8), causal_mask(torch.ones(3, 5, dtype=torch.bool))
    query, key, value = module.query(hidden), module.key(hidden), module.value(hidden)
    wanted = module.out(torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))
    torch.testing.assert_close(module(hidden, mask)[0], wanted)


def test_windows_make_each_event_a_target_once() -> None:
    train = walks(n_users=5, length=6)
    found = sequences(train)
    every = chunks(found, 2, every=True)
    assert every.shape == (15, 3)
    for user in range(5):
        targets = np.concatenate([row[1:][row[:-1] >= 0] for row in every[3 * user : 3 * user + 3][::-1]])
        assert targets.tolist() == found.of(user)[1:].tolist()
    assert chunks(found, 2, every=False).tolist() == [found.of(user)[-3:].tolist() for user in range(5)]
    alone = sequences(Interactions(train.rows.drop_duplicates("user"), 5, 12))
    assert len(chunks(alone, 2, every=True)) == 0


def test_items_nobody_met_come_last_and_are_passed_over_in_histories() -> None:
    rows = walks().rows.query("item < 10")
    train = Interactions(rows, 30, 12)
    model = SASRec(epochs=2, **SMALL).fit(train)
    scores = model.score(history([3, 4]))
    assert (scores[0, 10:] == scores[0, :10].min()).all()
    assert np.array_equal(model.score(history([3, 10, 4, 11])), scores), "nothing is known of items 10 and 11"
    assert np.array_equal(model.score(history([10])), model.popular[None])


def test_text_only_scores_items_nobody_met_by_their_text() -> None:
    """Items 10 and 11 are the text twins of 4 and 5, and get their scores."""
    rows = walks().rows.query("item < 10")
    vectors = np.eye(12, 10, dtype=np.float32)
    vectors[10, 4] = vectors[11, 5] = 1
    model = TextSASRec(text="only", epochs=30, **SMALL).with_vectors(vectors).fit(Interactions(rows, 30, 12))
    scores = model.score(history([2, 3]))[0]
    np.testing.assert_allclose(scores[[10, 11]], scores[[4, 5]], rtol=1e-5)
    assert set(np.argsort(-scores)[:2]) == {4, 10}
    assert np.isfinite(model.score(history([10]))).all() and model.score(history([10])).argmax() in (5, 11)


def test_text_start_begins_at_the_principal_components() -> None:
    train, vectors = walks(), np.random.default_rng(0).normal(3, 1, size=(12, 30)).astype(np.float32)
    model = TextSASRec(text="start", factors=8).with_vectors(vectors)
    model.n_items = 12
    table = model._new_network().items().detach().numpy()
    wanted = principal(vectors - vectors.mean(axis=0), 8)
    np.testing.assert_allclose(np.corrcoef(table.ravel(), wanted.ravel())[0, 1], 1, rtol=1e-6)
    assert np.sqrt(np.mean(table**2)) == pytest.approx(0.02, rel=1e-5), "as large as a random start"
    narrow = TextSASRec(text="start", factors=8).with_vectors(vectors[:, :3])
    narrow.n_items = 12
    drawn = SASRec(factors=8)
    drawn.n_items = 12
    parts = [found._new_network().items().detach().numpy()[:, 3:] for found in (narrow, drawn)]
    assert np.array_equal(*parts), "what text does not fill starts as without text"
    assert train.n_items == 12


def test_sparse_vectors_are_read_like_dense_ones() -> None:
    vectors = sparse.random(12, 20, density=0.3, random_state=0, format="csr")
    scores = [
        TextSASRec(epochs=2, **SMALL).with_vectors(given).fit(walks()).score(history([1, 2]))
        for given in (vectors, vectors.toarray())
    ]
    assert np.array_equal(*scores)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    train = walks()
    whole = SASRec(epochs=4, length=6, factors=16).fit(train)
    SASRec(epochs=2, length=6, factors=16).with_training(checkpoint=tmp_path).fit(train)
    resumed = SASRec(epochs=4, length=6, factors=16).with_training(checkpoint=tmp_path).fit(train)
    assert np.array_equal(whole.weights, resumed.weights)
    other = train.only(train.user.to_numpy() > 0)
    for model, part in ((SASRec(epochs=4, length=6, factors=16), other), (SASRec(length=6, factors=8), train)):
        with pytest.raises(Problem, match="another training"):
            model.with_training(checkpoint=tmp_path).fit(part)


def test_validation_sees_the_model_and_the_best_epoch_stays() -> None:
    train, seen = walks(), []

    def value(model: SASRec) -> float:
        seen.append(model.score(train.matrix()))
        return -float(len(seen))

    model = SASRec(epochs=3, **SMALL).with_training(validate=value).fit(train)
    assert model.history.values == (-1, -2, -3)
    assert np.array_equal(model.score(train.matrix()), seen[0])


def test_attention_of_one_history_sums_to_one() -> None:
    train = walks()
    items, weights = SASRec(epochs=1, **SMALL).fit(train).attention(history([4, 2, 9]))
    assert items.tolist() == [4, 2, 9] and weights.sum() == pytest.approx(1, rel=1e-5) and (weights > 0).all()


def test_misuse_is_named() -> None:
    with pytest.raises(Problem, match="factors must divide by heads"):
        SASRec(factors=10, heads=3)
    with pytest.raises(Problem, match="text must be 'start' or 'only'; got 'first'"):
        TextSASRec(text="first")
    with pytest.raises(TypeError, match="epoch"):
        TextSASRec(epoch=3)
    with pytest.raises(Problem, match="learns from item vectors and has none"):
        TextSASRec().fit(walks())
    with pytest.raises(Problem, match="no network before it was fitted"):
        SASRec().network()
