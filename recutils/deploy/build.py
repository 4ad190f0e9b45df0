"""From a data set to a bundle: fit on all events, read the texts, note what was measured before. It serves nothing."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from recutils.data.split import house
from recutils.deploy.bundle import MODELS, TEXT, Bundle, Reader
from recutils.encode import Encoder, encode_cached, texts_of
from recutils.encode.checkpoint import find
from recutils.encode.items import fullest
from recutils.evaluate.task import task
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.tables import Dataset, Problem

Say = Callable[[str], None]
K = 10


def build(
    dataset: Dataset, *, model: str = EASE.name, encoder: str = "minilm", say: Say = print, seed: int = 7
) -> Bundle:
    """A bundle of `model`, fitted on all events with its default settings.

    encoder: a checkpoint's name or folder; "" builds without texts' vectors. The figures are of the validation part,
    popularity beside: they tell that the bundle is sane, not how good it is (60_evaluate_compare asks that).
    Raises Problem for a model that no bundle serves.
    """
    if model not in MODELS:
        raise Problem(f"a bundle serves {', '.join(MODELS)}; got {model!r}.")
    say(f"measuring {model} beside popularity on the validation part")
    figures = _figures(dataset, model, seed)
    texts = texts_of(dataset, fullest(dataset))
    vectors, reader = _read(texts, encoder, say)
    say(f"fitting {model} on all {len(dataset.interactions):,} events")
    events = dataset.interactions
    return Bundle(
        MODELS[model]().fit(events), dataset.items.assign(**{TEXT: texts}), dataset.user_ids.values.astype(str),
        events.matrix(), vectors, reader,
        {"name": dataset.name, "users": events.n_users, "items": events.n_items, "events": len(events)},
        figures, dataset.notes,
    )  # fmt: skip


def _figures(dataset: Dataset, model: str, seed: int) -> tuple[dict, ...]:
    split = house(dataset.interactions)
    models = {
        name: made.fit(split.train) for name, made in {"popularity": Popularity(), model: MODELS[model]()}.items()
    }
    asked = task(split, dataset.name, K)
    found = asked.records("bundle", asked.judge(models, seed=seed))
    return tuple(asdict(record) for record in found if record.metric == "ndcg")


def _read(texts: list[str], name: str, say: Say) -> tuple[np.ndarray | None, Reader | None]:
    if not name:
        return None, None
    say(f"reading {len(texts):,} texts with {name}")
    found = find(name)
    vectors = encode_cached(Encoder(name), texts).vectors
    return vectors, Reader(found.name, found.hash, vectors.shape[1])
