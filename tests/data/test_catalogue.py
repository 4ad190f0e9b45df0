"""The catalogue: what must be in it, and what it refuses."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from recutils.data import catalogue
from recutils.data.faults import Unsafe
from recutils.tables import Problem

DATASETS = """ml-100k ml-1m tmdb-5000 online-retail clothing-reviews articles open-bandit reuters fiqa drug-reviews
book-crossing instacart lastfm-2k banking77""".split()
CHECKPOINTS = ["minilm", "mpnet", "smollm2", "e5-small", "efficientnet-lite0"]
ENTRIES = list(catalogue.entries().values())


def test_every_entry_is_there_in_order():
    assert [entry.name for entry in ENTRIES if entry.kind == "dataset"] == DATASETS
    assert [entry.name for entry in ENTRIES if entry.kind == "checkpoint"] == CHECKPOINTS


def test_the_pins_of_the_default_set():
    entry = catalogue.entry("ml-100k")
    assert str(entry.packages[0]) == "recbole==1.2.1"
    assert entry.packages[0].sha256 == "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
    assert dict(entry.counts)["ratings"] == 100_000
    assert sorted(member.path for member in entry.members) == [
        f"ml-100k.{end}" for end in ("inter", "item", "kg", "link", "user")
    ]


def test_mpnet_is_joined_from_five_parts_in_order_and_only_for_the_full_profile():
    entry = catalogue.entry("mpnet")
    assert [package.part[-3:] for package in entry.packages] == ["001", "002", "003", "004", "005"]
    assert entry.profile == "full"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_file_is_pinned_and_none_is_a_pickle(entry: catalogue.Entry):
    assert entry.members or entry.blocked
    for pinned in (*entry.members, *entry.packages):
        assert re.fullmatch(r"[0-9a-f]{64}", pinned.sha256)
        assert pinned.size > 0
    for member in entry.members:
        assert not member.path.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))
        assert not member.path.startswith("/")
        assert ".." not in member.path
    assert entry.terms and entry.citation and entry.traps


def test_no_package_index_is_named():
    text = catalogue.PATH.read_text(encoding="utf-8")
    assert not re.search(r"py[p]i\.(org|python)|pythonhosted|/simple", text)


@pytest.mark.skipif(not os.environ.get("RECUTILS_MIRROR"), reason="no mirror folder here")
@pytest.mark.parametrize("name", ["lastfm-2k", "banking77"])
def test_the_pins_are_those_of_the_mirror(name: str):
    entry = catalogue.entry(name)
    for member in entry.members:
        content = (Path(os.environ["RECUTILS_MIRROR"]) / entry.mirror / member.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == member.sha256


def test_an_unknown_name_gets_the_closest_ones_and_the_list():
    with pytest.raises(Problem, match=r"'ml-10k'.*Did you mean ml-100k.*Known: ml-100k, ml-1m.*data list"):
        catalogue.entry("ml-10k")


def test_the_fingerprint_names_the_content_only():
    one = catalogue.Member("a", 1, "0" * 64)
    other = catalogue.Member("b", 1, "1" * 64)
    fields = {"kind": "dataset", "title": "t", "what": "w", "terms": "t", "citation": "c", "homepage": "h"}
    entry = catalogue.Entry("n", members=(one, other), **fields)
    assert entry.fingerprint == catalogue.Entry("m", members=(other, one), **fields).fingerprint
    assert entry.fingerprint != catalogue.Entry("n", members=(one,), **fields).fingerprint


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "a\\b", "C:x", "~/x", "", "./x", "a/..", "a\0b"])
def test_a_path_that_could_leave_its_folder_is_refused(path: str):
    with pytest.raises(Unsafe, match="could leave its folder"):
        catalogue.check_path(path)


@pytest.mark.parametrize("path", ["a.pkl", "b/model.PT", "c.pth", "d.joblib", "e.pickle"])
def test_a_pickle_is_refused_by_name(path: str):
    with pytest.raises(Unsafe, match="pickle by its name"):
        catalogue.check_path(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "dataset"', 'kind = "data"', "kind must be one of"),
        ('terms = "yours"', 'terms = " "', r"\['terms'\] must not be empty"),
        ('terms = "yours"', "", "missing 1 required"),
        ('terms = "yours"', 'terms = "yours"\nlicense = "x"', "unexpected keyword argument 'license'"),
        ('path = "planted.csv"', 'path = "../planted.csv"', "could leave its folder"),
        ('from = "pkg/planted.csv"', 'from = "/pkg/planted.csv"', "could leave its folder"),
        ('from = "pkg/planted.csv"', "", "needs `from`"),
        ('path = "planted.csv"', 'path = "planted.pkl"', "pickle by its name"),
        ('path = "planted.csv"', 'path = "deep/notes.txt"', "two members have one path"),
        ('sha256 = "', 'sha256 = "x', "64 hex digits"),
        ('mirror = "planted"', 'mirror = "planted"\nofficial = "http://example.org/x.zip"', "https://"),
        ("[planted]", "[planted", "not valid TOML"),
    ],
)
def test_a_faulty_catalogue_is_refused_with_the_reason(shop, old: str, new: str, message: str):
    text = catalogue.PATH.read_text()
    assert old in text
    catalogue.PATH.write_text(text.replace(old, new, 1))
    catalogue._read.cache_clear()
    with pytest.raises(Problem, match=message):
        catalogue.entries()


def test_a_missing_catalogue_says_so(shop):
    catalogue.PATH.unlink()
    with pytest.raises(Problem, match="is missing. Restore it"):
        catalogue.entries()
