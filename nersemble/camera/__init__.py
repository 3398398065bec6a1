"""Cameras: intrinsics, poses, their pictures' geometry; needs neither fsspec nor datasets, and can be used alone.

Conventions: OpenCV axes (+x right, +y down, +z into the scene); ``world_to_camera`` maps world points into the camera,
*not* its inverse; pixel (0, 0) is the centre of the top-left pixel, so a picture of width W spans -0.5 to W - 0.5.
"""

from .calibration import Calibration, parse_calibration, parse_color_calibration
from .checks import Array
from .others import ColmapCamera, OpenGLCamera, PyTorch3DCamera
from .pinhole import Camera, Projection, Rays
from .pixels import resize_intrinsics, scaled_size
from .rig import CameraRig

__all__ = [
    "Array",
    "Calibration",
    "Camera",
    "CameraRig",
    "ColmapCamera",
    "OpenGLCamera",
    "Projection",
    "PyTorch3DCamera",
    "Rays",
    "parse_calibration",
    "parse_color_calibration",
    "resize_intrinsics",
    "scaled_size",
]
