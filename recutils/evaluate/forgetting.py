"""What a learner still knows of earlier periods, and already of later ones. Streams and learners: online.py."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from recutils.evaluate.metrics import ndcg
from recutils.evaluate.online import Block, Learner, Stream, Visits, block_of, ranked, together, visits
from recutils.evaluate.statistics import DRAWS, Interval, mean_interval
from recutils.model.base import Model
from recutils.tables import USER, Interactions, Problem


def remembered(events: Stream, learners: Mapping[str, Learner], held_out: np.ndarray, k: int) -> pd.DataFrame:
    """What each state of a learner knows of each period: columns system, learnt (newest period), judged, user, ndcg.

    The warm part is period 1, and each block a further one. held_out: people who are judged in every period and never
    learnt from, so that an earlier period stays as new to a model as a later one. They are given their live history.
    learners: unfitted; fitted here on period 1 without the held-out people, then learning block by block.
    """
    if len(held_out) == 0:
        raise Problem("held_out must name people that are judged and never learnt from; got none. Take a larger share.")
    rows = []
    asked = [visits(before, block, held_out) for before, block in _periods(events)]
    taught = [_without(block, held_out) for _, block in _periods(events)]
    for name, learner in learners.items():
        for number, block in enumerate(taught):
            past = together([one.events for one in taught[: number + 1]])
            learner.learn(block, number, lambda so_far=past: so_far) if number else learner.model.fit(block.events)
            rows += [piece.assign(system=name, learnt=number + 1) for piece in _matrix_row(learner.model, asked, k)]
    return pd.concat(rows, ignore_index=True)


def _matrix_row(model: Model, asked: Sequence[Visits], k: int) -> Iterator[pd.DataFrame]:
    for period, one in enumerate(asked, 1):
        values = ndcg(ranked(model, one.seen, one.seen, k), one.truth, k) if len(one.users) else np.empty(0)
        yield pd.DataFrame({USER: one.users, "ndcg": values, "judged": period})


def _periods(events: Stream) -> Iterator[tuple[Interactions, Block]]:
    """(events before, block) of each period, the warm part as the first."""
    first = block_of(events.warm, np.arange(len(events.warm)), events.warm.time.iloc[0])
    yield events.warm.only(np.arange(0)), first
    for number, block in enumerate(events.blocks):
        yield events.until(number), block


def _without(block: Block, people: np.ndarray) -> Block:
    """The block without some people's events; its counts stay those of the whole block."""
    kept = block.events.only(~block.events.user.isin(people).to_numpy())
    return Block(kept, block.first, block.last, block.n_users, block.n_new_users, block.n_new_items)


def backward(table: pd.DataFrame, system: str) -> pd.DataFrame:
    """Paired change on every earlier period from its own state to the last: columns user, period, change.

    Negative means forgotten: the state at the end serves the people of that period worse than the state of its day.
    """
    own = table[table.system == system]
    last = own.learnt.max()
    then = own[own.learnt == own.judged].set_index(["judged", USER]).ndcg
    now = own[own.learnt == last].set_index(["judged", USER]).ndcg
    change = (now - then).rename("change").reset_index().rename(columns={"judged": "period"})
    return change[change.period < last]


def changes(table: pd.DataFrame, *, seed: int, draws: int = DRAWS) -> dict[str, Interval]:
    """`backward` of every system, each person's mean over the earlier periods, with its interval over people."""
    means = {name: backward(table, name).groupby(USER).change.mean() for name in table.system.unique()}
    return {name: mean_interval(own.to_numpy(), seed, draws=draws) for name, own in means.items()}
