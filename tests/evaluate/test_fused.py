"""Fusion on planted cold items: one source holds the answer, another repeats half of it, a third is noise."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.evaluate import fused
from recutils.evaluate.cold import ColdTask
from recutils.model.als import ALS
from recutils.rank import fusion
from recutils.rank.top import top_k
from recutils.tables import Interactions, Problem

N, COLD, K = 120, 30, 5


@pytest.fixture
def planted():
    """Factors that `taste` tells fully, `half` in part and `noise` not at all; people meet what fits them best."""
    rng = np.random.default_rng(3)
    factors, people = rng.normal(size=(N, 4)), rng.normal(size=(50, 4))
    items, rated = np.arange(N - COLD, N), np.arange(N) < N - COLD
    fits = items[top_k(people @ factors[items].T, None, K)]
    truth = sparse.csr_matrix((np.ones(fits.size), (np.repeat(np.arange(50), K), fits.ravel())), shape=(50, N))
    task = ColdTask(np.arange(50), sparse.csr_matrix((50, N)), truth, items, 0)
    blocks = {"taste": factors @ rng.normal(size=(4, 6)), "half": factors[:, :2], "noise": rng.normal(size=(N, 3))}
    blocks = {name: fusion.scaled(block) for name, block in blocks.items()}
    return fused.Stage(task, rated, factors[rated].astype(np.float32), people.astype(np.float32)), blocks


@pytest.fixture
def table(planted):
    stage, blocks = planted
    return fused.tried(stage, blocks, fusion.menu_of_shares(list(blocks), 2), [0.01, 1.0], K)


def test_every_setting_is_tried(table):
    assert len(table) == 2 * 2 * 6
    assert table.groupby("how").ndcg.max().gt(0.95).all(), "the planted answer must be found"


def test_choices_leave_the_noise_out(planted, table):
    assert fused.best(table, "early").shares["noise"] == 0
    assert list(fused.best_alone(table)) == ["taste", "half", "noise"], "sources by their worth"
    without = fused.best(table, "late", without=["taste"])
    assert without.shares["taste"] == 0 and without.shares["half"] > 0
    with pytest.raises(Problem, match="no setting"):
        fused.best(table, "late", without=["taste", "half", "noise"])


def test_tried_values_are_those_of_the_settings(planted, table):
    stage, blocks = planted
    for how in fused.WAYS:
        setting = fused.best(table, how)
        assert stage.worth(stage.scores(blocks, setting), K) == pytest.approx(table[table.how == how].ndcg.max())


def test_a_silent_source_leaves_the_others_alone(planted):
    stage, blocks = planted
    shares = {"taste": 0.5, "half": 0.25, "noise": 0.25}
    gone = {"noise": ~stage.rated}
    with_gap = stage.scores(blocks, fused.Setting("late", shares, 0.1), gone)
    never = stage.scores(blocks, fused.Setting("late", shares | {"noise": 0}, 0.1))
    assert np.allclose(with_gap, never, atol=1e-5)


def test_answers_to_a_gap(planted):
    stage, blocks = planted
    shares = {"taste": 0.5, "half": 0.5, "noise": 0}
    settings = {how: fused.Setting(how, shares, 0.01) for how in fused.WAYS}
    gone = {"half": ~stage.rated}
    found = fused.answers(stage, blocks, settings, gone, missing=0.3)
    assert tuple(found) == fused.ANSWERS
    values = {name: stage.worth(scores, K) for name, scores in found.items()}
    assert values["ridge"] > 0.95 > values["mean"], "taste tells all of half, so that nothing is lost"
    whole = fused.answers(stage, blocks, settings, {}, missing=0.0)
    full = stage.scores(blocks, settings["early"])
    assert all(np.allclose(whole[name], full, atol=1e-3) for name in ("zeros", "mean", "ridge", "dropout"))


def test_answers_never_read_what_is_gone(planted):
    stage, blocks = planted
    settings = {how: fused.Setting(how, dict.fromkeys(blocks, 1.0), 0.1) for how in fused.WAYS}
    gone = {"taste": ~stage.rated & (np.arange(N) % 3 == 0)}
    other = blocks | {"taste": np.where(gone["taste"][:, None], 99, blocks["taste"]).astype(np.float32)}
    clean, dirty = (fused.answers(stage, given, settings, gone, missing=0.3) for given in (blocks, other))
    assert all(np.array_equal(clean[name], dirty[name]) for name in clean)


def test_impossible_gaps_are_refused(planted):
    stage, blocks = planted
    settings = {how: fused.Setting(how, dict.fromkeys(blocks, 1.0), 0.1) for how in fused.WAYS}
    with pytest.raises(Problem, match="cold items only"):
        fused.answers(stage, blocks, settings, {"half": np.ones(N, dtype=bool)}, missing=0.3)
    with pytest.raises(Problem, match="cannot leave a gap open"):
        stage.scores(blocks, settings["early"], {"half": ~stage.rated})


def test_short_lists_are_padded_and_ranks_fused(planted):
    stage, blocks = planted
    scores = {name: stage.mapped(block, 0.1) for name, block in blocks.items()}
    lists = stage.lists({"by ranks": stage.by_ranks(scores)}, COLD + 3)["by ranks"]
    assert (lists[:, COLD:] == -1).all() and (np.sort(lists[:, :COLD]) == stage.task.items).all()
    assert stage.worth(stage.by_ranks({"one": scores["taste"]}), K) == stage.worth(scores["taste"], K)


def test_a_stage_is_made_of_one_training_part():
    rng = np.random.default_rng(0)
    rows = [(u, i, 1.0) for u in range(20) for i in rng.choice(12, 6, replace=False)]
    train = Interactions(pd.DataFrame(rows, columns=["user", "item", "value"]), 20, 15)
    histories = train.matrix()
    task = ColdTask(np.arange(20), histories, histories, np.arange(12, 15), 0)
    stage = fused.Stage.of(train, task, ALS(factors=3, seed=1))
    assert stage.rated.sum() == 12 == len(stage.own) and not stage.rated[12:].any()
    assert stage.people.shape == (20, 3)
