"""Alert rules: read from Prometheus' rules file, evaluated on scrapes, their thresholds replaced. Drift is in drift.py.

The file is the single source: a Prometheus loads it as it is, and here the same expressions are evaluated, so that they
can be tested on replayed traffic. Of PromQL only this is understood, and anything else refused: numbers, one series
`name` or `name{label="text"}`, `sum(rate(name{...}[5m]))` (also with =~), + - * / and brackets, and one comparison.
A rule whose series is absent does not hold; one that holds for its whole `for` fires.
"""

import ast
import math
import operator
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from recutils.tables import Problem

FILE = Path(__file__).with_name("alerts.yml")
WINDOWED = ("recutils_cold", "recutils_unknown", "recutils_coverage", "recutils_drift")  # how a window's gauges begin
UNITS = {"s": 1, "m": 60, "h": 3600}
SERIES = r"(?<![\w.])([a-z_][a-z0-9_]*)(?:\{([^}]*)\})?"
RATE = re.compile(rf"sum\(\s*rate\(\s*{SERIES}\[(\d+[smh])\]\s*\)\s*\)")
GAUGE = re.compile(SERIES)
LABEL = re.compile(r'([a-z_]+)(=~|=)"([^"]*)"')
ENDING = re.compile(r"(>=|<=|>|<)\s*(-?[\d.]+(?:e-?\d+)?)\s*$")
SUMS: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Gt: operator.gt, ast.Lt: operator.lt,
    ast.GtE: operator.ge, ast.LtE: operator.le,
    ast.Div: lambda a, b: a / b if b else math.nan,
}  # fmt: skip
Key = tuple[str, frozenset[tuple[str, str]]]
Scrape = Mapping[Key, float]


@dataclass(frozen=True)
class Rule:
    """One alert: its expression, the seconds for which it must hold before it fires, who is told, and of what."""

    name: str
    expr: str
    hold: float
    severity: str
    summary: str
    action: str

    @property
    def threshold(self) -> float:
        """The number at the end of the expression."""
        return float(_ending(self.expr).group(2))

    @property
    def above(self) -> bool:
        """Whether it fires above its threshold rather than below."""
        return _ending(self.expr).group(1)[0] == ">"

    @property
    def feature(self) -> tuple[str, str] | None:
        """(gauge, feature or "") of a rule on one gauge of the window; None for any other."""
        found = GAUGE.fullmatch(self.expr[: _ending(self.expr).start()].strip())
        return None if found is None else (found.group(1), dict(_labels(found.group(2))).get("feature", ("", ""))[1])


def _ending(expr: str) -> re.Match[str]:
    found = ENDING.search(expr)
    if found is None:
        raise Problem(f"a rule ends with a comparison with a number, such as `recutils_ready < 1`; got {expr!r}")
    return found


def rules(path: Path = FILE) -> tuple[Rule, ...]:
    """The alerts of a rules file. Raises Problem for what is no such file, and for expressions beyond the few known."""
    try:
        groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        found = tuple(_rule(row) for group in groups for row in group["rules"])
    except (OSError, KeyError, TypeError, yaml.YAMLError) as fault:
        raise Problem(f"{path} is no file of alert rules ({type(fault).__name__}): see {FILE.name}.") from fault
    for rule in found:
        _value(rule.expr, [(0.0, {})])
    return found


def _rule(row: Mapping[str, object]) -> Rule:
    told = row.get("annotations", {})
    expr = str(row["expr"])
    _ending(expr)
    return Rule(
        str(row["alert"]), expr, seconds(str(row.get("for", "0s"))), str(row["labels"]["severity"]),
        told["summary"], told["action"],
    )  # fmt: skip


def seconds(text: str) -> float:
    """A duration such as 5m in seconds. Raises Problem for any other form."""
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise Problem(f"a duration is a whole number and s, m or h, such as 5m; got {text!r}")
    return float(found.group(1)) * UNITS[found.group(2)]


def scraped(text: str) -> Scrape:
    """What /metrics answered, as series."""
    return {
        (one.name, frozenset(one.labels.items())): float(one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def gauges(samples: Iterable[tuple[str, str, float]]) -> Scrape:
    """The window's own samples (name, feature or "", value) as series."""
    return {(name, frozenset({("feature", feature)} if feature else ())): value for name, feature, value in samples}


@dataclass
class Watch:
    """Evaluates rules at each scrape, as Prometheus does: a rule that holds is pending, one that held for long fires.

    A scrape is remembered as long as the longest range of a rate (an hour).
    """

    rules: Sequence[Rule]
    _scrapes: deque[tuple[float, Scrape]] = field(default_factory=deque)
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, now: float, scrape: Scrape) -> list[str]:
        """Names of the rules that fire now. now: seconds, rising."""
        self._scrapes.append((now, scrape))
        while self._scrapes[0][0] < now - UNITS["h"]:
            self._scrapes.popleft()
        firing = []
        for rule in self.rules:
            if _value(rule.expr, self._scrapes):
                since = self._since.setdefault(rule.name, now)
                firing += [rule.name] if now - since >= rule.hold else []
            else:
                self._since.pop(rule.name, None)
        return firing


def _value(expr: str, scrapes: Sequence[tuple[float, Scrape]]) -> float | bool:
    """The value of an expression at the newest of the scrapes; a missing series is NaN."""
    values: dict[str, float] = {}

    def named(value: float) -> str:
        values[f"v{len(values)}"] = value
        return f"V{len(values) - 1}"

    text = RATE.sub(lambda m: named(_rate(m.group(1), m.group(2), seconds(m.group(3)), scrapes)), expr)
    text = GAUGE.sub(lambda m: named(_one(m.group(1), m.group(2), scrapes[-1][1])), text)
    try:
        return _sum(ast.parse(text.strip().lower(), mode="eval").body, values)
    except (SyntaxError, KeyError, TypeError) as fault:
        raise Problem(f"{expr!r} is beyond what is evaluated here; see the head of alerts.py.") from fault


def _sum(node: ast.AST, values: Mapping[str, float]) -> float | bool:
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_sum(node.operand, values)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.BinOp):
        return SUMS[type(node.op)](_sum(node.left, values), _sum(node.right, values))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return SUMS[type(node.ops[0])](_sum(node.left, values), _sum(node.comparators[0], values))
    raise TypeError(type(node).__name__)


def _labels(text: str | None) -> list[tuple[str, tuple[str, str]]]:
    return [(name, (kind, wanted)) for name, kind, wanted in LABEL.findall(text or "")]


def _chosen(name: str, labels: str | None, scrape: Scrape) -> dict[Key, float]:
    """The series of a name whose labels are as asked; further labels may be there."""
    found = {}
    for key, value in scrape.items():
        own = dict(key[1]) if key[0] == name else None
        if own is not None and all(
            re.fullmatch(wanted, own.get(label, "")) if kind == "=~" else own.get(label, "") == wanted
            for label, (kind, wanted) in _labels(labels)
        ):
            found[key] = value
    return found


def _one(name: str, labels: str | None, scrape: Scrape) -> float:
    found = _chosen(name, labels, scrape)
    if len(found) > 1:
        raise Problem(f"{name} has {len(found)} series; a rule must name one, by a label, or sum their rates.")
    return next(iter(found.values()), math.nan)


def _rate(name: str, labels: str | None, span: float, scrapes: Sequence[tuple[float, Scrape]]) -> float:
    """Rise a second, summed over the series; NaN for fewer than two scrapes. A counter that fell was started anew."""
    inside = [(now, _chosen(name, labels, scrape)) for now, scrape in scrapes if now >= scrapes[-1][0] - span]
    if len(inside) < 2 or not inside[-1][1]:
        return math.nan
    rise = 0.0
    for (_, before), (_, after) in zip(inside, inside[1:], strict=False):
        for key, value in after.items():
            old = before.get(key, value)  # as in Prometheus: a series that appears has not risen yet
            rise += value - old if value >= old else value
    return rise / (inside[-1][0] - inside[0][0])


def on_window(chosen: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules on one gauge of the window of the last requests, whose thresholds can be learnt."""
    return tuple(rule for rule in chosen if rule.feature and rule.feature[0].startswith(WINDOWED))


def moved(chosen: Iterable[Rule], thresholds: Mapping[str, float]) -> tuple[Rule, ...]:
    """The rules with other numbers at their ends. thresholds: alert -> number; the others stay."""
    return tuple(
        replace(rule, expr=_ending_in(rule.expr, thresholds[rule.name])) if rule.name in thresholds else rule
        for rule in chosen
    )


def _ending_in(expr: str, number: float) -> str:
    return f"{expr[: _ending(expr).start(2)]}{number:.6f}"


def with_thresholds(thresholds: Mapping[str, float], path: Path = FILE) -> str:
    """The rules file with other numbers at the ends of some expressions, as text to write. Raises Problem for no alert.

    thresholds: alert -> number. Comments are lost, all else stays.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = {row["alert"]: row for group in content["groups"] for row in group["rules"]}
    unknown = sorted(set(thresholds) - set(rows))
    if unknown:
        raise Problem(f"{', '.join(unknown)}: no alert of {path.name}; it has {', '.join(rows)}.")
    for name, number in thresholds.items():
        rows[name]["expr"] = _ending_in(rows[name]["expr"], number)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
