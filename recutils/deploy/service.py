"""What lives as long as the service: the bundle it serves, how that is replaced, and its end. No routes (routes.py)."""

import asyncio
import datetime
import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from recutils.deploy.access import KeyFile, Keys
from recutils.deploy.batcher import Batcher
from recutils.deploy.bundle import Reader, load
from recutils.deploy.drift import Reference
from recutils.deploy.engine import WORDS, Answer, Engine
from recutils.deploy.examples import shown
from recutils.deploy.feedback import FeedbackLog
from recutils.deploy.guard import Limits, Refused
from recutils.deploy.recent import Recent
from recutils.deploy.schemas import Item, Recommended, Shown
from recutils.deploy.shelf import Shelf
from recutils.deploy.telemetry import Telemetry
from recutils.tables import Problem

LOG = logging.getLogger("recutils.service")
MEANING_READY, WORDS_ONLY = "words and meaning", "words"
LOADING, FAILED = "words, until the encoder is loaded", "words, since the encoder failed"
REFERENCE = "reference.json"  # beside the versions of a shelf: what requests were like when all was well
Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass
class Settings:
    """What a service is started with. keys: None only where `open_to_all` says so.

    encode: texts -> vectors with the encoder `reader`; None serves words only. encode_later: be ready before the
    encoder is loaded; texts are met by words until then, and every such answer says so. feedback: folder of the log, or
    None. poll_seconds: how often the shelf is asked for another version; 0 asks never.
    """

    shelf: Shelf
    keys: Keys | KeyFile | None = None
    open_to_all: bool = False
    limits: Limits = field(default_factory=Limits)
    feedback: Path | None = None
    encode: Encode | None = None
    reader: Reader | None = None
    poll_seconds: float = 2.0
    encode_later: bool = False

    def __post_init__(self) -> None:
        """Raises Problem for a service without keys that was not told to be open, and for one with both."""
        if (self.keys is None) != self.open_to_all:
            raise Problem("a service has keys, or is told to be open to all; expected exactly one of the two.")


class Service:
    """What lives as long as the process. The engine is replaced whole, so that a request meets one bundle only."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.telemetry = settings, Telemetry()
        self.engine: Engine | None = None
        self.examples = Shown()
        self.loaded = datetime.datetime.now(datetime.UTC)
        self.batcher = Batcher(settings.encode) if settings.encode else None
        self.log = FeedbackLog(settings.feedback) if settings.feedback else None
        self.recent = Recent()
        self._loading = asyncio.Lock()
        self.texts = LOADING if settings.encode else WORDS_ONLY

    async def start(self) -> None:
        """Load what the shelf serves, and the encoder or its beginning. Raises Problem where it cannot."""
        await self.reload()
        self._warming = asyncio.create_task(self._warm())
        if not self.settings.encode_later:
            await self._warming
        _settle()

    async def _warm(self) -> None:
        """Load the encoder on its own thread by a first text; where that fails, words go on answering."""
        if self.batcher is None:
            return
        try:
            await self.batcher.vector("warm up")
            self.texts = MEANING_READY
            LOG.info("texts are met by %s", self.texts)
        except Exception as fault:  # noqa: BLE001 - whatever a checkpoint may do, lists are served; it is told
            self.texts = FAILED
            LOG.error("the encoder cannot be used: %s", fault)
        _settle()

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
        engine = Engine(load(folder, encoder=self.settings.reader))  # vectors of texts come from the batcher
        engine.warm()
        return engine

    def _serve(self, engine: Engine) -> None:
        self.telemetry.serves(engine.item_ids, self._reference(), engine.bundle.version)
        self.telemetry.loaded.clear()
        self.telemetry.loaded.labels(engine.bundle.version).set(1)
        self.telemetry.reloads.labels("served").inc()
        self.engine, self.loaded = engine, datetime.datetime.now(datetime.UTC)
        self.telemetry.ready.set(1)
        self.examples = shown(engine)
        LOG.info("serving %s", self.served())

    def served(self) -> str:
        """What is served, for people."""
        bundle = self.now.bundle
        return f"{bundle.model.name} on {bundle.data.get('name', 'unnamed data')}, bundle {bundle.version}"

    def _reference(self) -> Reference | None:
        """What requests were like when all was well, where the shelf keeps it; a damaged one is told, not fatal."""
        path = self.settings.shelf.place / REFERENCE
        try:
            return Reference.load(path) if path.is_file() else None
        except Problem as fault:
            LOG.error("no drift: %s", fault)
            return None

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
        """(d,) of a text, kept or encoded with others that wait; None without text or an encoder that is ready."""
        if self.batcher is None or self.texts != MEANING_READY or not text.strip():
            return None
        found = self.recent.get(text)
        self.telemetry.cache.labels("miss" if found is None else "hit").inc()
        if found is None:
            found = await self.batcher.vector(text)
            self.recent.put(text, found)
        return found

    def told(self, answer: Answer) -> Answer:
        """The answer to a text, with a note where meaning was not at hand though the bundle has it."""
        if answer.how != WORDS or self.texts in (MEANING_READY, WORDS_ONLY):
            return answer
        return replace(answer, note=f"found by {self.texts}" + (f"; {answer.note}" if answer.note else ""))

    def listed(self, engine: Engine, answer: Answer) -> Recommended:
        """An answer as it is sent."""
        self.telemetry.listed(answer)
        return Recommended(items=_items(engine, answer), how=answer.how, note=answer.note, version=answer.version)


def _settle() -> None:
    """Take what is loaded out of the garbage collector's rounds: one over all of torch's objects stops every answer."""
    gc.freeze()


def _items(engine: Engine, answer: Answer) -> list[Item]:
    places = enumerate(zip(answer.items, answer.scores, strict=True), start=1)
    return [
        Item(rank=rank, item_id=str(engine.item_ids[row]), title=str(engine.titles[row]), score=score)
        for rank, (row, score) in places
    ]
