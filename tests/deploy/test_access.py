"""Keys are kept as hashes, expire, and a caller who asks too often is told when to come back."""

from pathlib import Path

import pytest

from recutils.deploy.access import ADMIN, MOST_CALLERS, READ, SKEW, Granted, Keys, Limiter, new_key
from recutils.tables import Problem


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
