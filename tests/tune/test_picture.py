"""The row of dot plots: a panel a column, rows named once."""

import pandas as pd

from recutils import present
from recutils.tune import picture


def test_a_table_as_dots_has_a_panel_a_column_and_names_its_rows_once() -> None:
    frame = pd.DataFrame({"bytes": [10.0, 1e6], "seconds": [1.0, 2.0]}, index=["small", "large"])
    fig, axes = present.figure(2)
    picture.dots(axes, frame, log=["bytes"])
    assert [ax.get_xscale() for ax in axes] == ["log", "linear"] and axes[1].get_xlim() == (0, 2.2)
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["small", "large"]
    assert not any(text.get_text() for text in axes[1].get_yticklabels())
    present.check_figure(fig, "a title of four words")
