"""Finds the notebooks and reads what they declare: title, card, needs and parameters. Nothing is executed here."""

import ast
import json
import re
import tokenize
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from recutils.report.project import Project, did_you_mean
from recutils.tables import Problem

NAME = re.compile(r"\d\d_[a-z0-9_]+")
CARD_ROW = re.compile(r"^\s*\|\s*[*_]*(?P<label>[A-Za-z][A-Za-z ]*?)[*_]*\s*\|(?P<text>.*?)\|\s*$", re.MULTILINE)
TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": (list, tuple),
    "dict": dict,
    "None": type(None),
}
METADATA: dict[str, tuple[type, ...]] = {
    "after": (list,),
    "data": (list,),
    "minutes": (int, float),
    "time_limit_minutes": (int, float),
    "memory_gb": (int, float),
    "threads": (int,),
    "alone": (bool,),
    "extra": (str, type(None)),
    "even_if_failed": (bool,),
    "publish": (list,),
}


@dataclass(frozen=True)
class Parameter:
    """One literal of the cell tagged `parameters`: name, default, the types it may have, trailing comment."""

    name: str
    default: Any
    types: tuple[str, ...]
    comment: str = ""

    def checked(self, value: Any, where: str) -> Any:
        """The value, an int made a float where a float is wanted. Raises Problem when the type is another one."""
        if not any(_is(value, kind) for kind in self.types):
            hint = f" ({self.comment})" if self.comment else ""
            raise Problem(
                f"{where}: {self.name} must be {' or '.join(self.types)}{hint}, like its default {self.default!r}; "
                f"got {value!r}, a {type(value).__name__}. Correct the value."
            )
        return float(value) if type(value) is int and "float" in self.types and "int" not in self.types else value


@dataclass(frozen=True)
class Notebook:
    """One notebook as its file declares it; `cells` are the raw cells of the JSON."""

    path: Path
    cells: tuple[dict[str, Any], ...]
    declared: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    @property
    def name(self) -> str:
        """File name without its ending, such as 31_model_svd."""
        return self.path.stem

    @property
    def after(self) -> tuple[str, ...]:
        """Notebooks that must have run before; "*" stands for all others."""
        return tuple(self.declared.get("after", ()))

    @property
    def needs_all(self) -> bool:
        """True when it reads what all the others made."""
        return "*" in self.after

    @property
    def data(self) -> tuple[str, ...]:
        """Catalogue entries that it reads whatever its parameters say."""
        return tuple(self.declared.get("data", ()))

    @property
    def minutes(self) -> float:
        """Expected minutes, before anything was measured."""
        return float(self.declared.get("minutes", 1))

    @property
    def memory_gb(self) -> float:
        """Memory that it may use, 10^9 bytes."""
        return float(self.declared.get("memory_gb", 2))

    @cached_property
    def title(self) -> str:
        """The question of its first heading."""
        for cell in self.cells:
            found = re.search(r"^#\s+(.+)$", source(cell), re.MULTILINE) if cell["cell_type"] == "markdown" else None
            if found:
                return found.group(1).strip()
        return self.name

    @cached_property
    def card(self) -> dict[str, str]:
        """The rows of the card below the title, such as Needs, Makes, Cost, Level."""
        first = next((source(cell) for cell in self.cells if cell["cell_type"] == "markdown"), "")
        return {row["label"].strip(): row["text"].strip() for row in CARD_ROW.finditer(first)}

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The literals of the cell tagged `parameters`, in order. Raises Problem when a value is computed."""
        found: dict[str, Parameter] = {}
        for cell in self.cells:
            if cell["cell_type"] == "code" and "parameters" in tags(cell):
                found |= read_parameters(source(cell), self.name)
        return found


def source(cell: dict[str, Any]) -> str:
    """Text of a cell; files hold it as one string or as lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def tags(cell: dict[str, Any]) -> list[str]:
    """Tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def _is(value: Any, kind: str) -> bool:
    """Is the value of the named type? A bool is no number; list[str] looks at the elements too."""
    outer, _, inner = kind.partition("[")
    if not isinstance(value, TYPES[outer]) or (isinstance(value, bool) and outer in ("int", "float")):
        return False
    inside = inner.rstrip("]").split(",")[0].strip()
    if outer in ("list", "tuple") and inside in TYPES:
        return all(_is(element, inside) for element in value)
    return True


def _types(annotation: ast.expr | None, default: Any) -> tuple[str, ...]:
    """Names of the allowed types: from the annotation where it can be read, else the default's own."""
    written = [part.strip() for part in ast.unparse(annotation).split("|")] if annotation else []
    if written and all(part.partition("[")[0] in TYPES for part in written):
        return tuple(written)
    return tuple(TYPES) if default is None else (type(default).__name__,)


def _comments(text: str) -> dict[int, str]:
    """Comment of each line, by line number."""
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    return {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}


def _target(node: ast.stmt) -> ast.expr | None:
    """What an assignment to one thing assigns to; None for anything else."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        return node.targets[0]
    return node.target if isinstance(node, ast.AnnAssign) else None


def read_parameters(text: str, where: str) -> dict[str, Parameter]:
    """Literal parameters of a cell. Raises Problem naming the line which computes a value or does something else."""
    try:
        statements, comments = ast.parse(text).body, _comments(text)
    except (SyntaxError, tokenize.TokenError) as fault:
        raise Problem(f"{where}: the parameters cell is not Python: {fault}. Correct it.") from fault
    found = {}
    for node in statements:
        target = _target(node)
        try:
            default = ast.literal_eval(node.value) if isinstance(target, ast.Name) and node.value else ...
        except ValueError:
            default = ...
        if default is ...:
            came = f"line {node.lineno} of the parameters cell, {ast.unparse(node)!r},"
            raise Problem(f"{where}: {came} is no NAME = literal. Move it to the next cell.")
        types = _types(getattr(node, "annotation", None), default)
        found[target.id] = Parameter(target.id, default, types, comments.get(node.end_lineno or node.lineno, ""))
    return found


def _check_metadata(declared: dict[str, Any], where: str) -> None:
    for key, value in declared.items():
        if key not in METADATA:
            raise Problem(
                f"{where}: unknown key {key!r} in the notebook's metadata 'recutils'. {did_you_mean(key, METADATA)}"
            )
        if not isinstance(value, METADATA[key]):
            wanted = " or ".join(kind.__name__ for kind in METADATA[key])
            raise Problem(
                f"{where}: metadata recutils.{key} must be {wanted}; got {value!r}. Correct the notebook's metadata."
            )


def read(path: Path) -> Notebook:
    """One notebook. Raises Problem when the file is no notebook or its metadata hold an unknown key."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        cells, declared = tuple(content["cells"]), content.get("metadata", {}).get("recutils", {})
    except (ValueError, KeyError, TypeError) as fault:
        raise Problem(
            f"{path} is no notebook: {fault!r}. Restore it (git checkout) or save it again in JupyterLab."
        ) from fault
    _check_metadata(declared, path.name)
    return Notebook(path, cells, declared, text)


def discover(project: Project) -> dict[str, Notebook]:
    """All notebooks NN_name.ipynb by name, in order. Raises Problem when there is none."""
    paths = [path for path in sorted(project.notebooks.glob("*.ipynb")) if NAME.fullmatch(path.stem)]
    if not paths:
        raise Problem(f"no notebook NN_name.ipynb in {project.notebooks}. Run the command in the project's folder.")
    return {path.stem: read(path) for path in paths}
