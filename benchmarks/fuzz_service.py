"""10,000 malformed requests against the real service in a process of its own: none may fail it, hang it or open it.

    python benchmarks/fuzz_service.py [--requests 10000] [--seed 7] [--shelf DIR]

Kinds: whole requests that are wrong in content (hypothesis), requests against the OpenAPI schema (schemathesis), both
again without a key or with one that is wrong, expired or revoked, and bytes that are no HTTP or half of it. Then many
connections are left half open. Prints the answers by status and the slowest of each kind. Ends with 1 on a 5xx that is
no deliberate 503 or 504, on an answer that does not come in 10 s, on anything served without a key, and on a log that
repeats what was sent. The same seed sends the same requests, as long as hypothesis stays the same.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recutils.deploy.access import ADMIN, READ, WRITE, Keys, new_key
from recutils.deploy.bundle import MODELS, Bundle
from recutils.deploy.connection import Connection
from recutils.deploy.routes import create
from recutils.deploy.running import running
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from tests.conftest import made
from tests.deploy.malformed import PRIVATE, Asked, against_schema, asked, broken, taken, wrong

PATIENCE = 10.0  # seconds without an end after which a request counts as hanging
SILENCE = 0.5  # seconds after which whoever sent half a request goes away
TOGETHER = 32  # connections at once
LEFT_OPEN = 100
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")


@dataclass
class Tally:
    """What became of one kind of requests."""

    n: int = 0
    statuses: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)


def planted(folder: Path) -> Shelf:
    """A shelf with a small bundle of two tastes."""
    import pandas as pd

    ratings = made()
    ids = [f"i{row}" for row in range(ratings.n_items)]
    items = pd.DataFrame({"item_id": ids, "title": ids, "text": [f"tea pot number {row}" for row in range(len(ids))]})
    users = pd.Series([f"u{row}" for row in range(ratings.n_users)]).to_numpy(dtype=str)
    shelf = Shelf(folder / "shelf")
    shelf.publish(Bundle(MODELS["ease"]().fit(ratings), items, users, ratings.matrix()))
    return shelf


async def exchange(at: tuple[str, int], content: bytes, half: bool) -> bytes:
    """What comes back until the service closes. half: leave after a silence, as who sent half a request does.

    Raises TimeoutError where it does not close.
    """
    reader, writer = await asyncio.open_connection(*at)
    found = bytearray()
    try:
        with suppress(ConnectionError):  # a reset is an answer, too: it refuses what is still being sent
            writer.write(content)
            while half and (part := await asyncio.wait_for(reader.read(65_536), SILENCE)):
                found += part
    except TimeoutError:
        with suppress(OSError):
            writer.write_eof()
    try:
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while part := await reader.read(65_536):
                    found += part
    finally:
        writer.transport.abort()
    return bytes(found)


async def send(at: tuple[str, int], wires: list[tuple[bytes, str]], *, keyed: bool, half: bool) -> Tally:
    """Send all, several at once; wires: the bytes and, where it is known, the path that they ask for."""
    tally, left = Tally(len(wires)), iter(wires)

    async def worker() -> None:
        for wire, path in left:
            started = time.perf_counter()
            try:
                answer = await exchange(at, wire, half)
            except TimeoutError:
                tally.faults.append(f"no end in {PATIENCE:g} s: {wire[:120]!r}")
                continue
            tally.slowest = max(tally.slowest, time.perf_counter() - started - SILENCE * half)
            statuses = [int(one) for one in STATUS.findall(answer)] or [0]
            tally.statuses.update(statuses)
            faults = [wrong(one, answer, keyed=keyed, path=path) for one in statuses]
            faults += ["no answer"] * (not half and statuses == [0])
            tally.faults += [f"{fault} to {wire[:200]!r}" for fault in faults if fault]

    await asyncio.gather(*(worker() for _ in range(TOGETHER)))
    return tally


async def leave_open(at: tuple[str, int]) -> Tally:
    """Half requests whose senders stay: each must be cut off."""
    tally, limit = Tally(LEFT_OPEN), Connection.seconds + PATIENCE

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(*at)
        writer.write((b"", b"GET /v1/us", b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n")[number % 3])
        started = time.perf_counter()
        try:
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), limit)
        except TimeoutError:
            tally.faults.append(f"left open for {limit:g} s")
        tally.statuses[0] += 1
        tally.slowest = max(tally.slowest, time.perf_counter() - started)
        writer.transport.abort()

    await asyncio.gather(*(one(number) for number in range(LEFT_OPEN)))
    return tally


def keys(path: Path) -> tuple[list[str], list[str]]:
    """Secrets that open everything, and some that open nothing; the file is written."""
    good = [new_key(f"good {number}", [READ, WRITE, ADMIN]) for number in range(4)]
    late, gone = new_key("late", [READ, WRITE, ADMIN], days=1, now=0.0), new_key("gone", [READ])
    Keys((*(key for _, key in good), late[1])).save(path)
    secrets = [secret for secret, _ in good]
    return secrets, ["", late[0], gone[0], good[0][1].digest, secrets[0][:-1], secrets[0] + "A", "null", "\x7f"]


def whole(requests: list[Asked], secrets: list[str]) -> list[tuple[bytes, str]]:
    """The requests as bytes, each with the next of the secrets ("" for no header), and their paths."""
    found = []
    for number, one in enumerate(requests):
        secret = secrets[number % len(secrets)]
        keyed = one.having((b"x-api-key", secret.encode())) if secret else one
        found.append((keyed.wire(), one.path))
    return found


def examples(shelf: Shelf, n: int, seed: int) -> tuple[list[Asked], list[Asked]]:
    """n requests of wrong content and n against the schema."""
    document = create(Settings(shelf, open_to_all=True)).openapi()
    strategies = [strategy for _, strategy in against_schema(document)]
    each = -(-n // len(strategies))
    found = [one for number, strategy in enumerate(strategies) for one in taken(strategy, each, seed + number)]
    return taken(asked(), n, seed), found[:n]


def attack(shelf: Shelf, folder: Path, n: int, seed: int) -> tuple[dict[str, Tally], list[str]]:
    """What became of each kind, and what is wrong with the service afterwards."""
    good, bad = keys(folder / "keys.json")
    content, schema = examples(shelf, n * 3 // 10, seed)
    free = [one for pair in zip(content, schema, strict=True) for one in pair][: n * 2 // 10]
    left = n - len(content) - len(schema) - len(free)
    raw = [(wire, "") for wire in taken(broken(good[0].encode()), left // 2, seed)]
    raw_free = [(wire, "") for wire in taken(broken(b""), left - len(raw), seed + 1)]
    print(f"{n:,} requests generated from seed {seed}")
    with running(shelf, args=("--keys", str(folder / "keys.json"), "--feedback", str(folder / "log"))) as service:
        at = urlsplit(service.url).hostname, urlsplit(service.url).port
        tallies = {
            "wrong content": asyncio.run(send(at, whole(content, good), keyed=True, half=False)),
            "against the schema": asyncio.run(send(at, whole(schema, good), keyed=True, half=False)),
            "without a valid key": asyncio.run(send(at, whole(free, bad), keyed=False, half=False)),
            "no HTTP, with a key": asyncio.run(send(at, raw, keyed=True, half=True)),
            "no HTTP, without": asyncio.run(send(at, raw_free, keyed=False, half=True)),
            "left half open": asyncio.run(leave_open(at)),
        }
        return tallies, asyncio.run(after(at, good[0], service.said(), service.process.poll()))


async def after(at: tuple[str, int], secret: str, log: str, ended: int | None) -> list[str]:
    """What is wrong when all is over: the service lives, answers, counts nobody as waiting, and told no secrets."""
    faults = [] if ended is None else [f"the service ended with {ended}"]
    key = (b"x-api-key", secret.encode())
    listed = await exchange(at, Asked(b"GET", b"/v1/users/u1/recommendations", (key,)).wire(), False)
    counted = await exchange(at, Asked(b"GET", b"/metrics", (key,)).wire(), False)
    faults += [] if b'"how":"' in listed else [f"a good request is not answered: {listed[:300]!r}"]
    faults += [] if b"recutils_in_flight 1.0" in counted else ["requests count as being answered that are not"]
    told = log + counted.decode()
    faults += [f"the log or the counters hold {name}: {told[told.index(text) :][:300]!r}" for name, text in {
        "a caller's text": PRIVATE, "a key": secret, "the words of a fault": "Traceback",
    }.items() if text in told]  # fmt: skip
    return faults


def show(tallies: dict[str, Tally], faults: list[str]) -> int:
    """Print the table; the exit code."""
    seen = sorted({status for tally in tallies.values() for status in tally.statuses})
    print(f"{'kind':<22}{'sent':>8}" + "".join(f"{status or 'none':>7}" for status in seen) + f"{'slowest s':>11}")
    for kind, tally in tallies.items():
        counts = "".join(f"{tally.statuses[status] or '':>7}" for status in seen)
        print(f"{kind:<22}{tally.n:>8,}{counts}{tally.slowest:>11.2f}")
    faults = [*faults, *(f"{kind}: {fault}" for kind, tally in tallies.items() for fault in tally.faults)]
    print(f"{sum(tally.n for tally in tallies.values()):,} sent, {len(faults)} faults")
    for fault in faults[:20]:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def main() -> int:
    """Run all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--shelf", type=Path, help="a shelf with a bundle (default: a small planted one)")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recutils-fuzz-") as name:
        folder = Path(name)
        return show(*attack(Shelf(told.shelf) if told.shelf else planted(folder), folder, told.requests, told.seed))


if __name__ == "__main__":
    sys.exit(main())
