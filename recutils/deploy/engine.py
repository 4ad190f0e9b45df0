"""What a bundle answers: lists for people, for liked items and for texts, similar items, search, reasons. No HTTP.

Whatever is unknown is said, never guessed: an unknown person gets popular items and the answer says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from recutils.deploy.bundle import TEXT, Bundle
from recutils.deploy.candidates import GRAPH_FROM, Factors, Nearest
from recutils.model.als import ALS
from recutils.model.base import Model
from recutils.rank.explore import leave_one_out
from recutils.rank.search import Lexical, fuse_ranks, ranked
from recutils.rank.top import top_k
from recutils.tables import ITEM, ITEM_ID, TITLE, Problem

PERSONAL, POPULAR, MEANING, WORDS, TOGETHER = "personal", "popular", "meaning", "words", "chosen together"
NO_WORD = "no item shares a word with this query: these are near in meaning only, which finds something for anything"
MOST_REASONS = 3
NOTHING = np.empty(0, dtype=np.int64)
Encode = Callable[[Sequence[str]], np.ndarray]  # texts -> (n, d) float32


@dataclass(frozen=True)
class Answer:
    """Item rows, best first, with the scores of their model, how they were found, and a sentence where it matters.

    seen: rows of the history that the list was made from. unknown: items that were named and are not in the catalogue.
    """

    items: tuple[int, ...]
    scores: tuple[float, ...]
    how: str
    note: str = ""
    version: str = ""
    seen: np.ndarray = field(default_factory=lambda: NOTHING, compare=False, repr=False)
    unknown: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Reason:
    """An item of the history, and how much the score falls without it, in the model's own unit.

    change: None where the model would know nothing without it and fall back to popularity.
    """

    item: int
    change: float | None


class Engine:
    """Answers from one bundle. encode: the bundle's own encoder, or None: a text that comes without its vector is then
    met by words only. graph_from: items from which candidates come through a graph.
    """

    def __init__(self, bundle: Bundle, encode: Encode | None = None, *, graph_from: int = GRAPH_FROM) -> None:
        self.bundle, self._encode = bundle, encode if bundle.vectors is not None else None
        self._graph_from = graph_from
        self.model: Model = bundle.model
        self.titles = bundle.items[TITLE].to_numpy(dtype=object)
        self.item_ids = bundle.items[ITEM_ID].astype(str).to_numpy(dtype=object)
        self._row_of_item = {name: row for row, name in enumerate(self.item_ids)}
        self._row_of_user = {name: row for row, name in enumerate(bundle.user_ids.tolist())}

    @cached_property
    def _words(self) -> Lexical:
        return Lexical(self.bundle.items[TEXT].tolist())

    @cached_property
    def _near(self) -> Nearest | None:
        vectors = self.bundle.vectors
        return None if vectors is None else Nearest(vectors, graph_from=self._graph_from)

    @cached_property
    def _factors(self) -> Factors | None:
        if not isinstance(self.model, ALS) or len(self.item_ids) < self._graph_from:
            return None
        return Factors(self.model.item_factors, graph_from=self._graph_from)

    def _scores(self, history: sparse.csr_matrix, k: int) -> np.ndarray:
        """(1, n_items) of a history with items: all, or where an index pays, those of enough candidates."""
        person = self.model.fold_in(history) if self._factors else None
        if person is None or not person.any():
            return self.model.score(history)
        return self._factors.scores(person, k + history.nnz)

    def warm(self) -> None:
        """Build the indexes and run one call of each kind, so that the first request is not the slowest."""
        self.search("warm up", 1)
        self.similar(self.item_ids[0], 1)
        self.for_history(self.history([0], self.bundle.liked), 1)

    def rows(self, item_ids: Sequence[str]) -> tuple[np.ndarray, list[str]]:
        """Rows of the known items, each once, in their order, and the ids that are unknown."""
        known = [self._row_of_item[name] for name in dict.fromkeys(item_ids) if name in self._row_of_item]
        return np.array(known, dtype=np.int64), [name for name in item_ids if name not in self._row_of_item]

    def knows_user(self, user_id: str) -> bool:
        """Whether there is a history of this person."""
        return user_id in self._row_of_user

    def history_of(self, user_id: str) -> sparse.csr_matrix:
        """(1, n_items): what is known of a person; empty for a stranger."""
        row = self._row_of_user.get(user_id)
        return self.history([]) if row is None else self.bundle.histories[[row]]

    def history(self, items: Sequence[int] | np.ndarray, value: float = 1.0) -> sparse.csr_matrix:
        """(1, n_items) with `value` at these rows."""
        columns = np.sort(np.asarray(items, dtype=np.int64))
        shape = (1, len(self.item_ids))
        return sparse.csr_matrix((np.full(len(columns), value, np.float32), columns, [0, len(columns)]), shape=shape)

    def for_user(self, user_id: str, k: int) -> Answer:
        """The k best items that a person has not met; popular ones for a stranger, and said so."""
        if not self.knows_user(user_id):
            note = f"nobody is known as {user_id[:64]!r}: these are the most popular items"
            return self._popular(k, note)
        return self.for_history(self.history_of(user_id), k)

    def for_items(self, item_ids: Sequence[str], k: int) -> Answer:
        """The k best items for somebody who likes these; unknown ids are left out and named in the note."""
        rows, unknown = self.rows(item_ids)
        told = f"not in the catalogue, left out: {', '.join(name[:64] for name in unknown[:5])}" if unknown else ""
        told += f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        if not len(rows):
            found = self._popular(k, told or "no item was given: these are the most popular ones")
        else:
            found = self.for_history(self.history(rows, self.bundle.liked), k, note=told)
        return replace(found, unknown=len(unknown))

    def for_history(self, history: sparse.csr_matrix, k: int, *, note: str = "") -> Answer:
        """The k best items outside a history (1, n_items)."""
        if history.nnz == 0:
            return self._popular(k, note or "nothing is known of this person: these are the most popular items")
        scores = self._scores(history, k)
        found = self._answer(scores, top_k(scores, history, self._at_most(k)), PERSONAL, note)
        return replace(found, seen=history.indices)

    def for_text(self, text: str, k: int, vector: np.ndarray | None = None) -> Answer:
        """The items whose texts are nearest in meaning; by shared words where there is no encoder.

        vector: (d,) the text's, where the caller has it already.
        """
        cosines = self._cosines(text, vector, k)
        if cosines is None or not text.strip():
            return self.search(text, k, vector)
        return self._answer(cosines, top_k(cosines, None, self._at_most(k)), MEANING, "")

    def search(self, query: str, k: int, vector: np.ndarray | None = None) -> Answer:
        """What answers a query, words and meaning fused; an empty list, and said so, where nothing does."""
        if not query.strip():
            return self._popular(k, "the query is empty: these are the most popular items")
        words, cosines = self._words.scores([query]), self._cosines(query, vector, k)
        scores = words if cosines is None else fuse_ranks([words, np.maximum(cosines, 0)])
        how = WORDS if cosines is None else f"{WORDS} and {MEANING}"
        note = NO_WORD if cosines is not None and not words.any() else ""
        found = self._answer(scores, ranked(scores, self._at_most(k)), how, note)
        return found if found.items else replace(found, note="nothing answers this query")

    def _cosines(self, text: str, vector: np.ndarray | None, k: int) -> np.ndarray | None:
        """(1, n_items), -inf for items that are no candidates; None where texts are met by words only."""
        if self._near is None or (vector is None and self._encode is None):
            return None
        return self._near.scores(self._encode([text]) if vector is None else vector, k)

    def similar(self, item_id: str, k: int) -> Answer:
        """Items like one: near in meaning, else what the model gives somebody who has only this one.

        Raises Problem for an unknown item.
        """
        row = self.row(item_id)
        history = self.history([row], self.bundle.liked)
        near, how = (self._near, MEANING) if self._near else (None, TOGETHER)
        scores = near.scores(self.bundle.vectors[[row]], k + 1) if near else self._scores(history, k)
        return self._answer(scores, top_k(scores, history, self._at_most(k)), how, "")

    def row(self, item_id: str) -> int:
        """Row of an item. Raises Problem for an unknown one."""
        if item_id not in self._row_of_item:
            raise Problem(f"item {item_id[:64]!r} is not in the catalogue of {len(self.item_ids):,} items.")
        return self._row_of_item[item_id]

    def reasons(self, history: sparse.csr_matrix, item_id: str, most: int = MOST_REASONS) -> list[Reason]:
        """The items of a history that raise an item's score most, strongest first; none where none does."""
        found = leave_one_out(self.model, history, self.row(item_id), limit=30)
        helping = found[found.change.isna() | (found.change > 0)].head(most)
        changes = [None if np.isnan(change) else float(change) for change in helping.change]
        return [Reason(int(item), change) for item, change in zip(helping[ITEM], changes, strict=True)]

    def _popular(self, k: int, note: str) -> Answer:
        scores = np.asarray(self.model.popular, dtype=np.float32)[None]
        return self._answer(scores, top_k(scores, None, self._at_most(k)), POPULAR, note)

    def _at_most(self, k: int) -> int:
        if k < 1:
            raise Problem(f"k must be at least 1; got {k}")
        return min(k, len(self.item_ids))

    def _answer(self, scores: np.ndarray, lists: np.ndarray, how: str, note: str) -> Answer:
        items = lists[0][lists[0] >= 0]
        found = scores[0, items]
        return Answer(tuple(items.tolist()), tuple(found.astype(float).tolist()), how, note, self.bundle.version)
