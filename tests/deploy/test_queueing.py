"""The simulation against queueing theory, and its laws: order, cost, delay."""

import numpy as np
import pandas as pd
import pytest

from recutils.deploy import queueing
from recutils.deploy.queueing import Seen, drawn, erlang_c, fixed, hourly, mean_wait, predictive, rate_of, servers_for
from recutils.deploy.queueing import simulate as run
from recutils.tables import Interactions, Problem


def test_erlang_c_agrees_with_the_table() -> None:
    assert erlang_c(2.0, 3) == pytest.approx(4 / 9, rel=1e-12)  # by hand: (8/6)(3/1) / (1 + 2 + 2 + 4)
    assert erlang_c(1e-6, 4) < 1e-20 and erlang_c(99.9, 100) > 0.98
    for load, servers in ((3.0, 3), (0.0, 1)):
        with pytest.raises(Problem, match="load must lie"):
            erlang_c(load, servers)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (3, 2.4), (6, 4.0)])
def test_many_memoryless_arrivals_wait_as_erlang_says(servers: int, load: float) -> None:
    rng, n = np.random.default_rng(servers), 120_000
    found = run(rng.exponential(1 / load, n).cumsum(), rng.exponential(1.0, n), fixed(servers), start=servers)
    assert found.waits.mean() == pytest.approx(mean_wait(load, 1.0, servers), rel=0.12)
    assert (found.waits > 0).mean() == pytest.approx(erlang_c(load, servers), rel=0.06)


def test_a_row_by_hand() -> None:
    found = run(np.array([0.0, 1.0, 1.5, 9.0]), np.array([2.0, 2.0, 1.0, 1.0]), fixed(1), start=1, step=100)
    assert found.waits.tolist() == [0.0, 1.0, 2.5, 0.0] and found.responses.tolist() == [2.0, 3.0, 3.5, 1.0]
    assert found.server_seconds == pytest.approx(10.0) and found.most == 1
    two = run(np.array([0.0, 1.0, 1.5, 9.0]), np.array([2.0, 2.0, 1.0, 1.0]), fixed(2), start=2, step=100)
    assert two.waits.tolist() == [0.0, 0.0, 0.5, 0.0] and two.server_seconds == pytest.approx(20.0)


def test_an_ordered_server_is_paid_at_once_and_works_after_its_delay() -> None:
    arrivals, services = np.array([0.0, 0.1, 0.2]), np.array([10.0, 1.0, 1.0])
    found = run(arrivals, services, fixed(2), start=1, delay=3.0, step=1.0)
    assert found.waits.tolist() == pytest.approx([0.0, 3.9, 4.8])  # ordered at 1, at work at 4
    assert found.server_seconds == pytest.approx(1 + 2 * 9) and found.most == 2


def test_a_server_sent_away_finishes_and_is_paid_until_then() -> None:
    found = run(np.array([0.0, 0.0, 8.0]), np.array([2.0, 5.0, 1.0]), lambda seen: 1, start=2, step=1.0)
    assert found.waits.tolist() == [0.0, 0.0, 0.0]
    assert found.server_seconds == pytest.approx(2 + 9)  # the first to end leaves at 2, the other stays to 9


def test_nobody_is_lost_and_the_policy_sees_shares() -> None:
    rng, seen = np.random.default_rng(0), []

    def policy(now: Seen) -> int:
        seen.append(now)
        return int(rng.integers(1, 6))

    arrivals = np.sort(rng.uniform(0, 50, 500))
    services = rng.exponential(0.3, 500)
    found = run(arrivals, services, policy, start=3, delay=0.7, step=0.5)
    assert (found.waits >= -1e-9).all() and found.server_seconds >= services.sum()
    assert all(0 <= one.busy <= 1 + 1e-9 for one in seen) and len(seen) >= 95


def test_few_servers_suffice_where_erlang_says_so() -> None:
    rate, service, wait = 30.0, 0.1, 0.05
    servers = servers_for(rate, service, wait)
    late = [erlang_c(3.0, c) * np.exp(-(c / service - rate) * wait) for c in (servers - 1, servers)]
    assert late[1] <= 0.01 < late[0]
    policy = predictive(lambda now: 30.0 if now >= 10 else 1.0, service, wait, lead=2.0)
    assert policy(Seen(7.0, 1, 0.0)) < policy(Seen(8.0, 1, 0.0)) == servers, "it looks ahead by its lead"


def test_arrivals_follow_the_rate() -> None:
    rate = rate_of(np.array([10.0, 30.0, 10.0]), 100.0)
    assert rate(0) == 10 and rate(150) == 30 and rate(100) == pytest.approx(20)
    found = drawn(rate, 300.0, 30.0, np.random.default_rng(1))
    expected = np.mean([rate(t) for t in np.linspace(0, 300, 3001)]) * 300
    assert len(found) == pytest.approx(expected, abs=4 * np.sqrt(expected)) and (np.diff(found) > 0).all()


def test_the_busiest_days_by_hour() -> None:
    time = pd.to_datetime(["2000-01-01 05:10", "2000-01-03 00:00", "2000-01-03 23:59", "2000-01-04 07:00"])
    rows = pd.DataFrame({"user": 0, "item": range(4), "value": 1.0, "time": time})
    found = hourly(Interactions(rows, 1, 4), 2)
    assert found.shape == (2, 24) and found.sum(axis=1).tolist() == [2, 1]
    assert found[0, 0] == found[0, 23] == found[1, 7] == 1
    with pytest.raises(Problem, match="5 days are asked for"):
        hourly(Interactions(rows, 1, 4), 5)


def test_wrong_input_is_refused() -> None:
    for arrivals, services in (([1.0, 0.0], [1.0, 1.0]), ([1.0], [1.0, 1.0]), ([], [])):
        with pytest.raises(Problem, match="ascending arrivals"):
            run(np.array(arrivals), np.array(services), fixed(1))
    assert queueing.__doc__ is not None and "SIMULATION" in queueing.__doc__
