"""Student copies: notebooks without the code of their solutions, self-checks kept. It executes no notebook."""

import ast
import json
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from recutils import present
from recutils.report.notebooks import Notebook, discover, source, tags
from recutils.report.project import Project, digest, read_json
from recutils.runs import write_text
from recutils.tables import Problem

CHECK_LINE = re.compile(r"^# check\b.*$", re.MULTILINE)
CHECK_IMPORT = "from recutils.report.student import check"
NO_CHECK = "# Your answer here. There is no self-check: compare with a neighbour."


@dataclass(frozen=True)
class Exercise:
    """A solution taken apart. imports: its import lines; makes: names the student must give; reads: names checked."""

    imports: tuple[str, ...]
    makes: tuple[str, ...]
    reads: tuple[str, ...]
    check: str


class Check:
    """The frame around a self-check: it turns what happens inside into a sentence instead of an error."""

    def __init__(self, names: tuple[str, ...], scope: dict[str, Any]) -> None:
        """names: what the student must have given; scope: where they are looked up."""
        self.names, self.scope = names, scope

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Say how it stands. Faults of the answer end here; stopping the kernel does not."""
        missing = [name for name in self.names if self.scope.get(name, ...) is ...]
        present.say(_verdict(missing, fault))
        return isinstance(fault, Exception)


def check(*names: str) -> Check:
    """Use as `with check("answer"):` around asserts: says "not answered yet" while a name is missing or still `...`."""
    return Check(names, sys._getframe(1).f_globals)


def _verdict(missing: list[str], fault: BaseException | None) -> str:
    """One sentence for the student."""
    if missing:
        return f"**Not answered yet.** Give {_listed(missing)} a value in the cell above, then run this cell again."
    if fault is None:
        return "**Passed.**"
    if isinstance(fault, AssertionError):
        return f"**Not yet:** {fault or 'the check does not hold.'}"
    return f"**Not yet:** the check stopped with {type(fault).__name__}: {fault}. Is your answer of the right kind?"


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _names(nodes: list[ast.stmt], context: type[ast.expr_context]) -> list[str]:
    """Names that are read (ast.Load) or given a value (ast.Store), in order, once each."""
    found = [part for node in nodes for part in ast.walk(node)]
    names = [part for part in found if isinstance(part, ast.Name) and isinstance(part.ctx, context)]
    ordered = sorted(names, key=lambda name: (name.lineno, name.col_offset))
    functions = [part.name for part in found if isinstance(part, ast.FunctionDef)] if context is ast.Store else []
    return list(dict.fromkeys([name.id for name in ordered] + functions))


def _asserts(node: ast.stmt) -> ast.stmt | None:
    """A statement with nothing but the asserts in it; None when it has none. Functions are not looked into."""
    if isinstance(node, ast.Assert):
        return node
    if not isinstance(node, (ast.If, ast.For, ast.With)):
        return None
    body, other = ([kept for one in part if (kept := _asserts(one))] for part in (node.body, _otherwise(node)))
    if not body and not other:
        return None
    fields = {name: value for name, value in ast.iter_fields(node)} | {"body": body or [ast.Pass()]}
    return type(node)(**(fields | ({"orelse": other} if "orelse" in fields else {})))


def _otherwise(node: ast.stmt) -> list[ast.stmt]:
    return getattr(node, "orelse", [])


def _self_check(code: str, nodes: list[ast.stmt]) -> tuple[list[ast.stmt], str]:
    """The statements of the answer, and the text of the check: what follows a line `# check`, else the asserts."""
    mark = CHECK_LINE.search(code)
    if mark:
        line = code.count("\n", 0, mark.start()) + 1
        return [node for node in nodes if node.lineno < line], code[mark.end() :].strip("\n")
    kept = [(node, _asserts(node)) for node in nodes]
    texts = [
        ast.get_source_segment(code, node) if found is node else ast.unparse(ast.fix_missing_locations(found))
        for node, found in kept
        if found
    ]
    return [node for node, found in kept if found is not node], "\n".join(text or "" for text in texts)


def take_apart(code: str, where: str, earlier: tuple[str, ...] = ()) -> Exercise:
    """What of a solution's code stays. earlier: names asked for by the exercises before.

    Raises Problem when the code is not plain Python, or its check reads nothing that the solution makes: such a check
    would hold before anything is answered.
    """
    try:
        nodes = ast.parse(code).body
        work, text = _self_check(code, nodes)
        kept = ast.parse(text).body
    except SyntaxError as fault:
        raise Problem(
            f"{where}: a solution must be plain Python, without % and !; {fault}. Correct the cell."
        ) from fault
    imports = tuple(ast.unparse(node) for node in work if isinstance(node, (ast.Import, ast.ImportFrom)))
    read = [name for name in _names(kept, ast.Load) if name not in _names(kept, ast.Store)]
    made = _names(work, ast.Store)
    makes = tuple(name for name in read if name in made)
    if text and not makes:
        raise Problem(
            f"{where}: the self-check reads {read}, the solution makes {made}; one name must be in both. "
            "Give the answer a name and check that."
        )
    return Exercise(imports, makes, tuple(name for name in read if name in made or name in earlier), text)


def _cell(cell: dict[str, Any], code: list[str], tag: str, suffix: str = "") -> dict[str, Any]:
    """A code cell without outputs in the place of a solution."""
    kept = {name: value for name, value in cell.get("metadata", {}).items() if name != "tags"}
    made = {"cell_type": "code", "execution_count": None, "metadata": kept | {"tags": [tag]}, "outputs": []}
    made["source"] = "\n".join(code).splitlines(keepends=True)
    return made | ({"id": cell["id"] + suffix} if "id" in cell else {})


def _stub(cell: dict[str, Any], exercise: Exercise) -> list[dict[str, Any]]:
    """The cells that stand for a solution: one to answer in, and one with the check if there is one."""
    if not exercise.check:
        return [_cell(cell, [NO_CHECK, *exercise.imports], "exercise")]
    asked = ["# Your answer here", *exercise.imports, *(f"{name} = ..." for name in exercise.makes)]
    names = ", ".join(f'"{name}"' for name in exercise.reads)
    checked = [CHECK_IMPORT, f"with check({names}):", textwrap.indent(exercise.check, "    ")]
    return [_cell(cell, asked, "exercise"), _cell(cell, checked, "self-check", "-check")]


def _sources(content: dict[str, Any]) -> str:
    """Hash of the text of all cells: it tells whether a student has written into a copy."""
    return digest([source(cell) for cell in content["cells"]])


def copy(notebook: Notebook) -> dict[str, Any]:
    """The content of a notebook's student copy; the notebook itself is not changed."""
    content = json.loads(notebook.text)
    cells: list[dict[str, Any]] = []
    asked: tuple[str, ...] = ()
    for cell in content["cells"]:
        if cell["cell_type"] == "code" and "solution" in tags(cell):
            exercise = take_apart(source(cell), notebook.name, asked)
            cells += _stub(cell, exercise)
            asked += exercise.makes
        else:
            cells.append(cell)
    content["cells"] = cells
    content["metadata"] = content.get("metadata", {}) | {"student_copy": {"sources": _sources(content)}}
    return content


def edited(path: Path) -> bool:
    """Has somebody changed a cell of this copy? A file that is no copy of ours counts as changed."""
    content = read_json(path)
    try:
        return content["metadata"]["student_copy"]["sources"] != _sources(content)
    except (KeyError, TypeError):
        return True


def write(project: Project, folder: Path) -> dict[str, bool]:
    """Write the student copies of all notebooks; returns name -> written. A copy with somebody's answers stays.

    Raises Problem when the folder is that of the notebooks themselves.
    """
    if folder.resolve() == project.notebooks.resolve():
        raise Problem(f"{folder} holds the notebooks themselves; their copies need another folder. Give another --out.")
    contents = {name: copy(notebook) for name, notebook in discover(project).items()}
    written = {}
    for name, content in contents.items():
        path = folder / f"{name}.ipynb"
        written[name] = not path.exists() or not edited(path)
        if written[name]:
            write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return written
