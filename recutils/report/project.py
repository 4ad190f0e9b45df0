"""Where a project keeps its notebooks, profiles and runs. Paths and small file helpers; nothing is executed here."""

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recutils.runs import file_hash

RESERVED_RUNS = ("store", "interactive", "latest")


@dataclass(frozen=True)
class Project:
    """The folders of one project; `report` is given this object, so that tests may use a folder of their own."""

    root: Path

    @property
    def notebooks(self) -> Path:
        """Folder of the notebooks."""
        return self.root / "notebooks"

    @property
    def package(self) -> Path:
        """Folder of the package whose modules the notebooks import."""
        return self.root / "recutils"

    @property
    def profiles(self) -> Path:
        """Folder of the profiles, one YAML file each."""
        return self.root / "reports" / "profiles"

    @property
    def runs(self) -> Path:
        """Folder of the runs; not committed."""
        return self.root / "reports" / "runs"

    @property
    def store(self) -> Path:
        """Finished notebooks by name and content key."""
        return self.runs / "store"

    @property
    def published(self) -> Path:
        """The committed results."""
        return self.root / "reports" / "published"

    @property
    def requirements(self) -> Path:
        """The lock file."""
        return self.root / "requirements.txt"

    @property
    def catalogue(self) -> Path:
        """The data catalogue."""
        return self.root / "data" / "catalogue.toml"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the closest known names, or all of them when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names) or 'none'}."


def digest(value: Any) -> str:
    """sha256 of a value that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr).encode()).hexdigest()


def folder_hash(folder: Path, skip: Iterable[str] = ()) -> str:
    """sha256 over names and contents of a folder's files, without hidden files and those that `skip` names."""
    left_out = set(skip)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in left_out
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return digest([(path.relative_to(folder).as_posix(), file_hash(path)) for path in files])


def read_json(path: Path, default: Any = None) -> Any:
    """The content of a JSON file, or `default` when the file is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default
