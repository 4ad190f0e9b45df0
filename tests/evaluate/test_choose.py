"""Which setting is chosen: planted tastes, planted popularity, models that cannot serve, budgets, refits."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.split import Split, house
from recutils.evaluate import candidates, choose
from recutils.evaluate.candidates import Candidate, each, menu
from recutils.evaluate.task import Task, task
from recutils.model.baselines import Popularity
from recutils.model.neighbours import ItemNeighbours
from recutils.tables import Interactions, Problem

FAST = ("popularity", "random", "item neighbours", "ease")


def tastes(n_users: int = 120, n_items: int = 60, seed: int = 0, *, time: bool = True) -> Interactions:
    """Three groups of users; each meets 12 of its own third of the items in random order."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), 12)
    items = np.concatenate([rng.choice(n_items // 3, 12, replace=False) * 3 + user % 3 for user in range(n_users)])
    order = rng.permutation(len(users))
    rows = pd.DataFrame({"user": users[order], "item": items[order], "value": 1.0 + (items[order] % 5)})
    if time:
        rows["time"] = pd.to_datetime(1_000_000_000 + 60 * np.arange(len(rows)), unit="s")
    return Interactions(rows, n_users, n_items)


def crowd(n_users: int = 150, n_items: int = 60, seed: int = 0) -> Interactions:
    """Everybody draws items by one popularity; nothing personal is in the data."""
    rng = np.random.default_rng(seed)
    weight = 0.85 ** np.arange(n_items)
    items = np.concatenate([rng.choice(n_items, 8, replace=False, p=weight / weight.sum()) for _ in range(n_users)])
    users = np.repeat(np.arange(n_users), 8)
    order = rng.permutation(len(users))
    rows = pd.DataFrame({"user": users[order], "item": items[order], "value": 1.0})
    return Interactions(rows, n_users, n_items)


def prepared(events: Interactions, k: int = 10) -> tuple[Split, Task]:
    split = house(events, rng=1)
    return split, task(split, "planted", k)


def test_tastes_are_found_and_popularity_is_exact() -> None:
    split, rules = prepared(tastes())
    found = choose.choose(split, rules, seed=7, draws=300, only=FAST)
    assert found.best in ("item neighbours", "ease")
    assert found.chosen[found.best].low > found.chosen["popularity"].high
    again = rules.judge({"popularity": Popularity().fit(split.train)}, seed=7, draws=300)
    assert found.chosen["popularity"].value == again.find("popularity", "ndcg").value
    assert list(found.chosen) == ["random", "popularity", "item neighbours", "ease"]


def test_all_candidates_serve_events_without_times() -> None:
    split, rules = prepared(crowd())
    found = choose.choose(split, rules, seed=7, draws=200)
    assert not found.failed
    assert set(found.left_out) == {"recent popularity", "sar", "svd", "content"}
    assert "times" in found.left_out["recent popularity"] and "vectors" in found.left_out["content"]
    assert set(found.chosen) | set(found.left_out) == set(menu())


def test_the_best_setting_wins_and_equal_ones_go_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    split, rules = prepared(tastes())
    grid = (*each(neighbours=(1,)), *each(neighbours=(20,)), *each(neighbours=(20,), shrink=(0.0,)))
    table = (Candidate("popularity", Popularity), Candidate("item neighbours", ItemNeighbours, grid))
    monkeypatch.setattr(candidates, "CANDIDATES", table)
    found = choose.choose(split, rules, seed=7, draws=200).chosen["item neighbours"]
    assert found.parameters == {"neighbours": 20}  # the third setting is the same model, so the second stays
    values = [
        rules.judge({"a": ItemNeighbours(**one).fit(split.train)}, seed=7, baseline=None, draws=50).find("a", "ndcg")
        for one in grid
    ]
    assert values[0].value < values[1].value == values[2].value == found.value
    assert (found.n_tried, found.n_settings) == (3, 3)


def test_the_test_part_is_never_read() -> None:
    split, rules = prepared(tastes())
    hidden = Split(split.train, split.valid, split.valid.only(slice_of(0)), split.name, split.pretends)
    first, second = (choose.choose(one, rules, seed=7, draws=50, only=FAST) for one in (split, hidden))
    assert first.table().equals(second.table())
    with pytest.raises(Problem, match="'valid'"):
        choose.choose(split, task(split, "planted", 10, part="test"), seed=7)


def slice_of(n: int) -> np.ndarray:
    return np.arange(n)


def test_a_model_that_fails_is_told_and_the_others_go_on() -> None:
    events = tastes()
    events = Interactions(events.rows.assign(value=events.value - 3), events.n_users, events.n_items)
    split, rules = prepared(events)
    found = choose.choose(split, rules, seed=7, draws=100, only=("als", "bpr", "ease"))
    assert set(found.failed) == {"als", "bpr"}
    assert "8 of 8 settings failed" in found.failed["als"] and "got -2" in found.failed["als"]
    assert set(found.chosen) == {"popularity", "ease"}


def test_content_is_tried_for_each_kind_of_vectors() -> None:
    split, rules = prepared(tastes())
    groups = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    noise = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    vectors = {"groups": groups, "als": noise}  # a kind named like a model stays apart from it
    found = choose.choose(split, rules, vectors, seed=7, draws=100, only=("content groups", "content als", "als"))
    assert set(found.chosen) == {"popularity", "content groups", "content als", "als"}
    assert found.chosen["content groups"].low > found.chosen["content als"].high
    refitted = found.refit(split.train, only=["content groups"])["content groups"]
    assert np.array_equal(refitted.score(rules.histories), found.models["content groups"].score(rules.histories))
    with pytest.raises(Problem, match="59 rows"):
        choose.choose(split, rules, {"groups": groups[1:]}, seed=7)


def test_refit_is_fresh_and_the_same_setting() -> None:
    split, rules = prepared(tastes())
    found = choose.choose(split, rules, seed=7, draws=100, only=("als",))
    same = found.refit(split.train)["als"]
    assert same is not found.models["als"]
    assert same.parameters() == found.models["als"].parameters()
    assert same.seed == 7
    assert np.array_equal(same.score(rules.histories), found.models["als"].score(rules.histories))
    other = found.refit(split.valid)["als"]
    assert not np.array_equal(other.score(rules.histories), same.score(rules.histories))


def test_the_budget_keeps_popularity_and_tells_the_rest() -> None:
    split, rules = prepared(tastes())
    found = choose.choose(split, rules, seed=7, draws=50, budget_seconds=0)
    assert list(found.chosen) == ["popularity"]
    assert "budget of 0 seconds" in found.left_out["ease"]


def test_a_budget_is_shared_fairly(monkeypatch: pytest.MonkeyPatch) -> None:
    split, rules = prepared(tastes())
    said: list[str] = []
    two = each(neighbours=(5, 20))
    table = (
        Candidate("a", ItemNeighbours, two),
        Candidate("popularity", Popularity),
        Candidate("b", ItemNeighbours, two),
    )
    monkeypatch.setattr(candidates, "CANDIDATES", table)
    choose.choose(split, rules, seed=7, draws=50, say=said.append)
    order = [text.split(": ")[1].split(",")[0] for text in said]
    assert order == ["popularity", "a neighbours 5", "b neighbours 5", "a neighbours 20", "b neighbours 20"]


def test_sizes_leave_models_out(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Candidate("item neighbours", ItemNeighbours, most_items=59)
    monkeypatch.setattr(candidates, "CANDIDATES", (Candidate("popularity", Popularity), small))
    split, rules = prepared(tastes())
    found = choose.choose(split, rules, seed=7, draws=50)
    assert found.left_out == {"item neighbours": "it is tried with at most 59 items, and these data have 60"}


def test_tables_and_progress() -> None:
    split, rules = prepared(tastes())
    said: list[str] = []
    found = choose.choose(split, rules, seed=7, draws=50, only=("item neighbours",), say=said.append)
    assert said[0] == "setting 1 of 9: popularity"
    assert said[8].startswith("setting 9 of 9: item neighbours neighbours 200")
    table, cost = found.table(), found.cost()
    assert table["model"].tolist() == cost["model"].tolist() == ["popularity", "item neighbours"]
    assert table["settings tried"].tolist() == [1, 8]
    assert table["chosen setting"][1].startswith("neighbours ")
    assert not any("(s)" in name for name in table)
    assert (cost["all settings (s)"] >= cost["fit (s)"] + cost["score (s)"]).all()
    again = choose.choose(split, rules, seed=7, draws=50, only=("item neighbours",))
    assert again.table().equals(table)


def test_unknown_names() -> None:
    split, rules = prepared(tastes())
    with pytest.raises(Problem, match="no model 'eas'; expected some of random, popularity"):
        choose.choose(split, rules, seed=7, only=["eas"])


def test_a_task_of_other_items() -> None:
    split, _ = prepared(tastes())
    _, other = prepared(tastes(n_items=66))
    with pytest.raises(Problem, match="66 items"):
        choose.choose(split, other, seed=7)
