"""One comparison's rules as one object: whose lists, from which histories, against which truth. No metric here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recutils.data.split import Split
from recutils.evaluate.judge import Judgement, judge
from recutils.evaluate.records import Records
from recutils.rank.top import Scorer, recommend
from recutils.tables import Interactions, Problem

PROTOCOL = "H"  # the house protocol: CONTRIBUTING.md


@dataclass(frozen=True, eq=False)
class Task:
    """What every model of a comparison is given, so that all play by the same rules.

    users: rows of the judged users (n_users,). histories: sparse (n_users, n_items), what is known of them; also what
    they must not be shown again. truth: sparse (n_users, n_items), stored entries are relevant.
    group: "known users" or "new users", as the records call them. notes: who is not judged here and why, with counts.
    """

    dataset: str
    protocol: str
    split: str
    part: str
    k: int
    users: np.ndarray
    histories: sparse.csr_matrix
    truth: sparse.csr_matrix
    group: str
    notes: tuple[str, ...] = ()

    def lists(self, models: Mapping[str, Scorer]) -> dict[str, np.ndarray]:
        """Ranked lists (n_users, k) of each fitted model, all unseen items as candidates."""
        return {name: recommend(model, self.histories, self.k) for name, model in models.items()}

    def judge(self, models: Mapping[str, Scorer], *, seed: int, **options: Any) -> Judgement:
        """Rank with each model and judge the lists; options are those of `judge.judge`: baseline, family, draws."""
        return judge(self.lists(models), self.truth, self.k, seed=seed, users=self.users, **options)

    def records(self, notebook: str, judgement: Judgement, *, group: str = "") -> Records:
        """A judgement's records under this task's name, for `run.add`; group: another name than its own."""
        part = f"{self.split}, {self.part}"
        return judgement.records(notebook, self.dataset, self.protocol, part, group=group or self.group)


def task(
    split: Split, dataset: str, k: int, *, part: str = "valid", users: str = "known", liked: float | None = None
) -> Task:
    """The task of ranking a part's items for its users from the training part.

    part: "valid" or "test". users: "known" (with training events) or "new" (without; their history is empty).
    liked: only ratings of at least this value are relevant; None means every event is.
    A history holds the training part only, for test as for valid, since that is all the models have learnt from.
    Raises Problem when no user is left.
    """
    if part not in ("valid", "test") or users not in ("known", "new"):
        raise Problem(f"part must be 'valid' or 'test', users 'known' or 'new'; got {part!r} and {users!r}")
    known = np.bincount(split.train.user, minlength=split.train.n_users) > 0
    relevant = _relevant(getattr(split, part), liked)
    active = np.diff(relevant.indptr) > 0
    rows = np.flatnonzero(active & (known if users == "known" else ~known))
    if len(rows) == 0:
        raise Problem(f"no {users} user has a relevant item in {part}; sizes are {split.sizes()}. Use a larger sample.")
    notes = (_user_note(part, active, known, users), _item_note(split, part), _rule_note(liked))
    histories = split.train.matrix()[rows]
    return Task(dataset, PROTOCOL, split.name, part, k, rows, histories, relevant[rows], f"{users} users", notes)


def _relevant(part: Interactions, liked: float | None) -> sparse.csr_matrix:
    chosen = part if liked is None else part.only(part.value.to_numpy() >= liked)
    return chosen.matrix("binary")


def _user_note(part: str, active: np.ndarray, known: np.ndarray, users: str) -> str:
    n_known, n_new = int((active & known).sum()), int((active & ~known).sum())
    return (
        f"Of the users of {part}, {n_known:,} have training events (known) and {n_new:,} have none (new); the means "
        f"are over the {users} ones."
    )


def _item_note(split: Split, part: str) -> str:
    items = np.unique(getattr(split, part).item)
    n_new = int((~np.isin(items, split.train.item)).sum())
    return f"{n_new:,} of the {len(items):,} items of {part} have no training event; they stay in the truth."


def _rule_note(liked: float | None) -> str:
    rule = "Every event is relevant" if liked is None else f"Ratings of at least {liked:g} are relevant"
    return f"{rule}; all unseen items are candidates."
