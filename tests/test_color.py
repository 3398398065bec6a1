"""``correct_color`` gives the official kit's values, by every path, for every matrix and every colour."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from _color_reference import KINDS, WIDTHS, expected, matrix, picture

import nersemble
from nersemble.color import EXPANSIONS, encode_srgb, fastest_backend
from nersemble.color.srgb import HIGHEST, MOST_UNSURE, ONE, PLACE_BITS, tables
from nersemble.errors import CalibrationError, SelectionError

BACKENDS = ("numba", "numpy")
FULL_FRAME = (3208, 2200, 3)


def check_levels(corrected: np.ndarray, right: np.ndarray) -> None:
    assert corrected.dtype == np.uint8
    assert corrected.shape == right.shape
    off = np.abs(corrected.astype(int) - right)
    assert off.max(initial=0) <= 1
    assert np.count_nonzero(off) <= off.size // 10_000


def test_numba_is_there_for_these_tests():
    assert fastest_backend() == "numba"


def test_every_width_is_in_the_reference():
    assert set(WIDTHS) == set(EXPANSIONS)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_levels_are_those_of_the_formulas(width, kind, backend):
    for seed in range(3):
        image, ccm = picture(seed=seed), matrix(kind, width, seed)
        check_levels(nersemble.correct_color(image, ccm, backend=backend), expected(image, ccm))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_floats_are_those_of_the_formulas(width, kind, dtype):
    image, ccm = (picture() / 255).astype(dtype), matrix(kind, width)
    image[0, :4] = [[-0.1, 1.2, 0.5], [np.nan, 0, 1], [0.04, 0.0404, 0.041], [np.inf, 0, 0]]
    corrected, right = nersemble.correct_color(image, ccm), expected(image, ccm)
    assert corrected.dtype == np.float64
    scale = np.abs(ccm).sum()
    assert np.allclose(corrected, right, rtol=1e-10, atol=1e-12 * scale, equal_nan=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("width", "kind", "step"), [(3, "realistic", 1), (3, "white-keeping", 5), (10, "realistic", 7),
                                                     (20, "realistic", 11), (35, "harsh", 31)])  # fmt: skip
def test_of_all_colours_none_is_off(width, kind, step, backend):
    ccm = matrix(kind, width)
    for start in range(0, 1 << 24, 1 << 21):
        number = np.arange(start, start + (1 << 21), step)
        colours = np.stack([number >> 16, number >> 8 & 255, number & 255], axis=-1).astype(np.uint8)
        check_levels(nersemble.correct_color(colours, ccm, backend=backend), expected(colours, ccm))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_that_leave_float64_come_out_as_in_the_kit(backend):
    image = picture()
    for seed in range(4):
        ccm = np.random.default_rng(seed).normal(0, 1e307, (3, 35))
        assert not np.isfinite(expected(image / 255, ccm)).all()
        assert np.array_equal(nersemble.correct_color(image, ccm, backend=backend), expected(image, ccm))


# --- the encoder by thresholds ----------------------------------------------------------------------------------------


def test_each_threshold_is_the_smallest_value_of_its_level():
    levels, thresholds = np.arange(1, 256), tables().thresholds[1:-1]
    assert np.array_equal(np.floor(encode_srgb(thresholds) * 255), levels)
    assert np.array_equal(np.floor(encode_srgb(np.nextafter(thresholds, 0)) * 255), levels - 1)


def test_the_table_knows_every_threshold_and_what_is_close_to_one():
    fixed_thresholds = np.floor(tables().thresholds[1:-1] * ONE).astype(np.int64)
    around = fixed_thresholds[:, None] + np.r_[-40_000:40_000:97, -MOST_UNSURE - 1 : -MOST_UNSURE + 2, -2:3]
    fixed = np.concatenate([around.ravel(), np.arange(0, HIGHEST, 10_007), [HIGHEST]]).clip(0, HIGHEST)
    value = tables().cells[fixed >> PLACE_BITS] + (fixed & (1 << PLACE_BITS) - 1)
    assert np.array_equal(value >> 16, np.searchsorted(fixed_thresholds, fixed, side="right"))
    distance = np.abs(fixed[:, None] - fixed_thresholds).min(axis=1)
    for unsure in (2, 500, MOST_UNSURE - 1):
        assert np.array_equal((value + unsure & 0xFFFF) <= 2 * unsure, distance <= unsure)


# --- pictures of every shape ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_views_are_corrected_like_copies(dtype, backend):
    image = picture()
    image = image if dtype == np.uint8 else (image / 255).astype(dtype)
    views = {
        "a part": image[3:-5, 7:-2],
        "every third": image[::3, ::2],
        "flipped": image[::-1, ::-1],
        "blue first": image[..., ::-1],
        "turned": image.swapaxes(0, 1),
        "by columns": np.asfortranarray(image),
        "repeated": np.broadcast_to(image[:1], image.shape),
        "a batch": image[:120].reshape(2, 20, 3, 53, 3),
        "one pixel": image[0, 0],
        "no pixel": image[:0],
        "no column": image[:, :0],
    }
    ccm = matrix("realistic", 10)
    for name, view in views.items():
        before = view.copy()
        corrected = nersemble.correct_color(view, ccm, backend=backend)
        assert np.array_equal(view, before), name
        assert not np.shares_memory(corrected, view), name
        assert corrected.flags.writeable, name
        assert np.array_equal(corrected, nersemble.correct_color(before, ccm, backend=backend)), name
        assert corrected.shape == view.shape, name


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_that_cannot_be_written_to_is_corrected(backend):
    image = np.frombuffer(bytes(range(240)), np.uint8).reshape(8, 10, 3)
    check_levels(nersemble.correct_color(image, matrix("realistic", 3), backend=backend),
                 expected(image, matrix("realistic", 3)))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_channels_can_come_first(dtype):
    batch = picture()[:120].reshape(2, 60, 53, 3)
    batch = batch if dtype == np.uint8 else batch / 255
    first = np.ascontiguousarray(np.moveaxis(batch, -1, 1))
    corrected = nersemble.correct_color(first, matrix("realistic", 10), channels_first=True)
    assert corrected.flags.c_contiguous
    assert np.array_equal(np.moveaxis(corrected, 1, -1), nersemble.correct_color(batch, matrix("realistic", 10)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("width", "kind"), [(3, "realistic"), (35, "realistic"), (35, "harsh")])
def test_a_full_frame_takes_less_than_100_mb_with_the_output(width, kind, backend):
    image = np.random.default_rng(0).integers(0, 256, FULL_FRAME, np.uint8)
    nersemble.correct_color(image[:400], matrix(kind, width), backend=backend)
    tracemalloc.start()
    try:
        nersemble.correct_color(image, matrix(kind, width), backend=backend)
        nersemble.correct_color(np.moveaxis(image, -1, 0), matrix(kind, width), channels_first=True, backend=backend)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.nbytes < peak < 100e6


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_matrix_that_is_not_finite_gets_a_sentence(value):
    ccm = np.eye(3)
    ccm[1, 1] = value
    with pytest.raises(CalibrationError, match="1 of 9 values of the CCM are NaN or infinite"):
        nersemble.correct_color(picture(), ccm)


@pytest.mark.parametrize("ccm", [None, "ccm", [["a"] * 3] * 3, [[1, 2], [3]], np.eye(3) * 1j, np.eye(3)[None]])
def test_what_is_no_matrix_gets_a_sentence(ccm):
    with pytest.raises(CalibrationError, match="A CCM"):
        nersemble.correct_color(picture(), ccm)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64, np.bool_, np.float16, np.complex128, object])
def test_other_types_of_picture_get_a_sentence(dtype):
    with pytest.raises(CalibrationError, match="is uint8, or float32 or float64"):
        nersemble.correct_color(picture().astype(dtype), np.eye(3))


def test_other_shapes_of_picture_get_a_sentence():
    for shape in [(), (4,), (5, 4), (8, 8, 4), (0,)]:
        with pytest.raises(CalibrationError, match=r"is \(\.\.\., 3\) RGB, not of shape"):
            nersemble.correct_color(np.zeros(shape, np.uint8), np.eye(3))
    with pytest.raises(CalibrationError, match="Pass channels_first=True"):
        nersemble.correct_color(np.zeros((3, 8, 8), np.uint8), np.eye(3))
    for shape in [(8, 8, 3), (3, 8), (3,)]:
        with pytest.raises(CalibrationError, match=r"is \(\.\.\., 3, H, W\) RGB, not of shape"):
            nersemble.correct_color(np.zeros(shape, np.uint8), np.eye(3), channels_first=True)
    with pytest.raises(CalibrationError, match=r"A picture to correct is an array: .*inhomogeneous"):
        nersemble.correct_color([[0.1, 0.2, 0.3], [0.4]], np.eye(3))


def test_another_backend_gets_a_sentence():
    with pytest.raises(SelectionError, match="backend is one of auto, numba, numpy, not 'cuda'"):
        nersemble.correct_color(picture(), np.eye(3), backend="cuda")
