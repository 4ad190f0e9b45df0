"""What watching costs: the time that noting a request and reading the window take, beside the answer itself. Times
depend on the machine; they are shown and stored as costs, never as results.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from recutils.deploy.drift import Reference
from recutils.deploy.engine import Engine
from recutils.deploy.replay import Ask, answered
from recutils.deploy.telemetry import Telemetry
from recutils.deploy.timing import in_turn


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
    seconds = in_turn({name: call for name, (call, _) in kinds.items()}, rounds)
    micro = {name: 1e6 * seconds[name] / n for name, (_, n) in kinds.items()}
    rows = [(name, *one.quantile([0.5, 0.1, 0.9]), rounds) for name, one in micro.items()]
    return pd.DataFrame(rows, columns=["what", "median us", "p10", "p90", "rounds"])
