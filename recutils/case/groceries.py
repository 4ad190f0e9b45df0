"""Case 80, groceries: orders in sequence, one of them cut in half, and what may be said of the other half.

Coupons are in coupons.py, the shop's pages in products.py; EASE and the rules come from model/ and rank/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.metrics import ndcg
from recutils.model.ease import EASE
from recutils.rank.rules import mine
from recutils.rank.top import top_k
from recutils.tables import ITEM, USER, VALUE, Interactions, Problem, check_columns

ORDER, PLACE = "order", "place"
ORDER_FILE = "df_sample.csv"


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders in sequence. rows: user, order (0 is a person's first), item, place (0 went first into the cart), in this
    order of columns and sorted by user, order and place; row numbers all.
    """

    rows: pd.DataFrame
    n_users: int
    n_items: int

    @property
    def last(self) -> np.ndarray:
        """(n_rows,) the number of the last order of each row's person."""
        return self.rows.groupby(USER)[ORDER].transform("max").to_numpy()


def read_orders(path: Path, *, share: float = 1.0, seed: int = 0) -> Orders:
    """The Instacart sample as orders; of its people this share, drawn.

    Raises Problem for missing columns, a share outside 0..1, and people with fewer than three orders, who have nothing
    to learn from once an order for choosing and one for judging are taken away.
    """
    if not 0 < share <= 1:
        raise Problem(f"share must lie above 0 and at most 1 (of the people); got {share}")
    table = pd.read_csv(path)
    check_columns(table, ["user_id", "order_number", "product_id", "add_to_cart_order"], path.name)
    people = np.sort(table.user_id.unique())
    kept = np.random.default_rng(seed).permutation(people)[: max(1, round(share * len(people)))]
    table = table[table.user_id.isin(kept)]
    columns = {USER: "user_id", ORDER: "order_number", ITEM: "product_id", PLACE: "add_to_cart_order"}
    rows = pd.DataFrame({name: table[source].to_numpy() for name, source in columns.items()})
    rows[USER], rows[ITEM] = (np.unique(rows[name], return_inverse=True)[1] for name in (USER, ITEM))
    rows[ORDER] -= rows.groupby(USER)[ORDER].transform("min")
    rows = rows.sort_values([USER, ORDER, PLACE], kind="stable", ignore_index=True)
    rows[PLACE] = rows.groupby([USER, ORDER]).cumcount()
    _check_orders(rows)
    return Orders(rows.astype(np.int64), int(rows[USER].max()) + 1, int(rows[ITEM].max()) + 1)


def _check_orders(rows: pd.DataFrame) -> None:
    short = int((rows.groupby(USER)[ORDER].nunique() < 3).sum())
    if short:
        raise Problem(f"{short} people have fewer than 3 orders; leave them out, or bring more of their orders.")


@dataclass(frozen=True, eq=False)
class Carts:
    """One order of each person, cut in half: what lies in the cart, and what is still to come.

    cart, rest: sparse (n_people, n_items), 1 where it holds. habit: the share of the person's earlier orders with the
    product. earlier: all earlier orders of everybody, one basket (its "user") an order. people: (n_people,) rows.
    notes: who and what is not judged, with counts.
    """

    cart: sparse.csr_matrix
    rest: sparse.csr_matrix
    habit: sparse.csr_matrix
    earlier: Interactions
    people: np.ndarray
    notes: tuple[str, ...]

    @property
    def popular(self) -> np.ndarray:
        """(n_items,) the share of earlier orders with each product."""
        return np.bincount(self.earlier.item, minlength=self.earlier.n_items) / self.earlier.n_users

    def habits(self) -> np.ndarray:
        """(n_people, n_items) "buy it again": the share of own earlier orders; what was never bought, by popularity."""
        return self.habit.toarray() + 1e-4 * self.popular[None, :]

    def truth(self, kind: str) -> sparse.csr_matrix:
        """The rest of the order: "all" of it, "again" (bought before by this person) or "new" to this person."""
        if kind not in ("all", "again", "new"):
            raise Problem(f"kind must be 'all', 'again' or 'new'; got {kind!r}")
        known = self.rest.multiply(self.habit > 0).tocsr()
        found = {"all": self.rest, "again": known, "new": (self.rest - known).tocsr()}[kind]
        found.eliminate_zeros()
        return found


def carts(orders: Orders, *, back: int = 0, least: int = 10) -> Carts:
    """Each person's last order (back = 0) or the one `back` before, half of it in the cart, half to be foretold.

    least: products with fewer earlier orders than this are outside the catalogue: counted, not judged. An odd product
    goes into the cart. Raises Problem when nobody is left.
    """
    now, before = orders.rows[orders.last - back == orders.rows[ORDER]], orders.last - back > orders.rows[ORDER]
    past = orders.rows[before]
    counts = np.bincount(past[ITEM], minlength=orders.n_items)
    number = np.where(counts >= least, np.cumsum(counts >= least) - 1, -1)
    size = now.groupby(USER)[ITEM].transform("size")
    later = (now[PLACE] >= np.ceil(size / 2)).to_numpy()
    known = number[now[ITEM]] >= 0
    shape = (orders.n_users, int((counts >= least).sum()))
    rest = _cells(now[later & known], number, shape)
    people = np.flatnonzero(np.diff(rest.indptr))
    if not len(people):
        raise Problem(f"nobody has a product to be foretold; lower least (now {least}) or bring more orders.")
    outside = float((later & ~known).sum() / max(1, later.sum()))
    notes = (
        f"{len(people):,} of {orders.n_users:,} people have something to be foretold; the catalogue holds the "
        f"{shape[1]:,} products with at least {least} earlier orders, and {outside:.0%} of what came lies outside it.",
    )
    habit = _cells(past[number[past[ITEM]] >= 0], number, shape)
    habit = sparse.diags(1 / past.groupby(USER)[ORDER].nunique().to_numpy()) @ habit
    cart = _cells(now[~later & known], number, shape)
    return Carts(cart[people], rest[people], habit.tocsr()[people], _baskets(past, number, shape[1]), people, notes)


def _cells(rows: pd.DataFrame, number: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each person has each product of the catalogue in these rows."""
    where = (rows[USER].to_numpy(), number[rows[ITEM]])
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), where), shape=shape)


def _baskets(past: pd.DataFrame, number: np.ndarray, n_items: int) -> Interactions:
    """One basket for each earlier order; orders without a product of the catalogue stay as empty rows."""
    basket = past.groupby([USER, ORDER], sort=False).ngroup().to_numpy()
    kept = number[past[ITEM]] >= 0
    rows = pd.DataFrame({USER: basket[kept], ITEM: number[past[ITEM]][kept], VALUE: 1.0})
    return Interactions(rows, int(basket.max()) + 1, n_items)


def answers(cart: Carts, weights: Sequence[float], *, reg: float = 100.0) -> dict[str, np.ndarray]:
    """Way -> scores (n_people, n_items) for the rest of the order; all that is learnt comes from earlier orders.

    "popularity", "rules" and "cart" read the half cart, "buy it again" the person's habit, and "habit + w cart" both,
    for each of the weights; the cart's part is EASE on orders with this penalty.
    """
    learnt = EASE(reg=reg).fit(cart.earlier).score(cart.cart)
    ruled = mine(cart.earlier, min_support=10, min_confidence=0.02).score(cart.cart) + 1e-4 * cart.popular
    shown = {"popularity": np.tile(cart.popular, (len(cart.people), 1)), "rules": ruled, "cart": learnt}
    mixed = {f"habit + {weight:g} cart": cart.habits() + weight * learnt for weight in weights}
    return shown | {"buy it again": cart.habits()} | mixed


def rest_found(scores: Mapping[str, np.ndarray], cart: Carts, k: int, kind: str = "all") -> dict[str, np.ndarray]:
    """Way -> nDCG@k (n_people,) of the rest of the order, NaN where nothing of this kind was to come.

    kind: as in `Carts.truth`; for "new", lists leave out what the person bought before.
    """
    seen = (cart.cart + cart.habit).tocsr() if kind == "new" else cart.cart
    return {name: ndcg(top_k(each, seen, k), cart.truth(kind), k) for name, each in scores.items()}
