"""The sRGB transfer function (IEC 61966-2-1), and an encoder to uint8 that compares instead of raising to powers.

The kit truncates ``255 * encode(linear)``, so each level of uint8 begins at one smallest linear value.  These 255
values, exact to the last bit of float64, say which level a linear value has.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Where the curve leaves its straight part, in linear light.
KNEE = 0.0031308

#: Linear light as a fixed-point number: cells of a table, and places within one.
CELL_BITS, PLACE_BITS = 12, 15
ONE = 1 << (CELL_BITS + PLACE_BITS)
#: Above it, all is level 255; float32 holds it exactly, and the table has a cell for it.
HIGHEST = ONE + (1 << PLACE_BITS) - 16
#: How far off a fixed-point number may be.  The narrowest level is 40,739 wide, so that no cell of 32,768 comes closer
#: than this to two thresholds.
MOST_UNSURE = 3900


def decode_srgb(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB values (IEC 61966-2-1), 0 to 1; negative and NaN values stay what they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(encoded <= 12.92 * KNEE, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB values of linear light (IEC 61966-2-1), 0 to 1; negative and NaN values stay what they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(linear <= KNEE, linear * 12.92, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055)


def truncate_to_uint8(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The kit's last steps as they stand: slow, but the same for infinity and NaN too, whatever NumPy makes of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip(encode_srgb(linear) * 255, 0, 255).astype(np.uint8)


class Tables(NamedTuple):
    """What the fast paths look up.

    Attributes:
        decoded: ``(256,)`` float64, linear light of each uint8 level.
        thresholds: ``(257,)`` float64, the smallest linear value of each level; minus infinity for level 0, and
            infinity for the 256 that there is not.
        cells: ``(4097,)`` int32 by ``fixed >> PLACE_BITS`` of a fixed-point linear value.  Adding
            ``fixed & (2**PLACE_BITS - 1)`` puts the level into bits 16 to 23, and into the 16 lower bits how far it is
            from the next threshold, modulo 2**16; where none is within MOST_UNSURE of the cell, these stay between
            MOST_UNSURE and 2**16 - MOST_UNSURE.
        first_levels: ``(4097,)`` uint8, the level at the beginning of each cell.
    """

    decoded: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    cells: NDArray[np.int32]
    first_levels: NDArray[np.uint8]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables, made on first use."""
    decoded = decode_srgb(np.arange(256) / 255.0)
    thresholds = _thresholds(decoded)
    cell = np.arange((1 << CELL_BITS) + 1) << PLACE_BITS
    first = np.searchsorted(thresholds, cell / ONE, side="right") - 1
    fixed = np.floor(np.clip(thresholds, -1, 2) * ONE).astype(np.int64)
    to_next, from_last = fixed[first + 1] - cell, cell - fixed[first]
    low = np.full(len(cell), 1 << (PLACE_BITS - 1))
    low[from_last < MOST_UNSURE] = from_last[from_last < MOST_UNSURE]
    comes_close = to_next < (1 << PLACE_BITS) + MOST_UNSURE
    low[comes_close] = (1 << 16) - to_next[comes_close]
    cells = (first << 16) + low
    return Tables(decoded, thresholds, cells.astype(np.int32), first.astype(np.uint8))


def _thresholds(decoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """By bisection over the bit patterns of float64, which are ordered as the numbers are."""
    levels = np.arange(1, 256)
    low = decoded[:-1].view(np.int64)
    high = (decoded[1:] * (1 + 1e-6)).view(np.int64).copy()
    while (high - low > 1).any():
        middle = (low + high) // 2
        reached = truncate_to_uint8(middle.view(np.float64)) >= levels
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return np.concatenate([[-np.inf], high.view(np.float64), [np.inf]])
