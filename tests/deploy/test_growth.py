"""What resampling keeps, reading in chunks, costs of a fresh process, and curves with a known answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.deploy import costs
from recutils.deploy.costs import Line, Plan, break_even, line, on_paper, power_law
from recutils.deploy.growth import KEEP, grow, measured, read_in_chunks, read_whole
from recutils.tables import Interactions, Problem


@pytest.fixture(scope="module")
def known() -> Interactions:
    """3,000 events of 100 people with histories of 10 to 50 on 60 items, some far more popular."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 61)
    lists = [rng.choice(60, rng.integers(10, 51), replace=False, p=weights / weights.sum()) for _ in range(100)]
    user = np.repeat(np.arange(100), [len(one) for one in lists])
    return Interactions(pd.DataFrame({"user": user, "item": np.concatenate(lists), "value": 1.0}), 100, 60)


def test_a_small_sample_holds_whole_people(known: Interactions, tmp_path: Path) -> None:
    grown = grow(known, 1_500, tmp_path / "few.parquet", rng=1)
    assert 1_500 <= grown.events <= 1_550 and grown.copies == grown.siblings == 1
    rows = pd.read_parquet(grown.path)
    lengths = set(np.bincount(known.user))
    assert set(rows.user.value_counts()) <= lengths and rows.user.max() + 1 == grown.users == rows.user.nunique()
    assert not rows.duplicated().any() and rows.item.max() < grown.items


def test_copies_keep_lengths_and_popularity(known: Interactions, tmp_path: Path) -> None:
    grown = grow(known, 60_000, tmp_path / "many.parquet", rng=1)
    rows = pd.read_parquet(grown.path)
    assert (
        grown.copies == int(np.ceil(60_000 / (KEEP * len(known)))) and grown.siblings == round(grown.copies**0.3) == 3
    )
    assert 60_000 <= len(rows) == grown.events <= 60_060 and not rows.duplicated().any()
    lengths = rows.user.value_counts()
    assert lengths.mean() == pytest.approx(KEEP * len(known) / 100, rel=0.02)
    before = np.bincount(known.item, minlength=60)
    after = np.bincount(rows.item // grown.siblings, minlength=60)
    assert np.corrcoef(before, after)[0, 1] > 0.998, "the shape of popularity stays"
    siblings = np.bincount(rows.item, minlength=180).reshape(60, 3)
    assert (siblings.std(axis=1) < 6 * np.sqrt(siblings.mean(axis=1) + 1)).all(), "siblings share evenly"


def test_the_same_seed_gives_the_same_file(known: Interactions, tmp_path: Path) -> None:
    rows = [pd.read_parquet(grow(known, 9_000, tmp_path / f"{name}.parquet", rng=5).path) for name in "ab"]
    pd.testing.assert_frame_equal(*rows)


def test_chunks_give_the_matrix_of_the_whole(known: Interactions, tmp_path: Path) -> None:
    grown = grow(known, 9_000, tmp_path / "x.parquet", rng=2)
    mixed = pd.read_parquet(grown.path).sample(frac=1, random_state=0)
    mixed.to_parquet(tmp_path / "mixed.parquet", index=False)
    whole = read_whole(grown.path, grown.users, grown.items).matrix()
    for path, chunk in ((grown.path, 700), (tmp_path / "mixed.parquet", 101), (grown.path, 10**6)):
        found = read_in_chunks(path, grown.users, grown.items, chunk=chunk)
        assert found.dtype == np.float32 and (found != whole).nnz == 0 and found.nnz == whole.nnz


def test_too_little_to_grow_from_is_refused(known: Interactions, tmp_path: Path) -> None:
    for events, n in ((known, 10), (known.only(np.arange(50)), 5_000)):
        with pytest.raises(Problem, match="1,000 events"):
            grow(events, n, tmp_path / "x.parquet", rng=0)
    assert not list(tmp_path.iterdir())


def test_a_fresh_process_tells_what_it_took(known: Interactions, tmp_path: Path) -> None:
    grown = grow(known, 2_000, tmp_path / "x.parquet", rng=2)
    found = measured("als", grown, factors=2, iterations=1)
    assert (found.work, found.events) == ("als", grown.events) and found.seconds > 0
    assert 20 < found.base_mb <= found.peak_mb < 1_000
    with pytest.raises(Problem, match="work must be one of"):
        measured("fly", grown)
    grown.path.unlink()
    with pytest.raises(Problem, match="popularity on .* failed"):
        measured("popularity", grown)


def test_a_planted_power_law_is_found() -> None:
    n = np.array([1e5, 3e5, 1e6, 3e6, 1e7])
    noise = np.exp(np.random.default_rng(3).normal(0, 0.05, 5))
    found = power_law(n, 2e-6 * n**1.2 * noise)
    assert found.low < 1.2 < found.high and found.exponent == pytest.approx(1.2, abs=0.05)
    middle, low, high = found.at(1e9)
    assert low < 2e-6 * 1e9**1.2 < high and low < middle < high
    near = found.at(1e6)
    assert high / low > near[2] / near[1], "further away is less sure"
    for wrong in (([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 2, 0])):
        with pytest.raises(Problem, match="different sizes"):
            power_law(*wrong)


def test_a_break_even_by_hand() -> None:
    assert break_even(Line(1.0, 5e-6), Line(21.0, 1e-6), cores=2).events == pytest.approx(5e6)
    never = break_even(Line(0.0, 2e-6), Line(10.0, 2e-6), cores=2)
    assert never.events == np.inf and never.cores == 2.0
    assert line([1, 2, 3], [5, 5, 5]).per_event == pytest.approx(0, abs=1e-9)


def test_the_plan_is_its_arithmetic() -> None:
    plan = Plan(events=1e9, events_each=100, items=1e6, factors=64, iterations=10, cores=100, price=0.1)
    found = on_paper(plan, core_seconds=1e-6, measured_factors=32).set_index("step").value
    assert found["people"] == 10 and found["events, bytes"] == pytest.approx(16)
    assert found["factors of people"] == pytest.approx(1e7 * 64 * 4 / 1e9)
    assert found["work"] == pytest.approx(1e-6 * 4 * 1e9 * 10 / 3600)
    assert found["shuffle"] == pytest.approx((1e7 + 1e6) * 100 * 64 * 4 / 1e9)
    assert found["wall time"] == pytest.approx(found["work"] / 100 + found["on the wire"])
    assert found["machines"] == 7 and found["price"] == pytest.approx(112 * found["wall time"] * 0.1)
    assert found["EASE instead"] == pytest.approx(8)
    assert costs.Plan().people == 1e7
