"""Compares the records of two runs exactly: what differs, appeared, vanished. It changes no file."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from recutils.report.index import metric_name
from recutils.report.project import Project
from recutils.report.results import Record, find_run, identity, in_order, read_metrics


def keyed(records: list[Record]) -> dict[tuple[Any, ...], Record]:
    """Records by what they are about; the second about the same thing gets the number 2, and so on."""
    seen: Counter[tuple[Any, ...]] = Counter()
    found = {}
    for record in in_order(records):
        name = identity(record)
        seen[name] += 1
        found[(*name, seen[name])] = record
    return found


def _name(record: Record) -> str:
    parts = [
        record.get("notebook"),
        record.get("dataset"),
        record.get("split"),
        metric_name(record),
        record.get("model"),
    ]
    against = record.get("against")
    return " ".join(str(part) for part in parts if part) + (f" against {against}" if against else "")


def differences(a: list[Record], b: list[Record]) -> list[str]:
    """One line for each record that differs, appeared (only in b) or vanished (only in a); empty when equal."""
    before, after = keyed(a), keyed(b)
    lines = [f"vanished  {_name(record)}" for name, record in before.items() if name not in after]
    lines += [f"appeared  {_name(record)}" for name, record in after.items() if name not in before]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        changes = [
            f"{part} {old.get(part)!r} -> {new.get(part)!r}"
            for part in sorted(old.keys() | new.keys())
            if old.get(part) != new.get(part)
        ]
        if changes:
            lines.append(f"differs   {_name(new)}: {', '.join(changes)}")
    return sorted(lines)


def show(project: Project, a: str, b: str, say: Callable[[str], None]) -> int:
    """Say how two runs differ. Returns 0 when their records are equal, else 1."""
    first, second = read_metrics(find_run(project, a)), read_metrics(find_run(project, b))
    lines = differences(first, second)
    for line in lines:
        say(line)
    say(
        f"{len(lines)} differences between {len(first)} records of {a} and {len(second)} of {b}"
        if lines
        else f"equal: {len(first)} records"
    )
    return 1 if lines else 0
