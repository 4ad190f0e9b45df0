"""Many small calls of an encoder become few large ones: texts that wait at the same time are encoded together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

MOST_TOGETHER = 32  # texts in one call


class Batcher:
    """Encodes texts on one thread of its own; while a batch runs, what arrives waits and forms the next."""

    def __init__(self, encode: Callable[[Sequence[str]], np.ndarray], most: int = MOST_TOGETHER) -> None:
        self._encode, self._most = encode, most
        self._waiting: list[tuple[str, asyncio.Future[np.ndarray]]] = []
        self._running: asyncio.Task[None] | None = None
        self.busy = False  # whether the thread is encoding, or loading what encodes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")

    async def vector(self, text: str) -> np.ndarray:
        """(d,) float32 of one text; the encoder's error where it fails."""
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                here = [one for one in self._waiting if not one[1].done()]  # who gave up is not encoded for
                batch, self._waiting = here[: self._most], here[self._most :]
                if batch:
                    await self._answer(batch)
        finally:
            self._running = None

    async def _answer(self, batch: list[tuple[str, asyncio.Future[np.ndarray]]]) -> None:
        texts = [text for text, _ in batch]
        try:
            vectors = await asyncio.get_running_loop().run_in_executor(self._thread, self._encoded, texts)
        except Exception as fault:  # noqa: BLE001 - whoever waits gets it
            for _, future in batch:
                if not future.done():
                    future.set_exception(fault)
            return
        for (_, future), vector in zip(batch, vectors, strict=True):
            if not future.done():  # its caller may have gone
                future.set_result(vector)

    def _encoded(self, texts: Sequence[str]) -> np.ndarray:
        self.busy = True
        try:
            return self._encode(texts)
        finally:
            self.busy = False

    def close(self) -> None:
        """Let the thread end after what it does now."""
        self._thread.shutdown(wait=False, cancel_futures=True)
