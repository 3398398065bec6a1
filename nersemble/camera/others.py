"""What one camera is in the conventions of OpenGL, COLMAP and PyTorch3D: numbers as each of them writes them.

===========  =======================  ===================================  ===============================
Convention   camera axes              pose                                 centre of the top-left pixel
===========  =======================  ===================================  ===============================
here         x right, y down, z on    world to camera                      (0, 0)
OpenGL       x right, y up, z back    camera to world, or world to camera  (0, 0) in ``intrinsics``, as here
COLMAP       x right, y down, z on    world to camera, as a quaternion     (0.5, 0.5)
PyTorch3D    x left, y up, z on       world to view, of row vectors        (0.5, 0.5), or in NDC
===========  =======================  ===================================  ===============================
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from ..errors import SelectionError
from .checks import Array, inverse


@dataclass(frozen=True, eq=False)
class OpenGLCamera:
    """A camera with OpenGL's axes: x right, y up, looking along -z; also Blender's, NeRF's and nerfstudio's.

    Of these, nerfstudio counts pixels from the top-left *corner* as COLMAP does: its ``cx`` is ``cx + 0.5`` of here.

    Attributes:
        camera_to_world: ``(4, 4)`` float64, camera points into the world: ``transform_matrix`` of transforms.json.
        intrinsics: ``(3, 3)`` float64, as in ``Camera``: pixels from the top-left pixel's centre, y downwards.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """

    camera_to_world: Array
    intrinsics: Array
    width: int
    height: int

    @property
    def world_to_camera(self) -> Array:
        """``(4, 4)`` float64: OpenGL's view matrix."""
        return inverse(self.camera_to_world)

    def projection(self, near: float, far: float) -> Array:
        """OpenGL's projection matrix: camera points to clip space, for a viewport of ``width`` x ``height``.

        As glFrustum's (OpenGL 2.1 reference), for the frustum of these intrinsics: the picture's edges are at -1 and
        1, its top at y = 1, depth ``near`` at z = -1 and ``far`` at 1.

        Args:
            near: Depth of the near plane in world units.
            far: Depth of the far plane.

        Returns:
            ``(4, 4)`` float64 for column vectors: ``clip = projection @ world_to_camera @ (x, y, z, 1)``.

        Raises:
            SelectionError: If not 0 < near < far.
        """
        in_order = False
        with contextlib.suppress(TypeError, ValueError):  # what has no order, and arrays of several numbers
            in_order = bool(0 < near < far < np.inf)
        if not in_order:
            raise SelectionError(
                f"The planes are at numbers 0 < near < far, not at {near!r} and {far!r}. Are they swapped?"
            )
        (fx, skew, cx), (_, fy, cy) = self.intrinsics[:2]
        across, down = 2 / self.width, 2 / self.height
        return np.array(
            [
                [across * fx, -across * skew, 1 - across * (cx + 0.5), 0],
                [0, down * fy, down * (cy + 0.5) - 1, 0],
                [0, 0, (near + far) / (near - far), 2 * near * far / (near - far)],
                [0, 0, -1, 0],
            ]
        )


@dataclass(frozen=True, eq=False)
class ColmapCamera:
    """A camera as COLMAP's cameras.txt and images.txt write it (colmap.github.io/format.html).

    Attributes:
        model: ``PINHOLE``.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        params: ``(4,)`` float64: fx, fy, cx, cy, in pixels from the *corner* of the top-left pixel.
        quaternion: ``(4,)`` float64: QW, QX, QY, QZ of the rotation from the world to the camera, QW of 0 or more.
        translation: ``(3,)`` float64: TX, TY, TZ of the same.
    """

    model: str
    width: int
    height: int
    params: Array
    quaternion: Array
    translation: Array


@dataclass(frozen=True, eq=False)
class PyTorch3DCamera:
    """What ``pytorch3d.renderer.PerspectiveCameras`` takes (pytorch3d.org/docs/cameras), without its batch axis.

    Attributes:
        R: ``(3, 3)`` float64 for row vectors: ``view = world @ R + T``, with x left, y up, z forward.
        T: ``(3,)`` float64.
        focal_length: ``(2,)`` float64.
        principal_point: ``(2,)`` float64.
        image_size: (height, width) in pixels.
        in_ndc: Whether focal length and principal point are in NDC, where the shorter side of the picture goes from 1
            (left, top) to -1, or in pixels of the screen, from the *corner* of the top-left pixel.
    """

    R: Array
    T: Array
    focal_length: Array
    principal_point: Array
    image_size: tuple[int, int]
    in_ndc: bool
