"""How pixels move when a picture is resized.  Pixel (0, 0) is the centre of the top-left pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def resize_intrinsics(intrinsics: Array, old: tuple[int, int], new: tuple[int, int]) -> Array:
    """Intrinsics of a picture resized from ``old`` to ``new``, each (width, height).

    With pixel (0, 0) at the centre of the top-left pixel, a point x moves to (x + 0.5) s - 0.5: the picture's edges
    stay its edges.

    Args:
        intrinsics: ``(3, 3)`` float64.

    Returns:
        ``(3, 3)`` float64.
    """
    sx, sy = new[0] / old[0], new[1] / old[1]
    move = np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])
    scaled: Array = move @ intrinsics
    return scaled


def scaled_size(size: tuple[int, int], scale: float | None, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """The (width, height) of a picture of ``size`` after ``scale`` or resizing to ``wanted``."""
    if wanted is not None:
        return wanted
    if scale is None:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
