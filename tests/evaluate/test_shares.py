"""A second opinion by share: the ends are the parts themselves, and a better one is found."""

import numpy as np
import pytest
from scipy import sparse

from recutils.evaluate.shares import added, by_share
from recutils.tables import Problem

TRUTH = sparse.csr_matrix([[0, 0, 1, 0], [0, 1, 0, 0]])
SEEN = sparse.csr_matrix((2, 4))
WRONG = np.array([[9.0, 3, 2, 1], [9, 2, 3, 1]])
RIGHT = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0]])


def test_the_ends_are_the_parts_and_the_right_share_wins():
    found = by_share(WRONG, RIGHT, SEEN, TRUTH, 1, shares=[0.0, 0.3, 1.0])
    assert found[0.0] == 0 and found[1.0] == 1
    assert by_share(RIGHT, WRONG, SEEN, TRUTH, 1, shares=[0.0])[0.0] == 1


def test_equal_scores_change_nothing():
    assert np.allclose(added(WRONG, np.ones((2, 4)), 0.5) * 2, added(WRONG, WRONG, 0.0), atol=1e-6)


def test_a_share_out_of_range_is_refused():
    with pytest.raises(Problem, match="share must lie in"):
        added(WRONG, RIGHT, 1.2)
