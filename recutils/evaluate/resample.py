"""Draws for bootstraps and sign flips, in blocks so that memory stays small. What they prove: see statistics.py."""

from collections.abc import Iterator

import numpy as np

from recutils.tables import Problem

_BLOCK_CELLS = 2_000_000  # draws x users held at a time: 16 MB of float64
# Each kind of draw has a stream of its own. Not 0: default_rng([seed, 0]) is default_rng(seed), with which a notebook
# may have made the very data that are resampled here.
_BOOTSTRAP, _SIGNS, _CROSSED = 101, 102, 103


def seed_of(rng: int | np.random.Generator) -> int:
    """A seed from a seed or a generator, so that several quantities can be resampled with the same draws."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**62))
    if isinstance(rng, bool | float) or int(rng) < 0:
        raise Problem(f"rng must be a whole seed >= 0 or a numpy Generator; got {rng!r}")
    return int(rng)


def blocks(draws: int, n: int) -> Iterator[slice]:
    """Slices of 0..draws whose draws x n tables hold about _BLOCK_CELLS cells."""
    if draws < 1:
        raise Problem(f"draws must be at least 1; got {draws}. Use 10,000 for a report, fewer for a look.")
    size = max(1, _BLOCK_CELLS // max(n, 1))
    return (slice(start, min(start + size, draws)) for start in range(0, draws, size))


def counts(rng: np.random.Generator, draws: int, n: int) -> np.ndarray:
    """How often each of n units is drawn in each of `draws` samples of n with replacement: (draws, n) float64."""
    drawn = rng.integers(0, n, size=(draws, n)) + np.arange(draws)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def bootstrap_means(values: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Means of drawn rows: (draws, n_columns). values: (n, n_columns) finite; all columns share each draw's rows."""
    n = len(values)
    rng = np.random.default_rng([seed, _BOOTSTRAP])
    means = np.empty((draws, values.shape[1]))
    for block in blocks(draws, n):
        means[block] = counts(rng, block.stop - block.start, n) @ values / n
    return means


def sign_flip_p(differences: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Two-sided p of each column's mean when every row's sign is a coin toss: (n_columns,), with the +1 correction.

    differences: (n, n_columns) finite; all columns share each draw's signs. Sums that tie with the one seen count as
    extreme. Source: Phipson & Smyth 2010 for (1 + extreme) / (1 + draws), which can never be 0.
    """
    n = len(differences)
    rng = np.random.default_rng([seed, _SIGNS])
    total = differences.sum(axis=0)
    floor = np.abs(total) - 1e-12 * np.abs(differences).sum(axis=0)  # equal sums may differ in their last bits
    extreme = np.zeros(differences.shape[1], dtype=np.int64)
    for block in blocks(draws, n):
        kept = rng.integers(0, 2, size=(block.stop - block.start, n), dtype=np.int8).astype(np.float64)
        extreme += (np.abs(2 * (kept @ differences) - total) >= floor).sum(axis=0)
    return (1 + extreme) / (1 + draws)


def crossed_ratios(totals: np.ndarray, cells: tuple, seed: int, draws: int, resample: tuple[str, ...]) -> np.ndarray:
    """Ratios of sums over a users x items table with rows and columns drawn: (draws,), NaN where nothing was drawn.

    totals: (n_users, n_items); cells: two csr (n_users, n_items), numerator and denominator.
    """
    numerator, denominator = cells
    n_users, n_items = totals
    rng = np.random.default_rng([seed, _CROSSED])
    ratios = np.empty(draws)
    for block in blocks(draws, n_users + n_items):
        size = block.stop - block.start
        users = counts(rng, size, n_users) if "users" in resample else np.ones((size, n_users))
        items = counts(rng, size, n_items) if "items" in resample else np.ones((size, n_items))
        above, below = (((cell.T @ users.T) * items.T).sum(axis=0) for cell in (numerator, denominator))
        ratios[block] = np.divide(above, below, out=np.full(size, np.nan), where=below > 0)
    return ratios
