"""Colour correction with NumPy alone, in blocks of planes that stay in a core's cache."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import Plan
from .polynomial import evaluate
from .srgb import HIGHEST, PLACE_BITS, decode_srgb, encode_srgb, tables, truncate_to_uint8
from .threads import share_out

#: Bytes of a plane of the pixels at once: few enough for a cache, and so many that threads seldom wait for each other
#: between two calls.
PLANE = 1 << 19
#: Pixels at once in float64, where all terms of a pixel are kept.
EXACT_BLOCK = 1 << 13
#: More wait for each other's calls longer than they work, and each works in some ten planes of its own.
MOST_THREADS = 4
_PLACE = np.int32((1 << PLACE_BITS) - 1)


def correct_uint8(pixels: NDArray[np.uint8], plan: Plan, corrected: NDArray[np.uint8]) -> None:
    """Correct ``(N, 3)`` uint8 pixels into ``corrected``."""

    def work(start: int, stop: int) -> None:
        block = _Block(plan)
        for first in range(start, stop, block.size):
            last = min(first + block.size, stop)
            if plan.hopeless:
                correct_exactly(pixels[first:last], plan, corrected[first:last])
            else:
                block.correct(pixels[first:last], corrected[first:last])

    share_out(work, len(pixels), most=MOST_THREADS)


def correct_floats(pixels: NDArray[Any], plan: Plan, corrected: NDArray[np.float64]) -> None:
    """Correct ``(N, 3)`` floats into ``corrected``."""

    def work(start: int, stop: int) -> None:
        for first in range(start, stop, EXACT_BLOCK):
            last = min(first + EXACT_BLOCK, stop)
            corrected[first:last] = encode_srgb(_linear(decode_srgb(pixels[first:last].astype(np.float64)), plan))

    share_out(work, len(pixels), most=MOST_THREADS)


def correct_exactly(pixels: NDArray[np.uint8], plan: Plan, corrected: NDArray[np.uint8]) -> None:
    """Correct ``(N, 3)`` uint8 pixels into ``corrected`` in float64, to the kit's levels."""
    table = tables()
    for start in range(0, len(pixels), EXACT_BLOCK):
        part = slice(start, start + EXACT_BLOCK)
        linear = _linear(table.decoded[pixels[part]], plan)
        if plan.hopeless:
            corrected[part] = truncate_to_uint8(linear)
        else:
            corrected[part] = np.searchsorted(table.thresholds, linear, side="right") - 1


def _linear(channels: NDArray[np.float64], plan: Plan) -> NDArray[np.float64]:
    """The correction of ``(N, 3)`` linear channels.

    By the kit's own matrix product, its layout included: where an exact result would be the very threshold between two
    levels, as grey is for a matrix that keeps it, the order and the kind of additions decide.
    """
    red_green_blue = np.ascontiguousarray(channels.T)
    expanded = np.ones((len(plan.factors), len(channels)))
    with np.errstate(over="ignore", invalid="ignore"):
        for term, factors in zip(expanded, plan.factors, strict=True):
            for channel in factors[factors < 3]:
                term *= red_green_blue[channel]
        return np.dot(plan.ccm, np.ascontiguousarray(expanded.T).T).T


class _Block:
    """Arrays to work in, for one thread."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        dtype = plan.rows.dtype
        self.size = size = PLANE // dtype.itemsize
        self.decoded = tables().decoded.astype(dtype)
        # What this takes across the next threshold is redone.
        self.cells = tables().cells + np.int32(plan.unsure)
        self.channels = np.empty((3, size), dtype)
        self.linear = np.empty(size, dtype)
        self.spare = np.empty((4, size), dtype)
        self.index = np.empty(size, np.intp)
        self.fixed = np.empty(size, np.int32)
        self.found = np.empty(size, np.int32)
        self.near = np.empty(size, np.bool_)
        self.unsure = np.empty(size, np.bool_)
        self.highest = dtype.type(HIGHEST).view(np.int32 if dtype == np.float32 else np.int64)
        self.level_byte = 2 if sys.byteorder == "little" else 1
        self.rows = [row.tolist() for row in plan.rows]

    def correct(self, pixels: NDArray[np.uint8], corrected: NDArray[np.uint8]) -> None:
        count = len(pixels)
        channels, spare = self.channels[:, :count], self.spare[:, :count]
        index, linear, unsure = self.index[:count], self.linear[:count], self.unsure[:count]
        unsure[:] = False
        for channel in range(3):
            np.copyto(index, pixels[:, channel])
            # Every index is in range; "wrap" writes to `out` without a copy between, and faster than "clip".
            np.take(self.decoded, index, out=channels[channel], mode="wrap")
        for row in range(3):
            evaluate(self.plan.polynomial, self.rows[row], list(channels), linear, list(spare))
            self._encode(linear, corrected[:, row])
        if unsure.any():
            (which,) = np.nonzero(unsure)
            redone = np.empty((len(which), 3), np.uint8)
            correct_exactly(pixels[which], self.plan, redone)
            corrected[which] = redone

    def _encode(self, linear: NDArray[Any], levels: NDArray[np.uint8]) -> None:
        count = len(linear)
        index, fixed, found = self.index[:count], self.fixed[:count], self.found[:count]
        near, unsure = self.near[:count], self.unsure[:count]
        # Bits of positive floats are ordered as these are, and those of negative ones are negative integers; comparing
        # integers takes a fraction of the time.  No value is NaN.
        bits = linear.view(self.highest.dtype)
        np.clip(bits, 0, self.highest, out=bits)
        np.copyto(fixed, linear, casting="unsafe")
        np.right_shift(fixed, PLACE_BITS, out=found)
        np.copyto(index, found)
        np.take(self.cells, index, out=found, mode="wrap")
        fixed &= _PLACE
        found += fixed
        np.copyto(levels, found.view(np.uint8)[self.level_byte :: 4])
        found &= 0xFFFF
        np.less_equal(found, 2 * self.plan.unsure, out=near)
        unsure |= near
