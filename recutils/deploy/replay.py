"""Real traffic again: a data set's later events as the requests that their people would have sent, in order of time,
to the app or straight to an engine; and ways to spoil them on purpose. What an alarm makes of it: drills.py.

The requests are ours, the people, times and histories real: somebody the bundle knows asks by id; a stranger who has
chosen something names it; a stranger's first request names nothing; every fifth asks by the title last chosen.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from recutils.deploy.alerts import WINDOWED, Watch, scraped
from recutils.deploy.bundle import TEXT, Bundle, Reader
from recutils.deploy.engine import Answer, Encode, Engine
from recutils.deploy.recent import Recent
from recutils.deploy.service import Service
from recutils.deploy.shelf import Shelf
from recutils.deploy.window import Noted, Window
from recutils.model.base import Model
from recutils.tables import ITEM, TIME, TITLE, USER, Dataset, Interactions, Problem

GAP = 3600.0  # seconds without an event after which a new visit begins
MOST_NAMED = 50  # items that a stranger names, the newest
SHOWN = ("recutils_cold_share", "recutils_drift_psi score", "recutils_drift_psi cosine")  # columns of every story
MINUTE = 60.0  # seconds of the rules' clock between two scrapes of a replay


@dataclass(frozen=True)
class Ask:
    """One request. person: row in the data, for grouping only. user: id, where the bundle is asked by it. items: named.
    text: asked for by words. visit: which of all visits it belongs to. All empty but user: a stranger's first request.
    """

    person: int
    visit: int
    time: pd.Timestamp
    user: str = ""
    items: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, eq=False)
class Traffic:
    """The events that a bundle may learn from, and the requests after them, in order of time."""

    before: Interactions
    asks: tuple[Ask, ...]


def traffic(dataset: Dataset, *, warm: float, every: int, most: int, seed: int) -> Traffic:
    """Requests of the people who come after the first `warm` share of events: one at each `every`-th event of a visit.

    most: requests, about; visits are drawn at random until there are so many, whole, so that many people take part.
    Raises Problem without times, and when there is nothing to replay.
    """
    if not 0 < warm < 1 or every < 1:
        raise Problem(f"warm must lie between 0 and 1 and every be 1 or more; got {warm} and {every}")
    events = dataset.interactions
    ordered = events.only(np.argsort(events.time.to_numpy(), kind="stable"))
    cut = round(warm * len(ordered))
    rows = ordered.rows.iloc[cut:].copy()
    rows["visit"] = (rows.groupby(USER)[TIME].diff().dt.total_seconds().fillna(np.inf) > GAP).cumsum()
    rows["visit"] = rows.groupby([USER, rows.groupby(USER)["visit"].rank("dense")]).ngroup()
    asked = rows[rows.groupby("visit").cumcount() % every == 0]
    visits = np.random.default_rng([seed, 41]).permutation(asked["visit"].unique())
    size = asked["visit"].value_counts()[visits].cumsum()
    asked = asked[asked["visit"].isin(visits[: int((size <= most).sum()) or 1])]
    if asked.empty:
        raise Problem("no request could be made: the later part has no events. Lower warm.")
    before = ordered.only(np.arange(cut))
    return Traffic(before, tuple(_asks(dataset, ordered, asked, set(before.user.unique()))))


def _asks(dataset: Dataset, ordered: Interactions, asked: pd.DataFrame, known: set[int]) -> list[Ask]:
    item_ids, user_ids, titles = dataset.item_ids.values, dataset.user_ids.values, dataset.items[TITLE].to_numpy()
    wanted = ordered.rows[ordered.user.isin(asked[USER].unique())]
    own = {user: (rows.index.to_numpy(), rows[ITEM].to_numpy()) for user, rows in wanted.groupby(USER)}
    found = []
    for number, (place, row) in enumerate(zip(asked.index, asked.itertuples(), strict=True)):
        places, items = own[row.user]
        past = items[: np.searchsorted(places, place)]
        ask = Ask(int(row.user), int(row.visit), row.time)
        if number % 5 == 4 and len(past):
            found.append(replace(ask, text=str(titles[past[-1]])))
        elif row.user in known or not len(past):
            found.append(replace(ask, user=str(user_ids[row.user])))
        else:
            found.append(replace(ask, items=tuple(item_ids[past[-MOST_NAMED:]].tolist())))
    return found


def bundle_of(
    dataset: Dataset, events: Interactions, model: Model, *, vectors: np.ndarray | None = None,
    encoder: Reader | None = None,
) -> Bundle:  # fmt: skip
    """A bundle that knows these events and the people who made them, nobody else. model: unfitted.

    build.build makes the bundle of a whole data set; this one stops where the replay begins. Texts are the titles.
    """
    known = np.unique(events.user)
    row_of = np.full(events.n_users, -1)
    row_of[known] = np.arange(len(known))
    own = Interactions(events.rows.assign(**{USER: row_of[events.user]}), len(known), events.n_items)
    items = dataset.items.assign(**{TEXT: dataset.items[TITLE].astype(str)})
    data = {"name": dataset.name, "users": len(known), "items": own.n_items, "events": len(own)}
    user_ids = dataset.user_ids.ids(known).astype(str)
    return Bundle(model.fit(own), items, user_ids, own.matrix(), vectors, encoder, data)


def answered(engine: Engine, ask: Ask, k: int, encode: Encode | None = None) -> Answer:
    """The engine's answer to a request, as the app would give it. encode: another encoder than the engine's own."""
    if ask.text:
        return engine.for_text(ask.text, k, None if encode is None else encode([ask.text])[0])
    return engine.for_items(ask.items, k) if ask.items else engine.for_user(ask.user, k)


def noted(
    engine: Engine, asks: Sequence[Ask], places: np.ndarray | None, k: int, *, encode: Encode | None = None
) -> Noted:
    """What a window notes of these requests. places: (n_items, 3) of the reference."""
    window = Window(len(asks))
    for ask in asks:
        window.note(answered(engine, ask, k, encode), places)
    return window.newest()


def parted(asks: Sequence[Ask], seed: int) -> dict[str, np.ndarray]:
    """Positions of requests by what they are for: the earlier half in two parts by people, and the later half.

    "learning" (two thirds of the people) and "judged" have no person in common, so that what is learnt is judged on
    others; "later" differs by time as well, and is parted in the same way into "learning again" and "judged again".
    """
    people = np.array([ask.person for ask in asks])
    judged = np.random.default_rng([seed, 44]).permutation(people.max() + 1)[people] % 3 == 0
    early = np.arange(len(asks)) < len(asks) // 2
    return {
        "learning": np.flatnonzero(early & ~judged), "judged": np.flatnonzero(early & judged),
        "later": np.flatnonzero(~early), "learning again": np.flatnonzero(~early & ~judged),
        "judged again": np.flatnonzero(~early & judged),
    }  # fmt: skip


async def send(client: Any, ask: Ask, k: int) -> Any:
    """Send a request to the app. client: httpx's, with the app behind it. Returns the answer."""
    if ask.text:
        return await client.post("/v1/recommendations/text", json={"text": ask.text, "k": k})
    if ask.items:
        return await client.post("/v1/recommendations", json={"items": list(ask.items), "k": k})
    return await client.get(f"/v1/users/{quote(ask.user, safe='')}/recommendations?k={k}")


def strangers(asks: Sequence[Ask]) -> list[Ask]:
    """The same visits by people of whom nothing is known, who name nothing."""
    return [replace(ask, user=f"stranger {ask.visit}", items=(), text="") for ask in asks]


def renamed(asks: Sequence[Ask], item_ids: Sequence[str], seed: int) -> list[Ask]:
    """The same requests by callers whose catalogue gave half of the items (drawn at random) another id."""
    half = np.random.default_rng([seed, 42]).permutation(len(item_ids))[: len(item_ids) // 2]
    new = {str(item_ids[row]): f"new {item_ids[row]}" for row in half}
    return [replace(ask, items=tuple(new.get(name, name) for name in ask.items)) for ask in asks]


def lovers(asks: Sequence[Ask], share: np.ndarray, seed: int) -> list[Ask]:
    """As many requests, but drawn from the tenth of those that name or remember items with the highest `share`.

    share: (n_asks,) of a genre, say, in what is known of the person; NaN where nothing is.
    """
    able = np.flatnonzero(np.isfinite(share))
    top = able[np.argsort(-share[able], kind="stable")][: max(1, len(able) // 10)]
    return [asks[place] for place in np.random.default_rng([seed, 43]).choice(top, len(asks))]


def shares(engine: Engine, asks: Sequence[Ask], marked: np.ndarray) -> np.ndarray:
    """(n_asks,) share of marked items in what is known of who asks; NaN where nothing is. marked: (n_items,) bool."""
    found = []
    for ask in asks:
        rows = engine.rows(ask.items)[0] if ask.items else engine.history_of(ask.user).indices
        found.append(marked[rows].mean() if len(rows) and not ask.text else np.nan)
    return np.array(found)


Incident = Callable[[], Awaitable[None]]


async def rehearse(
    client: Any, asks: Sequence[Ask], watch: Watch, *, step: int, k: int, at: Mapping[int, Incident] | None = None
) -> pd.DataFrame:
    """Send all requests to the app, read /metrics after every `step`, evaluate the rules on what it says.

    at: number of a request -> what happens before it. One row a scrape: minute, requests, firing (names joined by
    ", "), failed (answers other than 200), and a column for each gauge of the window ("name feature").
    """
    rows, failed = [], 0
    for number, ask in enumerate(asks):
        if at and number in at:
            await at[number]()
        failed += (await send(client, ask, k)).status_code != 200
        if (number + 1) % step == 0:
            scrape = scraped((await client.get("/metrics")).text)
            minute = (number + 1) // step
            firing = watch.look(minute * MINUTE, scrape)
            row = {"minute": minute, "requests": number + 1, "firing": ", ".join(firing), "failed": failed}
            rows.append(row | _gauges(scrape))
    found = pd.DataFrame(rows)
    return found.assign(**{name: np.nan for name in SHOWN if name not in found})


def _gauges(scrape: Mapping[Any, float]) -> dict[str, float]:
    return {
        " ".join([name, *(value for _, value in labels)]): number
        for (name, labels), number in scrape.items()
        if name.startswith(WINDOWED)
    }


def incidents(
    client: Any, service: Service, shelf: Shelf, bad: Bundle, switch: MutableMapping[str, bool], *,
    starts: Mapping[str, int], length: int,
) -> dict[int, Incident]:  # fmt: skip
    """What happens in a rehearsal, and when: "bundle": the bad one is published and loaded, `length` requests later
    rolled back; "encoder": switch["encoder"] is turned, and what was read is forgotten, as in a new process.

    starts: name -> number of a request.
    """

    async def publish() -> None:
        shelf.publish(bad)
        await client.post("/admin/reload")

    async def go_back() -> None:
        shelf.rollback()
        await client.post("/admin/reload")

    async def flip() -> None:
        switch["encoder"] = not switch["encoder"]
        service.recent = Recent()

    found: dict[int, Incident] = {}
    for name, (begin, end) in {"bundle": (publish, go_back), "encoder": (flip, flip)}.items():
        if name in starts:
            found |= {starts[name]: begin, starts[name] + length: end}
    return found


def followed(story: pd.DataFrame, starts: Mapping[str, int], length: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What came after each incident within two lengths, and the scrapes outside these. story: what `rehearse` returned.

    Columns incident, first alarm (rules that were not firing when the incident began), after (requests).
    """
    near = {name: story[story.requests.between(start, start + 2 * length)] for name, start in starts.items()}
    rows = []
    for name, own in near.items():
        fired = [set(text.split(", ")) - {""} for text in own.firing]
        new = [(one - fired[0], requests) for one, requests in zip(fired, own.requests, strict=True) if one - fired[0]]
        told = (", ".join(sorted(new[0][0])), new[0][1] - starts[name]) if new else ("none", np.nan)
        rows.append((name, *told))
    outside = story.drop(pd.concat(near.values()).index.unique())
    return pd.DataFrame(rows, columns=["incident", "first alarm", "after, requests"]), outside
