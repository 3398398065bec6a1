"""Other conventions' own formulas, written out from their documentation, put points on the same pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest
from _cameras import close, points_before, random_camera, random_rotation

import nersemble
from nersemble.errors import CalibrationError, SelectionError

SEEDS = range(20)
Camera = nersemble.Camera
#: A picture is converted as it is, resized and cut, or turned by half a turn.
KINDS = {
    "plain": lambda camera: camera,
    "cut": lambda camera: camera.resize(91, 140).crop(7, 3, 60, 55).pad(1, 2, 3, 4),
    "turned": lambda camera: camera.flip(horizontal=True, vertical=True),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def camera_and_points(seed, kind=KINDS["plain"], **options):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, **options)
    return kind(camera), points_before(camera, rng)


def seen_by_opengl(gl, points):
    """The pipeline of "Coordinate Transformations" in the OpenGL 4.6 specification; (0, 0) the centre of a pixel."""
    eye = (gl.world_to_camera @ np.column_stack([points, np.ones(len(points))]).T).T
    clip = eye @ gl.projection(0.3, 5.0).T
    ndc = clip[:, :3] / clip[:, 3:]
    assert (eye[:, 2] < 0).all(), "the camera looks along -z"
    # glViewport(0, 0, width, height): window coordinates from the lower left corner, pixel centres at one half.
    window = (ndc[:, :2] + 1) * [gl.width / 2, gl.height / 2]
    return np.column_stack([window[:, 0] - 0.5, gl.height - window[:, 1] - 0.5]), ndc[:, 2]


def seen_by_colmap(colmap, points):
    """images.txt and the model PINHOLE, by colmap.github.io/format.html; (0, 0) the corner of the top-left pixel.

    That corner is from colmap.github.io/database.html, "Keypoints and Descriptors".
    """

    def hamilton(p, q):
        a, u, b, v = p[0], p[1:], q[0], q[1:]
        return np.array([a * b - u @ v, *(a * v + b * u + np.cross(u, v))])

    q = colmap.quaternion
    conjugate = q * [1, -1, -1, -1]
    local = [hamilton(hamilton(q, np.array([0, *point])), conjugate)[1:] + colmap.translation for point in points]
    fx, fy, cx, cy = colmap.params
    return np.array([[fx * x / z + cx, fy * y / z + cy] for x, y, z in local])


def seen_by_pytorch3d(p3d, points):
    """World to view, NDC and screen by pytorch3d.org/docs/cameras; (0, 0) the corner of the top-left pixel."""
    height, width = p3d.image_size
    shorter = min(height, width)
    focal, centre = p3d.focal_length, p3d.principal_point
    if not p3d.in_ndc:
        focal, centre = focal * 2 / shorter, -(centre - [width / 2, height / 2]) * 2 / shorter
    view = points @ p3d.R + p3d.T
    ndc = focal * view[:, :2] / view[:, 2:] + centre
    return [width / 2, height / 2] - ndc * shorter / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_opengl_sees_points_on_the_same_pixels(seed, kind):
    camera, points = camera_and_points(seed, kind, skew=4.0)
    seen, z = seen_by_opengl(camera.to_opengl(), points)
    assert close(seen, camera.project(points))
    depth = camera.project_masked(points).depth
    assert ((z > -1) & (z < 1)).all()
    assert (np.argsort(z) == np.argsort(depth)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_colmap_sees_points_on_the_same_pixels(seed, kind):
    camera, points = camera_and_points(seed, kind)
    colmap = camera.to_colmap()
    assert close(seen_by_colmap(colmap, points), camera.project(points) + 0.5)
    assert (colmap.model, colmap.width, colmap.height) == ("PINHOLE", camera.width, camera.height)
    assert np.linalg.norm(colmap.quaternion) == pytest.approx(1)
    assert colmap.quaternion[0] >= 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("in_ndc", [True, False])
def test_pytorch3d_sees_points_on_the_same_pixels(seed, kind, in_ndc):
    camera, points = camera_and_points(seed, kind)
    p3d = camera.to_pytorch3d(in_ndc=in_ndc)
    assert close(seen_by_pytorch3d(p3d, points), camera.project(points) + 0.5)
    assert p3d.image_size == (camera.height, camera.width)
    assert np.linalg.det(p3d.R) == pytest.approx(1)


THERE_AND_BACK = {
    "opengl": lambda camera: Camera.from_opengl(**vars(camera.to_opengl())),
    "opengl world to camera": lambda camera: Camera.from_opengl(
        camera.intrinsics, camera.width, camera.height, world_to_camera=camera.to_opengl().world_to_camera
    ),
    "colmap": lambda camera: Camera.from_colmap(**vars(camera.to_colmap())),
    "pytorch3d": lambda camera: Camera.from_pytorch3d(**vars(camera.to_pytorch3d())),
    "pytorch3d screen": lambda camera: Camera.from_pytorch3d(**vars(camera.to_pytorch3d(in_ndc=False))),
}


@pytest.mark.parametrize("name", THERE_AND_BACK)
@pytest.mark.parametrize("seed", SEEDS)
def test_there_and_back_is_the_same_camera(name, seed):
    camera, _ = camera_and_points(seed)
    back = THERE_AND_BACK[name](camera)
    assert close(back.intrinsics, camera.intrinsics)
    assert close(back.world_to_camera, camera.world_to_camera)
    assert (back.width, back.height) == (camera.width, camera.height)


@pytest.mark.parametrize("name", [name for name in THERE_AND_BACK if "world" not in name])
@pytest.mark.parametrize("seed", range(5))
def test_half_a_turn_goes_into_the_pose(name, seed):
    camera, points = camera_and_points(seed, KINDS["turned"])
    back = THERE_AND_BACK[name](camera)
    assert close(back.project(points), camera.project(points))
    assert (np.diag(back.intrinsics) > 0).all()
    assert not close(back.world_to_camera, camera.world_to_camera)


def test_known_cameras_are_where_the_conventions_have_them():
    """By hand, for signs that a there-and-back test cannot see."""
    intrinsics = np.array([[100, 0, 49.5], [0, 100, 99.5], [0, 0, 1.0]])
    # OpenGL: the identity looks along -z with y up.
    gl = Camera.from_opengl(intrinsics, 100, 200, camera_to_world=np.eye(4))
    assert close(gl.project([[0, 0, -5], [1, 0, -5], [0, 1, -5]]), [[49.5, 99.5], [69.5, 99.5], [49.5, 79.5]])
    # PyTorch3D: the identity looks along z with x left and y up; NDC is 1 at the left edge of the shorter side.
    p3d = {"R": np.eye(3), "T": np.zeros(3), "focal_length": 1.0, "principal_point": [0, 0], "image_size": (200, 100)}
    seen = Camera.from_pytorch3d(**p3d).project([[0, 0, 1], [1, 0, 1], [0, 2, 1]])
    assert close(seen, [[49.5, 99.5], [-0.5, 99.5], [49.5, -0.5]])
    # COLMAP: a quarter turn about z takes x to y; the middle of a picture of 100 pixels is 50.
    quarter = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    options = {"width": 100, "height": 200, "quaternion": quarter, "translation": [0, 0, 2]}
    for model, params in (("PINHOLE", [100, 100, 50, 100]), ("SIMPLE_PINHOLE", [100, 50, 100])):
        colmap = Camera.from_colmap(model=model, params=params, **options)
        assert close(colmap.project([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), [[49.5, 99.5], [49.5, 149.5], [-0.5, 99.5]])


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, -0.8], [0.48, 0.6, 0.64]])
@pytest.mark.parametrize("degrees", [0, 1e-7, 90, 179.99999, 180])
def test_quaternions_are_exact_at_every_angle(axis, degrees):
    """Half turns too, where the usual formula divides by 0."""
    half = np.radians(degrees) / 2
    expected = np.array([np.cos(half), *(np.sin(half) * np.array(axis))])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    pose = np.eye(4)  # by Rodrigues' formula
    pose[:3, :3] += np.sin(2 * half) * cross + (1 - np.cos(2 * half)) * cross @ cross
    found = Camera(np.eye(3), pose, 4, 4).to_colmap().quaternion
    assert np.abs(found @ expected) == pytest.approx(1, abs=1e-14)
    assert np.abs(np.abs(found) - np.abs(expected)).max() < 1e-14


@pytest.mark.parametrize("flip", ["horizontal", "vertical"])
@pytest.mark.parametrize("convert", ["to_opengl", "to_colmap", "to_pytorch3d"])
def test_mirrored_cameras_are_refused(flip, convert):
    camera, _ = camera_and_points(0)
    with pytest.raises(CalibrationError, match=r"mirrored pictures.*before the flip"):
        getattr(camera.flip(**{flip: True}), convert)()


@pytest.mark.parametrize("convert", ["to_colmap", "to_pytorch3d"])
def test_a_skew_is_refused_where_there_is_none(convert):
    camera, _ = camera_and_points(0, skew=2.5)
    with pytest.raises(CalibrationError, match=r"no skew, and the camera's is 2\.5 pixels"):
        getattr(camera, convert)()


def test_numbers_that_are_no_camera_of_the_convention_are_refused():
    rng = np.random.default_rng(0)
    colmap = vars(random_camera(rng).to_colmap())
    p3d = vars(random_camera(rng).to_pytorch3d())
    wrong = [
        ({"model": "OPENCV"}, "image_undistorter"),
        ({"model": ["PINHOLE"]}, "model is a name of COLMAP's"),
        ({"model": None}, "model is a name of COLMAP's"),
        ({"params": [1, 2, 3]}, "params has 4 numbers"),
        ({"params": [-1, 1, 5, 5]}, "Focal lengths are above 0"),
        ({"quaternion": [1, 0, 0]}, r"\(w, x, y, z\) of length 1"),
        ({"quaternion": [0, 0, 0, 0]}, "of length 1"),
        ({"quaternion": [np.nan, 0, 0, 1]}, "of length 1"),
        ({"translation": [[1, 2, 3]]}, "translation has 3 numbers"),
    ]
    for changes, message in wrong:
        with pytest.raises(CalibrationError, match=message):
            Camera.from_colmap(**{**colmap, **changes})
    for changes, message in (
        ({"R": np.stack([p3d["R"]] * 2)}, "one camera of a batch"),
        ({"focal_length": [1, 2, 3]}, "focal_length has the shape"),
        ({"R": np.diag([-1, 1, 1]) @ random_rotation(rng)}, "mirrors"),
    ):
        with pytest.raises(CalibrationError, match=message):
            Camera.from_pytorch3d(**{**p3d, **changes})
    with pytest.raises(SelectionError, match="image_size"):
        Camera.from_pytorch3d(**{**p3d, "image_size": (0, 10)})
    gl = random_camera(rng).to_opengl()
    for poses in ({}, {"camera_to_world": np.eye(4), "world_to_camera": np.eye(4)}):
        with pytest.raises(SelectionError, match="either camera_to_world or world_to_camera"):
            Camera.from_opengl(gl.intrinsics, 10, 10, **poses)
    for near, far in ((0, 1), (2, 1), (1, np.inf), (np.nan, 1), ("a", 2), (1, None), (np.array([1, 2]), 3)):
        with pytest.raises(SelectionError, match="0 < near < far"):
            gl.projection(near, far)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pytorch3d_holds_one_camera_as_a_batch_of_one(dtype):
    """Its cameras have R (N, 3, 3), T (N, 3), focal_length and principal_point (N, 2), image_size (N, 2) of floats."""
    camera, points = camera_and_points(4)
    held = {name: value for name, value in vars(camera.to_pytorch3d()).items() if name != "in_ndc"}
    batch = {name: np.asarray(value, dtype)[None] for name, value in held.items()}
    assert batch["R"].shape == (1, 3, 3)
    assert batch["image_size"].shape == (1, 2)
    back = Camera.from_pytorch3d(**batch)
    assert (back.width, back.height) == (camera.width, camera.height)
    assert np.allclose(back.project(points), camera.project(points), atol=1e-6 if dtype is np.float64 else 1e-2)
    for focal in (np.array([1.5]), np.array([[1.5]]), 1.5):
        assert Camera.from_pytorch3d(**{**batch, "focal_length": focal}).intrinsics[0, 0] == pytest.approx(
            1.5 * min(camera.width, camera.height) / 2
        )


@pytest.mark.parametrize(
    ("name", "shape"),
    [("R", (2, 3, 3)), ("R", (1, 1, 3, 3)), ("R", (3, 4)), ("T", (2, 3)), ("focal_length", (2, 2)), ("T", (3, 1))],
)
def test_other_shapes_of_pytorch3d_are_named_as_they_were_given(name, shape):
    given = vars(camera_and_points(4)[0].to_pytorch3d())
    with pytest.raises(CalibrationError, match=re.escape(f"not {shape}")) as caught:
        Camera.from_pytorch3d(**{**given, name: np.zeros(shape)})
    assert str(caught.value).startswith(f"{name} has the shape ")


@pytest.mark.parametrize(
    "size",
    [5, None, "ab", (1, 2, 3), np.zeros((2, 2)), [[1], [2, 3]], (4.5, 5), (np.inf, 5), (True, False), ("4", "5")],
)
def test_what_is_no_size_is_refused(size):
    given = vars(camera_and_points(4)[0].to_pytorch3d())
    with pytest.raises(SelectionError, match="image_size is"):
        Camera.from_pytorch3d(**{**given, "image_size": size})
