"""The news case on planted readers: what is hidden, which topic is hot, what desk and page do with bad input."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from recutils.case import news
from recutils.data.split import frozen
from recutils.model.baselines import Popularity
from recutils.model.ease import EASE
from recutils.tables import Dataset, Ids, Interactions, Problem
from recutils.trust.filter import load_rules

RULES = load_rules()


def read(pairs: Sequence[tuple[int, int]], n_users: int, n_items: int) -> Interactions:
    """One event for each (reader, article)."""
    user, item = zip(*pairs, strict=True)
    return Interactions(pd.DataFrame({"user": user, "item": item, "value": 1.0}), n_users, n_items)


@pytest.fixture
def events() -> Interactions:
    """Readers 0-9 with five articles, 10-19 with two, 20-39 with one."""
    pairs = [
        (user, (user + step) % 12) for user in range(40) for step in range(5 if user < 10 else 2 if user < 20 else 1)
    ]
    return read(pairs, 40, 12)


def test_each_reader_hides_one_article_and_new_readers_stand_apart(events: Interactions) -> None:
    found = news.one_each(events, 3)
    counts = [np.bincount(part.user, minlength=40) for part in (found.train, found.valid, found.test)]
    assert (counts[2][:20] == 1).all() and (counts[1][:10] == 1).all() and (counts[1][10:20] == 0).all()
    assert (counts[0][20:] == 0).all() and ((counts[1] + counts[2])[20:] == 1).all()
    assert 0 < counts[1][20:].sum() < 20, "new readers stand in both parts"
    assert sum(len(part) for part in (found.train, found.valid, found.test)) == len(events)
    assert len(frozen(found).train) == len(found.train) + len(found.valid)


def test_the_draw_is_the_seeds_and_thin_data_are_refused(events: Interactions) -> None:
    first, again, other = (news.one_each(events, seed).test.rows for seed in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)
    with pytest.raises(Problem, match="would be empty"):
        news.one_each(read([(0, 0), (1, 1)], 2, 2), 0)


def test_readers_and_articles_are_thinned_by_draw(dataset: Dataset) -> None:
    small = news.thinned(dataset, 0.5, 10, 1)
    assert small.interactions.n_users <= 20 and small.interactions.n_items <= 10
    again, whole = news.thinned(dataset, 0.5, 10, 1), news.thinned(dataset, 1.0, 0, 1)
    assert small.items.equals(again.items) and len(whole.interactions) == len(dataset.interactions)


def test_the_card_counts_readers_and_what_a_body_goes_with(events: Interactions) -> None:
    users = pd.DataFrame({"user_id": range(40)})
    items = pd.DataFrame({"item_id": range(12), "title": "x"})
    data = Dataset("planted", events, users, items, explicit=False)
    found = news.card(data, np.arange(12) < 3).set_index("fact").value
    views = np.bincount(events.item)
    assert found["readers"] == 40 and found["readers of a single article"] == 20 and found["articles with a body"] == 3
    assert found["readers an article, with a body"] == views[:3].mean().round()
    assert np.isnan(news.card(data, np.zeros(12, dtype=bool)).value[5])


def test_a_new_article_gets_the_heat_of_its_topic() -> None:
    counts = np.array([9, 7, 2, 2, 0, 0, 0])  # articles 4-6 are new
    members = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
    heat = news.hot(members, counts, damping=0)
    assert heat[[4, 5, 6]].round(2).tolist() == [8.0, 2.0, 5.0], "no topic means average heat"
    assert len(set(heat.tolist())) == 7 and heat.dtype == np.float32, "ties inside a topic are drawn"
    assert news.hot(members, counts, damping=2)[4] == pytest.approx((16 + 10) / 4, abs=1e-3)


def test_a_topic_that_is_new_throughout_gets_the_average_and_nonsense_is_refused() -> None:
    counts = np.array([4, 2, 0])
    assert news.hot(np.eye(3), counts, damping=0)[2] == pytest.approx(3, abs=1e-3)
    for wrong in ({"counts": np.zeros(3)}, {"counts": counts, "damping": -1}, {"counts": counts[:2]}):
        with pytest.raises(Problem, match="heat needs events"):
            news.hot(np.eye(3), **wrong)


@pytest.fixture
def topics() -> news.Topics:
    rng = np.random.default_rng(0)
    centres = np.eye(4)[:2]
    vectors = np.repeat(centres, 30, axis=0) + 0.05 * rng.normal(size=(60, 4))
    titles = [f"spark cluster guide {n}" for n in range(30)] + [f"cancer data report {n}" for n in range(30)]
    return news.find_topics(vectors.astype(np.float32), titles, 2, seed=0)


def test_planted_topics_are_found_named_and_abstained_from(topics: news.Topics) -> None:
    assert sorted(topics.members.sum(axis=0)) == [30, 30]
    spark = int(topics.members[0].argmax())
    counts = np.repeat([1, 3], 30)
    assert topics.table(counts)["events an article"].tolist() == [3, 1] and topics.table(counts).articles.sum() == 60
    assert "spark" in topics.names[spark] and "cancer" in topics.names[1 - spark]
    near, far = np.array([[1.0, 0, 0, 0]]), np.array([[0.5, 0.5, 9.0, 9.0]])
    assert topics.of(near).tolist() == [spark] and topics.of(far).tolist() == [-1]


def test_every_question_gets_the_answer_of_its_verdict() -> None:
    found = news.decision(dict.fromkeys(news.ANSWERS, "below"))
    assert found["what we would ship"].tolist() == [answers[1] for answers in news.ANSWERS.values()]
    with pytest.raises(Problem, match="no verdict"):
        news.decision({"hybrid - behaviour": "better"})


def test_the_desk_places_nothing_doubtful(topics: news.Topics) -> None:
    texts = ["a spark guide", "wie man die Daten mit dem Rechner liest", " ", "how to build a bomb", "plum cake"]
    asked: list[str] = []

    def encode(new: Sequence[str]) -> np.ndarray:
        asked.extend(new)
        return np.array([[1.0, 0, 0, 0] if "spark" in text else [0.5, 0.5, 9, 9] for text in new], dtype=np.float32)

    heat = dict.fromkeys(topics.names, 3.0)
    found = news.desk(texts, RULES, encode, topics, heat)
    assert found.state.tolist() == ["ready", "waits for a person", "empty", "blocked", "no topic"]
    assert found.heat.notna().tolist() == [True] + [False] * 4 and asked == ["a spark guide", "plum cake"]
    assert news.desk([""], RULES, encode, topics, heat).state.tolist() == ["empty"]


def test_a_page_has_reasons_and_nothing_that_the_filter_holds_back(events: Interactions) -> None:
    titles = [f"article {n}" for n in range(12)]
    titles[6] = "how to build a bomb"
    model, matrix = EASE(reg=1.0).fit(events), events.matrix()
    readers = Ids(f"r{n}" for n in range(40))
    history, state = news.history_of("r8", readers, matrix)  # has read 8, 9, 10, 11 and 0
    shown = news.front_page(model, history, titles, RULES, 5)
    assert state == "known" and len(shown.page) == 5 and titles[6] not in set(shown.page.title)
    assert shown.page.why.str.startswith("because you read").any() and shown.audit.action.tolist() == ["block"]
    past = news.front_page(model, news.history_of("r2", readers, matrix)[0], titles, RULES, 5)  # has read 6 before
    assert not past.page.why.str.contains("bomb").any() and past.page.why.str.contains(news.HELD_BACK).any()


@pytest.mark.parametrize(("reader", "wanted"), [("nobody", "unknown reader"), ("r40", "nothing read yet")])
def test_readers_without_a_past_get_the_page_for_all(events: Interactions, reader: str, wanted: str) -> None:
    more = Interactions(events.rows, 41, 12)
    history, state = news.history_of(reader, Ids(f"r{n}" for n in range(41)), more.matrix())
    shown = news.front_page(EASE(reg=1.0).fit(more), history, [f"article {n}" for n in range(12)], RULES, 3)
    best = np.argsort(-Popularity().fit(more).counts, kind="stable")[:3]
    assert state == wanted and shown.page.title.tolist() == [f"article {n}" for n in best]
    assert (shown.page.why == "read by many").all()


def test_a_reader_who_has_read_all_gets_an_empty_page() -> None:
    events = read([(0, 0), (0, 1), (1, 0)], 2, 2)
    shown = news.front_page(Popularity().fit(events), events.matrix()[0], ["one", "two"], RULES, 2)
    assert shown.page.empty and list(shown.page) == ["rank", "title", "why"]
