"""Reviews by class: what is kept, and what each label stands for."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.fetch import fetch
from recutils.data.garments import garment_reviews
from recutils.data.labelled import REVIEW_FILE
from recutils.tables import Problem


def test_labels_are_the_classes_of_the_file() -> None:
    found = garment_reviews(least=1000)
    table = pd.read_parquet(fetch("clothing-reviews") / REVIEW_FILE)
    said = {
        " ".join(text.split()): kind
        for text, kind in zip(table["Review Text"].fillna(""), table["Class Name"], strict=True)
    }
    rows = np.arange(0, len(found), 997)
    assert [found.classes[found.labels[row]] for row in rows] == [said[found.texts[row]] for row in rows]
    assert len(set(found.texts)) == len(found) and np.bincount(found.labels).min() >= 1000
    assert {"Dresses", "Knits"} <= set(found.classes) and "Trend" not in found.classes


def test_too_large_a_class_is_refused() -> None:
    with pytest.raises(Problem, match="Ask for fewer"):
        garment_reviews(least=100_000)
