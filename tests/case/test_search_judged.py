"""Case 81: the frozen files belong together; grades, verdicts and histories on data of known answers."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.case import search_judged as case
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.records import Record
from recutils.tables import TITLE, Dataset, Ids, Interactions, Problem


def test_the_phrases_are_frozen():
    path = case.JUDGMENTS / "search_phrases.csv"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "e974142f830a3a46ad149b5c9baea78ce68a429b30b80c2a2ab5c22fc02c3484", "the judgments belong to these"
    phrases = case.read_phrases()
    assert (phrases.part == "judged").sum() == 50 and phrases.phrase_id.is_unique
    assert phrases.phrase[phrases.kind == "empty"].tolist() == ["", "   "]


def test_the_judgments_belong_to_the_phrases_and_have_two_readings():
    phrases = case.read_phrases()
    rows = pd.read_csv(case.JUDGMENTS / "search_judgments.csv", dtype=str, keep_default_na=False)
    assert set(rows.phrase_id) == set(phrases.phrase_id[phrases.part == "judged"])
    assert not rows.duplicated(["phrase_id", "item_id"]).any() and rows.pair_id.is_unique
    assert rows.pass1.isin(list("012")).all() and rows.pass2.isin(list("012")).all()


@pytest.fixture
def folder(tmp_path):
    rows = "a,p1,x,2,0\nb,p1,gone,1,1\nc,p2,y,1,2\n"
    (tmp_path / "search_judgments.csv").write_text("pair_id,phrase_id,item_id,pass1,pass2\n" + rows)
    return tmp_path


def test_pairs_of_items_outside_the_catalogue_are_left_out(folder):
    phrases = pd.DataFrame({"phrase_id": ["p1", "p2"]})
    pairs = case.read_judgments(Ids(["y", "x"]), phrases, folder)
    assert pairs.to_dict("list") == {"query": [0, 1], "item": [1, 0], "first": [2, 1], "second": [0, 2]}
    assert case.judged_items(folder) == ["x", "gone", "y"]
    with pytest.raises(Problem, match="unknown ids"):
        case.read_judgments(Ids(["y", "x"]), phrases[:1], folder)


@pytest.mark.parametrize(("rule", "grade"), [("mean", 1), ("lower", 0), ("first reading", 2), ("second reading", 0)])
def test_two_readings_become_one_grade(folder, rule, grade):
    pairs = case.read_judgments(Ids(["y", "x"]), pd.DataFrame({"phrase_id": ["p1", "p2"]}), folder)
    table = case.settled(pairs, rule, (2, 2))
    assert table[0, 1] == grade and np.isnan(table[0, 0])
    with pytest.raises(Problem, match="no rule"):
        case.settled(pairs, "higher", (2, 2))


def test_a_missing_reading_and_a_missing_file_are_told(folder):
    path = folder / "search_judgments.csv"
    path.write_text(path.read_text().replace("a,p1,x,2,0", "a,p1,x,2,"))
    with pytest.raises(Problem, match="lack a grade"):
        case.read_judgments(Ids(["y", "x"]), pd.DataFrame({"phrase_id": ["p1", "p2"]}), folder)
    with pytest.raises(Problem, match="missing"):
        case.read_phrases(folder)


def record(delta, low, high):
    about = dict.fromkeys(("notebook", "dataset", "protocol", "split", "metric"), "x")
    return Record(**about, model="a", value=0.5, n=50, seed=1, against="b", delta=delta, delta_low=low, delta_high=high)


@pytest.mark.parametrize(
    ("one", "said"),
    [((0.2, 0.1, 0.3), "ahead"), ((-0.2, -0.3, -0.1), "behind"), ((0.2, -0.1, 0.4), "undecided"),
     ((0.01, -0.02, 0.03), "too little to matter"), ((0.02, 0.01, 0.03), "too little to matter"),
     ((0.04, 0.01, 0.07), "undecided")],
)  # fmt: skip
def test_verdicts(one, said):
    assert case.verdict(record(*one), 0.05) == said


def test_a_planted_difference_is_found_and_none_where_there_is_none():
    rng = np.random.default_rng(1)
    base = rng.random(50)
    values = {"a": base, "same": base + rng.normal(0, 1e-3, 50), "better": base + 0.2}
    better, same = case.compared(values, [("better", "a"), ("same", "a")], seed=1, draws=500, notebook="x", dataset="x",
                                 protocol="x", split="x", metric="graded_ndcg", group="x")  # fmt: skip
    assert better.delta == pytest.approx(0.2) and better.p_holm < 0.01 and better.low < better.value < better.high
    assert same.delta_low < 0 < same.delta_high and same.p_holm > 0.05
    [quiet] = case.compared(values, [("better", "a")], seed=1, draws=500, tested=False, notebook="x", dataset="x",
                            protocol="x", split="x", metric="graded_ndcg", group="x")  # fmt: skip
    assert quiet.p is None and quiet.p_holm is None and quiet.delta == better.delta


def test_sameness_of_copies_is_one_and_of_strangers_zero():
    lists = np.array([[0, 1], [0, 2]])
    views = {"dense": np.array([[1, 0], [2, 0], [0, 1.0]]), "sparse": sparse.csr_matrix([[1, 0], [1, 0], [0, 1.0]])}
    for found in case.sameness(lists, views).values():
        assert found == pytest.approx([1, 0])


def test_a_history_orders_what_the_query_leaves_open():
    """Two tribes buy green or brown things: the word alone cannot tell them apart, a history can."""
    rng = np.random.default_rng(2)
    names = [
        f"{colour} {thing}"
        for colour in ("green", "brown")
        for thing in ("large mugs", "small mugs", "wall mugs", "tiny mugs")
    ]
    rows = [(user, item + 4 * (user % 2)) for user in range(200) for item in range(4)]
    rows += [(user, int(rng.integers(8))) for user in range(40)]
    table = pd.DataFrame(rows, columns=["user", "item"]).drop_duplicates().assign(value=1.0)
    items = pd.DataFrame({"item_id": names, TITLE: names})
    users = pd.DataFrame({"user_id": [str(user) for user in range(200)]})
    data = Dataset("planted", Interactions(table, 200, 8), users, items, False)
    vectors = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
    asked = case.asked_with_history(data, vectors, [1.0], 2, seed=1)
    level = {name: np.nanmean(ndcg(lists, asked.truth, 2)) for name, lists in asked.lists.items()}
    assert level["query + EASE"] > level["query alone"] + 0.1 and level["query + text"] > level["query alone"] + 0.1
    few = case.asked_with_history(data, vectors, [1.0], 2, people=50, seed=1)
    assert len(few.rules.users) == 50 == len(few.lists["query alone"]) and set(few.rules.users) < set(asked.rules.users)
    assert asked.shares["EASE"] == (1.0, 1.0) and len(asked.queries) == len(asked.rules.users)
