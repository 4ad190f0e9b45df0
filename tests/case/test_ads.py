"""The advertising case: planted click rates are found, rare clicks get honest bins, bad logs are refused."""

import numpy as np
import pandas as pd
import pytest

from recutils.case import ads, ads_tables
from recutils.data.bandit import Log
from recutils.evaluate.counterfactual import Campaign
from recutils.rank.policies import at_rows, uniform
from recutils.tables import Problem

N_ITEMS, N_PLACES = 6, 3


def made(n: int = 6000, seed: int = 0, *, skewed: bool = False, rate: float = 0.05) -> Log:
    """Item 5 is clicked four times as often, place 0 twice; skewed: the shop shows item 5 mostly at place 0."""
    rng = np.random.default_rng(seed)
    position = rng.integers(N_PLACES, size=n)
    chance = np.full((N_PLACES, N_ITEMS), 1 / N_ITEMS)
    if skewed:
        chance[0] = [0.04] * 5 + [0.8]
    item = (rng.random((n, 1)) > chance.cumsum(axis=1)[position]).sum(axis=1)
    click = rng.random(n) < rate * np.where(item == 5, 4, 1) * np.where(position == 0, 2, 1)
    day = np.datetime64("2019-11-24") + np.sort(rng.integers(0, 7 * 86_400, n)).astype("timedelta64[s]")
    rows = pd.DataFrame({"item": item, "position": position, "click": click.astype(float), "time": day})
    rows["propensity"] = chance[position, item]
    items = pd.DataFrame({"item_id": range(N_ITEMS), "size": np.arange(6.0), "kind": list("aaabbb")})
    people = pd.DataFrame({"who": rng.choice(["x", "y"], n), "where": rng.choice(["u", "v"], n)})
    return Log("made", rows, people, np.zeros((n, N_ITEMS)), items, N_PLACES)


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    table = np.full((N_ITEMS, N_PLACES), 1 / N_ITEMS)
    return Campaign("made", made(), made(seed=1, skewed=True), table, np.array([0.05] * 5 + [0.2]))


@pytest.fixture(scope="module")
def days(campaign: Campaign) -> ads.Days:
    return ads.cut(campaign, 3)


def test_the_cut_follows_the_days_and_loses_no_row(campaign: Campaign, days: ads.Days) -> None:
    assert len(days.choose) + len(days.judge) == len(campaign.random)
    assert days.choose.rows.time.max() < days.judge.rows.time.min()
    assert days.choose.rows.time.dt.date.nunique() == 3
    assert days.teach.rows.time.max() < np.datetime64("2019-11-27")


@pytest.mark.parametrize("n_days", [0, 7])
def test_a_cut_that_leaves_a_part_empty_is_refused(campaign: Campaign, n_days: int) -> None:
    with pytest.raises(Problem, match="no click"):
        ads.cut(campaign, n_days)


def test_a_model_finds_the_planted_item_and_place(days: ads.Days) -> None:
    chances = ads.click_model(days.teach, ("place", "item"))(days.judge)
    assert (chances.argmax(axis=1) == 5).all()
    first, second = (chances[days.judge.position == place].mean() for place in (0, 1))
    assert first > 1.3 * second
    assert ads.placements(days.judge, ads.shown(days.judge, chances)).mean() > 0.6


def test_the_average_rate_is_the_trivial_model(days: ads.Days) -> None:
    chances = ads.click_model(days.teach, ())(days.judge)
    assert np.ptp(chances) == 0
    assert chances[0, 0] == pytest.approx(days.teach.click.mean())
    assert (ads.placements(days.judge, chances[:, 0]) == 0.5).all()


def test_a_visitor_never_seen_counts_as_without_features(days: ads.Days) -> None:
    model = ads.click_model(days.teach, ("place", "visitor"))
    strange = days.judge.only(np.arange(5))
    strange.people.loc[:, :] = "never seen"
    assert np.isfinite(model(strange)).all()


@pytest.mark.parametrize(("parts", "vectors"), [(("price",), None), (("vectors",), None), (("place",), np.eye(6))])
def test_a_model_names_what_it_cannot_know(days: ads.Days, parts: tuple[str, ...], vectors: np.ndarray | None) -> None:
    with pytest.raises(Problem, match="parts are among"):
        ads.click_model(days.teach, parts, vectors=vectors)


def test_a_model_refuses_a_log_without_clicks(days: ads.Days) -> None:
    with pytest.raises(Problem, match="0 clicks"):
        ads.click_model(days.teach.only(days.teach.click == 0), ("place",))


def test_placements_average_to_the_auc(days: ads.Days) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    chances = rng.integers(0, 9, len(days.judge)) / 9  # many ties
    found = ads.placements(days.judge, chances).mean()
    assert found == pytest.approx(roc_auc_score(days.judge.click, chances), abs=1e-12)


def test_weighing_clicks_up_ruins_chances_and_a_shift_mends_them_in_order(days: ads.Days) -> None:
    parts = ("place", "item")
    raw = ads.shown(days.judge, ads.click_model(days.teach, parts, balanced=True)(days.judge))
    assert raw.mean() > 3 * days.judge.click.mean()
    mended = ads.moved(raw, 0.05)(raw)
    assert mended.mean() == pytest.approx(0.05, rel=1e-6)
    assert (np.argsort(mended, kind="stable") == np.argsort(raw, kind="stable")).all()
    with pytest.raises(Problem, match="between 0 and 1"):
        ads.moved(raw, 0.0)


def test_bins_hold_every_row_and_exact_intervals() -> None:
    table = ads.calibration(np.linspace(0.001, 0.01, 1000), np.r_[np.zeros(999), 1.0], n_bins=4)
    assert table.impressions.sum() == 1000
    assert table.clicks.tolist() == [0, 0, 0, 1]
    assert table.low[0] == 0
    assert table.high[0] == pytest.approx(-np.log(0.025) / 250, rel=1e-6)  # Poisson, no click
    assert (table.low <= table.happened).all()
    assert (table.happened <= table.high).all()


def test_places_are_told_apart_only_where_they_differ(campaign: Campaign) -> None:
    table = ads_tables.places([campaign.random])
    assert table.place.tolist() == [1, 2, 3]
    assert table.clicks.sum() == campaign.random.click.sum()
    assert ads.places_p(table, 0, draws=2000) < 0.01
    assert ads.places_p(table.assign(clicks=[40, 41, 40], impressions=2000), 0, draws=2000) > 0.5


def test_the_samplers_places_mix_in_their_items(campaign: Campaign) -> None:
    even, uneven = (ads.shown_worth(log, campaign.rates) for log in (campaign.random, campaign.bts))
    assert np.ptp(even) < 0.01
    assert uneven[0] > 1.5 * uneven[1]


def test_best_by_place_is_a_policy_that_shows_no_item_twice(days: ads.Days) -> None:
    table = ads.best_by_place(days.teach, 0.1)
    np.testing.assert_allclose(table.sum(axis=0), 1)
    assert len(set(table.argmax(axis=0))) == N_PLACES
    assert 5 in table.argmax(axis=0)
    with pytest.raises(Problem, match="no click"):
        ads.best_by_place(days.teach.only(days.teach.click == 0), 0.1)


def test_all_offered_policies_are_probabilities(campaign: Campaign, days: ads.Days) -> None:
    for name, policy in ads.offered(campaign, days, 0.1).items():
        np.testing.assert_allclose(policy(days.judge).sum(axis=1), 1, err_msg=name)


def test_a_better_policy_is_found_and_the_same_one_is_not(days: ads.Days) -> None:
    log = days.judge
    bold = at_rows(np.vstack([np.full((5, 3), 0.02), np.full((1, 3), 0.9)]), log)
    found = ads.against([log], [bold], [uniform(log)], 0, draws=1000)
    assert found.low > 0
    assert found.p < 0.01
    same = ads.against([log], [bold], [bold], 0, draws=1000)
    assert same.delta == 0
    assert same.p == 1
    wider = ads.against([log], [bold], [uniform(log)], 0, level=0.99, draws=1000)
    assert wider.low < found.low < found.high < wider.high


def test_the_difference_is_the_difference_of_the_estimates(days: ads.Days) -> None:
    log = days.judge
    bold = at_rows(np.vstack([np.full((5, 3), 0.02), np.full((1, 3), 0.9)]), log)
    expected = [np.full((len(log), N_ITEMS), 0.05)]
    one, other = (ads.judged([log], [own], expected) for own in (bold, uniform(log)))
    assert ads.against([log], [bold], [uniform(log)], 0, draws=10).delta == pytest.approx(
        one["ipw"].mean - other["ipw"].mean
    )
    for name, found in one.items():
        assert found.low < found.mean < found.high, name
    assert other["dr"].mean == pytest.approx(other["ipw"].mean)  # chance: the model's part cancels


def test_a_smaller_lift_needs_a_longer_test_and_no_lift_none(days: ads.Days) -> None:
    plan = ads_tables.plan(0.005, {"small": 0.05, "large": 0.2, "none": 0.0, "impossible": 500.0}, ["all"])
    small, large, *rest = plan["impressions per arm"]
    assert int(small.replace(",", "")) > 10 * int(large.replace(",", ""))
    assert rest == ["none", "none"]
    assert plan["days of all traffic"].isna().tolist() == [False, False, True, True]
    bold = [at_rows(np.vstack([np.full((5, 3), 0.02), np.full((1, 3), 0.9)]), days.judge)]
    sizes = [ads.log_needed([days.judge], bold, [uniform(days.judge)], step) for step in (0.01, 0.005)]
    assert sizes[1] == pytest.approx(4 * sizes[0], rel=1e-3)


def test_the_line_for_the_visitor_names_chance_where_chance_chose() -> None:
    policy = np.array([0.02, 0.02, 0.02, 0.94])
    assert "by chance" in ads.why(policy, 0, 0.08)
    assert "94%" in ads.why(policy, 3, 0.08)
    assert "by chance" in ads.why(np.full(4, 0.25), 1, 1.0)


def test_a_share_keeps_rows_in_their_order() -> None:
    log = made(500)
    kept = ads.thinned(log, 0.3, 7)
    assert len(kept) == 150
    assert kept.rows.time.is_monotonic_increasing
    with pytest.raises(Problem, match="share"):
        ads.thinned(log, 0.0, 7)


def test_tables_hold_every_part_every_place_and_every_click(campaign: Campaign, days: ads.Days) -> None:
    card = ads_tables.card({"made": days})
    assert card.part.tolist() == ["teach", "choose", "judge"]
    assert card.clicks.tolist() == [len(log.clicked) for log in vars(days).values()]
    table = ads_tables.places_table({"chance": [campaign.random], "bts": [campaign.bts]}, [campaign.rates])
    assert len(table) == 2 * N_PLACES
    assert table.rate.between(table.low, table.high).all()
    records = ads_tables.place_records(table, notebook="n", dataset="d", protocol="p", metric="click_rate", seed=7)
    assert {one.model for one in records} == {"place 1", "place 2", "place 3"}
    assert all(0 < one.low < one.value < one.high < 1 for one in records)
    bold = [at_rows(np.vstack([np.full((5, 3), 0.02), np.full((1, 3), 0.9)]), days.judge)]
    heavy = ads_tables.heaviest({"made": days.judge}, bold, [uniform(days.judge)], ("bold", "chance"))
    assert len(heavy) == len(days.judge.clicked)
    assert heavy.share.is_monotonic_decreasing
    assert heavy.share.sum() == pytest.approx(1)
    assert heavy["weight: bold"].iloc[0] == pytest.approx(5.4)


def test_a_step_names_models_of_the_ladder() -> None:
    assert all(name in ads.LADDER for pair in ads.STEPS.values() for name in pair)


def test_only_clicks_on_what_the_policy_favours_are_heard(days: ads.Days) -> None:
    log = days.judge
    bold = at_rows(np.vstack([np.full((5, 3), 0.02), np.full((1, 3), 0.9)]), log)
    assert ads.heard([log], [bold]) == int(log.click[log.item == 5].sum())
    assert ads.heard([log, log], [uniform(log)] * 2) == 2 * len(log.clicked)
