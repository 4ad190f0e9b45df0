"""A real cluster of two executors, where pyspark and Java are there; what is said where they are not, everywhere."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from recutils.deploy import spark, spark_jobs
from recutils.deploy.spark import Cluster, cluster, why_not
from recutils.deploy.spark_jobs import SparkALS
from recutils.encode import Encoder
from recutils.tables import Interactions, Problem
from tests.conftest import made

# pytest takes the cluster's own filter away in each test
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
needs_spark = pytest.mark.skipif(bool(why_not()), reason="make extra-scale")


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


def test_what_is_missing_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda _: None)
    assert why_not() == "pyspark is not installed: make extra-scale"
    with pytest.raises(Problem, match="make extra-scale"), cluster():
        pass
    monkeypatch.setattr(spark, "find_spec", lambda _: object())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "no Java" in why_not()
    for version, wanted in (("1.8.0_402", "Java 8 was found"), ("11.0.2", "Java 11 was found"), ("21.0.1", "")):
        java = tmp_path / "bin" / "java"
        java.parent.mkdir(exist_ok=True)
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
        assert wanted in why_not() and bool(why_not()) == bool(wanted)


def test_it_learns_on_a_cluster_only(ratings: Interactions) -> None:
    with pytest.raises(Problem, match=r"on\(cluster\)"):
        SparkALS().fit(ratings)
    with pytest.raises(Problem, match="factors"):
        SparkALS(factors=0)


def test_folding_in_solves_the_equations_of_the_paper(ratings: Interactions) -> None:
    model, rng = SparkALS(factors=3, reg=0.1, alpha=4.0), np.random.default_rng(0)
    model.item_factors = rng.normal(size=(ratings.n_items, 3)).astype(np.float32)
    history = ratings.matrix("binary")[:5]
    for row, found in zip(history.toarray(), model.fold_in(history), strict=True):
        confidence, items = 1 + 4.0 * row, model.item_factors.astype(np.float64)
        left = items.T @ (confidence[:, None] * items) + 0.1 * row.sum() * np.eye(3)
        assert left @ found == pytest.approx(items.T @ (confidence * row), rel=1e-4, abs=1e-4)
    assert not model.fold_in(history[:1] * 0).any() or history[:1].nnz


@needs_spark
def test_two_executors_are_there_as_processes(running: Cluster) -> None:
    assert len(running.executors()) == len(running.processes()) == 2
    assert set(running.executors().host) == {"127.0.0.1"} and running.start_seconds > 0


@needs_spark
def test_als_of_two_executors_finds_planted_tastes_and_repeats_itself(running: Cluster) -> None:
    known = made(60, 40)
    liked = known.only(known.value >= 4)
    first = SparkALS(factors=4, iterations=4, seed=3).on(running).fit(liked)
    again = SparkALS(factors=4, iterations=4, seed=3).on(running).fit(liked)
    assert np.array_equal(first.item_factors, again.item_factors)
    scores = first.score(liked.matrix())
    same = (np.arange(60)[:, None] % 2) == (np.arange(40) % 2)
    assert scores[same].mean() > 4 * abs(scores[~same].mean()), "each group prefers its own half"
    theirs = spark_jobs.factors_of(first.spark_model.userFactors, 60, 4)
    assert np.allclose(theirs, first.fold_in(liked.matrix()), atol=1e-5), "folding in gives the factors of Spark"


@needs_spark
def test_texts_are_encoded_by_both_executors_as_here(
    running: Cluster, tiny_bert: Callable[[Sequence[str], int], Path]
) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "mug", "blue", "owl"]
    folder = tiny_bert(words, 1)
    texts = ["red mug", "", "blue owl", "owl", "mug mug mug", "red", "blue mug"]
    found = spark_jobs.encode(running, texts, folder)
    assert len(found.workers) == 2 and os.getpid() not in found.workers
    assert np.abs(found.vectors - Encoder(folder).encode(texts).vectors).max() < 1e-6
    with pytest.raises(Problem, match="no text"):
        spark_jobs.encode(running, [], folder)


@needs_spark
def test_a_second_cluster_beside_is_refused(running: Cluster) -> None:
    with pytest.raises(Problem, match="running in this process already"), cluster():
        pass
    assert running.session.range(3).count() == 3


def test_nothing_of_spark_is_imported_before_it_is_needed() -> None:
    source = Path(spark.__file__).read_text(encoding="utf-8") + Path(spark_jobs.__file__).read_text(encoding="utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import pyspark", "from pyspark"))]
    assert not top and importlib.util.find_spec("recutils.deploy.spark")
