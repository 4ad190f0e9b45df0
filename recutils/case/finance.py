"""Finance case: the reader's cut of a newswire, tone labels and word lists. No advice.

Alerts are evaluate/surge.py's, risk rules trust/suitability.py's. The file of tone labels holds no texts, only hashes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recutils import runs
from recutils.data.labelled import Labelled, drawn, load_labelled, newswire
from recutils.evaluate.agreement import Agreement, agreement
from recutils.evaluate.halves import by_halves
from recutils.tables import Problem
from recutils.tune.baselines import counted_words, linear, majority

LEAD = 60  # words of a text that the reader of a desk sees, and that were labelled
TONES = ("negative", "neutral", "positive")
TONE_FILE = "finance_tone.csv"
COLUMNS = ("row", "hash", "first", "second")
SHORTEST = 10  # words of a text that was drawn for labelling
# The words of direction in the labelling guide, with their other forms; written before any text was labelled.
UP = (
    "positive good profit profits up larger split better won higher raised raise raises relieved ended surplus rise "
    "rises rose rising increase increases increased strong easing"
)
DOWN = (
    "negative bad loss losses down cut cuts omitted weaker rejected rejects failed lowered lowers lower strike fire "
    "closure drought fall falls fell falling deficit tightening dispute default sanctions sues weak"
)
# Words of praise and blame such as shop reviews use; common ones, no list of the literature.
PRAISE = (
    "good great love loves loved perfect beautiful comfortable flattering nice happy excellent best soft cute pretty "
    "favorite amazing recommend well better"
)
BLAME = (
    "bad poor poorly disappointed disappointing return returned returning cheap awful terrible worst unflattering "
    "uncomfortable itchy ugly sadly unfortunately problem wrong huge worse"
)

# What if: risk classes of topics, invented to show the rule layer. No regulator's list and no advice.
WHAT_IF_RISKS: Mapping[str, int] = {
    **dict.fromkeys(
        "bop cpi gnp housing income instal-debt interest ipi jobs lei money-supply reserves retail wpi".split(), 1
    ),
    **dict.fromkeys("acq dlr earn money-fx trade".split(), 2),
    **dict.fromkeys(
        "alum carcass cocoa coffee copper cotton cpu crude fuel gas gold grain heat iron-steel jet lead livestock "
        "lumber meal-feed nat-gas nickel orange pet-chem platinum potato rubber ship strategic-metal sugar tea tin "
        "veg-oil zinc".split(),
        3,
    ),
}


def lead(text: str, words: int = LEAD) -> str:
    """The first words of a text, as a reader of the desk sees it.

    >>> lead("oil prices rose again today", 3)
    'oil prices rose'
    """
    return " ".join(text.split()[:words])


def text_hash(text: str) -> str:
    """16 hex digits that name a text without holding it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Desk:
    """The newswire cut for one case. leads: "train" and "test" -> leads. early, watch: rows of train in file order.

    fit, valid: drawn rows of `early` and `watch`. asked: drawn rows of test.
    """

    train: Labelled
    test: Labelled
    leads: Mapping[str, tuple[str, ...]]
    early: np.ndarray
    watch: np.ndarray
    fit: np.ndarray
    valid: np.ndarray
    asked: np.ndarray

    def texts(self, rows: np.ndarray, part: str = "train") -> list[str]:
        """The leads of these rows."""
        return [self.leads[part][row] for row in rows]


def desk(per_topic: int, n_test: int, *, n_valid: int = 400, most: int = 0, seed: int = 0, early: float = 0.7) -> Desk:
    """Read and cut the newswire: the first `early` share of the training file teaches, the rest watches.

    per_topic: rows of a topic that teach, at most. most: bounds fit, valid and asked by shares of it; 0: no bound.
    """
    train, test = newswire("train"), newswire("test")
    first, rest = np.split(np.arange(len(train)), [round(early * len(train))])
    first = np.sort(drawn(train, first, at_most(len(first), most, 2.0), seed))
    fit = capped(train, first, per_topic, seed)
    fit = drawn(train, fit, at_most(len(fit), most, 0.3), seed)
    valid = drawn(train, rest, at_most(n_valid, most, 0.15), seed)
    asked = drawn(test, np.arange(len(test)), at_most(n_test, most, 0.3), seed)
    leads = {name: tuple(map(lead, one.texts)) for name, one in {"train": train, "test": test}.items()}
    return Desk(train, test, leads, first, rest, fit, valid, asked)


def at_most(n: int, most: int, share: float) -> int:
    """n, or this share of `most` where that is a bound (not 0) and less."""
    return min(n, round(share * most)) if most else n


@dataclass(frozen=True, eq=False)
class Reviews:
    """Shop reviews cut like the newswire. texts: leads; labels: 1 recommended; the first n_teach teach."""

    texts: tuple[str, ...]
    labels: np.ndarray
    n_teach: int

    @property
    def judged(self) -> np.ndarray:
        """Labels of the reviews that judge at home."""
        return self.labels[self.n_teach :]


def shop_reviews(n: int, *, most: int = 0, seed: int = 0, teach: float = 0.7) -> Reviews:
    """Clothing reviews drawn by class. most: as in `desk`."""
    found = load_labelled("clothing-reviews")
    rows = drawn(found, np.arange(len(found)), at_most(n, most, 0.25), seed)
    return Reviews(tuple(lead(found.texts[row]) for row in rows), found.labels[rows], round(teach * len(rows)))


def draw_for_tone(found: Labelled, n: int = 200, seed: int = 88) -> np.ndarray:
    """Rows to label, in random order: by topic, in proportion to the root of its rows, at least one of each topic.

    Texts under SHORTEST words and repeated leads are left out first. The root keeps the two topics that hold
    most of the newswire from filling the sample. Raises Problem when n is less than the topics, or more than the rows.
    """
    leads = [lead(text) for text in found.texts]
    first = {text: row for row, text in reversed(list(enumerate(leads)))}
    usable = [row for row, text in enumerate(leads) if first[text] == row and len(text.split()) >= SHORTEST]
    by_topic = {
        label: [row for row in usable if found.labels[row] == label] for label in np.unique(found.labels[usable])
    }
    sizes = _root_shares(np.array([len(rows) for rows in by_topic.values()]), n)
    rng = np.random.default_rng(seed)
    drawn = [
        rows[place]
        for rows, size in zip(by_topic.values(), sizes, strict=True)
        for place in rng.choice(len(rows), size, replace=False)
    ]
    return np.array(drawn)[rng.permutation(n)]


def _root_shares(counts: np.ndarray, n: int) -> np.ndarray:
    """n cut by the roots of the counts: whole numbers, at least 1, at most the count."""
    if not len(counts) <= n <= counts.sum():
        raise Problem(
            f"{n} texts are wanted from {len(counts)} topics with {counts.sum()} texts; take a number between."
        )
    wanted = n * np.sqrt(counts) / np.sqrt(counts).sum()
    sizes = np.minimum(np.maximum(1, np.floor(wanted)).astype(int), counts)
    order = np.argsort(-(wanted - np.floor(wanted)), kind="stable")
    turn = 0
    while sizes.sum() < n:
        place = order[turn % len(order)]
        sizes[place] += sizes[place] < counts[place]
        turn += 1
    while sizes.sum() > n:
        sizes[np.argmax(sizes)] -= 1
    return sizes


@dataclass(frozen=True, eq=False)
class Tone:
    """n labelled texts. texts: leads. first, second: both readings. labels: (n,) places in TONES after `resolve`.

    agreed: (n,) bool. rows: (n,) places in the training file. agreement: of the two readings.
    """

    texts: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: np.ndarray
    rows: np.ndarray
    agreement: Agreement

    @property
    def agreed(self) -> np.ndarray:
        """Where both readings gave one label."""
        return np.array(self.first) == np.array(self.second)

    @property
    def told(self) -> np.ndarray:
        """Rows with a tone, positive or negative: the others say nothing that could be right or wrong."""
        return np.flatnonzero(self.labels != TONES.index("neutral"))


def resolve(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """One label each, as places in TONES: the common one; where the readings differ, neutral.

    A tone that two readers with one guide do not both see is no clear tone. This makes the clear ones easier.
    """
    pairs = zip(first, second, strict=True)
    return np.array([TONES.index(one if one == other else "neutral") for one, other in pairs], dtype=np.int64)


def load_tone(train: Labelled, path: Path | None = None, *, draws: int = 10_000) -> Tone:
    """The readings that the repository keeps, joined to the texts by row and hash.

    train: `newswire("train")`. Raises Problem for missing columns, unknown labels, and a text that is not the one read.
    """
    path = path or runs.DATA / "judgments" / TONE_FILE
    if not path.is_file():
        raise Problem(f"{path.name} is missing; it belongs to the repository, in data/judgments.")
    table = pd.read_csv(path, dtype=str)
    if list(table.columns) != list(COLUMNS):
        raise Problem(f"{path.name} must have the columns {', '.join(COLUMNS)}; got {', '.join(table.columns)}")
    rows = table["row"].astype(np.int64).to_numpy()
    outside = rows[(rows < 0) | (rows >= len(train))]
    wrong = [row for row, name in zip(rows, table["hash"], strict=True)
             if row in outside or text_hash(lead(train.texts[row])) != name]  # fmt: skip
    if wrong:
        raise Problem(
            f"{path.name}: row {wrong[0]} is not the text that was read. Fetch the pinned reuters files again."
        )
    first, second = tuple(table["first"]), tuple(table["second"])
    agreed = agreement(first, second, TONES, draws=draws)
    return Tone(tuple(lead(train.texts[row]) for row in rows), first, second, resolve(first, second), rows, agreed)


def word_tone(texts: Sequence[str], up: str, down: str) -> np.ndarray:
    """(words of `up` - words of `down`) / (both + 1) of each text, in -1..1; 0 for a text with none of them."""
    lists = frozenset(up.split()), frozenset(down.split())
    found = np.empty(len(texts))
    for row, text in enumerate(texts):
        words = re.findall(r"[a-z]+", text.lower())
        good, bad = (sum(word in known for word in words) for known in lists)
        found[row] = (good - bad) / (good + bad + 1)
    return found


def as_chances(scores: np.ndarray) -> np.ndarray:
    """Scores in -1..1 as a table of two columns that sum to 1, (n, 2): what `labels.judged` reads. Not calibrated."""
    up = (1 + np.asarray(scores, dtype=np.float64)) / 2
    return np.column_stack([1 - up, up])


def told_chances(table: np.ndarray) -> np.ndarray:
    """Probabilities of TONES (n, 3) as negative against positive (n, 2), neutral left out; .5 each where both are 0."""
    two = table[:, [TONES.index("negative"), TONES.index("positive")]]
    total = two.sum(axis=1, keepdims=True)
    return np.divide(two, total, out=np.full(two.shape, 0.5), where=total > 0)


def tone_tables(reviews: Reviews, wire: Sequence[str], home: np.ndarray, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Chances (n, 2) of bad and good by rules that never saw a newswire label: rows judged at home, then the wire's.

    home: vectors of all reviews; vectors: of the wire's texts.
    """
    n, labels = reviews.n_teach, reviews.labels[: reviews.n_teach]
    asked = [*reviews.texts[n:], *wire]
    return {
        "majority": majority(labels, len(asked), 2),
        "list: praise and blame": as_chances(word_tone(asked, PRAISE, BLAME)),
        "list: the guide's words": as_chances(word_tone(asked, UP, DOWN)),
        "reviews: counted words": counted_words(reviews.texts[:n], labels, asked),
        "reviews: MiniLM": linear(home[:n], labels, np.vstack([home[n:], vectors])),
    }


def tone_halves(tone: Tone, vectors: np.ndarray, seeds: Sequence[int]) -> dict[str, list[np.ndarray]]:
    """Chances of TONES (n, 3) for each seed, by heads that learnt half of the labels and answer for the other half."""

    def words(learn: np.ndarray, asked: np.ndarray) -> np.ndarray:
        texts = np.array(tone.texts, dtype=object)
        return counted_words(texts[learn].tolist(), tone.labels[learn], texts[asked].tolist(), n_classes=len(TONES))

    def meaning(learn: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return linear(vectors[learn], tone.labels[learn], vectors[asked], n_classes=len(TONES))

    return {
        f"newswire half: {name}": [by_halves(tone.labels, learn, seed) for seed in seeds]
        for name, learn in {"counted words": words, "MiniLM": meaning}.items()
    }


def capped(found: Labelled, rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most `most` rows of each class, drawn at random, in rising order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    labels = found.labels[order]
    kept = [order[labels == label][:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))
