"""Which bundle is served: a folder of versions, a pointer that is replaced at once, and the way back. It loads none.

SHELF/versions/VERSION/   bundles, never changed
     /current.json        the version that is served and those served before, newest last
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from recutils import runs
from recutils.deploy.bundle import Bundle, checked, save
from recutils.tables import Problem

KEPT = 5  # versions that stay on the shelf, the served one included


@dataclass(frozen=True)
class Shelf:
    """A shelf at `place`; it need not exist yet."""

    place: Path

    @property
    def pointer(self) -> Path:
        """The file that names the served version."""
        return self.place / "current.json"

    def history(self) -> list[str]:
        """Versions in the order in which they were served; the last is served now. Empty for a new shelf."""
        if not self.pointer.is_file():
            return []
        try:
            found = json.loads(self.pointer.read_text(encoding="utf-8"))["served"]
        except (ValueError, KeyError, TypeError) as fault:
            raise Problem(f"{self.pointer} is damaged; publish a bundle again, which writes it anew.") from fault
        return [str(version) for version in found]

    def folder(self, version: str) -> Path:
        """Where a version lies."""
        return self.place / "versions" / version

    def current(self) -> Path:
        """Folder of the served bundle. Raises Problem when nothing was published."""
        served = self.history()
        if not served:
            raise Problem(f"nothing is published on {self.place}. Build a bundle first: make bundle.")
        return self.folder(served[-1])

    def publish(self, bundle: Bundle) -> Path:
        """Save, check what was saved, then point to it: a reader meets the old bundle or the new, never a part."""
        fresh = self.place / "versions" / f".fresh.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            version = checked(save(bundle, fresh))["version"]
            if not self._holds(version):
                self._put_away(self.folder(version))
                os.replace(fresh, self.folder(version))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._serve([*[old for old in self.history() if old != version], version])
        self._tidy()
        return self.folder(version)

    def rollback(self) -> Path:
        """Serve the version before the present one again. Raises Problem when there is none, or it is damaged."""
        served = self.history()
        if len(served) < 2:
            others = [version for version in self.versions() if version not in served]
            now = served[-1] if served else "nothing"
            told = f"{self.place} has no earlier version to go back to; served now: {now}."
            if others:
                told += f" Also here: {', '.join(others)}. cure: `python -m recutils bundle --serve {others[0]}`"
            raise Problem(told)
        checked(self.folder(served[-2]))
        self._serve(served[:-1])
        return self.folder(served[-2])

    def versions(self) -> list[str]:
        """What lies here, whether it was served or not; a version that was rolled back stays until one is published."""
        found = (self.place / "versions").glob("[!.]*")
        return sorted(path.name for path in found if path.is_dir())

    def serve(self, version: str) -> Path:
        """Serve a version that lies here. Raises Problem when it does not, or is damaged."""
        if version not in self.versions():
            there = ", ".join(self.versions()) or "nothing"
            raise Problem(f"{self.place} holds no version {version[:64]!r}; what lies there: {there}.")
        checked(self.folder(version))
        self._serve([*[old for old in self.history() if old != version], version])
        return self.folder(version)

    def _serve(self, served: list[str]) -> None:
        runs.write_text(self.pointer, json.dumps({"served": served[-KEPT:]}, indent=1) + "\n")

    def _holds(self, version: str) -> bool:
        """Whether the version lies here as it was published."""
        try:
            checked(self.folder(version))
        except Problem:
            return False
        return True

    def _tidy(self) -> None:
        kept = set(self.history())
        for path in list((self.place / "versions").iterdir()):
            if path.name not in kept and not path.name.startswith("."):
                self._put_away(path)
        for path in (self.place / "versions").glob(".gone.*"):
            shutil.rmtree(path, ignore_errors=True)

    def _put_away(self, path: Path) -> None:
        """Take a folder from its name at once: a kill while it is removed must leave no half bundle there."""
        gone = path.with_name(f".gone.{path.name}")
        shutil.rmtree(gone, ignore_errors=True)
        if path.exists():
            os.replace(path, gone)
