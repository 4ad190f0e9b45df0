"""Archives, good, broken and hostile: nothing is written outside the folder, nothing is kept of a bad file."""

import hashlib
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recutils.data import extract
from recutils.data.catalogue import Member
from recutils.data.faults import Unsafe, WrongHash

TEXT = b"user,item\n1,2\n"


def member(content: bytes = TEXT, origin: str = "pkg/a.csv", path: str = "a.csv") -> Member:
    return Member(path, len(content), hashlib.sha256(content).hexdigest(), origin)


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_of(path: Path, infos: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for info, content in infos:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "out"
    folder.mkdir(parents=True)
    return folder


def refused(archive: Path, wanted: Member, out: Path, fault: type[Exception], message: str) -> None:
    with pytest.raises(fault, match=message):
        extract.unpack(archive, [wanted], out, limit=10_000)
    assert everything(out) == []


def test_only_the_listed_member_is_taken(tmp_path: Path, out: Path):
    archive = zip_of(
        tmp_path / "x.whl", {"pkg/a.csv": TEXT, "pkg/model.pkl": b"\x80\x04.", "../evil": b"x", "/abs": b"x"}
    )
    extract.unpack(archive, [member(path="deep/a.csv")], out, limit=10_000)
    assert everything(out) == ["deep/a.csv"]
    assert everything(tmp_path) == ["work/out/deep/a.csv", "x.whl"]
    assert (out / "deep/a.csv").read_bytes() == TEXT


@pytest.mark.parametrize("name", ["../evil.csv", "/tmp/evil.csv", "a/../../evil.csv"])
def test_a_hostile_name_is_refused_as_origin_and_as_path(tmp_path: Path, out: Path, name: str):
    archive = zip_of(tmp_path / "x.whl", {name: TEXT, "pkg/a.csv": TEXT})
    refused(archive, member(origin=name), out, Unsafe, "could leave its folder")
    refused(archive, member(path=name), out, Unsafe, "could leave its folder")
    assert everything(tmp_path) == ["x.whl"]


def test_a_link_on_the_way_cannot_lead_out(tmp_path: Path, out: Path):
    (tmp_path / "outside").mkdir()
    (out / "deep").symlink_to(tmp_path / "outside")
    archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": TEXT})
    with pytest.raises(Unsafe, match="outside"):
        extract.unpack(archive, [member(path="deep/a.csv")], out, limit=10_000)
    assert everything(tmp_path / "outside") == []


def test_a_symlink_in_a_zip_is_refused(tmp_path: Path, out: Path):
    info = zipfile.ZipInfo("pkg/a.csv")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "x.whl", member(b"/etc/passwd"), out, Unsafe, "a link")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_only_plain_files_come_out_of_a_tar(tmp_path: Path, out: Path, kind: bytes):
    info = tarfile.TarInfo("pkg/a.csv")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tar_of(tmp_path / "x.tar.xz", [(info, b"")]), member(), out, Unsafe, "expected a plain file")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, out: Path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("pkg/a.csv", TEXT)
        archive.writestr("pkg/a.csv", b"other")
    refused(tmp_path / "x.whl", member(), out, Unsafe, "2 times")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_content(tmp_path: Path, out: Path, protocol: int):
    content = b"\x80" + bytes([protocol]) + b"cos\nsystem\n."
    archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": content})
    refused(archive, member(content, path="model.bin"), out, Unsafe, "pickle by its content")


def test_a_torch_archive_and_an_object_array_are_refused(tmp_path: Path, out: Path):
    torch_file = zip_of(tmp_path / "t", {"archive/data.pkl": b"\x80\x02."}).read_bytes()
    header = str({"descr": "|O", "fortran_order": False, "shape": (1,)}).encode()
    objects = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    for content, path in ((torch_file, "model.bin"), (objects, "x.npy")):
        archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": content})
        refused(archive, member(content, path=path), out, Unsafe, "pickle by its content")


def test_a_plain_array_and_a_plain_zip_pass(tmp_path: Path, out: Path):
    np.save(tmp_path / "plain.npy", np.arange(3))
    plain = (tmp_path / "plain.npy").read_bytes()
    inner = zip_of(tmp_path / "plain.zip", {"a.csv": TEXT}).read_bytes()
    archive = zip_of(tmp_path / "x.whl", {"a": plain, "b": inner})
    extract.unpack(archive, [member(plain, "a", "a.npy"), member(inner, "b", "b.zip")], out, limit=10_000)
    assert everything(out) == ["a.npy", "b.zip"]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, out: Path):
    archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": b"0" * 5_000_000})
    refused(archive, member(), out, Unsafe, r"5,000,000 bytes; expected at most 14")


def test_a_bomb_that_lies_about_its_size_writes_no_more_than_its_pin(tmp_path: Path, out: Path):
    archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": b"0" * 5_000_000})
    lied = archive.read_bytes().replace(struct.pack("<I", 5_000_000), struct.pack("<I", len(TEXT)))
    archive.write_bytes(lied)
    refused(archive, member(), out, WrongHash, "pinned file")


def test_a_stream_longer_than_its_pin_is_cut_off(out: Path):
    with pytest.raises(Unsafe, match="bigger than its pinned 14 bytes"):
        extract.take(io.BytesIO(TEXT + b"more"), member(), out, "here")
    assert everything(out) == []


def test_a_bomb_inside_an_archive_inside_is_refused(tmp_path: Path, out: Path):
    bomb = zip_of(tmp_path / "inner.zip", {"a.csv": b"0" * 5_000_000}).read_bytes()
    big = zip_of(tmp_path / "big.whl", {"inner.zip": b"0" * 20_000})
    refused(
        zip_of(tmp_path / "x.whl", {"inner.zip": bomb}), member(origin="inner.zip!a.csv"), out, Unsafe, "at most 14"
    )
    refused(big, member(origin="inner.zip!a.csv"), out, Unsafe, "20,000 bytes; expected at most 10,000")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT[:-1], "expected 14 bytes, got 13 bytes"),
        (TEXT.upper(), "expected sha256 [0-9a-f]{64}, got sha256 [0-9a-f]{64}"),
    ],
)
def test_another_or_shorter_file_is_not_kept(tmp_path: Path, out: Path, content: bytes, message: str):
    refused(zip_of(tmp_path / "x.whl", {"pkg/a.csv": content}), member(), out, WrongHash, message)


def test_a_missing_member_is_named(tmp_path: Path, out: Path):
    refused(
        zip_of(tmp_path / "x.whl", {"pkg/b.csv": TEXT}), member(), out, WrongHash, "holds pkg/a.csv, got one without it"
    )


@pytest.mark.parametrize("keep", [0, 3, 30, -10])
def test_a_truncated_zip_is_refused(tmp_path: Path, out: Path, keep: int):
    archive = zip_of(tmp_path / "x.whl", {"pkg/a.csv": TEXT})
    archive.write_bytes(archive.read_bytes()[:keep])
    refused(archive, member(), out, WrongHash, "a whole zip or tar archive")


def test_a_truncated_tar_is_refused(tmp_path: Path, out: Path):
    content = np.random.default_rng(0).bytes(4000)
    archive = tar_of(tmp_path / "x.tar.xz", [(tarfile.TarInfo("pkg/a.csv"), content)])
    archive.write_bytes(archive.read_bytes()[:-2000])
    refused(archive, member(content), out, WrongHash, "a whole zip or tar archive")


def test_files_inside_inner_archives_are_taken(tmp_path: Path, out: Path):
    inner_zip = zip_of(tmp_path / "inner.zip", {"a.csv": TEXT, "../evil": b"x"}).read_bytes()
    inner_tar = tar_of(tmp_path / "i.tar.xz", [(tarfile.TarInfo("./b.csv"), TEXT * 2)]).read_bytes()
    archive = zip_of(tmp_path / "x.whl", {"pkg/inner.zip": inner_zip, "pkg/i.tar.xz": inner_tar})
    wanted = [member(origin="pkg/inner.zip!a.csv"), member(TEXT * 2, "pkg/i.tar.xz!b.csv", "b.csv")]
    extract.unpack(archive, wanted, out, limit=10_000)
    assert everything(out) == ["a.csv", "b.csv"]
