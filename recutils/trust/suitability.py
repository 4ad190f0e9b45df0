"""Which article may be shown to whom, by risk class and limit, with an audit of every block. No advice.

A rule layer before ranking ends: it takes ranked rows and topics as given and learns nothing. Topics are read in tune,
texts filtered by trust/filter.py. Profiles and risk classes are the caller's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.language import language
from recutils.evaluate.records import Record
from recutils.tables import Problem

UNKNOWN = "unknown"
AUDIT = ("who", "what", "rule", "detail", "when")


def read_topic(texts: Sequence[str], chances: np.ndarray, classes: Sequence[str], least: float) -> list[str]:
    """The topic of each text, or "unknown": where it is empty, in another language, or the surest class lies below.

    chances: (n, n_classes). Unknown topics are not shown to anybody by the risk rules below.
    """
    best, sure = chances.argmax(axis=1), chances.max(axis=1)
    return [
        classes[place] if text.strip() and one >= least and not language([text]).n_other else UNKNOWN
        for text, place, one in zip(texts, best, sure, strict=True)
    ]


@dataclass(frozen=True)
class Profile:
    """A customer as the rule sees it. limit: the highest risk class that may be shown. interest: English words.

    Raises Problem for an empty interest and for one in another language: the ranking could not read it.
    """

    name: str
    limit: int
    interest: str

    def __post_init__(self) -> None:
        if not self.interest.strip():
            raise Problem(f"{self.name}: the interest is empty; ask for a few words, or show what is new instead.")
        if language([self.interest]).n_other:
            raise Problem(
                f"{self.name}: the interest {self.interest!r} is not English, and the newswire is. Ask again."
            )


@dataclass(frozen=True, eq=False)
class Suitable:
    """shown: (k or fewer,) rows in rank order. audit: who, what, rule, detail, when, a row for each block."""

    shown: np.ndarray
    audit: pd.DataFrame


def suitable(
    profile: Profile,
    ranked: Sequence[int],
    topics: Sequence[str],
    risks: Mapping[str, int],
    *,
    k: int,
    when: str,
    withheld: Collection[int] = (),
) -> Suitable:
    """The first k articles that the rules let this profile see, and an audit of every one blocked on the way there.

    ranked: rows, best first. topics: of all rows, "unknown" allowed. risks: topic -> class; a topic without a class is
    blocked, since a rule that does not know must not let through. withheld: rows that the text filter took out.
    when: the moment, given by the caller, so that a second run writes the same file.
    Raises Problem for a limit that no class meets or k below 1.
    """
    if k < 1 or not risks or profile.limit < min(risks.values()):
        raise Problem(
            f"{profile.name}: k >= 1 and a limit of at least the lowest class are needed; got {k}, {profile.limit}"
        )
    shown, audit = [], []
    for row in map(int, ranked):
        if len(shown) == k:
            break
        broken = _broken(profile, row, topics[row], risks, withheld)
        if broken is None:
            shown.append(row)
        else:
            audit.append((profile.name, row, *broken, when))
    return Suitable(np.array(shown, dtype=np.int64), pd.DataFrame(audit, columns=list(AUDIT)))


def _broken(
    profile: Profile, row: int, topic: str, risks: Mapping[str, int], withheld: Collection[int]
) -> tuple[str, str] | None:
    """The first rule that this article breaks for this profile, and its detail; None when it may be shown."""
    if row in withheld:
        return "text filter", "withheld until a person has read it"
    if topic not in risks:
        return "unknown risk", f"topic {topic!r} has no risk class"
    if risks[topic] > profile.limit:
        return "risk above limit", f"class {risks[topic]} ({topic}), limit {profile.limit}"
    return None


def leak(topics: Sequence[str], truth: Sequence[str], risks: Mapping[str, int], limit: int) -> np.ndarray:
    """1 where an article that the rule lets through is in truth above the limit, else 0; a row for each let through.

    topics: as the rule reads them. truth: the topics that people gave.
    """
    pairs = zip(topics, truth, strict=True)
    return np.array([float(risks[true] > limit) for read, true in pairs if read in risks and risks[read] <= limit])


def leaks(read: Mapping[str, Sequence[str]], truth: Sequence[str], risks: Mapping[str, int]) -> pd.DataFrame:
    """One row per way of reading topics and limit below the highest class: topic, limit, through, leak, low, high.

    leak: the share of articles let through that are in truth above the limit, with the exact 95 % interval (Clopper &
    Pearson 1934), which does not call none of eight certain; NaN where nothing is let through.
    """
    from scipy.stats import binomtest

    rows = []
    for name, topics in read.items():
        for limit in sorted(set(risks.values()))[:-1]:
            passed = leak(topics, truth, risks, limit)
            ends = binomtest(int(passed.sum()), len(passed)).proportion_ci() if len(passed) else (np.nan, np.nan)
            rows.append((name, limit, len(passed), passed.mean() if len(passed) else np.nan, *map(float, ends)))
    return pd.DataFrame(rows, columns=["topic", "limit", "through", "leak", "low", "high"])


def leak_records(found: pd.DataFrame, **about: Any) -> list[Record]:
    """A record of each row of `leaks` that let something through. about: notebook, dataset, protocol, split, seed."""
    return [
        Record(metric="leak", model="risk rule", group=f"{row.topic}, limit {row.limit}", value=row.leak, n=row.through,
               low=min(row.low, row.leak), high=max(row.high, row.leak), **about)
        for row in found[found.through > 0].itertuples()
    ]  # fmt: skip
