"""Test queries made from the items' own fields, for data without any query: known-item search.

After Azzopardi, de Rijke & Balog (2007).

Each query has one right answer, the item that it was made from. Such queries are easier than people's, and exact ones
favour counted words: say so beside every figure. The dictionary is hand-made and small. No index and no metric here.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.encode.items import clean
from recutils.encode.tfidf import WORD
from recutils.tables import TITLE, Problem

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST = 4  # letters of a word that gets a typo
# word -> another English word for it, German, Chinese
DICTIONARY: dict[str, tuple[str, str, str]] = {
    "bag": ("sack", "Tasche", "袋"),
    "box": ("case", "Kiste", "盒子"),
    "mug": ("beaker", "Becher", "杯"),
    "candle": ("taper", "Kerze", "蜡烛"),
    "lantern": ("lamp", "Laterne", "灯笼"),
    "cushion": ("pillow", "Kissen", "垫子"),
    "clock": ("timepiece", "Uhr", "时钟"),
    "mirror": ("looking glass", "Spiegel", "镜子"),
    "flower": ("blossom", "Blume", "花"),
    "bird": ("robin", "Vogel", "鸟"),
    "cat": ("kitten", "Katze", "猫"),
    "dog": ("puppy", "Hund", "狗"),
    "rabbit": ("hare", "Hase", "兔"),
    "christmas": ("xmas", "Weihnachten", "圣诞"),
    "red": ("crimson", "rot", "红色"),
    "pink": ("rosy", "rosa", "粉色"),
    "blue": ("azure", "blau", "蓝色"),
    "white": ("snowy", "weiss", "白色"),
    "black": ("ebony", "schwarz", "黑色"),
    "purple": ("violet", "lila", "紫色"),
    "silver": ("chrome", "silbern", "银"),
    "gold": ("golden", "golden", "金"),
    "small": ("little", "klein", "小"),
    "large": ("big", "gross", "大"),
    "hanging": ("suspended", "haengend", "悬挂"),
    "gift": ("present", "Geschenk", "礼物"),
    "bottle": ("flask", "Flasche", "瓶"),
    "plate": ("dish", "Teller", "盘子"),
    "bowl": ("basin", "Schale", "碗"),
    "necklace": ("pendant chain", "Halskette", "项链"),
    "bracelet": ("bangle", "Armband", "手镯"),
    "glass": ("crystal", "Glas", "玻璃"),
    "wooden": ("timber", "hoelzern", "木制"),
    "metal": ("steel", "Metall", "金属"),
    "garden": ("yard", "Garten", "花园"),
    "kitchen": ("cooking", "Kueche", "厨房"),
    "basket": ("hamper", "Korb", "篮子"),
    "sign": ("placard", "Schild", "标牌"),
    "light": ("lamp", "Licht", "灯"),
    "vintage": ("antique", "alt", "复古"),
    "decoration": ("ornament", "Schmuck", "装饰"),
    "picture": ("image", "Bild", "图片"),
    "frame": ("border", "Rahmen", "框"),
    "purse": ("wallet", "Geldbeutel", "钱包"),
    "doormat": ("entrance rug", "Fussmatte", "门垫"),
    "pen": ("biro", "Stift", "笔"),
    "cake": ("gateau", "Kuchen", "蛋糕"),
    "tree": ("fir", "Baum", "树"),
    "love": ("affection", "Liebe", "爱"),
    "wall": ("partition", "Wand", "墙"),
    "children": ("kids", "Kinder", "儿童"),
    "toy": ("plaything", "Spielzeug", "玩具"),
}
FOREIGN = {"synonyms": 0, "German": 1, "Chinese": 2}
LEAST_WORDS = 2  # words of the dictionary in a title that is asked for by them


@dataclass(frozen=True, eq=False)
class Queries:
    """texts (n,), never empty; items (n,) the row that each was made from; made_from: a sentence."""

    texts: tuple[str, ...]
    items: np.ndarray
    made_from: str

    def truth(self, n_items: int) -> sparse.csr_matrix:
        """(n, n_items) with the one right answer of each query."""
        ones = np.ones(len(self.items), dtype=np.float32)
        return sparse.csr_matrix((ones, (np.arange(len(self.items)), self.items)), shape=(len(self.items), n_items))


def half(text: str, rng: np.random.Generator) -> str:
    """Half of the words, rounded up, in their order."""
    words = re.findall(WORD, text)
    kept = np.sort(rng.permutation(len(words))[: (len(words) + 1) // 2])
    return " ".join(words[row] for row in kept)


def typos(text: str, rng: np.random.Generator) -> str:
    """One slip in each word of four letters or more: two letters swapped, one dropped, doubled or replaced."""
    return " ".join(_slip(word, rng) if len(word) >= SHORTEST else word for word in re.findall(WORD, text))


def _slip(word: str, rng: np.random.Generator) -> str:
    at, kind = int(rng.integers(len(word) - 1)), int(rng.integers(4))
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    middle = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1], letter + word[at + 1])[kind]
    return word[:at] + middle + word[at + 2 :]


def translated(text: str, language: str = "English") -> str:
    """The dictionary's words of a text, in a language: English (as they stand), synonyms, German or Chinese.

    "" when the text holds fewer than two of them, so that all languages ask for the same items by the same words.
    """
    if language not in ("English", *FOREIGN):
        raise Problem(f"language must be English or one of {', '.join(FOREIGN)}; got {language!r}")
    words = [word for word in re.findall(WORD, text.lower()) if word in DICTIONARY]
    if len(set(words)) < LEAST_WORDS:
        return ""
    return " ".join(words if language == "English" else (DICTIONARY[word][FOREIGN[language]] for word in words))


def known_items(
    texts: Sequence[str], items: np.ndarray, make: Callable[[str], str], made_from: str, *, most: int | None = None
) -> Queries:
    """Queries for these item rows by `make(text)`, at most so many; items for which it makes nothing are left out."""
    made = [(make(texts[item]).strip(), int(item)) for item in items]
    kept = [(text, item) for text, item in made if text][:most]
    if not kept:
        raise Problem(f"no query could be made from {len(items)} items ({made_from}). Check the texts.")
    return Queries(tuple(text for text, _ in kept), np.array([item for _, item in kept]), made_from)


def halved(queries: Queries) -> tuple[Queries, Queries]:
    """Every second query to choose with, the others to judge on: no item is in both."""
    if len(queries.texts) < 2 * LEAST_WORDS:
        raise Problem(f"{len(queries.texts)} queries are too few to choose with one half and judge on the other.")
    first, second = (Queries(queries.texts[start::2], queries.items[start::2], queries.made_from) for start in (0, 1))
    return first, second


def wishes(
    facets: Sequence[Sequence[frozenset[str]]], truth: sparse.csr_matrix, rng: np.random.Generator
) -> tuple[list[str], sparse.csr_matrix]:
    """A query for each user, made from one item of the user's truth, and the truth that answers it.

    facets: groups of (n_items,) sets of words, such as genres and decades. One item of the truth is drawn for each
    user, and one word of each of its groups; of the truth only items with all these words stay, the drawn one too.
    A user without truth, or whose item has no word, gets "" and no truth. Queries so made know what is wanted, as a
    person who searches does; that is why they may only be compared with each other.
    """
    texts, rows, columns = [], [], []
    for user in range(truth.shape[0]):
        wanted = truth.indices[truth.indptr[user] : truth.indptr[user + 1]]
        words = _drawn(facets, int(wanted[rng.integers(len(wanted))]), rng) if len(wanted) else []
        texts.append(" ".join(word for word in words if word))
        if texts[-1]:
            fit = [
                item for item in wanted if all(w in group[item] for w, group in zip(words, facets, strict=True) if w)
            ]
            rows += [user] * len(fit)
            columns += fit
    return texts, sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=truth.shape)


def _drawn(facets: Sequence[Sequence[frozenset[str]]], item: int, rng: np.random.Generator) -> list[str]:
    """One word of each group for an item, "" where the group has none."""
    sets = [sorted(group[item]) for group in facets]
    return [words[int(rng.integers(len(words)))] if words else "" for words in sets]


def facets(items: pd.DataFrame) -> tuple[list[list[frozenset[str]]], list[str]]:
    """Groups of words that `wishes` may name, and the text of each item that is searched for them.

    Genres and decades ("1990s") where the table has genres and year, else the title's words of four letters or more.
    """
    if {"genres", "year"} <= set(items):
        genres = [frozenset(clean(cell).lower().replace("-", "").split(", ")) - {""} for cell in items["genres"]]
        decades = [frozenset([f"{int(year) // 10 * 10}s"] if pd.notna(year) else []) for year in items["year"]]
        groups = [genres, decades]
    else:
        words = (clean(title).lower().split() for title in items[TITLE])
        groups = [[frozenset(word for word in one if word.isalpha() and len(word) >= SHORTEST) for one in words]]
    return groups, [" ".join(word for group in groups for word in sorted(group[row])) for row in range(len(items))]
