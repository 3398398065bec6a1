"""Cameras: intrinsics, world-to-camera transforms, and the calibration file they come from.

Conventions: OpenCV axes (+x right, +y down, +z into the scene); ``world_to_camera`` maps world points into the camera,
*not* its inverse; pixel (0, 0) is the centre of the top-left pixel, so a picture of width W spans -0.5 to W - 0.5.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CalibrationError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Camera:
    """One calibrated camera.

    Attributes:
        intrinsics: ``(3, 3)`` float64, in pixels of a picture of ``width`` x ``height``.
        world_to_camera: ``(4, 4)`` float64 rigid transform.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """

    intrinsics: Array
    world_to_camera: Array
    width: int
    height: int

    def resize(self, width: int, height: int) -> Camera:
        """The camera of the same picture resized to ``width`` x ``height``."""
        scaled = resize_intrinsics(self.intrinsics, (self.width, self.height), (width, height))
        return Camera(scaled, self.world_to_camera, width, height)

    def project(self, points: Any) -> Array:
        """Project world points.

        Args:
            points: ``(N, 3)`` in world units.

        Returns:
            ``(N, 2)`` pixels as (x, y).

        Raises:
            CalibrationError: If a point lies on or behind the camera plane.
        """
        points = np.asarray(points, np.float64).reshape(-1, 3)
        local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        behind = int((local[:, 2] <= 0).sum())
        if behind:
            raise CalibrationError(f"{behind} of {len(points)} points lie behind the camera. Is it inverted?")
        pixels = local @ self.intrinsics.T
        projected: Array = pixels[:, :2] / pixels[:, 2:]
        return projected


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


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of a participant's capture.

    Attributes:
        intrinsics: ``(3, 3)`` float64, shared by all cameras, in pixels of the full-size picture.
        world_to_camera: ``(4, 4)`` float64 for each serial.
    """

    intrinsics: Array
    world_to_camera: dict[str, Array]

    def camera(self, serial: str, width: int, height: int) -> Camera:
        """The camera of one serial, for its full-size picture of ``width`` x ``height``."""
        return Camera(self.intrinsics, self.world_to_camera[serial], width, height)


def parse_calibration(data: bytes, name: str) -> Calibration:
    """Parse ``camera_params.json``.

    Args:
        data: The file's bytes.
        name: How messages call the file.

    Raises:
        CalibrationError: If it is no JSON, or lacks or misshapes a matrix.
    """
    table = _parse_json(data, name)
    for key in ("world_2_cam", "intrinsics"):
        if key not in table:
            raise CalibrationError(f"{name} has no {key!r}. {_NEXT_STEP}")
    poses = table["world_2_cam"]
    if not isinstance(poses, dict):
        raise CalibrationError(f"'world_2_cam' in {name} has no cameras by serial. {_NEXT_STEP}")
    return Calibration(
        _matrix(table["intrinsics"], (3, 3), "intrinsics", name),
        {str(serial): _matrix(pose, (4, 4), f"world_2_cam of camera {serial}", name) for serial, pose in poses.items()},
    )


def parse_color_calibration(data: bytes, name: str) -> dict[str, Array]:
    """Parse ``color_calibration.json`` into the ``(3, T)`` float64 colour-correction matrix of each serial.

    Raises:
        CalibrationError: If it is no JSON, or misshapes a matrix.
    """
    table = _parse_json(data, name)
    return {
        str(serial): _matrix(ccm, (3, None), f"the matrix of camera {serial}", name) for serial, ccm in table.items()
    }


_NEXT_STEP = "Is the file damaged? Delete it where it was downloaded and fetch it again, or ask the data's authors."


def _parse_json(data: bytes, name: str) -> dict[str, Any]:
    problem = ""
    table: Any = None
    try:
        table = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError):
        problem = "is not JSON"
    if not problem and not isinstance(table, dict):
        problem = "holds no table"
    if problem:
        raise CalibrationError(f"{name} {problem}. {_NEXT_STEP}")
    return table


def _matrix(values: Any, shape: tuple[int, int | None], what: str, name: str) -> Array:
    matrix: Array | None
    try:
        matrix = np.array(values, np.float64)
    except (TypeError, ValueError):
        matrix = None
    rows, columns = shape
    good = (
        matrix is not None
        and matrix.ndim == 2
        and matrix.shape[0] == rows
        and matrix.shape[1] == (columns or matrix.shape[1])
    )
    if matrix is None or not good or not np.isfinite(matrix).all():
        raise CalibrationError(f"{what} in {name} is no {rows} x {columns or 'T'} matrix of numbers. {_NEXT_STEP}")
    return matrix
