"""Drug reviews with all their columns. Their ratings as labels are labelled.py's."""

import html
from pathlib import Path

import pandas as pd


def drug_table(folder: Path) -> pd.DataFrame:
    """All drug reviews, one row each, as the publisher cut them; entities and quotes of the texts are undone.

    Columns: drug, condition, text, rating (three bins), useful (votes), part ("train", 600 rows, or "test", 379). Text
    and condition are "" where they are missing; some conditions are the publisher's scraps, which case/health.py mends.
    """
    wanted = {
        "drugName": "drug",
        "condition": "condition",
        "review": "text",
        "rating": "rating",
        "usefulCount": "useful",
    }
    files = {"train": folder / "drugsComTrain.tsv", "test": folder / "drugsComTest.tsv"}
    read = {part: pd.read_csv(path, sep="\t", index_col=0) for part, path in files.items()}
    table = pd.concat([one.assign(part=part) for part, one in read.items()], ignore_index=True)
    table = table[[*wanted, "part"]].rename(columns=wanted)
    text = table["text"].fillna("").map(html.unescape).str.strip().str.strip('"').str.split().str.join(" ")
    return table.assign(text=text, condition=table["condition"].fillna(""), rating=table["rating"].astype(str))
