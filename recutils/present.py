"""One look for all notebooks: figures, tables and sentences. It shows what it is given and computes no results."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recutils.runs import Run
from recutils.tables import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (6.0, 3.5)  # inches
# Okabe & Ito (2008), "Color universal design": safe for the colour-blind; its yellow is left out, too pale in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "--", "oo")
STYLE = {
    "figure.figsize": SIZE,
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "recutils",
}
TITLE_SIZE = 11  # points
MAX_ROWS = 15  # one row for each model of the longest comparison
MIN_TITLE_WORDS = 4


def figure(columns: int = 1, *, height: float = SIZE[1]) -> tuple["Figure", "Axes"]:
    """A figure in the house style with one or more panels side by side: fig, ax (ax is an array when columns > 1).

    height: inches. Colours, line styles and markers change together, so that a print in grey stays readable.
    """
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cycle = cycler(color=COLOURS) + cycler(linestyle=LINES) + cycler(marker=MARKERS)
    mpl.rcParams.update(STYLE | {"axes.prop_cycle": cycle})  # stays on, since a legend made later reads it too
    fig = Figure(figsize=(SIZE[0] * max(1.0, 0.75 * columns), height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(1, columns)


def means(ax: "Axes", values: Mapping[str, tuple[float, float | None, float | None]], digits: int = 3) -> None:
    """Draw named means with their intervals, the first on top: a dot, a whisker, and the number at the right edge.

    values: name -> (mean, low, high); low and high may be None. The scale starts at zero when no value is negative.
    """
    rows = range(len(values))[::-1]
    for row, (mean, low, high) in zip(rows, values.values(), strict=True):
        ax.plot([mean], [row], "o", color=COLOURS[0], markersize=7)
        if low is not None and high is not None:
            ax.plot([low, high], [row, row], "-", color=COLOURS[0], linewidth=2, marker="|", markersize=9)
        ax.annotate(f"{mean:.{digits}f}", (1.01, row), xycoords=("axes fraction", "data"), va="center")
    ax.set_yticks(rows, list(values))
    ax.set_ylim(-0.6, len(values) - 0.4)
    ax.margins(x=0.05)
    if all(mean >= 0 for mean, _, _ in values.values()):
        ax.set_xlim(left=0)


def differences(
    ax: "Axes", rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], tuple[float, float, float]]
) -> float:
    """Draw differences with their intervals, one row for each group and one column for each model; returns the scale.

    cells: (row, column) -> (difference, low, high), numbers; a missing cell stays empty. Each column has its own zero
    line, and the scale is the largest difference or interval end that half a column holds. Above zero for certain: blue
    triangle up; below: orange triangle down; else a grey dot, so that the picture needs no colour.
    """
    scale = max((abs(number) for cell in cells.values() for number in cell), default=1.0) or 1.0
    styles = {1: (COLOURS[0], "^"), -1: (COLOURS[1], "v"), 0: ("#777777", "o")}
    for place, column in enumerate(columns):
        ax.axvline(place, color="#999999", linewidth=0.8, linestyle="-", marker="")
        for number, row in enumerate(rows):
            if (row, column) in cells:
                middle, low, high = (place + 0.46 * value / scale for value in cells[row, column])
                colour, marker = styles[int(low > place) - int(high < place)]
                ax.plot([low, high], [number, number], linestyle="-", marker="", color=colour, linewidth=1.6)
                ax.plot([middle], [number], linestyle="", marker=marker, color=colour, markersize=6)
    ax.set_xticks(range(len(columns)), [name.replace(" ", "\n") for name in columns], fontsize=8)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.grid(visible=False, axis="x")
    return scale


def check_figure(fig: "Figure", title: str) -> None:
    """Raise Problem unless the title states a finding and every visible axis has a name."""
    if len(title.split()) < MIN_TITLE_WORDS:
        raise Problem(f"a figure's title must state the finding in at least {MIN_TITLE_WORDS} words; got {title!r}")
    for number, ax in enumerate(fig.axes):
        if not ax.axison or ax.get_label() == "<colorbar>":
            continue
        missing = [name for name, text in (("x", ax.get_xlabel()), ("y", ax.get_ylabel())) if not text.strip()]
        if missing:
            raise Problem(
                f"panel {number}: axis {' and '.join(missing)} has no name. "
                "Set it with ax.set(xlabel=..., ylabel=...), units included."
            )


def show(fig: "Figure", name: str, title: str, *, run: Run, alt: str = "") -> None:
    """Title, check, save as figures/<name>.png in the run's folder, and display with a text that replaces it.

    title: the finding, a sentence. alt: what the picture shows; the title when left out.
    """
    from IPython.display import display

    check_figure(fig, title)
    if len(fig.axes) == 1:
        fig.axes[0].set_title(title, loc="left", fontsize=TITLE_SIZE, fontweight="bold", wrap=True)
    else:
        fig.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, fontweight="bold")
    picture = io.BytesIO()
    fig.savefig(picture, format="png", dpi=STYLE["savefig.dpi"], metadata={"Software": None})
    run.path(f"figures/{name}.png").write_bytes(picture.getvalue())
    width = int(fig.get_figwidth() * STYLE["figure.dpi"])
    text = alt or title
    command = f"papermill {run.notebook}.ipynb out.ipynb"
    data = {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": text}
    metadata = {"image/png": {"width": width, "alt": text, "made_by": command, "file": f"figures/{name}.png"}}
    display(data, metadata=metadata, raw=True)


def say(text: str) -> None:
    """Show a computed sentence as Markdown, so that no measured number has to be typed into prose."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def interval(value: float, low: float | None, high: float | None, digits: int = 3) -> str:
    """A number with its interval, "0.123 [0.100, 0.150]"; "n/a" for a missing value."""
    if value is None or np.isnan(value):
        return "n/a"
    ends = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{ends}"


def p_value(p: float | None) -> str:
    """A p as text: three decimals, "< .001" below, "" for none; never 0, since no test gives that."""
    if p is None or np.isnan(p):
        return ""
    return "< .001" if p < 0.001 else f"{p:.3f}"


def _cell(value: object, digits: int) -> str:
    """One value as text: three decimals for fractions, thousands marked in counts, "" for nothing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:,.{digits}f}"
    return str(value)


def _best_rows(column: pd.Series, direction: str) -> pd.Series:
    """True at the best numbers of a column; direction is "max" or "min"."""
    if direction not in ("max", "min"):
        raise Problem(f"best must be 'max' or 'min'; got {direction!r} for column {column.name!r}")
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers == getattr(numbers, direction)()


def _texts(column: pd.Series, digits: int) -> list[str]:
    """A column's values as text; a column called "p (...)" holds p values."""
    is_p = str(column.name).startswith("p (") and pd.api.types.is_float_dtype(column)
    return [p_value(value) if is_p else _cell(value, digits) for value in column]


def _all_figures(texts: pd.Series) -> bool:
    """True when every cell that is not empty begins like a number, so that the column stands to the right."""
    filled = texts[texts != ""]
    return len(filled) > 0 and filled.str.match(r"[+<-]? ?[.\d][^A-Za-z]*$").all()


def _name_of(caption: str, text: pd.DataFrame) -> str:
    """A name for a table's styles, from its content, so that two tables on one page do not share them."""
    return hashlib.sha256((caption + text.to_csv(index=False)).encode()).hexdigest()[:8]


def table(frame: pd.DataFrame, caption: str, *, best: Mapping[str, str] | None = None, digits: int = 3) -> None:
    """Show a small table in the house style; numbers to the right, the best of a column in bold.

    best: column -> "max" | "min". Raises Problem above 15 rows (show the head, and keep the rest with run.table).
    """
    from IPython.display import HTML, display

    if len(frame) > MAX_ROWS:
        raise Problem(
            f"a table shows at most {MAX_ROWS} rows; got {len(frame)}. "
            f"Show frame.head({MAX_ROWS}), store all with run.table(...)."
        )
    unknown = set(best or {}) - set(frame.columns)
    if unknown:
        raise Problem(f"best names columns {sorted(unknown)}; the table has {list(frame.columns)}")
    text = pd.DataFrame({name: _texts(frame[name], digits) for name in frame.columns}, columns=frame.columns)
    style = text.style.hide(axis="index").set_caption(caption).format(escape="html").set_uuid(_name_of(caption, text))
    figures = [n for n, name in enumerate(text) if _all_figures(text[name])]
    props = {
        n: "text-align: right; white-space: nowrap" if n in figures else "text-align: left" for n in range(len(text.T))
    }
    style = style.set_table_styles([{"selector": f".col{n}", "props": one} for n, one in props.items()])
    for name, direction in (best or {}).items():
        bold = np.where(_best_rows(frame[name], direction), "font-weight: bold", "")
        style = style.apply(lambda column, bold=bold: list(bold), subset=[name])
    display(HTML(style.to_html()))
