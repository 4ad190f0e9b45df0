"""What is read in source files by `make audit`: code that runs what it reads,
and secrets. No environment (audit.py)."""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

RUNS_DATA = {
    "pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle",
}  # fmt: skip
CALLS = {
    "eval": "runs text", "exec": "runs text", "__import__": "imports what a text names",
    "os.system": "starts a shell",
    "os.popen": "starts a shell", "subprocess.getoutput": "starts a shell", "yaml.load": "may build any object",
    "yaml.unsafe_load": "may build any object", "yaml.full_load": "may build any object",
    "pandas.read_pickle": "runs what the file says", "pd.read_pickle": "runs what the file says",
    "xml.etree.ElementTree.fromstring": "may expand entities without end",
}  # fmt: skip
FORBIDDEN = {
    "shell": "starts a shell",
    "allow_pickle": "runs what the file says",
    "trust_remote_code": "runs foreign code",
}
SUBPROCESS = (
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.check_output",
    "subprocess.check_call",
    "subprocess.call",
)
SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a key of a cloud": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b",
    "a token of a forge": r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{40,}|glpat-[\w-]{20})\b",
    "a token of a hub": r"\bhf_[0-9A-Za-z]{30,}\b",
    "a token of a service": r"\b(?:xox[abpr]-[\w-]{10,}|sk-[0-9A-Za-z_-]{32,}|npm_[0-9A-Za-z]{36})\b",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in an address": r"\b[a-z]+://[^\s/:@\"'<>{}]+:[^\s/:@\"'<>{}]{3,}@",
}  # fmt: skip
DENSE = re.compile(r"(?<![\w+/=-])[0-9A-Za-z+_=-]{32,128}(?![\w+/=-])")
BITS = 4.3  # bits a character; random base64 of 43 characters has about 5, words and names below 4
LARGEST = 5_000_000  # bytes of a file that is read


def cells(path: Path) -> Iterator[tuple[str, str]]:
    """Place and source of what is Python in a file: the file, or each code cell of a notebook without its magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        yield "", text
        return
    for number, cell in enumerate(json.loads(text)["cells"], start=1):
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).split("\n")
            yield f"cell {number}, ", "\n".join("" if line.lstrip()[:1] in ("%", "!", "?") else line for line in lines)


def unsafe(path: Path) -> Iterator[str]:
    """What in a Python file or notebook runs what it reads, each with its place."""
    for place, source in cells(path):
        try:
            tree = ast.parse(source)
        except SyntaxError as fault:
            yield f"{place}line {fault.lineno}: cannot be read as Python, so nobody knows what it runs"
            continue
        names = _imported(tree)
        for node in ast.walk(tree):
            for told in _of_import(node) if isinstance(node, ast.Import | ast.ImportFrom) else _of_call(node, names):
                yield f"{place}line {node.lineno}: {told}"


def _imported(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.asname: one.name for one in node.names if one.asname}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    modules = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    for name in modules:
        if name.split(".")[0] in RUNS_DATA:
            yield f"imports {name}, which runs what it loads"


def _of_call(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _name(node.func, names)
    if name in CALLS:
        yield f"{name} {CALLS[name]}"
    given = {one.arg: one.value for one in node.keywords}
    for word, why in FORBIDDEN.items():
        if word in given and not _is(given[word], False):
            yield f"{word} is not False: {why}"
    if name == "torch.load" and not _is(given.get("weights_only"), True):
        yield "torch.load without weights_only=True runs what the file says"
    if name in SUBPROCESS and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp):
        yield f"{name} takes a text; a list of arguments leaves nothing to a shell"


def _name(node: ast.AST, names: dict[str, str]) -> str:
    """The dotted name of what is called, by its import."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, names)}.{node.attr}"
    return "?"


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def secrets(path: Path) -> Iterator[str]:
    """What in a file looks like a secret, with its line; the secret itself is not told."""
    content = path.read_bytes()
    if len(content) > LARGEST or b"\x00" in content[:8192]:
        return
    text = content.decode("utf-8", "replace")
    for what, pattern in SECRETS.items():
        yield from (f"line {_line(text, found.start())}: {what}" for found in re.finditer(pattern, text))
    for found in DENSE.finditer(text):
        if _random(found.group()):
            yield f"line {_line(text, found.start())}: {len(found.group())} characters that look like a random key"


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _random(text: str) -> bool:
    """Whether a text is mixed as only random ones are; hexadecimal digits are hashes here, which are public."""
    kinds = [re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")]
    return all(kinds) and entropy(text) >= BITS


def entropy(text: str) -> float:
    """Bits a character (Shannon, 1948), by the frequencies within the text."""
    counts: Sequence[int] = list(Counter(text).values())
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
