"""PSI and KS against answers known beforehand; their behaviour when nothing changed; the reference's file."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse, stats

from recutils.deploy import drift
from recutils.deploy.drift import Feature, Reference
from recutils.tables import Problem


def test_equal_shares_are_no_drift_and_a_known_shift_has_the_psi_of_the_formula() -> None:
    assert drift.psi(np.array([5000, 5000]), np.array([500, 500])) == pytest.approx(0, abs=1e-12)
    p, q = np.array([0.3, 0.7]), np.array([0.5, 0.5])
    assert drift.psi(1e7 * q, 1e7 * p) == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-4)
    assert np.isfinite(drift.psi(np.array([50, 50]), np.array([0, 100]))), "an empty cell is no infinity"


def test_the_chance_part_is_the_mean_of_psi_when_nothing_changed() -> None:
    rows = {row["window"]: row for row in drift.by_simulation([200, 1000], draws=600, seed=1)}
    for row in rows.values():
        assert row["PSI"] == pytest.approx(row["by formula"], rel=0.12)
        assert abs(row["left"]) < 0.12 * row["by formula"]
    assert rows[200]["KS p under 1 %"] < 0.03


def test_ks_is_scipys_but_for_the_grid_and_its_p_is_smirnovs() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=5000), rng.normal(0.5, size=3000)
    one = Feature.of(before)
    exact = stats.ks_2samp(before, after, method="asymp")
    assert exact.statistic - 1 / drift.CELLS <= one.ks(one.count(after)) <= exact.statistic + 1e-12
    assert drift.ks_p(0.05, 1000, 1000) == pytest.approx(stats.kstwobign.sf(0.05 * np.sqrt(500)))


def test_cells_hold_about_equal_counts_and_few_different_values_give_few_cells() -> None:
    one = Feature.of(np.arange(4000.0))
    assert len(one.counts) == drift.CELLS and one.counts.max() <= 1.05 * one.counts.min()
    assert one.binned(one.counts).shape == (drift.BINS,)
    two = Feature.of(np.repeat([0.0, 1.0], [700, 300]))
    assert two.counts.tolist() == [700, 300] and two.excess(np.array([300, 700])) > 0.5
    assert two.cells(np.array([np.nan, 0, 1, 9])).tolist() == [-1, 0, 1, 1]


def test_a_constant_feature_is_one_cell_and_never_drifts() -> None:
    one = Feature.of(np.ones(200))
    assert one.count(np.full(500, 7.0)).tolist() == [500] and one.excess(np.array([500])) == pytest.approx(0)


def test_too_few_values_say_nothing() -> None:
    with pytest.raises(Problem, match="100 values"):
        Feature.of(np.append(np.arange(99.0), np.nan))
    one = Feature.of(np.arange(1000.0))
    assert np.isnan(one.excess(one.count(np.arange(99.0)))) and np.isnan(one.ks(one.count(np.arange(99.0))))


def reference() -> Reference:
    return Reference({"score": Feature.of(np.arange(400.0))}, np.array(["a", "b"]), np.array([[1.0, 2, 3], [4, 5, 6]]))


def test_a_reference_comes_back_from_its_file_and_places_unknown_items_at_zero(tmp_path: Path) -> None:
    path = reference().save(tmp_path / "reference.json")
    again = Reference.load(path)
    assert again.placed(["b", "new", "a"]).tolist() == [[4, 5, 6], [0, 0, 0], [1, 2, 3]]
    assert (again.features["score"].counts == reference().features["score"].counts).all()


@pytest.mark.parametrize("text", ["", "[]", '{"features": {}}', '{"features": {"a": {"edges": [1], "counts": [1]}}}'])
def test_a_damaged_reference_is_a_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(Problem, match="no reference"):
        Reference.load(tmp_path / "r.json")


def test_items_of_the_same_people_lie_near_each_other() -> None:
    met = sparse.block_diag([np.ones((9, 4)), np.ones((8, 4)), np.ones((7, 4))], format="csr")
    places = drift.coordinates(met)
    gap = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert gap[:4, :4].max() < 1e-6 < 0.5 < gap[:4, 4:].min()
    assert (drift.coordinates(met) == places).all()
    assert drift.coordinates(sparse.csr_matrix((3, 2))).tolist() == [[0, 0, 0]] * 2
