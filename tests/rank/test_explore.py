"""The explorer: reasons on planted models, tables without a reader, a widget driven without a browser."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from scipy import sparse

from recutils.model.baselines import Popularity, Random
from recutils.rank import explore
from recutils.rank.explore import Explorer, leave_one_out, side_by_side, why
from recutils.tables import Dataset, Interactions, Problem

NAMES = np.array([f"Item {row}" for row in range(6)], dtype=object)


class Linear:
    """score = history @ weights: the change of a left-out item is its value times its weight, exactly."""

    serves_strangers = False

    def __init__(self, weights: np.ndarray, popular: np.ndarray | None = None) -> None:
        self.weights, self.popular, self.calls = weights, popular, 0

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        self.calls += 1
        scores = np.asarray(histories @ self.weights, dtype=np.float32)
        if self.popular is not None:
            scores[np.diff(histories.indptr) == 0] = self.popular
        return scores


def history(**values: float) -> sparse.csr_matrix:
    """i3=5 means: item 3 with value 5, of six items."""
    row = np.zeros((1, 6), dtype=np.float32)
    for name, value in values.items():
        row[0, int(name[1:])] = value
    return sparse.csr_matrix(row)


@pytest.fixture
def linear() -> Linear:
    weights = np.zeros((6, 6))
    weights[:4, 5] = [0.5, -1.0, 2.0, 0.5]
    return Linear(weights, np.full(6, 9, dtype=np.float32))


def test_the_change_is_what_the_left_out_item_gave(linear: Linear) -> None:
    found = leave_one_out(linear, history(i0=2, i1=1, i2=3, i3=2), 5)
    assert found.item.tolist() == [2, 0, 3, 1]  # equal changes keep the order of the items
    assert found.change.tolist() == [6.0, 1.0, 1.0, -1.0]
    assert linear.calls == 1, "the shortened histories are scored together"


def test_long_histories_are_scored_in_blocks(linear: Linear, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = leave_one_out(linear, history(i0=2, i1=1, i2=3), 5)
    monkeypatch.setattr(explore, "BLOCK", 2)
    pd.testing.assert_frame_equal(leave_one_out(linear, history(i0=2, i1=1, i2=3), 5), whole)


def test_of_a_long_history_the_highest_values_are_tried(linear: Linear) -> None:
    assert set(leave_one_out(linear, history(i0=2, i1=4, i2=2, i3=5), 5, limit=3).item) == {3, 1, 0}


def test_the_history_is_not_changed_and_zero_values_count_as_items(linear: Linear) -> None:
    row = sparse.csr_matrix((np.array([0.0, 4.0]), [0, 2], [0, 2]), shape=(1, 6))
    before = row.copy()
    assert leave_one_out(linear, row, 5).change.tolist() == [8.0, 0.0]
    assert (row != before).nnz == 0 and row.nnz == 2


def test_falling_back_to_popularity_is_said_and_not_taken_for_a_change(linear: Linear) -> None:
    only = leave_one_out(linear, history(i2=3), 5)
    assert only.item.tolist() == [2] and only.change.isna().all()
    assert why(linear, history(i2=3), 5, NAMES) == "Item 2 (without it: popularity)"


def test_why_names_at_most_three_that_help(linear: Linear) -> None:
    assert why(linear, history(i0=2, i1=1, i2=3), 5, NAMES) == "Item 2 (+6); Item 0 (+1)"
    linear.weights[4, 5] = 0.1
    assert why(linear, history(i0=2, i2=3, i3=2, i4=1), 5, NAMES).count(";") == 2
    assert why(linear, history(i1=1, i4=-1), 5, NAMES) == "no item of the history raises it"
    assert why(linear, history(), 5, NAMES) == "nothing is known of this person"


def test_popularity_does_not_look_at_the_history(dataset: Dataset) -> None:
    model = Popularity().fit(dataset.interactions)
    row = dataset.interactions.matrix()[[0]]
    assert (leave_one_out(model, row, 0).change == 0).all()
    assert why(model, row, 0, explore.titles(dataset)) == "no item of the history raises it"


@pytest.mark.parametrize(("rows", "item"), [(2, 0), (1, 6), (1, -1)])
def test_one_history_and_a_known_item_are_expected(linear: Linear, rows: int, item: int) -> None:
    with pytest.raises(Problem, match="one history and an item row"):
        leave_one_out(linear, sparse.csr_matrix((rows, 6), dtype=np.float32), item)


def test_titles_fall_back_to_ids(dataset: Dataset) -> None:
    items = dataset.items.assign(title=["", None, " ", *dataset.items.title[3:]])
    bare = Dataset("bare", dataset.interactions, dataset.users, items, explicit=True)
    assert explore.titles(bare)[:4].tolist() == ["item i0", "item i1", "item i2", "Item 3"]


@pytest.fixture
def models(ratings: Interactions) -> dict:
    """Popularity, chance, and a neighbour model that finds the planted tastes."""
    binary = ratings.matrix("binary")
    together = np.asarray((binary.T @ binary).todense())
    np.fill_diagonal(together, 0)
    planted = Linear(together, Popularity().fit(ratings).popular)
    return {"popularity": Popularity().fit(ratings), "neighbours": planted, "random": Random(seed=1).fit(ratings)}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """What is displayed."""
    seen: list = []
    monkeypatch.setattr("IPython.display.display", lambda *things, **more: seen.extend(things))
    return seen


def test_without_a_reader_there_are_tables_for_the_three_people(shown, models, dataset, ratings) -> None:
    explore.explore(models, dataset, ratings, k=4)
    pages = [thing.data for thing in shown]
    assert len(pages) == 4
    for page, label in zip(pages, ["Long history", "Short history", "New"], strict=False):
        assert label in page and "neighbours" in page and "random" not in page
    assert pages[2].count("Item") == 8 and "4 of 4 items in common" in pages[2], "a new person gets popularity twice"
    assert "nothing is known of this person" in pages[3] and "no item of the history raises it" in pages[3]


def test_a_long_list_is_cut_for_the_tables(shown, models, dataset, ratings) -> None:
    explore.explore(models, dataset, ratings, k=15)
    assert len(shown) == 4


def test_two_models_are_expected(models, dataset, ratings) -> None:
    with pytest.raises(Problem, match="two models"):
        explore.explore({"random": models["random"]}, dataset, ratings)


def test_the_widget_comes_only_for_somebody_at_a_kernel(shown, models, dataset, ratings, monkeypatch) -> None:
    monkeypatch.setattr(explore, "somebody_is_there", lambda: True)
    explore.explore(models, dataset, ratings, k=4)
    assert type(shown[-1]).__name__ == "VBox" and len(shown) == 5


def test_nobody_is_there_in_plain_python() -> None:
    assert not explore.somebody_is_there()


def test_the_widget_follows_its_choices(models, dataset, ratings) -> None:
    panel = Explorer(models, dataset, ratings, k=4)
    assert len(panel.person.options) == 3 + ratings.n_users
    row = dict(panel.person.options)["user u7"]
    panel.person.value = row
    expected, lists = side_by_side(
        {"popularity": models["popularity"], "neighbours": models["neighbours"]},
        ratings.matrix()[[7]],
        explore.titles(dataset),
        4,
    )
    assert all(title in panel.lists.value for title in expected.neighbours)
    panel.right.value = "random"
    assert "random" in panel.lists.value and "neighbours" not in panel.lists.value
    panel.left.value = "neighbours"
    item = int(lists["neighbours"][2])
    panel.item.value = item
    because = why(models["neighbours"], ratings.matrix()[[7]], item, explore.titles(dataset))
    assert because.count("Item") == 3 and because in panel.reason.value
    panel.left.value = "popularity"
    assert panel.item.value == panel.item.options[0][1] and "no item of the history" in panel.reason.value
    panel.left.value = panel.right.value = "neighbours"
    assert "one model against itself" in panel.lists.value


def test_the_widget_escapes_titles(models, dataset, ratings) -> None:
    items = dataset.items.assign(title="<script>alert(1)</script>")
    risky = Dataset("risky", ratings, dataset.users, items, explicit=True)
    panel = Explorer(models, risky, ratings, k=4)
    assert "&lt;script&gt;" in panel.lists.value and "<script" not in panel.lists.value + panel.reason.value


def test_the_menu_of_people_is_bounded(models, dataset, ratings, monkeypatch) -> None:
    monkeypatch.setattr(explore, "MAX_PEOPLE", 5)
    panel = Explorer(models, dataset, ratings, k=4)
    assert [label for label, _ in panel.person.options][:3] == ["long history", "short history", "new"]
    assert len(panel.person.options) == 8


CODE = """
import numpy as np, pandas as pd
from recutils.model.baselines import Popularity, Random
from recutils.rank.explore import explore
from recutils.tables import Dataset, Interactions
rows = pd.DataFrame({"user": [0, 0, 1, 2, 2, 2], "item": [0, 1, 1, 2, 3, 0], "value": 1.0})
met = Interactions(rows, 3, 4)
users = pd.DataFrame({"user_id": ["a", "b", "c"]})
items = pd.DataFrame({"item_id": list("wxyz"), "title": ["W", "X", "Y", "Z"]})
data = Dataset("toy", met, users, items, explicit=False)
explore({"popularity": Popularity().fit(met), "random": Random(seed=1).fit(met)}, data, met, k=2)
"""


def test_an_executed_notebook_holds_tables_and_no_widget() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert sum("<table" in output.get("data", {}).get("text/html", "") for output in outputs) == 4
    assert "widget" not in nbformat.writes(notebook)


def test_a_front_end_that_can_answer_gets_the_widget() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.create_kernel_manager()
    with client.setup_kernel():
        client.kc.allow_stdin = True
        client.execute_cell(notebook.cells[0], 0)
    kinds = [kind for output in notebook.cells[0].outputs for kind in output.get("data", {})]
    assert "application/vnd.jupyter.widget-view+json" in kinds
