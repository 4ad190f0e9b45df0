"""Garments, pages and a till that can be checked on paper."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.case import products
from recutils.data.labelled import REVIEW_FILE
from recutils.evaluate.task import Task
from recutils.model.baselines import Popularity
from recutils.rank.rules import mine
from recutils.tables import Interactions, Problem
from recutils.trust.filter import load_rules


@pytest.fixture
def reviews(tmp_path):
    rows = [(1, "Dresses", f"a dress {n}") for n in range(4)] + [(2, "Pants", f"some pants {n}") for n in range(3)]
    rows += [(3, "Dresses", "one only"), (1, "Dresses", "a dress 0"), (2, "Pants", None), (2, "Knits", "mistaken")]
    path = tmp_path / REVIEW_FILE
    pd.DataFrame(rows, columns=["Clothing ID", "Class Name", "Review Text"]).to_parquet(path)
    return tmp_path


def test_garments_keep_enough_reviews_each_and_no_repeated_one(reviews):
    found = products.read_garments(reviews, per=3, least=3)
    assert found.kinds.tolist() == ["Dresses", "Pants"] and len(found.texts) == 6
    assert all("dress" in text for text in found.texts[:3]) and len(set(found.texts)) == 6
    assert found.documents()[0] == " ".join(found.texts[:3])
    vectors = found.vectors(np.arange(12.0).reshape(6, 2))
    assert vectors.tolist() == [[2.0, 3.0], [8.0, 9.0]]
    assert products.read_garments(reviews, per=3, least=3, seed=0).texts == found.texts
    with pytest.raises(Problem, match="garments"):
        products.read_garments(reviews, per=3, least=50)


def test_neighbours_of_one_kind_on_paper():
    kinds = np.array(["a", "a", "b", "b"])
    likeness = np.array([[9, 3, 2, 1], [3, 9, 2, 1], [1, 3, 9, 2], [3, 2, 1, 9]])  # the diagonal must not count
    assert products.same_kind(likeness, kinds, 1).tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(products.by_chance(kinds), 1 / 3)
    np.testing.assert_allclose(products.same_kind(likeness, kinds, 3), 1 / 3)
    with pytest.raises(Problem, match="likeness"):
        products.same_kind(likeness[:, :2], kinds, 1)


def test_one_allowed_item_each():
    histories = sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]], dtype=np.float32))
    people, items = products.one_each(histories, np.array([0, 1]), seed=0)
    assert people.tolist() == [0, 2] and items[1] == 1
    drawn = {int(products.one_each(histories, np.array([0, 1]), seed)[1][0]) for seed in range(20)}
    assert drawn == {0, 1}
    with pytest.raises(Problem, match="allow"):
        products.one_each(histories, np.array([], dtype=int), seed=0)


BASKETS = [[0, 1], [0, 1], [0, 1], [2, 3], [2, 3], [3]]
TITLES = ["Red Mug", "Blue Mug", "Tea Towel", "Oven Glove"]


@pytest.fixture
def till():
    def encode(texts):
        return np.array([[1.0, 0, 0, 0] if "red cup" in text else [0.5] * 4 for text in texts])

    model = mine(_many(), min_support=1)
    return products.Till(model, TITLES, np.eye(4), encode, load_rules(), least=0.6)


def test_a_page_is_answered_from_its_product_alone(till):
    table = products.page_table({"rules": till.model}, [0, 3], TITLES, k=1)
    assert table["first 1"].tolist() == ["Blue Mug", "Tea Towel"]
    truth = sparse.csr_matrix(np.array([[0, 1, 0, 0], [0, 1, 0, 0]], dtype=np.float32))
    rules = Task("d", "H", "s", "test", 1, np.arange(2), products.pages(np.array([0, 3]), 4), truth, "all")
    found = products.visits({"rules": till.model}, rules, np.arange(4), seed=0)
    assert found["rules"].tolist() == [1, 0]


def test_the_shelf_from_elsewhere_leaves_out_what_is_alike(till):
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 1]])
    far = products.Elsewhere(till.model, vectors, unlike=0.5).score(products.pages(np.array([0, 2]), 4))
    assert np.isneginf(far).tolist() == [[True, True, False, False], [False, True, True, True]]
    assert (products.Elsewhere(till.model, vectors, 0.5).score(sparse.csr_matrix((1, 4))) == 0).all()


def test_settings_are_tried_on_validation_only(till):
    truth = sparse.csr_matrix(np.array([[0, 1, 0, 0]], dtype=np.float32))
    rules = Task("d", "H", "s", "valid", 1, np.arange(1), products.pages(np.array([0]), 4), truth, "all")
    table = products.tried({"nothing": Popularity().fit(_train()), "rules": till.model}, rules)
    assert table.setting.iloc[0] in ("nothing", "rules") and table.ndcg.tolist() == [1, 1]
    with pytest.raises(Problem, match="valid"):
        products.tried({"rules": till.model}, Task(*("d", "H", "s", "test"), 1, rules.users, truth, truth, "all"))


def test_the_till_reads_titles_and_meaning_and_says_which(till):
    found = till.answer(["  red mug ", "OVEN GLOVE"], 2)
    assert found.kind == "basket" and found.basket.indices.tolist() == [0, 3]
    assert found.read.by.tolist() == [products.TITLE] * 2 and set(found.items) == {1, 2}
    near = till.answer(["red cup"], 1)
    assert near.read.by.tolist() == [products.MEANING] and near.items.tolist() == [1]


def test_the_till_says_when_it_understood_nothing(till):
    popular = products.Till(Popularity().fit(_train()), TITLES, np.eye(4), till.encode, till.rules)
    for typed in ([], ["  "], ["tasse rouge en porcelaine"]):
        found = popular.answer(typed, 2)
        assert found.kind == "popular" and "no product was understood" in found.said
        assert found.items.tolist() == [0, 1]
    assert popular.answer(["tasse rouge"], 2).read.by.tolist() == [products.UNKNOWN]


def test_the_till_refuses_harmful_texts_and_gives_no_list(till):
    found = till.answer(["red mug", "something to hurt someone with"], 2)
    assert found.kind == "refused" and len(found.items) == 0 and "hurt" in found.said
    assert products.REFUSED in found.read.by.tolist()


def _train():
    pairs = [(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0)]
    return Interactions(pd.DataFrame(pairs, columns=["user", "item", "value"]), 2, 4)


def test_a_conversation_is_told_request_by_request(till):
    table = products.conversation(till, {"good": ["red cup"], "odd": ["zzz"]}, 2)
    assert table.kind.tolist() == ["basket", "popular"]
    assert table["read as"].tolist() == ["red cup → Red Mug (its meaning)", "zzz → ? (not understood)"]


def test_each_kind_is_kept_at_its_best_setting(till):
    train = _many()
    truth = sparse.csr_matrix(np.array([[0, 1, 0, 0], [0, 0, 1, 0]], dtype=np.float32))
    rules = Task("d", "H", "s", "valid", 1, np.arange(2), products.pages(np.array([0, 3]), 4), truth, "all")
    kept, table = products.settings(
        train, rules, mine(train, min_support=1), supports={1: 1, 9: 9}, regs=[1.0], weights=[1e-6, 1e6],
        vectors={"planted": np.array([[1, 0], [0, 1], [0, 1], [1, 0]], dtype=np.float32)},
    )  # fmt: skip
    assert list(kept) == ["rules", "ease", "ease with planted"] and len(kept["rules"]) > 0
    assert kept["ease with planted"].weight == 1e-6, "vectors that join the wrong pairs must not be trusted"
    best = table.groupby("model").ndcg.max()
    assert best.tolist() == [1, 1, 1] and table.ndcg.min() < 1


def test_among_keeps_the_shape_and_the_caller():
    truth = sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 1]], dtype=np.float32))
    found = products.among(truth, np.array([1]))
    assert found.toarray().tolist() == [[0, 1, 0], [0, 0, 0]] and found.nnz == 1 and truth.nnz == 3


def _many():
    pairs = [(user, item, 1.0) for user, basket in enumerate(BASKETS) for item in basket]
    return Interactions(pd.DataFrame(pairs, columns=["user", "item", "value"]), 6, 4)
