import numpy as np
import pytest

from recutils.rank.bandits import Bandit, EpsilonGreedy, Fixed, LinUCB, MostRewarded, Thompson, Uniform
from recutils.tables import Problem

ARMS = np.arange(4)


def earned(policy: Bandit, chances: list[float], n: int = 2000, seed: int = 0) -> tuple[float, np.ndarray]:
    """Mean reward of the last quarter, and how often each arm was chosen, contexts naming the arm."""
    rng = np.random.default_rng(seed)
    chosen, rewards = np.zeros(len(chances)), []
    for _ in range(n):
        place = policy.choose(ARMS, np.eye(4), rng)
        reward = float(rng.random() < chances[place])
        policy.learn(place, np.eye(4)[place], reward)
        chosen[place] += 1
        rewards.append(reward)
    return float(np.mean(rewards[-n // 4 :])), chosen


@pytest.mark.parametrize("make", [lambda: EpsilonGreedy(4), lambda: Thompson(4), lambda: LinUCB(4, alpha=1.0)])
def test_bandits_find_the_best_arm(make) -> None:
    late, chosen = earned(make(), [0.2, 0.3, 0.8, 0.4])
    assert chosen.argmax() == 2 and late > 0.7


def test_random_never_learns() -> None:
    _, chosen = earned(Uniform(), [0.0, 1.0, 0.0, 0.0])
    assert chosen.min() > 400


def test_most_rewarded_stays_where_it_first_was_lucky() -> None:
    _, chosen = earned(MostRewarded(4), [0.5, 0.9, 0.9, 0.9])
    assert chosen[0] == 2000


def test_linucb_carries_over_what_arms_share() -> None:
    policy, rng = LinUCB(2, alpha=0.0), np.random.default_rng(0)
    for _ in range(50):
        policy.learn(0, np.array([1.0, 0.0]), 1.0)
        policy.learn(1, np.array([0.0, 1.0]), 0.0)
    never_shown = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert policy.choose(np.array([2, 3]), never_shown, rng) == 1


def test_linucb_is_ridge_regression() -> None:
    rng = np.random.default_rng(3)
    contexts, rewards = rng.normal(size=(40, 3)), rng.random(40)
    policy = LinUCB(3, ridge=2.0)
    for context, reward in zip(contexts, rewards, strict=True):
        policy.learn(0, context, reward)
    wanted = np.linalg.solve(contexts.T @ contexts + 2 * np.eye(3), contexts.T @ rewards)
    np.testing.assert_allclose(policy.spread @ policy.sums, wanted, atol=1e-10)


def test_ties_go_to_the_lowest_arm_row() -> None:
    assert Fixed(np.zeros(9)).choose(np.array([7, 3, 5]), None, np.random.default_rng(0)) == 1


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(Problem, match="no arm"):
        Uniform().choose(np.array([], dtype=int), None, rng)
    with pytest.raises(Problem, match="context"):
        LinUCB(2).choose(ARMS, None, rng)
    with pytest.raises(Problem, match="0..1"):
        Thompson(4).learn(0, None, 5.0)
    for wrong in (lambda: EpsilonGreedy(4, epsilon=2), lambda: Thompson(4, failures=0), lambda: LinUCB(0),
                  lambda: MostRewarded(0)):  # fmt: skip
        with pytest.raises(Problem):
            wrong()
