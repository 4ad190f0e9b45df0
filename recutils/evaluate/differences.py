"""Questions declared beforehand on per-user values, each with models of its own: corrected together, and put in words.

Pairs that share one baseline stand in `records.from_users`, pairs of AUC in `declared`. No lists and no metrics here.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recutils.evaluate.family import Pairs, columns_of, corrected
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, SMALLEST_DIFFERENCE, Comparison


def family(
    values: Mapping[str, np.ndarray], pairs: Pairs, seed: int, *, draws: int = DRAWS
) -> dict[str, tuple[Comparison, float]]:
    """Each declared pair's difference with an interval corrected for their number (Bonferroni), and its p after Holm.

    values: model -> (n_users,). So every interval holds together with the others in 95 of 100 studies.
    """
    return corrected(columns_of(values, pairs), seed, draws=draws)


def family_table(found: Mapping[str, tuple[Comparison, float]], pairs: Pairs) -> pd.DataFrame:
    """One row a declared comparison: what, which models, difference, corrected interval, p after Holm, people.

    Beside them: how many people would narrow the interval to the smallest difference that matters, and `worth`.
    """
    rows = [(what, " - ".join(pairs[what]), one.delta, one.low, one.high, p, one.n) for what, (one, p) in found.items()]
    names = ["asked", "models", "Δ nDCG", "low", "high", "p (Holm)", "people"]
    frame = pd.DataFrame(rows, columns=names)
    verdicts = [worth(one.delta, one.low, one.high) for one, _ in found.values()]
    needed = [people_needed(one.low, one.high, one.n) for one, _ in found.values()]
    return frame.assign(**{f"people for ±{SMALLEST_DIFFERENCE:g}": needed, "verdict": verdicts})


def family_records(found: Mapping[str, tuple[Comparison, float]], pairs: Pairs, **labels: object) -> list[Record]:
    """Records of the declared differences, value is the difference itself. labels: notebook, dataset and so on."""
    records = []
    for what, (one, p) in found.items():
        model, against = pairs[what]
        ends = {
            "value": one.delta,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "against": against,
            "p": one.p,
            "p_holm": p,
        }
        ends |= {"delta": one.delta, "delta_low": one.low, "delta_high": one.high}
        records.append(Record(model=model, group=what, metric="difference of ndcg", **ends, **labels))
    return records


def worth(delta: float, low: float, high: float, margin: float = SMALLEST_DIFFERENCE) -> str:
    """What an interval of a difference says of something's place, with a smallest difference that matters.

    >>> worth(0.02, 0.01, 0.03), worth(0.0, -0.001, 0.002), worth(0.01, -0.01, 0.03)
    ('earns its place', 'makes no difference that matters', 'too small to decide')
    """
    if low >= margin:
        return "earns its place"
    if high <= -margin:
        return "does harm"
    if -margin < low and high < margin:
        return "makes no difference that matters"
    return (
        "helps, perhaps too little to matter"
        if low > 0
        else "harms, perhaps little"
        if high < 0
        else "too small to decide"
    )


def told(delta: float, low: float, high: float) -> str:
    """A difference with its interval and what that says of the thing's place.

    >>> told(0.02, 0.01, 0.03)
    '+0.020 [+0.010, +0.030]: earns its place'
    """
    return f"{delta:+.3f} [{low:+.3f}, {high:+.3f}]: {worth(delta, low, high)}"


def people_needed(low: float, high: float, n: int, margin: float = SMALLEST_DIFFERENCE) -> int:
    """How many people an interval of half width `margin` would take, from one of n people: widths fall by the root."""
    return int(np.ceil(n * ((high - low) / 2 / margin) ** 2))
