"""Carries a finished standard run to reports/published, the README's tables and the cards. It runs no notebook."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recutils.report import cards
from recutils.report.notebooks import Notebook, discover
from recutils.report.progress import span
from recutils.report.project import Project, read_json
from recutils.report.results import METRICS, RUN, find_run, read_metrics
from recutils.runs import write_text
from recutils.tables import Problem

MAX_FIGURES = 90  # one or two of each notebook
SUMMARY = "summary.md"
Say = Callable[[str], None]


def check_publishable(info: dict[str, Any], allow_dirty: bool) -> None:
    """Raise Problem unless a run is standard, whole, finished without failures and of committed files."""
    again = "Run the whole of it first: make report"
    faults = {
        f"its profile is {info.get('profile')!r}; only 'standard' is published. {again}": info.get("profile")
        != "standard",
        f"it ran only {info.get('only')!r}. {again}": bool(info.get("only")),
        f"it changed parameters ({info.get('changed')}). {again}": bool(info.get("changed")),
        f"its status is {info.get('status')!r}; 'ok' is expected. Correct what failed, then: make report": info.get(
            "status"
        )
        != "ok",
        "its files were not committed, so nobody could repeat it. Commit, then: make report": bool(info.get("dirty"))
        and not allow_dirty,
    }
    for fault, present in faults.items():
        if present:
            raise Problem(f"run {info.get('id')} cannot be published: {fault}")


def figures(run: Path, info: dict[str, Any]) -> list[tuple[str, Path]]:
    """Figures to publish as (file name, file): those called published_* and those that metadata choose; few of them."""
    found = []
    for entry in info["notebooks"]:
        for path in sorted((run / entry["name"] / "figures").glob("*.png")):
            if path.stem.startswith("published_") or path.stem in entry["publish"] or path.name in entry["publish"]:
                found.append((f"{entry['name']}_{path.stem.removeprefix('published_')}.png", path))
    if len(found) > MAX_FIGURES:
        names = ", ".join(name for name, _ in found)
        raise Problem(
            f"{len(found)} figures are chosen for publishing; at most {MAX_FIGURES} are wanted: {names}. Choose fewer."
        )
    return found


def summary(run: Path, info: dict[str, Any], pictures: list[tuple[str, Path]]) -> str:
    """summary.md: the one a notebook wrote as such, else the results, the figures and the costs of the run."""
    written = sorted(run.glob(f"*/{SUMMARY}"))
    if written:
        return written[-1].read_text(encoding="utf-8")
    machine = info["machine"]
    costs = [
        [entry["name"], entry["title"], span(entry["seconds"] or 0), f"{entry['peak_mb'] or 0:,.0f} MB"]
        for entry in info["notebooks"]
        if entry["status"] == "ok"
    ]
    origin = f"run {info['id']}, commit {info['commit'] or 'none'}, {machine['cores']} cores, {machine['memory_gb']} GB"
    parts = [
        "# Summary",
        f"Generated from {origin}. Do not edit.",
        "## Results",
        cards.results_table(cards.headline(read_metrics(run), info.get("readme", []))),
        *(f"![{name.removesuffix('.png').replace('_', ' ')}](figures/{name})" for name, _ in pictures),
        "## Costs",
        cards.markdown_table(["notebook", "question", "time", "peak memory"], costs),
    ]
    return "\n\n".join(parts) + "\n"


def _fill(project: Project, run: Path, info: dict[str, Any]) -> None:
    """Make reports/published anew: a complete folder takes the old one's place."""
    pictures = figures(run, info)
    partial, old = (project.published.with_name(f".published-{os.getpid()}-{part}") for part in ("new", "old"))
    partial.mkdir(parents=True)
    try:
        write_text(partial / SUMMARY, summary(run, info, pictures))
        for name in (METRICS, RUN):
            shutil.copyfile(run / name, partial / name)
        for name, path in pictures:
            (partial / "figures").mkdir(exist_ok=True)
            shutil.copyfile(path, partial / "figures" / name)
        if project.published.exists():
            os.replace(project.published, old)
        os.replace(partial, project.published)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _tables(project: Project) -> dict[Path, str]:
    """The Markdown files with tables, as they should read: from reports/published and the notebooks' cards."""
    info = read_json(project.published / RUN, {})
    records = read_metrics(project.published) if (project.published / METRICS).is_file() else []
    notebooks: list[Notebook] = list(discover(project).values())
    results = cards.results_table(cards.headline(records, info.get("readme", [])))
    readme, index = project.root / "README.md", project.notebooks / "README.md"
    return {
        readme: cards.replace_in(
            readme, {"results": results, "notebooks": cards.notebooks_table(notebooks, info, "notebooks/")}
        ),
        index: cards.replace_in(index, {"notebooks": cards.notebooks_table(notebooks, info, "")}),
    }


def write_tables(project: Project, say: Say) -> int:
    """Write the generated tables where they differ. Returns 0."""
    for path, text in _tables(project).items():
        if path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            say(f"wrote {path.relative_to(project.root)}")
    return 0


def check(project: Project, say: Say) -> int:
    """Say which files do not match reports/published. Returns 0 when all do, else 1."""
    stale = [path for path, text in _tables(project).items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        cure = "Cure: python -m recutils publish --tables"
        say(f"{path.relative_to(project.root)}: its tables do not match reports/published. {cure}")
    return 1 if stale else 0


def publish(project: Project, run: str, say: Say, *, allow_dirty: bool = False) -> int:
    """Publish a run: reports/published, the cards' Cost rows, the tables of both README.md files. Returns 0.

    Everything is checked before the first file is written. Raises Problem when the run may not be published.
    """
    folder = find_run(project, run)
    info = read_json(folder / RUN, {})
    check_publishable(info, allow_dirty)
    _tables(project)  # a missing mark is found before anything is written
    _fill(project, folder, info)
    notebooks = discover(project)
    for entry in info["notebooks"]:
        if entry["name"] in notebooks and entry["seconds"] is not None:
            cards.write_cost(notebooks[entry["name"]], cards.cost(entry, info))
    write_tables(project, say)
    say(f"published {info['id']} in {project.published.relative_to(project.root)}")
    return 0
