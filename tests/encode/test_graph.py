"""TransE on a graph with one answer, ranks by hand, and rules that only look up."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.graph import Graph
from recutils.encode.graph import fit_transe, held_out, tail_frequency, tail_ranks, turned_facts
from recutils.tables import Ids, Problem


def planted(n=30):
    """Item i has director i % 3 and genre 3 + i % 2, entities n + those."""
    facts = [(i, 0, n + i % 3) for i in range(n)] + [(i, 1, n + 3 + i % 2) for i in range(n)]
    return Graph(
        np.array(facts, dtype=np.int32),
        Ids(pd.Series([f"e{i}" for i in range(n + 5)])),
        ("by", "genre"),
        np.append(np.arange(n), -1).astype(np.int32),
    )


@pytest.fixture(scope="module")
def fitted():
    return fit_transe(planted(), d=8, epochs=80, batch=16, negatives=16, learning_rate=0.05, seed=1)


def test_transe_learns_what_can_be_learnt(fitted):
    graph = planted()
    ranks = tail_ranks(fitted.scores, graph, graph)
    assert np.mean(ranks == 1) > 0.95


def test_items_with_the_same_facts_lie_together(fitted):
    vectors = fitted.of_items(planted())
    assert not vectors[30].any(), "what is not linked gets zeros"
    near = ((vectors[:30, None] - vectors[None, :30]) ** 2).sum(axis=2)
    assert near[0, 6] < near[0, 1], "0 and 6 share both facts, 0 and 1 none"
    assert np.allclose(vectors[:30].mean(axis=0), 0, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes():
    one, two = (fit_transe(planted(), d=4, epochs=2, batch=16, negatives=8, seed=3) for _ in range(2))
    assert one.entities.tobytes() == two.entities.tobytes()
    other = fit_transe(planted(), d=4, epochs=2, batch=16, negatives=8, seed=4)
    assert one.entities.tobytes() != other.entities.tobytes()


def test_ranks_leave_other_true_tails_out_and_share_ties():
    graph = Graph(
        np.array([[0, 0, 1], [0, 0, 2], [0, 0, 3]], dtype=np.int32), Ids(pd.Series(list("abcd"))), ("r",), np.array([0])
    )
    asked = graph.only([2])
    table = np.array([[0.5, 9.0, 8.0, 0.1]])  # two better answers are true themselves
    assert tail_ranks(lambda heads, relations: table[: len(heads)], asked, graph).tolist() == [2.0]
    flat = np.zeros((1, 4))
    assert tail_ranks(lambda heads, relations: flat, asked, graph).tolist() == [1.5], "places 1 and 2, shared"


def test_frequency_knows_the_commonest_tail():
    graph = planted()
    counts = tail_frequency(graph)(np.array([0]), np.array([1]))
    assert counts[0, 33] == counts[0, 34] == 15


def test_a_fact_said_backwards_is_found():
    facts = np.array([[0, 0, 1], [1, 1, 0], [2, 1, 0]], dtype=np.int32)
    graph = Graph(facts, Ids(pd.Series(list("abc"))), ("by", "made"), np.array([0]))
    scores = turned_facts(graph, {"made": "by"})(np.array([0, 1]), np.array([0, 1]))
    assert scores.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_held_out_facts_name_only_known_entities():
    rest, out = held_out(planted(), 0.3, 1)
    assert len(rest) + len(out) <= 60
    assert len(out) > 0
    assert (rest.degree > 0)[out.triples[:, [0, 2]]].all()


def test_no_facts_and_a_bursting_loss_are_told():
    with pytest.raises(Problem, match="the graph has none"):
        fit_transe(planted().only(np.zeros(60, dtype=bool)))
    with pytest.raises(Problem, match="smaller learning_rate"):
        fit_transe(planted(), d=4, epochs=50, learning_rate=1e19)
