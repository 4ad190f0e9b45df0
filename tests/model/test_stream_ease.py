import numpy as np
import pandas as pd
import pytest

from recutils.model.ease import EASE
from recutils.model.stream_ease import StreamEASE, replaced
from recutils.tables import Interactions, Problem


def drawn(n_users: int = 30, n_items: int = 40, n: int = 300, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers([0, 0], [n_users, n_items], size=(n, 2)), axis=0)
    pairs = rng.permutation(pairs)
    return Interactions(pd.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1], "value": 1.0}), n_users, n_items)


def cut(events: Interactions, *places: int) -> list[Interactions]:
    return [events.only(part) for part in np.split(np.arange(len(events)), places)]


@pytest.mark.parametrize("places", [(200,), (150, 155, 160), (100, 101, 102, 240)])
def test_learning_in_batches_gives_the_weights_of_one_fit(places: tuple[int, ...]) -> None:
    events = drawn()
    first, *later = cut(events, *places)
    model = StreamEASE(reg=5.0).fit(first)
    for batch in later:
        model.learn(batch)
    batch = EASE(reg=5.0).fit(events)
    np.testing.assert_allclose(model.weights, batch.weights, atol=2e-5)
    np.testing.assert_array_equal(model.popular, batch.popular)


def test_one_person_is_learnt_without_an_inversion(monkeypatch: pytest.MonkeyPatch) -> None:
    events = drawn()
    model = StreamEASE(reg=5.0).fit(events)
    monkeypatch.setattr("recutils.model.stream_ease.inverse", None)  # calling it would fail
    one = Interactions(pd.DataFrame({"user": [3, 3], "item": [1, 39], "value": 1.0}), 30, 40)
    before = model.weights.copy()
    model.learn(one)
    assert not np.array_equal(before, model.weights)


def test_repeated_and_empty_batches_change_nothing() -> None:
    events = drawn()
    model = StreamEASE(reg=5.0, memory=0.5).fit(events)
    weights = model.weights
    model.learn(events.only(np.arange(0)))
    assert model.weights is weights
    assert model.user_weight.min() == 1, "nothing is forgotten for an empty batch"
    whole = StreamEASE(reg=5.0).fit(events).learn(events.only(np.arange(20)))
    np.testing.assert_allclose(whole.weights, weights, atol=1e-6)
    np.testing.assert_array_equal(whole.popular, model.popular)


def test_new_items_and_people_are_taken_in() -> None:
    first = drawn(n_users=20, n_items=30, n=200)
    grown = drawn(n_users=25, n_items=36, n=80, seed=4)
    model = StreamEASE(reg=5.0).fit(first).learn(grown)
    rows = pd.concat([first.rows, grown.rows]).drop_duplicates(["user", "item"])
    np.testing.assert_allclose(model.weights, EASE(reg=5.0).fit(Interactions(rows, 25, 36)).weights, atol=2e-5)
    assert model.n_items == 36 and model.score(grown.matrix()).shape == (25, 36)


def test_a_new_item_without_events_has_no_weight() -> None:
    first = drawn(n_users=20, n_items=30, n=200)
    empty = Interactions(first.rows.head(0), 20, 33)
    model = StreamEASE(reg=5.0).fit(first).learn(empty)
    assert model.weights.shape == (33, 33) and not model.weights[30:].any() and not model.weights[:, 30:].any()


def test_memory_zero_knows_the_newest_people_only() -> None:
    events = drawn()
    newest = events.only(events.user.to_numpy() < 10)
    older = events.only(events.user.to_numpy() >= 10)
    model = StreamEASE(reg=5.0, memory=0.0).fit(older).learn(newest)
    np.testing.assert_allclose(model.weights, EASE(reg=5.0).fit(newest).weights, atol=1e-6)


def test_memory_between_weighs_people_by_the_batches_since_they_came() -> None:
    events = drawn()
    parts = [events.only(events.user.to_numpy() % 3 == n) for n in range(3)]
    model = StreamEASE(reg=5.0, memory=0.5).fit(parts[0]).learn(parts[1]).learn(parts[2])
    assert sorted(set(model.user_weight[events.user.unique()])) == [0.25, 0.5, 1.0]


def test_a_shrunken_table_and_wrong_settings_are_refused() -> None:
    model = StreamEASE(reg=5.0)
    with pytest.raises(Problem, match="before it was fitted"):
        model.learn(drawn())
    model.fit(drawn())
    with pytest.raises(Problem, match="never shrink"):
        model.learn(drawn(n_items=30))
    with pytest.raises(Problem, match="memory"):
        StreamEASE(memory=1.5)


def test_replacing_rows_is_the_inverse_of_the_changed_matrix() -> None:
    known = drawn().matrix("binary").astype(np.float64)
    gram = (known.T @ known).toarray() + 3 * np.eye(40)
    before, after = known[:3], known[:3] + drawn(n_users=3, n=20, seed=9).matrix("binary")
    found = replaced(np.linalg.inv(gram), before.tocsr(), after.tocsr())
    np.testing.assert_allclose(
        found, np.linalg.inv(gram - (before.T @ before).toarray() + (after.T @ after).toarray()), atol=1e-10
    )
