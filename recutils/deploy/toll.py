"""What watching costs: the time that noting a request and reading the window take, beside the answer itself. Times
depend on the machine; they are shown and stored as costs, never as results.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from recutils.deploy.drift import Reference
from recutils.deploy.engine import Engine
from recutils.deploy.replay import Ask, answered
from recutils.deploy.telemetry import Telemetry


def toll(engine: Engine, reference: Reference, asks: Sequence[Ask], k: int, *, rounds: int = 30) -> pd.DataFrame:
    """Microseconds a call, one thread: columns what, median, p10, p90, rounds. One round is a warm-up and not counted.

    The kinds take turns, so that a busy machine slows all alike; a round of the first two is a pass over the requests.
    """
    telemetry = Telemetry()
    telemetry.serves(engine.item_ids, reference)
    answers = [answered(engine, ask, k) for ask in asks]
    kinds: dict[str, tuple[Callable[[], object], int]] = {
        "the answer itself": (lambda: [answered(engine, ask, k) for ask in asks], len(asks)),
        "noting it": (lambda: [telemetry.listed(answer) for answer in answers], len(asks)),
        "reading the window (once a scrape)": (telemetry.samples, 1),
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds + 1):
        for name, (call, n) in kinds.items():
            started = time.perf_counter()
            call()
            taken[name].append(1e6 * (time.perf_counter() - started) / n)
    rows = [(name, *np.quantile(one[1:], [0.5, 0.1, 0.9]), rounds) for name, one in taken.items()]
    return pd.DataFrame(rows, columns=["what", "median us", "p10", "p90", "rounds"])
