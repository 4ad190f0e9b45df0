"""Strings to vectors: item texts, the text encoder, its cache, exact neighbours. No training, no ranking, no notebooks.

encoder = Encoder("minilm")                      # a catalogue name, a folder or a hub name
found = encode_cached(encoder, texts_of(dataset, "title+genres+year"))
nearest(found.vectors, found.vectors[:1], k=10)
"""

from recutils.encode.cache import encode_cached
from recutils.encode.encoder import Encoded, Encoder, Report
from recutils.encode.items import TEMPLATES, clean, missing, texts_of
from recutils.encode.search import Neighbours, nearest

__all__ = [
    "TEMPLATES",
    "Encoded",
    "Encoder",
    "Neighbours",
    "Report",
    "clean",
    "encode_cached",
    "missing",
    "nearest",
    "texts_of",
]
