"""Known points of the demo land on their pictures, whatever is done to picture and camera together.

The pictures are drawn by casting rays, so projecting checks them and not itself.  Each landmark is a ball with a colour
of its own; the centre of its patch is measured in the transformed picture.  Half a pixel off would show.
"""

from __future__ import annotations

import numpy as np
import pytest
from _cameras import random_step
from PIL import Image

import nersemble
from nersemble.camera import Calibration
from nersemble.demo import demo_rig, landmark_colors, landmarks
from nersemble.demo.render import Camera as Renderer
from nersemble.demo.scene import LANDMARK_RADIUS
from nersemble.layout import SERIALS

PARTICIPANT, SEQUENCE, TIMESTEP = 240, "EXP-1-head", 9
WIDTH, HEIGHT = 550, 802
POINTS = landmarks(PARTICIPANT, SEQUENCE, TIMESTEP)


@pytest.fixture(scope="module")
def views():
    """(camera, picture with corrected colours, names of the landmarks it shows whole) of five cameras."""
    rig = demo_rig(PARTICIPANT, WIDTH, HEIGHT)
    calibration = Calibration(rig.intrinsics, rig.world_to_camera)
    found = []
    for serial in SERIALS[2::3]:
        picture = Renderer(PARTICIPANT, serial, rig).frame(SEQUENCE, TIMESTEP)
        picture = nersemble.correct_color(picture, rig.ccm[serial])
        camera = calibration.camera(serial, WIDTH, HEIGHT)
        found.append((camera, picture, [name for name in POINTS if share_seen(camera, picture, name) > 0.985]))
    return found


def measured(camera, picture, name):
    """Where a landmark's patch is, as (x, y), its area in pixels, and what its area should be."""
    (x, y), depth, _, _ = camera.project_masked(POINTS[name])
    radius = LANDMARK_RADIUS * np.abs(np.diag(camera.intrinsics)[:2]) / depth
    ys, xs = np.mgrid[: camera.height, : camera.width]
    around = ((xs - x) / radius[0]) ** 2 + ((ys - y) / radius[1]) ** 2 < 1.8**2
    distance = np.linalg.norm(picture[around] - np.array(landmark_colors()[name], float), axis=1)
    weight = np.clip(100 - distance, 0, 60) / 60
    centre = np.array([(weight * xs[around]).sum(), (weight * ys[around]).sum()]) / max(weight.sum(), 1e-9)
    return centre, weight.sum(), np.pi * radius.prod()


def share_seen(camera, picture, name):
    _, area, whole = measured(camera, picture, name)
    return area / whole


def errors(camera, picture, names):
    """(n, 2) pixels from where landmarks are projected to where they are, of those that lie well on the picture."""
    found = []
    for name in names:
        pixel, depth, in_front, _ = camera.project_masked(POINTS[name])
        reach = 1.9 * LANDMARK_RADIUS * np.abs(np.diag(camera.intrinsics)[:2]) / depth
        if in_front and (pixel > reach).all() and (pixel + reach < [camera.width - 1, camera.height - 1]).all():
            centre, area, whole = measured(camera, picture, name)
            assert area > 0.9 * whole, f"{name} is not where it is projected"
            found.append(centre - pixel)
    return np.array(found).reshape(-1, 2)


def transformed(picture, name, arguments, camera):
    """The picture after a transform, by the slices that the methods of Camera name; ``camera`` is the one after it."""
    if name in ("resize", "scale"):
        return np.asarray(Image.fromarray(picture).resize((camera.width, camera.height), Image.Resampling.BICUBIC))
    if name == "crop":
        left, top, width, height = (arguments[key] for key in ("left", "top", "width", "height"))
        return picture[top : top + height, left : left + width]
    if name == "pad":
        left, top, right, bottom = (arguments[key] for key in ("left", "top", "right", "bottom"))
        return np.pad(picture, ((top, bottom), (left, right), (0, 0)))
    picture = picture[:, ::-1] if arguments["horizontal"] else picture
    return picture[::-1] if arguments["vertical"] else picture


CHAINS = [
    [("resize", {"width": 275, "height": 401})],
    [("resize", {"width": 700, "height": 640})],
    [("scale", {"factor": 0.71})],
    [("crop", {"left": 31, "top": 77, "width": 480, "height": 600})],
    [("pad", {"left": 13, "top": 5, "right": 0, "bottom": 40})],
    [("flip", {"horizontal": True, "vertical": False})],
    [("flip", {"horizontal": False, "vertical": True})],
    [("flip", {"horizontal": True, "vertical": True})],
    # A square of the head for a network: pad to a square, resize, cut, mirror.
    [
        ("pad", {"left": 126, "top": 0, "right": 126, "bottom": 0}),
        ("resize", {"width": 512, "height": 512}),
        ("crop", {"left": 70, "top": 17, "width": 400, "height": 401}),
        ("flip", {"horizontal": True, "vertical": False}),
    ],
]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(name for name, _ in chain))
def test_landmarks_land_on_their_pictures(views, chain):
    found = []
    for camera, picture, names in views:
        for name, arguments in chain:
            camera = getattr(camera, name)(**arguments)
            picture = transformed(picture, name, arguments, camera)
            assert picture.shape == (camera.height, camera.width, 3)
        found.append(errors(camera, picture, names))
    found = np.concatenate(found)
    assert len(found) >= 15
    assert np.abs(found.mean(axis=0)).max() < 0.1
    assert np.abs(found).max() < 0.25


@pytest.mark.parametrize("seed", range(12))
def test_landmarks_land_on_their_pictures_after_random_chains(views, seed):
    rng = np.random.default_rng(seed)
    found = []
    for camera, picture, names in views:
        for _ in range(5):
            name, arguments, _ = random_step(rng, (camera.width, camera.height))
            after = getattr(camera, name)(**arguments)
            if 300 < after.width < 900 and 300 < after.height < 900:  # landmarks large enough to measure
                camera, picture = after, transformed(picture, name, arguments, after)
        found.append(errors(camera, picture, names))
    found = np.concatenate(found)
    assert len(found) >= 15
    assert np.abs(found.mean(axis=0)).max() < 0.1
    assert np.abs(found).max() < 0.35


@pytest.mark.parametrize("axis", [0, 1])
def test_half_a_pixel_off_would_show(views, axis):
    """The measure itself: with the other convention of where (0, 0) is, the test above fails."""
    found = []
    for camera, picture, names in views:
        intrinsics = camera.intrinsics.copy()
        intrinsics[axis, 2] += 0.5
        off = nersemble.Camera(intrinsics, camera.world_to_camera, camera.width, camera.height)
        found.append(errors(off, picture, names))
    assert np.concatenate(found).mean(axis=0)[axis] == pytest.approx(-0.5, abs=0.1)
