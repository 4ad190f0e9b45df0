"""load: names, folders, the cache, samples."""

import numpy as np
import pytest

from recutils import runs
from recutils.data import folder, formats
from recutils.data.load import load
from recutils.tables import Problem


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of the user's own, with a data folder of the test's own."""
    monkeypatch.setattr(runs, "DATA", tmp_path / "data")
    place = tmp_path / "shop"
    place.mkdir()
    (place / "interactions.csv").write_text("user_id,item_id,value\nu1,a,5\nu2,b,3\nu1,b,4\n", encoding="utf-8")
    (place / "items.csv").write_text("item_id,title,year\na,An Apple,1999\nb,The Boat,\n", encoding="utf-8")
    return place


def same(left, right):
    tables = [(left.users, right.users), (left.items, right.items), (left.interactions.rows, right.interactions.rows)]
    named = (left.name, left.explicit, left.notes) == (right.name, right.explicit, right.notes)
    return named and all(one.equals(other) for one, other in tables)


def test_unknown_names_get_near_ones_and_the_folder():
    with pytest.raises(Problem, match=r"'ml100k'.*Did you mean ml-100k.*interactions\.csv and items\.csv"):
        load("ml100k")
    with pytest.raises(Problem, match=r"tmdb-5000 has no reader.*ml-100k"):
        load("tmdb-5000")
    with pytest.raises(Problem, match="unknown data set ''"):
        load("")


def test_a_path_that_leads_nowhere_is_named():
    with pytest.raises(Problem, match=r"no folder 'no/such'.*tried .*no/such.*interactions\.csv"):
        load("no/such")


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_shares_outside_0_to_1(share):
    with pytest.raises(Problem, match="sample_users"):
        load("ml-100k", sample_users=share)


def test_folders_are_found_here_then_in_the_repository(shop, tmp_path, monkeypatch):
    whole = load(shop)
    monkeypatch.chdir(tmp_path)
    assert same(load("shop"), whole) and same(load("./shop"), whole)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(Problem, match="no folder"):
        load("./shop")
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    assert same(load("./shop"), whole) and same(load("shop"), whole)


def test_a_name_of_the_catalogue_wins_over_a_folder(tmp_path, monkeypatch):
    (tmp_path / "ml-100k").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load("ml-100k").interactions) == 100_000
    with pytest.raises(Problem, match=r"no interactions\.csv"):
        load("./ml-100k")


def test_the_cache_gives_what_the_reader_gave_and_saves_reading(shop, monkeypatch):
    direct, first = folder.read_folder(shop), load(shop)
    assert same(direct, first)
    assert first.interactions.rows.dtypes.tolist() == direct.interactions.rows.dtypes.tolist()
    monkeypatch.setattr(folder, "read_folder", lambda place: pytest.fail("read again though nothing changed"))
    assert same(load(shop), first)


def test_a_changed_file_is_read_again(shop):
    load(shop)
    (shop / "items.csv").write_text("item_id,title\na,Another Apple\nb,B\n", encoding="utf-8")
    assert load(shop).items["title"][0] == "Another Apple"
    (shop / "dataset.toml").write_text('name = "renamed"\n', encoding="utf-8")
    assert load(shop).name == "renamed"


@pytest.mark.parametrize("damage", ["cut", "gone", "garbage", "wrong rows"])
def test_a_damaged_cache_is_built_again(shop, damage):
    first = load(shop)
    place = next((runs.DATA / "interim").glob("own-*"))
    if damage == "cut":
        path = place / "interactions.parquet"
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "gone":
        (place / "users.parquet").unlink()
    elif damage == "garbage":
        (place / "dataset.json").write_text("{")
    else:
        first.users.iloc[:1].to_parquet(place / "users.parquet")
    assert same(load(shop), first)
    assert same(load(shop), first)


def test_a_reader_that_fails_leaves_nothing_behind(shop):
    (shop / "interactions.csv").write_text("user_id,item_id\nu,\n", encoding="utf-8")
    with pytest.raises(Problem):
        load(shop)
    assert not list(runs.DATA.rglob("*"))


def test_a_write_that_fails_leaves_nothing_behind(shop, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        load(shop)
    assert not list((runs.DATA / "interim").iterdir())


def test_a_sample_keeps_users_whole_and_all_items():
    whole, sample = load("ml-100k"), load("ml-100k", sample_users=0.1, seed=3)
    assert len(sample.users) == 94 and len(sample.items) == 1_682
    kept = np.isin(whole.user_ids.ids(whole.interactions.user), sample.users["user_id"])
    expected = whole.interactions.only(kept)
    assert np.array_equal(sample.user_ids.ids(sample.interactions.user), whole.user_ids.ids(expected.user))
    assert np.array_equal(sample.interactions.item, expected.item) and np.array_equal(
        sample.interactions.time, expected.time
    )
    assert sample.users["user_id"].astype(int).is_monotonic_increasing
    assert sample.notes[-1].startswith("A sample: 94 of 943 users (seed 3)")
    assert not sample.users.equals(load("ml-100k", sample_users=0.1, seed=4).users)
    assert len(load("ml-100k", sample_users=1e-9).users) == 1


def test_every_reader_has_its_files_listed():
    assert set(formats.FILES) == set(formats.PARSERS)


def test_what_was_parsed_once_is_read_from_the_cache(monkeypatch):
    first = load("ml-100k")

    def parsed_again(source):
        raise AssertionError(f"{source} was parsed a second time")

    monkeypatch.setitem(formats.PARSERS, "ml-100k", parsed_again)
    assert same(load("ml-100k"), first)
