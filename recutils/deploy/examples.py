"""What the served bundle can be asked, as examples for the page, /version and /openapi.json. No answers here."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from recutils.deploy.bundle import TEXT
from recutils.deploy.engine import Engine
from recutils.deploy.schemas import Shown

MOST_WORDS = 10  # of a text that is shown as a description


def shown(engine: Engine) -> Shown:
    """A person with a history, items that most choose, words of one's title and a description: the bundle's own."""
    popular = np.asarray(engine.model.popular, dtype=np.float64)
    items = np.argsort(-popular, kind="stable")[:2]
    known = np.flatnonzero(np.diff(engine.bundle.histories.indptr))[:2]
    text = " ".join(str(engine.bundle.items[TEXT].iloc[int(items[-1])]).split()[:MOST_WORDS])
    return Shown(
        user_ids=[str(engine.bundle.user_ids[row]) for row in known],
        item_ids=[str(engine.item_ids[row]) for row in items],
        words=plain(str(engine.titles[items[0]])),
        text=text[:200],
    )


def plain(title: str) -> str:
    """A title's words as somebody would type them: "Star Wars (1977)" -> "star wars"; the title where none is left."""
    words = re.findall(r"\w+", re.sub(r"\([^)]*\)", " ", title.lower()))
    return (" ".join(words) or title)[:100]


def fitted(interface: Mapping[str, Any], engine: Engine, examples: Shown) -> dict[str, Any]:
    """The OpenAPI document with the bundle's own ids and words in its examples."""
    bundle, item = engine.bundle, examples.item_ids[0]
    known = {
        "item_id": item, "items": examples.item_ids, "title": str(engine.titles[engine.row(item)]),
        "q": examples.words, "version": bundle.version,
        "model": bundle.model.name, "data": dict(bundle.data), "n_users": len(bundle.user_ids),
        "n_items": len(bundle.items), "encoder": bundle.encoder.name if bundle.encoder else None,
        **{name: one for name, one in examples.model_dump().items() if one}, "examples": examples.model_dump(),
    }  # fmt: skip
    people = {"user_id": examples.user_ids[0]} if examples.user_ids else {}
    return _walked(interface, "", known | people)


def _walked(node: Any, name: str, known: Mapping[str, Any]) -> Any:
    """The document, its examples exchanged; name: of the parameter that a schema belongs to."""
    if isinstance(node, list):
        return [_walked(one, name, known) for one in node]
    if not isinstance(node, Mapping):
        return node
    if isinstance(given := node.get("examples"), list):
        node = {**node, "examples": [_exchanged(one, name, known) for one in given]}
    here = str(node["name"]) if {"name", "in"} <= set(node) else name
    return {key: one if key == "examples" else _walked(one, here, known) for key, one in node.items()}


def _exchanged(value: Any, name: str, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and name not in known:
        return {key: _exchanged(one, key, known) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_exchanged(one, "", known) for one in value]
    return known.get(name, value)
