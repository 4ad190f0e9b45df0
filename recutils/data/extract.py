"""Takes listed members out of zip and tar archives, safely and verified. It knows no sources and no network."""

import hashlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from recutils import runs
from recutils.data.catalogue import Member, check_path
from recutils.data.faults import Unsafe, WrongHash

BLOCK = 1 << 20  # bytes read at once
BROKEN = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)
ZIP_MAGIC = b"PK\x03\x04"


def check_hash(path: Path, expected: str, what: str) -> None:
    """Raise WrongHash when the file is not the pinned one; call it before anything opens the file."""
    got = runs.file_hash(path)
    if got != expected:
        raise wrong_hash(what, f"sha256 {expected}", f"sha256 {got}")


def wrong_hash(what: str, expected: str, got: str) -> WrongHash:
    """The fault for a file that is not the pinned one."""
    return WrongHash(
        f"{what} is not the pinned file: expected {expected}, got {got}. It was not used and nothing was kept. "
        "Fetch it again; if it stays so, your package index or mirror holds another or a broken copy: use another one."
    )


def inside(folder: Path, path: str) -> Path:
    """Where a member lands. Raises Unsafe when the path, or a link on the way, leaves the folder."""
    check_path(path)
    target = folder / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise Unsafe(f"{path!r} would be written to {target.resolve()}, outside {folder}. Refused.")
    return target


def take(stream: IO[bytes], member: Member, folder: Path, what: str) -> Path:
    """Copy one member to `folder`, never more than its pinned size, and verify it. what: for messages.

    Raises Unsafe when it is bigger than pinned or a pickle, WrongHash when it is shorter or another file; it is then
    removed.
    """
    target = inside(folder, member.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _copy(stream, target, member, what)
        check_not_pickle(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _copy(stream: IO[bytes], target: Path, member: Member, what: str) -> None:
    digest, written = hashlib.sha256(), 0
    with target.open("xb") as handle:
        while block := stream.read(min(BLOCK, member.size + 1 - written)):
            written += len(block)
            if written > member.size:
                raise Unsafe(
                    f"{what}: {member.path} is bigger than its pinned {member.size:,} bytes. "
                    "Refused; fetch it from another source."
                )
            digest.update(block)
            handle.write(block)
    if written < member.size:
        raise wrong_hash(f"{what}: {member.path}", f"{member.size:,} bytes", f"{written:,} bytes")
    if digest.hexdigest() != member.sha256:
        raise wrong_hash(f"{what}: {member.path}", f"sha256 {member.sha256}", f"sha256 {digest.hexdigest()}")


def check_not_pickle(path: Path) -> None:
    """Raise Unsafe when a file is a pickle by name or by content, alone, in a torch archive or in a numpy file."""
    check_path(path.name)
    with path.open("rb") as handle:
        head = handle.read(256)
    pickled = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    objects = head.startswith(b"\x93NUMPY") and b"'|O'" in head
    if pickled or objects or (head.startswith(ZIP_MAGIC) and _holds_pickle(path)):
        raise Unsafe(
            f"{path.name} is a pickle by its content; a pickle can run any code. "
            "Expected plain data or safetensors. Refused."
        )


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith((".pkl", ".pickle")) for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def unpack(archive: Path, members: Iterable[Member], folder: Path, *, limit: int) -> None:
    """Take the listed members, and nothing else, out of a verified zip or tar archive into `folder`.

    limit: the most bytes that an archive inside the archive may have. It is unpacked next to `archive`.
    Raises Unsafe (link, path, pickle, too big) or WrongHash (missing, cut short, another file).
    """
    nested: dict[str, list[Member]] = {}
    with _opened(archive) as outer:
        for member in members:
            inner, _, rest = member.origin.partition("!")
            if rest:
                nested.setdefault(inner, []).append(Member(member.path, member.size, member.sha256, rest))
                continue
            with _stream(outer, inner, archive.name, member.size) as stream:
                take(stream, member, folder, archive.name)
        for number, (inner, inside_members) in enumerate(nested.items()):
            copy = archive.with_name(f"inner-{number}-{Path(inner).name}")
            with _stream(outer, inner, archive.name, limit) as stream:
                copy.write_bytes(stream.read(limit))
            unpack(copy, inside_members, folder, limit=limit)


def append(archive: Path, name: str, out: IO[bytes], *, limit: int) -> None:
    """Write one member of at most `limit` bytes to the end of an open file. The caller verifies the whole."""
    with _opened(archive) as opened, _stream(opened, name, archive.name, limit) as stream:
        shutil.copyfileobj(stream, out, BLOCK)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """The archive, by its content; damage found while reading becomes WrongHash."""
    try:
        with archive.open("rb") as handle:
            is_zip = handle.read(4) == ZIP_MAGIC
        with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive) as opened:
            yield opened
    except BROKEN as fault:
        raise wrong_hash(
            archive.name, "a whole zip or tar archive", f"{type(fault).__name__}: {fault}".split("\n")[0]
        ) from fault


def _stream(archive: zipfile.ZipFile | tarfile.TarFile, name: str, where: str, limit: int) -> IO[bytes]:
    """An open member after all checks that need no reading."""
    check_path(name)
    return (_zip_stream if isinstance(archive, zipfile.ZipFile) else _tar_stream)(archive, name, where, limit)


def _zip_stream(archive: zipfile.ZipFile, name: str, where: str, limit: int) -> IO[bytes]:
    found = [info for info in archive.infolist() if info.filename == name]
    _check_found(len(found), name, where)
    mode = found[0].external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or found[0].flag_bits & 1:
        raise Unsafe(f"{where}: {name} is a link, a device or encrypted; expected a plain file. Refused.")
    _check_size(found[0].file_size, name, where, limit)
    return archive.open(found[0])


def _tar_stream(archive: tarfile.TarFile, name: str, where: str, limit: int) -> IO[bytes]:
    found = [info for info in archive if info.name in (name, f"./{name}")]
    _check_found(len(found), name, where)
    stream = archive.extractfile(found[0]) if found[0].isreg() else None
    if stream is None:
        raise Unsafe(f"{where}: {name} is a link, a device or a folder; expected a plain file. Refused.")
    _check_size(found[0].size, name, where, limit)
    return stream


def _check_found(n_found: int, name: str, where: str) -> None:
    if n_found > 1:
        raise Unsafe(f"{where}: {name} is there {n_found} times; expected once. Refused.")
    if n_found == 0:
        raise wrong_hash(where, f"an archive that holds {name}", "one without it")


def _check_size(size: int, name: str, where: str, limit: int) -> None:
    if size > limit:
        raise Unsafe(f"{where}: {name} would unpack to {size:,} bytes; expected at most {limit:,}. Refused.")
