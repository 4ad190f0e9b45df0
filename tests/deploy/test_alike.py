"""Known answers: whose topics agree, what a list is worth, what every topic weighs, which neighbours are shared."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.data.labelled import Labelled
from recutils.deploy import alike, trial
from recutils.tables import Problem

TOPICS = ("corn", "oil", "tin")
POOL = Labelled("pool", ("a", "b", "c", "d"), np.array([0, 1, 1, 0]), TOPICS)
ASKED = Labelled("asked", ("x", "y", "z"), np.array([1, 0, 2]), TOPICS)
TASK = alike.Alike(ASKED, POOL, 2)


def test_relevant_is_the_same_topic_and_a_query_without_any_is_left_out() -> None:
    assert TASK.truth.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    lists = {"right": np.array([[1, 2], [0, 3], [0, 1]]), "half": np.array([[1, 0], [1, 3], [0, 1]])}
    table = TASK.table(lists)
    assert table.user.tolist() == [0, 1] and table.item.tolist() == [1, 0] and table.weight.tolist() == [1, 1]
    assert table.right.tolist() == [1, 1]
    second = 1 / np.log2(3)
    np.testing.assert_allclose(table.half, [1 / (1 + second), second / (1 + second)])


def test_lists_are_the_nearest_whether_dense_or_sparse() -> None:
    pool = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32)
    asked = np.array([[0, 1], [1, 0], [-0.8, -0.6]], dtype=np.float32)
    found = TASK.lists(asked, pool)
    assert found.tolist() == [[2, 1], [0, 1], [3, 2]]
    np.testing.assert_array_equal(TASK.lists(sparse.csr_matrix(asked), sparse.csr_matrix(pool)), found)
    with pytest.raises(Problem, match="one row for each text"):
        TASK.lists(asked[:2], pool)


def test_yardsticks_read_nothing() -> None:
    pool = Labelled("pool", tuple("abcde"), np.array([1, 0, 1, 0, 1]), TOPICS)
    lists = alike.Alike(ASKED, pool, 3).yardsticks(seed=1)
    assert lists["popularity"].tolist() == [[0, 2, 4]] * 3
    assert all(len(set(row)) == 3 for row in lists["random"].tolist())
    few = alike.Alike(ASKED, POOL, 3).yardsticks(seed=1)
    assert few["popularity"].tolist() == [[0, 3, -1]] * 3


def test_topics_of_other_names_are_refused() -> None:
    with pytest.raises(Problem, match="same topics"):
        alike.Alike(ASKED, Labelled("other", ("a", "b"), np.array([0, 1]), ("oil", "corn")), 1)


def test_evenly_lets_a_small_topic_count_like_a_large_one() -> None:
    asked = Labelled("asked", tuple("abcd"), np.array([0, 0, 0, 1]), TOPICS)
    good, bad = np.array([[0, 3]] * 3 + [[1, 2]]), np.array([[0, 3]] * 3 + [[0, 3]])
    table = alike.Alike(asked, POOL, 2).table({"good": good, "bad": bad})

    def lost(given) -> float:
        return trial.relative_loss(given, "bad", "good", 1, draws=50, kind="users").share

    assert lost(table) == pytest.approx(0.25)
    assert lost(alike.evenly(table)) == pytest.approx(0.5)


def test_shared_neighbours_are_the_texts_own_and_leave_itself_out() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((30, 5)).astype(np.float32)
    turned = one @ np.linalg.qr(rng.standard_normal((5, 5)))[0].astype(np.float32)
    assert alike.shared(one, 3 * turned, 4).tolist() == [1.0] * 30  # a turned space has the same neighbours
    twins = np.repeat(one[:15], 2, axis=0)
    assert alike.shared(twins, twins[::-1].copy(), 29).tolist() == [1.0] * 30
    line = np.array([[1, 0], [1, 0.1], [1, 0.3], [1, 1]], dtype=np.float32)
    other = np.array([[1, 0], [1, 1], [1, 0.3], [1, 0.1]], dtype=np.float32)  # rows 1 and 3 change places
    assert alike.shared(line, other, 1).tolist() == [0.0] * 4
    assert alike.shared(line, other, 3).tolist() == [1.0] * 4


def test_losses_leave_the_reference_out_and_come_as_rows_and_records() -> None:
    lists = {"right": np.array([[1, 2], [0, 3], [0, 1]]), "none": np.array([[0, 3], [1, 2], [0, 1]])}
    lists["one"] = np.array([[1, 2], [1, 2], [0, 1]])
    found = alike.losses(TASK.table(lists), "right", 1, draws=200)
    assert {name: one.share for name, one in found.items()} == {"none": 1.0, "one": 0.5}
    assert alike.percent(found).iloc[0].tolist() == ["none", 100.0, "100.00 to 100.00", 100.0]
    tiny = trial.Loss(-0.00001, -0.00002, 0.5, 0.25, 0.25, 9)
    row = alike.percent({"a": tiny}).iloc[0]
    assert f"{row['lost, %']:.2f}, {row['95 % interval']}" == "0.00, 0.00 to 50.00"  # never -0.00
    about = {"notebook": "n", "dataset": "d", "protocol": "p", "split": "test", "seed": 1}
    record = trial.lost_records(found, **about)[1]
    assert (record.model, record.value, record.n) == ("one", 0.5, 2) and record.low <= 0.5 <= record.high


def test_the_curve_shows_every_point_and_the_bar() -> None:
    from recutils import present
    from recutils.deploy import pareto

    rows = [("net", 0, 4.0, 3.0, 5.0, 0.2), ("net", 100, 1.0, 0.5, 1.5, 0.6), ("table", 100, 2.0, 1.0, 3.0, 0.5)]
    points = pd.DataFrame(rows, columns=["student", "texts", "lost", "low", "high", "neighbours"])
    _, axes = present.figure(2)
    pareto.draw_curve(axes, points, 3.0)
    first, second, bar, _ = axes[0].get_lines()
    assert first.get_ydata().tolist() == [4.0, 1.0] and second.get_ydata().tolist() == [2.0]
    assert list(bar.get_ydata()) == [3.0, 3.0]
    assert second.get_xdata()[0] == pytest.approx(1, abs=0.1)
    assert [tick.get_text() for tick in axes[1].get_xticklabels()] == ["0", "100"]
