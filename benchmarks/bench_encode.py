"""Encoding the item texts of ml-100k: ours against sentence-transformers, bf16 against fp32, cached against cold.

Run: PYTHONPATH=. python benchmarks/bench_encode.py [--repeats 5]

One process, the same threads, different texts only (no gain from duplicates), models loaded and warmed up beforehand.
Every round runs each contender once, in alternating order, so that a change of the machine's load meets all of them;
ratios are medians of the rounds' own ratios. sentence-transformers is optional: without it its rows are left out.
"""

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from recutils.data.load import load
from recutils.encode import Encoder, encode_cached, texts_of
from recutils.encode.checkpoint import check_available
from recutils.tables import Problem

OURS = "ours fp32"
Contender = Callable[[list[str]], np.ndarray]


def contenders(model: str) -> dict[str, Contender]:
    """Every encoder that runs here, by name; ours first."""
    ours = Encoder(model)
    found: dict[str, Contender] = {OURS: lambda texts: ours.encode(texts).vectors}
    try:
        check_available("bf16", "cpu")
        half = Encoder(model, precision="bf16")
        found["ours bf16"] = lambda texts: half.encode(texts).vectors
    except Problem as fault:
        print(f"bf16 is left out: {fault}")
    if importlib.util.find_spec("sentence_transformers") is None:
        print("sentence-transformers is left out: it is not installed")
        return found
    from sentence_transformers import SentenceTransformer

    other = SentenceTransformer(str(ours.checkpoint.folder), device="cpu", local_files_only=True)
    for size in (32, 128):  # 32 is its default
        found[f"sentence-transformers, batches of {size}"] = lambda texts, size=size: other.encode(
            texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False
        )
    return found


def rounds(found: dict[str, Contender], texts: list[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(repeats):
        for name in list(found)[:: 1 if number % 2 == 0 else -1]:
            started = time.perf_counter()
            found[name](texts)
            seconds[name].append(time.perf_counter() - started)
        load = os.getloadavg()[0]
        print(
            f"round {number + 1}: " + "  ".join(f"{times[-1]:.2f}" for times in seconds.values()) + f"  load {load:.1f}"
        )
    return seconds


def cold_and_cached(model: str, texts: list[str]) -> tuple[float, float]:
    """Seconds of a first run, with loading the model, and of a second one from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(2):
            started = time.perf_counter()
            encode_cached(Encoder(model), texts, root=Path(folder))
            times.append(time.perf_counter() - started)
    return times[0], times[1]


def main() -> None:
    """Measure and print one small table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds of all contenders")
    parser.add_argument("--model", default="minilm", help="a checkpoint's name, or a folder")
    options = parser.parse_args()
    texts = list(dict.fromkeys(texts_of(load("ml-100k"), "title+genres+year")))
    found = contenders(options.model)
    vectors = {name: encode(texts) for name, encode in found.items()}  # warms up
    print(f"{len(texts):,} different texts, {torch.get_num_threads()} threads, torch {torch.__version__}")
    seconds = rounds(found, texts, options.repeats)
    print(f"\n{'':38s}{'median s':>9s}{'best s':>8s}{'texts/s':>9s}{'ours fp32 is':>14s}{'least cosine':>14s}")
    for name, times in seconds.items():
        ratio = statistics.median(there / ours for there, ours in zip(times, seconds[OURS], strict=True))
        cosine = float((vectors[name] * vectors[OURS]).sum(axis=1).min())
        middle = statistics.median(times)
        print(f"{name:38s}{middle:9.2f}{min(times):8.2f}{len(texts) / middle:9.0f}{ratio:12.2f} x{cosine:14.6f}")
    cold, cached = cold_and_cached(options.model, texts)
    print(f"\ncold, with loading: {cold:.2f} s; second run from the cache: {cached:.3f} s")


if __name__ == "__main__":
    main()
