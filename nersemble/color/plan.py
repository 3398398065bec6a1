"""What a colour-correction matrix means to the fast paths, worked out once for a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .curves import SCALE
from .polynomial import EXPANSIONS, MOST_TERMS, Nest, nest
from .srgb import ONE

#: Above this, too many pixels would have to be redone: of the darkest ones, whose levels are the narrowest, one value
#: in ten.
_MOST_UNSURE = 2000


@dataclass(frozen=True)
class Plan:
    """A checked matrix, and how to evaluate it.

    The polynomial is evaluated in float32, and what comes so close to the threshold between two levels that rounding
    could have moved it across is redone in the kit's way.  How close that is follows from the matrix.  On the way from
    a decoded channel to the sum, a product of degree d is rounded d times because its channels were rounded to float32,
    once in its coefficient, and in each of at most d nested sums once for the multiplication and at most four times for
    what is added after it: n = 6 d + 1 times in all.  As channels are 0 to 1, the error is at most n u / (1 - n u)
    times the sum of the absolute coefficients of the row, with u = 2**-24 (Higham 2002, "Accuracy and Stability of
    Numerical Algorithms", lemma 3.1).  Two more units are for rounding the value and the threshold to fixed point.
    Channels that are decoded with an error have that as well, for each channel of a product.
    Where coefficients are so large that too much would be redone, float64 takes the place of float32, and u is 2**-53.

    Attributes:
        ccm: ``(3, T)`` float64, contiguous.
        polynomial: Its expansion, factored.
        degree: Of the expansion, 1 to 4.
        factors: ``(T, 4)`` int64, the channels of each term, 3 standing for a factor of 1.
        rows: ``(3, T)`` of float32 or float64, whichever it is evaluated in: the matrix times ``srgb.ONE``.
        unsure: How far off a fixed-point value may be, in units of 1 / ``srgb.ONE``.
        largest: The largest sum of absolute coefficients of a row.
        hopeless: The coefficients are so large that the kit's way is right for all pixels; sums may not be finite.
    """

    ccm: NDArray[np.float64]
    polynomial: Nest
    degree: int
    factors: NDArray[np.int64]
    rows: NDArray[np.float32] | NDArray[np.float64]
    unsure: int
    largest: float
    hopeless: bool

    def error(self, decoding_error: float, roundings: int = 6) -> float:
        """How far off linear light may be in float32, if channels are, and each degree of a term adds ``roundings``."""
        return self.largest * (_rounded(self.degree, 2.0**-24, roundings) + 1.001 * self.degree * decoding_error)

    def padded_rows(self) -> tuple[tuple[float, ...], ...]:
        """The matrix times ``curves.SCALE``, with the columns of the widest."""
        terms, widest = EXPANSIONS[self.rows.shape[1]], EXPANSIONS[MOST_TERMS]
        padded = np.zeros((3, MOST_TERMS))
        padded[:, [widest.index(term) for term in terms]] = self.ccm * SCALE
        return tuple(map(tuple, padded.tolist()))


def plan_correction(ccm: NDArray[np.float64]) -> Plan:
    """Work out a checked matrix."""
    terms = EXPANSIONS[ccm.shape[1]]
    degree = max(map(len, terms))
    with np.errstate(over="ignore"):
        largest = float(np.abs(ccm).sum(axis=1).max())
    dtype: np.dtype[Any] = np.dtype(np.float32)
    unsure = _unsure(largest, degree, 2.0**-24)
    if unsure > _MOST_UNSURE:
        unsure, dtype = _unsure(largest, degree, 2.0**-53), np.dtype(np.float64)
    hopeless = not unsure <= _MOST_UNSURE
    letters = [term.replace("1", "").ljust(4, "1") for term in terms]
    return Plan(
        ccm=np.ascontiguousarray(ccm),
        polynomial=nest(terms),
        degree=degree,
        factors=np.array([["RGB1".index(letter) for letter in one] for one in letters], np.int64),
        rows=(np.zeros_like(ccm) if hopeless else ccm * ONE).astype(dtype),
        unsure=0 if hopeless else math.ceil(unsure),
        largest=largest,
        hopeless=hopeless,
    )


def _unsure(largest: float, degree: int, roundoff: float) -> float:
    return largest * _rounded(degree, roundoff) * ONE + 2


def _rounded(degree: int, roundoff: float, roundings: int = 6) -> float:
    bound = (roundings * degree + 1) * roundoff
    return bound / (1 - bound)
