"""Checks of what cameras are made from; each says what is wrong, the likely cause and the next step."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError, SelectionError
from ..written import index_of

Array = NDArray[np.float64]

#: How far the rows of a rotation may be from unit length and right angles: more than float32 rounds, less than a scale.
RIGID_WITHIN = 1e-3
#: What a matrix may hold by rounding where it has a 0 or 1; it is rounded off.
DUST = 1e-6


def numbers(values: Any, what: str) -> Array:
    """A float64 copy of an array, tensor or nested list.

    Raises:
        CalibrationError: If it is none.
    """
    problem = ""
    try:
        array = np.asarray(values)
        if array.dtype.kind != "c":  # NumPy would take the real parts, with a warning
            return array.astype(np.float64, order="C")
        problem = "it is complex"
    except (TypeError, ValueError, RuntimeError) as error:  # the last from tensors that need their gradient
        problem = str(error).splitlines()[0]
    raise CalibrationError(f"{what} is no array of numbers: {problem}. Pass an array, a tensor or nested lists.")


def missing_of(row: Any, columns: Sequence[str]) -> list[str]:
    """The columns that a row does not have, be it a dictionary or one of pandas; all of them if it is no row."""
    with contextlib.suppress(TypeError):
        return [name for name in columns if name not in row]
    return list(columns)


def vectors(values: Any, length: int, what: str) -> Array:
    """``(..., length)`` float64.

    Raises:
        CalibrationError: If the last axis has another length.
    """
    array = numbers(values, what)
    if array.ndim == 0 or array.shape[-1] != length:
        raise CalibrationError(f"{what} have shape (..., {length}), not {array.shape}. Is the last axis the vector?")
    return array


def matrix(values: Any, size: int, what: str) -> Array:
    """``(size, size)`` finite float64.

    Raises:
        CalibrationError: If it is not.
    """
    array = numbers(values, what)
    if array.shape != (size, size):
        many = " Is it a stack of several cameras? Take one of it." if array.ndim == 3 else ""
        raise CalibrationError(f"{what} is a {size} x {size} matrix, not an array of shape {array.shape}.{many}")
    if not np.isfinite(array).all():
        raise CalibrationError(f"{what} holds a NaN or an infinite number. Was the calibration read whole?")
    return array


def intrinsics_of(values: Any) -> Array:
    """``(3, 3)`` intrinsics: upper triangular, last row 0 0 1; focal lengths may be negative (see ``Camera.flip``).

    Raises:
        CalibrationError: If they are no intrinsics.
    """
    array = matrix(values, 3, "intrinsics")
    if np.abs(array[[1, 2, 2, 2], [0, 0, 1, 2]] - [0, 0, 0, 1]).max() > DUST:
        raise CalibrationError(
            f"intrinsics have the rows fx s cx, 0 fy cy, 0 0 1, not {array.tolist()}. Are they transposed, or scaled "
            "as a whole? Transpose them, or divide them by their last number."
        )
    array[1, 0], array[2] = 0, (0, 0, 1)
    if array[0, 0] == 0 or array[1, 1] == 0:
        raise CalibrationError(f"intrinsics have a focal length of 0: {array.tolist()}. Are they still to be filled?")
    return array


def rigid(values: Any, what: str) -> Array:
    """A ``(4, 4)`` rotation and translation.

    Raises:
        CalibrationError: If it scales, shears or mirrors by more than ``RIGID_WITHIN``.
    """
    array = matrix(values, 4, what)
    if np.abs(array[3] - [0, 0, 0, 1]).max() > DUST:
        raise CalibrationError(f"The last row of {what} is 0 0 0 1, not {array[3].tolist()}. Is it transposed?")
    array[3] = 0, 0, 0, 1
    turn = array[:3, :3]
    off = float(np.abs(turn @ turn.T - np.eye(3)).max())
    if off > RIGID_WITHIN:
        raise CalibrationError(
            f"{what} is not rigid: its rotation is {off:.2g} away from having rows of unit length at right angles. "
            "Does it hold a scale? Scale the translation, and the world with it, instead."
        )
    if np.linalg.det(turn) < 0:
        raise CalibrationError(
            f"{what} mirrors: the determinant of its rotation is -1. Is one axis, such as y or z, negated? OpenGL's "
            "axes differ in two: see Camera.from_opengl. For mirrored pictures there is Camera.flip."
        )
    return array


def inverse(poses: Array) -> Array:
    """The inverse of rigid transforms ``(..., 4, 4)``, exact too where a rotation is rigid but for rounding."""
    result = np.zeros_like(poses)
    result[..., :3, :3] = np.linalg.inv(poses[..., :3, :3])
    result[..., :3, 3:] = -result[..., :3, :3] @ poses[..., :3, 3:]
    result[..., 3, 3] = 1
    return result


def whole(value: Any, what: str, least: int) -> int:
    """A whole number of any integer type.

    Raises:
        SelectionError: If it is none, or less than ``least``.
    """
    number = index_of(value)
    if number is None:
        raise SelectionError(f"{what} is a whole number of pixels, not {value!r}. Round it and use int().")
    if number < least:
        raise SelectionError(f"{what} is {least} or more pixels, not {number}.")
    return number


def pixels_of(number: Any, what: str) -> int:
    """A width or height, which tables may hold as a float.

    Raises:
        SelectionError: If it is no whole number above 0.
    """
    return whole(int(number) if number == np.floor(number) < np.inf else number, what, 1)
