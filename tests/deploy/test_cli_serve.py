"""The commands bundle, serve and key: what they refuse, and a bundle from real films to answers."""

from pathlib import Path

import pytest

from recutils.__main__ import main
from recutils.deploy import cli_serve
from recutils.deploy.access import Keys
from recutils.deploy.bundle import load
from recutils.deploy.engine import PERSONAL, Engine
from recutils.deploy.feedback import FeedbackLog
from recutils.deploy.shelf import Shelf


def test_a_key_is_shown_once_and_names_are_not_given_twice(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "keys.json"
    asked = ["key", "--file", str(path), "--name", "shop", "--scopes", "read", "write"]
    assert main(asked) == 0
    secret = capsys.readouterr().out.split("\n")[0]
    assert Keys.load(path).grant(secret).scopes == ("read", "write") and secret not in path.read_text()
    assert main(asked) == 2 and "already" in capsys.readouterr().err


def test_an_open_service_stays_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--shelf", str(tmp_path)]) == 2
    assert "give --keys" in capsys.readouterr().err


def test_serving_an_empty_shelf_says_how_to_fill_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["serve", "--shelf", str(tmp_path)]) == 2
    assert "make bundle" in capsys.readouterr().err


def test_a_bundle_of_real_films_answers_and_can_be_rolled_back(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shelf = tmp_path / "shelf"
    for model in ("popularity", "ease"):
        assert main(["bundle", "--model", model, "--encoder", "", "--shelf", str(shelf)]) == 0
    bundle = load(Shelf(shelf).current())
    figures = {one["model"]: one["value"] for one in bundle.figures}
    assert bundle.model.name == "ease" and 0 < figures["popularity"] < figures["ease"]
    found = Engine(bundle).for_user("196", 10)
    assert found.how == PERSONAL and len(found.items) == 10
    log = FeedbackLog(tmp_path / "log")
    log.append([{"id": "a", "user": "new one", "item": "50", "kind": "choose", "time": "2000-01-01T00:00:00+00:00"}])
    log.close()
    capsys.readouterr()
    assert main(["bundle", "--fold", str(tmp_path / "log"), "--shelf", str(shelf)]) == 0
    assert "taken: 1, new people: 1" in capsys.readouterr().out
    assert Engine(load(Shelf(shelf).current())).for_user("new one", 10).how == PERSONAL
    assert main(["bundle", "--fold", str(shelf), "--shelf", str(shelf)]) == 2
    assert "holds no feedback log" in capsys.readouterr().err
    for _ in range(2):
        assert main(["bundle", "--rollback", "--shelf", str(shelf)]) == 0
    assert load(Shelf(shelf).current()).model.name == "popularity"
    assert main(["bundle", "--model", "svd", "--encoder", "", "--shelf", str(shelf)]) == 2
    assert "a bundle serves" in capsys.readouterr().err


def test_the_served_encoder_is_the_bundles_own(tmp_path: Path) -> None:
    parser_defaults = {"shelf": tmp_path, "keys": None, "feedback": None, "rate": 1000.0}
    main(["bundle", "--model", "popularity", "--encoder", "", "--shelf", str(tmp_path)])
    import argparse

    asked = cli_serve.settings(argparse.Namespace(**parser_defaults))
    assert asked.encode is None and asked.reader is None and asked.open_to_all
