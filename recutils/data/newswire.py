"""The newswire with all its 52 topics, part by part and in file order. Eight topics in one are labelled.py's."""

from collections.abc import Sequence

import numpy as np

from recutils.data.fetch import fetch
from recutils.data.labelled import Labelled, _tab
from recutils.tables import Problem

NEWSWIRE_PARTS = ("train", "test")


def newswire(part: str) -> Labelled:
    """One part of reuters-r52 as its maker cut it, in the order of the file: "train" (6,532 texts) or "test" (2,568).

    classes: the 52 topics, the same for both parts. There is no usable time; the order is all that is known.
    """
    if part not in NEWSWIRE_PARTS:
        raise Problem(f"part must be one of {', '.join(NEWSWIRE_PARTS)}; got {part!r}")
    rows = {name: _tab(fetch("reuters", say=print) / f"reuters-r52-{name}.tab") for name in NEWSWIRE_PARTS}
    return _wire(rows[part], tuple(sorted({topic for each in rows.values() for topic, _ in each if topic})))


def _wire(rows: Sequence[Sequence[str]], names: tuple[str, ...]) -> Labelled:
    """Topic and text, one blank between words; texts that are empty are left out and counted."""
    kept = [(topic, " ".join(text.split())) for topic, text in rows if text.strip()]
    labels = np.array([names.index(topic) for topic, _ in kept], dtype=np.int64)
    notes = (f"{len(rows) - len(kept)} of {len(rows):,} texts are empty and left out.",)
    return Labelled("reuters", tuple(text for _, text in kept), labels, names, notes=notes)
