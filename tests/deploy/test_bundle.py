"""Bundles load as they were saved, refuse what was changed, and the shelf never points to a part."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recutils.deploy import bundle as bundles
from recutils.deploy.bundle import MANIFEST, MODELS, Bundle, Reader, checked, load, save, version_of
from recutils.deploy.shelf import Shelf
from recutils.model.content import ContentProfile
from recutils.tables import Dataset, Problem

READER = Reader("tiny", "a" * 64, 4)


def made(dataset: Dataset, name: str = "ease", *, texts: bool = True) -> Bundle:
    model = MODELS[name]().fit(dataset.interactions)
    items = dataset.items.assign(text=dataset.items.title)
    vectors = np.random.default_rng(0).normal(size=(len(items), 4)).astype(np.float32) if texts else None
    figures = ({"metric": "ndcg", "model": name, "value": 0.25, "n": 40},)
    return Bundle(
        model, items, dataset.users.user_id.to_numpy(dtype=str), dataset.interactions.matrix(), vectors,
        READER if texts else None, {"name": dataset.name}, figures, ("planted",),
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(MODELS))
def test_what_is_loaded_scores_as_what_was_saved(dataset: Dataset, tmp_path: Path, name: str) -> None:
    before = made(dataset, name)
    after = load(save(before, tmp_path / "one"))
    np.testing.assert_array_equal(after.model.score(after.histories), before.model.score(before.histories))
    np.testing.assert_array_equal(after.vectors, before.vectors)
    assert list(after.items.title) == list(before.items.title) and list(after.user_ids) == list(before.user_ids)
    assert (after.data, after.figures, after.notes) == (before.data, before.figures, before.notes)
    assert len(after.version) == 12 and after.encoder == READER


def test_no_pickle_and_nothing_unlisted_is_written(dataset: Dataset, tmp_path: Path) -> None:
    folder = save(made(dataset), tmp_path / "one")
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".parquet", ".safetensors", ".md"}
    assert "ndcg of ease: 0.2500 (n 40)" in (folder / "card.md").read_text()


@pytest.mark.parametrize("name", [*bundles.FILES, MANIFEST])
def test_one_changed_byte_anywhere_is_refused(dataset: Dataset, tmp_path: Path, name: str) -> None:
    path = save(made(dataset), tmp_path / "one") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Problem):
        load(tmp_path / "one")


@pytest.mark.parametrize("name", [*bundles.FILES, MANIFEST])
def test_a_missing_file_is_named(dataset: Dataset, tmp_path: Path, name: str) -> None:
    (save(made(dataset), tmp_path / "one") / name).unlink()
    with pytest.raises(Problem, match=name):
        load(tmp_path / "one")


def test_an_extra_file_and_a_link_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    folder = save(made(dataset), tmp_path / "one")
    (folder / "model.pkl").write_bytes(b"x")
    with pytest.raises(Problem, match=r"model\.pkl"):
        load(folder)
    (folder / "model.pkl").unlink()
    shutil.move(folder / "card.md", tmp_path / "card.md")
    (folder / "card.md").symlink_to(tmp_path / "card.md")
    with pytest.raises(Problem, match="not the file that was published"):
        load(folder)


def rewritten(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": version_of(manifest)}))


def test_newer_foreign_and_unknown_are_refused_with_the_cure(dataset: Dataset, tmp_path: Path) -> None:
    folder = save(made(dataset), tmp_path / "one")
    rewritten(folder, format=99)
    with pytest.raises(Problem, match="format 99.*Update recutils"):
        load(folder)
    rewritten(folder, format=1, model="os.system")
    with pytest.raises(Problem, match=r"'os\.system'; known are"):
        load(folder)
    rewritten(folder, model="ease", kind="something")
    with pytest.raises(Problem, match="not the manifest of a bundle"):
        load(folder)
    (folder / MANIFEST).write_text("[1]")
    with pytest.raises(Problem, match="not the manifest of a bundle"):
        load(folder)


def test_vectors_of_another_checkpoint_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    folder = save(made(dataset), tmp_path / "one")
    assert load(folder, encoder=READER).vectors is not None
    with pytest.raises(Problem, match="use the same checkpoint"):
        load(folder, encoder=Reader("other", "b" * 64, 4))


def test_parts_that_do_not_fit_are_refused(dataset: Dataset) -> None:
    whole = made(dataset)
    for change, message in (
        ({"items": whole.items.head(3)}, "do not fit"),
        ({"vectors": None}, "or neither"),
        ({"vectors": whole.vectors[:, :2]}, "vectors must be"),
        ({"model": ContentProfile().with_vectors(whole.vectors).fit(dataset.interactions)}, "a bundle serves"),
    ):
        with pytest.raises(Problem, match=message):
            dataclasses.replace(whole, **change)


def test_a_bundle_is_never_written_over(dataset: Dataset, tmp_path: Path) -> None:
    save(made(dataset), tmp_path / "one")
    with pytest.raises(Problem, match="never changed in place"):
        save(made(dataset), tmp_path / "one")


def test_the_shelf_serves_the_last_and_goes_back(dataset: Dataset, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    with pytest.raises(Problem, match="nothing is published"):
        shelf.current()
    first, second = shelf.publish(made(dataset, "ease")), shelf.publish(made(dataset, "popularity"))
    assert shelf.current() == second != first
    assert shelf.rollback() == first == shelf.current()
    with pytest.raises(Problem, match=f"no earlier version.*now: {first.name}.*bundle --serve {second.name}"):
        shelf.rollback()
    assert shelf.publish(made(dataset, "ease")) == first  # the same content is the same version
    assert [path.name for path in (shelf.place / "versions").iterdir()] == [first.name]


def test_a_version_that_was_rolled_back_can_be_served_by_its_name(dataset: Dataset, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    first, second = shelf.publish(made(dataset, "ease")), shelf.publish(made(dataset, "popularity"))
    shelf.rollback()
    assert shelf.serve(second.name) == second == shelf.current() and shelf.history() == [first.name, second.name]
    assert shelf.serve(first.name) == first == shelf.current() and shelf.rollback() == second
    for absent in ("gone", "..", "", "."):
        with pytest.raises(Problem, match=f"holds no version.*{first.name}"):
            shelf.serve(absent)


def test_a_damaged_version_is_not_gone_back_to(dataset: Dataset, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    first = shelf.publish(made(dataset, "ease"))
    second = shelf.publish(made(dataset, "popularity"))
    (first / "card.md").write_text("other")
    with pytest.raises(Problem, match="not the file that was published"):
        shelf.rollback()
    with pytest.raises(Problem, match="not the file that was published"):
        shelf.serve(first.name)
    assert shelf.current() == second
    shelf.pointer.write_text("{")
    with pytest.raises(Problem, match="damaged"):
        shelf.current()


PUBLISH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.conftest import made as planted
from recutils.deploy.bundle import Bundle, MODELS
from recutils.deploy.shelf import Shelf
import numpy as np, pandas as pd
train = planted()
items = pd.DataFrame({"item_id": range(30), "title": "t", "text": "t"})
print("ready", flush=True)
for turn in range(1000):
    model = MODELS["ease"](reg=1.0 + turn).fit(train)
    Shelf(Path(sys.argv[1])).publish(Bundle(model, items, np.arange(40).astype(str), train.matrix()))
"""


def _whole_or_gone(shelf: Shelf) -> None:
    """The served bundle is whole; only one that five later versions have pushed off the shelf may fail meanwhile."""
    folder = shelf.current()
    try:
        checked(folder)
    except (Problem, OSError):
        assert folder.name not in shelf.history()


def test_what_a_kill_left_half_removed_is_never_taken_for_a_version(dataset: Dataset, tmp_path: Path) -> None:
    shelf, whole = Shelf(tmp_path / "shelf"), made(dataset)
    place = shelf.publish(whole)
    (place / "model" / "arrays.safetensors").unlink()  # as `rmtree` stands when it is killed
    assert shelf.publish(whole) == place and checked(place)["version"] == place.name
    old = shelf.folder("0123456789ab")
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    shelf.publish(whole)
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name]


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_a_whole_bundle(tmp_path: Path) -> None:
    shelf, root = Shelf(tmp_path / "shelf"), Path(__file__).resolve().parents[2]
    rng = np.random.default_rng(0)
    for _ in range(3):
        command = [sys.executable, "-c", PUBLISH, str(shelf.place), str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            while not shelf.history():
                time.sleep(0.01)
            for _ in range(20):
                time.sleep(rng.uniform(0, 0.02))
                _whole_or_gone(shelf)
            process.send_signal(signal.SIGKILL)
        checked(shelf.current())
    shelf.publish(load(shelf.current()))
