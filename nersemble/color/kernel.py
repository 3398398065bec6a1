"""The loop over pixels that numba compiles.  Importing this module imports numba.

Nothing here starts threads: numba's own threading layers end the process when two threads call them at once, or hang
after a fork.  The loop lets go of the interpreter's lock instead, so that ordinary threads can run it side by side.

A tile of pixels goes through loops that each do one thing to contiguous arrays: the form that compilers turn into
vector instructions.  Nothing is looked up in them, as that is left to scalar instructions: the curves of sRGB are
polynomials, and only what these leave unsure is looked up.  Where a CPU can look up whole vectors, ``tables512`` takes
the place of these loops for whole tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from . import curves
from .curves import bits
from .polynomial import MOST_TERMS
from .srgb import ONE, PLACE_BITS
from .tables512 import BLOCK, PIXELS, correct_blocks, lowest_bit

#: Of the modules whose values are compiled in.  numba tells by the text of this file alone whether the code it kept is
#: still right, so that this has to change with theirs; a test says what it is to be.
COMPILED_WITH = "6d505df765c10dcb"

#: Pixels at once: their arrays fit into the fastest cache, with room to spare.
TILE = 12 * BLOCK
#: Pixels that wait to be redone in float64, at most.
MOST_WAITING = 3 * TILE

_f4, _i4, _u1 = np.float32, np.int32, np.uint8
_DECODING, _POWERS, _MANTISSAS = (tuple(map(_f4, c)) for c in (curves.DECODING, curves.POWERS, curves.MANTISSAS))
_KNEE_LEVEL, _MIDDLE, _DARK_STEP = _u1(curves.KNEE_LEVEL), _i4(curves.MIDDLE), _f4(curves.DARK_STEP)
_LOWEST, _HIGHEST, _KNEE = _i4(bits(curves.LOWEST)), _i4(bits(curves.HIGHEST)), _i4(bits(curves.SCALED_KNEE))
_OFFSET, _DARK_SLOPE = _f4(curves.OFFSET), _f4(curves.DARK_SLOPE)
_MANTISSA_BITS, _MANTISSA, _EXPONENT_OF_ONE = _i4(23), _i4((1 << 23) - 1), _i4(bits(1))
_OCTAVE_ZERO = _i4(127 - curves.OCTAVE)
_UNIT_BITS, _UNIT = _i4(16), _i4(curves.UNITS - 1)
_CELLS = float(ONE >> PLACE_BITS)

#: No NaN and no infinity reaches the loops; a product may be added without being rounded first, as BLAS does.
_options: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nnan", "ninf", "nsz"}}


def compile_pixels(*, cache: bool) -> Callable[..., None]:
    """Compile ``correct_pixels``, or read what an earlier process compiled and, with ``cache``, kept.

    numba keeps it beside this file, or in the user's cache folder where this one is read-only, by the kind of CPU, and
    replaces its files as a whole.

    Raises:
        RuntimeError: If there is no folder to keep it in.
        Exception: Whatever numba raises where it does not work.
    """
    compiled: Callable[..., None] = numba.njit(_SIGNATURE, cache=cache, **_options)(correct_pixels)
    return compiled


# Columns of the widest matrix, by the channels of their terms; the others are filled up with zeros.
@numba.njit(**_options)
def _linear(k, r, g, b):  # type: ignore[no-untyped-def]
    return k[34] + r * k[0] + g * k[1] + b * k[2]


@numba.njit(**_options)
def _quadratic(k, r, g, b):  # type: ignore[no-untyped-def]
    with_r = k[0] + r * k[6] + g * k[3] + b * k[4]
    with_g = k[1] + g * k[7] + b * k[5]
    return k[34] + r * with_r + g * with_g + b * (k[2] + b * k[8])


@numba.njit(**_options)
def _cubic(k, r, g, b):  # type: ignore[no-untyped-def]
    with_rr = k[6] + r * k[16] + g * k[10] + b * k[13]
    with_r = k[0] + r * with_rr + g * (k[3] + g * k[14] + b * k[9]) + b * (k[4] + b * k[12])
    with_g = k[1] + g * (k[7] + g * k[17] + b * k[11]) + b * (k[5] + b * k[15])
    return k[34] + r * with_r + g * with_g + b * (k[2] + b * (k[8] + b * k[18]))


@numba.njit(**_options)
def _quartic(k, r, g, b):  # type: ignore[no-untyped-def]
    with_rrr = k[16] + r * k[31] + g * k[19] + b * k[20]
    with_rr = k[6] + r * with_rrr + g * (k[10] + g * k[28] + b * k[25]) + b * (k[13] + b * k[29])
    with_rg = k[3] + g * (k[14] + g * k[21] + b * k[26]) + b * (k[9] + b * k[27])
    with_r = k[0] + r * with_rr + g * with_rg + b * (k[4] + b * (k[12] + b * k[23]))
    with_gg = k[7] + g * (k[17] + g * k[32] + b * k[22]) + b * (k[11] + b * k[30])
    with_g = k[1] + g * with_gg + b * (k[5] + b * (k[15] + b * k[24]))
    return k[34] + r * with_r + g * with_g + b * (k[2] + b * (k[8] + b * (k[18] + b * k[33])))


@numba.njit(**_options)
def _polynomials(degree, x, y, z, channels, linear):  # type: ignore[no-untyped-def]
    """Three rows for interleaved channels, to interleaved linear values."""
    count = len(channels) // 3
    if degree == 1:
        for i in range(count):
            r, g, b = channels[3 * i], channels[3 * i + 1], channels[3 * i + 2]
            linear[3 * i] = _linear(x, r, g, b)
            linear[3 * i + 1] = _linear(y, r, g, b)
            linear[3 * i + 2] = _linear(z, r, g, b)
    elif degree == 2:
        for i in range(count):
            r, g, b = channels[3 * i], channels[3 * i + 1], channels[3 * i + 2]
            linear[3 * i] = _quadratic(x, r, g, b)
            linear[3 * i + 1] = _quadratic(y, r, g, b)
            linear[3 * i + 2] = _quadratic(z, r, g, b)
    elif degree == 3:
        for i in range(count):
            r, g, b = channels[3 * i], channels[3 * i + 1], channels[3 * i + 2]
            linear[3 * i] = _cubic(x, r, g, b)
            linear[3 * i + 1] = _cubic(y, r, g, b)
            linear[3 * i + 2] = _cubic(z, r, g, b)
    else:
        for i in range(count):
            r, g, b = channels[3 * i], channels[3 * i + 1], channels[3 * i + 2]
            linear[3 * i] = _quartic(x, r, g, b)
            linear[3 * i + 1] = _quartic(y, r, g, b)
            linear[3 * i + 2] = _quartic(z, r, g, b)


@intrinsic
def _bits(_context, _value):  # type: ignore[no-untyped-def]
    """The bits of a float32 as an int32."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return types.int32(types.float32), generate


@intrinsic
def _from_bits(_context, _value):  # type: ignore[no-untyped-def]
    """The float32 of the bits in an int32."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@numba.njit(**_options)
def decode(levels, linear):  # type: ignore[no-untyped-def]
    """Linear light of uint8 levels, DECODING_ERROR off at most."""
    c = _DECODING
    for i in range(len(levels)):
        t = _f4(_i4(_i4(levels[i]) - _MIDDLE))
        curve = ((((c[0] * t + c[1]) * t + c[2]) * t + c[3]) * t + c[4]) * t + c[5]
        curve = (((curve * t + c[6]) * t + c[7]) * t + c[8]) * t + c[9]
        linear[i] = curve if levels[i] > _KNEE_LEVEL else _f4(levels[i]) * _DARK_STEP


@numba.njit(**_options)
def to_units(linear):  # type: ignore[no-untyped-def]
    """The level of a scaled linear value, in units, and its octave; ENCODING_ERROR off at most."""
    p, q = _POWERS, _MANTISSAS
    # Comparing bits as integers leaves alone the parts of a CPU that multiply.
    value = min(max(_bits(linear), _LOWEST), _HIGHEST)
    e = _f4(_i4(_i4(value >> _MANTISSA_BITS) - _OCTAVE_ZERO))
    m = _from_bits(_i4(_i4(value & _MANTISSA) | _EXPONENT_OF_ONE))
    power = (((((p[0] * e + p[1]) * e + p[2]) * e + p[3]) * e + p[4]) * e + p[5]) * e + p[6]
    mantissa = ((((q[0] * m + q[1]) * m + q[2]) * m + q[3]) * m + q[4]) * m + q[5]
    curve = power * mantissa + _OFFSET
    return curve if value > _KNEE else _from_bits(value) * _DARK_SLOPE, e


@numba.njit(**_options)
def _encode(linear, unsure, slant, levels, is_unsure):  # type: ignore[no-untyped-def]
    """Levels of scaled linear values, and whether a threshold is within ``unsure + slant * octave`` units of one."""
    for i in range(len(linear)):
        value, octave = to_units(linear[i])
        units = _i4(value)
        levels[i] = _u1(_i4(units >> _UNIT_BITS))
        near = _i4(slant * octave + unsure)
        is_unsure[i] = _u1(_i4(_i4(units + near) & _UNIT) <= _i4(near + near))


@numba.njit(**_options)
def _exact(source, target, which, ccm, factors, decoded, thresholds, first_levels, channels, linear):  # type: ignore[no-untyped-def]
    """The pixels at the places ``which`` in float64, their terms added up in the kit's order."""
    count = len(which)
    x, y, z = linear[0, :count], linear[1, :count], linear[2, :count]
    x[:], y[:], z[:] = 0, 0, 0
    for i in range(count):
        for channel in range(3):
            channels[channel, i] = decoded[source[which[i], channel]]
    for t in range(len(factors)):
        first, second = channels[factors[t, 0], :count], channels[factors[t, 1], :count]
        third, fourth = channels[factors[t, 2], :count], channels[factors[t, 3], :count]
        for i in range(count):
            term = first[i] * second[i] * third[i] * fourth[i]
            x[i] += ccm[0, t] * term
            y[i] += ccm[1, t] * term
            z[i] += ccm[2, t] * term
    for channel in range(3):
        row = linear[channel]
        for i in range(count):
            level = _i4(first_levels[_i4(min(max(row[i], 0.0), 1.0) * _CELLS)])
            target[which[i], channel] = _u1(level + _i4(row[i] >= thresholds[level + 1]))


@numba.njit(**_options)
def _collect(is_unsure, start, which, found):  # type: ignore[no-untyped-def]
    """Append the pixels of a tile, which begins at ``start``, that have an unsure value; how many there are now."""
    last = -1
    words = is_unsure.view(np.uint64)
    for word in range(len(words)):
        if words[word] != 0:
            for value in range(8 * word, 8 * word + 8):
                pixel = start + value // 3
                if is_unsure[value] != 0 and pixel != last:
                    which[found] = last = pixel
                    found += 1
    return found


@numba.njit(**_options)
def _collect_bits(masks, start, which, found):  # type: ignore[no-untyped-def]
    """The same, if the unsure ones are bits of the masks of blocks."""
    for block in range(len(masks)):
        mask = masks[block]
        while mask != 0:
            which[found] = start + block * BLOCK + PIXELS[lowest_bit(mask)]
            found += 1
            mask &= mask - np.uint64(1)
    return found


def correct_pixels(  # type: ignore[no-untyped-def]
    source, target, degree, x, y, z, unsure, slant, rows, steps, ccm, factors, decoded, thresholds, first_levels
):
    """Correct ``(N, 3)`` uint8 pixels; all in float64 if ``unsure`` is negative.

    ``rows`` and ``steps`` are those of ``tables512``, which is left out if ``steps`` is empty, as it has to be where it
    is not possible.  The rest: ``Plan`` and ``Tables``.
    """
    channels, linear, is_unsure = np.empty(3 * TILE, _f4), np.empty(3 * TILE, _f4), np.zeros(3 * TILE, _u1)
    # What is redone waits for company: short loops cost more than they do.
    which, channels64, linear64 = (
        np.empty(MOST_WAITING, np.int64),
        np.ones((4, MOST_WAITING)),
        np.ones((3, MOST_WAITING)),
    )
    masks = np.empty(TILE // BLOCK, np.uint64)
    waiting = 0
    for start in range(0, len(source), TILE):
        pixels, levels = source[start : start + TILE], target[start : start + TILE]
        count = len(pixels)
        many = 3 * count
        if unsure >= 0 and count == TILE and len(steps) > 0:
            correct_blocks(pixels, levels, degree, rows, steps, masks)
            waiting = _collect_bits(masks, start, which, waiting)
        elif unsure >= 0:
            decode(pixels.reshape(many), channels[:many])
            _polynomials(degree, x, y, z, channels[:many], linear[:many])
            is_unsure[many:] = 0
            _encode(linear[:many], unsure, slant, levels.reshape(many), is_unsure[:many])
            waiting = _collect(is_unsure, start, which, waiting)
        else:
            for i in range(count):
                which[waiting + i] = start + i
            waiting += count
        if waiting > MOST_WAITING - TILE or start + TILE >= len(source):
            _exact(
                source, target, which[:waiting], ccm, factors, decoded, thresholds, first_levels, channels64, linear64
            )
            waiting = 0


_SIGNATURE = types.void(
    types.Array(types.uint8, 2, "C", readonly=True),  # source
    types.uint8[:, ::1],  # target
    types.int64,  # degree
    *3 * (types.UniTuple(types.float32, MOST_TERMS),),  # x, y, z
    *2 * (types.float32,),  # unsure, slant
    types.float32[:, ::1],  # rows
    types.uint16[::1],  # steps
    types.float64[:, ::1],  # ccm
    types.int64[:, ::1],  # factors
    types.float64[::1],  # decoded
    types.float64[::1],  # thresholds
    types.uint8[::1],  # first_levels
)
