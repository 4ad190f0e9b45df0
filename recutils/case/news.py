"""The news case: one held-out article a reader, topics and their heat, the page, the desk, the editor's decision.

New articles are judged, and summaries of them made, in news_cold.py; what may be shown is told by trust.filter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.labelled import drawn, newswire
from recutils.data.prepare import compact
from recutils.data.split import TEST, TRAIN, VALID, Split
from recutils.encode import Encoder, encode_cached
from recutils.evaluate.rivals import VERDICTS
from recutils.model.content import unit_rows
from recutils.rank.kernels import clusters
from recutils.rank.top import Scorer, recommend
from recutils.tables import Dataset, Ids, Interactions, Problem
from recutils.trust.explain import POPULAR, why_lines
from recutils.trust.filter import REVIEW, SHOW, Rule, judge, screen
from recutils.tune.baselines import counted_words, linear, majority

DAMPING = 5.0  # articles of average heat that each topic is mixed with: one article cannot make a topic hot
MORE = 10  # spare places of a list, so that what the filter takes out can be replaced
NO_TOPIC = "no topic"
HELD_BACK = "an article that is held back"
ANSWERS = {  # what is asked -> what to ship when the difference is above zero, below, undecided
    "hybrid - behaviour": ("behaviour and titles together", "behaviour alone", "behaviour alone: simpler"),
    "text - hot topics": ("a new article's title decides its place", "its topic's heat decides", "its title: personal"),
    "hot topics added to text": ("add the topic's heat", "leave the heat out", "leave the heat out: simpler"),
    "avid picks - anybody's": ("ask avid readers first", "ask a drawn panel first", "ask whoever reads first"),
    "avid picks added to text": (
        "try a panel that reads first; times may deflate it",
        "title only",
        "title only: no panel",
    ),
    "extract - title": ("add an extract to the title", "title only", "title only: cheaper"),
    "written - title": ("a larger trial of writing", "write nothing", "write nothing: dear and not shown to help"),
}


def thinned(dataset: Dataset, share: float, most_items: int, seed: int) -> Dataset:
    """This share of the readers and at most so many articles (0: all), both drawn; the articles are those with events.

    Drawn here and not by `load`, since copies of readers have to be left out first: a sample parts the twins.
    """
    rng, events = np.random.default_rng(seed), dataset.interactions
    items = rng.permutation(np.unique(events.item))[: most_items or None]
    users = np.unique(events.user)
    users = users if share == 1 else rng.choice(users, max(1, round(share * len(users))), replace=False)
    return compact(dataset, events.only(events.item.isin(items) & events.user.isin(users)))


def card(dataset: Dataset, has_body: np.ndarray) -> pd.DataFrame:
    """What is known, as fact and value; the last two rows tell whether having a body would act as a feature."""
    events = dataset.interactions
    views, read = (np.bincount(rows, minlength=n) for rows, n in ((events.item, events.n_items), (events.user, 0)))
    sides = [float(views[side].mean().round()) if side.any() else np.nan for side in (has_body, ~has_body)]
    facts = {"readers": (read > 0).sum(), "articles": len(views), "pairs of reader and article": len(events)}
    facts |= {"readers of a single article": (read == 1).sum(), "articles with a body": has_body.sum()}
    facts |= {"readers an article, with a body": sides[0], "readers an article, without": sides[1]}
    return pd.DataFrame({"fact": list(facts), "value": [float(value) for value in facts.values()]})


def one_each(interactions: Interactions, seed: int) -> Split:
    """One article of each reader for test and one for valid, drawn; the rest train. For data without time.

    Readers of two articles have no valid one. Readers of a single article are new readers: half of them (drawn) stand
    in test, half in valid, none in train. Raises Problem when a part would be empty.
    """
    rng = np.random.default_rng(seed)
    users = interactions.user.to_numpy()
    order = rng.permutation(len(users))
    place = pd.Series(order).groupby(users[order], sort=False).cumcount()
    turn = np.empty(len(users), dtype=np.int64)
    turn[order] = place
    size = np.bincount(users, minlength=interactions.n_users)[users]
    new = np.where(rng.random(interactions.n_users)[users] < 0.5, TEST, VALID)
    labels = np.select([size == 1, turn == 0, (turn == 1) & (size > 2)], [new, TEST, VALID], TRAIN)
    parts = [interactions.only(labels == label) for label in (TRAIN, VALID, TEST)]
    if not all(map(len, parts)):
        raise Problem(f"a part would be empty, sizes {[len(part) for part in parts]}; take more readers.")
    n = {times: int((np.bincount(users) == times).sum()) for times in (1, 2)}
    notes = (
        f"{n[1]:,} readers of a single article are new readers, half of them in valid and half in test; {n[2]:,} "
        "readers of two have no article in valid.",
    )
    pretends = "Pretends that one article of each reader is missing at random: a gap is filled, nothing is foreseen."
    return Split(*parts, "one_each", pretends, notes)


def hot(members: np.ndarray, counts: np.ndarray, *, damping: float = DAMPING, seed: int = 0) -> np.ndarray:
    """Heat (n_items,) float32: the training events that an article of its topic has, for old and new articles alike.

    members: (n_items, n_topics) zeros and ones. counts: (n_items,) training events; articles without any are new, and
    teach nothing. An article without a topic, or of one that is new throughout, gets the average. The order inside a
    topic is drawn (seed; less than a thousandth of an event), since the order of rows could tell an article's age.
    Raises Problem when no article has events, and for a negative damping.
    """
    known = counts > 0
    if not known.any() or damping < 0 or len(members) != len(counts):
        raise Problem(f"heat needs events, a row of members for each article and damping of 0 or more; got {damping}")
    groups, level = np.asarray(members, dtype=np.float64), float(counts[known].mean())
    size, total = groups[known].sum(axis=0) + damping, groups[known].T @ counts[known] + damping * level
    heat = np.divide(total, size, out=np.full(len(size), level), where=size > 0)
    own = groups.sum(axis=1)
    mean = np.divide(groups @ heat, own, out=np.full(len(own), level), where=own > 0)
    return (mean + 1e-4 * np.random.default_rng(seed).random(len(mean))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Head:
    """A linear topic head learnt on the newswire. right: rule -> (n_test,) 1 where the rule names the topic.

    classes: the newswire's topics. chances: (n_articles, n_classes) of the articles that it was asked about, which are
    none of the newswire's. foreign: (n_test, d) vectors of the newswire's test texts. n_learnt: texts it learnt from.
    """

    right: dict[str, np.ndarray]
    classes: tuple[str, ...]
    chances: np.ndarray
    foreign: np.ndarray
    n_learnt: int

    def surest(self, titles: Sequence[str], n: int) -> pd.DataFrame:
        """The n articles whose topic the head is surest of: article, topic, sure."""
        rows = np.argsort(-self.chances.max(axis=1), kind="stable")[:n]
        topics = [self.classes[self.chances[row].argmax()] for row in rows]
        return pd.DataFrame(
            {"article": [titles[row] for row in rows], "topic": topics, "sure": self.chances[rows].max(1)}
        )


def newswire_head(encoder: Encoder, articles: np.ndarray, n: int, seed: int) -> Head:
    """Learnt on n texts of reuters-r52's training part, asked about n / 2 of its test part and about articles (m, d).

    Beside it: the most frequent topic, and counted words, which read the whole text where the encoder may cut it.
    """
    wires = [newswire("train"), newswire("test")]
    learn, check = (
        one.only(drawn(one, np.arange(len(one)), min(most, len(one)), seed))
        for one, most in zip(wires, (n, n // 2), strict=True)
    )
    known, asked = (encode_cached(encoder, one.texts).vectors for one in (learn, check))
    size = len(learn.classes)
    chances = linear(known, learn.labels, np.vstack([asked, articles]), n_classes=size)
    tables = {
        "most frequent topic": majority(learn.labels, len(check), size),
        "counted words": counted_words(learn.texts, learn.labels, check.texts, n_classes=size),
        "head on MiniLM": chances[: len(check)],
    }
    right = {name: (one.argmax(axis=1) == check.labels).astype(np.float64) for name, one in tables.items()}
    return Head(right, learn.classes, chances[len(check) :], asked, len(learn))


@dataclass(frozen=True, eq=False)
class Topics:
    """Topics found in the articles' vectors. members: (n_items, n_topics) zeros and ones. names: three words each.

    known: (n_items, d), the articles' vectors at length 1. floor: a new article whose nearest known one is farther
    (a lower cosine) has no topic. Distance to the topics' centres would not do: strangers stand as near to them.
    """

    members: np.ndarray
    names: tuple[str, ...]
    known: np.ndarray
    floor: float

    def table(self, counts: np.ndarray) -> pd.DataFrame:
        """topic, articles, events an article, most first. counts: (n_items,) training events."""
        size = self.members.sum(axis=0)
        each = np.divide(self.members.T @ counts, size, out=np.zeros(len(size)), where=size > 0)
        found = pd.DataFrame({"topic": self.names, "articles": size.astype(int), "events an article": each})
        return found.sort_values("events an article", ascending=False, kind="stable", ignore_index=True)

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """Topic rows (n,) of new articles' vectors (n, d): that of the nearest known article; -1 where none is near."""
        cosine = unit_rows(vectors) @ self.known.T
        return np.where(cosine.max(axis=1) >= self.floor, self.members.argmax(axis=1)[cosine.argmax(axis=1)], -1)


def find_topics(vectors: np.ndarray, titles: Sequence[str], n: int, *, seed: int, share: float = 0.05) -> Topics:
    """k-means topics of articles. share: of the known articles that would have none, were they new."""
    known = unit_rows(vectors)
    members = clusters(unit_rows(vectors - vectors.mean(axis=0)), seed, n)
    cosine = known @ known.T
    np.fill_diagonal(cosine, -1)
    return Topics(members, tuple(topic_names(titles, members)), known, float(np.quantile(cosine.max(axis=1), share)))


def topic_names(titles: Sequence[str], members: np.ndarray, most: int = 3) -> list[str]:
    """The words that a topic's titles hold more often than others do, three each."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(stop_words="english", token_pattern=r"[^\W\d_]{3,}", binary=True)
    held = counter.fit_transform(titles)
    words = counter.get_feature_names_out()
    inside = np.asarray(members.T @ held)
    share = inside / np.maximum(members.sum(axis=0), 1)[:, None]
    lift = share - np.asarray(held.mean(axis=0)).ravel()
    return [", ".join(words[np.argsort(-row, kind="stable")[:most]]) for row in lift]


def history_of(reader: object, ids: Ids, histories: sparse.csr_matrix) -> tuple[sparse.csr_matrix, str]:
    """A reader's history (1, n_items) and what is known: "known", "nothing read yet" or "unknown reader".

    Both of the latter get an empty history, with which every model gives the page for all.
    """
    if reader not in ids:
        return sparse.csr_matrix((1, histories.shape[1]), dtype=np.float32), "unknown reader"
    row = histories[int(ids.rows([reader])[0])]
    return row, "known" if row.nnz else "nothing read yet"


@dataclass(frozen=True, eq=False)
class FrontPage:
    """page: rank, title, why. audit: what the filter took out of the list, with its reason."""

    page: pd.DataFrame
    audit: pd.DataFrame


def front_page(
    model: Scorer, history: sparse.csr_matrix, titles: Sequence[str], rules: Sequence[Rule], k: int
) -> FrontPage:
    """One reader's page: the model's first k articles that may be shown, each with a line that tells why.

    An article of the history that may not be shown now is not quoted as a reason by its title either.
    """
    most = min(k + MORE, len(titles))
    lists = recommend(model, history, most)
    kept = screen(lists, titles, rules, k=min(k, most))
    items = kept.lists[0][kept.lists[0] >= 0]
    if history.nnz:
        names = list(titles)
        own = history.indices
        for item in own[judge([titles[item] for item in own], rules).action.to_numpy() != SHOW]:
            names[item] = HELD_BACK
        page = why_lines(model, history, items, names, verb="read")
    else:
        names = [titles[item] for item in items]
        page = pd.DataFrame({"rank": np.arange(1, len(items) + 1), "title": names, "why": "read by many"})
    return FrontPage(page.assign(why=page["why"].replace(POPULAR, "read by many")), kept.audit)


def desk(
    texts: Sequence[str],
    rules: Sequence[Rule],
    encode: Callable[[Sequence[str]], np.ndarray],
    topics: Topics,
    heat: Mapping[str, float],
) -> pd.DataFrame:
    """What happens to new articles before anybody reads them: text, state, topic, heat, reason.

    state: "empty" (nothing to read), "blocked" or "waits for a person" (the filter; another language than English waits
    too, since neither rules nor encoder read it), "no topic" (unlike all known articles: no heat is claimed), "ready".
    """
    found = judge(texts, rules, unread=REVIEW)
    topic = np.full(len(texts), -1)
    ready = np.flatnonzero((found.action == SHOW) & np.array([bool(text.strip()) for text in texts]))
    if len(ready):
        topic[ready] = topics.of(encode([texts[row] for row in ready]))
    rows = []
    for number, (text, action, reason) in enumerate(zip(texts, found.action, found.reason, strict=True)):
        name = topics.names[topic[number]] if topic[number] >= 0 else ""
        state = _state(text, action, name)
        rows.append((text, state, name, heat.get(name, np.nan) if name else np.nan, reason))
    return pd.DataFrame(rows, columns=["text", "state", "topic", "heat", "reason"])


def _state(text: str, action: str, topic: str) -> str:
    if not text.strip():
        return "empty"
    if action != SHOW:
        return "waits for a person" if action == REVIEW else "blocked"
    return "ready" if topic else NO_TOPIC


def decision(verdicts: Mapping[str, str]) -> pd.DataFrame:
    """What to ship for each question of ANSWERS: question, verdict, ship. verdicts: question -> as `rivals` gives them.

    Raises Problem when a question has no verdict, so that no answer is given without a measurement.
    """
    missing = [what for what in ANSWERS if verdicts.get(what) not in VERDICTS]
    if missing:
        raise Problem(f"no verdict ({', '.join(VERDICTS)}) for {missing}; judge these differences first.")
    rows = [(what, verdicts[what], ship[VERDICTS.index(verdicts[what])]) for what, ship in ANSWERS.items()]
    return pd.DataFrame(rows, columns=["question", "verdict", "what we would ship"])
