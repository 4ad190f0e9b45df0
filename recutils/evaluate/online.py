"""A stream of events, judged first and learnt from afterwards: blocks, visits, learners. Metrics are elsewhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.metrics import ndcg
from recutils.evaluate.records import Record, Records
from recutils.evaluate.statistics import DRAWS, compare_all, holm, mean_intervals
from recutils.model.base import Model
from recutils.rank.top import BLOCK, top_k
from recutils.tables import ITEM, USER, Interactions, Problem

HISTORIES = ("frozen", "nightly", "live")  # what of a person a system has heard: until the stream, the block, now


@dataclass(frozen=True, eq=False)
class Block:
    """One stretch of the stream. n_new_users, n_new_items: without any event before the block."""

    events: Interactions
    first: pd.Timestamp
    last: pd.Timestamp
    n_users: int
    n_new_users: int
    n_new_items: int

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True, eq=False)
class Stream:
    """Events in order of time: a warm part to start from, then blocks. notes: what was sorted, dropped, missing."""

    warm: Interactions
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    def until(self, block: int) -> Interactions:
        """All events before block number `block`, 0 being the first."""
        return together([self.warm, *(one.events for one in self.blocks[:block])])

    def table(self) -> pd.DataFrame:
        """One row for each block: when, how many events and people, and who and what is new."""
        rows = [
            (
                n,
                one.first.date().isoformat(),
                one.last.date().isoformat(),
                len(one),
                one.n_users,
                one.n_new_users,
                one.n_new_items,
            )
            for n, one in enumerate(self.blocks, 1)
        ]
        return pd.DataFrame(rows, columns=["block", "from", "to", "events", "people", "new people", "new items"])


def together(parts: Sequence[Interactions]) -> Interactions:
    """Several tables of the same rows as one, in the order given."""
    return Interactions(pd.concat([part.rows for part in parts]), parts[0].n_users, parts[0].n_items)


def stream(
    interactions: Interactions, *, warm: float = 0.5, n_blocks: int = 8, days: float = 0.0, strict: bool = False
) -> Stream:
    """Cut events into a warm part (a share of the events) and blocks of equal size or, with days > 0, of equal time.

    Events that stand out of order are sorted by time (stable: equal times keep file order), repeated pairs keep their
    first event, and stretches of time without events give empty blocks: all three are said in the notes.
    strict: out-of-order events raise Problem instead, as a live stream should.
    Raises Problem without times, for a warm share outside 0..1, and when there are fewer events than blocks.
    """
    if not interactions.has_time:
        raise Problem(
            "a stream needs the column 'time'; these interactions have none. data.order.in_file_order takes "
            "the order of the file for time, if that is what it is."
        )
    if not 0 < warm < 1 or n_blocks < 1 or days < 0:
        raise Problem(
            f"warm must lie between 0 and 1, n_blocks be 1 or more, days 0 or more; got {warm}, {n_blocks}, {days}"
        )
    ordered, notes = _in_order(interactions, strict)
    cut = round(warm * len(ordered))
    if cut == 0 or len(ordered) - cut < (1 if days else n_blocks):
        raise Problem(f"{len(ordered)} events are too few for warm = {warm:g} and {n_blocks} blocks. Take fewer.")
    rest = ordered.time.to_numpy()[cut:]
    edges = _equal_time(rest, days) if days else np.linspace(0, len(rest), n_blocks + 1).round().astype(int)[1:-1]
    parts = np.split(np.arange(cut, len(ordered)), edges)
    if days:
        notes.append(_gap_note(parts, days))
    past, blocks = ordered.only(np.arange(cut)), []
    for part in parts:
        blocks.append(block_of(ordered, part, blocks[-1].last if blocks else past.time.iloc[-1]))
    return Stream(past, tuple(blocks), tuple(note for note in notes if note))


def _in_order(interactions: Interactions, strict: bool) -> tuple[Interactions, list[str]]:
    times = interactions.time.to_numpy()
    n_back = int((np.diff(times) < np.timedelta64(0, "s")).sum())
    if n_back and strict:
        raise Problem(
            f"{n_back:,} events are older than the event before them; a live stream must be in order. "
            "Sort it, or hold late events back until their block."
        )
    ordered = interactions.only(np.argsort(times, kind="stable"))
    repeated = ordered.rows.duplicated([USER, ITEM], keep="first").to_numpy()
    notes = [
        f"{n_back:,} times an event was older than the one before it; sorted by time." if n_back else "",
        f"{repeated.sum():,} repeated events (same person, same item) were dropped, the first one kept."
        if repeated.any()
        else "",
    ]
    return ordered.only(~repeated), notes


def _equal_time(times: np.ndarray, days: float) -> np.ndarray:
    """Positions at which a new stretch of `days` begins, counted from the first time."""
    width = np.timedelta64(round(days * 86_400), "s")
    n = int((times[-1] - times[0]) // width)
    return np.searchsorted(times, times[0] + width * np.arange(1, n + 1))


def _gap_note(parts: Sequence[np.ndarray], days: float) -> str:
    n = sum(len(part) == 0 for part in parts)
    return (
        f"{n:,} of {len(parts):,} stretches of {days:g} days are empty: nothing is judged or learnt there." if n else ""
    )


def block_of(ordered: Interactions, part: np.ndarray, before: pd.Timestamp) -> Block:
    """Facts of the events at positions `part`; an empty block stands at the last moment before it."""
    events, start = ordered.only(part), part[0] if len(part) else 0
    users, items = (np.unique(side) for side in (events.user, events.item))
    new_users, new_items = (
        int((~np.isin(own, side.to_numpy()[:start])).sum())
        for own, side in ((users, ordered.user), (items, ordered.item))
    )
    first, last = (events.time.iloc[0], events.time.iloc[-1]) if len(events) else (before, before)
    return Block(events, first, last, len(users), new_users, new_items)


@dataclass(frozen=True, eq=False)
class Visits:
    """The judged people of one block: the first half of each one's events is seen, the second half asked for.

    users: (n,) rows. seen: csr (n, n_items), all that is known halfway: nobody is shown it again. truth: csr, the rest.
    n_single: people with one event in the block, who cannot be halved and are not judged.
    """

    users: np.ndarray
    seen: sparse.csr_matrix
    truth: sparse.csr_matrix
    n_single: int


def visits(before: Interactions, block: Block, chosen: np.ndarray | None = None) -> Visits:
    """The visits of a block after the events `before`. chosen: rows of the people to judge; None means all."""
    rows = block.events.rows if chosen is None else block.events.rows[block.events.user.isin(chosen)]
    place = rows.groupby(USER).cumcount().to_numpy()
    size = rows.groupby(USER)[ITEM].transform("size").to_numpy()
    early, late = (
        Interactions(rows[half], before.n_users, before.n_items)
        for half in ((place < size // 2), (place >= size // 2) & (size > 1))
    )
    users = np.unique(late.user)
    seen = (before.matrix("binary") + early.matrix("binary"))[users]
    return Visits(users, seen.tocsr(), late.matrix("binary")[users], int((size == 1).sum()))


@dataclass
class Learner:
    """A fitted model and when it learns: refitted on all events after every `every` blocks (0: never again).

    incremental: the model's own `learn(events)` takes each block in instead.
    seconds: spent on learning, the first fit apart.
    """

    model: Model
    every: int = 0
    incremental: bool = False
    seconds: float = field(default=0.0, init=False)

    def learn(self, block: Block, number: int, so_far: Callable[[], Interactions]) -> None:
        """What happens after block `number` (1 is the first). An empty block teaches nothing."""
        start = time.perf_counter()
        if self.incremental and len(block):
            self.model.learn(block.events)
        elif self.every and number % self.every == 0:
            self.model.fit(so_far())
        self.seconds += time.perf_counter() - start


System = tuple[str, str]  # the name of a learner, and which history it is given


def prequential(events: Stream, learners: Mapping[str, Learner], systems: Mapping[str, System], k: int) -> pd.DataFrame:
    """Each block is judged first and learnt from afterwards: one row for each visit, system -> nDCG@k as columns.

    learners: fitted on the warm part. systems: name -> (learner, history), history one of "frozen" (what was known when
    the stream began), "nightly" (until the block began) and "live" (the first half of the visit too).
    All systems leave out the same seen items. Further columns: block, user, new (no event before the block), n_seen.
    Source of the idea: Gama, Sebastiao & Rodrigues 2013 ("prequential"); the halved visits are ours.
    """
    _check_systems(learners, systems)
    start, pieces = events.warm.matrix("binary"), []
    for number, block in enumerate(events.blocks, 1):
        before = events.until(number - 1)
        if len(block):
            pieces.append(_judged(visits(before, block), before, start, (learners, systems, k)).assign(block=number))
        for learner in learners.values() if number < len(events.blocks) else ():
            learner.learn(block, number, lambda past=before, now=block: together([past, now.events]))
    judged = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()
    if judged.empty:
        raise Problem("no block holds a person with two events, so nothing can be judged. Take fewer, larger blocks.")
    return judged


def _check_systems(learners: Mapping[str, Learner], systems: Mapping[str, System]) -> None:
    for name, (learner, history) in systems.items():
        if learner not in learners or history not in HISTORIES:
            raise Problem(
                f"system {name!r} needs a learner of {list(learners)} and a history of {HISTORIES}; got "
                f"{learner!r} and {history!r}"
            )


def _judged(
    asked: Visits, before: Interactions, start: sparse.csr_matrix, rules: tuple[Mapping, Mapping, int]
) -> pd.DataFrame:
    learners, systems, k = rules
    nightly = before.matrix("binary")[asked.users]
    given = {"frozen": start[asked.users], "nightly": nightly, "live": asked.seen}
    values = {
        name: ndcg(ranked(learners[learner].model, given[history], asked.seen, k), asked.truth, k)
        for name, (learner, history) in systems.items()
    }
    about = {USER: asked.users, "new": np.diff(nightly.indptr) == 0, "n_seen": np.diff(asked.seen.indptr)}
    return pd.DataFrame(about | values)


def ranked(model: Model, histories: sparse.csr_matrix, seen: sparse.csr_matrix, k: int) -> np.ndarray:
    """Lists (n, k) from the scores of `histories`, without the items of `seen`; made in blocks to save memory."""
    parts = [slice(at, at + BLOCK) for at in range(0, histories.shape[0], BLOCK)]
    lists = [top_k(model.score(histories[part]), seen[part], k) for part in parts]
    return np.concatenate(lists) if lists else np.empty((0, k), dtype=np.int32)


def per_person(judged: pd.DataFrame, systems: Sequence[str]) -> dict[str, np.ndarray]:
    """Each person's mean over the visits: system -> (n_people,), people by row; the unit of intervals and tests."""
    means = judged.groupby(USER)[list(systems)].mean()
    return {name: means[name].to_numpy() for name in systems}


def contrasts(
    values: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]], *, seed: int, draws: int = DRAWS, **labels: Any
) -> Records:
    """Records of the declared comparisons, Holm over all of them: each pair's first system, against its second.

    values: system -> (n_people,), `per_person`. labels: notebook, dataset, protocol, split, group, k.
    """
    intervals = mean_intervals(values, seed, draws=draws)
    found = compare_all({f"{a}|{b}": (values[a], values[b]) for a, b in pairs}, seed, draws=draws)
    adjusted = holm([one.p for one in found.values()])
    records = []
    for (a, b), one, p_holm in zip(pairs, found.values(), adjusted, strict=True):
        own = intervals[a]
        gap = {"delta": one.delta, "delta_low": one.low, "delta_high": one.high, "p": one.p, "p_holm": p_holm}
        mean = {"value": own.mean, "low": own.low, "high": own.high, "n": own.n}
        records.append(Record(**labels, model=a, metric="ndcg", seed=seed, against=b, **mean, **gap))
    return Records(records)


def by_block(judged: pd.DataFrame, columns: Sequence[str], *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """Mean and bootstrap interval over the people of each block: columns block, system, mean, low, high, n."""
    rows = []
    for block, own in judged.groupby("block"):
        found = mean_intervals({name: own[name].to_numpy() for name in columns}, seed, draws=draws)
        rows += [(block, name, one.mean, one.low, one.high, one.n) for name, one in found.items()]
    return pd.DataFrame(rows, columns=["block", "system", "mean", "low", "high", "n"])
