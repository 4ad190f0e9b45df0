"""The house style refuses what a reader could not use."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils import present
from recutils.runs import Run
from recutils.tables import Problem


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("test", 0, tmp_path)


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """What a notebook would have displayed: the objects and the keyword arguments."""
    calls: list = []
    monkeypatch.setattr("IPython.display.display", lambda *objects, **options: calls.append((*objects, options)))
    return calls


@pytest.fixture
def panel() -> tuple:
    fig, ax = present.figure()
    ax.plot([0, 1], [1, 2])
    return fig, ax


def test_a_title_must_state_a_finding(panel: tuple, run: Run) -> None:
    panel[1].set(xlabel="epoch", ylabel="nDCG")
    with pytest.raises(Problem, match="state the finding in at least 4 words; got 'nDCG'"):
        present.show(panel[0], "curve", "nDCG", run=run)


def test_axes_must_have_names(panel: tuple, run: Run) -> None:
    panel[1].set(xlabel="epoch")
    with pytest.raises(Problem, match="panel 0: axis y has no name"):
        present.show(panel[0], "curve", "The curve rises to the end", run=run)


def test_a_figure_is_saved_and_shown_with_a_text(panel: tuple, run: Run, shown: list) -> None:
    panel[1].set(xlabel="epoch", ylabel="nDCG")
    present.show(panel[0], "curve", "The curve rises to the end", run=run, alt="A rising line")
    saved = (run.out / "figures/curve.png").read_bytes()
    assert saved.startswith(b"\x89PNG")
    data, options = shown[0]
    assert data["text/plain"] == options["metadata"]["image/png"]["alt"] == "A rising line"
    assert options["metadata"]["image/png"]["file"] == "figures/curve.png"


def test_the_same_figure_gives_the_same_bytes(run: Run) -> None:
    for name in ("one", "two"):
        fig, ax = present.figure()
        ax.plot([0, 1], [1, 2])
        ax.set(xlabel="a", ylabel="b")
        present.show(fig, name, "The line goes up here", run=run)
    assert (run.out / "figures/one.png").read_bytes() == (run.out / "figures/two.png").read_bytes()


def test_line_styles_change_with_the_colours() -> None:
    _, ax = present.figure()
    lines = [ax.plot([0, 1], [row, row])[0] for row in range(4)]
    for get in ("get_color", "get_linestyle", "get_marker"):
        assert len({str(getattr(line, get)()) for line in lines}) == 4


def test_means_start_at_zero_and_carry_their_numbers() -> None:
    _, ax = present.figure()
    present.means(ax, {"a": (0.25, 0.2, 0.3), "b": (0.125, None, None)})
    assert ax.get_xlim()[0] == 0
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in ax.texts] == ["0.250", "0.125"]


def test_tables_format_numbers_and_escape_text(shown: list) -> None:
    present.table(pd.DataFrame({"model": ["<b>"], "n": [12345], "ndcg": [0.12345], "none": [np.nan]}), "A caption")
    page = shown[0][0].data
    assert "&lt;b&gt;" in page and "12,345" in page and "0.123" in page and "nan" not in page
    assert "A caption" in page


def test_the_best_is_bold_and_only_the_best(shown: list) -> None:
    present.table(pd.DataFrame({"model": ["a", "b"], "ndcg": [0.1, 0.2]}), "A caption", best={"ndcg": "max"})
    page = shown[0][0].data
    assert page.count("font-weight: bold") == 1
    rule = page[: page.index("font-weight: bold")].rsplit("#", 1)[1]
    assert "row1_col1" in rule


def test_tables_refuse_what_does_not_fit() -> None:
    with pytest.raises(Problem, match="at most 15 rows; got 16"):
        present.table(pd.DataFrame({"a": range(16)}), "x")
    with pytest.raises(Problem, match=r"best names columns \['b'\]"):
        present.table(pd.DataFrame({"a": [1]}), "x", best={"b": "max"})
    with pytest.raises(Problem, match="'max' or 'min'"):
        present.table(pd.DataFrame({"a": [1]}), "x", best={"a": "most"})


def test_interval_says_when_nothing_is_known() -> None:
    assert present.interval(0.1234, 0.1, 0.2) == "0.123 [0.100, 0.200]"
    assert present.interval(0.1234, None, None) == "0.123"
    assert present.interval(float("nan"), None, None) == "n/a"


def test_a_p_is_never_zero() -> None:
    assert [present.p_value(p) for p in (0.0, 0.0004, 0.0123, 1.0, None, float("nan"))] == [
        "< .001",
        "< .001",
        "0.012",
        "1.000",
        "",
        "",
    ]


def test_columns_of_figures_stand_to_the_right_and_do_not_break(shown: list) -> None:
    frame = pd.DataFrame({"model": ["a"], "mean": ["0.1 [0.0, 0.2]"], "p (Holm)": [0.0001], "year": ["1999 film"]})
    present.table(frame, "A caption")
    page = shown[0][0].data
    rules = {n: page.split(f".col{n} {{")[1].split("}")[0] for n in range(4)}
    assert ["nowrap" in rules[n] for n in range(4)] == [False, True, True, False]
    assert "&lt; .001" in page


def test_differences_are_told_apart_without_colour() -> None:
    fig, ax = present.figure()
    cells = {("a", "m one"): (0.2, 0.1, 0.4), ("b", "m one"): (-0.2, -0.3, -0.1), ("a", "two"): (0.0, -0.1, 0.1)}
    scale = present.differences(ax, ["a", "b"], ["m one", "two"], cells)
    assert scale == 0.4 and [text.get_text() for text in ax.get_xticklabels()] == ["m\none", "two"]
    dots = {line.get_marker(): line for line in ax.lines if line.get_linestyle() == "None"}
    assert set(dots) == {"^", "v", "o"}
    assert dots["^"].get_xdata()[0] == pytest.approx(0.46 * 0.5) and dots["^"].get_ydata()[0] == 0
    assert dots["v"].get_xdata()[0] == pytest.approx(-0.46 * 0.5) and dots["o"].get_xdata()[0] == 1
    assert present.differences(ax, ["a"], ["two"], {}) == 1.0
