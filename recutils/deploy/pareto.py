"""The pictures of quality lost against speed, size and texts read, and who stands on the front. It measures nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recutils.deploy.trial import Loss
from recutils.present import COLOURS, MARKERS
from recutils.rank.business import efficient

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"times": "texts a second, times fp32", "weights_mb": "weights, MB"}


def front(gains: Mapping[str, float], lost: Mapping[str, Loss]) -> list[str]:
    """Names that no other beats in both: none gains at least as much and loses less, or gains more and loses no more.

    gains: name -> what is better when larger. The losses are point estimates, so that near neighbours are a toss.
    """
    points = np.array([[gain, -lost[name].share] for name, gain in gains.items()])
    return [name for name, kept in zip(gains, efficient(points), strict=True) if kept]


def draw(axes: "tuple[Axes, Axes]", costs: pd.DataFrame, lost: Mapping[str, Loss]) -> None:
    """Loss with its interval over speed and over size, each encoder with a mark of its own; the key stands right.

    costs: as `footprint.costs` gives, one row an encoder, at most 14. Loss is in per cent.
    """
    for ax, (column, label) in zip(axes, AXES.items(), strict=True):
        for number, row in enumerate(costs.to_dict("records")):
            _mark(ax, row[column], lost[row["encoder"]], number, row["encoder"])
        ax.axhline(0, color="#444444", linewidth=0.8, marker="", linestyle="-")
        ax.set(xlabel=label, ylabel="nDCG lost, % (95 % interval)", xscale="log")
        _plain_numbers(ax)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)


def draw_curve(axes: "tuple[Axes, Axes]", points: pd.DataFrame, bar: float) -> None:
    """What is lost (left) and which share of the neighbours is kept (right) against the number of texts read.

    points: student, texts, lost, low, high (per cent), neighbours (0..1), a row for each student and number of texts.
    bar: per cent, drawn as a line. The numbers of texts stand at equal distances.
    """
    ticks = sorted(points["texts"].unique())
    for shift, (name, own) in enumerate(points.groupby("student", sort=False)):
        place = np.searchsorted(ticks, own["texts"]) + 0.06 * shift
        (line,) = axes[0].plot(place, own["lost"], label=name)
        axes[0].vlines(place, own["low"], own["high"], color=line.get_color(), linewidth=1.2, alpha=0.7)
        axes[1].plot(place, own["neighbours"], label=name)
    axes[0].axhline(bar, color="#444444", linestyle=":", marker="", linewidth=1, label="bar of the choice")
    axes[0].axhline(0, color="#444444", linestyle="-", marker="", linewidth=0.8)
    axes[0].set_ylabel("nDCG lost, % (95 % interval)")
    axes[1].set(ylabel="neighbours kept, share", ylim=(0, 1))
    for ax in axes:
        ax.set_xticks(range(len(ticks)), [f"{size:,}" for size in ticks])
        ax.set_xlabel("different texts read")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[1].legend(handles, labels, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)


def _mark(ax: "Axes", x: float, one: Loss, number: int, name: str) -> None:
    """The first seven are filled, the next seven open, so that the picture needs no colour."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    ax.plot([x, x], [100 * one.low, 100 * one.high], color=colour, linestyle="-", marker="", linewidth=1.4)
    fill = colour if number < len(COLOURS) else "white"
    ax.plot(x, 100 * one.share, color=colour, linestyle="", marker=marker, markerfacecolor=fill, label=name)


def _plain_numbers(ax: "Axes") -> None:
    """1, 2, 5, 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
