"""Entities of a graph as vectors: TransE, and how well it predicts facts it was not shown. Reads no data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recutils.data.graph import Graph
from recutils.tables import Problem

if TYPE_CHECKING:
    from torch import Generator, Tensor

Say = Callable[[int, float], None]  # epoch, mean loss
BLOCK = 512  # facts ranked at a time


@dataclass(frozen=True, eq=False)
class TransE:
    """entities (n_entities, d), relations (n_relations, d) float32: a fact holds when head + relation lies near tail.

    common: (n_entities,) float32, how likely an entity is whatever is asked (United States of America, drama).
    """

    entities: np.ndarray
    relations: np.ndarray
    common: np.ndarray

    def scores(self, heads: np.ndarray, relations: np.ndarray) -> np.ndarray:
        """(n, n_entities) float32, higher is more likely: minus the squared distance from head + relation, + common."""
        query = self.entities[heads] + self.relations[relations]
        far = (query**2).sum(axis=1, keepdims=True) + (self.entities**2).sum(axis=1) - 2 * query @ self.entities.T
        return self.common - far

    def of_items(self, graph: Graph) -> np.ndarray:
        """Vectors (n_items, d) float32 in item order, their mean over linked items subtracted; not linked: zeros."""
        linked = graph.linked & (np.append(graph.degree, 0)[graph.item_entity] > 0)
        vectors = np.zeros((len(graph.item_entity), self.entities.shape[1]), dtype=np.float32)
        vectors[linked] = self.entities[graph.item_entity[linked]]
        vectors[linked] -= vectors[linked].mean(axis=0)
        return vectors


def fit_transe(
    graph: Graph,
    *,
    d: int = 64,
    epochs: int = 60,
    batch: int = 1024,
    negatives: int = 512,
    learning_rate: float = 0.01,
    reg: float = 1e-5,
    seed: int = 0,
    say: Say | None = None,
) -> TransE:
    """Vectors in which head + relation lies near tail (Bordes et al. 2013, equation 1).

    We depart from the paper in the loss: a softmax over the true tail and `negatives` drawn entities, half of them
    tails of other facts, instead of a margin against one; squared distances; a number for each entity of how common it
    is, so that the vectors need not say it; and the same for heads (tail - relation).
    An entity without facts keeps a zero vector. reg: penalty of the squared vectors that a batch uses. Raises Problem
    for a graph without facts and for a loss that is not finite.
    """
    import torch

    if not len(graph):
        raise Problem("TransE needs facts; the graph has none. Use core(least=1), or keep more relations.")
    generator = torch.Generator().manual_seed(seed)
    facts = torch.from_numpy(graph.triples.astype(np.int64))
    known = torch.from_numpy(np.flatnonzero(graph.degree))
    tables = [_start(n, d, generator) for n in (len(graph.entities), len(graph.relations))]
    tables.append(torch.zeros(len(graph.entities), requires_grad=True))
    steps = torch.optim.Adam(tables, lr=learning_rate)
    for epoch in range(epochs):
        total = 0.0
        for part in facts[torch.randperm(len(facts), generator=generator)].split(batch):
            drawn = known[torch.randint(len(known), (negatives - negatives // 2,), generator=generator)]
            others = facts[torch.randint(len(facts), (negatives // 2,), generator=generator)]
            loss = _loss(tables, part, drawn, others) + reg * _squares(tables, part)
            if not torch.isfinite(loss):
                raise Problem(f"the loss became {loss.item()} in epoch {epoch + 1}. Use a smaller learning_rate.")
            steps.zero_grad()
            loss.backward()
            steps.step()
            total += loss.item() * len(part)
        if say:
            say(epoch + 1, total / len(facts))
    entities, relations, common = (table.detach().numpy() for table in tables)
    return TransE(entities * (graph.degree > 0)[:, None].astype(np.float32), relations, common)


def _start(n: int, d: int, generator: "Generator") -> "Tensor":
    """A table (n, d) of small random numbers that learns."""
    import torch

    return (torch.randn(n, d, generator=generator) / d**0.5).requires_grad_()


def _loss(tables: list, part: "Tensor", drawn: "Tensor", others: "Tensor") -> "Tensor":
    """Softmax loss of the true tail, and of the true head, among drawn entities."""
    import torch

    entities, relations, common = tables
    head, move, tail = entities[part[:, 0]], relations[part[:, 1]], entities[part[:, 2]]
    loss = torch.zeros(())
    for query, true, column in ((head + move, tail, 2), (tail - move, head, 0)):
        wrong = torch.cat([drawn, others[:, column]])
        near = common[part[:, column], None] - ((query - true) ** 2).sum(dim=1, keepdim=True)
        table = entities[wrong]
        far = 2 * query @ table.T - (query**2).sum(dim=1, keepdim=True) - (table**2).sum(dim=1) + common[wrong]
        far = far.masked_fill(wrong == part[:, column, None], -torch.inf)  # a drawn true answer is no wrong one
        loss = loss - torch.log_softmax(torch.cat([near, far], dim=1), dim=1)[:, 0].mean() / 2
    return loss


def _squares(tables: list, part: "Tensor") -> "Tensor":
    entities, relations, _ = tables
    return (entities[part[:, [0, 2]]] ** 2).sum() + (relations[part[:, 1]] ** 2).sum()


def held_out(graph: Graph, share: float, seed: int) -> tuple[Graph, Graph]:
    """The graph without a random share of its facts, and these, as far as all their entities stay in the rest."""
    order = np.random.default_rng(seed).permutation(len(graph))
    cut = round(share * len(graph))
    rest, out = graph.only(np.sort(order[cut:])), graph.only(np.sort(order[:cut]))
    return rest, out.only((rest.degree > 0)[out.triples[:, [0, 2]]].all(axis=1))


def tail_ranks(scores: Callable[[np.ndarray, np.ndarray], np.ndarray], asked: Graph, known: Graph) -> np.ndarray:
    """Place (n,) of each asked fact's tail among all entities with facts, other true tails left out ("filtered").

    scores: (heads, relations) -> (n, n_entities), higher is more likely. known: every fact that is true, the asked ones
    included. Equal scores share the middle place, so that a constant score gets half of the list (Sun et al. 2020).
    """
    true = _tails_of(known)
    candidates = known.degree > 0
    ranks = np.empty(len(asked))
    for start in range(0, len(asked), BLOCK):
        heads, relations, tails = asked.triples[start : start + BLOCK].T
        table = np.where(candidates, scores(heads, relations), -np.inf)
        own = table[np.arange(len(tails)), tails]
        for row, (head, relation) in enumerate(zip(heads.tolist(), relations.tolist(), strict=True)):
            table[row, true[head, relation]] = -np.inf
        better, equal = (table > own[:, None]).sum(axis=1), (table == own[:, None]).sum(axis=1)
        ranks[start : start + BLOCK] = 1 + better + equal / 2
    return ranks


def _tails_of(graph: Graph) -> dict[tuple[int, int], np.ndarray]:
    """(head, relation) -> its true tails."""
    order = np.lexsort((graph.triples[:, 2], graph.triples[:, 1], graph.triples[:, 0]))
    facts = graph.triples[order]
    starts = np.flatnonzero(np.any(np.diff(facts[:, :2], axis=0, prepend=-1), axis=1))
    groups = np.split(facts[:, 2], starts[1:])
    return {
        (int(head), int(relation)): tails for (head, relation), tails in zip(facts[starts, :2], groups, strict=True)
    }


def tail_frequency(graph: Graph) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The rule without learning: how often an entity is the relation's tail, whatever the head."""
    counts = np.zeros((len(graph.relations), len(graph.entities)), dtype=np.float32)
    np.add.at(counts, (graph.triples[:, 1], graph.triples[:, 2]), 1)
    return lambda heads, relations: counts[relations]


def turned_facts(graph: Graph, pairs: dict[str, str]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A rule that only looks up: a tail is true when the inverse relation says the fact backwards.

    pairs: relation -> its inverse, in either order (see data.graph.inverses).
    """
    both = pairs | {other: name for name, other in pairs.items()}
    rows = {name: row for row, name in enumerate(graph.relations)}
    there = {tuple(fact) for fact in graph.triples.tolist()}
    from_tail: dict[tuple[int, int], list[int]] = {}
    for head, relation, tail in there:
        other = both.get(graph.relations[relation])
        if other is not None:
            from_tail.setdefault((tail, rows[other]), []).append(head)

    def scores(heads: np.ndarray, relations: np.ndarray) -> np.ndarray:
        found = np.zeros((len(heads), len(graph.entities)), dtype=np.float32)
        for row, asked in enumerate(zip(heads.tolist(), relations.tolist(), strict=True)):
            found[row, from_tail.get(asked, [])] = 1
        return found

    return scores
