"""What an encoder reads of an item: named templates over the items table, and the cleaning of cells. No model here."""

import html
import re
import unicodedata

import pandas as pd

from recutils.data.prepare import item_texts
from recutils.tables import TITLE, Dataset, Problem

TEMPLATES: dict[str, tuple[str, ...]] = {  # name -> the columns after the title
    "title": (),
    "title+genres": ("genres",),
    "title+genres+year": ("genres", "year"),
    "title+genres+year+plot": ("genres", "year", "plot"),  # plots come from data/join.py, and for some films only
    "title+description": ("description",),
    "title+description+body": ("description", "body"),
}
# Only HTML's own elements are markup, so that "<Remix>" and "I <3 you" stay. Inline ones vanish, the others part words.
INLINE = "a abbr b big code em font i kbd mark q s samp small span strike strong sub sup tt u var"
BLOCK = (
    "article aside blockquote body br center dd div dl dt footer form h1 h2 h3 h4 h5 h6 head header hr html iframe img "
    "input label li link main meta nav ol option p pre section select table tbody td textarea tfoot th thead title tr "
    "ul"
)
UNSEEN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
INLINE_TAG = re.compile(rf"</?(?:{'|'.join(INLINE.split())})(?:\s[^<>]*)?/?>", re.IGNORECASE)
BLOCK_TAG = re.compile(rf"</?(?:{'|'.join(BLOCK.split())})(?:\s[^<>]*)?/?>", re.IGNORECASE)
NOT_TEXT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff\ud800-\udfff]"
)  # controls, widthless spaces, half characters


def clean(cell: object) -> str:
    """A cell as plain text on one line; "" for a missing one (None, NaN, NA) and for white space.

    In this order: entities become characters, comments, scripts and HTML's own tags go, the rest is composed (Unicode
    NFC), control characters and runs of white space become one space. Emoji, case and every script stay: what the
    encoder's vocabulary does not hold is counted in its report as unknown. A whole float loses its ".0" (1995.0).

    >>> clean("<p>Tom &amp; <b>Jerry</b></p><br/>I <3  you")
    'Tom & Jerry I <3 you'
    >>> clean(float("nan")), clean(1995.0), clean("<Remix> \\u2764")
    ('', '1995', '<Remix> ❤')
    """
    if cell is None or cell is pd.NA or cell != cell:
        return ""
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else html.unescape(str(cell))
    if "<" in text:
        text = BLOCK_TAG.sub(" ", INLINE_TAG.sub("", UNSEEN.sub(" ", text)))
    return " ".join(unicodedata.normalize("NFC", NOT_TEXT.sub(" ", text)).split())


def texts_of(dataset: Dataset, template: str = "title+genres+year") -> list[str]:
    """One text for each item, in row order, by a named template: "Toy Story (1995). Genres: Animation, Comedy".

    template: one of TEMPLATES. A missing cell leaves its piece out, with its label; an item without any text gets "".
    Raises Problem for an unknown template, or a column that this data set lacks, naming the templates that it can fill.
    """
    columns = _columns(dataset, template)
    cleaned = pd.DataFrame({name: [clean(cell) for cell in dataset.items[name]] for name in columns}, dtype=object)
    return item_texts(cleaned, columns[1:])


def fullest(dataset: Dataset) -> str:
    """The name of the template with the most columns that this data set can fill; of equal ones the first."""
    fillable = [name for name, columns in TEMPLATES.items() if set(columns) <= set(dataset.items)]
    return max(fillable, key=lambda name: len(TEMPLATES[name]))


def missing(dataset: Dataset, template: str = "title+genres+year") -> dict[str, int]:
    """How many items lack each column of the template, after cleaning: a gap that a model can see is a feature."""
    return {name: int((dataset.items[name].map(clean) == "").sum()) for name in _columns(dataset, template)}


def _columns(dataset: Dataset, template: str) -> list[str]:
    """Title and the template's columns, all of which are there."""
    if template not in TEMPLATES:
        raise Problem(f"there is no text template {template!r}; expected one of {', '.join(TEMPLATES)}.")
    fillable = [name for name, columns in TEMPLATES.items() if set(columns) <= set(dataset.items)]
    if template not in fillable:
        lacking = [name for name in TEMPLATES[template] if name not in dataset.items]
        raise Problem(
            f"{dataset.name}: template {template!r} needs the column {', '.join(lacking)}; found "
            f"{list(dataset.items)}. Use one of: {', '.join(fillable)}."
        )
    return [TITLE, *TEMPLATES[template]]
