"""The networks against planted tastes, by-hand numbers and their own pieces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from recutils.model.baselines import Popularity
from recutils.model.lightgcn import LightGCN, graph
from recutils.model.network import Embeddings, Events, Network, RankingNetwork, above
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem

LEARNT = {"epochs": 40, "learning_rate": 0.02}


def own_half(lists: np.ndarray) -> float:
    """Share of listed items in the half that the user likes (planted: equal parity)."""
    return float(np.mean(lists % 2 == np.arange(len(lists))[:, None] % 2))


def test_the_network_adds_up() -> None:
    module = Embeddings(2, 3, 2, mean=3.0)
    with torch.no_grad():
        module.vectors[0][1] = torch.tensor([1.0, 2.0])
        module.vectors[1][2] = torch.tensor([0.5, -1.0])
        module.biases[0][1], module.biases[1][2] = 0.25, -0.5
    one = module(torch.tensor([1]), torch.tensor([2]))
    assert one.item() == pytest.approx(3 + 0.25 - 0.5 + 0.5 - 2.0)
    assert module.squares(torch.tensor([1]), torch.tensor([2])).item() == pytest.approx(5 + 1.25 + 0.0625 + 0.25)
    wide = module(torch.tensor([[1], [0]]), torch.tensor([[2, 0], [1, 1]]))
    assert wide.shape == (2, 2) and wide[0, 0].item() == pytest.approx(one.item())


def test_ratings_of_planted_tastes_are_predicted(ratings: Interactions) -> None:
    held = np.arange(len(ratings)) % 5 == 0
    test, rest = ratings.only(held), ratings.only(~held)

    def missed(**options: int) -> float:
        guess = Network(**LEARNT, **options).fit(rest).predict(test.user.to_numpy(), test.item.to_numpy())
        return float(np.abs(guess - test.value).mean())

    assert missed(factors=4) < 0.7 * missed(factors=0), "the two tastes are not in the biases"
    model = Network(**LEARNT, factors=4).fit(rest)
    plain = Network(**LEARNT, biases=False).fit(rest)
    assert not plain.user_bias.any() and not plain.item_bias.any()
    assert own_half(recommend(model, rest.matrix(), 5)) > 0.9


def test_biases_alone_are_a_network_without_factors(ratings: Interactions) -> None:
    model = Network(factors=0).fit(ratings)
    guess = model.predict(np.array([0, 0, 1]), np.array([3, 4, 3]))
    by_hand = model.mean[0] + model.user_bias[[0, 0, 1]] + model.item_bias[[3, 4, 3]]
    np.testing.assert_allclose(guess, np.clip(by_hand, 1, 5))


def test_rows_without_training_events_add_nothing(ratings: Interactions) -> None:
    model = Network().fit(ratings.only((ratings.user > 0) & (ratings.item > 0)))
    for name in ("user_factors", "item_factors", "user_bias", "item_bias"):
        assert not getattr(model, name)[0].any() and getattr(model, name)[1].any()


def test_drawn_items_were_not_met_and_the_loss_is_bprs(ratings: Interactions) -> None:
    events = Events(ratings, batch=64, others=3)
    known = ratings.matrix("binary").toarray()
    rows = 0
    for users, items, others in events(0, np.random.default_rng(0)):
        assert known[users, items].all() and not known[users[:, None], others].any()
        rows += len(users)
    assert rows == len(ratings)
    met, other = torch.tensor([1.0, -2.0]), torch.tensor([[0.5], [1.0]])
    torch.testing.assert_close(above(met, other), -torch.nn.functional.logsigmoid(met - other[:, 0]))


@pytest.mark.parametrize("make", [RankingNetwork, LightGCN])
def test_planted_tastes_are_ranked_for_known_and_new_histories(make: type, ratings: Interactions) -> None:
    liked = ratings.only(ratings.value.to_numpy() > 3)
    model, histories = make(**LEARNT).fit(liked), liked.matrix()
    assert own_half(recommend(Popularity().fit(liked), histories, 5)) < 0.7
    assert own_half(recommend(model, histories, 5)) > 0.9
    fewer = histories.copy()
    fewer.data[fewer.indptr[:-1]] = 0
    fewer.eliminate_zeros()  # nobody's history any more: folded in
    assert own_half(recommend(model, fewer, 5)) > 0.9


def test_the_graph_is_normalised_and_symmetric() -> None:
    known = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0]], dtype=np.float32))
    table = graph(known).to_dense().numpy()
    np.testing.assert_allclose(table, table.T)
    assert table[0, 2] == pytest.approx(1 / 2) and table[0, 3] == pytest.approx(1 / np.sqrt(2)) and table[0, 1] == 0


def test_lightgcn_equals_message_passing_over_edges(ratings: Interactions) -> None:
    from torch_geometric.nn.models import LightGCN as Reference

    known = ratings.matrix("binary").tocoo()
    users, items = torch.from_numpy(known.row.astype(np.int64)), torch.from_numpy(known.col.astype(np.int64))
    items = items + ratings.n_users
    edges = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    torch.manual_seed(0)
    slow = Reference(ratings.n_users + ratings.n_items, 8, 3)
    fast = Reference(ratings.n_users + ratings.n_items, 8, 3, normalize=False)
    fast.load_state_dict(slow.state_dict())
    torch.testing.assert_close(fast.get_embedding(graph(ratings.matrix("binary"))), slow.get_embedding(edges))


def test_watching_keeps_the_best_epoch_and_writes_events(ratings: Interactions, tmp_path: Path) -> None:
    looks = iter([0.1, 0.5, 0.4, 0.3, 0.2])
    seen = []

    def value(model: Network) -> float:
        seen.append(model.item_factors.copy())
        return next(looks)

    model = Network(epochs=30).watched(value, patience=2, events=tmp_path).fit(ratings)
    assert model.history.best == 1 and len(model.history.values) == 4, "two epochs without a better value"
    assert np.array_equal(model.item_factors, seen[1]), "the weights of the best epoch are kept"
    assert list(tmp_path.glob("events*"))
    short = Network(epochs=2).fit(ratings)
    assert np.array_equal(short.item_factors, model.item_factors), "the same as training for two epochs"
    with pytest.raises(Problem, match="needs a value"):
        Network().watched(patience=1)


def test_misuse_is_named(ratings: Interactions) -> None:
    with pytest.raises(Problem, match="factors and reg"):
        Network(reg=-1.0)
    with pytest.raises(Problem, match="layers"):
        LightGCN(layers=0)
    for make in (RankingNetwork, LightGCN):
        disliked = Interactions(ratings.rows.assign(value=-1.0), ratings.n_users, ratings.n_items)
        with pytest.raises(Problem, match="strength of liking"):
            make().fit(disliked)
