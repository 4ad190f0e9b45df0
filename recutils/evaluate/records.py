"""Results as records: one measured number each, with its interval and comparison; read, written, and made from per-user
values. No metric is computed here (metrics.py), and no seconds or bytes belong here (runs.py).
"""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from recutils.evaluate.statistics import DRAWS, Comparison, Interval, compare_all, holm, mean_intervals
from recutils.runs import write_text
from recutils.tables import Problem

DIGITS = 10  # significant digits kept: far more than any claim needs, fewer than threads and libraries change
LEFT_OUT = "users_left_out"  # the metric under which users without a value are counted
_TEXTS = ("notebook", "dataset", "protocol", "split", "model", "metric", "group")
_PAIRED = ("delta", "delta_low", "delta_high", "p", "p_holm")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One number: `value` of `metric` for `model`, over n users. Numbers are kept to DIGITS significant digits.

    low, high: interval of value. delta, delta_low, delta_high: the paired difference model - `against`, its interval.
    p: the test of delta, p_holm: corrected within its family. None where it does not apply.
    Raises Problem on NaN or a wrong type.
    """

    notebook: str
    dataset: str
    protocol: str
    split: str
    model: str
    metric: str
    k: int | None = None
    group: str = "all"
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    seed: int
    against: str | None = None
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    def __post_init__(self) -> None:
        for name in (*_TEXTS, *(["against"] if self.against is not None else [])):
            _check_text(name, getattr(self, name))
        for name in ("k", "n", "seed"):
            object.__setattr__(self, name, _whole(name, getattr(self, name), optional=name == "k"))
        for name in ("value", "low", "high", *_PAIRED):
            object.__setattr__(self, name, _rounded(name, getattr(self, name), optional=name != "value"))
        self._check_sense()

    def _check_sense(self) -> None:
        for low, high in (("low", "high"), ("delta_low", "delta_high")):
            ends = getattr(self, low), getattr(self, high)
            if (ends[0] is None) != (ends[1] is None) or (ends[0] is not None and ends[0] > ends[1]):
                raise Problem(f"{self._name}: {low} and {high} must come together and in order; got {ends}")
        if any(p is not None and not 0 <= p <= 1 for p in (self.p, self.p_holm)):
            raise Problem(f"{self._name}: p and p_holm must lie in 0..1; got {self.p} and {self.p_holm}")
        if (self.against is None) != (self.delta is None) or (self.delta is None and self.p is not None):
            raise Problem(
                f"{self._name}: a comparison needs both against and delta; got {self.against!r}, {self.delta}"
            )

    @property
    def _name(self) -> str:
        return f"record {self.notebook}/{self.model}/{self.metric}"

    @property
    def identity(self) -> tuple[str, ...]:
        """What the number is about: everything but the measured values, as text; records are sorted by it."""
        about = ("notebook", "dataset", "protocol", "split", "group", "metric", "k", "model", "against", "seed")
        return tuple(
            f"{field:06d}" if isinstance(field, int) else field or "" for field in map(self.__getattribute__, about)
        )


FIELDS = tuple(field.name for field in fields(Record))


class Records(Sequence[Record]):
    """Records in the order given; add them with +, look at them with `to_frame`."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = tuple(records)
        strangers = [type(record).__name__ for record in self._records if not isinstance(record, Record)]
        if strangers:
            raise Problem(f"Records holds Record objects only; got {strangers[:3]}")

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Record | Records":
        return Records(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __add__(self, others: Iterable[Record]) -> "Records":
        return Records((*self._records, *others))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and self._records == other._records

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Records({len(self)} of {len({record.model for record in self})} models)"

    def labelled(self, **labels: Any) -> "Records":
        """The same records with some fields replaced, such as notebook and dataset."""
        unknown = sorted(set(labels) - set(FIELDS))
        if unknown:
            raise Problem(f"unknown record fields {unknown}; known: {', '.join(FIELDS)}")
        return Records(replace(record, **labels) for record in self)

    def corrected(self) -> "Records":
        """The same records with p_holm over all that have a p: for a family that was gathered from several calls."""
        tested = [place for place, record in enumerate(self) if record.p is not None]
        adjusted = dict(zip(tested, holm([self[place].p for place in tested]), strict=True))
        return Records(replace(record, p_holm=adjusted.get(place)) for place, record in enumerate(self))

    def to_frame(self) -> pd.DataFrame:
        """One row per record, columns in the order of FIELDS; numbers that do not apply are missing."""
        frame = pd.DataFrame([asdict(record) for record in self], columns=list(FIELDS))
        numbers = ("value", "low", "high", *_PAIRED)
        return frame.astype({"k": "Int64", "n": "int64", "seed": "int64"} | dict.fromkeys(numbers, "float64"))

    def write(self, path: str | Path) -> Path:
        """Write JSON, sorted by identity, one record per line; the same records give the same bytes.

        Equal records are written once; two that disagree about one number raise Problem and nothing is written.
        """
        ordered = sorted(set(self), key=lambda record: record.identity)
        for first, second in zip(ordered, ordered[1:], strict=False):
            if first.identity == second.identity:
                raise Problem(
                    f"two records disagree about {first.identity}: {first.value} and {second.value}. Label them apart."
                )
        lines = ",\n".join(json.dumps(asdict(record), allow_nan=False, ensure_ascii=False) for record in ordered)
        return write_text(Path(path), f"[\n{lines}\n]\n" if ordered else "[]\n")

    @classmethod
    def read(cls, path: str | Path) -> "Records":
        """The records of a file that `write` (or a run) left. Raises Problem naming the file, record and field."""
        path = Path(path)
        try:
            rows = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        except (OSError, ValueError) as fault:
            raise Problem(
                f"{path} must be a JSON file of records; {fault}. Run the notebook that makes it again."
            ) from fault
        if not isinstance(rows, list):
            raise Problem(f"{path} must hold a JSON list of records; got {type(rows).__name__}")
        return cls(_parsed(row, f"{path}, record {place}") for place, row in enumerate(rows))


def from_users(
    values: Mapping[str, Mapping[str, np.ndarray]],
    *,
    seed: int,
    baseline: str | None = None,
    family: Collection[str] | None = None,
    draws: int = DRAWS,
    **labels: Any,
) -> Records:
    """Records from per-user values: mean, interval and n of each model, and its paired difference from the baseline.

    values: metric -> model -> (n_users,), the same users everywhere, NaN where a user has no value.
    family: the metrics whose comparisons are tested, declared beforehand; Holm runs over these metrics x the models.
            None tests all. Other metrics get intervals of the difference and no p. No baseline: no comparisons.
    labels: notebook, dataset, protocol, split, and where they apply k and group.
    For each model a record `users_left_out` counts users without a value in at least one metric, out of n.
    """
    models = _same_models(values, baseline)
    family = tuple(values) if family is None else tuple(family)
    if not set(family) <= set(values):
        raise Problem(f"family must name metrics among {list(values)}; got {list(family)}")
    flat = {(metric, model): column for metric, columns in values.items() for model, column in columns.items()}
    intervals = mean_intervals(flat, seed, draws=draws)
    pairs = {key: (flat[key], flat[key[0], baseline]) for key in flat if baseline is not None and key[1] != baseline}
    compared = compare_all(pairs, seed, draws=draws) if pairs else {}
    tested = [key for key in compared if key[0] in family]
    p_holm = dict(zip(tested, holm([compared[key].p for key in tested]), strict=True))
    labels = {**labels, "seed": seed}
    records = [
        _record(key, intervals[key], compared.get(key), p_holm.get(key), {**labels, "against": baseline})
        for key in flat
    ]
    return Records([*records, *(_left_out(model, values, labels) for model in models)])


def _same_models(values: Mapping[str, Mapping[str, np.ndarray]], baseline: str | None) -> list[str]:
    if not values:
        raise Problem("values must hold at least one metric: metric -> model -> per-user values")
    models = list(next(iter(values.values())))
    for metric, columns in values.items():
        if set(columns) != set(models) or not models:
            raise Problem(f"each metric must have the same models; {metric!r} has {list(columns)}, expected {models}")
    if baseline is not None and baseline not in models:
        raise Problem(f"baseline {baseline!r} is not among the models {models}; add it, or say baseline=None")
    return models


def _record(
    key: tuple[str, str], interval: Interval, compared: Comparison | None, p_holm: float | None, labels: dict[str, Any]
) -> Record:
    metric, model = key
    paired: dict[str, Any] = {"against": None}
    if compared is not None:
        paired = {
            "delta": compared.delta,
            "delta_low": _known(compared.low),
            "delta_high": _known(compared.high),
            "p": None if p_holm is None else compared.p,
            "p_holm": p_holm,
        }
    ends = {"low": _known(interval.low), "high": _known(interval.high)}
    return Record(**{**labels, **paired}, metric=metric, model=model, value=interval.mean, n=interval.n, **ends)


def _left_out(model: str, values: Mapping[str, Mapping[str, np.ndarray]], labels: dict[str, Any]) -> Record:
    missing = np.any([np.isnan(columns[model]) for columns in values.values()], axis=0)
    return Record(**labels, metric=LEFT_OUT, model=model, value=float(missing.sum()), n=len(missing))


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


def _check_text(name: str, text: Any) -> None:
    if not isinstance(text, str) or not text:
        raise Problem(f"record field {name!r} must be text that is not empty; got {text!r}")


def _whole(name: str, number: Any, *, optional: bool) -> int | None:
    if number is None and optional:
        return None
    if isinstance(number, bool) or not isinstance(number, Integral) or number < (name == "k"):
        raise Problem(f"record field {name!r} must be a whole number, not negative; got {number!r}")
    return int(number)


def _rounded(name: str, number: Any, *, optional: bool) -> float | None:
    if number is None and optional:
        return None
    if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
        raise Problem(f"record field {name!r} must be a finite number; got {number!r}. Count what has no value apart.")
    return float(f"{float(number):.{DIGITS}g}") + 0.0  # + 0.0 turns -0.0 into 0.0


def _parsed(row: Any, where: str) -> Record:
    if not isinstance(row, dict) or set(row) != set(FIELDS):
        wrong = sorted(set(row) ^ set(FIELDS)) if isinstance(row, dict) else type(row).__name__
        raise Problem(f"{where}: expected exactly the fields {', '.join(FIELDS)}; missing or unknown: {wrong}")
    try:
        return Record(**row)
    except Problem as fault:
        raise Problem(f"{where}: {fault}") from fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not a number")
