"""The last-item protocol: which event is judged, from which history, and in which order."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.last_item import last_item, long_run
from recutils.model.sequence import Markov
from recutils.tables import Interactions, Problem


def ring(n_users: int = 24, n_items: int = 9, length: int = 6) -> Interactions:
    """Walks round a ring, one step at a time."""
    user, step = np.divmod(np.arange(n_users * length), length)
    rows = pd.DataFrame({"user": user, "item": (user + step) % n_items, "value": 1.0})
    return Interactions(rows.assign(time=pd.to_datetime(60 * step, unit="s")), n_users, n_items)


def test_the_parts_on_paper() -> None:
    found = last_item(ring(), "ring", 3)
    assert found.split.sizes() == {"train": 96, "valid": 24, "test": 24}
    assert found.valid.truth[2].indices.tolist() == [6] and found.test.truth[2].indices.tolist() == [7]
    assert sorted(found.valid.histories[2].indices) == [2, 3, 4, 5]
    assert sorted(found.test.histories[2].indices) == [2, 3, 4, 5, 6]
    assert (found.valid.part, found.test.part, found.test.split) == ("valid", "test", found.split.name)
    assert found.test.protocol == "last item"


def test_a_model_of_order_is_right_on_both_parts_only_because_it_is_told_the_order() -> None:
    found = last_item(ring(), "ring", 1)
    model = Markov().fit(found.split.train)
    assert found.value(model) == 1 and found.value(model, "hit_rate") == 1
    judged = found.judge_test({"markov": model}, seed=0, baseline=None, draws=50)
    assert judged.find("markov", "ndcg").value == 1
    untold = found.test.judge({"markov": model}, seed=0, baseline=None, draws=50)
    assert untold.find("markov", "ndcg").value < 1


def test_without_times_the_cure_is_named() -> None:
    timeless = Interactions(ring().rows.drop(columns="time"), 24, 9)
    with pytest.raises(Problem, match="time"):
        last_item(timeless, "ring", 3)


@pytest.mark.parametrize("plan", ["50 file", "file 50 40", "50 file forty"])
def test_a_plan_that_cannot_be_read_is_named(plan: str) -> None:
    with pytest.raises(Problem, match="a plan is 'length ties epochs'"):
        long_run(plan, "ml-1m")


def test_a_long_run_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ring(n_items=14, length=12).rows
    monkeypatch.setattr(
        "recutils.evaluate.last_item.load", lambda name: SimpleNamespace(interactions=Interactions(rows, 24, 14))
    )
    monkeypatch.setattr("recutils.runs.DATA", tmp_path)
    _, first = long_run("5 file 1", "ring")
    lines: list[str] = []
    found, second = long_run("5 file 3", "ring", say=lines.append)
    assert second["sasrec"].history.losses[:1] == first["sasrec"].history.losses
    assert [line[:12] for line in lines] == ["epoch 2 of 3", "epoch 3 of 3"]
    assert (tmp_path / "checkpoints/trained/sasrec-ring-5-file/epoch-0003").is_dir()
    assert set(second) == {"popularity", "markov", "sasrec"} and found.test.protocol == "P5"
