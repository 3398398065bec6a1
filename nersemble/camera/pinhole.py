"""One calibrated pinhole camera: projection, rays, and what becomes of it when its picture is resized or cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError, SelectionError
from .checks import Array, intrinsics_of, inverse, missing_of, numbers, pixels_of, rigid, vectors, whole
from .conventions import Conversions
from .pixels import flip_move, resize_move, scaled_size, shift_move


class Projection(NamedTuple):
    """Projected points; axes in front of the last are those of the points.

    Attributes:
        pixels: ``(..., 2)`` float64 as (x, y); NaN where a point is not in front.
        depth: ``(...)`` float64, z along the optical axis in world units; negative behind the camera, NaN for points
            that are not finite.
        in_front: ``(...)`` bool, whether the depth is above 0.
        inside: ``(...)`` bool, whether the point is in front and falls on the picture.
    """

    pixels: Array
    depth: Array
    in_front: NDArray[np.bool_]
    inside: NDArray[np.bool_]


class Rays(NamedTuple):
    """Rays in world space.

    Attributes:
        origins: ``(..., 3)`` float64, the camera's position each time.
        directions: ``(..., 3)`` float64, of unit length.
    """

    origins: Array
    directions: Array


@dataclass(frozen=True, eq=False)
class Camera(Conversions):
    """One calibrated camera.

    OpenCV axes: +x right, +y down, +z into the scene.  Pixel (0, 0) is the centre of the top-left pixel.  Transforms
    give a new camera; they change ``intrinsics`` and the size, and never the pose.  Conversions to and from OpenGL,
    COLMAP and PyTorch3D are methods of this class, described in ``conventions`` and ``others``.

    The arrays are copies that cannot be written to, since rigs share cameras; ``torch.tensor`` copies them once more.

    Attributes:
        intrinsics: ``(3, 3)`` float64, in pixels of a picture of ``width`` x ``height``.
        world_to_camera: ``(4, 4)`` float64 rigid transform: world points into the camera, *not* its inverse.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.

    Raises:
        CalibrationError: If a matrix is misshapen, not finite, or not rigid within 1e-3.
        SelectionError: If the size is no whole number above 0.
    """

    intrinsics: Array
    world_to_camera: Array
    width: int
    height: int

    def __post_init__(self) -> None:
        checked = {
            "intrinsics": intrinsics_of(self.intrinsics),
            "world_to_camera": rigid(self.world_to_camera, "world_to_camera"),
            "width": whole(self.width, "width", 1),
            "height": whole(self.height, "height", 1),
        }
        self.__setstate__(checked)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():  # NumPy pickles and copies arrays as ones that can be written to
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @classmethod
    def from_camera_to_world(cls, intrinsics: Any, camera_to_world: Any, width: int, height: int) -> Camera:
        """The camera whose pose is given the other way: ``(4, 4)`` camera points into the world, in OpenCV axes."""
        return cls(intrinsics, inverse(rigid(camera_to_world, "camera_to_world")), width, height)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Camera:
        """The camera of a row of the view ``frame`` or ``video``; its ``frame`` is not decoded.

        Raises:
            CalibrationError: If a column is missing, or holds the lists of a moment or a batch.
            SelectionError: If the size is no whole number above 0.
        """
        missing = missing_of(row, ("intrinsics", "world_to_camera", "width", "height"))
        if missing:
            raise CalibrationError(
                f"The row has no {' and no '.join(missing)}. Camera.from_row takes rows of the views frame and video; "
                "for others make Camera(intrinsics, world_to_camera, width, height)."
            )
        sides = {name: numbers(row[name], name) for name in ("width", "height")}
        if any(side.ndim for side in sides.values()):
            raise CalibrationError(
                "The row has many cameras. Of a row of the view timestep CameraRig.from_row makes a rig; of a batch, "
                "take one row."
            )
        width, height = (pixels_of(side.item(), name) for name, side in sides.items())
        return cls(row["intrinsics"], row["world_to_camera"], width, height)

    # --- the pose ---------------------------------------------------------------------------------------------------

    @property
    def camera_to_world(self) -> Array:
        """``(4, 4)`` float64: camera points, in OpenCV axes, into the world."""
        return inverse(self.world_to_camera)

    @property
    def position(self) -> Array:
        """``(3,)`` float64: where the camera is in the world."""
        return self.camera_to_world[:3, 3]

    # --- points and rays --------------------------------------------------------------------------------------------

    def project(self, points: Any) -> Array:
        """Project world points.

        Args:
            points: ``(..., 3)`` in world units.

        Returns:
            ``(..., 2)`` float64 pixels as (x, y); they need not fall on the picture.

        Raises:
            CalibrationError: If a point is not finite, or lies on or behind the camera plane; ``project_masked``
                marks such points instead.
        """
        seen = self.project_masked(points)
        wrong = int((~seen.in_front).sum())
        if wrong and not np.isfinite(seen.depth).all():
            raise CalibrationError("Points to project are NaN or infinite. Leave them out, or use project_masked.")
        if wrong:
            raise CalibrationError(
                f"{wrong} of {seen.depth.size} points lie on or behind the camera plane. Is world_to_camera inverted? "
                "If points behind the camera are meant, project_masked marks them."
            )
        return seen.pixels

    def project_masked(self, points: Any) -> Projection:
        """Project world points of which some may lie behind the camera.

        Args:
            points: ``(..., 3)`` in world units.

        Returns:
            Pixels, depth, and masks of the points in front of the camera and on its picture.
        """
        points = vectors(points, 3, "points")
        with np.errstate(invalid="ignore", over="ignore"):
            local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
            depth = np.where(np.isfinite(local).all(axis=-1), local[..., 2], np.nan)
            in_front = depth > 0
            pixels = (local @ self.intrinsics.T)[..., :2] / np.where(in_front, depth, np.nan)[..., None]
        inside = np.all((pixels >= -0.5) & (pixels < np.array([self.width, self.height]) - 0.5), axis=-1)
        return Projection(pixels, depth, in_front, np.asarray(inside))

    def unproject(self, pixels: Any, depth: Any) -> Array:
        """World points seen at pixels, the inverse of ``project``.

        Args:
            pixels: ``(..., 2)`` as (x, y).
            depth: ``(...)`` or a number: z along the optical axis in world units, *not* the distance from the camera.

        Returns:
            ``(..., 3)`` float64 in world units.

        Raises:
            CalibrationError: If the shapes do not fit.
        """
        pixels, depth = vectors(pixels, 2, "pixels"), numbers(depth, "depth")
        try:
            shape = np.broadcast_shapes(pixels.shape[:-1], depth.shape)
        except ValueError:
            shape = None
        if shape is None:
            raise CalibrationError(
                f"Pixels of shape {pixels.shape} need a depth of shape {pixels.shape[:-1]}, not {depth.shape}."
            )
        local = self._local_rays(pixels) * depth[..., None]
        pose = self.camera_to_world
        points: Array = local @ pose[:3, :3].T + pose[:3, 3]
        return points

    def rays(self, pixels: Any = None) -> Rays:
        """The rays on which pixels see the world.

        Args:
            pixels: ``(..., 2)`` as (x, y); by default the centres of all pixels, row by row: ``(height, width, 2)``.

        Returns:
            Origins and unit directions in world space, each ``(..., 3)``: ``(height, width, 3)`` by default.
        """
        if pixels is None:
            pixels = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), axis=-1)
        pose = self.camera_to_world
        directions = self._local_rays(vectors(pixels, 2, "pixels")) @ pose[:3, :3].T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return Rays(np.broadcast_to(pose[:3, 3], directions.shape).copy(), directions)

    def _local_rays(self, pixels: Array) -> Array:
        """Camera points of depth 1 behind pixels: ``(..., 3)``."""
        k = self.intrinsics
        y = (pixels[..., 1] - k[1, 2]) / k[1, 1]
        x = (pixels[..., 0] - k[0, 2] - k[0, 1] * y) / k[0, 0]
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    # --- the angle of view ------------------------------------------------------------------------------------------

    @property
    def fov_x(self) -> float:
        """Horizontal field of view in degrees: 2 atan(width / (2 |fx|)).

        It is the angle that formats without a principal point store, and the angle between the picture's edges only
        where the principal point is in its middle.
        """
        return float(np.degrees(2 * np.arctan(self.width / (2 * abs(self.intrinsics[0, 0])))))

    @property
    def fov_y(self) -> float:
        """Vertical field of view in degrees: 2 atan(height / (2 |fy|)); see ``fov_x``."""
        return float(np.degrees(2 * np.arctan(self.height / (2 * abs(self.intrinsics[1, 1])))))

    # --- the picture resized, cut, mirrored ---------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> Camera:
        """The camera of the same picture resized to ``width`` x ``height``; its edges stay its edges."""
        width, height = whole(width, "width", 1), whole(height, "height", 1)
        return self._moved(resize_move((self.width, self.height), (width, height)), width, height)

    def scale(self, factor: float) -> Camera:
        """The camera of the same picture resized by a factor, to the size that the option ``scale`` gives."""
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.number)) or not 0 < factor < np.inf:
            raise SelectionError(f"A scale is a factor above 0, such as 0.25, not {factor!r}.")
        return self.resize(*scaled_size((self.width, self.height), float(factor), None))

    def crop(self, left: int, top: int, width: int, height: int) -> Camera:
        """The camera of ``picture[top : top + height, left : left + width]``.

        Raises:
            SelectionError: If that is empty or reaches over the picture's edge.
        """
        left, top = whole(left, "left", 0), whole(top, "top", 0)
        width, height = whole(width, "width", 1), whole(height, "height", 1)
        if left + width > self.width or top + height > self.height:
            raise SelectionError(
                f"The crop of {width} x {height} at ({left}, {top}) reaches over the edge of a picture of {self.width} "
                f"x {self.height}. Are left and top swapped, or width and height? Else pad first."
            )
        return self._moved(shift_move(-left, -top), width, height)

    def pad(self, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Camera:
        """The camera of ``np.pad(picture, ((top, bottom), (left, right), (0, 0)))``.

        Raises:
            SelectionError: If a number is negative: that would be a crop.
        """
        left, top = whole(left, "left", 0), whole(top, "top", 0)
        right, bottom = whole(right, "right", 0), whole(bottom, "bottom", 0)
        return self._moved(shift_move(left, top), left + self.width + right, top + self.height + bottom)

    def flip(self, *, horizontal: bool = False, vertical: bool = False) -> Camera:
        """The camera of the mirrored picture: ``picture[:, ::-1]`` (horizontal), ``picture[::-1]`` (vertical).

        No rigid camera takes a mirrored picture, because left and right of the world would have to change places.
        So the pose stays, and the focal length of the mirrored axis becomes negative: fx' = -fx, cx' = W - 1 - cx.
        ``project``, ``unproject``, ``rays`` and all transforms stay exact with it, and points in the world stay where
        they are.  Other conventions know no negative focal length: ``to_opengl``, ``to_colmap`` and ``to_pytorch3d``
        refuse a camera that ``is_mirrored``.  Flipped both ways a picture is turned by 180 degrees, which a rigid
        camera can take, and those conversions turn the pose.
        """
        move = flip_move((self.width, self.height), horizontal, vertical)
        return self._moved(move, self.width, self.height)

    @property
    def is_mirrored(self) -> bool:
        """Whether the picture is mirrored: flipped one way, and not turned by flipping it both ways."""
        return bool(self.intrinsics[0, 0] * self.intrinsics[1, 1] < 0)

    def _moved(self, move: Array, width: int, height: int) -> Camera:
        return replace(self, intrinsics=move @ self.intrinsics, width=width, height=height)
