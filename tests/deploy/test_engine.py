"""Answers from a bundle: personal where something is known, and said so where nothing is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from recutils.deploy.bundle import MODELS, Bundle, Reader
from recutils.deploy.engine import MEANING, PERSONAL, POPULAR, TOGETHER, WORDS, Engine
from recutils.rank.top import top_k
from recutils.tables import Dataset, Problem

TITLES = ["red tea pot", "blue tea cup", "iron nail", "claw hammer", "straw hat"]


def encode(texts: Sequence[str]) -> np.ndarray:
    """Tea things on one axis, tools on the other; a hat on neither."""
    tea, tools = {"tea", "pot", "cup", "kettle"}, {"nail", "hammer", "spanner"}
    rows = [[len(tea & set(text.split())), len(tools & set(text.split())), 0.1] for text in texts]
    return np.array(rows, dtype=np.float32)


def bundle(dataset: Dataset, *, texts: bool = True) -> Bundle:
    n_items = dataset.interactions.n_items
    titles = [TITLES[row] if row < len(TITLES) else f"thing {row}" for row in range(n_items)]
    items = dataset.items.assign(title=titles, text=titles)
    vectors = encode(titles) if texts else None
    return Bundle(
        MODELS["ease"]().fit(dataset.interactions), items, dataset.users.user_id.to_numpy(dtype=str),
        dataset.interactions.matrix(), vectors, Reader("planted", "0" * 64, 3) if texts else None, version="abc",
    )  # fmt: skip


@pytest.fixture
def engine(dataset: Dataset) -> Engine:
    return Engine(bundle(dataset), encode)


def test_a_known_person_gets_the_models_list_without_what_was_met(engine: Engine, dataset: Dataset) -> None:
    history = dataset.interactions.matrix()[[3]]
    expected = top_k(engine.model.score(history), history, 5)[0]
    found = engine.for_user("u3", 5)
    assert found.how == PERSONAL and found.items == tuple(expected.tolist()) and found.note == ""
    assert not set(found.items) & set(history.indices.tolist())
    assert list(found.scores) == sorted(found.scores, reverse=True) and found.version == "abc"


def test_a_stranger_gets_what_is_popular_and_is_told_so(engine: Engine, dataset: Dataset) -> None:
    counts = np.bincount(dataset.interactions.item, minlength=30)
    found = engine.for_user("nobody", 3)
    assert found.how == POPULAR and "nobody is known as 'nobody'" in found.note
    assert [counts[item] for item in found.items] == sorted(counts, reverse=True)[:3]


def test_liked_items_are_a_history_and_unknown_ones_are_named(engine: Engine) -> None:
    found = engine.for_items(["i1", "i3", "i1", "gone"], 4)
    assert found.how == PERSONAL and found.note == "not in the catalogue, left out: gone"
    assert not {1, 3} & set(found.items)
    assert found.items == engine.for_items(["i3", "i1"], 4).items
    assert engine.for_items(["gone"], 2).how == POPULAR
    assert engine.for_items([], 2).note.startswith("no item was given")
    assert engine.for_items([f"x{n}" for n in range(9)], 2).note.endswith("and 4 more")


def test_texts_meet_meaning_where_there_is_an_encoder_and_words_where_not(engine: Engine, dataset: Dataset) -> None:
    found = engine.for_text("kettle", 2)
    assert found.how == MEANING and set(found.items) == {0, 1}
    plain = Engine(bundle(dataset, texts=False))
    assert plain.for_text("kettle", 2).items == () and plain.for_text("tea", 2).how == WORDS


def test_search_fuses_words_and_meaning_and_says_when_nothing_answers(engine: Engine, dataset: Dataset) -> None:
    assert engine.search("claw hammer", 1).items == (3,)
    assert engine.search("claw hammer", 1).note == ""
    near = engine.search("zzz", 2)
    assert near.items and near.note.startswith("no item shares a word with this query")
    assert engine.search("  ", 2).how == POPULAR
    nothing = Engine(bundle(dataset, texts=False)).search("zzz", 3)
    assert nothing.items == () and nothing.note == "nothing answers this query"


def test_similar_items_leave_out_the_item_itself(engine: Engine, dataset: Dataset) -> None:
    near = engine.similar("i0", 1)
    assert near.items == (1,) and near.how == MEANING
    together = Engine(bundle(dataset, texts=False)).similar("i0", 4)
    assert together.how == TOGETHER and 0 not in together.items
    with pytest.raises(Problem, match="'gone' is not in the catalogue of 30 items"):
        engine.similar("gone", 3)


def test_reasons_are_items_of_the_history_strongest_first(engine: Engine, dataset: Dataset) -> None:
    history = dataset.interactions.matrix()[[3]]
    item = engine.for_user("u3", 1).items[0]
    reasons = engine.reasons(history, f"i{item}")
    assert reasons and {one.item for one in reasons} <= set(history.indices.tolist())
    assert [one.change for one in reasons] == sorted((one.change for one in reasons), reverse=True)
    assert engine.reasons(engine.history([]), "i1") == []
    (only,) = engine.reasons(engine.history([1]), "i3")
    assert only.item == 1 and only.change is None


def test_no_list_is_longer_than_the_catalogue_and_k_is_checked(engine: Engine) -> None:
    assert len(engine.for_user("nobody", 10_000).items) == 30
    with pytest.raises(Problem, match="at least 1"):
        engine.for_user("u1", 0)
    engine.warm()


def test_a_model_without_values_takes_liked_items(dataset: Dataset) -> None:
    """The value of a liked item is one that the data know: binary data stay binary."""
    ones = dataset.interactions.only(np.ones(len(dataset.interactions), dtype=bool))
    rows = pd.DataFrame({"user": ones.user, "item": ones.item, "value": 1.0})
    flat = Dataset("flat", type(ones)(rows, ones.n_users, ones.n_items), dataset.users, dataset.items, explicit=False)
    assert bundle(flat).liked == 1.0
