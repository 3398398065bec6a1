"""The polynomials that stand in for the sRGB curves are as close to them as ``nersemble.color.curves`` says."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from nersemble.color import curves, encode_srgb, kernel
from nersemble.color.srgb import tables

#: With products that may be added unrounded, as compiled where the CPU can do that, and with products that may not.
ROUNDINGS = ({"contract", "nnan", "ninf", "nsz"}, False)
STRIDE = 13
LOST_BY_CUTTING_OFF = 2


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_levels_are_decoded_within_the_error(rounding):
    linear = np.empty(256, np.float32)
    numba.njit(fastmath=rounding)(kernel.decode.py_func)(np.arange(256, dtype=np.uint8), linear)
    assert np.abs(linear - tables().decoded).max() <= curves.DECODING_ERROR


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_values_are_encoded_within_the_error(rounding):
    """Of all values one in 13; with a stride of 1 it passes as well."""
    to_units = numba.njit(fastmath=rounding)(kernel.to_units.py_func)

    @numba.njit
    def all_to_units(linear, units, octaves):
        for i in range(len(linear)):
            units[i], octaves[i] = to_units(linear[i])

    at_zero, slant = curves.ENCODING_ERROR
    last = curves.bits(curves.HIGHEST)
    for first in range(curves.bits(curves.LOWEST), last, 1 << 22):
        linear = np.arange(first, min(first + (1 << 22), last + 1), STRIDE, dtype=np.int32).view(np.float32)
        units, octaves = np.empty_like(linear), np.empty_like(linear)
        all_to_units(linear, units, octaves)
        assert np.array_equal(octaves, np.floor(np.log2(linear.astype(np.float64))) + curves.OCTAVE)
        exact = encode_srgb(linear / np.float64(curves.SCALE)) * 255 * curves.UNITS
        assert (np.abs(units - exact) + LOST_BY_CUTTING_OFF <= at_zero + slant * octaves).all()


@pytest.mark.parametrize("value", [-np.inf, -1, -0.0, 0, curves.LOWEST / 2, curves.HIGHEST * 1.001, 2, np.inf])
def test_values_outside_are_far_from_every_threshold(value):
    units, _ = kernel.to_units(np.float32(value))
    assert units / curves.UNITS == pytest.approx(0.5 if value < 0.5 else 255.22, abs=0.01)


def test_the_steepness_is_above_that_of_the_curve():
    at_zero, slant = curves.STEEPNESS
    scaled = np.geomspace(curves.SCALED_KNEE * 1.0001, curves.HIGHEST, 100_000)
    octave = np.floor(np.log2(scaled)) + curves.OCTAVE
    linear = scaled / curves.SCALE
    slope = 255 * 1.055 / 2.4 * linear ** (1 / 2.4 - 1) * curves.UNITS
    assert (slope < at_zero + slant * octave).all()
    assert at_zero + slant * -4 > 12.92 * 255 * curves.UNITS
