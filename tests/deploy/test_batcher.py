"""Texts that wait together are encoded together, each caller gets the own vector, and faults reach those who wait."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from recutils.deploy.batcher import Batcher


def slow(texts: Sequence[str]) -> np.ndarray:
    time.sleep(0.02)
    return np.array([[float(text)] for text in texts], dtype=np.float32)


def ask(batcher: Batcher, texts: Sequence[str]) -> list:
    async def all_of() -> list:
        return await asyncio.gather(*[batcher.vector(text) for text in texts], return_exceptions=True)

    return asyncio.run(all_of())


def test_each_caller_gets_the_own_vector_in_few_calls() -> None:
    sizes = []

    def counted(texts: Sequence[str]) -> np.ndarray:
        sizes.append(len(texts))
        return slow(texts)

    batcher = Batcher(counted, most=8)
    found = ask(batcher, [str(n) for n in range(20)])
    assert [float(vector[0]) for vector in found] == list(range(20))
    assert sizes == [8, 8, 4]
    assert float(ask(batcher, ["7"])[0][0]) == 7  # it works again after it was idle
    batcher.close()


def test_a_fault_of_the_encoder_reaches_all_who_wait_and_nobody_after() -> None:
    batcher = Batcher(slow)
    found = ask(batcher, ["1", "x"])
    assert all(isinstance(one, ValueError) for one in found)
    assert float(ask(batcher, ["2"])[0][0]) == 2
    batcher.close()


def test_a_caller_who_goes_away_stops_nobody_else() -> None:
    batcher = Batcher(slow)

    async def one_leaves() -> float:
        first, second = (asyncio.create_task(batcher.vector(text)) for text in ("1", "2"))
        await asyncio.sleep(0.001)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return float((await second)[0])

    assert asyncio.run(one_leaves()) == 2
    batcher.close()
