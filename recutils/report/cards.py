"""The tables in Markdown files and notebooks: results, index of notebooks, a card's Cost row. It measures nothing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recutils.report.index import by_metric, row
from recutils.report.keys import COST_ROW
from recutils.report.notebooks import Notebook, source
from recutils.report.progress import span
from recutils.report.results import Record, in_order
from recutils.runs import write_text
from recutils.tables import Problem

RESULT_COLUMNS = {
    "notebook": "notebook",
    "dataset": "data set",
    "split": "split",
    "metric": "metric",
    "model": "model",
    "mean": "mean [95 % interval]",
    "n": "n",
    "delta": "difference [95 % interval]",
    "against": "against",
    "p": "p (Holm)",
}


def cell(text: Any) -> str:
    """Text for one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; columns that are empty in every row are left out."""
    names, body = list(columns), [[cell(value) for value in values] for values in rows]
    used = [place for place in range(len(names)) if not body or any(values[place] for values in body)]
    lines = [
        [names[place] for place in used],
        ["---"] * len(used),
        *([values[place] for place in used] for values in body),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _chosen(record: Record, filters: list[dict[str, Any]]) -> bool:
    """Does a record match one of the filters? Each names fields and the value, or values, that they must have."""
    return any(
        all(record.get(name) in (wanted if isinstance(wanted, list) else [wanted]) for name, wanted in one.items())
        for one in filters
    )


def headline(records: list[Record], filters: list[dict[str, Any]]) -> list[Record]:
    """The records for the README: those that the profile's `readme` chooses, else all that speak of everybody."""
    filters = filters or [{"group": [None, "", "all"]}]
    chosen = in_order([record for record in records if _chosen(record, filters)])
    return sorted(chosen, key=lambda record: (str(record.get("notebook")), by_metric(record)))


def results_table(records: list[Record]) -> str:
    """Records as a Markdown table."""
    if not records:
        return "No results are published yet."
    rows = [{"notebook": record.get("notebook", "")} | row(record) for record in records]
    return markdown_table(RESULT_COLUMNS.values(), [[line[name] for name in RESULT_COLUMNS] for line in rows])


def notebooks_table(notebooks: Iterable[Notebook], run: dict[str, Any], folder: str) -> str:
    """The index of notebooks: question, needs, makes, time, memory. folder: prefix of the links, "" or "notebooks/"."""
    measured = {entry["name"]: entry for entry in run.get("notebooks", [])}
    rows = []
    for notebook in notebooks:
        entry = measured.get(notebook.name, {})
        time = span(entry["seconds"]) if entry.get("seconds") is not None else "not measured yet"
        memory = f"{entry['peak_mb']:,.0f} MB" if entry.get("peak_mb") is not None else ""
        link = f"[{notebook.title}]({folder}{notebook.name}.ipynb)"
        rows.append([notebook.name, link, notebook.card.get("Needs", ""), notebook.card.get("Makes", ""), time, memory])
    table = markdown_table(["notebook", "question", "needs", "makes", "time", "peak memory"], rows)
    total = sum(entry["seconds"] or 0 for entry in measured.values())
    return table + (f"\n\nTogether {span(total)} of notebook time." if total else "")


def between(text: str, name: str, content: str, where: str) -> str:
    """Text with the part between <!-- name:start --> and <!-- name:end --> replaced. Raises Problem without marks."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(end) < text.index(start):
        raise Problem(
            f"{where}: expected {start} and after it {end}, once each. Put the two marks where the table shall stand."
        )
    head, rest = text.split(start)
    return f"{head}{start}\n{content}\n{end}{rest.split(end)[1]}"


def cost(entry: dict[str, Any], run: dict[str, Any]) -> str:
    """What a notebook cost in a run, for its card."""
    used = f"{span(entry['seconds'])} and {entry['peak_mb']:,.0f} MB at most"
    return f"{used} ({run['profile']} profile, {run['machine']['cores']} cores, no GPU)"


def with_cost(notebook: Notebook, text: str) -> str | None:
    """The notebook's file with another Cost row in its card, as JSON with indent 1; None when nothing changes."""
    content = json.loads(notebook.text)
    for part in content["cells"]:
        old = source(part)
        found = COST_ROW.search(old) if part["cell_type"] == "markdown" else None
        if found:
            label = found.group().split("|")[1]
            new = (
                old[: found.start()]
                + f"|{label}| {cell(text)} |"
                + ("\n" if found.group().endswith("\n") else "")
                + old[found.end() :]
            )
            part["source"] = new.splitlines(keepends=True) if isinstance(part["source"], list) else new
            written = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            return written if new != old else None
    return None


def write_cost(notebook: Notebook, text: str) -> bool:
    """Write the Cost row of a notebook's card. True when the file changed."""
    written = with_cost(notebook, text)
    if written is not None:
        write_text(notebook.path, written)
    return written is not None


def replace_in(path: Path, tables: dict[str, str]) -> str:
    """A Markdown file's text with the named tables in their places. Raises Problem without the file or a mark."""
    if not path.is_file():
        raise Problem(f"{path} is missing; its tables are generated. Restore it (git checkout {path.name}).")
    text = path.read_text(encoding="utf-8")
    for name, content in tables.items():
        text = between(text, name, content, path.name)
    return text
