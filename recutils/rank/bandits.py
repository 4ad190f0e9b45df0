"""Bandits: choose one of several arms, see its reward, learn. Where rewards come from: evaluate.replay."""

from abc import ABC, abstractmethod

import numpy as np

from recutils.tables import Problem


class Bandit(ABC):
    """Chooses among the arms on offer and learns from the reward of the chosen one only.

    arms: (m,) int arm rows on offer. contexts: (m, d) what is known of the visitor and each arm, or None.
    Equal values go to the arm with the lowest row. One object serves one run: make a new one for the next.
    """

    name: str
    needs_context = False

    def choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        """The place (0..m-1) of the chosen arm. Raises Problem without arms, and where a needed context is missing."""
        if len(arms) == 0:
            raise Problem(f"{self.name} has no arm to choose from; give at least one candidate.")
        if self.needs_context and contexts is None:
            raise Problem(f"{self.name} reads a context (m, d) of each arm on offer; got none. Use thompson.")
        return self._choose(arms, contexts, rng)

    def learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
        """Take in the reward of an arm in its context (d,). Raises Problem unless it lies in 0..1."""
        if not 0 <= reward <= 1:
            raise Problem(f"a reward must lie in 0..1; got {reward} for arm {arm}. Scale it.")
        self._learn(arm, context, reward)

    @abstractmethod
    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        """The place of the chosen arm."""

    @abstractmethod
    def _learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
        """What the reward teaches."""


class Unteachable(Bandit):
    """What the policies that never learn share."""

    def _learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
        """Nothing."""


class Uniform(Unteachable):
    """Any arm, all equally likely: the floor."""

    name = "random"

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        return int(rng.integers(len(arms)))


class Fixed(Unteachable):
    """One ranking of all arms, never changed. values: (n_arms,), higher is better."""

    name = "fixed"

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values, dtype=np.float64)

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        return _best(self.values[arms], arms)


class Counting(Bandit):
    """What the bandits without context share: showings and rewards of each of n_arms arms."""

    def __init__(self, n_arms: int) -> None:
        if n_arms < 1:
            raise Problem(f"a bandit needs at least one arm; got {n_arms}")
        self.shown, self.rewards = np.zeros(n_arms), np.zeros(n_arms)

    def _learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
        self.shown[arm] += 1
        self.rewards[arm] += reward


class MostRewarded(Counting):
    """The arm with the most rewards so far: trivial, and a trap, since what is shown more is rewarded more."""

    name = "popularity"

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        return _best(self.rewards[arms], arms)


class EpsilonGreedy(Counting):
    """With chance epsilon any arm, else the one with the best mean reward so far; an arm never shown counts as prior.

    prior: the assumed mean of an arm without showings, worth one showing.
    """

    name = "epsilon-greedy"

    def __init__(self, n_arms: int, *, epsilon: float = 0.1, prior: float = 0.5) -> None:
        super().__init__(n_arms)
        if not 0 <= epsilon <= 1:
            raise Problem(f"epsilon is a chance and must lie in 0..1; got {epsilon}")
        self.epsilon, self.prior = epsilon, prior

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        if rng.random() < self.epsilon:
            return int(rng.integers(len(arms)))
        return _best((self.rewards[arms] + self.prior) / (self.shown[arms] + 1), arms)


class Thompson(Counting):
    """Each arm's mean drawn from what is believed of it, a Beta distribution; the largest draw is chosen.

    successes, failures: the belief before any showing, Beta(1, 1) being flat. Rewards must be 0 or 1.
    Source: Chapelle & Li 2011, "An empirical evaluation of Thompson sampling", algorithm 2.
    """

    name = "thompson"

    def __init__(self, n_arms: int, *, successes: float = 1.0, failures: float = 1.0) -> None:
        super().__init__(n_arms)
        if not (successes > 0 and failures > 0):
            raise Problem(f"the Beta belief needs successes and failures above 0; got {successes} and {failures}")
        self.successes, self.failures = successes, failures

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        good = self.rewards[arms]
        return _best(rng.beta(self.successes + good, self.failures + self.shown[arms] - good), arms)


class LinUCB(Bandit):
    """Ridge regression of the reward on the context, plus alpha standard errors: the most that may be hoped for.

    One set of d weights is shared by all arms, so that what one arm teaches helps the others; Li et al. 2010 (LinUCB,
    algorithm 1) keep a set for each arm, which is the same thing here when the context names the arm (one-hot).
    """

    name = "linucb"
    needs_context = True

    def __init__(self, d: int, *, alpha: float = 0.5, ridge: float = 1.0) -> None:
        if d < 1 or alpha < 0 or not ridge > 0:
            raise Problem(f"d must be at least 1, alpha 0 or more, ridge above 0; got {d}, {alpha} and {ridge}")
        self.alpha, self.spread, self.sums = alpha, np.eye(d) / ridge, np.zeros(d)

    def _choose(self, arms: np.ndarray, contexts: np.ndarray | None, rng: np.random.Generator) -> int:
        turned = contexts @ self.spread
        width = np.sqrt(np.maximum((turned * contexts).sum(axis=1), 0.0))
        return _best(turned @ self.sums + self.alpha * width, arms)

    def _learn(self, arm: int, context: np.ndarray | None, reward: float) -> None:
        context = np.asarray(context, dtype=np.float64)
        turned = self.spread @ context
        self.spread -= np.outer(turned, turned) / (1 + context @ turned)  # Sherman & Morrison 1950
        self.sums += reward * context


def _best(values: np.ndarray, arms: np.ndarray) -> int:
    """The place of the largest value; among equals the arm with the lowest row."""
    ties = np.flatnonzero(values == values.max())
    return int(ties[0] if len(ties) == 1 else ties[np.argmin(arms[ties])])
