"""Scores of pairs of people, by hand on a square with one diagonal."""

import numpy as np
from scipy import sparse

from recutils.model import links

# 0-1, 0-2, 1-2, 1-3, 2-3; 4 knows nobody
EDGES = np.array([[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]])
ROWS = np.concatenate([EDGES, EDGES[:, ::-1]]).T
GRAPH = sparse.csr_matrix((np.full(10, 5.0), (ROWS[0], ROWS[1])), shape=(5, 5))  # values do not count


def test_degrees_and_the_most_connected():
    assert links.degrees(GRAPH).tolist() == [2, 3, 3, 2, 0]
    assert links.most_connected(GRAPH)[4].tolist() == [2, 3, 3, 2, 0]


def test_common_friends_and_adamic_adar():
    assert links.common(GRAPH)[0, 3] == 2 and links.common(GRAPH)[0, 4] == 0
    assert links.adamic_adar(GRAPH)[0, 3] == np.float32(2 / np.log(3))
    assert np.allclose(links.adamic_adar(GRAPH), links.adamic_adar(GRAPH).T)


def test_somebody_of_whom_nothing_is_known_is_like_nobody():
    found = links.alike(np.array([[1.0, 0], [2.0, 0], [0, 3.0], [0, 0]]))
    assert found[0].tolist() == [1, 1, 0, 0] and found[3].tolist() == [0, 0, 0, 0]
    assert np.array_equal(links.alike(sparse.csr_matrix([[1.0, 0], [0, 0]])), [[1, 0], [0, 0]])
