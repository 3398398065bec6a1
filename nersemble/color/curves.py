"""The sRGB curves as polynomials in float32: what a compiler turns into vector instructions, which tables are not.

The coefficients are the minimax ones (by Lawson's iteration), rounded to float32 and written from the highest power
down.  Each error below is a bound because all that can be asked for was tried, every level and every float32: with
products that are rounded before they are added, and with products that are not.

Decoding: a level above KNEE_LEVEL is a polynomial of ``level - MIDDLE``; up to there, linear light is ``level *
DARK_STEP``.

Encoding: linear light comes times SCALE, so that the curved part of sRGB spans nine powers of two and no more.  As
``x = 2**e * m`` with m from 1 to 2, the power of it is ``2**(e / 2.4)``, which POWERS gives for the nine values of
``e + OCTAVE``, times ``m**(1 / 2.4)``, which MANTISSAS gives.  The result counts 2**-16 of a level.
"""

from __future__ import annotations

import numpy as np

from .srgb import KNEE

KNEE_LEVEL, MIDDLE = 10, 128
DARK_STEP = 1 / (255 * 12.92)
DECODING = (
    2.2729359331989818e-23,
    -4.802983837110808e-21,
    1.931688647360031e-19,
    -7.42388445542585e-17,
    4.187282302576395e-14,
    -1.8110405536342356e-11,
    1.687337203293282e-08,
    1.7979038602788933e-05,
    0.0036477085668593645,
    0.21586032211780548,
)
#: How far off a decoded level may be, rounding to float32 included; 2.4e-7 was found.
DECODING_ERROR = 2.5e-7

#: Powers of two above it in a linear value count from 0; they are -4 to 4 where sRGB is curved.
SCALE, OCTAVE = 255 / 256, 5
UNITS = 1 << 16
POWERS = (
    3.6430575847625732,
    73.37393951416016,
    1203.68310546875,
    16707.017578125,
    173813.515625,
    1203545.875,
    4167092.25,
)
MANTISSAS = (
    0.0054353754967451096,
    -0.051417045295238495,
    0.20856790244579315,
    -0.49173036217689514,
    0.952815055847168,
    0.37633025646209717,
)
OFFSET = -0.055 * 255 * UNITS
DARK_SLOPE = 12.92 * 255 * UNITS / SCALE
#: Scaled linear values below the first and above the last have the levels of these: half of level 0 and 255.2.
LOWEST, HIGHEST = 0.5 / (12.92 * 255) * SCALE, 1.002 * SCALE
SCALED_KNEE = KNEE * SCALE

#: Two straight lines over the octaves, as their values at octave 0 and how much an octave adds.  The first is above the
#: error of encoding, in units: 37.8 of them at most were found in the brightest octave and 66.9 in the darkest one of
#: the curve, and 2 are lost when a level and what it is compared with are cut off to whole units.  The second is above
#: how many units a step of linear light makes.  The steepness of the curve goes with the power -7 / 12 of linear light,
#: so is convex over the octaves, and no more than the chord from 3,295 levels at the knee to 168 at the beginning of
#: the brightest octave.
ENCODING_ERROR = (56.0, -4.0)
STEEPNESS = (1732.0 * UNITS, -391.0 * UNITS)


def unsure_line(linear_error: float) -> tuple[float, float]:
    """How many units off a level is at most, over the octaves, if linear light is ``linear_error`` off."""
    at_zero, slant = (linear_error * steep + own for steep, own in zip(STEEPNESS, ENCODING_ERROR, strict=True))
    return at_zero, slant


def bits(value: float) -> int:
    """A float32 as the integer of its bits, which are ordered as positive numbers are."""
    return int(np.float32(value).view(np.int32))
