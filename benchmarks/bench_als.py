"""Our ALS.fit beside implicit called bare with BLAS threads limited, in pairs: same events, parameters and threads.

Run: PYTHONPATH=. python benchmarks/bench_als.py [repeats]
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recutils.data.load import load
from recutils.model.als import ALS
from recutils.tables import Interactions

SETTINGS = {"factors": 64, "alpha": 10.0, "iterations": 15}


def ours(train: Interactions) -> None:
    """All that a caller of ours waits for: checks, the sparse matrix, training, the gram matrix."""
    ALS(**SETTINGS, reg=0.05, seed=0).fit(train)


def bare(train: Interactions) -> None:
    """implicit as its own guide says; the sparse matrix is made by the same code."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(**SETTINGS, regularization=0.05, random_state=0)
        model.fit(train.matrix("binary"), show_progress=False)


def seconds(work: Callable[[Interactions], None], train: Interactions) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work(train)
    return time.perf_counter() - started


def pair(train: Interactions, first: int) -> tuple[float, float]:
    """Seconds of ours and of the bare call; first: 0 when ours goes first, else 1."""
    found = {work: seconds(work, train) for work in ((ours, bare) if first == 0 else (bare, ours))}
    return found[ours], found[bare]


def main() -> None:
    """Alternate which of the two goes first; print medians and the median of the paired ratios."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(
        f"medians of {repeats} pairs; range of the ratio\n{'data':<8} {'ours, s':>8} {'bare, s':>8} {'ours / bare':>12}"
    )
    for name in ("ml-100k", "ml-1m"):
        train = load(name).interactions
        times = np.array([pair(train, first=number % 2) for number in range(repeats + 1)][1:])  # the first warms up
        ratio, middle = times[:, 0] / times[:, 1], np.median(times, axis=0)
        spread = f"({ratio.min():.2f} to {ratio.max():.2f})"
        print(f"{name:<8} {middle[0]:8.2f} {middle[1]:8.2f} {np.median(ratio):12.3f}  {spread}", flush=True)


if __name__ == "__main__":
    main()
