"""Reading the records of a report and putting them side by side. It trains and tests nothing."""

import json
import os
from pathlib import Path

import pandas as pd

from recutils import runs
from recutils.present import interval
from recutils.tables import Problem

RULES = ["dataset", "protocol", "split", "metric", "k", "group"]  # what must agree before two lines may be compared


def read_records() -> tuple[pd.DataFrame, str]:
    """All records, one row each, and where they come from: the running report, the newest one, or the published one.

    Raises Problem with the cure when there is none.
    """
    latest = runs.REPORTS / "runs" / "latest"
    places = {
        "this report": Path(os.environ.get("RECUTILS_RUN") or "/nowhere"),
        "the newest report on this machine": latest if latest.is_dir() else _pointed(latest),
        "the published report": runs.REPORTS / "published",
    }
    for source, folder in places.items():
        if (folder / "metrics.json").is_file():
            return as_frame((folder / "metrics.json").read_text(encoding="utf-8")), source
    raise Problem("there is no report to summarise yet. Run `make report PROFILE=smoke` first.")


def _pointed(pointer: Path) -> Path:
    """The folder that a text file names, for systems without links."""
    return pointer.parent / pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else Path("/nowhere")


def as_frame(text: str) -> pd.DataFrame:
    """metrics.json as a table; raises Problem when it holds no records."""
    rows = json.loads(text)
    if not rows:
        raise Problem("the report holds no records yet; none of its notebooks has finished. Run the others first.")
    numbers = ["value", "low", "high", "delta", "delta_low", "delta_high", "p", "p_holm"]
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(numbers, float)).astype({"k": "Int64"})


def by_notebook(records: pd.DataFrame) -> pd.DataFrame:
    """One row per notebook and data set: how many records, models, metrics and comparisons."""
    grouped = records.groupby(["notebook", "dataset"], sort=True)
    counts = {
        "records": grouped.size(),
        "models": grouped.model.nunique(),
        "metrics": grouped.metric.nunique(),
        "comparisons": grouped.delta.count(),
    }
    return pd.DataFrame(counts).reset_index()


def side_by_side(records: pd.DataFrame) -> pd.DataFrame:
    """One row per model under each set of rules: mean and difference with intervals, corrected p, number of users."""
    rows = [
        {
            "notebook": row.notebook,
            "data": row.dataset,
            "split": row.split,
            "model": row.model,
            "mean [95 %]": interval(row.value, row.low, row.high),
            "Δ [95 %]": "" if pd.isna(row.delta) else interval(row.delta, row.delta_low, row.delta_high),
            "against": "" if pd.isna(row.against) else row.against,
            "p (Holm)": "" if pd.isna(row.p_holm) else f"{row.p_holm:.4f}",
            "n": row.n,
        }
        for row in records.sort_values(["notebook", *RULES[:3], "value"], ascending=[True] * 4 + [False]).itertuples()
    ]
    return pd.DataFrame(rows)


def verdicts(records: pd.DataFrame) -> list[str]:
    """A sentence for each notebook and data set: which models are above, below or undecided against the baseline."""
    compared = records.dropna(subset=["delta"])
    grouped = compared.groupby(["notebook", "dataset", "split", "against"], sort=True)
    return [_verdict(*key, part) for key, part in grouped]


def _verdict(notebook: str, dataset: str, split: str, against: str, part: pd.DataFrame) -> str:
    words = {
        "above": part[part.delta_low > 0].model,
        "below": part[part.delta_high < 0].model,
        "undecided": part[(part.delta_low <= 0) & (part.delta_high >= 0)].model,
    }
    said = "; ".join(f"{word}: {', '.join(sorted(models))}" for word, models in words.items() if len(models))
    return f"`{notebook}`, {dataset}, {split}: against {against}, {said} ({part.n.max()} users)."
