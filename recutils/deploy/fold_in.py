"""From the feedback log to a new bundle: what is taken and what is not, and three ways to renew. The shelf publishes.

Folding the same log twice gives the same bundle: what is folded is the set of (person, item) pairs, and a pair that is
known already changes nothing. So nobody has to remember how far the last fold read.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recutils.deploy.bundle import MODELS, Bundle
from recutils.deploy.feedback import RECEIVED
from recutils.deploy.shelf import Shelf
from recutils.model.stream_ease import StreamEASE
from recutils.tables import ITEM, ITEM_ID, TIME, USER, VALUE, Interactions, Problem

TAKEN = ("click", "choose")  # kinds of event that say that somebody wanted an item
MOST = 500  # pairs of one person that a fold takes, the newest of the log; more come from a machine, or from bad will
WAYS = ("histories", "learn", "refit")


@dataclass(frozen=True, eq=False)
class Taken:
    """What a fold takes from a log.

    events: rows of the bundle's items, of its users and, after them, of the new ones; time and order as they came.
    user_ids: (n_users,) those of the bundle, then the new ones. counts: what was read, taken, and left out, and why.
    """

    events: Interactions
    user_ids: np.ndarray
    counts: Mapping[str, int]


def taken(log: Iterable[Mapping[str, Any]], bundle: Bundle, *, most: int = MOST) -> Taken:
    """Choose from a log's events those that a bundle can learn from.

    Left out and counted: kinds other than TAKEN, ids that came before, items that are not in the catalogue (build a
    bundle from the new one), pairs that come again, of a person with more than `most` pairs the older ones, and pairs
    that the bundle knows. An event's time is the earlier of what the caller said and what our clock said.
    """
    if most < 1:
        raise Problem(f"most is the number of events of one person that count, 1 or more; got {most}")
    item_row = {str(name): row for row, name in enumerate(bundle.items[ITEM_ID])}
    user_row = {str(name): row for row, name in enumerate(bundle.user_ids)}
    n_known, counts = len(user_row), Counter({"read": 0})
    ids: set[str] = set()
    rows: list[tuple[int, int, datetime.datetime]] = []
    for event in log:
        why = _why_not(event, ids, item_row)
        counts.update(["read", *([why] if why else [])])
        if not why:
            ids.add(event["id"])
            user = user_row.setdefault(event["user"], len(user_row))
            rows.append((user, item_row[event["item"]], _time(event)))
    kept = _capped(pd.DataFrame(rows, columns=[USER, ITEM, TIME]), bundle, most, counts)
    came = np.unique(kept[USER])
    people = np.array(
        [*bundle.user_ids, *(name for name, row in user_row.items() if row in set(came[came >= n_known]))]
    )
    new_row = np.concatenate(
        [np.arange(n_known), n_known + np.cumsum(np.isin(np.arange(n_known, len(user_row)), came)) - 1]
    )
    rows_kept = kept.assign(**{USER: new_row[kept[USER]], VALUE: bundle.liked})
    counts.update({"taken": len(kept), "new people": len(people) - n_known})
    return Taken(Interactions(rows_kept, len(people), len(item_row)), people.astype(str), dict(counts))


def _why_not(event: Mapping[str, Any], ids: set[str], item_row: Mapping[str, int]) -> str:
    if event["kind"] not in TAKEN:
        return "not a choice"
    if event["id"] in ids:
        return "repeated id"
    return "" if event["item"] in item_row else "unknown item"


def _time(event: Mapping[str, Any]) -> datetime.datetime:
    moments = [datetime.datetime.fromisoformat(event[name]) for name in (TIME, RECEIVED) if name in event]
    return min(moments).astimezone(datetime.UTC).replace(tzinfo=None)


def _capped(rows: pd.DataFrame, bundle: Bundle, most: int, counts: Counter) -> pd.DataFrame:
    """In order of time: each pair once, of each person the newest `most`, without pairs that the bundle knows."""
    ordered = rows.astype({TIME: "datetime64[s]"}).sort_values(TIME, kind="stable")
    once = ordered.drop_duplicates([USER, ITEM], keep="first")
    few = once[once.groupby(USER).cumcount(ascending=False) < most]
    fresh = few[~_met(few, bundle)].reset_index(drop=True)
    counts.update({"repeated pair": len(rows) - len(once), "over the cap": len(once) - len(few)})
    counts.update({"known pair": len(few) - len(fresh)})
    return fresh


def _met(rows: pd.DataFrame, bundle: Bundle) -> np.ndarray:
    """(n_rows,) whether the bundle's histories hold the pair."""
    histories = bundle.histories
    n_items = histories.shape[1]
    owner = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    return np.isin(rows[USER].to_numpy() * n_items + rows[ITEM].to_numpy(), owner * n_items + histories.indices)


def folded(bundle: Bundle, found: Taken, way: str = "histories") -> Bundle:
    """A new bundle with the events in it; the old one is not changed.

    way: "histories" only remembers what people did (the model's weights stay); "learn" also lets a model that can
    (`StreamEASE`) take the events in; "refit" fits its model anew on all histories. Figures are taken off: they were
    measured on another bundle.
    """
    if way not in WAYS:
        raise Problem(f"a bundle is renewed by one of {', '.join(WAYS)}; got {way!r}")
    before = bundle.histories.tocoo()
    rows = pd.DataFrame({USER: before.row, ITEM: before.col, VALUE: before.data})
    everything = Interactions(
        pd.concat([rows, found.events.rows[[USER, ITEM, VALUE]]]), len(found.user_ids), bundle.model.n_items
    )
    return replace(
        bundle, model=_renewed(bundle, found, everything, way), user_ids=found.user_ids, histories=everything.matrix(),
        data={**bundle.data, "users": len(found.user_ids), "events": len(everything), "renewed": way}, figures=(),
        version="",
    )  # fmt: skip


def _renewed(bundle: Bundle, found: Taken, everything: Interactions, way: str) -> Any:
    if way == "histories":
        return bundle.model
    model = MODELS[bundle.model.name](**bundle.model.parameters())
    if way == "refit":
        return model.fit(everything)
    if not isinstance(bundle.model, StreamEASE):
        raise Problem(
            f"{bundle.model.name} cannot learn more; renew by histories or refit, or serve {StreamEASE.name}."
        )
    for name in ("popular", *model.arrays):  # a copy: the served model must not change while it answers
        setattr(model, name, getattr(bundle.model, name).copy())
    model.n_items = bundle.model.n_items
    return model.learn(found.events)


def renew(shelf: Shelf, bundle: Bundle, log: Iterable[Mapping[str, Any]], way: str = "histories") -> Taken:
    """Fold a log into the served bundle and publish the result, if there is anything new; what was taken."""
    found = taken(log, bundle)
    if len(found.events):
        shelf.publish(folded(bundle, found, way))
    return found
