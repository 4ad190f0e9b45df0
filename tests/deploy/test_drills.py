"""Traffic from events, runs that are dealt, thresholds that keep their promise, and faults that are seen."""

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.deploy import alerts, deal, drills, replay
from recutils.deploy.deal import Ground, Plan
from recutils.deploy.drift import Feature, Reference
from recutils.deploy.engine import Engine
from recutils.deploy.window import FEATURES, Noted, Window
from recutils.model.ease import EASE
from recutils.tables import Dataset, Problem

PLAN = Plan(200, 20, 6, 10)


@pytest.fixture
def flow(dataset: Dataset) -> replay.Traffic:
    return replay.traffic(dataset, warm=0.5, every=1, most=1000, seed=0)


def test_requests_are_real_people_in_order_of_time_who_name_only_the_past(
    dataset: Dataset, flow: replay.Traffic
) -> None:
    assert [ask.time for ask in flow.asks] == sorted(ask.time for ask in flow.asks)
    assert flow.asks[0].time >= flow.before.time.max() and len(flow.asks) == len(dataset.interactions) - len(
        flow.before
    )
    rows = dataset.interactions.rows
    for ask in flow.asks:
        past = set(rows[(rows.user == ask.person) & (rows.time < ask.time)].item)
        assert {int(name[1:]) for name in ask.items} <= past
        assert bool(ask.user) + bool(ask.items) + bool(ask.text) == 1
        assert not ask.text or int(ask.text.split()[1]) in past


def test_few_requests_come_with_whole_visits_and_bad_shares_are_refused(dataset: Dataset) -> None:
    few = replay.traffic(dataset, warm=0.5, every=1, most=30, seed=0)
    assert 0 < len(few.asks) <= 30
    with pytest.raises(Problem, match="warm"):
        replay.traffic(dataset, warm=1.0, every=1, most=30, seed=0)


def test_a_bundle_knows_only_those_who_came_before(dataset: Dataset) -> None:
    rows = dataset.interactions
    bundle = replay.bundle_of(dataset, rows.only(rows.user.to_numpy() < 7), EASE())
    assert bundle.user_ids.tolist() == [f"u{n}" for n in range(7)] and not Engine(bundle).knows_user("u7")


def test_the_parts_share_no_person(flow: replay.Traffic) -> None:
    parts = replay.parted(flow.asks, 0)
    people = {name: {flow.asks[at].person for at in places} for name, places in parts.items()}
    assert not people["learning"] & people["judged"] and not people["learning again"] & people["judged again"]
    assert len(parts["learning"]) + len(parts["judged"]) + len(parts["later"]) == len(flow.asks)
    assert max(parts["judged"]) < min(parts["later"]) and not people["learning again"] & people["judged"]


def test_spoilt_requests_are_what_they_say(dataset: Dataset, flow: replay.Traffic) -> None:
    engine = Engine(replay.bundle_of(dataset, flow.before, EASE()))
    assert all(replay.answered(engine, ask, 5).how == "popular" for ask in replay.strangers(flow.asks))
    named = [ask for ask in flow.asks if ask.items] or [
        replay.Ask(0, 0, pd.Timestamp(0), items=("i1", "i2", "i3", "i4"))
    ]
    changed = replay.renamed(named, engine.item_ids, 0)
    names = [name for ask in changed for name in ask.items]
    assert 0 < sum(name.startswith("new ") for name in names) < len(names) or len(names) < 4
    share = replay.shares(engine, flow.asks, np.arange(30) % 2 == 0)
    chosen = replay.lovers(flow.asks, share, 0)
    assert len(chosen) == len(flow.asks)
    assert np.nanmin(replay.shares(engine, chosen, np.arange(30) % 2 == 0)) >= np.nanquantile(share, 0.85)


def planted(n: int, seed: int = 0, score: float = 0.0, cold: float = 0.1) -> Noted:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, len(FEATURES))).astype(np.float32)
    rows[:, FEATURES.index("score")] += score
    whole = np.ones(n, dtype=np.int64)
    return Noted(rows, whole, (rng.random(n) < cold).astype(int), 3 * whole, 0 * whole, rng.integers(0, 50, (n, 10)))


def ground(n: int = 1500) -> Ground:
    return Ground(planted(n), np.arange(n) // 3, np.arange(n) // 9, np.array(["a"]), np.zeros((50, 3)), PLAN)


def test_visits_are_dealt_whole_and_in_their_order() -> None:
    order = deal.dealt(np.repeat(np.arange(40), 5), 60, np.random.default_rng(0))
    assert len(order) == 60 and (order.reshape(-1, 5) - order.reshape(-1, 5)[:, :1] == np.arange(5)).all()
    with pytest.raises(Problem, match="no request"):
        deal.dealt(np.array([]), 5, np.random.default_rng(0))


def test_scrapes_of_a_run_are_those_of_a_window_that_saw_it() -> None:
    stage = ground()
    reference = stage.reference(np.arange(500))
    run = stage.noted.only(np.arange(700))
    found = deal.scrapes(run, reference, 50, PLAN)
    window = Window(PLAN.window)
    for number in range(len(run)):
        at = window.n % window.size
        for name, part in vars(run).items():
            getattr(window, name)[at] = part[number]
        window.n += 1
        behind = number + 1 - PLAN.window
        if behind >= 0 and behind % PLAN.step == 0:
            expected = window.samples(reference, 50)
            assert [one[:2] for one in expected] == [one[:2] for one in found[behind // PLAN.step]]
            assert [one[2] for one in expected] == pytest.approx(
                [one[2] for one in found[behind // PLAN.step]], rel=1e-6
            )


def test_learnt_thresholds_keep_their_promise_on_quiet_runs_and_see_a_planted_fault() -> None:
    stage, rules = ground(6000), alerts.on_window(alerts.rules())
    reference, found = drills.calibrated(stage, np.arange(4000), rules, rate=0.1, n=60, seed=1)
    mine = alerts.moved(rules, found)
    judged = stage.group(np.arange(4000, 6000), {"bad": planted(6000, score=1.5).only(np.arange(4000, 6000))})
    count, by_rule = drills.alarmed(mine, stage.quiet(judged, reference, 60, 2))
    assert count <= 20 and len(by_rule) == len(rules)
    struck = drills.drill(mine, stage.struck(judged, reference, ("bad", 1.0), 10, 3), PLAN)
    assert struck.seen == struck.n >= 5 and max(struck.first, key=struck.first.get) == "ScoresMoved"
    assert (struck.delays % PLAN.step == 0).all() and struck.delays.min() >= PLAN.step
    none = drills.drill(mine, stage.struck(judged, reference, ("bad", 0.0), 10, 3), PLAN)
    assert none.seen < struck.seen
    table = drills.drill_table({("bad", 1.0): struck, ("bad", 0.0): none})
    assert table.seen.iloc[0] == 1 and table.low.iloc[0] < 1 and len(table) == 2


def test_the_worst_of_a_run_is_what_held_for_the_whole_for() -> None:
    rule = next(one for one in alerts.rules() if one.name == "ColdRequests")
    values = [0.1, 0.9, 0.9, 0.9, 0.3, 0.6, 0.6, 0.5, 0.7]
    series = [alerts.gauges([("recutils_cold_share", "", value)]) for value in values]
    assert drills.worst(rule, series) == 0.5 and drills.worst(rule, [{}] * 9) == -np.inf
    low = next(one for one in alerts.rules() if one.name == "CoverageLow")
    series = [alerts.gauges([("recutils_coverage_share", "", value)]) for value in values]
    assert drills.worst(low, series) == 0.6
    with pytest.raises(Problem, match="no rule on one gauge"):
        drills.worst(alerts.rules()[0], series)


def test_ks_calls_more_quiet_windows_changed_the_more_requests_there_are() -> None:
    rows = planted(3000).rows
    rows[:, 0] += 0.15
    stage = ground(3000)
    reference = Reference({"length": Feature.of(stage.noted.rows[:, 0])}, stage.item_ids, stage.places)
    other = deal.Group(Noted(rows, *list(vars(stage.noted).values())[1:]), stage.visits, {})
    found = drills.p_below(other, reference, "length", [150, 2500], np.random.default_rng(0), n=40)
    assert found.share.iloc[0] < 0.5 < found.share.iloc[1]


def test_an_exact_share_has_its_known_interval() -> None:
    assert drills.share(0, 300) == pytest.approx((0, 0, 0.01222), abs=1e-4)
    assert np.isnan(drills.share(0, 0)).all()


def test_a_rehearsal_reads_the_page_after_each_step(dataset: Dataset, flow: replay.Traffic, tmp_path: Path) -> None:
    import httpx

    from recutils.deploy.routes import create
    from recutils.deploy.service import Settings
    from recutils.deploy.shelf import Shelf

    shelf, asks = Shelf(tmp_path), list(flow.asks[:60]) * 3
    good = replay.bundle_of(dataset, flow.before, EASE())
    bad = replay.bundle_of(dataset, flow.before.only(np.arange(20)), EASE())
    version = shelf.publish(good).name

    async def steps() -> pd.DataFrame:
        app = create(Settings(shelf, open_to_all=True, poll_seconds=0))
        async with app.router.lifespan_context(app):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                service, starts = app.state.service, {"bundle": 40, "encoder": 90}
                at = replay.incidents(client, service, shelf, bad, {"encoder": False}, starts=starts, length=30)
                story = await replay.rehearse(client, asks, alerts.Watch(alerts.rules()), step=20, k=5, at=at)
                assert (
                    service.now.bundle.version == version
                    and "recutils_reloads_total" in (await client.get("/metrics")).text
                )
                return story

    story = asyncio.run(steps())
    assert len(story) == 9 and story.failed.iloc[-1] == 0 and story.recutils_coverage_share.iloc[-1] > 0
    told, outside = replay.followed(
        story.assign(firing=["", "", "A", "A", "A, B", "", "", "", ""]), {"x": 60, "y": 160}, 20
    )
    assert told["first alarm"].tolist() == ["B", "none"] and len(outside) == 9 - 3 - 2


def test_many_groups_learn_how_far_groups_of_people_differ() -> None:
    """People with a level of their own: one pair of groups does not tell how far two groups may lie apart."""
    stage = ground(3000)
    level = np.random.default_rng(5).normal(size=30).astype(np.float32)
    people = np.arange(3000) // 100
    stage.noted.rows[:, FEATURES.index("score")] += 2 * level[people]
    stage = Ground(stage.noted, stage.visits, people, stage.item_ids, stage.places, PLAN)
    rules = [rule for rule in alerts.rules() if rule.name == "ScoresMoved"]
    splits = [
        {"learning": np.flatnonzero(people % 3 != n), "judged": np.flatnonzero(people % 3 == n)} for n in range(3)
    ]
    found = drills.over_splits(stage, splits, rules, rate=0.1, n=20, seed=1)
    assert len(found) == 3 and found.many.mean() <= found.one.mean() + 0.2
    _, one = drills.calibrated(stage, np.arange(3000), rules, rate=0.1, n=40, seed=2, groups=1)
    _, many = drills.calibrated(stage, np.arange(3000), rules, rate=0.1, n=40, seed=2)
    assert many["ScoresMoved"] > one["ScoresMoved"]
