"""The loop that averages boxes of pixels, which numba compiles.  Importing this module imports numba.

The same to the bit as Pillow's ``Image.reduce``, which has to copy a picture into its own layout first and takes twice
as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_SIGNATURE = types.void(_BYTES, types.int64, types.int64, types.int64, types.Array(types.uint8, 3, "C"))


def compile_boxes(*, cache: bool) -> Callable[..., None]:
    """Compile ``average_boxes``, or read what an earlier process compiled and, with ``cache``, kept.

    Raises:
        Exception: Whatever numba raises where it does not work, or has no folder to keep code in.
    """
    compiled: Callable[..., None] = numba.njit(_SIGNATURE, cache=cache, nogil=True)(average_boxes)
    return compiled


def average_boxes(rows: Any, step: int, across: int, down: int, averages: Any) -> None:
    """Average boxes of ``across`` x ``down`` pixels of a picture.

    Args:
        rows: Bytes of its rows, RGB, which begin ``step`` bytes apart.
        step: Bytes from row to row.
        across: Width of a box.
        down: Height of a box, at most 257, so that its column fits into 16 bits.
        averages: ``(height, width, 3)`` uint8, written.
    """
    height, width = averages.shape[:2]
    used = width * across * 3
    columns, sums = np.empty(used, np.uint16), np.empty(used, np.uint32)
    pixels = np.uint32(across * down)
    # Pillow's rounding: half a box is added, and the division is a multiplication.
    half, factor = pixels // np.uint32(2), np.uint32((1 << 24) // (across * down))
    for y in range(height):
        row = rows[y * down * step : y * down * step + used]
        for i in range(used):
            columns[i] = row[i]
        for line in range(1, down):
            row = rows[(y * down + line) * step : (y * down + line) * step + used]
            for i in range(used):
                columns[i] += row[i]
        # Sums from every pixel on, though few are needed: shifted rows are added faster than scattered pixels.
        for i in range(used):
            sums[i] = half + columns[i]
        for shift in range(3, across * 3, 3):
            shifted = columns[shift:]
            for i in range(len(shifted)):
                sums[i] += shifted[i]
        for channel in range(3):
            first = sums[channel :: across * 3]
            for x in range(width):
                averages[y, x, channel] = (first[x] * factor) >> np.uint32(24)
