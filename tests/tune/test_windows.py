"""Windows of histories: what they hold, what changes in them and what is refused."""

import numpy as np
import pandas as pd
import pytest

from recutils.tables import Interactions, Problem
from recutils.tune.windows import Window, deal, few, labels_of, owners, windows


def test_a_window_is_a_run_of_events_and_what_came_next(events) -> None:
    ordered = {user: rows.item.tolist() for user, rows in events.rows.groupby("user")}
    for one in windows(events, range(24), n_history=3, n_candidates=2, rng=1):
        films = [*one.history, *one.candidates]
        text = ordered[one.user]
        assert any(text[start : start + 5] == films for start in range(4))
        assert one.likes == tuple(film < 4 for film in one.history)
        assert one.labels == tuple(film < 4 for film in one.candidates)
        assert one.share == pytest.approx(len(one.liked) / 3) and set(one.liked) | set(one.disliked) == set(one.history)


def test_order_is_that_of_time_and_unknown_titles_are_passed_over() -> None:
    frame = pd.DataFrame({"user": 0, "item": [3, 1, 2, 0], "value": 5.0})
    frame["time"] = pd.to_datetime([3, 1, 2, 0], unit="s")
    one = windows(Interactions(frame, 1, 4), [0], n_history=3)[0]
    assert (one.history, one.candidates) == ((0, 1, 2), (3,))
    known = np.array([True, False, True, True])
    other = windows(Interactions(frame, 1, 4), [0], n_history=2, known=known)[0]
    assert (other.history, other.candidates) == ((0, 2), (3,))
    in_file = windows(Interactions(frame.drop(columns="time"), 1, 4), [0], n_history=3)[0]
    assert in_file.history == (3, 1, 2)


def test_the_place_is_drawn_and_a_person_keeps_it_whoever_else_is_asked(events) -> None:
    some = windows(events, range(24), n_history=2, rng=3)
    assert some == windows(events, range(24), n_history=2, rng=3) != windows(events, range(24), n_history=2, rng=4)
    assert len({one.history for one in some}) > 12
    short = events.only(events.user.to_numpy() != 5)
    assert [one for one in some if one.user != 5] == windows(short, range(24), n_history=2, rng=3)


def test_changed_windows_keep_what_they_promise(asked) -> None:
    one = next(one for one in asked if 0 < len(one.liked) < 4)
    moved, dealt, turned = one.shuffled(0), one.dealt(1), one.turned()
    assert dict(zip(moved.history, moved.likes, strict=True)) == dict(zip(one.history, one.likes, strict=True))
    assert dealt.history == one.history and sum(dealt.likes) == sum(one.likes)
    assert turned.liked == one.disliked and turned.candidates == one.candidates
    assert [(part.candidates, part.labels) for part in one.apart()] == [
        ((film,), (label,)) for film, label in zip(one.candidates, one.labels, strict=True)
    ]
    assert one.first(1) == one.apart()[0]


def test_groups_are_disjoint_and_shrink_together() -> None:
    groups = deal(range(100), [20, 10, 5], rng=0)
    assert [len(group) for group in groups] == [20, 10, 5] and len(set(np.concatenate(groups))) == 35
    assert [len(group) for group in deal(range(18), [20, 10, 5], rng=0)] == [10, 5, 2]
    with pytest.raises(Problem, match="each group needs 2"):
        deal(range(6), [20, 10, 5])


def test_few_labels_hold_both_kinds() -> None:
    labels = np.arange(50) == 7
    for seed in range(20):
        rows = few(labels, 4, seed)
        assert len(set(rows)) == 4 and labels[rows].sum() == 1
    for wrong in (np.zeros(5, dtype=bool), np.ones(5, dtype=bool)):
        with pytest.raises(Problem, match="both kinds"):
            few(wrong, 3)
    with pytest.raises(Problem, match="both kinds"):
        few(labels, 51)


def test_labels_and_owners_stand_in_one_order(asked) -> None:
    assert labels_of(asked).shape == owners(asked).shape == (2 * len(asked),)
    assert owners(asked)[:4].tolist() == [asked[0].user] * 2 + [asked[1].user] * 2
    with pytest.raises(Problem, match="only liked films"):
        labels_of([Window(0, (1,), (True,), (2,), (True,))])
    with pytest.raises(Problem, match="no label"):
        labels_of([])


def test_senseless_windows_are_refused(events) -> None:
    with pytest.raises(Problem, match="no candidate"):
        Window(0, (1,), (True,), (), ())
    with pytest.raises(Problem, match="2 films with 1 opinions"):
        Window(0, (1, 2), (True,), (3,), (True,))
    with pytest.raises(Problem, match="at least 1"):
        windows(events, [0], n_history=0)
    assert windows(events, [0, 99], n_history=8) == []
