"""Reading the records of a report and putting them side by side. It trains and tests nothing."""

import json
import os
from pathlib import Path

import pandas as pd

from recutils import runs
from recutils.present import interval, p_value
from recutils.tables import Problem

RULES = ["dataset", "protocol", "split", "metric", "k", "group"]  # what must agree before two lines may be compared
CLEAR = 0.05  # corrected p below which a difference is called clear
FLOOR = "random"


def read_records() -> tuple[pd.DataFrame, str]:
    """All records, one row each, and where they come from: the running report, the newest one, or the published one.

    Raises Problem with the cure when there is none.
    """
    source, folder = find_report()
    return as_frame((folder / "metrics.json").read_text(encoding="utf-8")), source


def find_report() -> tuple[str, Path]:
    """Where records are, in words and as a folder. Raises Problem with the cure when there are none."""
    latest = runs.REPORTS / "runs" / "latest"
    places = {
        "this report": Path(os.environ.get("RECUTILS_RUN") or "/nowhere"),
        "the newest report on this machine": latest if latest.is_dir() else _pointed(latest),
        "the published report": runs.REPORTS / "published",
    }
    for source, folder in places.items():
        if (folder / "metrics.json").is_file():
            return source, folder
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


def costs() -> pd.DataFrame:
    """Seconds and peak memory (MB) of the notebooks that have finished, from the run.json of the report found."""
    path = find_report()[1] / "run.json"
    told = json.loads(path.read_text(encoding="utf-8"))["notebooks"] if path.is_file() else []
    rows = [(one["name"], one["seconds"], one["peak_mb"]) for one in told if one["status"] == "ok"]
    return pd.DataFrame(rows, columns=["notebook", "seconds", "peak memory (MB)"])


def by_notebook(records: pd.DataFrame) -> pd.DataFrame:
    """One row per notebook: its data sets, and how many records, models, metrics and comparisons it left."""
    grouped = records.groupby("notebook", sort=True)
    counts = {
        "data": grouped.dataset.agg(lambda names: ", ".join(sorted(set(names)))),
        "records": grouped.size(),
        "models": grouped.model.nunique(),
        "metrics": grouped.metric.nunique(),
        "comparisons": grouped.delta.count(),
    }
    return pd.DataFrame(counts).reset_index()


def distinct(records: pd.DataFrame) -> pd.DataFrame:
    """Each model once under each set of rules: a baseline that several notebooks repeat is one result, not many.

    Kept is the first notebook's line; lines with another value or another baseline are other results and stay.
    """
    ordered = records.sort_values(["notebook", *RULES[:3], "value"], ascending=[True] * 4 + [False], kind="stable")
    return ordered.drop_duplicates([*RULES, "model", "against", "value"]).reset_index(drop=True)


def verdict(row: pd.Series) -> str:
    """ "above", "below" or "undecided" from the corrected p and the sign; the interval decides what was not tested."""
    if pd.isna(row.delta):
        return ""
    clear = row.p_holm < CLEAR if pd.notna(row.p_holm) else row.delta_low > 0 or row.delta_high < 0
    return "undecided" if not clear else "above" if row.delta > 0 else "below"


def changed_minds(records: pd.DataFrame) -> list[str]:
    """Models that one split calls above and another below or undecided, against one baseline; in order of name."""
    told = distinct(records.dropna(subset=["delta"]))
    told = told.assign(verdict=[verdict(row) for row in told.itertuples()])
    words = told.groupby("model").verdict.agg(set)
    return sorted(words[words.map(lambda found: "above" in found and len(found) > 1)].index)


def side_by_side(records: pd.DataFrame) -> pd.DataFrame:
    """One row per distinct model and rules: mean, difference, corrected p, verdict and number of users; best first."""
    rows = [
        {
            "notebook": row.notebook,
            "data": row.dataset,
            "split": row.split,
            "model": row.model,
            "mean [95 %]": interval(row.value, row.low, row.high),
            "Δ [95 %]": "" if pd.isna(row.delta) else interval(row.delta, row.delta_low, row.delta_high),
            "against": "" if pd.isna(row.against) else row.against,
            "p (Holm)": p_value(row.p_holm),
            "verdict": verdict(row),
            "n": row.n,
        }
        for row in distinct(records).sort_values("value", ascending=False, kind="stable").itertuples()
    ]
    return pd.DataFrame(rows)


def verdicts(records: pd.DataFrame) -> list[str]:
    """A sentence for each notebook and data set: which models are above, below or undecided against the baseline."""
    compared = records.dropna(subset=["delta"])
    compared = compared.assign(verdict=[verdict(row) for row in compared.itertuples()])
    grouped = compared.groupby(["notebook", "dataset", "split", "against"], sort=True)
    return [_sentence(*key, part) for key, part in grouped]


def _sentence(notebook: str, dataset: str, split: str, against: str, part: pd.DataFrame) -> str:
    words = {word: sorted(set(part[part.verdict == word].model)) for word in ("above", "below", "undecided")}
    said = "; ".join(
        f"{word} {' · '.join(f'*{model}*' for model in models)}" for word, models in words.items() if models
    )
    return f"`{notebook}`, {dataset}, {split}, against *{against}*: {said} ({part.n.max()} users)."
