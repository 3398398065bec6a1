"""The cameras of a capture together: by serial or by the number that papers use, in rig order, as stacked arrays.

The rule: a rig is never changed; selecting and transforming give another one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from ..errors import CalibrationError, SelectionError
from ..layout import FRONTAL_SERIAL, SERIALS, camera_order
from ..written import index_of
from .calibration import Calibration
from .checks import Array, inverse, missing_of, numbers, pixels_of
from .pinhole import Camera, Projection

#: The rays of a point must differ in direction: the least share of the normal equations' trace in their smallest part.
_PARALLEL = 1e-12


class CameraRig(Mapping[str, Camera]):
    """Cameras by serial, in rig order.

    A camera is named by its serial, ``"222200037"``, or by its number in papers, 0 to 15, which stays the same in a
    subset: ``rig[8]`` is always the frontal camera, whether or not the others are there.

    >>> import numpy as np
    >>> from nersemble import Camera, CameraRig
    >>> rig = CameraRig({"222200037": Camera(np.eye(3), np.eye(4), 550, 802)})
    >>> rig[8] is rig["222200037"] is rig.frontal
    True

    Args:
        cameras: Cameras by serial; the rig has them in rig order, unknown serials last.

    Raises:
        SelectionError: If there is none, or they are no cameras by serial.
    """

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        if not isinstance(cameras, Mapping):
            raise SelectionError(
                f"A rig is made of a mapping of serials to cameras, such as {{{FRONTAL_SERIAL!r}: camera}}, not of a "
                f"{type(cameras).__name__}."
            )
        if not cameras:
            raise SelectionError("A rig has at least one camera. Is the selection of cameras empty?")
        for serial, camera in cameras.items():
            if not isinstance(serial, str):
                raise SelectionError(
                    f"The cameras of a rig are named by serial, such as {FRONTAL_SERIAL!r}, not {serial!r}."
                )
            if not isinstance(camera, Camera):
                raise SelectionError(
                    f"Camera {serial} is a {type(camera).__name__}, not a Camera. Make one of a matrix: "
                    "Camera(intrinsics, world_to_camera, width, height)."
                )
        self._cameras = {serial: cameras[serial] for serial in sorted(cameras, key=camera_order)}

    @classmethod
    def from_calibration(cls, calibration: Calibration, width: int, height: int) -> CameraRig:
        """All cameras of a calibration.

        Args:
            calibration: What ``FolderData.camera_calibration`` or ``parse_calibration`` gives.
            width: Width in pixels of the *full-size* picture, to which the calibration's intrinsics belong.
            height: Height of the same; published pictures are portrait, 2200 x 3208.

        Raises:
            CalibrationError: If a matrix is no camera's.
        """
        poses = calibration.world_to_camera
        return cls({serial: _named(serial, calibration.intrinsics, poses[serial], width, height) for serial in poses})

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> CameraRig:
        """The cameras of a row of the view ``timestep``; its ``frames`` are not decoded.

        Raises:
            CalibrationError: If a column is missing or of another length, a camera is there twice, or a matrix is no
                camera's.
            SelectionError: If a size is no whole number above 0.
        """
        columns = ("cameras", "intrinsics", "world_to_camera", "width", "height")
        missing = missing_of(row, columns)
        if missing:
            raise CalibrationError(
                f"The row has no {' and no '.join(missing)}. CameraRig.from_row takes rows of the view timestep; for "
                "rows of one camera there is Camera.from_row."
            )
        lengths = {name: _length(row[name]) for name in columns}
        if None in lengths.values() or len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {'no list' if count is None else count}" for name, count in lengths.items())
            raise CalibrationError(
                f"The columns of the row have different lengths: {told}. Each has one entry for each camera; was one "
                "of them filtered? Filter all of them alike, or select cameras of the rig."
            )
        serials, *fields = (row[name] for name in columns)
        if not all(isinstance(serial, str) for serial in serials):
            raise CalibrationError("The column cameras does not hold serials alone. Is it a batch? Take one row of it.")
        twice = next((serial for serial in serials if list(serials).count(serial) > 1), None)
        if twice is not None:
            raise CalibrationError(f"The row has camera {twice} twice. Were rows joined? Leave one of them out.")
        return cls(
            {
                serial: _named(serial, intrinsics, pose, _pixels(width, "width"), _pixels(height, "height"))
                for serial, intrinsics, pose, width, height in zip(serials, *fields, strict=True)
            }
        )

    # --- a mapping by serial or number --------------------------------------------------------------------------------

    def __getitem__(self, camera: SupportsIndex | str) -> Camera:
        return self._cameras[self.serial(camera)]

    def __contains__(self, camera: object) -> bool:
        return _serial(camera) in self._cameras

    def __iter__(self) -> Iterator[str]:
        return iter(self._cameras)

    def __len__(self) -> int:
        return len(self._cameras)

    def __repr__(self) -> str:
        return f"CameraRig of {', '.join(self)}"

    def get(self, camera: Any, default: Any = None) -> Any:
        """The camera, or ``default`` if the rig has it not."""
        if camera not in self:
            return default
        return self[camera]

    def serial(self, camera: SupportsIndex | str) -> str:
        """The serial of a camera of the rig, given by serial or number.

        Raises:
            SelectionError: If the rig has no such camera.
        """
        serial = _serial(camera)
        if serial is None or serial not in self._cameras:
            raise SelectionError(
                f"The rig has no camera {camera!r}.{_hint(camera, self._cameras)} It has {', '.join(self)}; they are "
                "named by serial, or by their number in papers, 0 to 15."
            )
        return serial

    @property
    def serials(self) -> tuple[str, ...]:
        """Serials in rig order: the first axis of all arrays of the rig."""
        return tuple(self._cameras)

    @property
    def frontal(self) -> Camera:
        """The frontal camera, number 8, which most papers hold out."""
        return self[FRONTAL_SERIAL]

    def select(self, cameras: Iterable[SupportsIndex | str]) -> CameraRig:
        """The rig of these cameras, by serial or number."""
        return CameraRig({serial: self._cameras[serial] for serial in map(self.serial, _several(cameras))})

    def without(self, cameras: Iterable[SupportsIndex | str]) -> CameraRig:
        """The rig of all cameras but these, by serial or number, such as those held out."""
        left_out = set(map(self.serial, _several(cameras)))
        return CameraRig({serial: camera for serial, camera in self._cameras.items() if serial not in left_out})

    # --- all pictures resized, cut, mirrored --------------------------------------------------------------------------

    def apply(self, transform: Callable[[Camera], Camera]) -> CameraRig:
        """The rig whose cameras are ``transform(camera)`` of this one's."""
        return CameraRig({serial: transform(camera) for serial, camera in self._cameras.items()})

    def resize(self, width: int, height: int) -> CameraRig:
        """All pictures resized to one size; see ``Camera.resize``."""
        return self.apply(lambda camera: camera.resize(width, height))

    def scale(self, factor: float) -> CameraRig:
        """All pictures resized by one factor; see ``Camera.scale``."""
        return self.apply(lambda camera: camera.scale(factor))

    def crop(self, left: int, top: int, width: int, height: int) -> CameraRig:
        """The same box cut from all pictures; see ``Camera.crop``, and ``apply`` for a box for each."""
        return self.apply(lambda camera: camera.crop(left, top, width, height))

    def pad(self, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> CameraRig:
        """All pictures padded alike; see ``Camera.pad``."""
        return self.apply(lambda camera: camera.pad(left, top, right, bottom))

    def flip(self, *, horizontal: bool = False, vertical: bool = False) -> CameraRig:
        """All pictures mirrored; see ``Camera.flip``."""
        return self.apply(lambda camera: camera.flip(horizontal=horizontal, vertical=vertical))

    # --- geometry -----------------------------------------------------------------------------------------------------

    @property
    def intrinsics(self) -> Array:
        """``(N, 3, 3)`` float64."""
        return np.stack([camera.intrinsics for camera in self.values()])

    @property
    def world_to_camera(self) -> Array:
        """``(N, 4, 4)`` float64."""
        return np.stack([camera.world_to_camera for camera in self.values()])

    @property
    def camera_to_world(self) -> Array:
        """``(N, 4, 4)`` float64."""
        return inverse(self.world_to_camera)

    @property
    def positions(self) -> Array:
        """``(N, 3)`` float64: where the cameras are in the world."""
        return self.camera_to_world[:, :3, 3]

    def relative_pose(self, a: SupportsIndex | str, b: SupportsIndex | str) -> Array:
        """``(4, 4)`` float64: points of camera a's frame into camera b's, both in OpenCV axes."""
        pose: Array = self[b].world_to_camera @ self[a].camera_to_world
        return pose

    def project(self, points: Any) -> Array:
        """Project world points into every camera: ``(..., 3)`` to ``(N, ..., 2)`` pixels; see ``Camera.project``."""
        return np.stack([camera.project(points) for camera in self.values()])

    def project_masked(self, points: Any) -> Projection:
        """Project world points, with depth and masks ``(N, ...)``; see ``Camera.project_masked``."""
        parts = zip(*(camera.project_masked(points) for camera in self.values()), strict=True)
        return Projection(*map(np.stack, parts))

    def triangulate(self, pixels: Any) -> Array:
        """World points from the pixels at which the cameras see them.

        The point with the least sum of squared distances from its rays, in world units; of exact pixels it is the point
        itself.

        Args:
            pixels: ``(N, ..., 2)`` as (x, y), in rig order; NaN where a camera does not see a point.

        Returns:
            ``(..., 3)`` float64 in world units.

        Raises:
            CalibrationError: If a point is seen by fewer than two cameras, or on parallel rays only.
        """
        pixels = numbers(pixels, "pixels")
        if pixels.ndim < 2 or pixels.shape[0] != len(self) or pixels.shape[-1] != 2:
            raise CalibrationError(
                f"Pixels have shape ({len(self)}, ..., 2), one row for each camera of the rig, not {pixels.shape}. "
                "Select the cameras that saw the points, or mark the others with NaN."
            )
        seen = np.isfinite(pixels).all(axis=-1)
        if (seen.sum(axis=0) < 2).any():
            raise CalibrationError("A point is seen by fewer than two cameras. Leave such points out.")
        # A ray's share of the normal equations: what is across its direction.
        across, ends = np.zeros((*pixels.shape[1:-1], 3, 3)), np.zeros((*pixels.shape[1:-1], 3))
        for camera, row, mask in zip(self.values(), pixels, seen, strict=True):
            directions = camera.rays(np.where(mask[..., None], row, 0)).directions
            part = (np.eye(3) - directions[..., :, None] * directions[..., None, :]) * mask[..., None, None]
            across, ends = across + part, ends + part @ camera.position
        parts = np.linalg.eigvalsh(across)
        if (parts[..., 0] < _PARALLEL * parts.sum(axis=-1)).any():
            raise CalibrationError("The rays of a point are parallel. Do the cameras stand in one place?")
        points: Array = np.linalg.solve(across, ends[..., None])[..., 0]
        return points


def _named(serial: str, intrinsics: Any, pose: Any, width: int, height: int) -> Camera:
    """A camera, or an error that names it."""
    problem = ""
    try:
        return Camera(intrinsics, pose, width, height)
    except CalibrationError as error:
        problem = str(error)
    raise CalibrationError(f"Camera {serial}: {problem}")


def _pixels(side: Any, what: str) -> int:
    array = numbers(side, what)
    if array.ndim:
        raise CalibrationError(f"The column {what} holds lists. Is it a batch? Take one row of it.")
    return pixels_of(array.item(), what)


def _serial(camera: Any) -> str | None:
    """The serial that is meant, whether it exists or not; None for what cannot name a camera."""
    if isinstance(camera, str):
        return camera
    number = index_of(camera)
    if number is None:
        return None
    return SERIALS[number] if 0 <= number < len(SERIALS) else str(number)


def _length(column: Any) -> int | None:
    try:
        return len(column)
    except TypeError:  # a number, or an array of none
        return None


def _several(cameras: Any) -> list[Any]:
    if isinstance(cameras, str) or not isinstance(cameras, Iterable):
        raise SelectionError(f"Cameras are a list, such as [{FRONTAL_SERIAL!r}] or range(8), not {cameras!r}.")
    return list(cameras)


def _hint(camera: Any, held: Iterable[str]) -> str:
    if isinstance(camera, str) and camera.isdecimal() and int(camera) < len(SERIALS):
        return f" Did you mean the number {int(camera)}, without quotes?"
    near = difflib.get_close_matches(str(camera), list(held), 1, 0.8)
    return f" Did you mean {near[0]}?" if near else ""
