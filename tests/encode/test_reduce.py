"""What is done to vectors: planted directions come off, widths and bits are what they say."""

import numpy as np
import pytest

from recutils.encode.reduce import KINDS, STEPS, fit_step, mean_cosine, store, unit
from recutils.tables import Problem


@pytest.fixture
def cone() -> np.ndarray:
    """200 unit vectors of 12 numbers in a narrow cone, one direction much wider than the others, and an empty text."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 12)) * np.array([4, *[1] * 11])
    vectors[:, 1] += 6
    vectors[17] = 0
    return unit(vectors)


def test_centring_takes_the_shared_direction_away(cone):
    assert mean_cosine(cone) > 0.4
    assert abs(mean_cosine(fit_step(cone, "centre")(cone))) < 0.02


def test_top_takes_away_the_widest_direction(cone):
    step = fit_step(cone, "top", n_top=1)
    filled = cone[cone.any(axis=1)]
    widest = np.linalg.svd(filled - filled.mean(axis=0))[2][0]
    np.testing.assert_allclose(step(cone) @ widest, 0, atol=1e-5)
    np.testing.assert_allclose(fit_step(cone, "top", n_top=0)(cone), fit_step(cone, "centre")(cone), atol=1e-6)


def test_whitened_directions_have_one_variance(cone):
    step = fit_step(cone, "whiten")
    filled = cone[cone.any(axis=1)]
    spread = np.cov(((filled - step.mean) @ step.matrix).T)
    np.testing.assert_allclose(spread / spread[0, 0], np.eye(12), atol=1e-4)


def test_pca_of_full_width_keeps_all_cosines_of_centred_vectors(cone):
    whole, centred = fit_step(cone, "pca")(cone), fit_step(cone, "centre")(cone)
    np.testing.assert_allclose(whole @ whole.T, centred @ centred.T, atol=1e-5)
    assert fit_step(cone, "pca", width=3)(cone).shape == (200, 3)


def test_pca_finds_the_planted_plane():
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 9))
    centred = unit(flat - flat.mean(axis=0))
    reduced = fit_step(flat, "pca", width=2)(flat)
    np.testing.assert_allclose(reduced @ reduced.T, centred @ centred.T, atol=1e-5)
    assert fit_step(flat, "whiten").width == 2, "directions without variance are left out"


def test_cut_and_none_do_what_they_say(cone):
    np.testing.assert_allclose(fit_step(cone, "cut", width=4)(cone), unit(cone[:, :4]), atol=1e-6)
    np.testing.assert_allclose(fit_step(cone, "none")(cone), cone, atol=1e-6)


@pytest.mark.parametrize("name", STEPS)
def test_empty_texts_stay_zero_rows_have_length_one_and_nothing_changes(cone, name):
    before = cone.copy()
    changed = fit_step(cone, name)(cone)
    assert changed.dtype == np.float32 and not changed[17].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(changed, 17, axis=0), axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(cone, before)


def test_an_empty_text_does_not_move_the_fit(cone):
    np.testing.assert_array_equal(fit_step(cone, "pca").mean, fit_step(np.delete(cone, 17, axis=0), "pca").mean)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_those_of_the_bits(cone, kind):
    stored = store(cone, kind)
    bits = 200 * (16 if kind == "1 bit" else 12 * KINDS[kind])  # whole bytes a row
    assert stored.nbytes == bits // 8 + (200 * 4 if kind == "int8" else 0)
    assert stored.vectors().shape == cone.shape and stored.vectors().dtype == np.float32


def test_what_is_read_back_is_near(cone):
    np.testing.assert_array_equal(store(cone, "fp32").vectors(), cone)
    np.testing.assert_allclose(store(cone, "fp16").vectors(), cone, rtol=1e-3, atol=1e-7)
    half_a_step = np.abs(cone).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(store(cone, "int8").vectors() - cone) <= half_a_step * 1.001).all()
    assert not store(cone, "int8").vectors()[17].any()
    np.testing.assert_array_equal(store(cone, "1 bit").vectors() > 0, cone > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: fit_step(v, "spin"), "there is no step 'spin'; expected one of none, centre"),
        (lambda v: fit_step(v, "centre", width=3), "keeps all 12 numbers"),
        (lambda v: fit_step(v, "pca", width=13), r"width must lie in 1..12 for 'pca' of 199 vectors"),
        (lambda v: fit_step(v, "top", n_top=12), r"n_top must lie in 0..11"),
        (lambda v: fit_step(v * 0, "centre"), "at least two finite vectors"),
        (lambda v: fit_step(v, "centre")(v[:, :3]), r"fitted on vectors \(n, 12\); got \(200, 3\)"),
        (lambda v: store(v, "int4"), "there is no way to store 'int4'"),
        (lambda v: store(v * np.nan, "int8"), "NaN or infinity"),
        (lambda v: mean_cosine(v[:1]), "at least two vectors"),
    ],
)
def test_misuse_is_named(cone, call, message):
    with pytest.raises(Problem, match=message):
        call(cone)
