"""The language notice: silent on English, one sentence on other languages."""

import pytest

from recutils.data import load
from recutils.data.language import WORDS, language

ENGLISH = ["The Matrix", "Gone with the Wind", "Toy Story", "Heat", "WHITE HANGING HEART", "One Flew Over the Nest"]
OTHERS = {
    "German": ["Der Untergang", "Das Boot", "Kerze mit Duft", "Lola rennt", "Weiße Teelichthalter"],
    "French": ["Le fabuleux destin", "La haine", "Les 400 coups", "Jules et Jim"],
    "Spanish": ["Camiseta de algodón para niño", "Zapatos rojos", "Vestido con flores", "Bolso negro"],
    "Japanese": ["千と千尋の神隠し", "もののけ姫"],
    "Greek": ["Ο θίασος", "Ζ"],
    "Polish": ["Łóżko dla dzieci", "Zwykły czytnik książek"],
}


def test_english_is_silent():
    found = language(ENGLISH)
    assert found.notice == "" and found.n == 6 and found.n_english >= 3 and found.n_other == 0


@pytest.mark.parametrize("name", OTHERS)
def test_another_language_is_said_once_with_counts(name):
    found = language(OTHERS[name])
    assert found.notice.startswith("The default encoder is English") and found.notice.count(". ") == 0
    assert f"of {len(OTHERS[name])} texts {found.n_other} look like another language" in found.notice


def test_a_few_foreign_titles_among_many_english_ones_are_no_matter():
    assert language(ENGLISH * 5 + OTHERS["French"]).notice == ""
    assert language(["Heat"] * 100 + ["La haine", "Das Boot"]).notice == ""  # below 5 %


def test_nothing_to_read():
    assert language([]).notice == "" and language(["", " ", "123"]).notice == ""


def test_no_other_language_claims_an_english_word():
    for name, words in WORDS.items():
        assert name == "English" or not words & WORDS["English"], name


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "online-retail", "articles"])
def test_our_data_sets_are_english(name):
    found = language(load.load(name).items["title"])
    assert found.notice == "" and found.n_english > 4 * found.n_other
