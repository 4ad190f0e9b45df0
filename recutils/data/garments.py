"""Reviews of garments with the class of the garment (dresses, knits ...): texts that are alike without being news.

Whether the writer recommends the piece is labelled.py's question; who bought what nobody knows.
"""

import numpy as np
import pandas as pd

from recutils.data.fetch import fetch
from recutils.data.labelled import REVIEW_FILE, Labelled
from recutils.tables import Problem


def garment_reviews(*, least: int = 200) -> Labelled:
    """Reviews, in the file's order, of classes with at least `least` reviews; the title is not read.

    A text that occurs twice is kept once. Raises Problem when fewer than two classes are left.
    """
    table = pd.read_parquet(fetch("clothing-reviews") / REVIEW_FILE, columns=["Class Name", "Review Text"]).dropna()
    table["text"] = table["Review Text"].str.split().str.join(" ")
    table = table[(table.text != "") & ~table.text.duplicated()]
    counts = table["Class Name"].value_counts()
    classes = sorted(counts.index[counts >= least])
    if len(classes) < 2:
        raise Problem(f"{len(classes)} classes have {least} reviews; the largest has {counts.max()}. Ask for fewer.")
    kept = table[table["Class Name"].isin(classes)]
    labels = np.searchsorted(classes, kept["Class Name"]).astype(np.int64)
    notes = (f"{len(table) - len(kept)} reviews of classes with fewer than {least} are left out.",)
    return Labelled("clothing-reviews", tuple(kept.text), labels, tuple(classes), notes=notes)
