"""Cost of a fit on 10^5 to 10^7 events resampled from ml-1m: popularity, ALS, EASE, reading; with --spark Spark's ALS.

Each fit runs in a fresh process, so that its peak of memory is its own; Spark's on one cluster of two executors, after
a warm-up.
Run: PYTHONPATH=. OMP_NUM_THREADS=2 python benchmarks/bench_scale.py [--sizes N ...] [--works W ...] [--spark]
"""

import argparse
import tempfile
import time
from pathlib import Path

from recutils.data.load import load
from recutils.deploy import costs
from recutils.deploy.growth import WORKS, Grown, grow, measured
from recutils.tables import Problem

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
OPTIONS = {"als": {"factors": 32, "iterations": 10, "alpha": 1.0, "reg": 10.0}}
HEAD = f"{'work':<15} {'events':>11} {'people':>9} {'items':>7} {'seconds':>9} {'peak, MB':>9} {'libraries':>9}"


def fits(work: str, files: list[Grown]) -> list[float]:
    """Measure one work on every file and print it; seconds until the first that fails."""
    seconds = []
    for one in files:
        try:
            cost = measured(work, one, seconds=1800, **OPTIONS.get(work, {}))
        except Problem as fault:
            print(f"{work:<15} {one.events:>11,} {str(fault)[-200:]}", flush=True)
            break
        seconds.append(cost.seconds)
        print(
            f"{work:<15} {one.events:>11,} {one.users:>9,} {one.items:>7,} {cost.seconds:>9.2f} {cost.peak_mb:>9,.0f} "
            f"{cost.base_mb:>9,.0f}",
            flush=True,
        )
    return seconds


def on_spark(files: list[Grown]) -> list[float]:
    """The same for MLlib's ALS; memory is that of the whole cluster after the fit."""
    from recutils.deploy.spark import cluster
    from recutils.deploy.spark_jobs import SparkALS, read_events

    seconds = []
    with cluster() as spark:
        print(f"the cluster was ready after {spark.start_seconds:.1f} s")
        model = SparkALS(factors=32, iterations=10, alpha=1.0, reg=0.1)
        model.trained(read_events(spark, files[0].path, parts=2), files[0].items)
        for one in files:
            began = time.perf_counter()
            model.trained(read_events(spark, one.path, parts=2), one.items)
            seconds.append(time.perf_counter() - began)
            print(
                f"{'spark als':<15} {one.events:>11,} {one.users:>9,} {one.items:>7,} {seconds[-1]:>9.2f} "
                f"{spark.memory_mb():>9,.0f}",
                flush=True,
            )
    return seconds


def main() -> None:
    """Print one line for each fit, and the power of its seconds over the events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ml-1m", help="a data set to resample (default ml-1m)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="events")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--spark", action="store_true", help="also on two executors; needs make extra-scale")
    asked = parser.parse_args()
    known = load(asked.data).interactions
    with tempfile.TemporaryDirectory() as folder:
        files = [grow(known, n, Path(folder) / f"{n}.parquet", rng=7) for n in sorted(asked.sizes)]
        print(HEAD)
        found = {work: fits(work, files) for work in asked.works}
        found |= {"spark als": on_spark(files)} if asked.spark else {}
    for work, seconds in found.items():
        if len(seconds) > 2:
            law = costs.power_law([one.events for one in files[: len(seconds)]], seconds)
            print(f"{work}: events to the power {law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}]")


if __name__ == "__main__":
    main()
