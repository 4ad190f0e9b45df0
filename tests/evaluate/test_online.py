import numpy as np
import pandas as pd
import pytest

from recutils.evaluate import forgetting, online
from recutils.evaluate.online import Learner, by_block, contrasts, per_person, prequential, stream, visits
from recutils.evaluate.staleness import by_kind, choose, frame_records, grid, line_up, newest_weights_agree, records
from recutils.evaluate.statistics import mean_intervals
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.model.stream_ease import StreamEASE
from recutils.tables import Interactions, Problem


def table(users: list[int], items: list[int], days: list[float], n_users: int = 4, n_items: int = 6) -> Interactions:
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")
    rows = pd.DataFrame({"user": users, "item": items, "value": 1.0, "time": time})
    return Interactions(rows, n_users, n_items)


def fashion(n_users: int = 120, seed: int = 0) -> Interactions:
    """Two tastes; whoever comes in the second half likes other items than whoever came in the first."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(n_users):
        shelf = (user % 2) * 10 + (20 if user >= n_users // 2 else 0)
        items = shelf + rng.permutation(10)
        rows += [(user, item, user + place / 20) for place, item in enumerate(items)]
    users, items, days = zip(*rows, strict=True)
    return table(list(users), list(items), list(days), n_users, 40)


def test_blocks_are_in_order_and_hold_every_event_once() -> None:
    events = stream(fashion(), n_blocks=3)
    parts = [events.warm, *(one.events for one in events.blocks)]
    assert sum(map(len, parts)) == 1200 and len(events.warm) == 600
    assert all(a.time.max() <= b.time.min() for a, b in zip(parts, parts[1:], strict=False))
    assert events.table().events.tolist() == [200, 200, 200] and events.notes == ()
    assert len(events.until(2)) == 600 + 400


def test_new_people_and_items_are_counted_against_all_before() -> None:
    events = stream(table([0, 1, 0, 2, 2, 1], [0, 1, 2, 3, 2, 3], [0, 1, 2, 3, 4, 5]), warm=1 / 3, n_blocks=2)
    shown = events.table()[["people", "new people", "new items"]].to_numpy().tolist()
    assert shown == [[2, 1, 2], [2, 0, 0]]


def test_out_of_order_and_repeated_events_are_said_and_mended() -> None:
    mixed = table([0, 0, 1, 0], [0, 1, 1, 0], [3, 1, 2, 5])
    events = stream(mixed, n_blocks=1)
    assert events.until(1).time.is_monotonic_increasing and len(events.until(1)) == 3
    assert "1 times" in events.notes[0] and "1 repeated" in events.notes[1]
    with pytest.raises(Problem, match="1 events are older"):
        stream(mixed, n_blocks=1, strict=True)


def test_gaps_make_empty_blocks_that_are_said() -> None:
    gap = table([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 30, 31])
    events = stream(gap, warm=1 / 3, days=7)
    assert [len(block) for block in events.blocks] == [2, 0, 0, 0, 2]
    assert "3 of 5 stretches of 7 days are empty" in events.notes[0]
    learner = Learner(StreamEASE(reg=1.0).fit(events.warm), incremental=True)
    judged = prequential(events, {"a": learner}, {"a": ("a", "live")}, 2)
    assert judged.block.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: stream(Interactions(fashion().rows.drop(columns="time"), 120, 40)), "column 'time'"),
        (lambda: stream(fashion(), warm=1.0), "warm must lie"),
        (lambda: stream(fashion(), n_blocks=1100), "too few"),
        (lambda: prequential(stream(fashion()), {}, {"a": ("b", "live")}, 2), "needs a learner"),
        (lambda: forgetting.remembered(stream(fashion()), {}, np.array([]), 2), "held_out"),
    ],
)
def test_what_cannot_be_streamed_is_refused(wrong, told: str) -> None:
    with pytest.raises(Problem, match=told):
        wrong()


def test_a_visit_sees_its_first_half_and_is_asked_for_the_second() -> None:
    events = stream(table([0, 1, 1, 1, 1, 1, 2], [0, 1, 2, 3, 4, 5, 0], [0, 1, 2, 3, 4, 5, 6]), warm=2 / 7, n_blocks=1)
    asked = visits(events.warm, events.blocks[0])
    assert asked.users.tolist() == [1] and asked.n_single == 1
    assert asked.seen.indices.tolist() == [1, 2, 3] and asked.truth.indices.tolist() == [4, 5]
    assert not (asked.seen.multiply(asked.truth)).nnz


def test_nothing_to_judge_is_said() -> None:
    single = table([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3])
    with pytest.raises(Problem, match="no block holds a person with two events"):
        prequential(stream(single, n_blocks=2), {"p": Learner(Popularity())}, {"p": ("p", "live")}, 2)


def test_a_block_is_judged_before_it_is_learnt_from() -> None:
    """Fashion turns in block 1: whoever has learnt only what came before cannot know the new shelf yet."""
    events = stream(fashion(), n_blocks=3)
    learners, systems = line_up(events.warm, 1.0, 30.0, 2, 0)
    judged = prequential(events, learners, systems, 2)
    means = judged.groupby("block")[["never, live", "each block, live", "each block, frozen"]].mean()
    assert means.loc[1, "each block, live"] == means.loc[1, "never, live"] < 0.05
    assert means.loc[2, "each block, live"] > 0.9 > 0.2 > means.loc[3, "never, live"]
    assert means.loc[3, "each block, frozen"] < means.loc[3, "each block, live"], "strangers get the popular list"
    assert newest_weights_agree(events, learners["each block"], 1.0) < 1e-4
    same = prequential(events, *line_up(events.warm, 1.0, 30.0, 2, 0), 2)
    pd.testing.assert_frame_equal(judged, same)


def test_declared_comparisons_are_paired_and_corrected() -> None:
    events = stream(fashion(), n_blocks=3)
    judged = prequential(events, *line_up(events.warm, 1.0, 30.0, 2, 0), 2)
    means = per_person(judged, ["each block, live", "never, live", "popularity"])
    labels = {"notebook": "n", "dataset": "d", "protocol": "p", "split": "s"}
    pairs = [("each block, live", "never, live"), ("each block, live", "popularity")]
    found = contrasts(means, pairs, seed=1, draws=300, **labels)
    assert found[0].delta == pytest.approx((means["each block, live"] - means["never, live"]).mean())
    assert all(one.p_holm >= one.p for one in found) and found[0].delta_low > 0
    points = by_block(judged, ["popularity"], seed=1, draws=100)
    assert points.block.tolist() == [1, 2, 3] and (points.low <= points["mean"]).all()
    spread = mean_intervals(means, 1, draws=100)
    assert len(records(spread, "ndcg", seed=1, **labels)) == 3
    assert by_kind(judged, ["popularity"], seed=1, draws=50).visits.sum() == len(judged)
    rows = pd.DataFrame({"model": ["a"], "value": [0.5], "low": [0.4], "high": [0.6], "n": [3]})
    assert frame_records(rows, "accept", seed=1, **labels)[0].value == 0.5


def test_settings_are_chosen_on_the_warm_part_alone() -> None:
    warm = stream(fashion(), n_blocks=3).warm
    tried, reg, half_life = choose(warm, [1.0, 1e9], [30.0], 2)
    assert (reg, half_life) == (1e9, 30.0) and len(tried) == 3, "equal figures go to the larger setting"


def test_the_grid_has_every_pair_of_weights_and_histories() -> None:
    names = [f"{when}, {heard}" for when in ("never", "rarely", "each block") for heard in online.HISTORIES]
    spread = mean_intervals({name: np.arange(5.0) for name in [*names, "popularity"]}, 1, draws=50)
    cells, beside = grid(spread)
    assert cells.shape == (3, 4) and beside["beside it"].tolist() == ["popularity"]


def test_a_short_memory_forgets_and_a_whole_one_does_not() -> None:
    events = stream(fashion(), warm=0.5, n_blocks=1)
    held = np.arange(0, 120, 3)
    keepers = {f"{m:g}": Learner(StreamEASE(reg=1.0, memory=m), incremental=True) for m in (1.0, 0.0)}
    found = forgetting.remembered(events, keepers, held, 2)
    assert set(found.user) <= set(held) and set(found.learnt) == set(found.judged) == {1, 2}
    lost = forgetting.changes(found, seed=1, draws=200)
    assert lost["0"].high < -0.5 and lost["1"].mean == pytest.approx(0, abs=1e-9)


def test_held_out_people_are_never_learnt_from() -> None:
    events = stream(fashion(), warm=0.5, n_blocks=1)
    learner = Learner(EASE(reg=1.0), every=1)
    forgetting.remembered(events, {"a": learner}, np.arange(60, 120), 2)
    assert learner.model.popular[20:].sum() == 0
