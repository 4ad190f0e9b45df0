"""Guesses on a stranger's columns: planted folders whose meaning is known, and folders that must stay doubtful."""

import pytest

from recutils.data.folder import read_folder
from recutils.data.guess import LIKELY, SURE, UNSURE, propose
from recutils.data.names import named, near
from recutils.tables import Problem

EVENTS = "customer;sku;when;stars\n" + "".join(
    f"c{n % 30};s{n % 41};{1 + n % 28:02d}.03.2024;{n % 5 + 1},5\n" for n in range(400)
)
ITEMS = "sku;name\n" + "".join(f"s{n};Thing number {n}\n" for n in range(45))


@pytest.fixture
def own(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def meant(folder):
    return {(one.about, one.ours): (one.theirs, one.sure) for one in propose(folder).guesses}


def test_names_and_cells_that_agree_are_sure(own):
    found = meant(own(orders_csv=EVENTS, goods_csv=ITEMS))
    assert found["files", "interactions"] == ("orders.csv", SURE) and found["files", "items"] == ("goods.csv", SURE)
    wanted = {"user_id": "customer", "item_id": "sku", "time": "when", "value": "stars"}
    assert {ours: found["interactions", ours] for ours in wanted} == {a: (b, SURE) for a, b in wanted.items()}
    assert found["cells", "dates"] == ("day first", SURE) and found["cells", "decimal"] == (",", SURE)


def test_the_proposal_is_a_dataset_toml_that_the_reader_takes(own):
    folder = own(orders_csv=EVENTS, goods_csv=ITEMS)
    (folder / "dataset.toml").write_text(propose(folder).to_toml(), encoding="utf-8")
    found = read_folder(folder)
    assert len(found.interactions) == len({(n % 30, n % 41) for n in range(400)})
    assert found.interactions.time.max().isoformat() == "2024-03-28T00:00:00"
    assert sorted(found.interactions.value.unique()) == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_a_date_that_two_orders_can_read_is_unsure(own):
    low = EVENTS.replace(".03.2024", ".03.2024").replace("customer", "client")
    low = "\n".join(line for line in low.splitlines() if not any(f";{day}.03" in line for day in range(13, 32)))
    proposal = propose(own(orders_csv=low, goods_csv=ITEMS))
    assert [one.ours for one in proposal.doubtful] == ["dates"] and "month first" in proposal.doubtful[0].why


def test_two_columns_of_users_stand_for_one_doubt(own):
    text = "customer,client,sku\n" + "".join(f"a{n % 25},b{n % 23},s{n % 41}\n" for n in range(400))
    proposal = propose(own(orders_csv=text, goods_csv=ITEMS))
    doubt = next(one for one in proposal.doubtful if one.ours == "user_id")
    assert {"customer", "client"} == {doubt.theirs, doubt.why.split("'")[1]}


def test_users_numbered_like_items_are_told_apart_by_name_or_not_at_all(own):
    rows = "".join(f"{n % 30},{n % 41}\n" for n in range(600))
    items = "sku,name\n" + "".join(f"{n},Thing number {n}\n" for n in range(45))
    found = meant(own(orders_csv="buyer,sku\n" + rows, goods_csv=items))
    assert found["interactions", "item_id"][0] == "sku" and found["interactions", "user_id"] == ("buyer", SURE)
    mute = propose(own(orders_csv="f1,f2\n" + rows, goods_csv=items))
    assert {"item_id", "user_id"} <= {one.ours for one in mute.doubtful}


def test_unix_times_and_a_single_file(own):
    text = "uid|film|ts\n" + "".join(f"u{n % 25}|f{n % 40}|{1_700_000_000 + n}\n" for n in range(300))
    proposal = propose(own(log_txt=text.replace("ts", "created_at")))
    found = {one.ours: (one.theirs, one.sure) for one in proposal.guesses}
    assert found["time"] == ("created_at", SURE) and found["interactions"] == ("log.txt", LIKELY)
    assert ("cells", "dates") not in {(one.about, one.ours) for one in proposal.guesses}


def test_running_numbers_are_no_users(own):
    text = "order,sku\n" + "".join(f"{n:06d},s{n % 41}\n" for n in range(400))
    proposal = propose(own(orders_csv=text, goods_csv=ITEMS))
    users = [one for one in proposal.guesses if one.ours == "user_id"]
    assert proposal.missing == ("user_id",) or users[0].sure == UNSURE


def test_folders_that_hold_nothing_are_refused(own, tmp_path):
    with pytest.raises(Problem, match="no table with two columns"):
        propose(own(notes_txt="only one column\nx\n"))
    with pytest.raises(Problem, match="is no folder"):
        propose(tmp_path / "absent")


@pytest.mark.parametrize(
    ("ours", "theirs", "points"),
    [("user_id", "Kunden-Nr", 1.0), ("user_id", "customerId", 1.0), ("item_id", "Artikel Nr", 1.0),
     ("time", "whenn", 0.0), ("value", "My Rating", 0.6),
     ("value", "rateing", 0.4), ("time", "price", 0.0), ("title", "Bezeichnung", 1.0)],
)  # fmt: skip
def test_names(ours, theirs, points):
    assert named(ours, theirs) == points


def test_near_names_come_best_first():
    assert near("value", ["price", "my rating", "stars"]) == ["stars", "my rating"]
