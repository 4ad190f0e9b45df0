"""From a log to a bundle: what is taken, what is not, the same log twice, three ways, and through the shelf."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recutils.deploy import fold_in, renewal
from recutils.deploy.bundle import Bundle, load
from recutils.deploy.engine import PERSONAL, POPULAR, Engine
from recutils.deploy.fold_in import folded, renew, taken
from recutils.deploy.replay import bundle_of
from recutils.deploy.shelf import Shelf
from recutils.evaluate import online
from recutils.model.ease import EASE
from recutils.model.stream_ease import StreamEASE
from recutils.tables import Dataset, Problem

HOUR = "2000-01-01T{:02d}:00:00+00:00"


def event(number: int, user: str = "new", item: str = "i1", kind: str = "click", **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "user": user, "item": item, "kind": kind, "time": HOUR.format(number % 24)} | more


@pytest.fixture
def served(dataset: Dataset) -> Bundle:
    return bundle_of(dataset, dataset.interactions, StreamEASE(reg=10.0))


def unmet(bundle: Bundle, user: int) -> list[str]:
    return [f"i{row}" for row in range(30) if row not in bundle.histories[[user]].indices]


def test_everything_that_is_left_out_is_counted(served: Bundle) -> None:
    known = f"i{served.histories[[3]].indices[0]}"
    log = [
        event(1), event(1, item="i2"), event(2, item="gone"), event(3, kind="shown"), event(4, kind="dismiss"),
        event(5), event(6, user="u3", item=known), event(7, user="u3", item=unmet(served, 3)[0], kind="choose"),
    ]  # fmt: skip
    found = taken(log, served)
    assert dict(found.counts) == {
        "read": 8, "repeated id": 1, "unknown item": 1, "not a choice": 2, "repeated pair": 1, "over the cap": 0,
        "known pair": 1, "taken": 2, "new people": 1,
    }  # fmt: skip
    assert found.user_ids.tolist() == [*served.user_ids.tolist(), "new"]
    assert sorted(found.events.rows[["user", "item"]].to_numpy().tolist()) == [
        [3, int(unmet(served, 3)[0][1:])],
        [40, 1],
    ]


def test_a_person_with_thousands_of_events_is_capped_and_only_the_newest_stay(served: Bundle) -> None:
    log = [event(number, user="mallory", item=f"i{number % 30}") for number in range(24)]
    found = taken(log, served, most=5)
    assert found.counts["over the cap"] == 19 and sorted(found.events.item) == [19, 20, 21, 22, 23]
    with pytest.raises(Problem, match="1 or more"):
        taken(log, served, most=0)


def test_someone_whose_events_are_all_left_out_is_no_new_person(served: Bundle) -> None:
    found = taken([event(1, user="a", item="gone"), event(2, user="b"), event(3, user="c", kind="shown")], served)
    assert found.user_ids.tolist()[40:] == ["b"] and found.events.user.tolist() == [40]
    none = taken([], served)
    assert len(none.events) == 0 and len(none.user_ids) == 40


def test_an_events_time_is_no_later_than_our_clock(served: Bundle) -> None:
    late = event(23, item="i2", received=HOUR.format(1))
    found = taken([late, event(5)], served)
    assert found.events.item.tolist() == [2, 1], "the skewed event counts as received at one o'clock"


@pytest.mark.parametrize("way", fold_in.WAYS)
def test_the_same_log_twice_gives_the_same_bundle(served: Bundle, way: str) -> None:
    log = [event(number, user=f"n{number % 3}", item=f"i{number}") for number in range(20)]
    once = folded(served, taken(log, served, most=4), way)
    again = taken(log, once, most=4)
    assert len(again.events) == 0 and again.counts["known pair"] == 12
    twice = folded(once, again, way)
    assert (twice.histories != once.histories).nnz == 0
    assert np.allclose(twice.model.weights, once.model.weights, atol=1e-6)


def test_learning_on_ends_where_a_refit_ends_and_the_old_bundle_is_untouched(served: Bundle) -> None:
    before, weights = served.histories.copy(), served.model.weights.copy()
    log = [event(number, user=f"n{number % 5}", item=f"i{number}") for number in range(20)]
    found = taken(log, served)
    learnt, refitted, told = (folded(served, found, way) for way in ("learn", "refit", "histories"))
    assert np.allclose(learnt.model.weights, refitted.model.weights, atol=1e-5)
    assert not np.allclose(refitted.model.weights, weights, atol=1e-5)
    assert told.model is served.model
    assert (served.histories != before).nnz == 0 and (served.model.weights == weights).all()


def test_a_model_that_cannot_learn_on_says_so(dataset: Dataset) -> None:
    bundle = bundle_of(dataset, dataset.interactions, EASE(reg=10.0))
    with pytest.raises(Problem, match="histories or refit"):
        folded(bundle, taken([event(1)], bundle), "learn")
    with pytest.raises(Problem, match="one of"):
        folded(bundle, taken([event(1)], bundle), "guess")


def test_a_stranger_becomes_known_through_the_shelf(served: Bundle, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = load(shelf.publish(served))
    assert Engine(first).for_user("new", 3).how == POPULAR
    renew(shelf, first, [event(1), event(2, item="i3")])
    second = load(shelf.current())
    found = Engine(second).for_user("new", 3)
    assert found.how == PERSONAL and not {1, 3} & set(found.items) and second.version != first.version
    assert second.data["renewed"] == "histories" and second.histories[[40]].data.tolist() == [served.liked] * 2
    renew(shelf, second, [event(1)])
    assert shelf.current().name == second.version, "nothing new, nothing published"


def test_blocks_go_through_the_log_and_every_way_is_judged(dataset: Dataset, tmp_path: Path) -> None:
    stream = online.stream(dataset.interactions, n_blocks=2)
    found = renewal.renewed(dataset, stream, tmp_path, reg=10.0, k=5)
    assert {"stale", "histories", "learn", "refit", "stale, named", "refit, named", "popularity"} <= set(found.judged)
    assert np.allclose(found.judged.learn, found.judged.refit)
    assert (found.judged[found.judged.block == 1].stale == found.judged[found.judged.block == 1].refit).all()
    assert found.last["refit"].histories.nnz == len(dataset.interactions), "every event arrived"
    assert found.counts.groupby("way").taken.sum().nunique() == 1


def test_witnesses_are_in_no_bundle_and_never_come_back(dataset: Dataset) -> None:
    rows = dataset.interactions.rows.sort_values("time")
    early = rows[rows.user < 20].assign(time=pd.Timestamp("1990-01-01"))
    moved = type(dataset.interactions)(pd.concat([early, rows[rows.user >= 20]]), 40, 30)
    stream = online.stream(moved, warm=0.5, n_blocks=2)
    taught, people = renewal.held_out(stream, 0)
    assert len(people) and not np.isin(people, taught.warm.user).any() and len(taught.warm) < len(stream.warm)
    values = renewal.of_witnesses(bundle_of(dataset, taught.warm, EASE(reg=10.0)), stream.warm, people, 5)
    assert values.shape == people.shape and ((values >= 0) & (values <= 1)).all()


def test_the_oracle_takes_only_what_was_met_later(dataset: Dataset) -> None:
    world = renewal.oracle(dataset.interactions, least=1)
    start = world.start.matrix("binary").toarray()
    assert not (start * world.accept).any() and (start + world.accept).sum() == len(dataset.interactions)
    with pytest.raises(Problem, match="no item"):
        renewal.oracle(dataset.interactions, least=10_000)
