"""What is done on a cluster (spark.py): MLlib's ALS behind our interface, and texts encoded by the executors."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.deploy.spark import Cluster
from recutils.model.als import check_no_dislikes, check_positive
from recutils.model.base import Model
from recutils.tables import ITEM, USER, Interactions, Problem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RATING = "rating"


class SparkALS(Model):
    """MLlib's implicit ALS (Hu, Koren & Volinsky 2008), fitted by a cluster, scoring like every model here.

    Every event has strength 1, so confidence 1 + alpha and preference 1. Two differences from implicit's: the 1 is
    there, and the penalty of a row of n events is reg * n (Zhou and others 2008), not reg. Items come first and users
    last in an iteration, so that folding in a training history gives exactly the factors that Spark gave its user.
    Strangers get popularity; items without training events score 0. Give it a cluster by `on` before `fit`.
    """

    name = "spark als"
    serves_strangers = False
    arrays = ("item_factors",)

    item_factors: np.ndarray  # (n_items, factors) float32, zero rows for items without training events

    def __init__(
        self, *, factors: int = 32, reg: float = 0.01, alpha: float = 10.0, iterations: int = 10, seed: int = 0
    ) -> None:
        check_positive(factors=factors, reg=reg, alpha=alpha, iterations=iterations)
        self.factors, self.reg, self.alpha, self.iterations, self.seed = factors, reg, alpha, iterations, seed
        self._cluster: Cluster | None = None

    def on(self, cluster: Cluster) -> Self:
        """Fit on this cluster, which must run when `fit` is called."""
        self._cluster = cluster
        return self

    def _fit(self, train: Interactions) -> None:
        if self._cluster is None:
            raise Problem(f"{self.name} learns on a cluster. Call on(cluster) before fit(train).")
        check_no_dislikes(train.value.to_numpy(), self.name)
        self.item_factors = self.trained(events(self._cluster, train), train.n_items)

    def trained(self, known: "DataFrame", n_items: int) -> np.ndarray:
        """Item factors (n_items, factors) float32 from a table user, item, rating on the cluster."""
        from pyspark.ml.recommendation import ALS

        blocks = known.sparkSession.sparkContext.defaultParallelism
        model = ALS(
            rank=self.factors, maxIter=self.iterations, regParam=self.reg, alpha=self.alpha, implicitPrefs=True,
            userCol=USER, itemCol=ITEM, ratingCol=RATING, seed=self.seed, numUserBlocks=blocks, numItemBlocks=blocks,
            checkpointInterval=-1,
        ).fit(known)  # fmt: skip
        self.spark_model = model
        return factors_of(model.itemFactors, n_items, self.factors)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """User factors (n_histories, factors) float32, solved as MLlib does; zeros for an empty history.

        (Y'Y + alpha Y_h'Y_h + reg n I) x = (1 + alpha) Y_h'1, with Y_h the factors of the n items of the history.
        """
        items = self.item_factors.astype(np.float64)
        gram, found = items.T @ items, np.zeros((histories.shape[0], self.factors), dtype=np.float32)
        for row in np.flatnonzero(np.diff(histories.indptr)):
            met = items[histories.indices[histories.indptr[row] : histories.indptr[row + 1]]]
            left = gram + self.alpha * met.T @ met + self.reg * len(met) * np.eye(self.factors)
            found[row] = np.linalg.solve(left, (1 + self.alpha) * met.sum(axis=0))
        return found


def events(cluster: Cluster, known: Interactions) -> "DataFrame":
    """The pairs of a table on the cluster, strength 1 each, through a parquet file in its scratch.

    One part, so that equal seeds give equal factors: with more, the order in which parts arrive may decide sums.
    """
    path = cluster.folder / f"events-{time.time_ns()}.parquet"
    pairs = known.rows[[USER, ITEM]].drop_duplicates()
    pairs.assign(**{RATING: np.float32(1)}).to_parquet(path, index=False)
    return read_events(cluster, path)


def read_events(cluster: Cluster, path: Path, *, parts: int = 1) -> "DataFrame":
    """A parquet file of user, item and, if it is there, rating, in `parts` parts."""
    from pyspark.sql import functions

    table = cluster.session.read.parquet(str(path))
    if RATING not in table.columns:
        table = table.withColumn(RATING, functions.lit(1.0).cast("float"))
    return table.coalesce(parts)


def factors_of(table: "DataFrame", n_rows: int, width: int) -> np.ndarray:
    """MLlib's table of id and features as an array (n_rows, width) float32; rows that it lacks are zero."""
    found = table.toArrow()
    factors = np.zeros((n_rows, width), dtype=np.float32)
    ids = found["id"].to_numpy()
    factors[ids] = found["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return factors


@dataclass(frozen=True, eq=False)
class Encoded:
    """Vectors (n, d) float32 in the order of the texts; workers: the processes that made them; seconds: in all."""

    vectors: np.ndarray
    workers: tuple[int, ...]
    seconds: float


@lru_cache(maxsize=1)
def _encoder(folder: str) -> Any:
    """The encoder of a worker, loaded once and kept for its next tasks. One thread: each executor has one core."""
    import torch

    from recutils.encode import Encoder

    torch.set_num_threads(1)
    return Encoder(Path(folder))


def encode_part(texts: pd.DataFrame, folder: str) -> pd.DataFrame:
    """One part of the texts (columns row, text) as vectors, in a worker: row, vector, worker."""
    vectors = _encoder(folder).encode([str(text) for text in texts["text"]]).vectors
    rows = {"row": texts["row"].to_numpy(), "vector": list(vectors.astype(np.float32)), "worker": os.getpid()}
    return pd.DataFrame(rows)


def encode(cluster: Cluster, texts: Sequence[str], folder: Path) -> Encoded:
    """Vectors of texts, read by the executors with the checkpoint in `folder` (a path that all of them can read).

    Texts are parted by their row, one part for each executor (`applyInPandas`). Raises Problem for no text.
    """
    if not len(texts):
        raise Problem("there is no text to encode; expected at least one")
    began = time.perf_counter()
    parts = cluster.session.sparkContext.defaultParallelism
    row = np.arange(len(texts))
    table = pd.DataFrame({"part": row % parts, "row": row, "text": [str(text) for text in texts]})
    path = cluster.folder / f"texts-{time.time_ns()}.parquet"
    table.to_parquet(path, index=False)
    place = str(folder)
    made = (
        cluster.session.read.parquet(str(path))
        .repartitionByRange(parts, "part")
        .groupBy("part")
        .applyInPandas(lambda part: encode_part(part, place), "row long, vector array<float>, worker long")
        .toArrow()
    )
    flat = made["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(texts), -1)
    vectors = np.empty_like(flat, dtype=np.float32)
    vectors[made["row"].to_numpy()] = flat
    return Encoded(vectors, tuple(np.unique(made["worker"].to_numpy()).tolist()), time.perf_counter() - began)
