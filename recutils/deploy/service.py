"""What lives as long as the service: the bundle it serves, how that is replaced, and its end. No routes (routes.py)."""

import asyncio
import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recutils.deploy.access import Keys
from recutils.deploy.batcher import Batcher
from recutils.deploy.bundle import Reader, load
from recutils.deploy.engine import Answer, Engine
from recutils.deploy.feedback import FeedbackLog
from recutils.deploy.guard import Limits, Refused
from recutils.deploy.schemas import Item, Recommended
from recutils.deploy.shelf import Shelf
from recutils.deploy.telemetry import Telemetry
from recutils.tables import Problem

LOG = logging.getLogger("recutils.service")
Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass
class Settings:
    """What a service is started with. keys: None only where `open_to_all` says so.

    encode: texts -> vectors with the encoder `reader`; None serves words only. feedback: folder of the log, or None.
    poll_seconds: how often the shelf is asked for another version; 0 asks never.
    """

    shelf: Shelf
    keys: Keys | None = None
    open_to_all: bool = False
    limits: Limits = field(default_factory=Limits)
    feedback: Path | None = None
    encode: Encode | None = None
    reader: Reader | None = None
    poll_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Raises Problem for a service without keys that was not told to be open, and for one with both."""
        if (self.keys is None) != self.open_to_all:
            raise Problem("a service has keys, or is told to be open to all; expected exactly one of the two.")


class Service:
    """What lives as long as the process. The engine is replaced whole, so that a request meets one bundle only."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.telemetry = settings, Telemetry()
        self.engine: Engine | None = None
        self.loaded = datetime.datetime.now(datetime.UTC)
        self.batcher = Batcher(settings.encode) if settings.encode else None
        self.log = FeedbackLog(settings.feedback) if settings.feedback else None
        self._loading = asyncio.Lock()

    async def start(self) -> None:
        """Load what the shelf serves. Raises Problem where it cannot."""
        await self.reload()

    async def reload(self) -> bool:
        """Load the shelf's version where it is another one; whether it was. Requests go on meanwhile.

        Raises Problem for a bundle that is refused; then the one that is served stays.
        """
        async with self._loading:
            folder = self.settings.shelf.current()
            if self.engine and self.engine.bundle.version == folder.name:
                return False
            try:
                engine = await asyncio.to_thread(self._made, folder)
            except Problem:
                self.telemetry.reloads.labels("refused").inc()
                raise
            self._serve(engine)
            return True

    def _made(self, folder: Path) -> Engine:
        bundle = load(folder, encoder=self.settings.reader)
        engine = Engine(bundle, self.settings.encode)
        engine.warm()
        return engine

    def _serve(self, engine: Engine) -> None:
        self.telemetry.loaded.clear()
        self.telemetry.loaded.labels(engine.bundle.version).set(1)
        self.telemetry.reloads.labels("served").inc()
        self.engine, self.loaded = engine, datetime.datetime.now(datetime.UTC)
        self.telemetry.ready.set(1)
        LOG.info("serving %s", engine.bundle.version)

    async def watch(self) -> None:
        """Ask the shelf again and again; a bundle that is refused is told and the old one stays."""
        told = ""
        while self.settings.poll_seconds > 0:
            await asyncio.sleep(self.settings.poll_seconds)
            try:
                await self.reload()
            except (Problem, OSError) as fault:
                if str(fault) != told:
                    LOG.error("not reloaded: %s", fault)
                told = str(fault)

    def close(self) -> None:
        """Take no more requests; keep what was logged."""
        self.telemetry.ready.set(0)
        self.engine = None
        if self.log:
            self.log.close()
        if self.batcher:
            self.batcher.close()

    @property
    def now(self) -> Engine:
        """The engine. Raises Refused before the first bundle and after the end."""
        if self.engine is None:
            raise Refused(503, "not_ready", "no bundle is loaded", "try again a little later", 1.0)
        return self.engine

    async def vector(self, text: str) -> np.ndarray | None:
        """(d,) of a text, together with others that wait; None without an encoder or without text."""
        return await self.batcher.vector(text) if self.batcher and text.strip() else None

    def listed(self, engine: Engine, answer: Answer) -> Recommended:
        """An answer as it is sent."""
        self.telemetry.how.labels(answer.how).inc()
        return Recommended(items=_items(engine, answer), how=answer.how, note=answer.note, version=answer.version)


def _items(engine: Engine, answer: Answer) -> list[Item]:
    places = enumerate(zip(answer.items, answer.scores, strict=True), start=1)
    return [
        Item(rank=rank, item_id=str(engine.item_ids[row]), title=str(engine.titles[row]), score=score)
        for rank, (row, score) in places
    ]
