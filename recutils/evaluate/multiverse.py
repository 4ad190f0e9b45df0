"""The same models under every protocol that somebody might have used: values for all users, and how orders of models
agree. Which choice moves them is told in `anova`. Nothing is chosen here: no figure of these may select a model.

A protocol is one option of each choice:
split        temporal, last one, random per user, per item (P2)
filter       none, or the 10-core of users and items
learns from  train, or train and valid; the history that is scored is what was learnt from
seen items   hidden: nothing known before the test part is shown again. shown: all items are candidates
relevant     every event of the test part, or the liked ones
tied times   events of one user at one time in file order, or by ascending item
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data import split as splits
from recutils.data.order import reorder_ties
from recutils.data.prepare import k_core
from recutils.data.split import Split
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.resample import blocks, counts, seed_of
from recutils.model.als import ALS
from recutils.model.base import Model
from recutils.model.baselines import Popularity, RecentPopularity
from recutils.model.ease import EASE, UserEASE
from recutils.model.neighbours import ItemNeighbours, UserNeighbours
from recutils.model.sar import SAR
from recutils.model.svd import SVD
from recutils.rank.top import BLOCK, top_k
from recutils.tables import ITEM, Interactions, Problem

Make = Callable[[], Model]
SPLITS: dict[str, Callable[[Interactions, int], Split]] = {
    "temporal": lambda events, seed: splits.temporal(events),
    "last one": lambda events, seed: splits.last_n(events, 1),
    "random per user": lambda events, seed: splits.random_users(events, rng=seed),
    "per item (P2)": lambda events, seed: splits.random_items(events, valid_share=0.2, seed=seed),
}
BY_TIME = ("temporal", "last one")
CORE = 10  # events that the filter asks of each user and item
CHOICES: dict[str, tuple[str, ...]] = {
    "split": tuple(SPLITS),
    "filter": ("none", f"{CORE}-core"),
    "learns from": ("train", "train + valid"),
    "seen items": ("hidden", "shown"),
    "relevant": ("all", "liked"),
    "tied times": ("file", "item"),
}
# Fixed settings, none chosen by a figure of a multiverse: those of the house's menu or of published protocols.
DOZEN: dict[str, Make] = {
    "popularity": Popularity,
    "recent popularity": RecentPopularity,
    "sar": SAR,
    "item neighbours": lambda: ItemNeighbours(neighbours=50, values="binary"),
    "item neighbours, shrunk": lambda: ItemNeighbours(neighbours=200, shrink=10),
    "user neighbours": lambda: UserNeighbours(neighbours=50, values="binary"),
    "ease": lambda: EASE(reg=300.0),
    "ease, roots": lambda: EASE(reg=1000.0, values="value", power=0.5),
    "user ease": lambda: UserEASE(reg=500.0),
    "als": lambda: ALS(factors=16, alpha=1.0, reg=1.0),
    "als, ratings": lambda: ALS(factors=64, alpha=1.0, reg=30.0, values="value"),
    "svd": lambda: SVD(factors=20),
}


def fitting(events: Interactions, *, explicit: bool) -> dict[str, Make]:
    """The models of the dozen that can serve these data: without times or opinions some cannot."""
    unfit = {"svd"} if not explicit else set()
    unfit |= {"recent popularity", "sar"} if not events.has_time else set()
    return {name: make for name, make in DOZEN.items() if name not in unfit}


@dataclass(frozen=True, eq=False)
class Multiverse:
    """nDCG@k of every user, protocol and model.

    choices: choice -> options; protocols are their product, the last choice varying fastest.
    values: (n_users, n_protocols, n_models) float32, NaN where a protocol does not judge the user.
    """

    choices: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]
    values: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Options of each choice, and models."""
        return (*(len(options) for options in self.choices.values()), len(self.models))

    @property
    def protocols(self) -> pd.DataFrame:
        """One row for each protocol: its option of every choice."""
        return pd.DataFrame(list(itertools.product(*self.choices.values())), columns=list(self.choices))

    @property
    def means(self) -> np.ndarray:
        """(n_protocols, n_models) float64, over the users whom each protocol judges."""
        return np.nanmean(self.values, axis=0, dtype=np.float64)

    def held(self, choice: str, option: str) -> "Multiverse":
        """The protocols with one option of a choice, which then is no choice any more."""
        kept = (self.protocols[choice] == option).to_numpy()
        if not kept.any():
            raise Problem(f"choice {choice!r} has the options {', '.join(self.choices[choice])}; got {option!r}")
        return Multiverse({**self.choices, choice: (option,)}, self.models, self.values[:, kept], self.notes)

    @property
    def judged(self) -> np.ndarray:
        """(n_protocols,) users whom each protocol judges."""
        return np.isfinite(self.values[:, :, 0]).sum(axis=0)

    def only(self, models: Sequence[str]) -> "Multiverse":
        """The same with some of the models."""
        places = [self.models.index(name) for name in models]
        return Multiverse(self.choices, tuple(models), self.values[:, :, places], self.notes)

    def drawn(
        self, statistic: Callable[[np.ndarray], np.ndarray], rng: int | np.random.Generator, draws: int
    ) -> np.ndarray:
        """A statistic of the means of drawn users: (draws, ...). One draw of users serves all protocols and models.

        statistic: takes (n, n_protocols, n_models), gives (n, ...). A protocol whose users are all left out of a draw
        has NaN.
        """
        n_users, n_protocols, n_models = self.values.shape
        generator = np.random.default_rng([seed_of(rng), 104])
        there = np.isfinite(self.values[:, :, 0])
        filled = np.nan_to_num(self.values).reshape(n_users, -1).astype(np.float64)
        found = []
        for block in blocks(draws, max(n_users, n_protocols * n_models)):
            weights = counts(generator, block.stop - block.start, n_users)
            sums = (weights @ filled).reshape(-1, n_protocols, n_models)
            with np.errstate(invalid="ignore"):
                found.append(statistic(sums / (weights @ there)[:, :, None]))
        return np.concatenate(found)


def multiverse(
    events: Interactions,
    models: Mapping[str, Make],
    *,
    k: int = 10,
    seed: int,
    liked: float | None = 4.0,
    choices: Mapping[str, tuple[str, ...]] = CHOICES,
    say: Callable[[str], None] | None = None,
) -> Multiverse:
    """Every model under every protocol that these events allow; what they do not allow is told in `notes`.

    liked: the least value of a liked event; None leaves the choice `relevant` at "all".
    Each model is fitted once for each split, filter, order of tied times and training part; the rest is ranked again.
    Raises Problem when no split is possible, or for fewer than two models.
    """
    if len(models) < 2:
        raise Problem(f"models must name at least two models to compare; got {list(models)}")
    choices, made, notes = _possible(events, dict(choices), liked, seed)
    multi = Multiverse(choices, tuple(models), np.full((events.n_users, 0, 0), np.nan), notes)
    values = np.full((events.n_users, len(multi.protocols), len(models)), np.nan, dtype=np.float32)
    place = {tuple(row): number for number, row in enumerate(multi.protocols.itertuples(index=False))}
    for (split, kept, ties), part in made.items():
        if say:
            say(f"{split}, filter {kept}, tied times by {ties}")
        same = choices["tied times"] if split not in BY_TIME else (ties,)
        for learns, seen, relevant, users, found in _judged(part, models, choices, k, liked):
            for order in same:  # a split that reads no time is made once, its values hold for every order of ties
                values[users, place[split, kept, learns, seen, relevant, order]] = found
    return Multiverse(choices, tuple(models), values, notes)


def _possible(
    events: Interactions, choices: dict[str, tuple[str, ...]], liked: float | None, seed: int
) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, str, str], Split], tuple[str, ...]]:
    """The options that work, the splits that must be made, (split, filter, ties) -> Split, and what was left out."""
    _check_choices(choices)
    notes = []
    if not events.has_time:
        choices |= {"tied times": ("file",), "split": tuple(n for n in choices["split"] if n not in BY_TIME)}
        notes.append("These events have no times: splits by time and tied times are left out.")
    if liked is None or not (0 < (events.value.to_numpy() >= liked).mean() < 1):
        choices["relevant"] = ("all",)
        notes.append("Liked events cannot be told from others here: every event is relevant.")
    filtered, wrong = _filtered(events, choices["filter"])
    made, failed = _made(filtered, choices, seed, liked if "liked" in choices["relevant"] else None)
    notes += [f"{name} is left out: {fault}" for name, fault in (wrong | failed).items()]
    choices["filter"] = tuple(filtered)
    choices["split"] = tuple(name for name in choices["split"] if name not in failed)
    if not choices["split"]:
        raise Problem(f"no split of these {len(events):,} events is possible: {' '.join(notes)}")
    return choices, {key: part for key, part in made.items() if key[0] not in failed}, tuple(notes)


def _check_choices(choices: Mapping[str, tuple[str, ...]]) -> None:
    for name, known in CHOICES.items():
        if not choices.get(name) or not set(choices[name]) <= set(known):
            raise Problem(f"choice {name!r} needs one or more of {', '.join(known)}; got {choices.get(name)}")


def _filtered(events: Interactions, options: Sequence[str]) -> tuple[dict[str, Interactions], dict[str, str]]:
    """Filter -> the events that pass, items renumbered without the lost ones; and the filters that leave nothing."""
    kept, wrong = {}, {}
    for option in options:
        try:
            rows = (events if option == "none" else k_core(events, CORE)).rows
            items = np.unique(rows[ITEM])
            rows = rows.assign(**{ITEM: np.searchsorted(items, rows[ITEM])})
            kept[option] = Interactions(rows, events.n_users, len(items))
        except Problem as fault:
            wrong[option] = str(fault)
    return kept, wrong


def _made(
    filtered: Mapping[str, Interactions], choices: Mapping[str, tuple[str, ...]], seed: int, liked: float | None
) -> tuple[dict[tuple[str, str, str], Split], dict[str, str]]:
    """The splits, and the faults of those that fail under some filter."""
    made, failed = {}, {}
    for split, kept in itertools.product(choices["split"], filtered):
        for ties in choices["tied times"] if split in BY_TIME else choices["tied times"][:1]:
            events = filtered[kept]
            try:
                ordered = reorder_ties(events, ties) if split in BY_TIME else events
                made[split, kept, ties] = SPLITS[split](ordered, seed)
                _users(made[split, kept, ties], liked)
            except Problem as fault:
                failed[split] = str(fault)
    return made, failed


def _judged(
    part: Split, models: Mapping[str, Make], choices: Mapping[str, tuple[str, ...]], k: int, liked: float | None
) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """What one split gives: training part, seen rule, relevance, users (n,), and their values (n, n_models)."""
    whole = splits.frozen(part).train
    truths = {rule: _truth(part.test, liked if rule == "liked" else None) for rule in choices["relevant"]}
    users = _users(part, None)
    masks = {rule: whole.matrix("binary")[users] if rule == "hidden" else None for rule in choices["seen items"]}
    for learns in choices["learns from"]:
        train = part.train if learns == "train" else whole
        lists = {rule: [] for rule in masks}
        for make in models.values():
            for rule, ranked in ranked_lists(make().fit(train), train.matrix()[users], masks, k).items():
                lists[rule].append(ranked)
        for seen, relevant in itertools.product(masks, truths):
            found = [ndcg(ranked, truths[relevant][users]) for ranked in lists[seen]]
            yield learns, seen, relevant, users, np.stack(found, axis=1)


def _users(part: Split, liked: float | None) -> np.ndarray:
    """Users (n,) with training events and relevant test events; Problem for fewer than two."""
    known = np.bincount(part.train.user, minlength=part.train.n_users) > 0
    users = np.flatnonzero(known & (np.diff(_truth(part.test, liked).indptr) > 0))
    if len(users) < 2:
        raise Problem(f"{len(users)} users have training events and a relevant event in test; expected at least 2.")
    return users


def _truth(test: Interactions, liked: float | None) -> sparse.csr_matrix:
    return (test if liked is None else test.only(test.value.to_numpy() >= liked)).matrix("binary")


def ranked_lists(
    model: Model, histories: sparse.csr_matrix, masks: Mapping[str, sparse.csr_matrix | None], k: int
) -> dict[str, np.ndarray]:
    """Lists (n_histories, <= k) under several rules of what is hidden, all from one scoring."""
    k = min(k, histories.shape[1])
    lists: dict[str, list[np.ndarray]] = {rule: [] for rule in masks}
    for first in range(0, histories.shape[0], BLOCK):
        block = slice(first, first + BLOCK)
        scores = model.score(histories[block])
        for rule, mask in masks.items():
            lists[rule].append(top_k(scores, None if mask is None else mask[block], k))
    return {rule: np.concatenate(parts) for rule, parts in lists.items()}
