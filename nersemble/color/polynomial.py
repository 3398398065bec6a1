"""The polynomials of a colour correction, one for each width a matrix can have, and how they are evaluated.

A term is written as its channels, ``RRG`` for the square of red times green; ``1`` is the constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError

_LINEAR = "R G B"
_PRODUCTS = f"{_LINEAR} RG RB GB"
_SQUARES = f"{_PRODUCTS} RR GG BB"
_CUBES = f"{_SQUARES} RGB RRG GGB RBB"
_ALL_CUBIC = f"{_CUBES} RRB RGG GBB RRR GGG BBB"

#: The terms of the expansion for each width a CCM can have, as products of channels; ``1`` is the constant term.
EXPANSIONS: dict[int, tuple[str, ...]] = {
    len(terms.split()): tuple(terms.split())
    for terms in (
        _LINEAR,
        f"{_LINEAR} 1",
        f"{_LINEAR} RGB 1",
        f"{_PRODUCTS} 1",
        f"{_PRODUCTS} RGB 1",
        f"{_SQUARES} 1",
        f"{_SQUARES} RGB 1",
        f"{_SQUARES} RGB RRR GGG BBB 1",
        f"{_CUBES} RRR GGG BBB",
        f"{_CUBES} RRR GGG BBB 1",
        _ALL_CUBIC,
        f"{_ALL_CUBIC} 1",
        f"{_ALL_CUBIC} RRGB RGGB RGBB",
        f"{_ALL_CUBIC} RRRG RRRB RGGG GGGB RBBB GBBB RRGB RGGB RGBB RRGG RRBB GGBB RRRR GGGG BBBB 1",
    )
}
MOST_TERMS = max(EXPANSIONS)


def check_ccm(ccm: Any) -> NDArray[np.float64]:
    """A colour-correction matrix as ``(3, T)`` float64.

    Raises:
        CalibrationError: If it has another shape, or holds what is no finite number.
    """
    try:
        matrix = np.asarray(ccm)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"A CCM is 3 rows of numbers: {error}") from error
    if matrix.dtype.kind not in "fiu":
        raise CalibrationError(f"A CCM is 3 rows of real numbers, not of type {matrix.dtype}.")
    if matrix.ndim != 2 or matrix.shape[0] != 3 or matrix.shape[1] not in EXPANSIONS:
        widths = ", ".join(map(str, EXPANSIONS))
        raise CalibrationError(
            f"A CCM of shape {matrix.shape} has no known meaning: it needs 3 rows and {widths} columns. "
            "Is it transposed, or one of several stacked ones?"
        )
    if not np.isfinite(matrix).all():
        raise CalibrationError(
            f"{np.count_nonzero(~np.isfinite(matrix))} of {matrix.size} values of the CCM are NaN or infinite. Is the "
            "calibration file damaged?"
        )
    return matrix.astype(np.float64)


class Nest(NamedTuple):
    """A polynomial, factored: ``constant + sum of channel * rest``, so that each term costs one multiplication.

    Attributes:
        constant: The column of the term that ends here, None if there is none.
        factors: Pairs of a channel, 0 to 2, and the rest that it multiplies.
    """

    constant: int | None
    factors: tuple[tuple[int, Nest], ...]


@cache
def nest(terms: tuple[str, ...]) -> Nest:
    """Factor an expansion: red out of all terms that have it, then green, then blue, and so on within each."""
    columns = {"".join(sorted(term.replace("1", ""), key="RGB".index)): column for column, term in enumerate(terms)}
    return _nest(columns)


def _nest(columns: dict[str, int]) -> Nest:
    factors = []
    for channel, letter in enumerate("RGB"):
        rest = {term[1:]: column for term, column in columns.items() if term[:1] == letter}
        if rest:
            factors.append((channel, _nest(rest)))
    return Nest(columns.get(""), tuple(factors))


def evaluate(
    polynomial: Nest,
    row: Sequence[float],
    channels: Sequence[NDArray[Any]],
    out: NDArray[Any],
    spare: Sequence[NDArray[Any]],
) -> None:
    """One row of a correction, for planes of pixels.

    Args:
        polynomial: Of an expansion.
        row: Its coefficients by column.
        channels: Red, green and blue, arrays of one shape.
        out: Takes the result.
        spare: Four arrays to work in.
    """
    for place, (channel, rest) in enumerate(polynomial.factors):
        product = spare[0] if place else out
        if rest.factors:
            evaluate(rest, row, channels, product, spare[1:] if place else spare)
            product *= channels[channel]
        else:
            np.multiply(channels[channel], row[rest.constant or 0], out=product)
        if place:
            out += product
    if polynomial.constant is not None:
        out += row[polynomial.constant]
