"""One calibrated pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CalibrationError
from .pixels import Array, resize_intrinsics


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
