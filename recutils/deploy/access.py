"""Who may ask, and how often: API keys kept as hashes, scopes, expiry, and a token bucket for each caller. No HTTP.

A key is shown once, when it is made; what is kept is its sha256. That suffices here because keys are 256 random bits,
not passwords: nobody can guess one from its hash (OWASP asks for slow hashes where people choose the secret).
"""

import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recutils import runs
from recutils.tables import Problem

LOG = logging.getLogger("recutils.service")
READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)
SKEW = 60.0  # seconds by which two clocks may differ before a key counts as expired
MOST_CALLERS = 10_000  # callers that a limiter remembers; the one not seen for longest is forgotten first


@dataclass(frozen=True)
class Key:
    """What is kept of an API key. expires: seconds since 1970, or None."""

    name: str
    digest: str
    scopes: tuple[str, ...]
    expires: float | None = None


@dataclass(frozen=True)
class Granted:
    """Who asks, and what they may do."""

    name: str
    scopes: tuple[str, ...]


def digest(secret: str) -> str:
    """sha256 of a key, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key(
    name: str, scopes: Sequence[str], *, days: float | None = None, now: float | None = None
) -> tuple[str, Key]:
    """A fresh key: the secret, to be shown once, and what is kept. Raises Problem for odd scopes or days."""
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Problem(f"scopes are some of {', '.join(SCOPES)}; got {list(scopes)}")
    if days is not None and not 0 < days < math.inf:
        raise Problem(f"a key is valid for a number of days above 0, or without end (no --days); got {days}")
    secret = secrets.token_urlsafe(32)
    expires = None if days is None else (time.time() if now is None else now) + 86_400 * days
    return secret, Key(name, digest(secret), tuple(scopes), expires)


@dataclass(frozen=True)
class Keys:
    """The keys of a service. Without any, only a service that was told to be open answers."""

    kept: tuple[Key, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """From a JSON file that `save` wrote. Raises Problem for anything else, and where others may change it."""
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["keys"]
            kept = tuple(_key(row) for row in rows)
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise Problem(
                f"{path} is no file of keys ({type(fault).__name__}). Make one: python -m recutils key."
            ) from fault
        _check_mode(path)
        return cls(kept)

    def save(self, path: Path) -> Path:
        """Write whole or not at all, readable by its owner only."""
        rows = [vars(key) | {"scopes": list(key.scopes)} for key in self.kept]
        runs.write_text(path, json.dumps({"keys": rows}, indent=1) + "\n")
        path.chmod(0o600)  # until here others could at most read hashes, which open nothing
        return path

    def without(self, name: str) -> "Keys":
        """The same without one holder. Raises Problem for an unknown name."""
        left = tuple(key for key in self.kept if key.name != name)
        if len(left) == len(self.kept):
            raise Problem(f"no key is called {name!r}; there are {', '.join(key.name for key in self.kept) or 'none'}.")
        return Keys(left)

    def grant(self, secret: str, *, now: float | None = None) -> Granted | None:
        """Who holds this secret; None for an unknown or expired one. Every key is compared, in constant time each."""
        asked, found = digest(secret), None
        for key in self.kept:
            if hmac.compare_digest(asked, key.digest):
                found = key
        moment = time.time() if now is None else now
        if found is None or (found.expires is not None and moment > found.expires + SKEW):
            return None
        return Granted(found.name, found.scopes)


def _key(row: dict[str, Any]) -> Key:
    """A row of a file of keys. Raises ValueError, KeyError or TypeError for what `save` does not write."""
    key = Key(row["name"], row["digest"], tuple(row["scopes"]), row["expires"])
    named = isinstance(key.name, str) and re.fullmatch("[0-9a-f]{64}", key.digest)
    allowed = isinstance(row["scopes"], list) and key.scopes and set(key.scopes) <= set(SCOPES)
    ends = key.expires is None or (isinstance(key.expires, float | int) and math.isfinite(key.expires))
    if not (named and allowed and ends):
        raise ValueError("a key has a name, a sha256, scopes and an end")
    return key


def _check_mode(path: Path) -> None:
    """Raise Problem where others may put keys of their own into the file; warn where they may read the hashes."""
    mode = path.stat().st_mode & 0o777 if os.name == "posix" else 0
    if mode & 0o022:
        raise Problem(f"{path} may be changed by others (mode {mode:03o}): they could let themselves in. chmod 600 it.")
    if mode & 0o044:
        LOG.warning("the file of keys may be read by others (mode %03o); chmod 600 it", mode)


@dataclass
class KeyFile:
    """The keys of a file, read again when it changes: a key that is revoked ends without a restart.

    A file that is gone or damaged lets nobody in until it is whole again. every: seconds between two looks at it.
    """

    path: Path
    every: float = 1.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Read it. Raises Problem where that fails."""
        self._seen, self._looked = _stamp(self.path), self.clock()
        self._keys = Keys.load(self.path)

    def grant(self, secret: str, *, now: float | None = None) -> Granted | None:
        """As Keys.grant, by the file as it is."""
        if self.clock() - self._looked >= self.every:
            self._look()
        return self._keys.grant(secret, now=now)

    def _look(self) -> None:
        self._looked, stamp = self.clock(), _stamp(self.path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = Keys.load(self.path)
            LOG.info("keys read again: %d", len(self._keys.kept))
        except (Problem, OSError) as fault:
            self._keys = Keys()
            LOG.error("nobody is let in: %s", fault)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


@dataclass
class Limiter:
    """A token bucket for each caller: `rate` requests a second on average, `burst` at once.

    clock: seconds that never go back (a wall clock may).
    """

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, caller: str, cost: float = 1.0) -> float:
        """0 where the request may pass, else the seconds after which it may. What is refused is not charged.

        cost: how many plain requests it counts as; more than a burst counts as a burst, since it could never pass.
        """
        now, cost = self.clock(), min(cost, self.burst)
        left, then = self._buckets.pop(caller, (self.burst, now))
        left = min(self.burst, left + self.rate * max(now - then, 0.0))
        passed = left >= cost
        self._buckets[caller] = (left - cost * passed, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if passed else (cost - left) / self.rate
