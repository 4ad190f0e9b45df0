"""Two models side by side for one person, and why an item is there. It ranks with `top` and trains nothing."""

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils import present
from recutils.rank.probes import probe_users
from recutils.rank.top import BLOCK, Scorer, recommend
from recutils.tables import ITEM, ITEM_ID, TITLE, Dataset, Interactions, Problem

if TYPE_CHECKING:
    from ipywidgets import VBox

MAX_PEOPLE = 5_000  # entries of the list to choose from; a browser stays quick
N_REASONS = 3
N_TRIED = 100  # items of a long history that are left out in turn: folding in takes SVD some 10 ms for each


def leave_one_out(model: Scorer, history: sparse.csr_matrix, item: int, *, limit: int | None = None) -> pd.DataFrame:
    """What each item of a history does for the score of `item`: columns item, change; the strongest support first.

    history: sparse (1, n_items). limit: only so many of its items are tried, those with the highest values.
    change = score with the whole history - score without that one item, in the model's own unit; NaN (listed first)
    where the model has nothing to say without it and would fall back to popularity. The shortened histories are scored
    together. No rows for an empty history, or one that tells the model nothing.
    Source: leave-one-out influence (Cook 1977), on the history and without fitting again: what the model learnt from
    this person's events in training stays.
    """
    if history.shape[0] != 1 or not 0 <= item < history.shape[1]:
        raise Problem(
            f"one history and an item row in 0..{history.shape[1] - 1} are expected; "
            f"got {history.shape[0]} histories and {item}. Take one row: histories[[row]]."
        )
    tried = np.lexsort((history.indices, -history.data))[:limit]
    scores = _scores(model, sparse.vstack([history, _shortened(history, tried)], format="csr"), item)
    found = pd.DataFrame({ITEM: history.indices[tried], "change": scores[0] - scores[1:]})
    if np.isnan(scores[0]):
        return found.head(0)
    return found.sort_values(
        ["change", ITEM], ascending=[False, True], na_position="first", ignore_index=True, kind="stable"
    )


def _shortened(history: sparse.csr_matrix, tried: np.ndarray) -> sparse.csr_matrix:
    """(len(tried), n_items): the history without one stored entry, each of the tried positions in turn."""
    n = len(tried)
    kept = np.arange(history.nnz) != tried[:, None]
    data, indices = (np.broadcast_to(values, kept.shape)[kept] for values in (history.data, history.indices))
    starts = np.arange(n + 1) * max(history.nnz - 1, 0)
    return sparse.csr_matrix((data, indices, starts), shape=(n, history.shape[1]))


def _scores(model: Scorer, histories: sparse.csr_matrix, item: int) -> np.ndarray:
    """Scores of one item, float64; NaN where the model only gave popularity for want of anything to say."""
    starts = range(0, histories.shape[0], BLOCK)
    return np.concatenate([_block(model, histories[first : first + BLOCK], item) for first in starts])


def _block(model: Scorer, histories: sparse.csr_matrix, item: int) -> np.ndarray:
    scores = model.score(histories)
    found = scores[:, item].astype(np.float64)
    if not getattr(model, "serves_strangers", True):
        found[(scores == model.popular).all(axis=1)] = np.nan
    return found


def titles(dataset: Dataset) -> np.ndarray:
    """The items' titles; "item <id>" where there is none."""
    shown = dataset.items[TITLE].fillna("").astype(str)
    return shown.where(shown.str.strip() != "", "item " + dataset.items[ITEM_ID].astype(str)).to_numpy(dtype=object)


def why(model: Scorer, history: sparse.csr_matrix, item: int, names: np.ndarray) -> str:
    """The reasons for an item as text: up to three items of the history with the change that each makes.

    names: what the items are called, by row. Of a long history the N_TRIED items with the highest values are tried.
    """
    found = leave_one_out(model, history, item, limit=N_TRIED)
    if found.empty:
        return "nothing is known of this person" if history.nnz == 0 else "the history tells this model nothing"
    helping = found[found.change.isna() | (found.change > 0)].head(N_REASONS)
    if helping.empty:
        return "no item of the history raises it"
    return "; ".join(f"{names[row.item]} ({_change(row.change)})" for row in helping.itertuples())


def _change(value: float) -> str:
    return "without it: popularity" if np.isnan(value) else f"{value:+.3g}"


def side_by_side(
    models: Mapping[str, Scorer], history: sparse.csr_matrix, names: np.ndarray, k: int
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The models' lists for one history, as titles (columns rank, then models) and as item rows by model."""
    lists = {name: recommend(model, history, k)[0] for name, model in models.items()}
    columns = {name: [names[item] if item >= 0 else "" for item in items] for name, items in lists.items()}
    return pd.DataFrame({"rank": np.arange(1, k + 1), **columns}), lists


def shared(lists: Mapping[str, np.ndarray]) -> str:
    """How many items the lists have in common, as words."""
    sets = [set(items[items >= 0].tolist()) for items in lists.values()]
    size = max(len(items) for items in sets)
    return f"{len(set.intersection(*sets))} of {size} items in common"


def show_probes(models: Mapping[str, Scorer], dataset: Dataset, train: Interactions, k: int = 10) -> None:
    """Tables for the three probe users: the models' lists side by side, and why each first item is there."""
    probes, names, reasons = probe_users(train), titles(dataset), []
    for row, label in enumerate(probes.labels):
        history = probes.histories[[row]]
        table, lists = side_by_side(models, history, names, k)
        present.table(table, f"{label.capitalize()} ({history.nnz} items known): {shared(lists)}")
        for name, items in lists.items():
            if items[0] >= 0:
                because = why(models[name], history, int(items[0]), names)
                reasons.append({"person": label, "model": name, "first item": names[items[0]], "because of": because})
    caption = "Why the first item: how far its score falls when one item of the history is taken away"
    present.table(pd.DataFrame(reasons), caption)


def _page(frame: pd.DataFrame, caption: str) -> str:
    """A small table as HTML, escaped."""
    table = frame.to_html(index=False, border=0, justify="left")
    return f"<p><b>{html.escape(caption)}</b></p>{table}"


class Explorer:
    """A panel to choose a person and two models, and to ask why an item is listed. `panel` is the widget.

    person, left, right, item: the four choices (ipywidgets; set `.value` to drive them). lists, reason: what is shown.
    """

    def __init__(
        self, models: Mapping[str, Scorer], dataset: Dataset, train: Interactions, *, k: int = 10, seed: int = 0
    ) -> None:
        """models: fitted, by name, in the order of the menus. seed: draws the people offered when there are many."""
        import ipywidgets

        self.models, self.names, self.k = models, titles(dataset), k
        self.histories, people = _people(dataset, train, seed)
        order = list(models)
        self.person = ipywidgets.Dropdown(options=people, description="person")
        self.left = ipywidgets.Dropdown(options=order, value=order[0], description="model")
        self.right = ipywidgets.Dropdown(options=order, value=order[min(1, len(order) - 1)], description="against")
        self.item = ipywidgets.Dropdown(options=[("", -1)], description="why")
        self.lists, self.reason = ipywidgets.HTML(), ipywidgets.HTML()
        choices = ipywidgets.HBox([self.person, self.left, self.right])
        self.panel: VBox = ipywidgets.VBox([choices, self.lists, self.item, self.reason])
        for choice in (self.person, self.left, self.right):
            choice.observe(self._show_lists, names="value")
        self.item.observe(self._show_reason, names="value")
        self._show_lists()

    def _chosen(self) -> dict[str, Scorer]:
        return {name: self.models[name] for name in (self.left.value, self.right.value)}

    def _show_lists(self, change: Any = None) -> None:
        """Draw both lists again and offer their items to the question why."""
        history = self.histories[[self.person.value]]
        table, lists = side_by_side(self._chosen(), history, self.names, self.k)
        together = shared(lists) if len(lists) > 1 else "one model against itself"
        self.lists.value = _page(table, f"{history.nnz} items known; {together}")
        listed = dict.fromkeys(int(item) for items in lists.values() for item in items if item >= 0)
        self.item.unobserve(self._show_reason, names="value")  # a new menu sets a new value: once is enough
        self.item.options = [(self.names[item], item) for item in listed] or [("", -1)]
        self.item.observe(self._show_reason, names="value")
        self._show_reason()

    def _show_reason(self, change: Any = None) -> None:
        """Say for both models why the chosen item has its score."""
        if self.item.value is None or self.item.value < 0:
            self.reason.value = ""
            return
        history = self.histories[[self.person.value]]
        rows = [
            {"model": name, "because of": why(model, history, self.item.value, self.names)}
            for name, model in self._chosen().items()
        ]
        self.reason.value = _page(pd.DataFrame(rows), "How far its score falls without one item of the history")


def _people(dataset: Dataset, train: Interactions, seed: int) -> tuple[sparse.csr_matrix, list[tuple[str, int]]]:
    """Histories to choose from and the menu of their labels and rows: the probe users first, then known users by row.

    Above MAX_PEOPLE known users, that many are drawn.
    """
    probes = probe_users(train)
    known = np.unique(train.user)
    if len(known) > MAX_PEOPLE:
        known = np.sort(np.random.default_rng(seed).choice(known, MAX_PEOPLE, replace=False))
    labels = [*probes.labels, *(f"user {user}" for user in dataset.user_ids.ids(known))]
    histories = sparse.vstack([probes.histories, train.matrix()[known]], format="csr")
    return histories, [(label, row) for row, label in enumerate(labels)]


def somebody_is_there() -> bool:
    """Does this code run for somebody at a live kernel, not for papermill, nbconvert or plain Python?

    Whoever executes a notebook without a person tells the kernel that nobody can answer a question (allow_stdin).
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(kernel and kernel.get_parent().get("content", {}).get("allow_stdin"))


def explore(models: Mapping[str, Scorer], dataset: Dataset, train: Interactions, *, k: int = 10) -> None:
    """Show the first two models for the three probe users as tables and, to somebody at a live kernel, the explorer.

    models: fitted, by name. The tables come first, so that a report or an export always holds them; the widget leaves
    nothing in a notebook that a machine executes. Raises Problem for fewer than two models.
    """
    if len(models) < 2:
        raise Problem(f"two models to compare are expected; got {list(models)}. Add popularity, the bar for all.")
    show_probes(dict(list(models.items())[:2]), dataset, train, min(k, present.MAX_ROWS))
    if somebody_is_there():
        from IPython.display import display

        display(Explorer(models, dataset, train, k=k).panel)
