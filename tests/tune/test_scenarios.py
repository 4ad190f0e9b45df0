"""Several scenarios on one trunk: each learns its own rule, weights do what they say, one more hurts nobody."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recutils.tables import Dataset, Interactions, Problem
from recutils.tune.beside import beside, refitted, without_words
from recutils.tune.classifier import Recipe, probabilities
from recutils.tune.gates import Shared, new_shared, only_own, own_parts, share_of, weights_of, with_weights
from recutils.tune.mixing import Scenario, Sharing, batches, chances_of, gradient_weights, n_steps, weighed
from recutils.tune.prepared import FEW, prepared, windows
from recutils.tune.scenarios import added, plan_of, share, share_kept
from recutils.tune.states import Base, States, in_batches

QUICK = Recipe(epochs=8, learning_rate=1e-2, head_rate=3.0, batch=16)
KINDS = {
    "sum": Sharing(), "temperature": Sharing(temperature=5.0), "uncertainty": Sharing(weighting="uncertainty"),
    "gradients": Sharing(weighting="gradients"), "adapters": Sharing(adapter=4),
    "experts": Sharing(experts=3, narrow=4),
}  # fmt: skip


def right(labels: np.ndarray, chances: np.ndarray) -> float:
    return float((chances.argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def two(states: States, planted) -> list[Scenario]:
    """One rule and its opposite: no single head can serve both."""
    train, asked = np.arange(120), np.arange(120, 200)
    made = []
    for name, rows, labels in (("plain", train, planted.labels), ("turned", train[:40], 1 - planted.labels)):
        made.append(Scenario(name, states.only(rows), labels[rows], states.only(asked), labels[asked], 2))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_each_scenario_learns_its_own_rule_from_one_trunk(base: Base, two, kind: str) -> None:
    made, course = share(base, two, KINDS[kind], QUICK, right)
    for one in two:
        found = right(one.answers, probabilities(made.one(one.name), one.asked))
        assert found > 0.85 and found == course.own_values[one.name]
    assert course.values.shape == (8, 2) and not made.training


def test_one_seed_gives_one_network(base: Base, two) -> None:
    short = replace(QUICK, epochs=1)
    found = [share(base, two, KINDS["experts"], replace(short, seed=seed), right)[0] for seed in (1, 1, 2)]
    first, again, other = (np.concatenate([w.ravel() for w in weights_of(one).values()]) for one in found)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_scenario_keeps_the_head_of_its_best_epoch_with_the_kept_trunk(base: Base, two) -> None:
    made, course = share(base, two, Sharing(adapter=4), replace(QUICK, epochs=5), right)
    table = course.table().set_index("scenario")
    assert (table["own head's epoch"] >= table["one epoch"]).all()
    assert (table["own trunk's epoch"] >= table["one epoch"]).all()
    assert course.values[course.epoch].mean() == course.values.mean(axis=1).max()
    alone, single = share(base, two[:1], Sharing(), QUICK, right)
    assert single.own_epochs["plain"] == single.epoch and alone.names == ("plain",)


def test_all_rows_are_met_once_and_small_scenarios_are_spread_over_the_epoch(two) -> None:
    few = replace(two[1], states=two[1].states.only(np.arange(3)), labels=np.array([0, 1, 0]))
    drawn = list(batches([two[0], few], Sharing(), 16)(0, np.random.default_rng(0)))
    counts = np.array([np.bincount(which, minlength=2) for which, *_ in drawn])
    assert len(drawn) == n_steps([120, 3], 16, 0) == 8 and counts.sum(axis=0).tolist() == [120, 3]
    assert counts[:, 1].max() == 1 and np.flatnonzero(counts[:, 1]).tolist() == [0, 2, 5]
    numbers, labels, hidden, mask = drawn[0]
    assert len(numbers) == len(labels) == len(hidden) == len(mask)


def test_the_temperature_decides_how_often_the_small_scenario_is_drawn(two) -> None:
    np.testing.assert_allclose(chances_of([8000, 1000], 3.0), [2 / 3, 1 / 3])
    assert chances_of([5, 5, 5], 7.0).tolist() == pytest.approx([1 / 3] * 3)
    assert chances_of([9_999_999, 1], 1e6)[1] == pytest.approx(0.5, abs=1e-4)
    few = replace(two[1], states=two[1].states.only(np.arange(5)), labels=np.array([0, 1, 0, 1, 1]))
    shares = []
    for temperature in (1.0, 100.0):
        draw = batches([two[0], few], Sharing(temperature=temperature), 4)
        numbers = [which for epoch in range(20) for which, *_ in draw(epoch, np.random.default_rng(epoch))]
        assert all(len(which.unique()) == 1 for which in numbers)
        shares.append(np.mean([int(which[0]) for which in numbers]))
    assert shares[0] < 0.08 and 0.42 < shares[1] < 0.58
    with pytest.raises(Problem, match="above 0"):
        chances_of([1, 2], 0.0)


def test_weights_of_losses_are_what_the_papers_say(base: Base) -> None:
    made = new_shared(base, {"a": 2, "b": 3})
    losses = {"a": torch.tensor(0.5), "b": torch.tensor(2.0)}
    assert weighed(made, losses, "sum").item() == 2.5
    with torch.no_grad():
        made.log_variances["b"].fill_(np.log(4.0))
    assert weighed(made, losses, "uncertainty").item() == pytest.approx(0.5 + 2.0 / 4 + np.log(4.0) / 2)
    even = gradient_weights(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 1.0]))
    assert even.tolist() == pytest.approx([1.6, 0.4]) and (even * torch.tensor([1.0, 4.0])).std() < 1e-6
    behind = gradient_weights(torch.tensor([1.0, 1.0]), torch.tensor([0.9, 0.3]))
    assert behind.tolist() == pytest.approx([1.5, 0.5])


def test_untrained_parts_change_nothing_and_experts_weigh_alike(base: Base, states: States) -> None:
    with torch.random.fork_rng():
        plain, parts = new_shared(base, {"a": 2}), new_shared(base, {"a": 2}, adapter=4, experts=2, narrow=4)
    assert torch.equal(*(in_batches(one, partial(one.pooled, "a"), states) for one in (plain, parts)))
    shares = parts.shares("a", *states.batch(np.arange(3)))
    assert shares.tolist() == [[0.5, 0.5]] * 3
    assert np.array_equal(probabilities(parts.one("a"), states), np.full((200, 2), 0.5))


def test_numbers_are_counted_by_part(base: Base) -> None:
    made = new_shared(base, {"a": 2, "b": 3}, adapter=4, experts=2, narrow=4)
    small = 16 * 4 + 4 + 4 * 16 + 16
    assert made.counts()["experts"] == 2 * 16 * 4 * 2 + 2 * 4 + 16
    assert made.counts()["own"] == 33 * 5 + 2 * small + 2 * (16 * 2 + 2)
    one, other = new_shared(base, {"a": 2}), new_shared(base, {"b": 3})
    trunk, both = one.counts()["trunk"], new_shared(base, {"a": 2, "b": 3})
    assert share_of(both, [one, other]) == (trunk + 33 * 5) / (2 * trunk + 33 * 5)
    assert only_own(made, "b") == 33 * 3 + small + (16 * 2 + 2)


@pytest.mark.parametrize("kind", ["sum", "adapters", "experts"])
def test_one_scenario_more_leaves_the_others_as_they_were_bit_for_bit(base: Base, two, kind: str) -> None:
    made, _ = share(base, two[:1], KINDS[kind], replace(QUICK, epochs=2), right)
    before = probabilities(made.one("plain"), two[0].asked)
    grown = added(made, two[1], QUICK, right, adapter=4)
    assert np.array_equal(probabilities(grown.one("plain"), two[0].asked), before)
    assert right(two[1].answers, probabilities(grown.one("turned"), two[1].asked)) > 0.7
    assert made.names == ("plain",) and grown.names == ("plain", "turned")
    moved = added(made, two[1], QUICK, right, frozen=False)
    assert not np.array_equal(probabilities(moved.one("plain"), two[0].asked), before)
    assert all(torch.equal(w, own_parts(moved, "plain")[name]) for name, w in own_parts(made, "plain").items())


def test_weights_go_into_a_network_of_the_same_make_only(base: Base, two, states: States) -> None:
    made, _ = share(base, two, KINDS["adapters"], replace(QUICK, epochs=1), right)
    classes = {"plain": 2, "turned": 2}
    again = with_weights(new_shared(base, classes, adapter=4), weights_of(made))
    assert np.array_equal(probabilities(again.one("turned"), states), probabilities(made.one("turned"), states))
    with pytest.raises(Problem, match=r"heads for \['plain', 'turned'\], the network for \['plain'\]"):
        with_weights(new_shared(base, {"plain": 2}, adapter=4), weights_of(made))
    with pytest.raises(Problem, match="another make"):
        with_weights(new_shared(base, classes, adapter=8), weights_of(made))
    with pytest.raises(Problem, match="another make"):
        with_weights(new_shared(base, classes), weights_of(made))


def test_bad_scenarios_are_refused_by_name(base: Base, two, states: States) -> None:
    none = states.only(np.array([], dtype=int))
    for wrong, word in (
        ({"states": none, "labels": np.array([], dtype=int)}, "plain has no training rows"),
        ({"asked": none, "answers": np.array([], dtype=int)}, "plain has no validation rows"),
        ({"labels": np.zeros(120, dtype=int)}, r"plain, training rows: 120 rows hold 1 class"),
        ({"labels": two[0].labels[:-1]}, "120 training texts, but 119 labels"),
        ({"labels": two[0].labels + 1}, r"expected 0\.\.1"),
    ):
        with pytest.raises(Problem, match=word):
            replace(two[0], **wrong)
    with pytest.raises(Problem, match="name of its own"):
        share(base, [two[0], two[0]], Sharing(), QUICK, right)
    with pytest.raises(Problem, match="at least one scenario"):
        share(base, [], Sharing(), QUICK, right)


def test_unknown_names_and_senseless_settings_are_refused(base: Base, states: States) -> None:
    made = new_shared(base, {"a": 2, "b": 3})
    with pytest.raises(Problem, match=r"no scenario is called 'c'; this encoder has a, b"):
        made.one("c")
    with pytest.raises(Problem, match="without dots"):
        made.grow("a", 2)
    with pytest.raises(Problem, match="without dots"):
        made.grow("a.b", 2)
    with pytest.raises(Problem, match="at least two"):
        made.grow("c", 1)
    for wrong in ({"weighting": "luck"}, {"temperature": -1.0}, {"temperature": 2.0, "weighting": "uncertainty"}):
        with pytest.raises(Problem):
            Sharing(**wrong)
    with pytest.raises(Problem, match="adapter and experts"):
        Shared(made.layers, 16, {"a": 2}, adapter=-1)


def test_the_trunk_learns_faster_when_a_step_holds_more_scenarios_and_heads_do_not(two) -> None:
    alone, both = plan_of(QUICK, two[:1], Sharing()), plan_of(QUICK, two, Sharing())
    by_turns = plan_of(QUICK, two, Sharing(temperature=1.0))
    assert both.learning_rate == pytest.approx(2**0.5 * alone.learning_rate) and both.steps == alone.steps == 64
    for name in ("heads.plain.weight", "adapters.plain.0.up.weight", "gates.plain.weight"):
        assert both.learning_rate * both.factor(name) == pytest.approx(alone.learning_rate * alone.factor(name))
    assert both.factor("experts.0.wide.up.weight") == alone.factor("experts.0.wide.up.weight") == 10.0
    assert by_turns.learning_rate == alone.learning_rate and by_turns.steps == 80


def test_a_stored_training_comes_back_as_it_was(base: Base, two, tmp_path: Path, monkeypatch) -> None:
    short = replace(QUICK, epochs=2)
    options = {"rows": "made", "root": tmp_path}
    first, course = share_kept(base, two, KINDS["adapters"], short, right, **options)
    monkeypatch.setattr("recutils.tune.scenarios.share", None)
    again, told = share_kept(base, two, KINDS["adapters"], short, right, **options)
    before, after = weights_of(first), weights_of(again)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert told.own_epochs == course.own_epochs and told.own_values == course.own_values
    assert told.table().equals(course.table())


def test_a_prepared_task_knows_its_rows_and_keeps_parts_apart(base: Base, planted) -> None:
    made = prepared(base, "plain", planted, labels=30, n_seeds=2, valid=20, test=500)
    assert [len(rows) for rows in (*made.train, made.valid, made.test)] == [30, 30, 20, round(FEW[2] * 200)]
    assert not np.array_equal(np.sort(made.train[0]), np.sort(made.train[1])) and made.told(0) != made.told(1)
    for rows in made.train:
        assert not np.isin(rows, np.concatenate([made.valid, made.test])).any()
    one = made.scenario(1)
    assert np.array_equal(one.labels, planted.labels[made.train[1]]) and one.name == "plain"
    tokens = base.load()[0]([planted.texts[row] for row in made.train[1]], max_length=16, truncation=True)["input_ids"]
    assert one.states.lengths.tolist() == [len(row) for row in tokens]
    assert made.texts(made.valid[:1]) == [planted.texts[made.valid[0]]] and made.groups(made.test) is None


def test_what_stands_beside_knows_the_planted_words_and_not_the_rows_asked(base: Base, planted) -> None:
    task = prepared(base, "plain", planted, labels=60, n_seeds=2, valid=20, test=80)
    bare = new_shared(base, {"plain": 2})
    found = beside(task, bare, task.test)
    assert {name: len(tables) for name, tables in found.items()} == dict.fromkeys(found, 2)
    assert all(right(task.labels(task.test), one) > 0.95 for one in found["counted words"])
    share = np.bincount(task.labels(task.train[1])) / 60
    assert np.array_equal(found["majority"][1][7], share)
    again = refitted(bare, "plain", task, task.test[:30], [1])
    np.testing.assert_allclose(again[0], found["without tuning"][1][:30], atol=1e-6)
    with pytest.raises(Problem, match="needs windows of histories"):
        without_words(task, None, task.test)


@pytest.mark.parametrize("explicit", [True, False])
def test_windows_ask_what_the_data_can_answer_and_numbers_alone_may_know_it(base: Base, explicit: bool) -> None:
    rng = np.random.default_rng(0)
    rows = [(user, item, second) for user in range(60) for second, item in enumerate(rng.permutation(12)[:9])]
    table = pd.DataFrame(rows, columns=["user", "item", "second"])
    table["value"] = np.where(table.item < 6, 5.0, 1.0) if explicit else 1.0
    table["time"] = pd.Timestamp("1998-01-01") + pd.to_timedelta(table.second, unit="s")
    people = pd.DataFrame({"user_id": [f"u{n}" for n in range(60)]})
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(12)], "title": ["good dress", "bad shirt"] * 6})
    data = Dataset("made", Interactions(table, 60, 12), people, items, explicit=explicit)
    found = windows(data, 151)
    assert len(found) == 150 and found.classes == (("not liked", "liked") if explicit else ("not read", "read"))
    task = prepared(base, "films", found, labels=40, n_seeds=1, valid=20, test=50)
    assert not np.isin(task.groups(task.test), task.people).any()
    told = without_words(task, data, task.test)[0]
    assert told.shape == (50, 2) and (not explicit or right(task.labels(task.test), told) > 0.95)
