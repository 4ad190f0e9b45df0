"""The music case: no held-out listening in the texts, thinning, spellings, what lists do beside accuracy."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.case import music
from recutils.tables import ITEM_ID, TITLE, USER_ID, Dataset, Interactions, Problem
from recutils.trust.filter import judge

NAMES = ["blink-182", "Blink 182?", "Rihanna", "Rihannà", "未来", "!!!"]
PAIRS = [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 2), (3, 3), (2, 4), (3, 5)]


def made() -> Dataset:
    rows = pd.DataFrame(PAIRS, columns=["user", "item"]).assign(value=3.0)
    users = pd.DataFrame({USER_ID: list("abcd")})
    items = pd.DataFrame({ITEM_ID: [str(n) for n in range(6)], TITLE: NAMES})
    return Dataset("lastfm-2k", Interactions(rows, 4, 6), users, items, explicit=False)


def given() -> pd.DataFrame:
    rows = [(0, 0, "punk"), (3, 0, "punk"), (3, 0, "mine"), (1, 3, "pop"), (2, 3, "pop"), (2, 3, "punk"), (0, 3, "pop")]
    return pd.DataFrame(rows, columns=["user", "item", "tag"]).assign(time=pd.Timestamp("2009-01-01"))


def test_a_listeners_own_tag_and_a_lonely_tag_never_reach_the_text():
    found = music.outside_tags(made(), given())
    # person 0 listens to artist 0, so that only person 3's "punk" stays there; "mine" is one person's
    assert found.to_numpy().tolist() == [[0, "punk", 1], [3, "pop", 3], [3, "punk", 1]]
    assert music.artist_texts(made(), found)[:4] == [
        "blink-182. Tags: punk",
        "Blink 182?",
        "Rihanna",
        "Rihannà. Tags: pop, punk",
    ]
    assert music.artist_texts(made(), found, names=False, most=1) == ["punk", "", "", "pop", "", ""]


def test_the_card_of_the_tags_counts_what_was_left_out():
    card = music.tag_card(made(), given(), music.outside_tags(made(), given())).set_index("measure").value
    assert card["tag assignments"] == "7" and card.iloc[2] == "14.3%" and card.iloc[3] == "14.3%"


def test_the_catalogue_keeps_artists_with_enough_people():
    thinned = music.catalogue(made(), 2)
    assert thinned.items[TITLE].tolist() == ["blink-182", "Rihanna"] and len(thinned.users) == 3
    assert music.catalogue(made(), 1, most=1).items[TITLE].tolist() == ["blink-182"]
    assert "2 of 6 artists, 56% of the listening counts and 3 of 4 people" in music.kept(made(), thinned)
    with pytest.raises(Problem, match="Choose a smaller k"):
        music.catalogue(made(), 9)


def test_spellings_pair_the_rare_with_the_known():
    found = music.spellings(made())
    assert found[["name", "known as", "people", "known by"]].to_numpy().tolist() == [
        ["Blink 182?", "blink-182", 1, 3], ["Rihannà", "Rihanna", 1, 2],
    ]  # fmt: skip


def test_what_lists_do_beside_accuracy():
    data = made()
    lists = {"one": np.array([[0, 2], [0, 2]]), "all": np.array([[0, 2], [3, 4]])}
    truth = sparse.csr_matrix(([1.0, 1], ([0, 1], [0, 4])), shape=(2, 6))
    table = music.beyond(lists, truth, np.eye(6), data.interactions, 2).set_index("model")
    assert table["artists shown"].tolist() == pytest.approx([2 / 6, 4 / 6]) and table.loc["one", "variety"] == 1
    assert table.loc["one", "Gini of places"] > table.loc["all", "Gini of places"]
    assert table.loc["one", "places of the top 1 %"] == 0.5


def test_the_most_varied_lists_stay_within_the_loss():
    truth = sparse.csr_matrix([[1.0, 0, 0], [1, 0, 0]])
    tried = {0.0: np.array([[0], [0]]), 0.3: np.array([[0], [1]]), 0.6: np.array([[2], [1]])}
    assert music.most_varied(tried, truth, 1, loss=0.5) == 0.3 and music.most_varied(tried, truth, 1, loss=0.1) == 0
    with pytest.raises(Problem, match="trade 0"):
        music.most_varied({0.3: tried[0.3]}, truth, 1, loss=0.1)


def test_insults_wait_for_a_reader_and_band_names_in_other_scripts_are_shown():
    found = judge(["worst band ever", "rock", "未来", ""], [music.INSULTS])
    assert found["action"].tolist() == ["review", "show", "show", "show"]
    assert music.texts_hurt(["worst band ever", "rock", "未来", ""], found)["text"].tolist() == ["worst band ever"]
