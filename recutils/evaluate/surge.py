"""Surges of a topic in a stream of texts: planted ones, alarms, false ones. It knows no clock, only the order.

Two detectors watch a row of zeros and ones (does text t bear the topic?). The window counts the topic among the last
texts and asks how improbable so many are (Poisson); the cusum (Page 1954) adds up the evidence that the topic's share
has grown by a factor, and starts again from nothing after an alarm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from recutils.evaluate.records import Record
from recutils.evaluate.statistics import mean_interval
from recutils.tables import Problem

FACTOR = 3.0  # the growth of a topic's share that the cusum is made for
WINDOW = 100  # texts that the window counts
SPAN, REPEATS = 200, 4  # texts over which a planted surge is spread; surges of each topic and size
DETECTORS = ("window", "cusum")
Streams = Mapping[str, np.ndarray]  # source of the topics -> labels (n,)


def levels(
    hits: np.ndarray, share: float, detector: str, *, window: int = WINDOW, factor: float = FACTOR
) -> np.ndarray:
    """How alarmed the detector is after each text, (n,) float64 without restarts; larger is more.

    hits: (n,) 0 or 1. share: the topic's share in quiet times, above 0. window: -log10 of the Poisson chance of so many
    hits or more among the last `window` texts (of those there are). cusum: the sum of log likelihood ratios of
    `factor` x share against share, never below 0.
    Raises Problem for an unknown detector or a share outside 0..1.
    """
    hits = np.asarray(hits, dtype=np.float64)
    if detector not in DETECTORS:
        raise Problem(f"detector must be one of {', '.join(DETECTORS)}; got {detector!r}")
    if not 0 < share < 1:
        raise Problem(
            f"share must lie between 0 and 1; got {share}. A topic never seen has no quiet rate: leave it out."
        )
    if detector == "window":
        total = np.cumsum(hits)
        n = np.minimum(np.arange(1, len(hits) + 1), window)
        seen = total - np.concatenate([np.zeros(min(window, len(hits))), total[:-window]])
        return np.maximum(0, -stats.poisson.logsf(seen - 1, n * share) / np.log(10))
    steps = _steps(hits, share, factor)
    total = np.cumsum(steps)
    return total - np.minimum(np.minimum.accumulate(total), 0)


def _steps(hits: np.ndarray, share: float, factor: float) -> np.ndarray:
    more = min(factor * share, (1 + share) / 2)  # a common topic cannot grow threefold
    return np.where(hits > 0, np.log(more / share), np.log((1 - more) / (1 - share)))


def alarms(hits: np.ndarray, share: float, detector: str, threshold: float, **how: float) -> np.ndarray:
    """Places of the texts at which the detector rings, (n_alarms,); after each it starts again from nothing."""
    hits, found, start = np.asarray(hits), [], 0
    while start < len(hits):
        over = np.flatnonzero(levels(hits[start:], share, detector, **how) >= threshold)
        if not len(over):
            break
        found.append(start + int(over[0]))
        start = found[-1] + 1
    return np.array(found, dtype=np.int64)


def shares(labels: np.ndarray, topics: Sequence[int]) -> dict[int, float]:
    """The share of each topic among these labels, with half a text added, so that none is 0."""
    return {topic: (float(np.sum(labels == topic)) + 0.5) / (len(labels) + 1) for topic in topics}


def count_alarms(
    labels: np.ndarray, quiet: Mapping[int, float], detector: str, threshold: float, *, most: float = np.inf
) -> int:
    """Alarms of all watched topics in a stream; counting stops above `most`.

    labels: (n,). quiet: topic -> share in quiet times.
    """
    total = 0
    for topic, share in quiet.items():
        total += len(alarms(labels == topic, share, detector, threshold))
        if total > most:
            break
    return total


def threshold_for(labels: np.ndarray, quiet: Mapping[int, float], detector: str, allowed: int) -> float:
    """The lowest threshold with at most `allowed` alarms of all topics on this stream, to 1 part in 1,000."""
    if allowed < 0:
        raise Problem(f"allowed is a number of alarms, 0 or more; got {allowed}")
    low, high = 0.0, 4.0
    while count_alarms(labels, quiet, detector, high, most=allowed) > allowed:
        low, high = high, 2 * high
    while high - low > high / 1000:
        middle = (low + high) / 2
        if count_alarms(labels, quiet, detector, middle, most=allowed) > allowed:
            low = middle
        else:
            high = middle
    return high


def rules_for(streams: Streams, quiet: Mapping[str, Mapping[int, float]], allowed: int) -> pd.DataFrame:
    """A threshold for each source and detector: source, detector, threshold. streams: source -> labels (n,)."""
    rows = [
        (source, detector, threshold_for(labels, quiet[source], detector, allowed))
        for source, labels in streams.items()
        for detector in DETECTORS
    ]
    return pd.DataFrame(rows, columns=["source", "detector", "threshold"])


def false_alarms(streams: Streams, rules: pd.DataFrame, quiet: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """Alarms of every rule on streams without a planted surge, beside the rules: alarms, texts, rate, low, high.

    Whatever rings counts as false, real surges of the news included: nobody labelled those. The rate is an upper one.
    """
    rows = []
    for rule in rules.itertuples():
        labels = streams[rule.source]
        n = count_alarms(labels, quiet[rule.source], rule.detector, rule.threshold)
        rows.append((n, len(labels), *per_thousand(n, len(labels))))
    return pd.concat([rules, pd.DataFrame(rows, columns=["alarms", "texts", "rate", "low", "high"])], axis=1)


def per_thousand(n_alarms: int, n_texts: int) -> tuple[float, float, float]:
    """Alarms per 1,000 texts with Poisson's exact 95 % interval (Garwood 1936): rate, low, high."""
    low = stats.chi2.ppf(0.025, 2 * n_alarms) / 2 if n_alarms else 0.0
    high = stats.chi2.ppf(0.975, 2 * n_alarms + 2) / 2
    return tuple(float(1000 * value / n_texts) for value in (n_alarms, low, high))


@dataclass(frozen=True, eq=False)
class Planted:
    """A stream with a surge. labels, guesses: (n + extra,) true and classified topics. start, end: where it lies."""

    labels: np.ndarray
    guesses: np.ndarray
    start: int
    end: int


def plant(
    labels: np.ndarray, guesses: np.ndarray, topic: int, rng: np.random.Generator, *, start: int, extra: int, span: int
) -> Planted:
    """Put `extra` copies of the topic's own texts of this stream at random places among `span` texts after `start`.

    A copy brings its classified topic with it, right or wrong. Raises Problem when the topic has no text here or the
    span leaves the stream.
    """
    own = np.flatnonzero(labels == topic)
    if not len(own) or not 0 <= start <= len(labels) - span:
        raise Problem(
            f"topic {topic} has {len(own)} texts, start {start} + span {span} of {len(labels)}; need both inside."
        )
    copies = rng.choice(own, extra)
    places = np.sort(rng.integers(start, start + span, extra))
    return Planted(
        np.insert(labels, places, labels[copies]),
        np.insert(guesses, places, guesses[copies]),
        start,
        start + span + extra,
    )


def surges(
    labels: np.ndarray, guesses: np.ndarray, topics: Sequence[int], seed: int, *, extras: Sequence[int],
    repeats: int = REPEATS, span: int = SPAN,
) -> list[tuple[int, int, Planted]]:  # fmt: skip
    """(topic, extra, stream) for every topic and size, `repeats` random starts each, at least WINDOW texts in.

    A start and the copied texts are drawn once for each of them; the same seed gives the same streams.
    """
    rng = np.random.default_rng(seed)
    found = []
    for topic in topics:
        for extra in extras:
            for _ in range(repeats):
                start = int(rng.integers(WINDOW, len(labels) - span))
                found.append((topic, extra, plant(labels, guesses, topic, rng, start=start, extra=extra, span=span)))
    return found


def caught(stream: np.ndarray, planted: Planted, topic: int, share: float, rule: tuple[str, float]) -> float:
    """Texts from the surge's start to the first alarm of its topic inside it, or NaN when it passes unseen.

    stream: planted.labels or planted.guesses. rule: detector and threshold. Alarms before the start are not counted
    (they restart the detector, as on a desk).
    """
    rung = alarms(stream == topic, share, *rule)
    inside = rung[(rung >= planted.start) & (rung < planted.end)]
    return float(inside[0] - planted.start + 1) if len(inside) else float("nan")


def trial(
    planted: Sequence[tuple[int, int, Planted]], rules: pd.DataFrame, quiet: Mapping[str, Mapping[int, float]]
) -> pd.DataFrame:
    """One row per surge and rule: topic, extra, source, detector, delay (NaN when unseen).

    rules: source ("true topics" | "classified topics"), detector, threshold. quiet: source -> topic -> share.
    """
    rows = []
    for topic, extra, one in planted:
        for rule in rules.itertuples():
            stream = one.labels if rule.source == "true topics" else one.guesses
            delay = caught(stream, one, topic, quiet[rule.source][topic], (rule.detector, rule.threshold))
            rows.append((topic, extra, rule.source, rule.detector, delay))
    return pd.DataFrame(rows, columns=["topic", "extra", "source", "detector", "delay"])


def caught_table(found: pd.DataFrame, seed: int, *, draws: int = 10_000) -> pd.DataFrame:
    """One row per source, detector and size: caught, low, high (95 %, topics resampled), delay (median), topics.

    found: what `trial` gives. The surges of a topic share its texts, so the topic is the unit.
    """
    marked = found.assign(caught=found.delay.notna().astype(float))
    rows = []
    for key, own in marked.groupby(["source", "detector", "extra"], sort=False):
        mean = mean_interval(own.groupby("topic").caught.mean().to_numpy(), seed, draws=draws)
        rows.append((*key, mean.mean, mean.low, mean.high, own.delay.median(), mean.n))
    return pd.DataFrame(rows, columns=["source", "detector", "extra", "caught", "low", "high", "delay", "topics"])


def records(calm: pd.DataFrame, caught: pd.DataFrame, **about: Any) -> list[Record]:
    """False alarms per 1,000 texts and shares of planted surges caught. about: notebook, dataset, protocol, seed."""
    rates = [
        Record(metric="false_alarms_per_1000", group=f"{row.detector}, {row.source}", model="alarms", split="test",
               value=row.rate, low=row.low, high=row.high, n=row.texts, **about)
        for row in calm.itertuples()
    ]  # fmt: skip
    return rates + [
        Record(metric="surges_caught", group=f"{row.detector}, {row.source}, {row.extra} texts", model="alarms",
               split="simulation", value=row.caught, low=row.low, high=row.high, n=row.topics, **about)
        for row in caught.itertuples()
    ]  # fmt: skip
