"""The user's own files: what is read, and for each fault the file, the line and the cure."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import load
from recutils.data.cells import read_csv
from recutils.data.folder import read_folder
from recutils.tables import Problem

EVENTS = "user_id,item_id,value,time\nu1,a,5,100\nu2,b,3,200\nu1,b,4,300\n"
ITEMS = "item_id,title,genres\nb,The Boat,Drama\na,An Apple,Food\n"


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()

    def write(interactions=EVENTS, items=ITEMS, *, encoding="utf-8", **others):
        for name, text in {"interactions.csv": interactions, "items.csv": items, **others}.items():
            path = folder / name.replace("_csv", ".csv").replace("_toml", ".toml")
            if text is not None:
                path.write_bytes(text.encode(encoding))
        return folder

    return write


def refused(folder, *pieces):
    with pytest.raises(Problem) as caught:
        read_folder(folder)
    for piece in pieces:
        assert piece in str(caught.value)


def test_a_folder_is_a_data_set_like_any_other(own):
    found = read_folder(own())
    assert found.name == "shop" and found.explicit
    assert found.items["title"].tolist() == ["The Boat", "An Apple"] and found.items["genres"].tolist() == [
        "Drama",
        "Food",
    ]
    assert found.users["user_id"].tolist() == ["u1", "u2"]
    assert found.interactions.rows[["user", "item", "value"]].to_numpy().tolist() == [[0, 1, 5], [1, 0, 3], [0, 0, 4]]
    assert found.interactions.time.tolist() == list(pd.to_datetime([100, 200, 300], unit="s"))


def test_without_value_time_users_and_items(own):
    found = read_folder(own("user_id,item_id\nu,x\nu,y\n", None))
    assert found.interactions.value.tolist() == [1, 1] and not found.interactions.has_time and not found.explicit
    assert found.items["title"].tolist() == ["x", "y"]
    assert "There is no items.csv" in found.notes[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_separators_and_encodings(own, separator, encoding):
    items = 'item_id,title\na,"Café , no; 1"\nb,Boat\n'.replace(",", separator).replace(f" {separator} no", ", no")
    found = read_folder(own(EVENTS.replace(",", separator), items, encoding=encoding))
    assert found.items["title"].tolist() == ["Café, no; 1", "Boat"]
    assert any("latin-1" in note for note in found.notes) == (encoding == "latin-1")


def test_mapping_of_columns(own):
    toml = 'name = "my shop"\n[columns]\nuser_id = "customer"\ntime = "when"\n'
    toml += '[columns.interactions]\nitem_id = "sku"\n[columns.items]\nitem_id = "id"\ntitle = "name"\n'
    events = "customer,sku,when\n1,01,2024-05-01\n2,02,2024-05-02T10:00:00+02:00\n"
    found = read_folder(own(events, "id,name,title\n01,Chair,seat\n02,Table,desk\n", dataset_toml=toml))
    assert found.name == "my shop" and found.items.columns.tolist() == ["item_id", "title"]
    assert found.items["title"].tolist() == ["Chair", "Table"] and found.items["item_id"].tolist() == ["01", "02"]
    assert found.interactions.time.tolist() == [pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-02 08:00")]


def test_mapped_columns_that_no_file_has(own):
    refused(own(dataset_toml='[columns]\ntime = "wehn"\n'), "wehn", "no file has", "Correct")


@pytest.mark.parametrize(
    ("toml", "piece"),
    [
        ("nmae = 1", "nmae"),
        ("[rules]\nduplicate = 'last'", "duplicate"),
        ("[rules]\nduplicates = 'newest'", "newest"),
        ("[rules]\nexplicit = 'yes'", "true or false"),
        ("[columns]\nuser_id = 3", "user_id"),
        ("[columns.item]\nuser_id = 'x'", "item"),
        ("name = ", "not valid TOML"),
    ],
)
def test_faults_in_dataset_toml(own, toml, piece):
    refused(own(dataset_toml=toml), "dataset.toml", piece.split("'")[0])


def test_users_keep_their_table_order_and_fields(own):
    found = read_folder(own(users_csv="user_id,age\nu2,30\nu9,40\n"))
    assert found.users["user_id"].tolist() == ["u2", "u9", "u1"] and found.users["age"].tolist() == ["30", "40", ""]
    assert any(note.startswith("1 user only in the interactions") for note in found.notes)


def test_items_that_the_table_lacks_are_kept_and_counted(own):
    found = read_folder(own(EVENTS + "u3,zzz,1,400\n"))
    assert found.items["item_id"].tolist() == ["b", "a", "zzz"] and found.items["title"].tolist()[2] == ""
    assert any(note.startswith("1 item only in the interactions") for note in found.notes)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["881250949", "881250950"], ["1997-12-04 15:55:49", "1997-12-04 15:55:50"]),
        (["881250949000", "881250950999"], ["1997-12-04 15:55:49", "1997-12-04 15:55:50"]),
        (["881250949.7", "0"], ["1997-12-04 15:55:49", "1970-01-01"]),
        (["1997-12-04", "1997-12-04 15:55:49"], ["1997-12-04", "1997-12-04 15:55:49"]),
        (["1997-12-04T15:55:49Z", "1997-12-04T15:55:49-05:00"], ["1997-12-04 15:55:49", "1997-12-04 20:55:49"]),
    ],
)
def test_times(own, cells, expected):
    text = "user_id,item_id,time\n" + "".join(f"u{n},a,{cell}\n" for n, cell in enumerate(cells))
    found = read_folder(own(text))
    assert found.interactions.time.tolist() == [pd.Timestamp(one) for one in expected]
    assert found.interactions.time.dtype == "datetime64[s]"


@pytest.mark.parametrize("broken", ["31/12/1999", "1999-13-01", "soon", "", "88125x949"])
@pytest.mark.parametrize("good", ["881250949", "1999-12-31"])
def test_broken_times_name_file_line_value_and_cure(own, broken, good):
    text = f"user_id,item_id,time\nu1,a,{good}\n\nu2,b,{broken}\nu3,a,{good}\n"  # a blank line: still line 4
    refused(own(text), "interactions.csv, line 4", f"time {broken!r}", "ISO dates")


def test_days_as_numbers_and_far_futures_are_refused(own):
    refused(own("user_id,item_id,time\nu,a,19991231\nu,b,20000101\n"), "line 2", "1970", "1997-12-04")
    refused(own("user_id,item_id,time\nu,a,1500000000\nu,b,1500000000000000\n"), "line 3", "1500000000000000")


def test_lines_count_cells_with_line_breaks(own):
    items = 'item_id,title\na,"two\nlines"\n\nb,x\na,again\n'
    refused(own(items=items), "items.csv, line 2", "item_id 'a'", "on lines 2, 6", "each id once")


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "five", "3,5", "1e300"])
def test_values_must_be_finite_numbers(own, value):
    refused(own(f'user_id,item_id,value\nu,a,1\nu,b,"{value}"\n'), "interactions.csv, line 3", repr(value), "finite")


def test_negative_values_are_allowed(own):
    assert read_folder(own("user_id,item_id,value\nu,a,-1\nu,b,0.5\n")).interactions.value.tolist() == [-1, 0.5]


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("missing", ["", "NaN", "null", "  "])
def test_missing_ids(own, column, missing):
    row = f"{missing},a" if column == "user_id" else f"u2,{missing}"
    refused(own(f"user_id,item_id\nu1,a\n{row}\n"), "interactions.csv, line 3", column, "an id")


def test_a_missing_column_names_what_was_found(own):
    refused(
        own("user,item_id\nu,a\n"), "interactions.csv", "'user_id' is missing", "['user', 'item_id']", "dataset.toml"
    )
    refused(own(items="item_id,name\na,x\n"), "items.csv", "'title' is missing", "['item_id', 'name']")


def test_duplicate_pairs_are_refused_with_lines_and_cure(own):
    text = EVENTS + "u1,a,1,50\nu1,b,2,60\n"
    refused(own(text), "4 such rows", "on lines 2, 4, 5 ...", "'u1 and a'", 'duplicates = "last"')


@pytest.mark.parametrize(
    ("rule", "values"), [("first", [3, 4, 1]), ("last", [5, 3, 4]), ("sum", [6, 3, 4]), ("max", [5, 3, 4])]
)
def test_duplicate_pairs_by_a_stated_rule(own, rule, values):
    found = read_folder(own(EVENTS + "u1,a,1,50\n", dataset_toml=f'[rules]\nduplicates = "{rule}"\n'))
    assert found.interactions.value.tolist() == values
    assert found.notes[-1] == f"1 row of repeated pairs merged by the rule '{rule}'."
    assert found.explicit == (rule != "sum")


def test_counts_and_ratings_are_told_apart(own):
    many = "user_id,item_id,value\n" + "".join(f"u{n},a,{n}\n" for n in range(30))
    assert not read_folder(own(many)).explicit
    assert read_folder(own(many, dataset_toml="[rules]\nexplicit = true\n")).explicit
    found = read_folder(own(dataset_toml=""))
    assert found.explicit and any("explicit = false" in note for note in found.notes)


@pytest.mark.parametrize("text", ["", "\n\n", "user_id,item_id\n", "user_id,item_id\n\n \n"])
def test_empty_files(own, text):
    refused(own(text), "interactions.csv", "Export it again")


def test_other_broken_files(own, tmp_path):
    refused(own("user_id,item_id\nu,a,b\nu,b\n"), "interactions.csv", "Quote cells")
    refused(own("user_id,item_id\nu,a\nu,b,c,d\n"), "interactions.csv", "Quote cells")
    refused(own('user_id,item_id\nu,"a\nu,b\n'), "interactions.csv", "Quote cells")
    refused(own("user_id,item_id,item_id\nu,a,b\n"), "occur twice", "item_id")
    refused(own("\nuser_id,item_id\nu,a\n"), "line 1", "blank")
    refused(own("PK\x03\x04rest"), "not a text file")
    (tmp_path / "void").mkdir()
    refused(tmp_path / "void", "no interactions.csv", "user_id, item_id")


def test_titles_that_are_missing(own):
    found = read_folder(own(items="item_id,title\na,\nb,Boat\n"))
    assert "items.csv: 1 item without a title." in found.notes
    refused(own(items="item_id,title\na,\nb,\n"), "all 2 titles are empty")


def test_ids_written_in_two_ways_are_noticed(own):
    refused(own("user_id,item_id\nu,1.0\nu,2.0\n", "item_id,title\n1,x\n2,y\n"), "'1.0'", "'1'", "alike")


def test_years_become_numbers_only_when_all_are(own):
    assert read_folder(own(items="item_id,title,year\na,x,1999\nb,y,\n")).items["year"].tolist()[0] == 1999
    assert read_folder(own(items="item_id,title,year\na,x,ca 1999\nb,y,\n")).items["year"].tolist() == ["ca 1999", ""]


def test_another_language_is_noticed_once(own):
    found = read_folder(own(items="item_id,title\na,Der Untergang\nb,Das Boot und die See\n"))
    assert [note for note in found.notes if note.startswith("The default encoder is English")]


def test_unused_columns_are_said(own):
    found = read_folder(own(",user_id,item_id,price\n0,u,a,1\n1,u,b,2\n"))
    assert any("['unnamed 1', 'price']" in note for note in found.notes)


def test_a_short_row_is_a_missing_cell(own):
    refused(own("user_id,item_id\nu,a\nu\n"), "line 3", "item_id ''")


def test_own_ml_100k_equals_the_catalogues(tmp_path):
    """Our own default data set, written as a user would, comes back the same."""
    real = load.load("ml-100k")
    rows = real.interactions.rows
    events = pd.DataFrame({"user_id": real.user_ids.ids(rows["user"]), "item_id": real.item_ids.ids(rows["item"])})
    events["value"], events["time"] = rows["value"], rows["time"].astype(np.int64)
    events.to_csv(tmp_path / "interactions.csv", index=False)
    real.items.to_csv(tmp_path / "items.csv", index=False)
    real.users.to_csv(tmp_path / "users.csv", index=False)
    own = read_folder(tmp_path)
    assert own.interactions.rows.equals(rows) and own.explicit
    assert own.items["year"].equals(real.items["year"]) and own.items["title"].tolist() == real.items["title"].tolist()


def test_read_csv_keeps_text_as_it_is(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n007,NA\n", encoding="utf-8")
    assert read_csv(path).rows.loc[0].tolist() == ["007", "NA"]


def test_ids_of_mixed_types_are_read_as_text(own):
    found = read_folder(own("user_id,item_id,value\n1,007,5\nu1,7,4\n1,7.0,3\n", items=None))
    assert sorted(found.user_ids.values) == ["1", "u1"]
    assert sorted(found.item_ids.values) == ["007", "7", "7.0"], "ids that look alike as numbers stay apart"


TOML = '[files]\ninteractions = "orders.csv"\nitems = "goods.csv"\n[columns]\nitem_id = "sku"\n'
TOML += (
    '[columns.interactions]\nuser_id = "customer"\nvalue = "stars"\ntime = "when"\n[columns.items]\ntitle = "name"\n'
)
ORDERS = "customer;sku;when;stars\nu1;a;31.12.2023 14:05;4,5\nu2;b;01.02.2024;1.250,5\n"
GOODS = "sku;name\na;Chair\nb;Table\n"


def strange(own, orders=ORDERS, cells='decimal = ","\ndates = "day first"', rules="", goods=GOODS):
    toml = f"{TOML}[cells]\n{cells}\n[rules]\n{rules}\n"
    folder = own(None, None, dataset_toml=toml)
    for name, text in {"orders.csv": orders, "goods.csv": goods}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_files_columns_decimals_and_dates_are_named_in_dataset_toml(own):
    found = read_folder(strange(own))
    assert found.interactions.value.tolist() == [4.5, 1250.5] and found.items["title"].tolist() == ["Chair", "Table"]
    assert found.interactions.time.tolist() == [pd.Timestamp("2023-12-31 14:05"), pd.Timestamp("2024-02-01")]


def test_the_cache_and_the_list_file_know_files_under_other_names(own):
    from recutils.data.folder import own_files

    folder = strange(own)
    assert [path.name for path in own_files(folder)] == ["orders.csv", "goods.csv", "dataset.toml"]
    assert len(load.load(folder).interactions) == 2
    (folder / "orders.csv").write_text(ORDERS + "u3;a;02.02.2024;1\n", encoding="utf-8")
    assert len(load.load(folder).interactions) == 3


def test_a_point_is_no_decimal_where_a_comma_is(own):
    refused(strange(own, ORDERS.replace("4,5", "3.5")), "orders.csv, line 2", "'3.5'", 'decimal = "."')


@pytest.mark.parametrize(
    ("dates", "day"), [("day first", "2024-02-01"), ("month first", "2024-01-02"), ("%d.%m.%Y", "2024-02-01")]
)
def test_the_order_of_days_is_told_never_guessed(own, dates, day):
    orders = ORDERS.replace("31.12.2023 14:05", "03.04.2023")
    found = read_folder(strange(own, orders, f'decimal = ","\ndates = "{dates}"'))
    assert found.interactions.time.tolist()[1] == pd.Timestamp(day)


def test_a_day_that_does_not_exist_is_refused(own):
    refused(strange(own, ORDERS.replace("31.12.", "31.11.")), "line 2", "31.11.2023", "day first")
    refused(strange(own, cells='decimal = ","\ndates = "month first"'), "line 2", "31.12.2023", "month first")


def test_broken_rows_go_only_when_asked_and_are_counted(own):
    bad = ORDERS + "u3;a\nu4;b;soon;3\nu5;a;01.03.2024;n/a\n;a;01.03.2024;2\nu6;b;01.03.2024;2;7;8\nu7;b;05.05.2024;3\n"
    refused(strange(own, bad), "orders.csv", 'broken = "skip"')
    found = read_folder(strange(own, bad, rules='broken = "skip"', goods=GOODS + "b;Desk\n;Stool\n"))
    assert found.users["user_id"].tolist() == ["u1", "u2", "u7"] and found.items["title"].tolist() == ["Chair", "Table"]
    told = " ".join(found.notes)
    assert (
        "2 broken records on 2 lines left out (from line 4, 8)" in told
        and "time unreadable, such as 'soon' (lines 5)" in told
    )
    assert "value unreadable, such as 'n/a' (lines 6)" in told and "user_id unreadable, such as '' (lines 7)" in told
    assert "item_id repeated: the first row stays, such as 'b' (lines 4)" in told


def test_when_most_rows_would_go_the_settings_are_wrong(own):
    refused(strange(own, rules='broken = "skip"', cells='dates = "month first"'), "correct [columns], or [cells]")


@pytest.mark.parametrize(
    ("cells", "rules"),
    [('decimal = ";"', ""), ('dates = "american"', ""), ("", 'broken = "drop"'), ('datess = "iso"', "")],
)
def test_faults_in_cells_and_rules(own, cells, rules):
    refused(strange(own, cells=cells, rules=rules), "dataset.toml")


def test_files_outside_the_folder_and_absent_ones_are_refused(own):
    refused(own(dataset_toml='[files]\nitems = "../goods.csv"\n'), "names of files in this folder")
    refused(own(dataset_toml='[files]\nitems = "goods.csv"\n'), "goods.csv", "not there")


def test_a_missing_column_comes_with_the_lines_to_write(own):
    refused(
        own("Kunde,sku,value\n1,a,2\n"),
        "'user_id', 'item_id' is missing",
        "'Kunde'",
        'item_id = "sku"',
        "[columns.interactions]",
    )


def test_lines_in_two_encodings_are_each_read_in_their_own(own):
    folder = own(EVENTS, None)
    (folder / "items.csv").write_bytes(b"item_id,title\n" + "a,Café\n".encode() + "b,Öl – “gut”\n".encode("cp1252"))
    found = read_folder(folder)
    assert found.items["title"].tolist() == ["Café", "Öl – “gut”"] and any(
        "mixes encodings" in note for note in found.notes
    )


def test_windows_characters_are_read_as_such(own):
    folder = own(EVENTS, None)
    (folder / "items.csv").write_bytes(b"item_id,title\n" + "a,5 € – “x”\nb,y\n".encode("cp1252"))
    assert read_folder(folder).items["title"].tolist()[0] == "5 € – “x”"
