"""The readers on small hand-made files, and on the real ones with their published counts."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import formats, load, prepare
from recutils.tables import Problem


def put(folder, **files):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def test_atomic_files_keep_quotes_and_empty_text(tmp_path):
    path = tmp_path / "x.item"
    path.write_text('item_id:token\ttitle:token_seq\tyear:float\n01\t"Quoted\t\nNA\t\t1999\n', encoding="utf-8")
    read = formats.read_atomic(path)
    assert read["item_id"].tolist() == ["01", "NA"] and read["title"].tolist() == ['"Quoted', ""]
    assert np.isnan(read["year"][0]) and read["year"][1] == 1999
    path.write_text("item_id\ttitle\n1\tx\n", encoding="utf-8")
    with pytest.raises(Problem, match="user_id:token"):
        formats.read_atomic(path)


def test_movielens_strips_prefix_and_keeps_unrated_films(tmp_path):
    put(
        tmp_path,
        **{
            "ml-1m.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
            "1m_2\tB (1999)\t4\t86400\n1m_1\tB (1999)\t5\t0\n",
            "ml-1m.user": "user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token\n"
            "1m_1\t1\tF\t10\t01067\n1m_2\t56\tM\t16\t7\n",
            "ml-1m.item": "item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\n"
            "A (1998)\tA\t1998\tFilm-Noir\nB (1999)\tB, The\t1999\tDrama Sci-Fi\n",
        },
    )
    found = formats.ml_1m(tmp_path)
    assert found.users["user_id"].tolist() == ["1", "2"] and found.users["zip"].tolist() == ["01067", "7"]
    assert found.interactions.user.tolist() == [1, 0] and found.interactions.item.tolist() == [1, 1]
    assert found.interactions.time.tolist() == [pd.Timestamp("1970-01-02"), pd.Timestamp("1970-01-01")]
    assert found.items["genres"].tolist() == ["Film-Noir", "Drama, Sci-Fi"] and found.items["title"][1] == "B, The"
    assert found.notes == ("1 film without a rating.",)


def test_online_retail_drops_charges_and_merges_spaces(tmp_path):
    text = 'LAMP ,"CARD,pack/12"\r\nPOSTAGE,LAMP, LAMP\r\nManual\r\n'
    found = formats.online_retail(put(tmp_path, **{"Online_Retail_Grouped.csv": text}))
    assert found.items["title"].tolist() == ["CARD,pack/12", "LAMP"]
    assert found.users["user_id"].tolist() == ["1", "2"]
    assert found.interactions.rows[["user", "item"]].to_numpy().tolist() == [[0, 1], [0, 0], [1, 1]]
    assert not found.explicit and not found.interactions.has_time
    assert "3 customers and 6 pairs read; 1 pair merged" in found.notes[1]
    assert found.notes[2].startswith("2 pairs with 10 charges") and "1 customer who" in found.notes[2]


def test_articles_count_views_and_mend_titles(tmp_path):
    views = (
        ",article_id,title,email\n0,10.0,ten,a\n1,9.0,Nine,b\n2,10.0,ten,a\n3,10.0,ten,\n"
        '4,2.0,"502    a long title ...\nName: title, dtype: object",b\n'
    )
    pages = ",doc_body,doc_description,doc_full_name,doc_status,article_id\n"
    pages += "0,Body,About,Nine Lives,Live,9\n1,x,y,Z,Live,9\n2,x,y,Z,Live,77\n"
    found = formats.articles(put(tmp_path, **{"user-item-interactions.csv": views, "articles_community.csv": pages}))
    assert found.items["item_id"].tolist() == ["2", "9", "10"]
    assert found.items["title"].tolist() == ["a long title ...", "nine lives", "ten"]
    assert found.items["body"].tolist() == ["", "Body", ""]
    assert found.interactions.rows.to_numpy().tolist() == [[0, 2, 2], [1, 1, 1], [1, 0, 1]]
    assert "5 views read; 1 without a reader dropped, the others make 3 pairs" in found.notes[0]
    assert "1 of 3 articles with a body; 1 page that nobody" in found.notes[1]


def test_book_crossing_drops_zeros_and_reads_escaped_quotes(tmp_path):
    ratings = '"User-ID";"ISBN";"Book-Rating"\r\n"7";"b";"0"\r\n"8";"b";"9"\r\n"7";"x";"3"\r\n'
    ends = ';"p";"u";"u";"u"\r\n'
    books = '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"S";"M";"L"\r\n'
    books += f'"a";"Unrated";"A";"1999"{ends}"b";"Three: \\"One\\";\\"Two\\"";"\xc9mile";"0"{ends}'
    users = '"User-ID";"Location";"Age"\r\n"7";"x; y";NULL\r\n"8";"z";"244"\r\n"9";"z";"1"\r\n'
    named = zip(formats.FILES["book-crossing"], (ratings, books, users), strict=True)
    for name, text in named:
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    found = formats.book_crossing(tmp_path)
    assert found.items["item_id"].tolist() == ["b", "x"] and found.items["author"].tolist() == ["\xc9mile", ""]
    assert found.items["title"].tolist() == ['Three: "One";"Two"', ""] and found.items["year"].isna().all()
    assert found.users["user_id"].tolist() == ["7", "8"] and found.users["age"].tolist() == [pd.NA, 244]
    assert found.interactions.rows[["user", "item", "value"]].to_numpy().tolist() == [[1, 0, 9], [0, 1, 3]]
    assert found.explicit and "3 events read; 1 event of value 0" in found.notes[0] and "1 line " in found.notes[1]


def test_book_crossing_counts():
    found = load.load("book-crossing")
    assert "1,149,780 events read" in found.notes[0] and len(found.interactions) == 433_671
    core = prepare.compact(found, prepare.k_core(found.interactions, 5))
    assert (len(core.interactions), len(core.users), len(core.items)) == (118_668, 7_025, 9_432)


def test_ids_that_only_events_know_are_appended_and_noted():
    events = pd.DataFrame({"user_id": ["b", "a", "c"], "item_id": ["y", "z", "x"], "value": 1.0})
    tables = {
        "items": pd.DataFrame({"item_id": ["x"], "title": ["X"], "text": ["t"]}),
        "users": pd.DataFrame({"user_id": ["a"]}),
    }
    found = formats.build_dataset("made", events, tables, explicit=False, notes=[])
    assert found.items["item_id"].tolist() == ["x", "y", "z"] and found.items["title"].tolist() == ["X", "", ""]
    assert found.items["text"].tolist() == ["t", "", ""] and found.users["user_id"].tolist() == ["a", "b", "c"]
    assert found.user_ids.ids(found.interactions.user).tolist() == ["b", "a", "c"]
    assert len(found.notes) == 2 and found.notes[0].startswith("2 users") and found.notes[1].startswith("2 items")
    assert tables["items"].shape == (1, 3)


def test_ml_100k_counts_and_first_row():
    found = load.load("ml-100k")
    assert (len(found.interactions), len(found.users), len(found.items)) == (100_000, 943, 1_682)
    first = found.interactions.rows.iloc[0]
    assert (found.user_ids.values[first["user"]], found.item_ids.values[first["item"]], first["value"]) == (
        "196",
        "242",
        3,
    )
    assert first["time"] == pd.Timestamp(881250949, unit="s")
    assert found.items["item_id"].tolist() == [str(number) for number in range(1, 1_683)]
    assert found.items.loc[0, ["title", "year", "genres"]].tolist() == [
        "Toy Story",
        1995,
        "Animation, Children's, Comedy",
    ]
    assert found.users.loc[0].tolist() == ["1", 24, "M", "technician", "85711"]
    assert found.explicit and sorted(found.interactions.value.unique()) == [1, 2, 3, 4, 5]
    assert (found.items["title"] == "Misérables, Les").any() and (found.items["title"] == "Net, The").any()


def test_ml_1m_counts():
    found = load.load("ml-1m")
    assert (len(found.interactions), len(found.users), len(found.items)) == (1_000_209, 6_040, 3_883)
    assert found.interactions.item.nunique() == 3_706
    assert found.users["user_id"].tolist() == [str(number) for number in range(1, 6_041)]
    assert found.items.loc[0, ["item_id", "title", "year"]].tolist() == ["Toy Story (1995)", "Toy Story", 1995]
    assert "177 films without a rating." in found.notes


def test_online_retail_counts():
    found = load.load("online-retail")
    assert "4,372 customers and 269,157 pairs read" in found.notes[1]
    assert len(found.items) + len(formats.NOT_PRODUCTS) == 3_885  # titles before dropping
    assert (len(found.interactions), len(found.users)) == (268_237, 4_363)
    assert not set(found.items["title"]) & set(formats.NOT_PRODUCTS)
    assert "synthetic" in found.notes[0] and not found.explicit


def test_articles_counts():
    found = load.as_published("articles")
    assert "45,993 views read; 17 without a reader" in found.notes[0]
    assert (len(found.users), len(found.items), int((found.items["body"] != "").sum())) == (5_148, 714, 437)
    assert len(found.interactions) == 33_669 and found.interactions.value.sum() == 45_993 - 17
    assert not found.interactions.rows.duplicated(["user", "item"]).any()
    assert not found.items["title"].str.contains("dtype").any()
    once = load.load("articles")
    assert (len(once.users), len(once.items), len(once.interactions)) == (2_896, 714, 18_144), "the copy is left out"
