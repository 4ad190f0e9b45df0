"""A data set in, lists for its users out, by the model that suits it. Its report is written in `verdict`."""

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.prepare import item_texts
from recutils.data.split import Split, house, random_users
from recutils.deploy.lists import check_writable, write_lists
from recutils.deploy.verdict import AUTO, Part, Verdict, decide, doubts, figures
from recutils.encode import TEMPLATES, clean
from recutils.encode.tfidf import tfidf
from recutils.evaluate.candidates import BASELINE, menu
from recutils.evaluate.choose import Choice, choose
from recutils.evaluate.task import Task, task
from recutils.model.base import Model
from recutils.model.content import VectorModel, Vectors
from recutils.tables import ITEM_ID, TITLE, Dataset, Interactions, Problem

TEXTS = ("tfidf", "minilm", "none")
MIN_JUDGED = 20  # with fewer users a comparison says nothing
MOST_JUDGED = 5_000  # more users narrow the intervals little and cost much
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What is asked for. model: "auto" or a name of the menu. text: one of TEXTS. users: rows of `users`, in order."""

    users: np.ndarray
    model: str = AUTO
    k: int = 10
    text: str = "tfidf"
    seed: int = 7
    budget_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Read:
    """What is known before any model: item vectors by kind, what is relevant, and sentences on both."""

    vectors: dict[str, Vectors]
    liked: float | None
    notes: tuple[str, ...]


def recommend_to(out: Path, dataset: Dataset, wish: Wish, say: Say | None = None) -> Verdict:
    """Choose a model (or take the one asked for), fit it on all events, write each user's list as CSV and the verdict.

    out: user_id, item_id, title, rank (1 is best), score; whole or not at all. Beside it NAME.verdict.json and
    NAME.verdict.md. The same data, seed and machine give the same bytes, unless a budget was given.
    say: told what goes on. Raises Problem for what cannot be done, before the work where that can be known.
    """
    started, say = time.perf_counter(), say or _silent
    _check(out, dataset, wish)
    read = _read(dataset, wish, say)
    if model_name(wish.model) not in (AUTO, *menu(read.vectors)):
        raise Problem(f"model {wish.model!r} needs item texts. {read.notes[-1]}")
    verdict, model = _measured(dataset, wish, read, say)
    say(f"fitting {verdict.model} on all {len(dataset.interactions):,} events")
    counts = write_lists(out, model.fit(dataset.interactions), dataset, wish.users, k=wish.k, say=say)
    cost = {**verdict.cost, "everything": {"all": time.perf_counter() - started}}
    verdict = replace(verdict, lists=counts, cost=cost)
    verdict.write(out)
    return verdict


def _silent(text: str) -> None:
    """Say nothing."""


def model_name(text: str) -> str:
    """A model's name from what was typed ("item-neighbours"). Raises Problem with near names for an unknown one."""
    name = " ".join(text.lower().replace("-", " ").replace("_", " ").split())
    known = [AUTO, *menu(kind for kind in TEXTS if kind != "none")]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise Problem(f"there is no model {text!r}.{hint} Expected one of: {', '.join(known)}.")
    return name


def _check(out: Path, dataset: Dataset, wish: Wish) -> None:
    n_items = dataset.interactions.n_items
    if not 1 <= wish.k <= n_items:
        raise Problem(f"k must lie in 1..{n_items} (the number of items of {dataset.name}); got {wish.k}.")
    if wish.text not in TEXTS:
        raise Problem(f"text must be one of {', '.join(TEXTS)}; got {wish.text!r}.")
    if not len(wish.users):
        raise Problem("there is no user to make a list for; expected at least one id.")
    kind = model_name(wish.model).removeprefix("content ")
    if kind in TEXTS and kind not in _kinds(wish.text):
        raise Problem(f"model {wish.model!r} needs --text {kind}; got --text {wish.text}.")
    check_writable(out)


def _kinds(text: str) -> tuple[str, ...]:
    """The kinds of vectors: TF-IDF stands beside the encoder, as its yardstick."""
    return {"none": (), "tfidf": ("tfidf",), "minilm": ("tfidf", "minilm")}[text]


def _read(dataset: Dataset, wish: Wish, say: Say) -> Read:
    """Vectors and relevance, with sentences on what was read."""
    vectors, notes = _vectors(dataset, wish.text, say)
    values = dataset.interactions.value
    liked = None
    if values.min() < 0 < values.max():
        liked = float(values[values > 0].min())
        notes = (*notes, f"Some values are negative: only values from {liked:g} on count as relevant.")
    return Read(vectors, liked, (*dataset.notes, *notes))


def _vectors(dataset: Dataset, text: str, say: Say) -> tuple[dict[str, Vectors], tuple[str, ...]]:
    """Item vectors by kind, and what was read or why nothing was."""
    if text == "none":
        return {}, ("Texts were not read (--text none).",)
    if (dataset.items[TITLE] == dataset.items[ITEM_ID]).all():
        return {}, ("The items have no texts of their own, so that there is nothing to read.",)
    texts, fields = texts_read(dataset)
    try:
        found: dict[str, Vectors] = {"tfidf": tfidf(texts)}
    except Problem as fault:
        return {}, (f"The items' texts cannot be used: {fault}",)
    if text == "minilm":
        found["minilm"] = _encoded(texts, say)
    empty = sum(not text for text in texts)
    return found, (f"Read of each item: {', '.join((TITLE, *fields))}; {empty:,} items have no text.",)


def texts_read(dataset: Dataset) -> tuple[list[str], list[str]]:
    """One text for each item, in row order, and the columns read beside the title: all that a template knows of."""
    columns = dict.fromkeys(name for template in TEMPLATES.values() for name in template)
    fields = [name for name in columns if name in dataset.items]
    cleaned = pd.DataFrame({name: dataset.items[name].map(clean) for name in (TITLE, *fields)}, dtype=object)
    return item_texts(cleaned, fields), fields


def _encoded(texts: list[str], say: Say) -> np.ndarray:
    """MiniLM's vectors, from the cache where they are known."""
    from recutils.encode import Encoder, encode_cached

    def told(done: int, total: int, left: float) -> None:
        say(f"encoding texts: {done:,} of {total:,}, about {left:.0f} s left")

    return encode_cached(Encoder("minilm"), texts, progress=told).vectors


def _measured(dataset: Dataset, wish: Wish, read: Read, say: Say) -> tuple[Verdict, Model]:
    """The verdict, still without lists, and the model to be fitted."""
    cut, faults = comparable(dataset, wish, read.liked)
    if cut is None:
        return _unmeasured(dataset, wish, read, faults)
    split, rules = cut
    asked = model_name(wish.model)
    only = None if asked == AUTO else [asked]
    options = {"only": only, "explicit": dataset.explicit and dataset.interactions.value.nunique() > 1}
    options |= {"budget_seconds": wish.budget_seconds, "say": say}
    choice = choose(split, rules, read.vectors, seed=wish.seed, **options)
    if asked != AUTO and asked not in choice.chosen:
        raise Problem(f"{asked} does not suit these data: {(choice.left_out | choice.failed)[asked]}.")
    settings = {name: dict(one.parameters) for name, one in choice.chosen.items()}
    valid = Part(split.name, split.pretends, len(rules.users), figures(choice.judgement, settings), rules.notes)
    name, why = decide(choice.best, valid, asked)
    say(f"estimating {name} on the test part")
    test = _tested(split, choice, name, wish, read.liked)
    n_tried = sum(one.n_tried for one in choice.chosen.values())
    left_out = {model: reason for model, reason in choice.left_out.items() if asked == AUTO}
    uncertain = (*faults, *doubts(choice, name, valid, test, n_tried))
    verdict = Verdict(
        dataset=dataset.name, model=name, setting=settings[name], asked=asked, why=why, k=wish.k, seed=wish.seed,
        valid=valid, test=test, left_out=left_out, failed=dict(choice.failed), uncertain=uncertain,
        notes=(*read.notes, *rules.notes, *split.notes), cost=_cost(choice),
    )  # fmt: skip
    return verdict, choice.chosen[name].fresh()


def comparable(dataset: Dataset, wish: Wish, liked: float | None) -> tuple[tuple[Split, Task] | None, tuple[str, ...]]:
    """The split and the validation task, and what went wrong before: the house split, else random per user, else None.

    A split serves when at least MIN_JUDGED users with a history have a relevant event in its validation part.
    """
    faults: list[str] = []
    ways = [house, random_users] if dataset.interactions.has_time else [random_users]
    for way in ways:
        try:
            split = way(dataset.interactions, rng=wish.seed)
            rules = task(split, dataset.name, wish.k, liked=liked)
        except Problem as fault:
            faults.append(f"{_name(way)} could not be used: {fault}")
            continue
        if len(rules.users) >= MIN_JUDGED:
            return (split, _sampled(rules, wish.seed)), tuple(faults)
        came = f"{len(rules.users)} users can be judged, and a comparison needs {MIN_JUDGED}"
        faults.append(f"{_name(way)} could not be used: {came}.")
    return None, tuple(faults)


def _name(way: Callable[..., Split]) -> str:
    return "The temporal split" if way is house else "The random split per user"


def _sampled(rules: Task, seed: int) -> Task:
    """The task of at most MOST_JUDGED of its users, drawn at random."""
    n = len(rules.users)
    if n <= MOST_JUDGED:
        return rules
    chosen = np.sort(np.random.default_rng(seed).choice(n, MOST_JUDGED, replace=False))
    note = f"{MOST_JUDGED:,} of the {n:,} users of {rules.part} were drawn (seed {seed}) and judged."
    parts = {"users": rules.users[chosen], "histories": rules.histories[chosen], "truth": rules.truth[chosen]}
    return replace(rules, **parts, notes=(*rules.notes, note))


def _tested(split: Split, choice: Choice, name: str, wish: Wish, liked: float | None) -> Part | None:
    """The chosen model and popularity on the test part, learnt from train and valid; None when nobody can be judged."""
    known = pd.concat([split.train.rows, split.valid.rows], ignore_index=True)
    learnt = replace(split, train=Interactions(known, split.train.n_users, split.train.n_items))
    try:
        rules = _sampled(task(learnt, "test", wish.k, part="test", liked=liked), wish.seed)
    except Problem:  # no user of the test part has a history
        return None
    if len(rules.users) < MIN_JUDGED:
        return None
    judged = rules.judge(choice.refit(learnt.train, only={name, BASELINE}), seed=wish.seed)
    settings = {model: dict(one.parameters) for model, one in choice.chosen.items()}
    return Part(split.name, split.pretends, len(rules.users), figures(judged, settings), rules.notes)


def _unmeasured(dataset: Dataset, wish: Wish, read: Read, faults: Sequence[str]) -> tuple[Verdict, Model]:
    """Popularity, or the first setting of the model asked for, when too little data allow no comparison."""
    asked = model_name(wish.model)
    name = BASELINE if asked == AUTO else asked
    candidate, events = menu(read.vectors)[name], dataset.interactions
    explicit = dataset.explicit and events.value.nunique() > 1
    reason = candidate.unfit(events, explicit=explicit, has_vectors=bool(read.vectors))
    if reason:
        raise Problem(f"{name} does not suit these data: {reason}.")
    model: Any = candidate.make(**candidate.settings[0])
    if isinstance(model, VectorModel):
        model.with_vectors(read.vectors[name.split()[-1]])
    chosen = "popularity is chosen, the simplest model" if asked == AUTO else f"you asked for {name}"
    verdict = Verdict(
        dataset=dataset.name, model=name, setting=dict(candidate.settings[0]), asked=asked, k=wish.k, seed=wish.seed,
        why=f"There are too little data to compare models, so that nothing was measured: {chosen}.",
        valid=None, test=None, left_out={}, failed={}, uncertain=tuple(faults), notes=read.notes,
    )  # fmt: skip
    return verdict, model


def _cost(choice: Choice) -> dict[str, dict[str, float]]:
    """Seconds of each model: fit and score of the chosen setting, and all settings."""
    return {
        name: {"fit": one.fit_seconds, "score": one.score_seconds, "all": one.all_seconds}
        for name, one in choice.chosen.items()
    }
