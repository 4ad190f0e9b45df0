"""Who may ask, and how often: API keys kept as hashes, scopes, expiry, and a token bucket for each caller. No HTTP.

A key is shown once, when it is made; what is kept is its sha256. That suffices here because keys are 256 random bits,
not passwords: nobody can guess one from its hash (OWASP asks for slow hashes where people choose the secret).
"""

import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recutils import runs
from recutils.tables import Problem

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
    """A fresh key: the secret, to be shown once, and what is kept. Raises Problem for an unknown scope."""
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Problem(f"scopes are some of {', '.join(SCOPES)}; got {list(scopes)}")
    secret = secrets.token_urlsafe(32)
    expires = None if days is None else (time.time() if now is None else now) + 86_400 * days
    return secret, Key(name, digest(secret), tuple(scopes), expires)


@dataclass(frozen=True)
class Keys:
    """The keys of a service. Without any, only a service that was told to be open answers."""

    kept: tuple[Key, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """From a JSON file that `save` wrote. Raises Problem for anything else."""
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["keys"]
            return cls(tuple(Key(row["name"], row["digest"], tuple(row["scopes"]), row["expires"]) for row in rows))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise Problem(
                f"{path} is no file of keys ({type(fault).__name__}). Make one: python -m recutils key."
            ) from fault

    def save(self, path: Path) -> Path:
        """Write whole or not at all, readable by its owner only."""
        rows = [vars(key) | {"scopes": list(key.scopes)} for key in self.kept]
        runs.write_text(path, json.dumps({"keys": rows}, indent=1) + "\n")
        path.chmod(0o600)
        return path

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


@dataclass
class Limiter:
    """A token bucket for each caller: `rate` requests a second on average, `burst` at once.

    clock: seconds that never go back (a wall clock may).
    """

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, caller: str) -> float:
        """0 where the request may pass, else the seconds after which the next one may."""
        now = self.clock()
        left, then = self._buckets.pop(caller, (self.burst, now))
        left = min(self.burst, left + self.rate * max(now - then, 0.0))
        passed = left >= 1
        self._buckets[caller] = (left - passed, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if passed else (1 - left) / self.rate
