"""The service under load: open loop, 10,000 requests, 5 repeats; start, memory, exchanged bundles.

Run: PYTHONPATH=. python benchmarks/bench_serve.py [--requests 10000] [--repeats 5] [--texts 2000]

The real service and the load generator are two processes on this machine; nothing else should run. Known people are
asked for at 200 a second, texts at 20 a second, each text once, so that nothing kept from before helps. Bounded:
a request counts as lost after 10 s; at the defaults it takes about 15 minutes. Prints; it records nothing.
"""

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np

from recutils.data.load import load
from recutils.deploy.build import build
from recutils.deploy.bundle import Bundle
from recutils.deploy.load import Ask, Load, offered
from recutils.deploy.load_report import Spread, knee, ladder, latencies, percentiles, repeated, spread
from recutils.deploy.running import Running, running
from recutils.deploy.shelf import Shelf

SEED = 7
USERS, TEXTS = 200.0, 20.0  # requests per second
STEPS = (100, 200, 300, 400, 500, 600, 800, 1000, 1500)
MOST_MS = 20.0


def people(bundle: Bundle, n: int, seed: int) -> list[Ask]:
    """n requests for lists of people drawn at random."""
    drawn = np.random.default_rng(seed).choice(bundle.user_ids, n)
    return [("GET", f"/v1/users/{name}/recommendations?k=10", None) for name in drawn]


def texts(bundle: Bundle, n: int, seed: int) -> list[Ask]:
    """n requests with different texts."""
    titles = np.random.default_rng(seed).permutation(bundle.items["title"].astype(str).to_numpy())
    asked = [f"number {seed}-{place}, something like {titles[place % len(titles)]}" for place in range(n)]
    return [("POST", "/v1/recommendations/text", {"text": one, "k": 10}) for one in asked]


def starts(shelf: Shelf, repeats: int) -> tuple[Spread, Spread]:
    """Seconds to ready, and until texts are met by meaning."""
    found = []
    for _ in range(repeats):
        with running(shelf) as service:
            found.append((service.ready_seconds, service.whole_seconds))
    ready, whole = zip(*found, strict=True)
    return spread(ready), spread(whole)


def exchanged(service: Running, shelf: Shelf, bundle: Bundle, asks: list[Ask]) -> Load:
    """The load while other bundles are published and taken over, one after the other."""
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=service.url, timeout=30) as client:
        asking, number = pool.submit(offered, service.url, asks, USERS, seed=SEED), 0
        while not asking.done():
            number += 1
            shelf.publish(replace(bundle, notes=(f"exchange {number}",)))
            client.post("/admin/reload").raise_for_status()
        print(f"{number} bundles exchanged", end=": ")
        return asking.result()


def measure(service: Running, shelf: Shelf, bundle: Bundle, asked: argparse.Namespace) -> None:
    """Print every figure of one running service."""
    loads = {
        "known people": repeated(
            service.url, [people(bundle, asked.requests, SEED + one) for one in range(asked.repeats)], USERS, seed=SEED
        ),
        "texts": repeated(
            service.url, [texts(bundle, asked.texts, SEED + one) for one in range(asked.repeats)], TEXTS, seed=SEED
        ),
    }
    print(latencies(loads).to_string(index=False), flush=True)
    told = exchanged(service, shelf, bundle, people(bundle, min(asked.requests, 4000), SEED))
    print(f"{told.statuses()}, p99 {told.percentile(0.99):.1f} ms", flush=True)
    steps = ladder(service.url, people(bundle, 2000, SEED), STEPS, seconds=5, seed=SEED)
    print(steps.round(3).to_string(index=False))
    print(f"p99 within {MOST_MS:g} ms up to {knee(steps, MOST_MS):g} requests/s", flush=True)
    after = repeated(service.url, [people(bundle, 1000, SEED + one) for one in range(asked.repeats)], USERS, seed=SEED)
    print(f"after the overload: p99 {percentiles(after)['p99']} ms at {USERS:g}/s")
    print(f"memory {service.memory():.0f} MB, {service.peak_memory():.0f} MB at most")


def main() -> None:
    """Build a bundle of ml-100k in a folder of its own, start the service, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000, help="for known people, in each repeat")
    parser.add_argument("--texts", type=int, default=2_000, help="in each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default="ml-100k")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder) / "shelf")
        bundle = build(load(asked.data))
        shelf.publish(bundle)
        ready, whole = starts(shelf, asked.repeats)
        print(f"start to ready {ready} s; texts by meaning after {whole} s", flush=True)
        with running(shelf) as service:
            measure(service, shelf, bundle, asked)


if __name__ == "__main__":
    main()
