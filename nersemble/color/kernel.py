"""The loop over pixels that numba compiles.  Importing this module imports numba.

Nothing here starts threads: numba's own threading layers end the process when two threads call them at once, or hang
after a fork.  The loop lets go of the interpreter's lock instead, so that ordinary threads can run it side by side.

A tile of pixels goes through loops that each do one thing to contiguous arrays: the form that compilers turn into
vector instructions.  Only what looks tables up is left to scalar ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from .polynomial import MOST_TERMS
from .srgb import HIGHEST, ONE, PLACE_BITS

#: Pixels at once: their arrays fit into the fastest cache.
TILE = 512
#: Pixels that wait to be redone in float64, at most.
MOST_WAITING = 3 * TILE

_f4, _i4, _u1, _u2 = np.float32, np.int32, np.uint8, np.uint16
_ZERO, _HIGHEST = _f4(0), _f4(HIGHEST)
_PLACE_BITS, _PLACE, _LOW, _LEVEL_BITS = _i4(PLACE_BITS), _i4((1 << PLACE_BITS) - 1), _i4(0xFFFF), _i4(16)
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
def _polynomials(degree, x, y, z, r, g, b, linear):  # type: ignore[no-untyped-def]
    """Three rows for planes of pixels, to interleaved linear values."""
    count = len(r)
    if degree == 1:
        for i in range(count):
            linear[3 * i] = _linear(x, r[i], g[i], b[i])
            linear[3 * i + 1] = _linear(y, r[i], g[i], b[i])
            linear[3 * i + 2] = _linear(z, r[i], g[i], b[i])
    elif degree == 2:
        for i in range(count):
            linear[3 * i] = _quadratic(x, r[i], g[i], b[i])
            linear[3 * i + 1] = _quadratic(y, r[i], g[i], b[i])
            linear[3 * i + 2] = _quadratic(z, r[i], g[i], b[i])
    elif degree == 3:
        for i in range(count):
            linear[3 * i] = _cubic(x, r[i], g[i], b[i])
            linear[3 * i + 1] = _cubic(y, r[i], g[i], b[i])
            linear[3 * i + 2] = _cubic(z, r[i], g[i], b[i])
    else:
        for i in range(count):
            linear[3 * i] = _quartic(x, r[i], g[i], b[i])
            linear[3 * i + 1] = _quartic(y, r[i], g[i], b[i])
            linear[3 * i + 2] = _quartic(z, r[i], g[i], b[i])


@numba.njit(**_options)
def _encode(linear, cells, unsure, fixed, cell, found, levels, is_unsure):  # type: ignore[no-untyped-def]
    """Fixed-point linear values to levels; how many came within ``unsure`` of a threshold."""
    count = len(linear)
    for i in range(count):
        fixed[i] = _i4(min(max(linear[i], _ZERO), _HIGHEST))
        cell[i] = _u2(fixed[i] >> _PLACE_BITS)
    for i in range(count):
        found[i] = cells[cell[i]]
    total = _i4(0)
    for i in range(count):
        value = _i4(found[i] + _i4(fixed[i] & _PLACE))
        levels[i] = _u1(_i4(value >> _LEVEL_BITS))
        near = _u1(_i4(_i4(value + unsure) & _LOW) <= _i4(unsure + unsure))
        is_unsure[i] = near
        total = _i4(total + near)
    return total


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


def correct_pixels(  # type: ignore[no-untyped-def]
    source, target, degree, x, y, z, unsure, decoded, cells, ccm, factors, decoded64, thresholds, first_levels
):
    """Correct ``(N, 3)`` uint8 pixels; all in float64 if ``unsure`` is negative.  The rest: ``Plan`` and ``Tables``."""
    red, green, blue = np.empty(TILE, _f4), np.empty(TILE, _f4), np.empty(TILE, _f4)
    linear, fixed = np.empty(3 * TILE, _f4), np.empty(3 * TILE, _i4)
    cell, found, is_unsure = np.empty(3 * TILE, _u2), np.empty(3 * TILE, _i4), np.zeros(3 * TILE, _u1)
    # What is redone waits for company: short loops cost more than they do.
    which, channels64, linear64 = (
        np.empty(MOST_WAITING, np.int64),
        np.ones((4, MOST_WAITING)),
        np.ones((3, MOST_WAITING)),
    )
    waiting = 0
    for start in range(0, len(source), TILE):
        pixels, levels = source[start : start + TILE], target[start : start + TILE]
        count = len(pixels)
        many = 3 * count
        if unsure >= 0:
            r, g, b = red[:count], green[:count], blue[:count]
            for i in range(count):
                r[i] = decoded[pixels[i, 0]]
                g[i] = decoded[pixels[i, 1]]
                b[i] = decoded[pixels[i, 2]]
            values = linear[:many]
            _polynomials(degree, x, y, z, r, g, b, values)
            is_unsure[many:] = 0
            if _encode(
                values, cells, unsure, fixed[:many], cell[:many], found[:many], levels.reshape(many), is_unsure[:many]
            ):
                waiting = _collect(is_unsure, start, which, waiting)
        else:
            for i in range(count):
                which[waiting + i] = start + i
            waiting += count
        if waiting > MOST_WAITING - TILE or start + TILE >= len(source):
            _exact(
                source, target, which[:waiting], ccm, factors, decoded64, thresholds, first_levels, channels64, linear64
            )
            waiting = 0


_SIGNATURE = types.void(
    types.Array(types.uint8, 2, "C", readonly=True),  # source
    types.uint8[:, ::1],  # target
    types.int64,  # degree
    *3 * (types.UniTuple(types.float32, MOST_TERMS),),  # x, y, z
    types.int32,  # unsure
    types.float32[::1],  # decoded
    types.int32[::1],  # cells
    types.float64[:, ::1],  # ccm
    types.int64[:, ::1],  # factors
    types.float64[::1],  # decoded64
    types.float64[::1],  # thresholds
    types.uint8[::1],  # first_levels
)
