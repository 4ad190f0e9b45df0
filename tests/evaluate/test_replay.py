import numpy as np
import pandas as pd
import pytest

from recutils.evaluate import rated, replay
from recutils.evaluate.replay import Log
from recutils.rank.bandits import EpsilonGreedy, Fixed, LinUCB, MostRewarded, Uniform
from recutils.tables import Interactions, Problem


def shown(**changed: object) -> pd.DataFrame:
    rows = pd.DataFrame({"item": [0, 1, 2, 1], "click": [0, 1, 0, 1], "propensity": [1 / 3] * 4})
    return rows.assign(**changed)


def test_only_matches_count_and_teach() -> None:
    taught = []

    class Spy(Fixed):
        def _learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
            taught.append((arm, reward))

    found = replay.replay(replay.from_impressions(shown(), 3), Spy(np.array([0.0, 1.0, 0.0])), 0)
    assert found.places.tolist() == [1, 3] and found.mean == 1.0 and taught == [(1, 1.0), (1, 1.0)]


def test_no_match_is_no_value() -> None:
    found = replay.replay(replay.from_impressions(shown(item=[0, 0, 0, 0]), 3), Fixed(np.array([0.0, 0.0, 1.0])), 0)
    assert len(found.places) == 0 and np.isnan(found.mean)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"propensity": [0.5, 0.0, 0.5, 0.5]}, "decision 1 has propensity 0"),
        ({"propensity": [0.5, np.nan, 0.5, 0.5]}, "propensity nan"),
        ({"click": [0, 2, 0, 0]}, "0..1"),
        ({"click": [0, np.nan, 0, 0]}, "missing"),
        ({"item": [0, 3, 0, 0]}, "items must lie in 0..2"),
    ],
)
def test_rows_that_no_estimate_can_use_are_refused(changed: dict, told: str) -> None:
    with pytest.raises(Problem, match=told):
        replay.from_impressions(shown(**changed), 3)
    with pytest.raises(Problem, match="propensity"):
        replay.from_impressions(shown().drop(columns="propensity"), 3)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(Problem, match="one row"):
        replay.from_impressions(shown().head(0), 3)


def test_live_needs_every_reward() -> None:
    with pytest.raises(Problem, match="never seen"):
        replay.live(replay.from_impressions(shown(), 3), Fixed(np.array([0.0, 0.0, 1.0])), 0)


@pytest.mark.parametrize("make", [lambda: EpsilonGreedy(4), lambda: Fixed(np.array([1.0, 0, 0, 0]))])
def test_replay_is_right_on_uniform_logs_wrong_on_skewed_and_right_again_when_corrected(make) -> None:
    found = replay.check_unbiased(make, 600, 80, 3).set_index("log")
    within = found.loc[["uniform", "skewed, corrected"]]
    assert (within.error.abs() < 0.04).all()
    assert found.low["uniform"] < 0.005 and found.high["uniform"] > -0.005
    assert found.error.abs()["skewed"] > 0.05 and found.counted["skewed, corrected"] < found.counted["skewed"]


def test_a_fixed_arm_has_its_planted_value() -> None:
    log = replay.planted(40_000, np.random.default_rng(2), skewed=False)
    assert replay.replay(log, Fixed(np.array([1.0, 0, 0, 0])), 1).mean == pytest.approx(0.4, abs=0.02)
    assert replay.live(log, Fixed(np.array([1.0, 0, 0, 0])), 1).mean == pytest.approx(0.4, abs=0.01)
    assert len(log.first(10)) == 10


def test_the_best_of_equal_arms_looks_better_than_it_is() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"item": rng.integers(50, size=5000), "click": rng.random(5000) < 0.01, "propensity": 0.02})
    log = replay.from_impressions(rows.astype({"click": int}), 50)
    assert replay.best_of_equals(log, 1, 50).mean() > 0.025
    told = replay.best_arms({"null": log}, 1, 200).iloc[0]
    assert 0.02 < told["luck reaches it"] and told.decisions == 5000


def test_clicks_are_pooled_with_exact_intervals() -> None:
    logs = {"a": replay.from_impressions(shown(), 3), "b": replay.from_impressions(shown(), 3)}
    policies = {"one": lambda log: Fixed(np.array([0.0, 1.0, 0.0])), "none": lambda log: Fixed(-np.arange(3.0))}
    found = replay.pooled(logs, policies, 0).set_index("policy")
    assert found.loc["one", ["counted", "clicks"]].tolist() == [4, 4] and found.low["one"] == pytest.approx(0.025**0.25)
    assert found.loc["none", "clicks"] == 0 and found.low["none"] == 0


def test_needed_agrees_with_the_textbook() -> None:
    assert replay.needed(0.5, 0.2) == 385  # 50 % against 60 %, power 80 %: Fleiss without continuity correction
    with pytest.raises(Problem):
        replay.needed(0.5, 0.0)


def ratings(seed: int = 0, n_users: int = 80, n_items: int = 30) -> Interactions:
    """Item i is liked with a chance that grows with i; times in order of users."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(n_users):
        for place, item in enumerate(rng.permutation(n_items)[:20]):
            good = rng.random() < (item + 1) / (n_items + 1)
            rows.append(
                (user, item, 5.0 if good else 2.0, pd.Timestamp("2020-01-01") + pd.Timedelta(hours=user + place))
            )
    return Interactions(pd.DataFrame(rows, columns=["user", "item", "value", "time"]), n_users, n_items)


def halves() -> tuple[Interactions, Interactions]:
    whole = ratings()
    early = whole.user.to_numpy() < 40
    return whole.only(early), whole.only(~early)


def test_hands_hold_rated_films_each_once_with_their_true_reward() -> None:
    warm, later = halves()
    given = rated.rated_choices(warm, later, 4.0, 1, n_arms=25, offered=4, per_user=3)
    truth = {(u, i): v >= 4 for u, i, v in later.rows[["user", "item", "value"]].itertuples(index=False)}
    met = set()
    for user, arms, reward in zip(given.log.users, given.log.arms, given.log.reward, strict=True):
        for arm, one in zip(arms, reward, strict=True):
            pair = (user, given.items[arm])
            assert truth[pair] == one and pair not in met
            met.add(pair)
    assert np.bincount(given.log.users).max() <= 3 and np.allclose(given.log.propensity, 0.25)
    assert np.corrcoef(given.before, given.items)[0, 1] > 0.7


def test_what_is_known_of_a_hand_does_not_depend_on_its_own_rewards() -> None:
    warm, later = halves()
    flipped = Interactions(later.rows.assign(value=7 - later.value), later.n_users, later.n_items)
    a, b = (rated.rated_choices(warm, part, 4.0, 1, n_arms=25, offered=4) for part in (later, flipped))
    first = np.unique(a.log.users, return_index=True)[1]
    np.testing.assert_array_equal(a.log.contexts[first], b.log.contexts[first])
    assert not np.allclose(a.log.contexts, b.log.contexts), "earlier hands of a person should matter"


def test_a_race_is_repeatable_and_ends_below_hindsight() -> None:
    warm, later = halves()
    given = {seed: rated.rated_choices(warm, later, 4.0, seed, n_arms=25, offered=4) for seed in (1, 2)}
    policies: dict = {"random": lambda one: Uniform(), "fixed": lambda one: Fixed(one.before)}
    policies |= {"popularity": lambda one: MostRewarded(25), "linucb": lambda one: LinUCB(one.log.contexts.shape[2])}
    policies["afterwards"] = lambda one: rated.hindsight(one.log)
    race, checks = rated.race(given.__getitem__, policies, [1, 2])
    again, _ = rated.race(given.__getitem__, policies, [1, 2])
    pd.testing.assert_frame_equal(race, again)
    labels = {"notebook": "n", "dataset": "d", "protocol": "p", "split": "s"}
    found, told = rated.score_card(race, "afterwards", seed=1, draws=200, **labels)
    assert told.set_index("policy")["regret per decision"]["random"] > 0.1
    assert race.afterwards.mean() > race.fixed.mean() > race.random.mean()
    assert len(found) == 5 and checks.counted.between(1, len(given[1].log)).all()


def test_nobody_with_enough_films_is_said() -> None:
    warm, later = halves()
    with pytest.raises(Problem, match="nobody rated 26"):
        rated.rated_choices(warm, later, 4.0, 1, n_arms=25, offered=26)


def test_a_log_checks_its_shapes() -> None:
    with pytest.raises(Problem, match="one row"):
        Log(np.zeros((2, 3), int), np.zeros(2, int), np.ones(2), np.zeros((2, 2)), None, np.arange(2))
