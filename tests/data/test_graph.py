"""A graph of five facts that can be drawn on paper, and the real one: its links are right only when read by title."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import load
from recutils.data.graph import facts_of_items, graph_of, graph_of_columns, inverses, load_graph, one_way
from recutils.tables import Dataset, Interactions, Problem

FACTS = pd.DataFrame(
    [
        ("f1", "made_by", "ann"), ("f2", "made_by", "ann"), ("ann", "made", "f1"), ("ann", "made", "f2"),
        ("f1", "genre", "war"), ("f1", "genre", "war"), ("f3", "genre", "war"),
    ],
    columns=["head", "relation", "tail"],
)  # fmt: skip
LINKS = pd.DataFrame({"item_id": ["1", "2", "9"], "entity": ["f1", "f2", "f9"]})


@pytest.fixture
def data():
    rows = pd.DataFrame({"user": [0, 0, 0], "item": [0, 1, 2], "value": 1.0})
    items = pd.DataFrame({"item_id": ["1", "2", "3"], "title": ["one", "two", "three"]})
    return Dataset("own", Interactions(rows, 1, 3), pd.DataFrame({"user_id": ["u"]}), items, explicit=False)


@pytest.fixture
def graph(data):
    return graph_of(FACTS, LINKS, data)


def test_facts_count_once_and_links_keep_the_items_order(graph):
    assert len(graph) == 6
    assert graph.linked.tolist() == [True, True, False]
    assert list(graph.entities.ids(graph.item_entity[:2])) == ["f1", "f2"]
    assert graph.counts().facts.tolist() == [2, 2, 2]


def test_the_inverse_is_named_with_what_it_repeats(graph):
    assert inverses(graph) == {"made": "made_by"}
    assert len(one_way(graph)) == 4


def test_a_core_drops_entities_seen_once(graph):
    core = one_way(graph).core(2)
    assert len(core) == 0, "each of the three chains ends in an entity with one fact"
    assert len(one_way(graph).without("genre")) == 2


def test_items_share_facts(graph):
    facts = facts_of_items(one_way(graph), least=2)
    assert facts.shape == (3, 1), "only ann is shared by two items"
    assert facts.toarray().tolist() == [[1], [1], [0]]
    assert facts_of_items(one_way(graph), least=1).shape == (3, 2)


def test_entities_that_no_item_or_fact_knows_stay_without_facts(data):
    found = graph_of(FACTS, pd.DataFrame({"item_id": ["3"], "entity": ["unheard of"]}), data)
    assert found.linked.tolist() == [False, False, True]
    assert found.degree[found.item_entity[2]] == 0


@pytest.mark.parametrize(
    ("facts", "links", "message"),
    [
        (FACTS[["head", "tail"]], LINKS, "missing \\['relation'\\]"),
        (FACTS.head(0), LINKS, "has no facts"),
        (FACTS, pd.concat([LINKS, LINKS.head(1)]), "linked to two entities"),
    ],
)
def test_broken_tables_are_refused(data, facts, links, message):
    with pytest.raises(Problem, match=message):
        graph_of(facts, links, data)


def test_columns_become_facts(data):
    items = data.items.assign(genres=["war, love", "war", ""], blurb=["a b", "c", "d"])
    made = graph_of_columns(Dataset("own", data.interactions, data.users, items, explicit=False))
    assert made.relations == ("genres",), "a blurb is said once each, so it is no fact"
    assert facts_of_items(made, least=1).sum(axis=1).ravel().tolist() == [[2, 1, 0]]
    with pytest.raises(Problem, match="no column of the items"):
        graph_of_columns(data)


def test_own_data_come_without_a_graph(data):
    with pytest.raises(Problem, match="no graph comes with own; expected ml-100k or ml-1m"):
        load_graph(data)


@pytest.fixture(scope="module")
def films():
    return load.load("ml-100k")


def animated(graph, data):
    """Share of animated films that have the graph's genre of animated films, and of the other films."""
    genre = graph.triples[graph.triples[:, 1] == graph.relations.index("film.film.genre")]
    kind = graph.entities.rows(pd.Series(["m.0hcr"]))[0]
    has = np.isin(graph.item_entity[graph.linked], genre[genre[:, 2] == kind, 0])
    drawn = data.items.genres.str.contains("Animation").to_numpy()[graph.linked]
    return has[drawn].mean(), has[~drawn].mean()


def test_links_by_title_agree_with_the_genres_and_the_packaged_ones_do_not(films):
    right, wrong = (animated(load_graph(films, links), films) for links in ("by title", "as packaged"))
    assert right[0] > 0.9 > 0.02 > right[1]
    assert wrong[0] < 0.1, "else the package has been mended, and the notebook's first section is out of date"


def test_the_published_counts(films):
    graph = load_graph(films)
    assert (len(graph), len(graph.relations), int(graph.linked.sum())) == (91_631, 24, 1_488)
    assert int(load_graph(films, "as packaged").linked.sum()) == 1_598
    assert inverses(graph)["film.director.film"] == "film.film.directed_by"
    with pytest.raises(Problem, match="by title, as packaged"):
        load_graph(films, "by id")
