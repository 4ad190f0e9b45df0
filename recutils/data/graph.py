"""A knowledge graph beside a data set: triples by row numbers, who is linked, what is an inverse. No vectors here."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.fetch import fetch
from recutils.data.formats import read_atomic
from recutils.data.join import film_keys
from recutils.data.load import load
from recutils.tables import ITEM_ID, TITLE, Dataset, Ids, Problem

HEAD, RELATION, TAIL, ENTITY = "head", "relation", "tail", "entity"
FILES = ("ml-100k.kg", "ml-100k.link")  # the facts, and which number of a film is which entity; both come with ml-100k
FILMS = ("ml-100k", "ml-1m")  # data sets whose films this graph knows
LINKS = ("by title", "as packaged")
# ml-1m's films carry the numbers 1 to 3952 in file order; these stand for none ("accidental duplicates, test entries").
NO_FILM = (
    91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229, 1239, 1338, 1402,
    1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512, 1521, 1530, 1536, 1540, 1560, 1576,
    1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737, 1745, 1751, 1761, 1763, 1766, 1775, 1778, 1786, 1790,
    1800, 1802, 1803, 1808, 1813, 1818, 1823, 1828, 1838, 3815,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Graph:
    """Facts (head, relation, tail) about entities, of which some are items.

    triples: (n, 3) int32, rows into `entities`, `relations`, `entities`; no fact twice. item_entity: (n_items,) int32,
    the entity of each item, -1 where the graph does not know it.
    """

    triples: np.ndarray
    entities: Ids
    relations: tuple[str, ...]
    item_entity: np.ndarray

    def __len__(self) -> int:
        return len(self.triples)

    @property
    def linked(self) -> np.ndarray:
        """(n_items,) bool, True where the graph knows the item."""
        return self.item_entity >= 0

    @cached_property
    def degree(self) -> np.ndarray:
        """(n_entities,) facts that name each entity, as head or as tail."""
        return np.bincount(self.triples[:, [0, 2]].ravel(), minlength=len(self.entities))

    def counts(self) -> pd.DataFrame:
        """One row for each relation, most facts first: relation, facts, heads, tails."""
        facts = pd.DataFrame(self.triples, columns=[HEAD, RELATION, TAIL])
        table = facts.groupby(RELATION).agg(facts=(HEAD, "size"), heads=(HEAD, "nunique"), tails=(TAIL, "nunique"))
        named = table.rename(index=dict(enumerate(self.relations))).reset_index()
        return named.sort_values(["facts", RELATION], ascending=[False, True]).reset_index(drop=True)

    def only(self, chosen: np.ndarray) -> "Graph":
        """The facts of a bool mask or of positions, in that order; entities and relations keep their rows."""
        return Graph(self.triples[chosen], self.entities, self.relations, self.item_entity)

    def without(self, *words: str) -> "Graph":
        """The facts whose relation holds none of the words, such as "award"."""
        kept = np.array([not any(word in name for word in words) for name in self.relations])
        return self.only(kept[self.triples[:, 1]])

    def core(self, least: int = 2) -> "Graph":
        """The facts left when entities with fewer than `least` facts go, again and again; items may go too."""
        graph = self
        while len(graph):
            stays = (graph.degree >= least)[graph.triples[:, [0, 2]]].all(axis=1)
            if stays.all():
                break
            graph = graph.only(stays)
        return graph


def load_graph(data: Dataset, links: str = "by title") -> Graph:
    """The Freebase graph of films that comes with ml-100k, for ml-100k or ml-1m.

    links: the packaged link table calls its numbers those of ml-100k, but they are MovieLens' later ones, as in ml-1m
    (296 is Pulp Fiction). "by title" reads them so, and finds ml-100k's films by title and year. "as packaged" believes
    the package, to show what then happens. Raises Problem for other data, as no graph comes with them.
    """
    if data.name not in FILMS:
        raise Problem(
            f"no graph comes with {data.name}; expected {' or '.join(FILMS)}. "
            "Build one of your own facts with graph_of(facts, links, data)."
        )
    if links not in LINKS:
        raise Problem(f"links must be one of {', '.join(LINKS)}; got {links!r}")
    facts, table = (read_atomic(Path(fetch("ml-100k", say=print)) / file) for file in FILES)
    table = table.set_axis([ITEM_ID, ENTITY], axis=1)
    if links == "by title":
        table = _by_title(table, data)
    return graph_of(facts.set_axis([HEAD, RELATION, TAIL], axis=1), table, data)


def _by_title(table: pd.DataFrame, data: Dataset) -> pd.DataFrame:
    """The link table with ml-1m's numbers replaced by the item_id of the film with that title and year."""
    films = load("ml-1m").items
    numbers = np.setdiff1d(np.arange(1, len(films) + len(NO_FILM) + 1), NO_FILM).astype(str)
    row = pd.Series(range(len(films)), index=numbers)[table[ITEM_ID]].to_numpy()
    theirs, ours = film_keys(films)[row], film_keys(data.items)
    place = ours[~ours.duplicated(keep=False)].get_indexer(theirs)
    ids = data.items[ITEM_ID].to_numpy()[~ours.duplicated(keep=False)]
    found = table.assign(**{ITEM_ID: ids[place]})[place >= 0]
    return found.drop_duplicates(ITEM_ID, keep=False)


def graph_of(facts: pd.DataFrame, links: pd.DataFrame, data: Dataset) -> Graph:
    """A graph from tables of names: head, relation, tail; and item_id, entity.

    Repeated facts count once. Links to items that the data lack are left out; entities that no fact names stay without
    facts. Raises Problem for a missing column, for an empty table, and when an item has two entities.
    """
    for table, wanted in ((facts, [HEAD, RELATION, TAIL]), (links, ["item_id", "entity"])):
        if missing := [name for name in wanted if name not in table]:
            raise Problem(f"a graph needs the columns {wanted}; missing {missing}, found {list(table.columns)}.")
    if not len(facts):
        raise Problem("the graph has no facts; expected a table of head, relation, tail. Check the file.")
    twice = links.loc[links["item_id"].duplicated(), "item_id"]
    if len(twice):
        raise Problem(f"item {twice.iloc[0]!r} is linked to two entities. Keep one line for each item.")
    facts = facts[[HEAD, RELATION, TAIL]].astype(str).drop_duplicates()
    links = links[links["item_id"].isin(set(data.items["item_id"]))]
    entities = Ids(pd.Series(pd.unique(pd.concat([facts[HEAD], facts[TAIL], links["entity"].astype(str)]))))
    relations = tuple(sorted(facts[RELATION].unique()))
    rows = {name: row for row, name in enumerate(relations)}
    triples = np.column_stack([entities.rows(facts[HEAD]), facts[RELATION].map(rows), entities.rows(facts[TAIL])])
    item_entity = np.full(len(data.items), -1, dtype=np.int32)
    item_entity[data.item_ids.rows(links["item_id"])] = entities.rows(links["entity"].astype(str))
    return Graph(triples.astype(np.int32), entities, relations, item_entity)


def graph_of_columns(data: Dataset) -> Graph:
    """A graph made of an items table: each part of a cell of a text column is a fact (item, column, part).

    Parts are what commas separate; columns whose parts are said once each (descriptions) are left out. For data
    that come without a graph. Raises Problem when no column is left.
    """
    columns = [name for name in data.items if name not in (ITEM_ID, TITLE)]
    texts = [name for name in columns if pd.api.types.is_string_dtype(data.items[name])]
    facts = []
    for name in texts:
        parts = data.items[name].fillna("").str.split(",").explode().str.strip()
        parts = parts[parts != ""]
        if parts.nunique() < len(parts):
            facts.append(pd.DataFrame({HEAD: parts.index.astype(str), RELATION: name, TAIL: f"{name}: " + parts}))
    if not facts:
        raise Problem(f"{data.name}: no column of the items can serve as facts; found {columns}. Add one like genres.")
    links = pd.DataFrame({ITEM_ID: data.items[ITEM_ID], ENTITY: data.items.index.astype(str)})
    return graph_of(pd.concat(facts), links, data)


def inverses(graph: Graph, share: float = 0.95) -> dict[str, str]:
    """Relations that say another one backwards, each with that other one.

    A relation counts as an inverse when at least `share` of its facts stand reversed in one other relation (Toutanova &
    Chen 2015, who found that such pairs let a rule without learning lead on FB15k). Of a pair the one whose heads are
    linked items less often is named; of equal ones the later name.
    """
    facts = [set(map(tuple, graph.triples[graph.triples[:, 1] == r][:, [0, 2]])) for r in range(len(graph.relations))]
    items = set(graph.item_entity[graph.linked].tolist())
    at_head = [sum(head in items for head, _ in pairs) / max(len(pairs), 1) for pairs in facts]
    found: dict[str, str] = {}
    for a, pairs in enumerate(facts):
        turned = {(tail, head) for head, tail in pairs}
        for b, others in enumerate(facts):
            same = len(turned & others) >= share * len(pairs) > 0 and a != b
            if same and (at_head[a], -a) < (at_head[b], -b) and graph.relations[b] not in found:
                found[graph.relations[a]] = graph.relations[b]
                break
    return found


def one_way(graph: Graph) -> Graph:
    """The graph without its inverse relations, so that no fact stands in it twice."""
    dropped = [graph.relations.index(name) for name in inverses(graph)]
    return graph.only(~np.isin(graph.triples[:, 1], dropped))


def facts_of_items(graph: Graph, least: int = 2) -> sparse.csr_matrix:
    """Which facts each item has: sparse (n_items, n_facts) float32 of 0 and 1, a column for each (relation, direction,
    other entity) that at least `least` items share; an item without a link has an empty row.
    """
    heads, relations, tails = graph.triples.T
    ends = pd.DataFrame(
        {
            "entity": np.concatenate([heads, tails]),
            "fact": np.concatenate([relations * 2, relations * 2 + 1]).astype(np.int64) * len(graph.entities)
            + np.concatenate([tails, heads]),
        }
    )
    row_of = np.full(len(graph.entities), -1)
    row_of[graph.item_entity[graph.linked]] = np.flatnonzero(graph.linked)
    ends["item"] = row_of[ends["entity"]]
    ends = ends[ends["item"] >= 0].drop_duplicates(["item", "fact"])
    ends = ends[ends.groupby("fact")["item"].transform("size") >= least]
    column, names = pd.factorize(ends["fact"], sort=True)
    shape = (len(graph.item_entity), len(names))
    return sparse.csr_matrix((np.ones(len(ends), dtype=np.float32), (ends["item"], column)), shape=shape)
