"""Which optional sets of packages are installed. It looks; installing is the Makefile's work."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

from recutils.report.project import Project, did_you_mean
from recutils.tables import Problem


def declared(project: Project) -> dict[str, list[str]]:
    """Names of the packages of each extra in pyproject.toml."""
    path = project.root / "pyproject.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = content.get("project", {}).get("optional-dependencies", {})
    return {
        extra: [re.split(r"[\s<>=!~;\[]", wanted, maxsplit=1)[0] for wanted in packages]
        for extra, packages in found.items()
    }


def installed(project: Project, extra: str) -> bool:
    """Are all packages of an extra installed? Raises Problem when pyproject.toml has no such extra."""
    known = declared(project)
    if extra not in known:
        raise Problem(f"unknown extra {extra!r} in a notebook's metadata. {did_you_mean(extra, known)}")
    for package in known[extra]:
        try:
            version(package)
        except PackageNotFoundError:
            return False
    return True
