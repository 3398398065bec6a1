"""Rotations as unit quaternions (w, x, y, z) in Hamilton's convention, as COLMAP and Eigen have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CalibrationError
from .checks import RIGID_WITHIN, Array, numbers


def quaternion_of(rotation: Array) -> Array:
    """``(4,)`` float64 of a ``(3, 3)`` rotation, with w of 0 or more.

    From the outer product of the quaternion with itself, which is linear in the rotation (Shepperd 1978, "Quaternion
    from rotation matrix"); its longest row divides by the least rounding.
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    products = np.array(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    row: Array = products[np.argmax(np.diag(products))]
    unit: Array = row / np.linalg.norm(row)
    return -unit if unit[0] < 0 else unit


def rotation_of(quaternion: Any) -> Array:
    """``(3, 3)`` float64 of a quaternion (w, x, y, z).

    Raises:
        CalibrationError: If it is not four numbers of unit length.
    """
    array = numbers(quaternion, "quaternion")
    length = float(np.linalg.norm(array))
    if array.shape != (4,) or not abs(length - 1) < RIGID_WITHIN:
        raise CalibrationError(
            f"A quaternion is (w, x, y, z) of length 1, not {array.tolist()}. Is it complete, and w its first number?"
        )
    w, x, y, z = array / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
