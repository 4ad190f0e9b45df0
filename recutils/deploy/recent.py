"""A bounded memory of the newest results, so that a text which comes again is not read again. Keys are hashes."""

import hashlib
from collections import OrderedDict

import numpy as np

MOST = 2048  # vectors kept: 3 MB for 384 numbers each


class Recent:
    """Text -> vector; the one not asked for longest is forgotten first. The texts themselves are not kept."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._kept = most, OrderedDict[bytes, np.ndarray]()

    def get(self, text: str) -> np.ndarray | None:
        """The vector of a text, or None."""
        key = _key(text)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, text: str, vector: np.ndarray) -> None:
        """Remember a vector."""
        self._kept[_key(text)] = vector
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
