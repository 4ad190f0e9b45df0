"""Social: new people with friends, what friends listen to as a recommender, reasons that name nobody, people's texts.

Graphs of friends are read in data/social.py, scored in model/links.py, held out and shuffled in evaluate/links.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.social import TAG
from recutils.evaluate import shares as blends
from recutils.evaluate.cold import shortened
from recutils.evaluate.links import Homophily
from recutils.evaluate.metrics import ndcg
from recutils.model import links
from recutils.model.base import Model
from recutils.rank.top import top_k
from recutils.tables import USER, Interactions, Problem

TIE = np.float32(1e-3)  # weight of popularity where friends say nothing or equal things
LEAST_PEOPLE = 2  # a tag counts when so many people use it
MOST_TAGS = 15  # tags in a person's text


@dataclass(frozen=True, eq=False)
class Newcomers:
    """People whose histories are hidden, to play new people. Rows of all users, each in one part."""

    established: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    def known(self, part: str) -> np.ndarray:
        """Who is known when a part is judged: for "test" the valid people have become established."""
        if part not in ("valid", "test"):
            raise Problem(f"part must be 'valid' or 'test'; got {part!r}")
        return self.established if part == "valid" else np.sort(np.concatenate([self.established, self.valid]))


def newcomers(listening: Interactions, *, least: int, share: float = 0.2, seed: int = 0) -> Newcomers:
    """Two random parts of `share` of the people each, valid and test; newcomers need more than `least` artists.

    Others are established, whatever the draw. Raises Problem for a share outside 0..0.5 and for an empty part.
    """
    if not 0 < share < 0.5:
        raise Problem(f"share must lie above 0 and below 0.5, twice as many people are hidden; got {share}")
    order = np.random.default_rng(seed).permutation(listening.n_users)
    cut = round(share * listening.n_users)
    long = np.bincount(listening.user, minlength=listening.n_users) > least
    parts = [np.sort(rows[long[rows]]) for rows in (order[:cut], order[cut : 2 * cut])]
    if min(map(len, parts)) == 0:
        raise Problem(f"nobody has more than {least} artists in one of the parts. Lower `least`, or take more people.")
    rest = np.setdiff1d(np.arange(listening.n_users), np.concatenate(parts))
    return Newcomers(rest, *parts)


@dataclass(frozen=True, eq=False)
class Visit:
    """Newcomers of whom n artists are known. histories, truth: csr (n_people, n_items); circle: csr (n_people,
    n_users), their friends among the established people.
    """

    users: np.ndarray
    histories: sparse.csr_matrix
    truth: sparse.csr_matrix
    circle: sparse.csr_matrix


def visit(
    listening: Interactions,
    graph: sparse.csr_matrix,
    users: np.ndarray,
    known: np.ndarray,
    *,
    n: int,
    most: int,
    seed: int,
) -> Visit:
    """Users with n of their artists known, drawn at random; the truth is the same for all n up to `most`.

    known: the people whose listening is known. Friends outside of it cannot say anything and are left out.
    """
    if not 0 <= n <= most:
        raise Problem(f"n must lie in 0..{most}; got {n}")
    whole = listening.matrix("binary")[users]
    truth = (whole - shortened(whole, most, seed)).tocsr()
    truth.eliminate_zeros()
    inside = np.zeros(graph.shape[0], dtype=np.float32)
    inside[known] = 1
    circle = (graph[users] @ sparse.diags(inside)).tocsr()
    circle.eliminate_zeros()
    return Visit(users, shortened(whole, n, seed), truth, circle)


def only_of(listening: Interactions, people: np.ndarray) -> Interactions:
    """The events of some people; sizes stay."""
    return listening.only(np.isin(listening.user, people))


def met(listening: Interactions) -> Interactions:
    """The same events with value 1 each, so that a model may read borrowed shares beside them."""
    return Interactions(listening.rows.assign(value=np.float32(1)), listening.n_users, listening.n_items)


def counted(circle: sparse.csr_matrix, listening: Interactions) -> sparse.csr_matrix:
    """How many friends have each artist, csr (n, n_items). circle: csr (n, n_users), stored entries are friends."""
    ones = circle.astype(np.float32, copy=True)
    ones.data[:] = 1
    found = (ones @ listening.matrix("binary")).tocsr()
    found.sort_indices()
    return found


def friends_say(
    circle: sparse.csr_matrix, listening: Interactions, *, damping: float = 0.0, least: int = 1, friends: int = 1
) -> np.ndarray:
    """Scores (n, n_items) float32 by friends' listening; where friends are silent or agree, popularity decides.

    A score is the number of friends who have the artist over the number of people who have it to the power `damping`:
    0 counts friends alone, above 0 prefers what these friends like and others do not know.
    least: what fewer friends have says nothing. friends: people with fewer friends get popularity alone. Both keep
    single friends out of sight. Raises Problem for settings out of range.
    """
    if damping < 0 or least < 1 or friends < 1:
        raise Problem(f"damping must be 0 or more, least and friends 1 or more; got {damping}, {least}, {friends}")
    people = np.bincount(listening.item, minlength=listening.n_items).astype(np.float32)
    votes = counted(circle, listening).toarray()
    votes[votes < least] = 0
    votes[np.diff(circle.indptr) < friends] = 0
    scores = votes / np.maximum(people, 1) ** np.float32(damping)
    return scores + TIE * people / max(float(people.max()), 1.0)


def borrowed(
    histories: sparse.csr_matrix, circle: sparse.csr_matrix, listening: Interactions, weight: float
) -> sparse.csr_matrix:
    """Histories with `weight` x the share of friends who have an artist added: csr float32, to be scored by a model.

    A simple form of social regularisation (Ma et al. 2011): a person is drawn towards the mean of the friends.
    """
    if weight < 0:
        raise Problem(f"weight must be 0 or more; got {weight}")
    n_friends = np.maximum(np.diff(circle.indptr), 1)
    mean = sparse.diags((weight / n_friends).astype(np.float32)) @ counted(circle, listening)
    return (histories + mean).tocsr().astype(np.float32)


def answers(
    model: Model, one: Visit, learnt: Interactions, *, damping: float, share: float, weight: float
) -> dict[str, np.ndarray]:
    """Scores (n, n_items) of every way to serve newcomers. model: fitted on learnt, values 1; popularity to strangers.

    share: of the friends' votes in the blend with the model; weight: of what is borrowed.
    """
    own, said = model.score(one.histories), friends_say(one.circle, learnt, damping=damping)
    return {
        "popularity": np.tile(model.popular, (len(one.users), 1)),
        "friends": said,
        "ease": own,
        "ease + friends": blends.added(own, said, share),
        "ease, borrowed": model.score(borrowed(one.histories, one.circle, learnt, weight)),
    }


def chosen(
    model: Model,
    visits: Mapping[int, Visit],
    learnt: Interactions,
    k: int,
    *,
    damping: float,
    shares: Sequence[float],
    weights: Sequence[float],
) -> pd.DataFrame:
    """For each number of known artists the best share above 0 and the best weight by nDCG@k; of equals the first.

    Index: the numbers; columns share, weight. visits: of the people that choices are made on.
    """
    rows = {}
    for n, one in visits.items():
        own, said = model.score(one.histories), friends_say(one.circle, learnt, damping=damping)
        curve = blends.by_share(own, said, one.histories, one.truth, k, shares=[share for share in shares if share > 0])
        lent = {weight: model.score(borrowed(one.histories, one.circle, learnt, weight)) for weight in weights}
        level = {weight: np.nanmean(ndcg(top_k(lent[weight], one.histories, k), one.truth, k)) for weight in weights}
        rows[n] = (float(curve.idxmax()), float(max(level, key=lambda weight: level[weight])))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["share", "weight"])


def rare_taste(listening: Interactions) -> np.ndarray:
    """How alike people's artists are, (n, n): cosine, an artist weighing the log of how few have it."""
    people = np.bincount(listening.matrix("binary").indices, minlength=listening.n_items)
    rare = np.log(listening.n_users / np.maximum(people, 1)).astype(np.float32)
    return links.alike((listening.matrix("binary") @ sparse.diags(rare)).tocsr())


def homophily_table(found: Mapping[str, Homophily]) -> pd.DataFrame:
    """One row for each likeness: friends' mean, the shuffled graphs' mean and range, p."""
    rows = [(name, one.found, one.shuffled, one.low, one.high, one.p) for name, one in found.items()]
    return pd.DataFrame(rows, columns=["likeness by", "friends", "shuffled", "low", "high", "p (permutation)"])


def hidden(
    part: sparse.csr_matrix, known: sparse.csr_matrix
) -> tuple[np.ndarray, sparse.csr_matrix, sparse.csr_matrix]:
    """People with a hidden friend (n,), whom they must not be shown (themselves and known friends), who is hidden."""
    asked = np.flatnonzero(np.diff(part.indptr) > 0)
    return asked, (known + sparse.eye(known.shape[0], format="csr")).tocsr()[asked], part[asked]


def weighted(scores: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted sum of the named scores."""
    return sum(np.float32(weight) * scores[name] for name, weight in weights.items())


def reasons(circle: sparse.csr_matrix, listening: Interactions, items: np.ndarray, *, least: int = 2) -> list[str]:
    """Why each artist stands in one person's list, naming nobody: "3 of your 8 friends listen to it".

    circle: csr (1, n_users). Below `least` friends the line says "chosen by many": a single friend would be told apart.
    """
    votes = counted(circle, listening).toarray()[0]
    whole = circle.nnz
    many = [f"{int(votes[item])} of your {whole} friends listen to it" for item in items]
    return [line if votes[item] >= least else "chosen by many" for line, item in zip(many, items, strict=True)]


def person_texts(given: pd.DataFrame, n_users: int, *, most: int = MOST_TAGS) -> list[str]:
    """One text for each person: the tags used most often, "rock, indie, 80s"; "" for somebody without tags.

    given: user, item, tag. Tags of fewer than LEAST_PEOPLE people are left out: nobody else could share them.
    """
    used = given.groupby(TAG)[USER].nunique()
    rows = given[given[TAG].isin(used.index[used >= LEAST_PEOPLE])]
    counts = rows.groupby([USER, TAG], as_index=False).size()
    ordered = counts.sort_values([USER, "size", TAG], ascending=[True, False, True], kind="stable")
    words = ordered.groupby(USER).head(most).groupby(USER)[TAG].agg(", ".join)
    return words.reindex(range(n_users), fill_value="").tolist()


def exposed(circle: sparse.csr_matrix) -> pd.DataFrame:
    """How many people have so few friends that a list made of these tells one friend's listening: friends, people."""
    n_friends = np.diff(circle.indptr)
    groups = [
        ("none", n_friends == 0),
        ("one", n_friends == 1),
        ("two", n_friends == 2),
        ("three and more", n_friends > 2),
    ]
    return pd.DataFrame(
        [(name, int(mask.sum()), float(mask.mean())) for name, mask in groups], columns=["friends", "people", "share"]
    )
