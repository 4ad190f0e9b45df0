"""Orders of two people that can be checked on paper."""

import numpy as np
import pandas as pd
import pytest

from recutils.case import groceries
from recutils.tables import Problem

# two people; products 10, 20, 30, 40; order -> cart in the order in which it was filled
ANN = [[10, 20], [10, 30], [20, 10], [10, 20, 30, 40]]
BEN = [[40], [30, 40], [40, 10]]


@pytest.fixture
def order_file(tmp_path):
    rows = [
        (user, number, product, place)
        for user, orders in ((7, ANN), (3, BEN))
        for number, cart in enumerate(orders, 1)
        for place, product in enumerate(cart, 1)
    ]
    table = pd.DataFrame(rows, columns=["user_id", "order_number", "product_id", "add_to_cart_order"])
    path = tmp_path / "orders.csv"
    table.sample(frac=1, random_state=0).to_csv(path)  # the file's own order must not matter
    return path


@pytest.fixture
def orders(order_file):
    return groceries.read_orders(order_file)


def test_orders_are_sorted_numbered_and_complete(orders):
    assert (orders.n_users, orders.n_items, len(orders.rows)) == (2, 4, 10 + 5)
    ben = orders.rows[orders.rows.user == 0]
    assert ben.item.tolist() == [3, 2, 3, 3, 0] and ben.order.tolist() == [0, 1, 1, 2, 2]
    assert ben.place.tolist() == [0, 0, 1, 0, 1]


def test_a_share_of_the_people_keeps_their_orders_whole(order_file):
    half = groceries.read_orders(order_file, share=0.5, seed=1)
    assert half.n_users == 1 and len(half.rows) in (10, 5)


def test_too_few_orders_and_wrong_files_are_refused(order_file, tmp_path):
    table = pd.read_csv(order_file, index_col=0)
    table[table.order_number <= 2].to_csv(tmp_path / "short.csv")
    with pytest.raises(Problem, match="2 people have fewer than 3 orders"):
        groceries.read_orders(tmp_path / "short.csv")
    table.drop(columns="product_id").to_csv(tmp_path / "columns.csv")
    with pytest.raises(Problem, match="product_id"):
        groceries.read_orders(tmp_path / "columns.csv")
    with pytest.raises(Problem, match="share"):
        groceries.read_orders(order_file, share=0)


def test_the_last_order_is_cut_in_half_and_nothing_of_it_is_learnt(orders):
    cart = groceries.carts(orders, least=1)
    assert cart.cart.toarray().tolist() == [[0, 0, 0, 1], [1, 1, 0, 0]]
    assert cart.rest.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 1, 1]]
    assert cart.earlier.n_users == 5 and len(cart.earlier) == 9
    np.testing.assert_allclose(cart.habit.toarray(), [[0, 0, 0.5, 1.0], [1.0, 2 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(cart.popular, [3 / 5, 2 / 5, 2 / 5, 2 / 5])


def test_what_is_new_to_the_person_is_counted_apart(orders):
    cart = groceries.carts(orders, least=1)
    assert cart.truth("again").toarray().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
    assert cart.truth("new").toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert (cart.truth("again") + cart.truth("new") != cart.truth("all")).nnz == 0
    with pytest.raises(Problem, match="kind"):
        cart.truth("repeat")


def test_the_order_before_the_last_has_a_catalogue_of_its_own(orders):
    before = groceries.carts(orders, back=1, least=1)
    assert before.people.tolist() == [0, 1]  # Ben 30 | 40, Ann 20 | 10
    assert before.earlier.n_users == 3
    assert before.rest.toarray().sum(axis=1).tolist() == [1, 1]
    frequent = groceries.carts(orders, least=3)
    assert frequent.earlier.n_items == 1 and "outside" in frequent.notes[0]
    with pytest.raises(Problem, match="least"):
        groceries.carts(orders, least=99)


def test_habits_put_own_products_first_and_popular_ones_after(orders):
    scores = groceries.carts(orders, least=1).habits()
    assert np.argsort(-scores[0]).tolist() == [3, 2, 0, 1]  # never bought: by popularity
    assert np.argsort(-scores[1]).tolist() == [0, 1, 2, 3]


def test_the_ways_know_what_they_may(orders):
    cart = groceries.carts(orders, least=1)
    found = groceries.answers(cart, [0.0], reg=1.0)
    assert set(found) == {"popularity", "rules", "cart", "buy it again", "habit + 0 cart"}
    np.testing.assert_array_equal(found["habit + 0 cart"], found["buy it again"])
    assert (found["popularity"] == cart.popular).all()


def test_what_is_news_is_judged_without_own_products(orders):
    cart = groceries.carts(orders, least=1)
    first = {"own first": cart.habits()}
    assert groceries.rest_found(first, cart, 1, "again")["own first"].tolist()[1] == 1  # Ann's 30, after 10 and 20
    news = groceries.rest_found(first, cart, 1, "new")["own first"]
    assert news.tolist() == [1, 1]  # what they never bought is all that is left
