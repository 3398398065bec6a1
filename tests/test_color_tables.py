"""What looks up whole vectors gives the levels that the polynomials give, and is as exact as it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numba
import numpy as np
import pytest
from _color_reference import KINDS, WIDTHS, expected, matrix, picture
from numba.extending import intrinsic

from nersemble.color import curves, encode_srgb, kernel, polynomial, srgb, tables512
from nersemble.color.compiled import correct_compiled, load
from nersemble.color.kernel import TILE
from nersemble.color.plan import plan_correction
from nersemble.color.polynomial import EXPANSIONS, MOST_TERMS
from nersemble.color.srgb import tables

STRIDE = 13
needs_the_instructions = pytest.mark.skipif(
    not tables512.is_possible(), reason="this CPU has no AVX-512 with VBMI; the polynomials serve, as tested elsewhere"
)


def corrected(pixels: np.ndarray, ccm: np.ndarray, by_tables: bool) -> np.ndarray:
    compiled, _ = load()
    levels = np.empty_like(pixels)
    correct_compiled(compiled, pixels, plan_correction(ccm), levels, by_tables=by_tables)
    return levels


@pytest.mark.parametrize("by_tables", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_levels_are_those_of_the_formulas_with_and_without_tables(width, kind, by_tables):
    pixels = picture().reshape(-1, 3)
    assert len(pixels) > 3 * TILE
    for seed in range(3):
        ccm = matrix(kind, width, seed)
        assert np.array_equal(corrected(pixels, ccm, by_tables), expected(pixels, ccm))


@pytest.mark.parametrize("kind", KINDS)
def test_all_greys_and_all_colours_of_two_channels_are_the_same_with_and_without_tables(kind):
    grey, other = (np.uint8(a.ravel()) for a in np.meshgrid(np.arange(256), np.arange(256)))
    for channels in ((grey, grey, grey), (grey, other, grey), (grey, grey, other), (other, grey, grey)):
        pixels, ccm = np.stack(channels, axis=-1), matrix(kind, 10)
        assert np.array_equal(corrected(pixels, ccm, True), corrected(pixels, ccm, False))


@pytest.mark.parametrize("count", [0, 1, 63, TILE - 1, TILE, TILE + 1, 5 * TILE - 64, 5 * TILE + 700])
def test_pictures_of_any_number_of_pixels_are_corrected_to_their_end_and_no_further(count):
    pixels, ccm = picture(seed=1).reshape(-1, 3)[:count], matrix("realistic", 3)
    levels = np.full((count + 200, 3), 77, np.uint8)
    correct_compiled(load()[0], pixels, plan_correction(ccm), levels[:count])
    assert np.array_equal(levels[:count], expected(pixels, ccm))
    assert (levels[count:] == 77).all()


def test_channels_are_decoded_within_the_error():
    whole = np.rint(tables().decoded * tables512.WHOLE)
    assert whole.max() == tables512.WHOLE
    assert np.float32(tables512.WHOLE) == tables512.WHOLE
    assert np.abs(whole / tables512.WHOLE - tables().decoded).max() <= tables512.DECODING_ERROR


@needs_the_instructions
def test_values_are_encoded_within_the_error():
    """Of all float32 one in 13, and some outside; with a stride of 1 it passes as well."""

    @intrinsic
    def encode(_context, linear, units):
        def generate(context, builder, signature, arguments):
            kinds = (tables512.FLOATS, tables512.INTS)
            source, target = (tables512.data(context, builder, signature, arguments, i, kinds[i]) for i in (0, 1))
            value = builder.load(source, align=4)
            builder.store(tables512.encode(tables512.Vectors(builder), value), target, align=4)
            return context.get_dummy_value()

        return numba.types.void(linear, units), generate

    @numba.njit
    def encode_all(linear, units):
        for i in range(0, len(linear), 16):
            encode(linear[i : i + 16], units[i : i + 16])

    at_zero, slant = tables512.ENCODING_ERROR
    lowest, highest = (value / curves.SCALE for value in (curves.LOWEST, curves.HIGHEST))
    first, last = curves.bits(lowest), curves.bits(highest)
    for start in range(first, last, 1 << 22):
        linear = np.arange(start, min(start + (1 << 22), last + 1), STRIDE, dtype=np.int32).view(np.float32)
        linear = linear[: len(linear) // 16 * 16]
        units = np.empty(len(linear), np.int32)
        encode_all(linear, units)
        exact = encode_srgb(linear.astype(np.float64)) * 255 * tables512.UNITS
        step = (units // tables512.UNITS) // tables512.LEVELS_A_STEP * tables512.LEVELS_A_STEP
        assert (np.abs(units - exact) <= at_zero + slant * step).all()
    outside = np.float32(
        [-np.inf, -1e30, -1, -0.0, 0, 1e-40, 1e-9, lowest, highest * 1.01, 2, 100, 1e30, np.inf] + 3 * [0]
    )
    units = np.empty(16, np.int32)
    encode_all(outside, units)
    assert units[:8] / curves.UNITS == pytest.approx(0.5, abs=0.01)
    assert units[8:13] / curves.UNITS == pytest.approx(255.22, abs=0.01)


def test_a_step_is_as_wide_as_the_curve_is_steep_in_it():
    error = 1e-6
    steps = tables512.unsure_steps(error).astype(int)
    linear = np.linspace(0, 1, 200_001)
    moved = np.abs(encode_srgb(linear + error) - encode_srgb(linear)) * 255 * tables512.UNITS
    at_zero, slant = tables512.ENCODING_ERROR
    for value in (linear, linear + error):
        level = np.clip(np.searchsorted(tables().thresholds, value, side="right") - 1, 0, 255)
        step = level // tables512.LEVELS_A_STEP
        assert (moved + at_zero + slant * tables512.LEVELS_A_STEP * step <= steps[step]).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_scaled_rows_have_their_coefficients_by_the_degree(width):
    ccm = matrix("realistic", width)
    rows = tables512.scaled_rows(ccm)
    assert rows.shape == (3, MOST_TERMS)
    assert np.count_nonzero(rows) == np.count_nonzero(ccm)
    for column, term in enumerate(EXPANSIONS[width]):
        scaled = rows[:, EXPANSIONS[MOST_TERMS].index(term)].astype(np.float64)
        scaled *= float(tables512.WHOLE) ** len(term.replace("1", ""))
        assert scaled == pytest.approx(ccm[:, column], rel=1e-7)


def test_code_that_was_compiled_before_a_change_is_not_used_after_it():
    text = "".join(
        Path(module.__file__).read_text(encoding="utf-8") for module in (curves, polynomial, srgb, tables512)
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert digest == kernel.COMPILED_WITH, "put the digest there"
