"""An executed notebook as one HTML file that needs no network: pictures inside, maths as MathML. It runs nothing.

Made here and not by nbconvert, whose pages load scripts (require.js, MathJax) from the network.
"""

import base64
import html
import json
import mimetypes
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from recutils.report.notebooks import source, tags
from recutils.report.project import digest, folder_hash
from recutils.runs import file_hash

TEMPLATES = Path(__file__).with_name("template")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SCRIPT = re.compile(
    r"<script\b.*?(</script\s*>|\Z)|<(link|base|iframe|object|embed|meta)\b[^>]*>|@import[^;]*;",
    re.IGNORECASE | re.DOTALL,
)
REMOTE = re.compile(
    r"\b(src|srcset|poster|data)\s*=\s*([\"']?)\s*(?:https?:)?//[^\"'>\s]*\2|url\(\s*[\"']?(?:https?:)?//[^)]*\)",
    re.IGNORECASE,
)
PICTURES = ("image/png", "image/jpeg", "image/gif")
FORMATS = (("CSV", "csv"), ("LaTeX", "tex"))
LABELS = {"parameters": "parameters", "injected-parameters": "parameters of this run", "solution": "solution"}


@cache
def version() -> str:
    """Hash of all that decides how a page looks; a stored page of another version is made again."""
    return digest([folder_hash(TEMPLATES), file_hash(Path(__file__))])[:16]


@cache
def templates() -> jinja2.Environment:
    """The templates; every value is escaped unless it says otherwise."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def code_style() -> str:
    """CSS of the highlighted code."""
    return HtmlFormatter(style="friendly").get_style_defs(".code")


def offline(text: str) -> str:
    """HTML without scripts and without anything that would be fetched; links to click on stay."""
    return REMOTE.sub("", SCRIPT.sub("", text))


def mathml(latex: str, block: bool) -> str:
    """LaTeX as MathML, which browsers show without help; its source where the converter does not know it."""
    from latex2mathml.converter import convert

    try:
        return convert(latex.strip(), display="block" if block else "inline")
    except Exception:  # noqa: BLE001 - the converter has a dozen classes without a common one; a page must not fail over a formula
        return f"<code>{html.escape(latex)}</code>"


class Writer(mistune.HTMLRenderer):
    """Markdown to HTML: headings get anchors and are collected, pictures go inside, maths becomes MathML."""

    def __init__(self, base: Path, again: str = "") -> None:
        """base: the folder that relative pictures start from; again: the command that makes the page's figures."""
        super().__init__(escape=False)
        self.base, self.again = base, again
        self.attachments: dict[str, Any] = {}
        self.headings: list[tuple[int, str, str]] = []

    def heading(self, text: str, level: int, **attributes: Any) -> str:
        """A heading with an anchor of its own."""
        plain = re.sub(r"<[^>]+>", "", text)
        stem = re.sub(r"[^a-z0-9]+", "-", html.unescape(plain).lower()).strip("-") or "section"
        used = {anchor for _, anchor, _ in self.headings}
        anchor = next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 10_000))) if name not in used)
        self.headings.append((level, anchor, html.unescape(plain)))
        link = f'<a class="anchor" href="#{anchor}" aria-label="link to this section">#</a>'
        return f'<h{level} id="{anchor}">{text} {link}</h{level}>\n'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A picture from a file or an attachment, inside the page; one from the network becomes a link."""
        data = self._data(url)
        alt = html.escape(re.sub(r"<[^>]+>", "", text), quote=True)
        return (
            f'<img src="{data}" alt="{alt}">'
            if data
            else f'<a href="{html.escape(url, quote=True)}">{alt or "picture"}</a>'
        )

    def _data(self, url: str) -> str:
        if url.startswith("attachment:"):
            kinds = self.attachments.get(url.removeprefix("attachment:"), {})
            return next(
                (f"data:{kind};base64,{_joined(kinds[kind]).strip()}" for kind in kinds if kind in PICTURES), ""
            )
        if re.match(r"data:image/(png|jpeg|gif|svg)", url):
            return url
        path = self.base / url
        kind = mimetypes.guess_type(url)[0] or ""
        if "://" in url or not kind.startswith("image/") or not path.is_file():
            return ""
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    def inline_math(self, text: str) -> str:
        """$...$"""
        return mathml(text, block=False)

    def block_math(self, text: str) -> str:
        """$$...$$"""
        return f'<div class="math">{mathml(text, block=True)}</div>\n'


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)


def _picture(kind: str, data: Any, metadata: dict[str, Any], again: str) -> str:
    """A figure: the picture, and below it its file and the command that makes it again, where they are known."""
    told = metadata.get(kind) or {}
    alt = html.escape(str(metadata.get("alt") or told.get("alt") or "figure"), quote=True)
    file = html.escape(str(told.get("file", "")), quote=True)
    parts = [f'<a href="{file}">{file}</a>'] if file else []
    parts += [f"make again: <code>{html.escape(again)}</code>"] if again else []
    caption = f"<figcaption>{' · '.join(parts)}</figcaption>" if parts else ""
    width = f' width="{int(told["width"])}"' if told.get("width") else ""
    picture = f'<img src="data:{kind};base64,{_joined(data).replace(chr(10), "")}" alt="{alt}"{width}>'
    return f"<figure>{picture}{caption}</figure>"


def _shown(output: dict[str, Any], markdown: mistune.Markdown) -> str:
    """One displayed value in the best form it has: picture, HTML, Markdown, maths, text."""
    data, metadata = output.get("data", {}), output.get("metadata", {})
    for kind in PICTURES:
        if kind in data:
            return _picture(kind, data[kind], metadata, getattr(markdown.renderer, "again", ""))
    if "text/html" in data:
        return f'<div class="shown">{offline(_joined(data["text/html"]))}</div>'
    if "image/svg+xml" in data:
        return f'<div class="shown">{offline(_joined(data["image/svg+xml"]))}</div>'
    if "text/markdown" in data:
        return offline(str(markdown(_joined(data["text/markdown"]))))
    if "text/latex" in data:
        return f'<div class="math">{mathml(_joined(data["text/latex"]).strip().strip("$"), block=True)}</div>'
    return _text(_joined(data.get("text/plain", "")), "")


def _text(text: str, kind: str) -> str:
    """Plain output; where a line was overwritten (progress bars), its last state."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in ANSI.sub("", text).rstrip("\n").split("\n")]
    return f'<pre class="{kind}">{html.escape(chr(10).join(lines), quote=False)}</pre>' if any(lines) else ""


def output_html(output: dict[str, Any], markdown: mistune.Markdown) -> str:
    """One output of a code cell."""
    kind = output.get("output_type")
    if kind == "stream":
        return _text(_joined(output.get("text", "")), "stderr" if output.get("name") == "stderr" else "")
    if kind == "error":
        trace = "\n".join(output.get("traceback", [])) or f"{output.get('ename')}: {output.get('evalue')}"
        return _text(trace, "error")
    return _shown(output, markdown)


def _code_cell(cell: dict[str, Any], markdown: mistune.Markdown) -> dict[str, Any]:
    label = next((LABELS[tag] for tag in tags(cell) if tag in LABELS), "")
    failed = any(output.get("output_type") == "error" for output in cell.get("outputs", []))
    return {
        "kind": "code",
        "number": cell.get("execution_count") or " ",
        "label": label,
        "open": label != "solution" and "hide-input" not in tags(cell),
        "failed": failed and bool(cell.get("metadata", {}).get("papermill", {}).get("exception")),
        "source": highlight(source(cell), PythonLexer(), HtmlFormatter(cssclass="code", wrapcode=True)),
        "outputs": [shown for output in cell.get("outputs", []) if (shown := output_html(output, markdown))],
    }


def read(path: Path) -> dict[str, Any] | None:
    """An executed notebook, or None when the file is absent or was cut off."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return notebook if isinstance(notebook, dict) and "cells" in notebook else None


def _cells(notebook: dict[str, Any], writer: Writer) -> list[dict[str, Any]]:
    markdown = mistune.create_markdown(
        renderer=writer, plugins=["table", "strikethrough", "footnotes", "task_lists", "url", "math"]
    )
    found = []
    for cell in notebook["cells"]:
        if "papermill-error-cell-tag" in tags(cell):  # the banner says it better
            continue
        writer.attachments = cell.get("attachments", {})
        if cell["cell_type"] == "markdown":
            found.append({"kind": "text", "html": offline(str(markdown(source(cell))))})
        elif cell["cell_type"] == "code" and (source(cell).strip() or cell.get("outputs")):
            found.append(_code_cell(cell, markdown))
    return found


def files(folder: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """What can be taken out of a report, by name: links as (label, relative address). Tables, then per-user values."""
    tables = sorted(path.stem for path in folder.glob("tables/*.csv"))
    found = [
        (
            name,
            [(label, f"tables/{name}.{end}") for label, end in FORMATS if (folder / f"tables/{name}.{end}").is_file()],
        )
        for name in tables
    ]
    values = sorted(path.name for path in folder.glob("per_user/*.parquet"))
    return found + [(f"{Path(name).stem}, per user", [("parquet", f"per_user/{name}")]) for name in values]


def render(path: Path, base: Path, status: str = "ok", message: str = "", cure: str = "", *, again: str = "") -> str:
    """The page of an executed notebook; its tables and pictures stand in the folder beside it.

    base: folder that relative pictures in the text start from.
    status, message, cure: shown on top unless the status is ok. again: the command that makes this page again.
    """
    writer = Writer(base, again)
    cells = _cells(read(path) or {"cells": []}, writer)
    title = next((text for level, _, text in writer.headings if level == 1), path.stem)
    return (
        templates()
        .get_template("page.html")
        .render(
            name=path.stem,
            title=title,
            cells=cells,
            contents=[heading for heading in writer.headings if heading[0] in (2, 3)],
            files=files(path.parent),
            again=again,
            status=status,
            message=message,
            cure=cure,
            code_style=code_style(),
        )
    )
