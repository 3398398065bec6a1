"""How pixels move when a picture is resized, cropped, padded or flipped: ``(3, 3)`` affine maps of (x, y, 1).

Pixel (0, 0) is the centre of the top-left pixel, so a picture of width W spans -0.5 to W - 0.5.  Intrinsics follow a
picture by ``move @ intrinsics``, whatever the move; nothing else of a camera changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SelectionError
from .checks import Array, numbers


def resize_move(old: tuple[float, float], new: tuple[float, float]) -> Array:
    """Resize from ``old`` to ``new``, each (width, height): x goes to (x + 0.5) s - 0.5, so edges stay edges."""
    sx, sy = new[0] / old[0], new[1] / old[1]
    return np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])


def shift_move(right: int, down: int) -> Array:
    """All pixels move by whole pixels: padding moves them right and down, a crop back."""
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def flip_move(size: tuple[int, int], horizontal: bool, vertical: bool) -> Array:
    """Mirror a picture of ``size`` (width, height): x goes to W - 1 - x, y to H - 1 - y."""
    move = np.eye(3)
    for axis, wanted in enumerate((horizontal, vertical)):
        if wanted:
            move[axis, axis], move[axis, 2] = -1.0, size[axis] - 1.0
    return move


def resize_intrinsics(intrinsics: Array, old: tuple[int, int], new: tuple[int, int]) -> Array:
    """Intrinsics of a picture resized from ``old`` to ``new``, each (width, height).

    With pixel (0, 0) at the centre of the top-left pixel, a point x moves to (x + 0.5) s - 0.5: the picture's edges
    stay its edges.

    Args:
        intrinsics: ``(3, 3)`` float64.

    Returns:
        ``(3, 3)`` float64.

    Raises:
        CalibrationError: If a size is no array of numbers.
        SelectionError: If it is not two numbers above 0.
    """
    scaled: Array = resize_move(_size(old, "old"), _size(new, "new")) @ intrinsics
    return scaled


def scaled_size(size: tuple[int, int], scale: float | None, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """The (width, height) of a picture of ``size`` after ``scale`` or resizing to ``wanted``."""
    if wanted is not None:
        return wanted
    if scale is None:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _size(size: Any, what: str) -> tuple[float, float]:
    sides = numbers(size, what)
    if sides.shape != (2,) or not ((sides > 0) & (sides < np.inf)).all():
        raise SelectionError(
            f"{what} is the (width, height) of a picture, two numbers above 0, not {size!r}. Take them of one picture, "
            "and of one that is not empty."
        )
    width, height = sides.tolist()
    return width, height
