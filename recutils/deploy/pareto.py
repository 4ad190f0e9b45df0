"""The picture of quality lost against speed and size, and who stands on the front. It measures nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from recutils.deploy.trial import Loss
from recutils.present import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"times": "texts a second, times fp32", "weights_mb": "weights, MB"}


def front(gains: Mapping[str, float], lost: Mapping[str, Loss]) -> list[str]:
    """Names that no other beats in both: none gains at least as much and loses less, or gains more and loses no more.

    gains: name -> what is better when larger. The losses are point estimates, so that near neighbours are a toss.
    """

    def beaten(name: str) -> bool:
        mine = gains[name], -lost[name].share
        rivals = [(gains[other], -lost[other].share) for other in gains if other != name]
        return any(one[0] >= mine[0] and one[1] >= mine[1] and one != mine for one in rivals)

    return [name for name in gains if not beaten(name)]


def draw(axes: "tuple[Axes, Axes]", costs: pd.DataFrame, lost: Mapping[str, Loss]) -> None:
    """Loss with its interval over speed and over size, each encoder by its number; the key stands at the right.

    costs: as `footprint.costs` gives, one row an encoder. Loss is in per cent.
    """
    for ax, (column, label) in zip(axes, AXES.items(), strict=True):
        for number, row in enumerate(costs.to_dict("records"), 1):
            one, x = lost[row["encoder"]], row[column]
            ax.plot([x, x], [100 * one.low, 100 * one.high], color="#999999", linestyle="-", marker="")
            ax.plot(x, 100 * one.share, color=COLOURS[0], linestyle="", marker="o", markersize=5)
            shift = 0, 2 + 9 * (number % 4)  # neighbours' numbers on rungs of their own
            ax.annotate(
                str(number), (x, 100 * one.high), textcoords="offset points", xytext=shift, ha="center", fontsize=8
            )
        ax.axhline(0, color="#444444", linewidth=0.8, marker="", linestyle="-")
        ax.set(xlabel=label, ylabel="nDCG lost, % (95 % interval)", xscale="log")
        _plain_numbers(ax)
        ax.margins(y=0.12)
    key = [f"{number} {name}" for number, name in enumerate(costs["encoder"], 1)]
    axes[1].text(1.02, 0.5, "\n".join(key), transform=axes[1].transAxes, va="center", fontsize=8)


def _plain_numbers(ax: "Axes") -> None:
    """1, 2, 5, 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
