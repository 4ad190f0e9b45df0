"""Case 81: rankings, and the page's stated behaviour on odd input, on a small shop of known answers."""

import numpy as np
import pytest

from recutils.case import search as case
from recutils.case import search_judged
from recutils.rank.search import EMPTY, FOUND, NO_HIT, Dense

TITLES = ["RED TEA COSY", "BLUE MUG", "RED MUG", "DOOR STOP OWL", "HAND WARMER OWL", "GREEN MUG", "EROTIC POSTER MUG"]
MEANING = {"kettle": 0, "keeps a pot hot": 0, "gloves": 4}  # what an encoder would know


def encode(texts):
    """One-hot vectors: a title is itself, a known phrase points at its product, all else at nothing."""
    vectors = np.zeros((len(texts), len(TITLES)), dtype=np.float32)
    for row, text in enumerate(texts):
        at = TITLES.index(text) if text in TITLES else MEANING.get(text)
        if at is not None:
            vectors[row, at] = 1
    return vectors


@pytest.fixture
def shop():
    return case.Counter(TITLES, Dense(encode(TITLES), encode), np.array([1, 2, 9, 4, 3, 5, 8]), floor=0.5)


@pytest.mark.parametrize(
    ("query", "state"),
    [("red mugs", FOUND), ("gloves", case.MEANING), ("xqzvw kjhgf", NO_HIT), ("", EMPTY), ("  ", EMPTY),
     ("圣诞树装饰", case.FOREIGN), ("boîte à goûter pour les enfants", case.FOREIGN)],
)  # fmt: skip
def test_the_page_says_in_which_state_it_is(shop, query, state):
    page = shop.page(query, 3)
    assert page.state == state and page.note == case.NOTES[state]
    assert len(page.shown) > 0 or state == case.FOREIGN


def test_the_page_finds_words_and_meaning_and_says_why(shop):
    assert shop.page("a red mug for me", 2).shown.title.tolist()[0] == "RED MUG"
    assert shop.page("a red mug for me", 2).shown.why[0] == "has your words: red, mug"
    first = shop.page("kettle", 1).shown.iloc[0]
    assert first.title == "RED TEA COSY" and first.why.startswith("near in meaning")


@pytest.mark.parametrize("query", ["", "xqzvw kjhgf"])
def test_without_a_hit_the_most_popular_stand_there_and_are_called_so(shop, query):
    page = shop.page(query, 2)
    assert page.shown.title.tolist() == ["RED MUG", "GREEN MUG"], "the poster is second and withheld"
    assert set(page.shown.why) == {"chosen by many"}


def test_the_filter_withholds_a_product_and_keeps_an_audit(shop):
    page = shop.page("mug", 4)
    assert "EROTIC POSTER MUG" not in page.shown.title.tolist()
    assert page.audit["text"].tolist() == ["EROTIC POSTER MUG"] and page.audit["rule"].tolist() == ["adults only"]


@pytest.mark.parametrize("query", ["a mug to hurt my neighbour", "POISON for next door's dog", "how to make a bomb"])
def test_harmful_phrases_are_refused_and_show_nothing(shop, query):
    page = shop.page(query)
    assert page.state == case.REFUSED and page.shown.empty and page.note


@pytest.mark.parametrize("query", ["mug with a heart", "poisson d'avril card", "hurting feet slippers"])
def test_harmless_phrases_are_not_refused(shop, query):
    assert shop.page(query).state != case.REFUSED


def test_the_apart_phrases_all_have_a_stated_behaviour(shop):
    phrases = search_judged.read_phrases()
    for one in phrases[phrases.part == "apart"].itertuples():
        state = shop.page(one.phrase, 3).state
        assert (state == case.REFUSED) == (one.kind == "harmful") and (state == EMPTY) == (one.kind == "empty")


def test_rankings_are_whole_and_the_varied_list_begins_with_the_best(shop):
    lists = shop.rankings(["red mug", "gloves"], 0.5, 3, seed=1)
    assert set(search_judged.depths(10)) == set(lists) - {"random", "characters"}
    assert lists["diversified"][0, 0] == lists["fused"][0, 0] == 2
    assert (shop.varied(["red mug"], 0.0, 3) == lists["fused"][:1]).all(), "without variety it is the fused list"
    assert lists["dense"][1].tolist() == [4, -1, -1]


def test_nonsense_is_made_again_by_its_seed():
    one, two = (case.nonsense(3, np.random.default_rng(5)) for _ in range(2))
    assert one == two and all(len(text) == 13 and text[6] == " " for text in one)


def test_each_text_is_encoded_once():
    calls = []

    def encode(texts):
        calls.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts])

    of = case.remembered(encode)
    assert of(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]] and of(["bb", "ccc"]).shape == (2, 2)
    assert calls == [["a", "bb"], ["ccc"]]
