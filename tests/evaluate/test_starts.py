"""Means over random starts, by hand."""

import numpy as np
import pytest

from recutils.evaluate.records import from_users
from recutils.evaluate.starts import means, over_starts, sentence, table, verdict
from recutils.tables import Problem

COLUMNS = {
    ("bar", 0): np.tile([0.1, 0.2], 20),
    ("luck", 0): np.tile([0.4, 0.6], 20),
    ("luck", 1): np.tile([0.2, 0.8], 20),
}


def test_starts_are_averaged_per_user_and_told_apart() -> None:
    both = over_starts(COLUMNS)
    assert list(both) == ["bar", "luck"]
    np.testing.assert_allclose(both["luck"], np.tile([0.3, 0.7], 20))
    np.testing.assert_allclose(means(COLUMNS, "luck"), [0.5, 0.5])
    labels = {"notebook": "n", "dataset": "d", "protocol": "H", "split": "s", "seed": 0, "draws": 500}
    found = from_users({"ndcg": both}, baseline="bar", **labels)[:2]
    shown = table(found, COLUMNS, "nDCG")
    assert shown.iloc[0, 2:].tolist() == ["", "", ""], "one start has no range, the baseline no difference"
    assert shown.iloc[1, 2] == "0.500 to 0.500" and shown.iloc[1, 3].startswith("+0.350 [")
    assert verdict(found[1]) == "clearly higher than"
    assert sentence(found[1]).startswith("clearly higher than that of bar (+0.350 [")


def test_misuse_is_named() -> None:
    with pytest.raises(Problem, match="no start of 'svd'"):
        means(COLUMNS, "svd")
    labels = {"notebook": "n", "dataset": "d", "protocol": "H", "split": "s", "seed": 0, "draws": 500}
    with pytest.raises(Problem, match="was not tested"):
        verdict(from_users({"ndcg": over_starts(COLUMNS)}, **labels)[0])
