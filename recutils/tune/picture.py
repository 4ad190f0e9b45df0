"""One table as a row of dot plots: what each method of tuning costs, side by side. `present` draws all else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from recutils.present import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dots(axes: Sequence["Axes"], frame: pd.DataFrame, *, log: Sequence[str] = (), name: str = "model") -> None:
    """Draw a table as dots: one row for each of `frame`, the last on top, and one panel for each column of numbers.

    frame: its index names the rows, its columns the axes. log: columns on a logarithmic scale; the others begin at 0.
    """
    for ax, column in zip(axes, frame, strict=True):
        ax.plot(frame[column], range(len(frame)), linestyle="", marker="o", color=COLOURS[0])
        ax.set(xlabel=column, ylabel=name, ylim=(-0.6, len(frame) - 0.4), yticks=range(len(frame)))
        ax.set_yticklabels(frame.index if ax is axes[0] else [])
        ax.yaxis.label.set_visible(ax is axes[0])
        ax.set(**({"xscale": "log"} if column in log else {"xlim": (0, 1.1 * frame[column].max())}))
