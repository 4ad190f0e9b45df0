"""The index page of a run and the words for records in its tables. It is given all it shows and writes no file."""

from itertools import groupby
from typing import Any

from recutils.evaluate.records import LEFT_OUT
from recutils.report import page
from recutils.report.progress import span
from recutils.report.results import Record, in_order


def number(value: Any) -> str:
    """A measured number with three decimals, more for small ones, thousands separated; empty for None."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int) or (value == int(value) and abs(value) >= 100):
        return f"{int(value):,}"
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.3f}"


def interval(middle: Any, low: Any, high: Any) -> str:
    """0.123 [0.110, 0.135], or the number alone when it has no interval."""
    if middle is None:
        return ""
    return number(middle) + (f" [{number(low)}, {number(high)}]" if low is not None and high is not None else "")


def p_value(value: Any) -> str:
    """A p value with three decimals, small ones as a bound."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def metric_name(record: Record) -> str:
    """ndcg@10, with the group where there is one."""
    name = str(record.get("metric", "")) + (f"@{record['k']}" if record.get("k") is not None else "")
    group = record.get("group")
    return name if group in (None, "", "all") else f"{name} ({group})"


def row(record: Record) -> dict[str, str]:
    """The cells that show one record."""
    protocol = record.get("protocol")
    return {
        "dataset": str(record.get("dataset") or "") + (f", {protocol}" if protocol else ""),
        "split": str(record.get("split") or ""),
        "metric": metric_name(record),
        "model": str(record.get("model") or ""),
        "mean": interval(record.get("value"), record.get("low"), record.get("high")),
        "n": number(record.get("n")),
        "delta": interval(record.get("delta"), record.get("delta_low"), record.get("delta_high")),
        "against": str(record.get("against") or ""),
        "p": p_value(record.get("p_holm") if record.get("p_holm") is not None else record.get("p")),
    }


def _caption(record: Record) -> str:
    """What the records of one table share: data set, protocol, split."""
    return " · ".join(str(record[name]) for name in ("dataset", "protocol", "split") if record.get(name))


def by_metric(record: Record) -> tuple[str, ...]:
    """The order in which the models of one metric stand together."""
    return (_caption(record), *(str(record.get(name)) for name in ("group", "metric", "k")))


def tables(records: list[Record]) -> list[tuple[str, list[tuple[str, list[dict[str, str]]]]]]:
    """Rows of the results by notebook, and in each by data set and split; the models of one metric stand together."""
    found = []
    shown = [record for record in records if record.get("metric") != LEFT_OUT or record.get("value")]
    for notebook, own in groupby(in_order(shown), key=lambda record: str(record.get("notebook", ""))):
        parts = groupby(sorted(own, key=by_metric), key=_caption)
        found.append((notebook, [(caption, [row(record) for record in part]) for caption, part in parts]))
    return found


def render(run: dict[str, Any], records: list[Record], pages: set[str]) -> str:
    """The index page of a run from the content of run.json and metrics.json. pages: notebooks that have a page."""
    entries = run["notebooks"]
    return (
        page.templates()
        .get_template("index.html")
        .render(
            run=run,
            counts={
                "ok": sum(entry["status"] == "ok" for entry in entries),
                "cached": sum(entry["cached"] for entry in entries),
            },
            troubles=[entry for entry in entries if entry["status"] in ("failed", "not run", "interrupted")],
            pages=pages,
            results=tables(records),
            span=span,
        )
    )
