"""Pages and the index: readable, escaped, and without a call to the network."""

import base64
import json
import re

import pytest

from recutils.report import index, page
from recutils.report.project import Project
from recutils.report.results import circumstances

REMOTE = re.compile(
    r"<link\b|@import|<script[^>]+src|<iframe|"
    r"(?:src|srcset|data|poster)\s*=\s*[\"']?\s*(?:https?:)?//|url\(\s*[\"']?(?:https?:)?//",
    re.I,
)
PNG = base64.b64encode(b"\x89PNG not really").decode()


def code(*outputs, text="x = 1", tags=(), **metadata):
    return {
        "cell_type": "code",
        "source": text,
        "metadata": {"tags": list(tags), **metadata},
        "outputs": list(outputs),
        "execution_count": 3,
    }


def shown(**data):
    return {
        "output_type": "display_data",
        "data": {name.replace("_", "/"): value for name, value in data.items()},
        "metadata": {},
    }


def text(source, **more):
    return {"cell_type": "markdown", "source": source, "metadata": {}, **more}


@pytest.fixture
def render(tmp_path):
    def make(*cells, **options):
        path = tmp_path / "10_toy" / "10_toy.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return page.render(path, tmp_path, **options)

    return make


def test_headings_have_anchors_and_a_table_of_contents(render):
    html = render(text("# What now?"), text("## 1 First & more"), text("## 1 First & more"), text("### Below"))
    assert "<title>What now?</title>" in html
    for anchor in ("1-first-more", "1-first-more-2", "below"):
        assert f'href="#{anchor}"' in html and f'id="{anchor}"' in html


def test_formulas_are_mathml(render):
    html = render(text("Inline $a_i^2$ and\n\n$$\n\\frac{1}{n}\\sum_i x_i\n$$\n\nbut `$HOME` and 3 $ stay."))
    assert html.count("<math ") == 2 and "<mfrac>" in html and "<msubsup>" in html
    assert "<code>$HOME</code>" in html and "3 $ stay" in html


def test_a_formula_that_cannot_be_converted_stays_readable(render):
    html = render(text(r"$\left( a$ and text"))
    assert "and text" in html and (r"\left( a" in html or "<math" in html)


def test_outputs_of_every_kind(render):
    html = render(
        text("# T"),
        code({"output_type": "stream", "name": "stdout", "text": ["a < b\n", "10 %\r20 %\r30 %\n"]}),
        code({"output_type": "stream", "name": "stderr", "text": "careful"}),
        code(shown(text_html="<table><tr><td>7</td></tr></table>", text_plain="plain twin")),
        code(shown(image_png=PNG, text_plain="<Figure>", text_html="<b>twin</b>")),
        code(shown(text_markdown="**bold** $x$", text_plain="twin")),
        code(shown(text_latex="$$x^2$$")),
        code({"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mTrace <here>\x1b[0m"]}),
    )
    assert "a &lt; b" in html and "30 %" in html and "20 %" not in html
    assert '<pre class="stderr">careful' in html and "<td>7</td>" in html
    assert html.count(PNG) == 1 and "twin" not in html and "&lt;Figure" not in html
    assert "<strong>bold</strong> <math" in html and "<msup>" in html
    assert "Trace &lt;here&gt;" in html and "\x1b" not in html


def test_parameters_and_injected_ones_are_shown_and_solutions_closed(render):
    cells = [code(text="TOP_K: int = 10", tags=["parameters"]), code(text="TOP_K = 5", tags=["injected-parameters"])]
    html = render(*cells, code(text="answer", tags=["solution"]), code(text="1", tags=["papermill-error-cell-tag"]))
    assert "parameters of this run" in html and html.count("<summary>") == 3
    assert re.search(r'<details class="source">\n<summary>code \[3\] · solution', html)
    assert html.count(" open>") == 2 and "hide code" in html


def test_nothing_is_fetched_from_anywhere(render, tmp_path):
    (tmp_path / "here.png").write_bytes(b"here")
    hostile = (
        '<script src="https://cdn.example/x.js"></script><script>fetch("https://e.example")</script>'
        '<link rel="stylesheet" href="//e.example/a.css"><iframe src="https://e.example"></iframe>'
        "<style>@import url(https://e.example/b.css); div {background: url('http://e.example/c.png')}</style>"
        '<img src="https://e.example/d.png"><a href="https://kept.example">kept</a>'
    )
    html = render(
        text("![alt](https://e.example/e.png) ![own](here.png) ![none](gone.png)\n\n" + hostile),
        text("![att](attachment:a.png)", attachments={"a.png": {"image/png": PNG}}),
        code(shown(text_html=hostile), shown(image_svg__xml="x")),
        code({"output_type": "display_data", "data": {"application/javascript": "alert(1)", "text/plain": "js"}}),
    )
    assert not REMOTE.search(html), REMOTE.search(html)
    assert html.count("<script") == 1 and "e.example/x" not in html
    assert 'href="https://kept.example"' in html and '<a href="https://e.example/e.png">alt</a>' in html
    assert f'src="data:image/png;base64,{PNG}" alt="att"' in html
    assert f'src="data:image/png;base64,{base64.b64encode(b"here").decode()}" alt="own"' in html


def test_a_failed_page_says_why_and_what_to_do(render):
    html = render(code(), status="failed", message="it <broke>", cure="mend it")
    assert "<strong>Failed.</strong> it &lt;broke&gt;" in html and "mend it" in html
    assert "Failed" not in render(code())


def test_tables_are_linked(render, tmp_path):
    (tmp_path / "10_toy" / "tables").mkdir(parents=True)
    (tmp_path / "10_toy" / "per_user").mkdir()
    for name in ("tables/main.csv", "tables/main.tex", "tables/bare.csv", "per_user/main.parquet"):
        (tmp_path / "10_toy" / name).write_text("a\n1\n")
    html = render(code(), again="make report ONLY=10_toy")
    assert '<li>main: <a href="tables/main.csv">CSV</a>, <a href="tables/main.tex">LaTeX</a></li>' in html
    assert '<li>bare: <a href="tables/bare.csv">CSV</a></li>' in html
    assert '<li>main, per user: <a href="per_user/main.parquet">parquet</a></li>' in html
    assert 'href="#files"' in html and 'href="10_toy.ipynb"' in html and "<code>make report ONLY=10_toy</code>" in html


def test_a_report_without_tables_has_no_section_of_files(render):
    assert "#files" not in render(code(), again="make report ONLY=10_toy")


def test_a_figure_says_which_file_it_is_and_what_makes_it_again(render):
    output = shown(image_png=PNG)
    output["metadata"] = {"image/png": {"alt": "a line", "file": "figures/line.png"}}
    html = render(code(output), again="make report ONLY='10*'")
    assert '<figcaption><a href="figures/line.png">figures/line.png</a> · make again: <code>make report' in html
    assert 'alt="a line"' in html
    assert "<figcaption>" not in render(code(shown(image_png=PNG)))


def test_a_cut_off_notebook_gives_an_empty_page(tmp_path):
    path = tmp_path / "10_toy.ipynb"
    path.write_text('{"cells": [')
    assert "<main>" in page.render(path, tmp_path)


def entry(name, status="ok", **more):
    return {
        "name": name,
        "title": f"What is {name}?",
        "status": status,
        "message": "",
        "cure": "",
        "cached": False,
        "seconds": 3.0,
        "peak_mb": 123,
        "fails": False,
    } | more


@pytest.fixture
def run(tmp_path):
    entries = [
        entry("10_a"),
        entry("11_<b>", "failed", message="E: <x>", cure="mend"),
        entry("12_c", "running", seconds=None, peak_mb=None),
    ]
    numbers = {"seconds": 75.0, "peak_mb": 1234, "started": "now", "changed": {}, "only": ""}
    return (
        circumstances(Project(tmp_path))
        | numbers
        | {"id": "toy-1", "profile": "standard", "for": "a & b", "status": "running", "notebooks": entries}
    )


SUBJECT = {"notebook": "10_a", "dataset": "d<", "split": "valid", "model": "svd"}
COMPARED = {
    "against": "popularity",
    "delta": 0.004,
    "delta_low": 0.001,
    "delta_high": 0.0071,
    "p": 1e-5,
    "p_holm": 2e-4,
}
RECORDS = [
    SUBJECT | COMPARED | {"metric": "ndcg", "k": 10, "value": 0.12345, "low": 0.1, "high": 0.2, "n": 1234},
    SUBJECT | {"metric": "rmse", "k": None, "value": 0.9425, "group": "women"},
]


def test_the_index_shows_notebooks_results_and_faults(run):
    html = index.render(run, RECORDS, {"10_a"})
    assert '<meta http-equiv="refresh"' in html and not REMOTE.search(html)
    assert '<a href="10_a/10_a.html">10_a</a>' in html and "11_&lt;b&gt;/" not in html
    assert "E: &lt;x&gt;" in html and "Cure: mend" in html and "d&lt;" in html and "<b>" not in html
    assert (
        "0.123 [0.100, 0.200]" in html and "1,234" in html and "0.004 [0.001, 0.0071]" in html and "&lt; 0.001" in html
    )
    assert "ndcg@10" in html and "rmse (women)" in html and "1 min 15 s" in html and "1 of 3 notebooks ok" in html


def test_a_finished_index_does_not_reload_and_works_without_records(run):
    html = index.render(run | {"status": "ok"}, [], set())
    assert "http-equiv" not in html and "No records yet" in html


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (12345, "12,345"),
        (0.5, "0.500"),
        (0.00123, "0.0012"),
        (0.0, "0.000"),
        (1234.5, "1,234.500"),
        (-0.25, "-0.250"),
    ],
)
def test_numbers_are_shown_with_three_decimals(value, shown):
    assert index.number(value) == shown
