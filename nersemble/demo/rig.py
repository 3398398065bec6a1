"""The demo's 16 calibrated cameras: intrinsics, poses and colour matrices, a little different for each participant.

Conventions: metres; world x to the right as the frontal camera sees it, y up, z from the head towards that camera;
cameras in OpenCV axes (x right, y down, z forward); pixel (0, 0) is the centre of the top-left pixel.  Every number
comes from a hash of what it belongs to, so equal arguments give equal cameras on every machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nersemble.layout import HEIGHT, SERIALS, WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Focal length and distance of the real rig: a field of view of about 0.27 m x 0.39 m around the head.
FOCAL = 8185.0
DISTANCE = 1.0

_FRONTAL = 8
_ELEVATIONS = (-6, 12, 2, -14, 8, -2, 16, -10, 0, 10, -12, 4, 14, -4, -14, 8)


@dataclass(frozen=True)
class DemoRig:
    """The calibration of one participant's capture.

    Attributes:
        width: Picture width in pixels.
        height: Picture height in pixels.
        intrinsics: ``(3, 3)`` float64, pixels of a picture of that size, shared by all cameras.
        world_to_camera: Serial to ``(4, 4)`` float64 rigid transform.
        ccm: Serial to ``(3, 3)`` float64 colour correction: corrected = ccm @ recorded, in linear light.
    """

    width: int
    height: int
    intrinsics: NDArray[np.float64]
    world_to_camera: dict[str, NDArray[np.float64]]
    ccm: dict[str, NDArray[np.float64]]


def demo_rig(participant: int, width: int, height: int) -> DemoRig:
    """The rig that recorded a participant, in pixels of a picture of ``width`` x ``height``."""
    return DemoRig(
        width,
        height,
        _intrinsics(participant, width, height),
        {serial: _pose(participant, index) for index, serial in enumerate(SERIALS)},
        {serial: _ccm(participant, serial) for serial in SERIALS},
    )


def wobble(*key: object) -> float:
    """A number in [-1, 1) that depends on nothing but ``key``."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**47 - 1


def rotation(axis: int, degrees: float) -> NDArray[np.float64]:
    """``(3, 3)`` right-handed rotation about one coordinate axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix


def _intrinsics(participant: int, width: int, height: int) -> NDArray[np.float64]:
    focal = FOCAL + 8 * wobble(participant, "focal")
    centre_x = WIDTH / 2 + 6 * wobble(participant, "cx")
    centre_y = HEIGHT / 2 + 6 * wobble(participant, "cy")
    across, down = width / WIDTH, height / HEIGHT
    # The centre of the top-left pixel is (0, 0), so its corner, which stays put when resizing, is (-0.5, -0.5).
    return np.array(
        [
            [focal * across, 0, (centre_x + 0.5) * across - 0.5],
            [0, focal * down, (centre_y + 0.5) * down - 0.5],
            [0, 0, 1],
        ]
    )


def _pose(participant: int, index: int) -> NDArray[np.float64]:
    span = _FRONTAL if index < _FRONTAL else len(SERIALS) - 1 - _FRONTAL
    azimuth = np.radians(45 * (index - _FRONTAL) / span + 0.6 * wobble(participant, index, "azimuth"))
    elevation = np.radians(_ELEVATIONS[index] + 0.6 * wobble(participant, index, "elevation"))
    direction = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    target = [0.004 * wobble(participant, index, axis) for axis in "xyz"]
    position = np.add([0, 0.006, 0], np.multiply(direction, DISTANCE + 0.01 * wobble(participant, index, "distance")))
    forward = np.add([0, 0.006, 0], target) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    axes = rotation(2, 1.5 * wobble(participant, index, "roll")) @ axes
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = -axes @ position
    return matrix


def _ccm(participant: int, serial: str) -> NDArray[np.float64]:
    """Near identity: a gain for each channel, and a little crosstalk that leaves greys grey."""
    matrix = np.empty((3, 3))
    for row in range(3):
        for column in range(3):
            matrix[row, column] = 0.03 * wobble(participant, serial, row, column)
        matrix[row, row] = 1 - (matrix[row].sum() - matrix[row, row])
        matrix[row] *= 1 + 0.07 * wobble(participant, serial, "gain", row)
    return matrix
