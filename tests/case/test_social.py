"""The social case: who is new, what friends say, reasons that name nobody, and what a small circle gives away."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.case import social
from recutils.tables import Interactions, Problem

# people 0..3; 0 is a friend of 1, 2 and 3; artist 0 is everybody's, artist 2 is of 1 and 2 only
LISTENING = Interactions(
    pd.DataFrame([(0, 0), (1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 1)], columns=["user", "item"]).assign(value=9.0),
    4,
    4,
)
GRAPH = sparse.csr_matrix(np.array([[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32))


def big(n: int = 50) -> Interactions:
    rng = np.random.default_rng(0)
    rows = [(user, item) for user in range(n) for item in rng.choice(40, 12 if user % 5 else 3, replace=False)]
    return Interactions(pd.DataFrame(rows, columns=["user", "item"]).assign(value=1.0), n, 40)


def test_newcomers_are_disjoint_and_have_long_histories():
    found = social.newcomers(big(), least=5, seed=1)
    everybody = np.sort(np.concatenate([found.established, found.valid, found.test]))
    assert np.array_equal(everybody, np.arange(50)) and not (np.r_[found.valid, found.test] % 5 == 0).any()
    assert np.array_equal(found.known("test"), np.setdiff1d(np.arange(50), found.test))
    with pytest.raises(Problem, match="Lower `least`"):
        social.newcomers(big(), least=40)


def test_a_visit_hides_the_same_truth_for_every_n_and_only_asks_established_friends():
    listening, graph = big(), sparse.csr_matrix(np.ones((50, 50), dtype=np.float32) - np.eye(50, dtype=np.float32))
    people = social.newcomers(listening, least=5, seed=1)
    visits = [social.visit(listening, graph, people.test, people.established, n=n, most=4, seed=3) for n in (0, 2, 4)]
    assert [one.histories.nnz for one in visits] == [0, 2 * len(people.test), 4 * len(people.test)]
    assert all((one.truth != visits[0].truth).nnz == 0 for one in visits)
    assert visits[2].histories.multiply(visits[2].truth).nnz == 0, "a known artist is in the truth"
    assert set(visits[0].circle.indices) == set(people.established)


def test_friends_count_and_popularity_decides_between_equals():
    scores = social.friends_say(GRAPH[[0]], LISTENING)
    assert np.argsort(-scores[0]).tolist() == [0, 2, 1, 3] and scores[0, 0] == pytest.approx(3 + 1e-3)
    assert social.friends_say(GRAPH[[0]], LISTENING, damping=1.0)[0].argmax() == 2, "both its people are friends"
    silent = social.friends_say(sparse.csr_matrix((1, 4)), LISTENING)
    assert np.argsort(-silent[0], kind="stable")[0] == 0, "without friends the list is popularity's"


def test_a_single_friend_is_kept_out_of_sight():
    alone = social.friends_say(GRAPH[[1]], LISTENING, friends=3)
    assert np.array_equal(alone, social.friends_say(sparse.csr_matrix((1, 4)), LISTENING))
    shared = social.friends_say(GRAPH[[0]], LISTENING, least=2)
    assert shared[0, 1] < 1 <= shared[0, 2]
    lines = social.reasons(GRAPH[[0]], LISTENING, np.array([0, 1, 2]))
    assert lines == ["3 of your 3 friends listen to it", "chosen by many", "2 of your 3 friends listen to it"]


def test_borrowed_histories_are_own_plus_the_friends_mean():
    own = LISTENING.matrix("binary")[[0]]
    found = social.borrowed(own, GRAPH[[0]], LISTENING, 0.6).toarray()[0]
    assert found == pytest.approx([1.6, 0.2, 0.4, 0]) and found.dtype == np.float32
    assert (social.borrowed(own, sparse.csr_matrix((1, 4)), LISTENING, 0.6) != own).nnz == 0
    with pytest.raises(Problem, match="weight must be 0 or more"):
        social.borrowed(own, GRAPH[[0]], LISTENING, -1.0)


def test_texts_of_people_leave_out_lonely_tags_and_people_without_tags():
    rows = [(0, "rock"), (0, "rock"), (0, "pop"), (0, "mine"), (2, "pop"), (2, "rock")]
    given = pd.DataFrame(rows, columns=["user", "tag"])
    assert social.person_texts(given, 4) == ["rock, pop", "", "pop, rock", ""]
    assert social.person_texts(given, 4, most=1)[0] == "rock"


def test_small_circles_are_counted():
    assert social.exposed(GRAPH)["people"].tolist() == [0, 3, 0, 1]
