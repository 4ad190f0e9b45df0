"""`make audit`: is what protects this project in place? Offline, one line a check: ok, FAULT with its cure,
or not checked.

    python tools/audit.py [--keys FILE ...] [--feedback DIR ...]

Ends with 1 on a fault. It reads and changes nothing. What it cannot know it says; docs/security.md tells what no audit
of this kind sees. The rules for source files are in audit_code.py.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.audit_code import secrets, unsafe

ROOT = Path(__file__).resolve().parents[1]
OK, FAULT, UNKNOWN = "ok", "FAULT", "not checked"
READ = ("recutils", "tools", "benchmarks", "notebooks")  # where code lies that users run
# Findings of ruff's S rules (flake8-bandit) that were looked at, each with the reason why it stays.
RULES = {
    "S603": "every call to subprocess: check `code` refuses a shell and a command that is one text",
    "S607": "git, java and the like are found on the user's PATH, as any tool is",
    "S311": "random numbers for experiments come from numpy with a seed; no secret is drawn from them",
}
PLACES = {
    ("recutils/case/news.py", "S106"): "token_pattern is a regular expression, no password",
    ("recutils/data/sources.py", "S310"): "addresses come from the catalogue, which takes https:// only",
    ("recutils/deploy/running.py", "S310"): "the address is the service's own, http on this machine",
    ("tools/audit.py", "S104"): "the address is asked for in order to see it refused",
}
RUNS_TEXT = {("notebooks/02_start_articles.ipynb", "exec"): "it runs faulty lines of its own cells"}


@dataclass(frozen=True)
class Line:
    """The result of one check."""

    check: str
    state: str
    told: str
    cure: str = ""

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.state:<12}{self.check:<16}{self.told}{f'  cure: {self.cure}' if self.cure else ''}"


def judged(check: str, faults: Iterable[str], fine: str, cure: str) -> list[Line]:
    """A line for each fault, or one that says all is well."""
    found = list(dict.fromkeys(faults))
    return [Line(check, FAULT, one, cure) for one in found] or [Line(check, OK, fine)]


def pins(lock: Path) -> dict[str, str]:
    """Package -> version of a lock. A line of another form is a package without a version."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return {name.strip(): version.strip() for name, _, version in (line.partition("==") for line in lines if line)}


def packages(root: Path) -> list[Line]:
    """Are the installed packages those of the lock?"""
    faults, pinned = [], pins(root / "requirements.txt")
    for name, version in pinned.items():
        try:
            found = importlib.metadata.version(name).split("+")[0]  # +cpu tells the build, not the version
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if not version or found != version:
            faults.append(f"{name}: the lock says {version or 'no version'}, installed is {found}")
    return judged("packages", faults, f"{len(pinned)} packages are those of the lock", "make setup")


def vulnerabilities(root: Path) -> list[Line]:
    """What a database of known vulnerabilities says of the lock, where one is within reach."""
    check, cure = "vulnerabilities", "where there is a network: pipx run pip-audit --no-deps -r requirements.txt"
    if importlib.util.find_spec("pip_audit") is None:
        return [Line(check, UNKNOWN, "no vulnerability database within reach (pip-audit is not installed).", cure)]
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json", "-r", "requirements.txt"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
        known = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return [Line(check, UNKNOWN, "pip-audit reached no vulnerability database.", cure)]
    faults = [f"{one['name']} {one['version']}: {bad['id']}" for one in known for bad in one.get("vulns", ())]
    return judged(check, faults, f"none known of {len(known)} packages", "a newer version in the lock")


def rules(root: Path, places: Sequence[str] = ("recutils", "tools")) -> list[Line]:
    """What ruff's security rules find, apart from what was looked at; comments that silence them are not heard."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "S",
        "--ignore",
        ",".join(("S101", *RULES)),
    ]
    command += ["--ignore-noqa", "--no-cache", "--output-format", "json", *places]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1):
        return [Line("rules", UNKNOWN, "ruff does not run here.", "make setup")]
    faults, used = [], set()
    for one in json.loads(done.stdout):
        place = Path(one["filename"]).resolve().relative_to(root.resolve()).as_posix(), one["code"]
        used.add(place)
        if place not in PLACES:
            faults.append(f"{place[0]}:{one['location']['row']}: {place[1]} {one['message'].split('.')[0]}")
    if root == ROOT:  # an exception for what is no longer there would let the next one pass unseen
        faults += [f"{name}: the exception for {code} is no longer needed" for name, code in set(PLACES) - used]
    fine = f"nothing beyond {len(RULES)} rules and {len(PLACES)} places that were looked at"
    return judged("rules", faults, fine, "mend it, or give the reason in tools/audit.py")


def code(root: Path) -> list[Line]:
    """Does any file or notebook run what it reads?"""
    paths = [path for place in READ for kind in ("*.py", "*.ipynb") for path in sorted((root / place).rglob(kind))]
    kept = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    told = [(path.relative_to(root).as_posix(), one) for path in kept for one in unsafe(path)]
    faults = [f"{name}, {one}" for name, one in told if (name, one.split(": ")[1].split()[0]) not in RUNS_TEXT]
    return judged(
        "code",
        faults,
        f"{len(kept)} files run nothing that they read, {len(RUNS_TEXT)} looked at",
        "keep data as parquet or JSON",
    )


def committed(root: Path) -> list[Path]:
    """Files that git knows, or all where there is no git."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, timeout=60)
        found = [root / name for name in done.stdout.decode().split("\0") if name]
    except (OSError, subprocess.SubprocessError):
        found = list(root.rglob("*"))
    return [path for path in found if path.is_file() and not path.is_symlink()]


def held_secrets(root: Path) -> list[Line]:
    """Does a committed file hold a secret, or a service's keys?"""
    paths = committed(root)
    faults = [f"{path.relative_to(root)}, {told}" for path in paths for told in secrets(path)]
    faults += [f"{path.relative_to(root)} is a file of keys" for path in paths if is_key_file(path)]
    cure = "take it out, make it invalid where it is used, and rewrite the history"
    return judged("secrets", faults, f"none in {len(paths)} committed files", cure)


def is_key_file(path: Path) -> bool:
    """Whether a file is what `python -m recutils key` writes."""
    if path.suffix != ".json" or path.stat().st_size > 1_000_000:
        return False
    return re.match(rb'\s*\{\s*"keys"\s*:\s*\[\s*\{[^}]*"digest"', path.read_bytes()[:4096]) is not None


def modes(root: Path, keys: Sequence[Path] = (), feedback: Sequence[Path] = ()) -> list[Line]:
    """May others read or change keys and feedback? Those that were named, and those found in the project's own folder
    and beside its data: files there, and folders one level below."""
    around = [root, root / "data" / "interim"]
    files = [*keys, *(path for place in around for path in place.glob("*.json") if is_key_file(path))]
    folders = [*feedback, *(path.parent for place in around for path in place.glob("*/events-*.jsonl"))]
    return [*_modes("files of keys", files, "--keys FILE"), *_modes("folders of feedback", folders, "--feedback DIR")]


def _modes(what: str, paths: Iterable[Path], option: str) -> list[Line]:
    """A path that is named twice, or in two ways, counts once."""
    found = sorted({path.resolve() for path in paths})
    if not found:
        return [Line("permissions", UNKNOWN, f"{what}: none found.", f"name those elsewhere: ARGS='{option}'")]
    faults = [f"{path} is not there" for path in found if not path.exists()]
    faults += [f"{path} has mode {_mode(path):03o}" for path in found if path.exists() and _mode(path) & 0o077]
    fine = f"{what}: {len(found)}, their owner's alone"
    return judged("permissions", faults, fine, "chmod 600 a file, chmod 700 a folder")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def catalogue(root: Path) -> list[Line]:
    """Is every file that may be downloaded pinned by its sha256?"""
    entries = tomllib.loads((root / "data" / "catalogue.toml").read_text(encoding="utf-8"))
    faults = [f"{name}: {what}" for name, entry in entries.items() for what in _unpinned(entry)]
    return judged(
        "catalogue", faults, f"{len(entries)} entries are pinned by sha256", "add the size and sha256 of the file"
    )


def _unpinned(entry: dict) -> Iterator[str]:
    if not entry.get("members") and not entry.get("blocked"):  # what is blocked is never downloaded
        yield "names no members"
    for kind in ("packages", "members"):
        for one in entry.get(kind, ()):
            if not re.fullmatch("[0-9a-f]{64}", str(one.get("sha256"))):
                yield f"{one.get('path', one.get('name'))} has no sha256"


def shelf(root: Path) -> list[Line]:
    """Is every bundle on the shelf what was published?"""
    from recutils.deploy.bundle import checked
    from recutils.tables import Problem

    place = root / "data" / "interim" / "shelf" / "versions"
    folders = [path for path in sorted(place.glob("*")) if not path.name.startswith(".")]
    if not folders:
        return [Line("bundles", UNKNOWN, "no bundle was published here.", "make bundle")]
    faults = []
    for folder in folders:
        try:
            if checked(folder)["version"] != folder.name:
                faults.append(f"{folder.name} holds another version")
        except Problem as fault:
            faults.append(str(fault))
    return judged("bundles", faults, f"{len(folders)} bundles are what was published", "publish again: make bundle")


def reach() -> list[Line]:
    """Does the service stay on this machine by default, and ask for keys beyond it?"""
    from recutils.deploy.cli_serve import LOOPBACK, add_parsers
    from recutils.tables import Problem

    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers())
    default, faults = parser.parse_args(["serve"]).host, []
    if default not in LOOPBACK or not set(LOOPBACK) <= {"127.0.0.1", "localhost", "::1"}:
        faults.append(f"the service listens on {default} by default")
    with tempfile.TemporaryDirectory() as empty:  # nothing is published there, so nothing can start
        asked = parser.parse_args(["serve", "--host", "0.0.0.0", "--shelf", empty])
        try:
            asked.handler(asked)
        except Problem as fault:
            told = str(fault)
        else:
            told = ""
    if "--keys" not in told:
        faults.append("a service without keys may be reached by others")
    return judged("reach", faults, "this machine only, unless there are keys", "mend recutils/deploy/cli_serve.py")


def audit(root: Path, keys: Sequence[Path] = (), feedback: Sequence[Path] = ()) -> list[Line]:
    """All checks, in the order in which they are printed."""
    return [
        *packages(root), *vulnerabilities(root), *rules(root), *code(root), *held_secrets(root),
        *modes(root, keys, feedback), *catalogue(root), *shelf(root), *reach(),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the lines; 1 where one is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", type=Path, nargs="*", default=[], help="files of keys that lie elsewhere")
    parser.add_argument("--feedback", type=Path, nargs="*", default=[], help="folders of feedback that lie elsewhere")
    told = parser.parse_args(arguments)
    lines = audit(ROOT, told.keys, told.feedback)
    print("\n".join(str(line) for line in lines))
    return int(any(line.state == FAULT for line in lines))


if __name__ == "__main__":
    sys.exit(main())
