"""One scene for the study of alarms: a bundle, the traffic after it, the same traffic under five faults, a rehearsal
through the real app. Requests are made in replay.py, runs dealt and judged in drills.py.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recutils.deploy import replay
from recutils.deploy.alerts import Watch, rules
from recutils.deploy.bundle import Bundle, Reader
from recutils.deploy.deal import Ground, Plan
from recutils.deploy.drift import Reference, coordinates
from recutils.deploy.engine import Engine
from recutils.deploy.replay import Ask, Traffic
from recutils.deploy.routes import create
from recutils.deploy.service import REFERENCE, Settings
from recutils.deploy.shelf import Shelf
from recutils.deploy.window import Noted, Window
from recutils.encode import Encoder, encode_cached
from recutils.model.ease import EASE
from recutils.tables import Dataset, Problem

FAULTS = ("strangers", "catalogue", "bundle", "lovers", "encoder")
LEFT = 0.1  # share of the events that the bad bundle learnt from


@dataclass(frozen=True, eq=False)
class Scene:
    """flow: what the bundle may learn from, and the requests after it. encoder: the bundle's own. k: items per list."""

    data: Dataset
    flow: Traffic
    encoder: Encoder
    reg: float
    k: int
    seed: int

    @property
    def asks(self) -> tuple[Ask, ...]:
        """All requests, in order of time."""
        return self.flow.asks

    @cached_property
    def titles(self) -> list[str]:
        """Title of each item, by row."""
        return self.data.items.title.astype(str).tolist()

    @cached_property
    def vectors(self) -> np.ndarray:
        """(n_items, d) of the titles."""
        return encode_cached(self.encoder, self.titles).vectors

    @property
    def reader(self) -> Reader:
        """The encoder as bundles name it."""
        found = self.encoder.checkpoint
        return Reader(found.name, found.hash, self.vectors.shape[1])

    def encode(self, texts: Any) -> np.ndarray:
        """Vectors of texts; titles are not read again."""
        if all(text in self._row_of for text in texts):
            return self.vectors[[self._row_of[text] for text in texts]]
        return encode_cached(self.encoder, list(texts)).vectors

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {title: row for row, title in enumerate(self.titles)}

    @cached_property
    def bundle(self) -> Bundle:
        """EASE on all events before the requests."""
        return self._bundle(self.flow.before)

    @cached_property
    def bad(self) -> Bundle:
        """The same on a share LEFT of these events, as if most of a table had been lost."""
        kept = np.random.default_rng([self.seed, 71]).random(len(self.flow.before)) < LEFT
        return self._bundle(self.flow.before.only(kept))

    def _bundle(self, events: Any) -> Bundle:
        model = EASE(reg=self.reg)
        return replay.bundle_of(self.data, events, model, vectors=self.vectors, encoder=self.reader)

    @cached_property
    def engine(self) -> Engine:
        """What answers from the good bundle."""
        return Engine(self.bundle, self.encode)

    @cached_property
    def places(self) -> np.ndarray:
        """(n_items, 3) in which tastes are told."""
        return coordinates(self.bundle.histories)

    def kinds(self) -> pd.DataFrame:
        """How many requests of each kind there are."""
        known = set(self.bundle.user_ids.tolist())
        kind = [
            "by text" if ask.text else "stranger, names items" if ask.items else "known, by id" if ask.user in known
            else "stranger, cold" for ask in self.asks
        ]  # fmt: skip
        found = pd.Series(kind).value_counts()
        return pd.DataFrame({"request": found.index, "n": found.to_numpy()})

    @property
    def told(self) -> str:
        """How much traffic there is, in words."""
        people, visits = (len({getattr(ask, what) for ask in self.asks}) for what in ("person", "visit"))
        return f"{len(self.asks):,} requests of {people:,} people in {visits:,} visits"

    def ground(self, plan: Plan) -> Ground:
        """All requests as a window notes them, ready to be dealt."""
        noted = replay.noted(self.engine, self.asks, self.places, self.k)
        visits, people = (np.array([getattr(ask, what) for ask in self.asks]) for what in ("visit", "person"))
        return Ground(noted, visits, people, self.engine.item_ids.astype(str), self.places, plan)

    def faults(self, positions: np.ndarray, genre: str) -> dict[str, Noted]:
        """The requests at these positions as they are noted under each of FAULTS.

        genre: a word of the items' column genres, whose lovers come alone; without such a column, any item's title.
        """
        asks = [self.asks[place] for place in positions]
        marked = self.data.items.get("genres", self.data.items.title).astype(str).str.contains(genre).to_numpy()
        shares = replay.shares(self.engine, asks, marked)
        other = Encoder(self.encoder.model, pooling="cls" if self.encoder.pooling != "cls" else "mean")
        used = sorted({ask.text for ask in asks if ask.text})
        wrong = dict(zip(used, encode_cached(other, used).vectors, strict=True)) if used else {}
        bad = Engine(self.bad, self.encode)
        return {
            "strangers": self._noted(replay.strangers(asks)),
            "catalogue": self._noted(replay.renamed(asks, self.engine.item_ids, self.seed)),
            "bundle": replay.noted(bad, asks, self.places, self.k),
            "lovers": self._noted(replay.lovers(asks, shares, self.seed)),
            "encoder": self._noted(asks, encode=lambda texts: np.array([wrong[text] for text in texts])),
        }

    def _noted(self, asks: Any, **more: Any) -> Noted:
        return replay.noted(self.engine, asks, self.places, self.k, **more)

    async def rehearsed(
        self,
        folder: Path,
        reference: Reference,
        alert_rules: Path,
        asks: list[Ask],
        *,
        plan: Plan,
        starts: dict[str, int],
    ) -> tuple[pd.DataFrame, str]:
        """Send requests to the real app in this process while incidents happen; the story and the last /metrics.

        folder: an empty one, for the shelf. starts: incident -> number of its first request; each lasts one window.
        "strangers": nobody is known; "bundle": the bad one is published, loaded while serving, later rolled back;
        "encoder": vectors are turned by one place, as with another checkpoint's.
        """
        import httpx

        shelf, switch = Shelf(folder), {"encoder": False}
        shelf.publish(self.bundle)
        reference.save(shelf.place / REFERENCE)
        sent = list(asks)
        if "strangers" in starts:
            part = slice(starts["strangers"], starts["strangers"] + plan.window)
            sent[part] = replay.strangers(sent[part])

        def encode(texts: Any) -> np.ndarray:
            return np.roll(self.encode(texts), 1, axis=1) if switch["encoder"] else self.encode(texts)

        app = create(Settings(shelf, open_to_all=True, encode=encode, reader=self.reader, poll_seconds=0))
        service = app.state.service
        service.telemetry.window = Window(plan.window)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                at = replay.incidents(client, service, shelf, self.bad, switch, starts=starts, length=plan.window)
                watch = Watch(rules(alert_rules))
                story = await replay.rehearse(client, sent, watch, step=plan.step, k=self.k, at=at)
                return story, (await client.get("/metrics")).text


def scene(
    data: Dataset, *, checkpoint: str, every: int, most: int, reg: float, k: int, seed: int, warm: float = 0.8
) -> Scene:
    """A scene on a data set: the first `warm` share of its events is the bundle's, the rest becomes requests."""
    if reg <= 0:
        raise Problem(f"reg is EASE's penalty, above 0; got {reg}")
    flow = replay.traffic(data, warm=warm, every=every, most=most, seed=seed)
    return Scene(data, flow, Encoder(checkpoint), reg, k, seed)
