"""Keys are kept as hashes, expire, and a caller who asks too often is told when to come back."""

from pathlib import Path

import pytest

from recutils.deploy.access import ADMIN, MOST_CALLERS, READ, SKEW, Granted, KeyFile, Keys, Limiter, new_key
from recutils.tables import Dataset, Problem


def test_a_key_opens_what_it_was_made_for_and_its_secret_is_not_kept(tmp_path: Path) -> None:
    secret, key = new_key("shop", [READ])
    path = Keys((key, new_key("boss", [READ, ADMIN])[1])).save(tmp_path / "keys.json")
    assert secret not in path.read_text() and path.stat().st_mode & 0o077 == 0
    keys = Keys.load(path)
    assert keys.grant(secret) == Granted("shop", (READ,))
    assert keys.grant(secret + "x") is None and keys.grant("") is None and keys.grant(key.digest) is None


def test_an_expired_key_is_refused_but_clocks_may_differ_a_little() -> None:
    secret, key = new_key("shop", [READ], days=1, now=1000.0)
    keys, end = Keys((key,)), 1000.0 + 86_400
    assert keys.grant(secret, now=end - 1) and keys.grant(secret, now=end + SKEW - 1)
    assert keys.grant(secret, now=end + SKEW + 1) is None


def test_wrong_scopes_and_wrong_files_are_refused(tmp_path: Path) -> None:
    for scopes in ([], ["all"]):
        with pytest.raises(Problem, match="scopes are some of"):
            new_key("shop", scopes)
    for text in ("", "[]", '{"keys": [{"name": "a"}]}'):
        (tmp_path / "keys.json").write_text(text)
        with pytest.raises(Problem, match="no file of keys"):
            Keys.load(tmp_path / "keys.json")


def test_a_bucket_lets_a_burst_pass_and_then_the_rate() -> None:
    now = [0.0]
    limiter = Limiter(rate=2.0, burst=3.0, clock=lambda: now[0])
    assert [limiter.wait("a") for _ in range(3)] == [0.0] * 3
    assert limiter.wait("a") == pytest.approx(0.5)
    assert limiter.wait("b") == 0.0
    now[0] += 0.5
    assert limiter.wait("a") == 0.0 and limiter.wait("a") > 0
    now[0] -= 100  # a clock that goes back gives nothing and breaks nothing
    assert limiter.wait("a") > 0


def test_over_time_no_more_than_the_rate_and_one_burst_pass() -> None:
    now = [0.0]
    limiter = Limiter(rate=5.0, burst=2.0, clock=lambda: now[0])
    passed = 0
    for _ in range(1000):
        now[0] += 0.01
        passed += limiter.wait("a") == 0
    assert 50 <= passed <= 52


def test_the_limiter_forgets_whom_it_has_not_seen_for_longest() -> None:
    limiter = Limiter(rate=0.001, burst=1.0)
    for caller in range(MOST_CALLERS + 1):
        limiter.wait(str(caller))
    assert limiter.wait("0") == 0.0 and limiter.wait(str(MOST_CALLERS)) > 0


def test_a_request_that_costs_more_waits_for_more_and_is_not_charged_when_refused() -> None:
    now = [0.0]
    limiter = Limiter(rate=2.0, burst=10.0, clock=lambda: now[0])
    assert limiter.wait("a", 8) == 0.0
    assert limiter.wait("a", 8) == limiter.wait("a", 8) == pytest.approx(3.0)
    assert limiter.wait("a", 2) == 0.0
    assert limiter.wait("b", 1e9) == 0.0  # more than a burst counts as one, or it could never pass
    assert limiter.wait("b") > 0


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf")])
def test_a_key_without_a_sound_end_is_not_made(days: float) -> None:
    with pytest.raises(Problem, match="days above 0"):
        new_key("shop", [READ], days=days)


@pytest.mark.parametrize("wrong", [
    {"digest": "é" * 64}, {"digest": "00"}, {"digest": None}, {"scopes": "read"}, {"scopes": []}, {"scopes": ["all"]},
    {"expires": "tomorrow"}, {"expires": float("nan")}, {"name": 7},
])  # fmt: skip
def test_a_file_with_an_odd_key_is_refused_whole(tmp_path: Path, wrong: dict) -> None:
    import json

    path = Keys((new_key("shop", [READ])[1],)).save(tmp_path / "keys.json")
    rows = json.loads(path.read_text())
    rows["keys"].append(rows["keys"][0] | wrong)
    path.write_text(json.dumps(rows))
    with pytest.raises(Problem, match="no file of keys"):
        Keys.load(path)


def test_a_file_of_keys_that_others_may_change_is_refused_and_one_that_they_may_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Keys((new_key("shop", [READ])[1],)).save(tmp_path / "keys.json")
    assert Keys.load(path).kept and not caplog.text
    path.chmod(0o644)
    assert Keys.load(path).kept and "chmod 600" in caplog.text
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(Problem, match="may be changed by others"):
            Keys.load(path)


def test_a_changed_file_counts_at_once_and_a_damaged_one_lets_nobody_in(tmp_path: Path) -> None:
    now = [0.0]
    (first, one), (second, two) = new_key("one", [READ]), new_key("two", [READ])
    path = Keys((one,)).save(tmp_path / "keys.json")
    keys = KeyFile(path, every=1.0, clock=lambda: now[0])
    assert keys.grant(first) and not keys.grant(second)
    Keys((two,)).save(path)
    assert keys.grant(first)  # it is looked at once a second
    now[0] += 1
    assert not keys.grant(first) and keys.grant(second)
    for damage in (lambda: path.write_text("{"), path.unlink):
        damage()
        now[0] += 1
        assert keys.grant(second) is None
        Keys((two,)).save(path)
        now[0] += 1
        assert keys.grant(second)


def test_every_kept_key_is_compared_so_that_time_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    made = [new_key(str(number), [READ]) for number in range(5)]
    keys, asked = Keys(tuple(key for _, key in made)), []
    compare = hmac.compare_digest
    monkeypatch.setattr("recutils.deploy.access.hmac.compare_digest", lambda a, b: asked.append(b) or compare(a, b))
    for secret in (made[0][0], made[4][0], "none of them"):
        asked.clear()
        keys.grant(secret)
        assert asked == [key.digest for key in keys.kept]


def test_a_holder_can_be_taken_out() -> None:
    (first, one), (second, two) = new_key("one", [READ]), new_key("two", [READ])
    left = Keys((one, two)).without("one")
    assert left.grant(first) is None and left.grant(second)
    with pytest.raises(Problem, match="no key is called 'one'; there are two"):
        left.without("one")


def test_the_command_ends_a_key_and_a_served_file_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture, dataset: Dataset
) -> None:
    import argparse

    from recutils.__main__ import main
    from recutils.deploy import cli_serve
    from recutils.deploy.shelf import Shelf
    from tests.deploy.test_engine import bundle

    file = str(tmp_path / "keys.json")
    assert main(["key", "--file", file, "--name", "shop"]) == 0
    secret = capsys.readouterr().out.split("\n")[0]
    Shelf(tmp_path / "shelf").publish(bundle(dataset, texts=False))
    told = {"shelf": tmp_path / "shelf", "feedback": None, "rate": 50.0}
    kept = cli_serve.settings(argparse.Namespace(keys=Path(file), **told))
    assert isinstance(kept.keys, KeyFile) and kept.keys.grant(secret) and not kept.limits.hosts
    assert main(["key", "--file", file, "--name", "shop", "--revoke"]) == 0
    kept.keys.every = 0.0
    assert kept.keys.grant(secret) is None
    assert (
        main(["key", "--file", file, "--name", "shop", "--revoke"]) == 2
        and "no key is called" in capsys.readouterr().err
    )
    opened = cli_serve.settings(argparse.Namespace(keys=None, **told))
    assert (opened.limits.rate, opened.limits.burst) == (50.0, 100.0)
    with pytest.raises(Problem, match="--rate must be 1 request a second or more"):
        cli_serve.settings(argparse.Namespace(keys=None, **told | {"rate": 0.0}))
    assert opened.open_to_all and {"127.0.0.1", "localhost", "[::1]"} <= opened.limits.hosts
