"""The commands bundle, serve and key: what they refuse, and a bundle from real films to answers."""

import dataclasses
import errno
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from recutils.__main__ import main
from recutils.deploy import cli_serve, fold_in
from recutils.deploy.access import Keys
from recutils.deploy.bundle import load
from recutils.deploy.door import address, bound
from recutils.deploy.engine import PERSONAL, Engine
from recutils.deploy.feedback import FeedbackLog, read
from recutils.deploy.process import environment
from recutils.deploy.running import listening
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset, Problem
from tests.deploy.test_engine import bundle


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
    told = capsys.readouterr().out
    made = load(Shelf(shelf).current())
    figures = {one["model"]: one["value"] for one in made.figures}
    assert made.model.name == "ease" and 0 < figures["popularity"] < figures["ease"]
    for one in made.figures:
        assert f"{one['model']} {one['value']:.3f} ({one['low']:.3f}..{one['high']:.3f}, n {one['n']:,})" in told
    found = Engine(made).for_user("196", 10)
    assert found.how == PERSONAL and len(found.items) == 10
    log = FeedbackLog(tmp_path / "log")
    log.append([{"id": "a", "user": "new one", "item": "50", "kind": "choose", "time": "2000-01-01T00:00:00+00:00"}])
    log.close()
    capsys.readouterr()
    assert main(["bundle", "--fold", str(tmp_path / "log"), "--shelf", str(shelf)]) == 0
    told = capsys.readouterr().out
    assert "taken: 1, new people: 1" in told and "way: histories: only what people did" in told and "\nserved: " in told
    assert Engine(load(Shelf(shelf).current())).for_user("new one", 10).how == PERSONAL
    assert main(["bundle", "--fold", str(shelf), "--shelf", str(shelf)]) == 2
    assert "holds no feedback log" in capsys.readouterr().err
    for _ in range(2):
        assert main(["bundle", "--rollback", "--shelf", str(shelf)]) == 0
    assert load(Shelf(shelf).current()).model.name == "popularity"
    assert main(["bundle", "--model", "svd", "--encoder", "", "--shelf", str(shelf)]) == 2
    assert "a bundle serves" in capsys.readouterr().err


def log_of(folder: Path, items: list[str]) -> Path:
    log = FeedbackLog(folder)
    log.append([{"id": f"e{row}", "user": "u1", "item": item, "kind": "choose", "time": "2000-01-01T00:00:00+00:00"}
                for row, item in enumerate(items)])  # fmt: skip
    log.close()
    return folder


def test_a_fold_with_nothing_new_says_so_and_publishes_nothing(
    shelf: Shelf, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    served, at = shelf.current(), ["--shelf", str(shelf.place)]
    foreign = log_of(tmp_path / "foreign", ["50", "181", "423", "7"])
    assert main(["bundle", "--fold", str(foreign), *at]) == 0
    told = capsys.readouterr().out
    assert "4 of 4 choices name items that are not among the 30" in told and "belong to this data?" in told
    assert f"nothing new; the served bundle stays: {served}" in told and "\nserved:" not in told and "way:" not in told
    known = [f"i{row}" for row in dataset.interactions.matrix()[[1]].indices[:3]]
    assert main(["bundle", "--fold", str(log_of(tmp_path / "known", known)), *at]) == 0
    told = capsys.readouterr().out
    assert "nothing new" in told and "belong" not in told
    assert shelf.current() == served and shelf.history() == [served.name]


def test_what_does_not_go_together_is_refused(
    shelf: Shelf, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    at, log = ["--shelf", str(shelf.place)], str(log_of(tmp_path / "log", ["i1"]))
    for asked in (["--fold", log, "--rollback"], ["--fold", log, "--way", "other"], ["--serve", "x", "--rollback"]):
        with pytest.raises(SystemExit, match="2"):
            main(["bundle", *asked, *at])
    for asked in (["--way", "refit"], ["--fold", log, "--data", "ml-100k"], ["--rollback", "--encoder", ""]):
        assert main(["bundle", *asked, *at]) == 2
    told = capsys.readouterr().err
    assert "not allowed with" in told and "invalid choice: 'other'" in told and "--data makes a new bundle" in told
    assert tuple(cli_serve.WAYS) == fold_in.WAYS and len(shelf.history()) == 1


def test_a_version_is_served_by_its_name(shelf: Shelf, dataset: Dataset, capsys: pytest.CaptureFixture) -> None:
    first, second = shelf.current(), shelf.publish(dataclasses.replace(bundle(dataset), notes=("another",)))
    at = ["--shelf", str(shelf.place)]
    assert main(["bundle", "--rollback", *at]) == 0 and main(["bundle", "--rollback", *at]) == 2
    assert f"bundle --serve {second.name}" in capsys.readouterr().err and shelf.current() == first
    assert main(["bundle", "--serve", second.name, *at]) == 0 and shelf.current() == second
    assert main(["bundle", "--serve", "gone", *at]) == 2 and first.name in capsys.readouterr().err


def test_a_taken_port_is_told_with_its_cure_before_anything_is_loaded(
    shelf: Shelf, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_serve, "settings", lambda _: pytest.fail("the bundle is loaded for nothing"))
    with listening() as door:
        port = door.getsockname()[1]
        assert main(["serve", "--shelf", str(shelf.place), "--port", str(port)]) == 2
    told = capsys.readouterr()
    assert f"port {port} is taken. cure: `--port {port + 1}`, or end the other service" in told.err and not told.out
    for asked, said in ((["--port", "70000"], "--port must be 0"), (["--host", "localhost", "--port", "-1"], "--port")):
        assert main(["serve", "--shelf", str(shelf.place), *asked]) == 2 and said in capsys.readouterr().err


def test_an_address_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with bound("127.0.0.1", 0) as door:
        assert address(door) == f"http://127.0.0.1:{door.getsockname()[1]}/"
    monkeypatch.setattr(socket, "create_server", refused)
    with pytest.raises(Problem, match="cannot be listened on .Permission denied"):
        bound("127.0.0.1", 80)


SLOW = """
import sys, time
from recutils.__main__ import main
from recutils.deploy import cli_serve
from recutils.deploy.bundle import Reader
cli_serve._encoder = lambda name: (lambda texts: time.sleep(600), Reader("planted", "0" * 64, 3))
sys.exit(main(["serve", "--shelf", sys.argv[1], "--port", "0", "--feedback", sys.argv[2]]))
"""


def test_ctrl_c_does_not_wait_for_the_encoder_and_feedback_is_kept(shelf: Shelf, tmp_path: Path) -> None:
    """The encoder would need ten minutes. One line names address, data and bundle once the service answers."""
    command = [sys.executable, "-c", SLOW, str(shelf.place), str(tmp_path / "log")]
    pipe = subprocess.PIPE
    service = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment(), text=True)
    try:
        assert service.stdout.readline() == f"loading bundle {shelf.current().name}; the address follows\n"
        ready = service.stdout.readline()
        url = re.search(r"ready: open (http://127\.0\.0\.1:\d+)/ in a browser; ease on ", ready)[1]
        assert f"bundle {shelf.current().name}; texts are met by words, until the encoder is loaded; stop" in ready
        event = {"id": "a", "user_id": "u1", "item_id": "i1", "kind": "click", "time": "2000-01-01T00:00:00Z"}
        assert httpx.post(f"{url}/v1/feedback", json={"events": [event]}, timeout=30).status_code == 201
        service.send_signal(signal.SIGINT)
        _, told = service.communicate(timeout=60)
    finally:
        service.kill()
        service.communicate()
    assert service.returncode == 130 and told.endswith("stopped.\n")
    assert "Error" not in told and "AVX" not in told and "Traceback" not in told
    assert [one["id"] for one in read(tmp_path / "log")] == ["a"]
    FeedbackLog(tmp_path / "log").close()


def test_the_served_encoder_is_the_bundles_own(tmp_path: Path) -> None:
    parser_defaults = {"shelf": tmp_path, "keys": None, "feedback": None, "rate": 1000.0}
    main(["bundle", "--model", "popularity", "--encoder", "", "--shelf", str(tmp_path)])
    import argparse

    asked = cli_serve.settings(argparse.Namespace(**parser_defaults))
    assert asked.encode is None and asked.reader is None and asked.open_to_all
