"""Texts that know an item's group beat texts that know nothing, on planted data; halves choose for each other."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.evaluate.crossfit import crossfit
from recutils.evaluate.texts import compare_texts
from recutils.tables import Interactions, Problem


def made(n_users: int = 60, n_items: int = 50) -> Interactions:
    """Two groups of users, each meeting items of one half only; a third of the pairs."""
    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.permutation(n_users * n_items)[: n_users * n_items // 3], n_items)
    same = user % 2 == item % 2
    return Interactions(pd.DataFrame({"user": user[same], "item": item[same], "value": 1.0}), n_users, n_items)


def test_a_text_that_knows_the_group_wins_and_noise_is_chance() -> None:
    liked = made()
    rng = np.random.default_rng(0)
    group = np.eye(2, dtype=np.float32)[np.arange(50) % 2]
    noise = rng.standard_normal((50, 2)).astype(np.float32)
    found = compare_texts(
        liked,
        {"group": group, "again": sparse.csr_matrix(group), "noise": noise},
        [0.1, 10.0],
        k=3,
        factors=4,
        draws=200,
    )
    gap = found.difference("group", "noise")
    assert gap.low > 0.05 and found.mean("group").mean > found.mean("random").mean + 0.1
    assert found.difference("group", "again").mean == pytest.approx(0, abs=1e-6), "sparse or dense is one"
    assert set(found.regs) == {(fold, kind) for fold in range(5) for kind in ("group", "again", "noise")}
    assert found.values[["fold", "item"]].drop_duplicates().groupby("item").size().max() == 1, (
        "each item is judged once"
    )


def test_names_and_shapes_are_checked() -> None:
    with pytest.raises(Problem, match="wrong"):
        compare_texts(made(), {"oracle": np.ones((50, 2))}, [1.0])
    with pytest.raises(Problem, match="wrong"):
        compare_texts(made(), {"short": np.ones((3, 2))}, [1.0])


def test_nobody_is_judged_with_a_setting_chosen_on_himself() -> None:
    truth = sparse.csr_matrix(np.eye(2)[[0, 1, 0, 1]])
    own = {"even": np.array([[0], [0], [0], [0]]), "odd": np.array([[1], [1], [1], [1]])}
    lists, chosen = crossfit(own, truth, 1)
    assert chosen == ("odd", "even") and lists.ravel().tolist() == [1, 0, 1, 0], "each half takes the other's favourite"
    with pytest.raises(Problem, match="each half"):
        crossfit(own, sparse.csr_matrix(np.array([[1, 0], [0, 0], [0, 0], [0, 0]])), 1)
