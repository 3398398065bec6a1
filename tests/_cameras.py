"""Random cameras and random picture transforms for the tests of cameras."""

from __future__ import annotations

import numpy as np

import nersemble


def close(found, expected):
    """Whether numbers are equal but for the rounding of float64."""
    return np.allclose(found, expected, rtol=1e-12, atol=1e-9)


def random_rotation(rng):
    """``(3, 3)`` float64, any direction alike."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def random_camera(rng, *, skew=0.0):
    """A camera like those of the data set: far from its points, with a principal point off the middle."""
    width, height = rng.integers(60, 400, 2)
    intrinsics = np.array([[rng.uniform(300, 3000), skew, 0], [0, rng.uniform(300, 3000), 0], [0, 0, 1]])
    intrinsics[:2, 2] = [width, height] * rng.uniform(0.2, 0.8, 2)
    pose = np.eye(4)
    pose[:3, :3] = random_rotation(rng)
    pose[:3, 3] = rng.normal(size=3)
    return nersemble.Camera(intrinsics, pose, int(width), int(height))


def points_before(camera, rng, count=50):
    """World points in front of a camera, on and around its picture, at depths of 0.5 to 2."""
    pixels = rng.uniform(-0.5, 1.5, (count, 2)) * [camera.width, camera.height]
    return camera.unproject(pixels, rng.uniform(0.5, 2, count))


def random_step(rng, size):
    """A transform for a picture of ``size``: (name, its arguments, how a pixel moves)."""
    width, height = size
    name = rng.choice(["resize", "scale", "crop", "pad", "flip"])
    if name in ("resize", "scale"):
        factor = float(rng.uniform(0.6, 1.6))
        new = rng.integers(40, 500, 2) if name == "resize" else [max(1, round(n * factor)) for n in size]
        ratio = np.array(new) / size
        arguments = {"width": int(new[0]), "height": int(new[1])} if name == "resize" else {"factor": factor}
        return name, arguments, lambda pixels: (pixels + 0.5) * ratio - 0.5
    if name == "crop":
        left, top = (int(rng.integers(0, n // 3 + 1)) for n in size)
        box = {"left": left, "top": top}
        box |= {"width": int(rng.integers(1, width - left + 1)), "height": int(rng.integers(1, height - top + 1))}
        return name, box, lambda pixels: pixels - [left, top]
    if name == "pad":
        sides = dict(zip(("left", "top", "right", "bottom"), map(int, rng.integers(0, 30, 4)), strict=True))
        return name, sides, lambda pixels: pixels - [-sides["left"], -sides["top"]]
    ways = {"horizontal": bool(rng.integers(2)), "vertical": bool(rng.integers(2))}
    sign = np.where([ways["horizontal"], ways["vertical"]], -1, 1)
    far = np.where(sign < 0, np.array(size) - 1, 0)
    return name, ways, lambda pixels: sign * pixels + far
