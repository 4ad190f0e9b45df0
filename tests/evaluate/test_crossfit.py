"""Rules learnt on one half and judged on the other. The choice of a setting by halves is tested where it is used."""

import numpy as np

from recutils.evaluate.halves import by_halves


def test_each_half_is_answered_by_the_other_and_classes_are_cut_in_two() -> None:
    labels = np.repeat([0, 1, 2], [10, 6, 1])
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def learn(taught: np.ndarray, asked: np.ndarray) -> np.ndarray:
        seen.append((taught, asked))
        return np.column_stack([asked, np.zeros(len(asked))])

    found = by_halves(labels, learn, seed=3)
    assert found[:, 0].tolist() == list(range(17)), "each row has its own answer"
    for taught, asked in seen:
        assert not set(taught) & set(asked) and len(taught) + len(asked) == 17
        assert np.bincount(labels[taught], minlength=3)[:2].tolist() in ([5, 3],)
    assert not np.array_equal(seen[0][0], _halves(labels, 4))


def _halves(labels: np.ndarray, seed: int) -> np.ndarray:
    taught: list[np.ndarray] = []
    by_halves(labels, lambda one, other: taught.append(one) or np.zeros((len(other), 1)), seed)
    return taught[0]
