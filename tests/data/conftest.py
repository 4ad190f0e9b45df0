"""A planted catalogue with one small data set, and a stand-in for pip, so that fetching is tested without a network."""

import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recutils import runs
from recutils.data import catalogue, sources

MEMBERS = {"planted.csv": b"user,item\n1,2\n", "deep/notes.txt": b"notes\n" * 10}


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive as bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def pin(content: bytes) -> str:
    """The two lines of the catalogue that pin some bytes."""
    return f'size = {len(content)}\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'


@dataclass
class Shop:
    """Where the planted files lie, and what was said and downloaded."""

    home: Path
    package: Path
    mirror: Path
    said: list[str] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    members: dict[str, bytes] = field(default_factory=lambda: dict(MEMBERS))

    @property
    def folder(self) -> Path:
        return self.home / "raw" / "planted"

    def write(
        self, members: dict[str, bytes], *, archive: bytes | None = None, origin: str = "pkg/{}", extra: str = ""
    ):
        """Write the catalogue for these members and the package (`archive`, or a zip that holds them)."""
        self.members = members
        content = archive if archive is not None else zipped({f"pkg/{name}": data for name, data in members.items()})
        self.package.write_bytes(content)
        text = (
            '[planted]\nkind = "dataset"\ntitle = "Planted"\nwhat = "two rows"\nterms = "yours"\ncitation = "nobody"\n'
        )
        text += f'homepage = "https://example.org/planted"\nmirror = "planted"\n{extra}\n'
        text += f'[[planted.packages]]\nname = "planted-data"\nversion = "1.0"\n{pin(content)}'
        for name, data in members.items():
            text += f'[[planted.members]]\npath = "{name}"\nfrom = "{origin.format(name)}"\n{pin(data)}'
        catalogue.PATH.write_text(text)
        catalogue._read.cache_clear()

    def fill_mirror(self, **changed: bytes) -> None:
        """Put the members into the mirror folder; `changed` replaces contents by file name without its ending."""
        for name, data in self.members.items():
            path = self.mirror / "planted" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(changed.get(path.stem, data))

    def left(self) -> list[str]:
        """Whatever lies beside finished folders: must be empty after every fetch, good or bad."""
        return [path.name for path in self.home.glob("raw/.*")]

    def holds_the_pinned(self) -> bool:
        return all((self.folder / name).read_bytes() == data for name, data in self.members.items())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A data folder of its own, a planted catalogue, and pip replaced by a copy of the planted package."""
    made = Shop(tmp_path / "data", tmp_path / "planted_data-1.0-py3-none-any.whl", tmp_path / "mirror")
    monkeypatch.setattr(runs, "DATA", made.home)
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "catalogue.toml")
    monkeypatch.setattr(sources, "pip_download", _copier(made))
    monkeypatch.delenv("RECUTILS_MIRROR", raising=False)
    made.write(dict(MEMBERS))
    return made


def _copier(shop: Shop) -> Callable[[catalogue.Package, Path], Path]:
    def copy(package: catalogue.Package, folder: Path) -> Path:
        shop.downloads.append(str(package))
        return Path(shutil.copy(shop.package, folder / shop.package.name))

    return copy
