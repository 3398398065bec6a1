"""One camera in the conventions of OpenGL, COLMAP and PyTorch3D, and back; ``others`` says what each of them has.

None of them knows a mirrored picture, and only OpenGL a skew: other cameras are refused.  A picture flipped both ways
is turned by 180 degrees, and so is the pose on its way out.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import CalibrationError, SelectionError
from .checks import Array, inverse, numbers, pixels_of, rigid
from .others import ColmapCamera, OpenGLCamera, PyTorch3DCamera
from .quaternion import quaternion_of, rotation_of

C = TypeVar("C", bound="Conversions")

#: Camera axes of OpenCV in those of OpenGL, and back: y and z change sign.
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
#: Camera axes of OpenCV in those of PyTorch3D, and back: x and y change sign.  Also the half turn about the z axis.
_PYTORCH3D = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Parameters of COLMAP's models without distortion, as places of fx, fy, cx, cy.
_COLMAP_MODELS = {"PINHOLE": (0, 1, 2, 3), "SIMPLE_PINHOLE": (0, 0, 1, 2)}


class Conversions:
    """What ``Camera`` knows of other conventions."""

    if TYPE_CHECKING:
        intrinsics: Array
        world_to_camera: Array
        width: int
        height: int

        def __init__(self, intrinsics: Array, world_to_camera: Array, width: int, height: int) -> None: ...

    def to_opengl(self) -> OpenGLCamera:
        """The same camera with OpenGL's axes (x right, y up, looking along -z).

        Raises:
            CalibrationError: If it is mirrored.
        """
        intrinsics, pose = self._upright("OpenGL")
        return OpenGLCamera(inverse(pose) @ _OPENGL, intrinsics, self.width, self.height)

    @classmethod
    def from_opengl(
        cls: type[C],
        intrinsics: Any,
        width: int,
        height: int,
        *,
        camera_to_world: Any = None,
        world_to_camera: Any = None,
    ) -> C:
        """The camera of a pose in OpenGL's axes, given either way.

        Args:
            intrinsics: ``(3, 3)``, as in ``Camera``.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            camera_to_world: ``(4, 4)``, such as ``transform_matrix`` of transforms.json.
            world_to_camera: ``(4, 4)``, OpenGL's view matrix; instead of ``camera_to_world``.

        Raises:
            SelectionError: If not exactly one of the poses is given.
            CalibrationError: If a matrix is no camera's.
        """
        if (camera_to_world is None) == (world_to_camera is None):
            raise SelectionError("Give either camera_to_world or world_to_camera: a pose and its inverse are one.")
        if world_to_camera is None:
            world_to_camera = inverse(rigid(camera_to_world, "camera_to_world"))
        return cls(intrinsics, _OPENGL @ rigid(world_to_camera, "world_to_camera"), width, height)

    def to_colmap(self) -> ColmapCamera:
        """The same camera as COLMAP writes it: axes as here, and pixels half a pixel on.

        Raises:
            CalibrationError: If it is mirrored or has a skew.
        """
        intrinsics, pose = self._upright("COLMAP", skew=False)
        params = np.array([*np.diag(intrinsics)[:2], *(intrinsics[:2, 2] + 0.5)])
        quaternion = quaternion_of(pose[:3, :3])
        return ColmapCamera("PINHOLE", self.width, self.height, params, quaternion, pose[:3, 3])

    @classmethod
    def from_colmap(
        cls: type[C], *, model: str = "PINHOLE", width: int, height: int, params: Any, quaternion: Any, translation: Any
    ) -> C:
        """The camera of numbers from COLMAP's cameras.txt and images.txt; see ``ColmapCamera``.

        Args:
            model: ``PINHOLE`` or ``SIMPLE_PINHOLE``.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            params: fx, fy, cx, cy; or f, cx, cy of ``SIMPLE_PINHOLE``.
            quaternion: QW, QX, QY, QZ.
            translation: TX, TY, TZ.

        Raises:
            CalibrationError: If the model is no name or has distortion, or the numbers are no camera's.
        """
        if not isinstance(model, str):
            raise CalibrationError(f"model is a name of COLMAP's, such as PINHOLE, not {model!r}. Take one camera's.")
        places = _COLMAP_MODELS.get(model)
        if places is None:
            raise CalibrationError(f"COLMAP's model {model} has distortion. Undistort first: colmap image_undistorter.")
        fx, fy, cx, cy = _row(params, max(places) + 1, "params")[list(places)]
        pose = _pose(rotation_of(quaternion), _row(translation, 3, "translation"))
        return cls(_intrinsics(fx, fy, cx - 0.5, cy - 0.5), pose, width, height)

    def to_pytorch3d(self, *, in_ndc: bool = True) -> PyTorch3DCamera:
        """The same camera as PyTorch3D's ``PerspectiveCameras`` takes it.

        Args:
            in_ndc: Focal length and principal point in NDC, as its renderers have them; else in pixels.

        Raises:
            CalibrationError: If it is mirrored or has a skew.
        """
        intrinsics, pose = self._upright("PyTorch3D", skew=False)
        focal, centre = np.diag(intrinsics)[:2].copy(), intrinsics[:2, 2] + 0.5
        if in_ndc:
            half = min(self.width, self.height) / 2
            focal, centre = focal / half, (np.array([self.width, self.height]) / 2 - centre) / half
        view = _PYTORCH3D @ pose
        return PyTorch3DCamera(view[:3, :3].T, view[:3, 3], focal, centre, (self.height, self.width), in_ndc)

    @classmethod
    def from_pytorch3d(
        cls: type[C],
        *,
        R: Any,
        T: Any,
        focal_length: Any,
        principal_point: Any,
        image_size: Any,
        in_ndc: bool = True,
    ) -> C:
        """The camera of what PyTorch3D's ``PerspectiveCameras`` takes; see ``PyTorch3DCamera``.

        Each may have PyTorch3D's batch axis in front, of length 1, as the attributes of its cameras have it.

        Args:
            R: ``(3, 3)``, for row vectors.
            T: ``(3,)``.
            focal_length: ``(2,)``, or one number for both axes.
            principal_point: ``(2,)``.
            image_size: (height, width) in pixels.
            in_ndc: Whether the two are in NDC or in pixels.

        Raises:
            CalibrationError: If the numbers are no camera's.
            SelectionError: If ``image_size`` is no size.
        """
        focal, centre = numbers(focal_length, "focal_length"), _one(principal_point, (2,), "principal_point")
        focal = np.repeat(focal, 2) if focal.size == 1 else _one(focal, (2,), "focal_length")
        height, width = _sides(image_size)
        if in_ndc:
            half = min(width, height) / 2
            focal, centre = focal * half, np.array([width, height]) / 2 - centre * half
        pose = _PYTORCH3D @ _pose(_one(R, (3, 3), "R").T, _one(T, (3,), "T"))
        return cls(_intrinsics(*focal, *(centre - 0.5)), pose, width, height)

    def _upright(self, whose: str, *, skew: bool = True) -> tuple[Array, Array]:
        """Intrinsics with focal lengths above 0, and the pose that belongs to them."""
        intrinsics, pose = self.intrinsics, self.world_to_camera
        if intrinsics[0, 0] * intrinsics[1, 1] < 0:
            raise CalibrationError(
                f"{whose} has no cameras of mirrored pictures, with one focal length below 0. Convert the camera from "
                "before the flip, and mirror pictures where they are used; or flip both ways, which is a half turn."
            )
        if intrinsics[0, 1] != 0 and not skew:
            raise CalibrationError(f"{whose} has no skew, and the camera's is {intrinsics[0, 1]:.3g} pixels.")
        if intrinsics[0, 0] < 0:
            intrinsics, pose = intrinsics @ _PYTORCH3D[:3, :3], _PYTORCH3D @ pose
        return intrinsics.copy(), pose.copy()


def _row(values: Any, length: int, what: str) -> Array:
    array = numbers(values, what)
    if array.shape != (length,):
        raise CalibrationError(f"{what} has {length} numbers, not the shape {array.shape}. Take one camera of a batch.")
    return array


def _one(values: Any, shape: tuple[int, ...], what: str) -> Array:
    """What one camera has, also out of a batch of one."""
    array = numbers(values, what)
    if array.shape not in (shape, (1, *shape)):
        raise CalibrationError(
            f"{what} has the shape {shape}, or {(1, *shape)}, not {array.shape}. Take one camera of a batch."
        )
    return array.reshape(shape)


def _sides(image_size: Any) -> tuple[int, int]:
    """Height and width; PyTorch3D's cameras hold them as floats, with an axis for the batch."""
    sides = None
    with contextlib.suppress(TypeError, ValueError, RuntimeError):  # nested lists of unequal length, GPU tensors
        sides = np.asarray(image_size)
    is_array = sides is not None and sides.ndim > 0 and sides.dtype.kind in "iuf"
    if sides is None or not is_array or sides.shape not in ((2,), (1, 2)):
        given = f"an array of shape {sides.shape}" if sides is not None and is_array else repr(image_size)
        raise SelectionError(f"image_size is (height, width) in pixels, of one camera, not {given}.")
    height, width = (pixels_of(side, "image_size") for side in sides.ravel())
    return height, width


def _pose(rotation: Array, translation: Array) -> Array:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def _intrinsics(fx: float, fy: float, cx: float, cy: float) -> Array:
    if not (fx > 0 and fy > 0):
        raise CalibrationError(f"Focal lengths are above 0, not {fx} and {fy}. Are the parameters in another order?")
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
