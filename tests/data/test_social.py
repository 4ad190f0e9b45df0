"""Friends and tags of lastfm-2k by row numbers, on small files with known content and on the real ones."""

import numpy as np
import pandas as pd
import pytest

from recutils import runs
from recutils.data import social
from recutils.data.faults import NotReached
from recutils.data.load import load
from recutils.tables import ITEM_ID, TITLE, USER_ID, Dataset, Interactions, Problem


def made(name: str = social.NAME) -> Dataset:
    rows = pd.DataFrame({"user": [0, 1, 2], "item": [0, 1, 0], "value": 1.0})
    users = pd.DataFrame({USER_ID: ["7", "8", "9"]})
    items = pd.DataFrame({ITEM_ID: ["51", "52"], TITLE: ["A", "B"]})
    return Dataset(name, Interactions(rows, 3, 2), users, items, explicit=False)


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "user_friends.dat").write_text("userID\tfriendID\n9\t7\n7\t9\n7\t7\n8\t1000\n")
    (tmp_path / "tags.dat").write_bytes("tagID\ttagValue\n1\tmétal\n2\t rock \n".encode("latin-1"))
    given = "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    given += "7\t51\t1\t1\t4\t2009\n8\t99\t1\t1\t4\t2009\n9\t52\t2\t1\t1\t1956\n"
    given += "5\t51\t2\t1\t1\t2009\n8\t51\t33\t1\t1\t2009\n"
    (tmp_path / "user_taggedartists.dat").write_text(given)
    monkeypatch.setattr(social, "fetch", lambda name, say: tmp_path)
    return tmp_path


def test_friends_are_symmetric_by_row_without_strangers_and_loops(files):
    graph = social.friends(made())
    assert graph.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_tags_keep_what_the_data_set_knows_and_mark_impossible_days(files):
    found = social.tags(made())
    assert found[["user", "item", "tag"]].to_numpy().tolist() == [[0, 0, "métal"], [2, 1, "rock"]]
    assert found.time[0] == pd.Timestamp("2009-04-01") and pd.isna(found.time[1])


def test_another_data_set_is_refused(files):
    with pytest.raises(Problem, match="only lastfm-2k has friends"):
        social.friends(made("ml-100k"))


def test_the_published_counts():
    found = load(social.NAME)
    assert (len(found.users), len(found.items), len(found.interactions)) == (1_892, 17_632, 92_834)
    assert found.items.title[0] == "MALICE MIZER" and found.interactions.value.max() == 352_698
    assert social.friends(found).nnz == 2 * 12_717
    assert np.bincount(found.interactions.user).max() == 50 and "more than 50 artists" in found.notes[0]


def test_where_it_cannot_be_had_the_message_holds_three_cures(tmp_path, monkeypatch):
    """A notebook that meets this fault ends as "not run" in the report (tests/report/test_run.py)."""
    monkeypatch.setattr(runs, "DATA", tmp_path)
    monkeypatch.delenv("RECUTILS_MIRROR", raising=False)
    with pytest.raises(NotReached, match="take 2 or 3(.|\n)*set RECUTILS_MIRROR(.|\n)*data fetch lastfm-2k --official"):
        load(social.NAME)
