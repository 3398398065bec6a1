"""The calibration files of a capture: intrinsics and poses, and colour-correction matrices, parsed and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CalibrationError, hiding_data
from .checks import Array
from .pinhole import Camera


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
        """The camera of one serial, for its full-size picture of ``width`` x ``height``.

        Raises:
            CalibrationError: If there is no such serial, or its matrices are no camera's.
        """
        if serial not in self.world_to_camera:
            held = ", ".join(self.world_to_camera) or "no camera"
            raise CalibrationError(f"No camera {serial!r} in the calibration: it has {held}. Name one of these.")
        return Camera(self.intrinsics, self.world_to_camera[serial], width, height)


@hiding_data
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


@hiding_data
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
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
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
    except (TypeError, ValueError, OverflowError):
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
