"""Slices of planted people: cuts on paper, gains planted in one group only, nobody dropped, no p."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.data.split import Split, frozen, house
from recutils.evaluate import groups, slices
from recutils.evaluate.groups import Groups
from recutils.evaluate.judge import judge
from recutils.evaluate.metrics import by_pair
from recutils.evaluate.statistics import compare, crossed_interval, mean_interval
from recutils.evaluate.task import Task, task
from recutils.model.baselines import Popularity, Random
from recutils.model.ease import EASE
from recutils.tables import Interactions, Problem

K = 3


def events(pairs: list[tuple[int, int]], n_users: int, n_items: int, days: list[float] | None = None) -> Interactions:
    rows = pd.DataFrame(pairs, columns=["user", "item"]).assign(value=1.0)
    if days is not None:
        rows["time"] = pd.Timestamp("2001-01-01") + pd.to_timedelta(np.array(days) * 86_400, unit="s")
    return Interactions(rows, n_users, n_items)


def planted_split() -> Split:
    """Histories of users 0 to 6 hold 1, 2, 3, 4, 5, 6 and 0 items; item 0 is met by six, 5 by one, 6 is new."""
    train = events([(user, item) for user in range(6) for item in range(user + 1)], 8, 7, [0.0] * 21)
    test = [(0, 1), (1, 6), (2, 5), (3, 5), (4, 5), (4, 6), (5, 6), (6, 0), (6, 6)]
    days = [10.0, 11.5, 17.0, 24.0, 39.0, 10.2, 40.0, 18.0, 10.1]
    return Split(train, train.only(np.empty(0, int)), events(test, 8, 7, days), "planted", "Pretends nothing.")


@pytest.fixture
def rules() -> Task:
    return slices.everybody(planted_split(), "planted", K, part="test")


def test_everybody_is_known_and_new_people_together(rules: Task) -> None:
    assert rules.users.tolist() == [0, 1, 2, 3, 4, 5, 6] and rules.group == "all users"
    assert rules.histories[6].nnz == 0 and rules.histories[5].nnz == 6
    assert rules.truth[6].indices.tolist() == [0, 6]
    assert "6 have training events (known) and 1 have none (new); the means are over all of them" in rules.notes[0]


def test_everybody_without_new_people(rules: Task) -> None:
    split = planted_split()
    only = Split(split.train, split.valid, split.test.only(split.test.user.to_numpy() < 6), split.name, split.pretends)
    assert slices.everybody(only, "planted", K, part="test").users.tolist() == [0, 1, 2, 3, 4, 5]


def test_history_is_cut_at_the_thirds_of_training(rules: Task) -> None:
    found = groups.by_history(rules, planted_split().train)
    assert found.labels == ("new (0)", "short (1 to 2)", "middle (3 to 4)", "long (5 and more)")
    assert found.of.tolist() == [1, 1, 2, 2, 3, 3, 0]
    assert found.sizes == {"new (0)": 1, "short (1 to 2)": 2, "middle (3 to 4)": 2, "long (5 and more)": 2}
    given = groups.by_history(rules, planted_split().train, (1, 5))
    assert given.of.tolist() == [1, 2, 2, 2, 2, 3, 0] and "as given" in given.rule
    with pytest.raises(Problem, match="1 <= short < middle"):
        groups.by_history(rules, planted_split().train, (4, 2))


def test_histories_of_one_length_are_all_short(rules: Task) -> None:
    same = events([(user, item) for user in range(6) for item in (0, 1)], 8, 7)
    assert groups.by_history(rules, same).sizes["short (1 to 2)"] == 6


def test_the_cuts_do_not_depend_on_who_is_judged(rules: Task) -> None:
    known = task(planted_split(), "planted", K, part="test")
    assert (
        groups.by_history(known, planted_split().train).labels == groups.by_history(rules, planted_split().train).labels
    )


def test_taste_is_the_mean_popularity_of_the_history(rules: Task) -> None:
    found = groups.by_taste(rules, planted_split().train)
    # item i is known to 6 - i of 6 people; the mean over items 0..n-1 falls from 1 to 3.5 / 6 with n
    assert found.of.tolist() == [3, 3, 2, 2, 1, 1, 0]
    assert found.labels[0] == "no history" and found.labels[1].startswith("niche (up to 72.2%")
    with pytest.raises(Problem, match="equally popular"):
        groups.by_taste(rules, events([(user, user) for user in range(6)], 8, 7))


def test_fields_of_the_users_table(rules: Task) -> None:
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(8)], "sex": ["F", "M", "M", None, "F", "M", "M", "M"]})
    users["age"] = [10, 20, 30, 40, 50, 60, 70, 80]
    users["town"] = ["a", "b", "c", "d", "e", "f", "g", "h"]
    users["constant"] = "x"
    assert groups.usable_fields(users, most=4) == ["sex", "age"]
    sex = groups.by_field(rules, users, "sex")
    assert sex.labels == ("M", "F", "not stated") and sex.of.tolist() == [1, 0, 0, 2, 1, 0, 0]
    age = groups.by_field(rules, users, "age", most=4)
    assert len(age.labels) == 3 and age.of.tolist() == [0, 0, 0, 1, 1, 2, 2]
    town = groups.by_field(rules, users, "town", most=3)
    assert town.labels == ("a", "b", "other") and town.of.tolist() == [0, 1, 2, 2, 2, 2, 2]
    few = groups.by_field(rules, users.assign(age=[1, 18, 1, 18, 25, 25, 1, 1]), "age")
    assert few.labels == ("1", "18", "25") and few.of.tolist() == [0, 1, 0, 1, 2, 2, 0]
    for field, why in (("shoe", "no field 'shoe'"), ("constant", "parts nobody")):
        with pytest.raises(Problem, match=why):
            groups.by_field(rules, users, field)


def test_missing_numbers_and_tied_thirds(rules: Task) -> None:
    users = pd.DataFrame({"user_id": range(8), "age": [1.0, 1, 1, 1, 1, 1, np.nan, 9.5]})
    found = groups.by_field(rules, users, "age", most=1)
    assert found.of.tolist() == [0] * 6 + [found.labels.index("not stated")]


def test_first_day_cuts_the_judged_part_into_weeks(rules: Task) -> None:
    found = groups.by_first_day(rules, planted_split().test)
    assert found.labels == tuple(f"days {a} to {a + 6}" for a in (1, 8, 15, 22, 29))
    assert found.of.tolist() == [0, 0, 1, 2, 0, 4, 0]  # user 4 came first on day 10.2, user 6 on day 10.1
    late = groups.by_first_day(rules, planted_split().test, days=7, most=2)
    assert late.labels == ("days 1 to 7", "day 8 on") and late.of.tolist() == [0, 0, 1, 1, 0, 1, 0]
    assert "in periods of 14 days" in groups.by_first_day(rules, planted_split().test, most=3).rule


def test_items_are_head_tail_or_new(rules: Task) -> None:
    found = groups.by_popularity(planted_split().train)
    assert found.of.tolist() == [0, 0, 1, 1, 1, 1, 2]  # 6 + 5 of 21 events are the first half
    truth = slices.truth_of(rules, found).set_index("group")
    assert truth.events.to_dict() == {"head": 2, "tail": 3, "new": 4}
    assert truth["items"].to_dict() == {"head": 2, "tail": 1, "new": 1}
    assert truth.users.to_dict() == {"head": 2, "tail": 3, "new": 4}
    tied = groups.by_popularity(events([(0, 0), (1, 1), (2, 2)], 3, 4))
    assert tied.of.tolist() == [0, 0, 0, 2]  # equal items are not parted
    with pytest.raises(Problem, match="between 0 and 1"):
        groups.by_popularity(planted_split().train, 1.0)


def test_user_groups_tell_what_is_missing(rules: Task) -> None:
    users = pd.DataFrame({"user_id": range(8), "sex": list("MFMFMFMF")})
    found, missing = groups.user_groups(rules, planted_split().train, users)
    assert [one.name for one in found] == ["history", "taste", "sex"] and not missing
    found, missing = groups.user_groups(rules, planted_split().train, users[["user_id"]])
    assert [one.name for one in found] == ["history", "taste"] and "none that parts people" in missing[0]
    _, missing = groups.user_groups(rules, planted_split().train, users, ["age"])
    assert "No slice by age: the users table has no field 'age'" in missing[0]


def test_groups_must_be_a_partition() -> None:
    with pytest.raises(Problem, match="got -1..0"):
        Groups("g", ("a",), np.array([0, -1]), "")
    with pytest.raises(Problem, match="labels must differ"):
        Groups("g", ("a", "a"), np.array([0, 1]), "")
    with pytest.raises(Problem, match="no group 'b'"):
        Groups("g", ("a",), np.array([0]), "").mask("b")


def halves(n: int = 200) -> tuple[dict[str, np.ndarray], sparse.csr_matrix, Groups]:
    """n people want one item each; model "good" finds it for the second half, popularity for one in ten."""
    truth = sparse.csr_matrix((np.ones(n), (np.arange(n), np.arange(n) % 20)), shape=(n, 30))
    wrong = np.tile([27, 28, 29], (n, 1))
    hit = wrong.copy()
    hit[:, 0] = np.arange(n) % 20
    place = (np.arange(n) >= n // 2).astype(int)
    rng = np.random.default_rng(0)
    lists = {
        "popularity": np.where(rng.random((n, 1)) < 0.1, hit, wrong),
        "good": np.where(place[:, None] == 1, hit, wrong),
    }
    return lists, truth, Groups("side", ("first", "second", "third"), place, "Halves.")


def test_a_gain_is_found_where_it_was_planted() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=500)
    found = slices.where_wins(judged, side, seed=1, draws=500)
    table = found.table().set_index(["group", "model"])
    assert table.verdict["first", "good"] == "worse" and table.verdict["second", "good"] == "better"
    assert table.verdict["second", "popularity"] == "" and table.verdict["third", "good"] == "nobody"
    assert table.users["first", "good"] == 100 and table.users["third", "good"] == 0
    assert table.value["second", "good"] == 1.0 and table.value["first", "good"] == 0.0
    assert found.sizes()["users"].tolist() == [100, 100, 0]
    assert found.off_zero() == (2, 2, pytest.approx(0.1))
    gains = found.gains(["good"])
    assert list(gains) == [("side: first, n = 100", "good"), ("side: second, n = 100", "good")]
    assert gains["side: second, n = 100", "good"] == tuple(
        table.loc[("second", "good"), ["delta", "delta_low", "delta_high"]]
    )
    assert list(found.gains(["good"], without=["first"])) == [("side: second, n = 100", "good")]
    assert not found.gains(["good"], without=["side"])
    named = found.named("61_x", Task("made", "H", "s", "test", K, judged.users, truth, truth, "all users"))
    assert (named[0].notebook, named[0].dataset, named[0].protocol, named[0].split) == ("61_x", "made", "H", "s, test")
    assert all(record.p is None and record.p_holm is None for record in found.records)


def test_group_numbers_are_those_of_the_statistics() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=500)
    record = slices.where_wins(judged, (side,), seed=1, draws=500).find("side", "second", "good", "recall")
    mask = side.mask("second")
    good, popular = (judged.values["recall"][name][mask] for name in ("good", "popularity"))
    alone, paired = mean_interval(popular, 1, draws=500), compare(good, popular, 1, draws=500)
    assert record is not None and record.group == "side: second" and record.n == 100 and record.k == K
    assert (record.delta, record.delta_low, record.delta_high) == pytest.approx((paired.delta, paired.low, paired.high))
    base = slices.where_wins(judged, side, seed=1, draws=500).find("side", "second", "popularity", "recall")
    assert base is not None and (base.value, base.low, base.high) == pytest.approx((alone.mean, alone.low, alone.high))


def test_few_people_get_no_verdict_and_those_without_truth_are_counted() -> None:
    lists, truth, _ = halves()
    truth = sparse.vstack([truth[:190], sparse.csr_matrix((10, 30))], format="csr")
    of = np.r_[np.zeros(185), np.ones(5), np.full(9, 2), 0].astype(int)
    found = slices.where_wins(
        judge(lists, truth, K, seed=1, draws=200), Groups("g", ("a", "b", "c"), of, ""), seed=1, draws=200
    )
    table = found.table().query("model == 'good'").set_index("group")
    assert table.verdict.to_dict() == {"a": "better", "b": "too few", "c": "nobody"}
    assert table.users.to_dict() == {"a": 185, "b": 5, "c": 0}
    left = [r for r in found.records if (r.group, r.metric, r.model) == ("g: a", "users_left_out", "good")]
    assert (left[0].value, left[0].n) == (1, 186)


def test_the_same_lists_are_no_chance_find() -> None:
    lists, truth, side = halves()
    judged = judge({"popularity": lists["popularity"], "copy": lists["popularity"]}, truth, K, seed=1, draws=200)
    found = slices.where_wins(judged, side, seed=1, draws=200)
    assert found.off_zero() == (0, 0, 0) and set(found.table().query("model == 'copy'").verdict) == {"open", "nobody"}


def test_a_group_in_two_slices_is_counted_once() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=200)
    twice = (side, Groups("again", ("x", "y"), side.of, ""))
    assert slices.where_wins(judged, twice, seed=1, draws=200).off_zero()[0] == 2
    assert slices.where_wins(judged, twice, seed=1, draws=200).off_zero(models=["popularity"])[0] == 0


def test_contrast_tells_whether_gains_differ() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=500)
    gap = slices.contrast(judged, side, "second", "first", "good", seed=1, draws=1000)
    gain = judged.values["ndcg"]["good"] - judged.values["ndcg"]["popularity"]
    assert gap.delta == pytest.approx(gain[100:].mean() - gain[:100].mean()) and gap.low > 0.8 and gap.n == 200
    error = np.sqrt(gain[:100].var() / 100 + gain[100:].var() / 100)
    assert (gap.high - gap.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.1)
    same = Groups("dice", ("a", "b"), np.arange(200) % 2, "")
    assert slices.contrast(judged, same, "a", "b", "good", seed=1, draws=500).low < 0
    with pytest.raises(Problem, match="side: third has 0 people"):
        slices.contrast(judged, side, "second", "third", "good", seed=1)


def test_wrong_calls_are_named() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=50)
    with pytest.raises(Problem, match="parts 1 users, the judgement has 200"):
        slices.where_wins(judged, Groups("g", ("a",), np.array([0]), ""), seed=1)
    with pytest.raises(Problem, match="no baseline"):
        slices.where_wins(judge(lists, truth, K, seed=1, baseline=None, draws=50), side, seed=1)
    with pytest.raises(Problem, match="no group 'fourth'"):
        slices.where_wins(judged, side, seed=1, draws=50).find("side", "fourth", "good")


def test_item_recall_on_paper(rules: Task) -> None:
    items = groups.by_popularity(planted_split().train)
    nothing = np.full((7, K), -1)
    lists = {"popularity": nothing.copy(), "some": nothing.copy()}
    lists["some"][[0, 2, 3], 0] = [1, 5, 4]  # hits for users 0 (head) and 2 (tail); user 3 wanted 5
    found = slices.item_recall(lists, rules, items, seed=1, draws=400)
    value = {(r.group, r.model): r.value for r in found}
    assert value["items: head", "some"] == pytest.approx(1 / 2) and value["items: tail", "some"] == pytest.approx(1 / 3)
    assert value["items: new", "some"] == 0 and value["items: new", "popularity"] == 0
    assert {r.group: r.n for r in found} == {"items: head": 2, "items: tail": 3, "items: new": 4}
    assert {r.metric for r in found} == {"events_found"} and not any(r.p is not None for r in found)
    record = next(r for r in found if (r.group, r.model) == ("items: tail", "some"))
    assert (record.delta, record.delta_low) == (pytest.approx(1 / 3), 0) and record.against == "popularity"
    with pytest.raises(Problem, match="baseline 'best'"):
        slices.item_recall(lists, rules, items, seed=1, baseline="best")


def test_item_recall_draws_users_and_items() -> None:
    rng = np.random.default_rng(2)
    truth = sparse.random(150, 60, 0.08, "csr", random_state=3)
    lists = {"popularity": rng.permuted(np.tile(np.arange(60), (150, 1)), axis=1)[:, :K]}
    lists["half"] = np.where(np.arange(150)[:, None] % 2, lists["popularity"], np.tile([0, 1, 2], (150, 1)))
    empty = sparse.csr_matrix((150, 60))
    rules = Task("made", "H", "s", "test", K, np.arange(150), empty, truth, "all users")
    record = slices.item_recall(
        lists, rules, Groups("items", ("all", "none"), np.zeros(60, int), ""), seed=4, draws=4000
    )[1]
    pairs = {name: by_pair(ranked, truth, K, "recall") for name, ranked in lists.items()}
    known = crossed_interval(pairs["half"].value, pairs["half"].user, pairs["half"].item, 4, draws=4000)
    gap = (pairs["half"].value - pairs["popularity"].value).to_numpy()
    paired = crossed_interval(gap, pairs["half"].user, pairs["half"].item, 4, draws=4000)
    assert record.model == "half" and record.value == pytest.approx(known.mean)
    assert (record.low, record.high) == pytest.approx((known.low, known.high), rel=0.15)
    assert (record.delta_low, record.delta_high) == pytest.approx((paired.low, paired.high), rel=0.15)


def test_the_same_seed_gives_the_same_records() -> None:
    lists, truth, side = halves()
    judged = judge(lists, truth, K, seed=1, draws=100)
    first, second = (slices.where_wins(judged, side, seed=5, draws=100).records for _ in range(2))
    assert first == second


def test_a_whole_round_on_ratings(ratings: Interactions) -> None:
    last = frozen(house(ratings))
    rules = slices.everybody(last, "planted", 5, part="test")
    models = {"random": Random(seed=1), "popularity": Popularity(), "ease": EASE(reg=10.0)}
    judged = rules.judge({name: model.fit(last.train) for name, model in models.items()}, seed=1, draws=200)
    found, missing = groups.user_groups(
        rules, last.train, pd.DataFrame({"user_id": range(40), "odd": np.arange(40) % 2})
    )
    assert not missing
    wins = slices.where_wins(judged, [*found, groups.by_first_day(rules, last.test)], seed=1, draws=200)
    assert wins.table().groupby(["slice", "model"]).users.sum().eq(len(rules.users)).all(), "somebody was dropped"
