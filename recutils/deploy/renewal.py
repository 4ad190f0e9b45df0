"""What renewing a bundle is worth: a real stream sent through the feedback log, bundles renewed in different ways and
judged before they learn; people who are never learnt from; a loop that hears of what it showed only. How a log is
folded in stands in fold_in.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recutils.deploy.bundle import Bundle
from recutils.deploy.feedback import FeedbackLog, read
from recutils.deploy.fold_in import WAYS, folded, taken
from recutils.deploy.replay import bundle_of
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.online import Block, Stream, Visits, ranked, visits
from recutils.evaluate.simulate import World
from recutils.model.baselines import Popularity
from recutils.model.stream_ease import StreamEASE
from recutils.tables import ITEM, TIME, USER, Dataset, Interactions, Problem

STALE = "stale"


def as_feedback(dataset: Dataset, block: Block, prefix: str) -> list[dict[str, Any]]:
    """The events of a block as a caller would send them: ids of the outside world, kind "choose"."""
    rows = block.events.rows
    users, items = dataset.user_ids.ids(rows[USER]), dataset.item_ids.ids(rows[ITEM])
    times = rows[TIME].dt.tz_localize("UTC")
    return [
        {"id": f"{prefix}-{number}", "user": user, "item": item, "kind": "choose", "time": time.isoformat()}
        for number, (user, item, time) in enumerate(zip(users, items, times, strict=True))
    ]


@dataclass(frozen=True, eq=False)
class Renewed:
    """judged: a row for each visit, system -> nDCG@k, as online.prequential gives it. first, last: bundles by way.

    counts: one row for each block and way: what the fold took and left out.
    """

    judged: pd.DataFrame
    first: Bundle
    last: Mapping[str, Bundle]
    counts: pd.DataFrame


def renewed(dataset: Dataset, events: Stream, folder: Path, *, reg: float, k: int) -> Renewed:
    """Each block is judged first; then its events go into a feedback log in `folder`, and every way renews its bundle.

    Systems: STALE, the WAYS of fold_in, and popularity counted anew before each block. A person's history is the one in
    the bundle, or, where "named" is added, all that is known by the middle of the visit, named in the request. Nobody
    is shown what the person had met by then.
    """
    first = bundle_of(dataset, events.warm, StreamEASE(reg=reg))
    bundles, pieces, counts = dict.fromkeys((STALE, *WAYS), first), [], []
    log = FeedbackLog(folder)
    try:
        for number, block in enumerate(events.blocks, 1):
            before = events.until(number - 1)
            pieces.append(_judged(dataset, bundles, before, visits(before, block), k).assign(block=number))
            log.append(as_feedback(dataset, block, f"block{number}"))
            so_far = list(read(folder))
            for way in WAYS:
                found = taken(so_far, bundles[way])
                bundles[way] = folded(bundles[way], found, way)
                counts.append({"block": number, "way": way, **found.counts})
    finally:
        log.close()
    last = {way: bundles[way] for way in WAYS}
    return Renewed(pd.concat(pieces, ignore_index=True), first, last, pd.DataFrame(counts).fillna(0))


def _judged(
    dataset: Dataset, bundles: Mapping[str, Bundle], before: Interactions, asked: Visits, k: int
) -> pd.DataFrame:
    names = dataset.user_ids.ids(asked.users)
    values = {
        name: ndcg(ranked(one.model, remembered(one, names), asked.seen, k), asked.truth, k)
        for name, one in bundles.items()
    }
    for name in (STALE, "refit"):
        lists = ranked(bundles[name].model, asked.seen, asked.seen, k)
        values[f"{name}, named"] = ndcg(lists, asked.truth, k)
    popular = Popularity().fit(before)
    values["popularity"] = ndcg(ranked(popular, asked.seen, asked.seen, k), asked.truth, k)
    new = ~np.isin(asked.users, before.user.unique())
    return pd.DataFrame({USER: asked.users, "new": new, **values})


def remembered(bundle: Bundle, user_ids: Sequence[str]) -> Any:
    """(n, n_items) the histories that a bundle has of these people; empty for strangers."""
    row_of = {name: row for row, name in enumerate(bundle.user_ids.tolist())}
    rows = np.array([row_of.get(str(name), -1) for name in user_ids])
    histories = bundle.histories[np.maximum(rows, 0)]
    return histories.multiply((rows >= 0)[:, None]).tocsr() if len(rows) else histories


def without(interactions: Interactions, people: np.ndarray) -> Interactions:
    """The events of all others."""
    return interactions.only(~interactions.user.isin(people).to_numpy())


def held_out(events: Stream, seed: int) -> tuple[Stream, np.ndarray]:
    """The stream without its witnesses, and they: half (drawn) of the people of the warm part who never come back."""
    back = np.unique(np.concatenate([one.events.user.to_numpy() for one in events.blocks]))
    gone = np.setdiff1d(events.warm.user.unique(), back)
    people = np.sort(np.random.default_rng([seed, 81]).permutation(gone)[: len(gone) // 2])
    return Stream(without(events.warm, people), events.blocks, events.notes), people


def of_witnesses(bundle: Bundle, events: Interactions, people: np.ndarray, k: int) -> np.ndarray:
    """(n_people,) nDCG of people no bundle ever learnt from: first half of their events given, second half asked for.

    events: theirs, in order of time; NaN for fewer than two.
    """
    rows = events.rows[events.user.isin(people)]
    place = rows.groupby(USER).cumcount()
    size = rows.groupby(USER)[ITEM].transform("size")
    parts = [
        Interactions(rows[half], events.n_users, events.n_items) for half in (place < size // 2, place >= size // 2)
    ]
    seen, truth = (part.matrix("binary")[people] for part in parts)
    values = ndcg(ranked(bundle.model, seen, seen, k), truth, k)
    return np.where(seen.getnnz(axis=1) > 0, values, np.nan)


def oracle(interactions: Interactions, *, least: int = 20) -> World:
    """A world for simulate.py in which a shown item is taken by who really met it later, and by nobody else.

    start: the first half of each person's events; what is taken: the second. Items with fewer than `least` events are
    left out. A SIMULATION all the same: what people would have taken, had it been shown, is not in the data.
    """
    counts = np.bincount(interactions.item, minlength=interactions.n_items)
    new = np.where(counts >= least, np.cumsum(counts >= least) - 1, -1)
    kept = interactions.rows.assign(**{ITEM: new[interactions.item]})
    kept = kept[kept[ITEM] >= 0].sort_values(TIME, kind="stable")
    if kept.empty:
        raise Problem(f"no item has {least} events, so there is no world to build. Lower `least`.")
    n_items = int(new.max()) + 1
    later = (kept.groupby(USER).cumcount() >= kept.groupby(USER)[ITEM].transform("size") // 2).to_numpy()
    start, rest = (Interactions(kept[half], interactions.n_users, n_items) for half in (~later, later))
    note = f"{n_items:,} of {interactions.n_items:,} items have at least {least} events and take part."
    return World(rest.matrix("binary").toarray(), start, float("nan"), (note,))
