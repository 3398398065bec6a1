"""A camera stays exact through every transform of its picture, and refuses what is no camera."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re

import numpy as np
import pytest
from _cameras import close, points_before, random_camera, random_step

import nersemble
from nersemble.camera import Calibration, scaled_size
from nersemble.errors import CalibrationError, SelectionError

SEEDS = range(20)


def camera_of(**changes):
    intrinsics = np.array([[800.0, 0, 49.5], [0, 900.0, 79.5], [0, 0, 1]])
    fields = {"intrinsics": intrinsics, "world_to_camera": np.eye(4), "width": 100, "height": 160}
    return nersemble.Camera(**{**fields, **changes})


# --- points and rays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_projection_is_its_definition_on_any_batch(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, skew=2.0)
    points = points_before(camera, rng, 24)
    expected = []
    for point in points:
        x, y, z = camera.world_to_camera[:3, :3] @ point + camera.world_to_camera[:3, 3]
        (fx, skew, cx), (_, fy, cy) = camera.intrinsics[:2]
        expected.append([(fx * x + skew * y) / z + cx, fy * y / z + cy])
    assert close(camera.project(points), expected)
    batch = camera.project(points.reshape(2, 3, 4, 3))
    assert batch.shape == (2, 3, 4, 2)
    assert close(batch.reshape(24, 2), expected)
    assert close(camera.project(points[0]), expected[0])
    assert camera.project(np.empty((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("flip", [{}, {"horizontal": True}, {"horizontal": True, "vertical": True}])
def test_unprojecting_undoes_projecting(seed, flip):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, skew=-3.0).flip(**flip)
    points = points_before(camera, rng)
    seen = camera.project_masked(points)
    assert close(camera.unproject(seen.pixels, seen.depth), points)
    local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    assert close(seen.depth, local[:, 2])  # z, not the distance


@pytest.mark.parametrize("seed", SEEDS)
def test_rays_go_from_the_camera_through_what_its_pixels_see(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, skew=1.0)
    points = points_before(camera, rng)
    origins, directions = camera.rays(camera.project(points))
    assert close(np.linalg.norm(directions, axis=-1), 1)
    assert close(origins, camera.position)
    away = points - camera.position
    assert close(away, directions * np.linalg.norm(away, axis=1, keepdims=True))


def test_rays_of_a_picture_are_those_of_its_pixel_centres():
    camera = random_camera(np.random.default_rng(0))
    origins, directions = camera.rays()
    assert origins.shape == directions.shape == (camera.height, camera.width, 3)
    assert close(camera.project(origins[7, 31] + 1.7 * directions[7, 31]), [31, 7])
    origins[0, 0] = 0  # an array of one's own, not a view of one row
    assert origins[0, 1].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_poses_are_given_either_way(seed):
    camera = random_camera(np.random.default_rng(seed))
    assert close(camera.camera_to_world @ camera.world_to_camera, np.eye(4))
    assert close(camera.world_to_camera @ np.append(camera.position, 1), [0, 0, 0, 1])
    same = nersemble.Camera.from_camera_to_world(camera.intrinsics, camera.camera_to_world, camera.width, camera.height)
    assert close(same.world_to_camera, camera.world_to_camera)


def test_points_behind_the_camera_are_an_error_or_masked():
    camera = camera_of()
    points = np.array([[0, 0, 1.0], [0, 0, 0], [0, 0, -1], [9, 0, 1], [np.nan, 0, 1]])
    with pytest.raises(CalibrationError, match=r"2 of 4 points lie on or behind the camera.*project_masked"):
        camera.project(points[:4])
    with pytest.raises(CalibrationError, match="NaN"):
        camera.project(points)
    pixels, depth, in_front, inside = camera.project_masked(points)
    assert in_front.tolist() == [True, False, False, True, False]
    assert inside.tolist() == [True, False, False, False, False]
    assert np.array_equal(depth, [1, 0, -1, 1, np.nan], equal_nan=True)
    assert np.array_equal(np.isnan(pixels).any(axis=1), ~in_front)
    single = camera.project_masked([0, 0, 1])
    assert single.pixels.shape == (2,)
    assert single.inside.shape == ()
    assert single.inside


def test_inside_reaches_from_edge_to_edge():
    camera = camera_of()
    pixels = [[-0.5, 0], [-0.51, 0], [99.49, 0], [99.5, 0], [0, -0.51], [0, 159.49], [0, 159.5]]
    inside = camera.project_masked(camera.unproject(pixels, 1.0)).inside
    assert inside.tolist() == [True, False, True, False, False, True, False]


def test_the_field_of_view_is_in_degrees_and_opens_between_the_edges():
    camera = camera_of()
    left, right = camera.rays([[-0.5, 79.5], [99.5, 79.5]]).directions
    assert camera.fov_x == pytest.approx(np.degrees(np.arccos(left @ right)))
    top, bottom = camera.rays([[49.5, -0.5], [49.5, 159.5]]).directions
    assert camera.fov_y == pytest.approx(np.degrees(np.arccos(top @ bottom)))
    for changed in (camera.resize(50, 80), camera.flip(horizontal=True)):
        assert changed.fov_x == pytest.approx(camera.fov_x)


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100))
def test_transforming_then_projecting_is_projecting_then_moving_the_pixel(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, skew=float(rng.normal()))
    points = points_before(camera, rng)
    pixels = camera.project(points)
    pose = camera.world_to_camera
    for _ in range(rng.integers(1, 8)):
        name, arguments, move = random_step(rng, (camera.width, camera.height))
        camera, pixels = getattr(camera, name)(**arguments), move(pixels)
        assert close(camera.project(points), pixels), (name, arguments)
        assert np.array_equal(camera.world_to_camera, pose)


@pytest.mark.parametrize("seed", SEEDS)
def test_transforms_are_undone_by_their_opposites(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng)
    there_and_back = {
        "flip": camera.flip(horizontal=True, vertical=True).flip(vertical=True).flip(horizontal=True),
        "pad": camera.pad(3, 5, 7, 9).crop(3, 5, camera.width, camera.height),
        "resize": camera.resize(77, 33).resize(camera.width, camera.height),
        "nothing": camera.crop(0, 0, camera.width, camera.height).pad().scale(1.0).flip(),
    }
    for name, back in there_and_back.items():
        assert close(back.intrinsics, camera.intrinsics), name
        assert (back.width, back.height) == (camera.width, camera.height)


def test_a_scale_gives_the_size_that_rows_have():
    full = camera_of(width=2200, height=3208)
    for scale in (0.25, 0.71, 1 / 3, 0.0001, 2):
        scaled = full.scale(scale)
        assert (scaled.width, scaled.height) == scaled_size((2200, 3208), scale, None)
        expected = nersemble.resize_intrinsics(full.intrinsics, (2200, 3208), (scaled.width, scaled.height))
        assert np.array_equal(scaled.intrinsics, expected)


@pytest.mark.parametrize("size", [(0, 320), (-5, 320), (np.nan, 320), (np.inf, 320), (320,), None, (3, 4, 3)])
def test_intrinsics_are_not_resized_from_or_to_an_empty_picture(size):
    for name in ("old", "new"):
        with pytest.raises(SelectionError, match=rf"{name} is the \(width, height\) of a picture"):
            nersemble.resize_intrinsics(np.eye(3), **{"old": (64, 48), "new": (32, 24), name: size})
    with pytest.raises(CalibrationError, match="old is no array of numbers"):
        nersemble.resize_intrinsics(np.eye(3), "ab", (32, 24))


def test_a_flip_mirrors_until_it_is_flipped_the_other_way_too():
    camera = camera_of()
    across, down = camera.flip(horizontal=True), camera.flip(vertical=True)
    assert across.intrinsics.tolist() == [[-800, 0, 49.5], [0, 900, 79.5], [0, 0, 1]]
    assert down.intrinsics.tolist() == [[800, 0, 49.5], [0, -900, 79.5], [0, 0, 1]]
    assert [one.is_mirrored for one in (camera, across, down, across.flip(vertical=True))] == [0, 1, 1, 0]
    assert camera.crop(0, 0, 50, 160).flip(horizontal=True).intrinsics[0, 2] == 49 - 49.5


# --- what is no camera ------------------------------------------------------------------------------------------------


def pose_of(rotation):
    pose = np.eye(4)
    pose[:3, :3] = rotation
    return pose


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intrinsics": np.eye(4)}, "3 x 3 matrix, not an array of shape (4, 4)"),
        ({"intrinsics": np.ones((16, 3, 3))}, "a stack of several cameras"),
        ({"intrinsics": np.full((3, 3), np.nan)}, "NaN"),
        ({"intrinsics": "focal"}, "intrinsics is no array of numbers"),
        ({"intrinsics": [[1, 0], [0, 1, 0]]}, "intrinsics is no array of numbers"),
        ({"intrinsics": np.eye(3) + 0j}, "intrinsics is no array of numbers: it is complex"),
        ({"intrinsics": np.array([[800, 0, 0], [0, 800, 0], [50, 80, 1]])}, "Are they transposed"),
        ({"intrinsics": 2 * np.eye(3)}, "divide them by their last number"),
        ({"intrinsics": np.diag([0, 800, 1])}, "focal length of 0"),
        ({"world_to_camera": np.eye(4)[:3]}, "4 x 4 matrix, not an array of shape (3, 4)"),
        ({"world_to_camera": np.full((4, 4), np.inf)}, "infinite"),
        ({"world_to_camera": pose_of(1.01 * np.eye(3))}, "not rigid"),
        ({"world_to_camera": pose_of([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]])}, "not rigid"),
        ({"world_to_camera": pose_of(np.diag([1, -1, 1]))}, "mirrors"),
        ({"world_to_camera": np.eye(4) + np.eye(4, k=-3)}, "transposed"),
    ],
)
def test_matrices_that_are_no_cameras_get_a_sentence(changes, message):
    with pytest.raises(CalibrationError, match=re.escape(message)):
        camera_of(**changes)


@pytest.mark.parametrize("size", [0, -1, 100.0, "100", None, True, np.float64(100)])
@pytest.mark.parametrize("name", ["width", "height"])
def test_sizes_that_are_no_whole_numbers_are_refused(name, size):
    with pytest.raises(SelectionError, match=name):
        camera_of(**{name: size})
    with pytest.raises(SelectionError, match=name):
        camera_of().resize(**{"width": 50, "height": 80, name: size})


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("crop", (0, 0, 0, 10), "width is 1 or more"),
        ("crop", (0, 0, 10, 0), "height is 1 or more"),
        ("crop", (-1, 0, 10, 10), "left is 0 or more"),
        ("crop", (91, 0, 10, 10), "over the edge of a picture of 100 x 160"),
        ("crop", (0, 151, 10, 10), "pad first"),
        ("crop", (0.5, 0, 10, 10), "whole number"),
        ("pad", (-1, 0, 0, 0), "left is 0 or more"),
        ("pad", (0, 0, 1.5, 0), "right is a whole number"),
        ("scale", (0,), "factor above 0"),
        ("scale", (np.inf,), "factor above 0"),
        ("scale", ("half",), "factor above 0"),
    ],
)
def test_transforms_that_leave_no_picture_are_refused(name, arguments, message):
    with pytest.raises(SelectionError, match=message):
        getattr(camera_of(), name)(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda camera: camera.project([[0, 0]]), r"points have shape \(..., 3\), not \(1, 2\)"),
        (lambda camera: camera.project(1), r"not \(\)"),
        (lambda camera: camera.unproject([[0, 0, 1]], 1), r"pixels have shape \(..., 2\)"),
        (lambda camera: camera.unproject(np.zeros((4, 2)), np.ones(3)), r"need a depth of shape \(4,\), not \(3,\)"),
        (lambda camera: camera.rays(np.zeros((4, 3))), "pixels have shape"),
    ],
)
def test_points_of_the_wrong_shape_get_a_sentence(call, message):
    with pytest.raises(CalibrationError, match=message):
        call(camera_of())


def test_rounded_matrices_are_cameras_all_the_same():
    """Matrices come through float32 in the numpy and torch formats of `datasets`."""
    camera = random_camera(np.random.default_rng(3))
    rounded = camera_of(
        intrinsics=camera.intrinsics.astype(np.float32).tolist(),
        world_to_camera=camera.world_to_camera.astype(np.float32),
        width=np.int32(camera.width),
    )
    assert rounded.intrinsics.dtype == rounded.world_to_camera.dtype == np.float64
    assert type(rounded.width) is int
    assert close(rounded.camera_to_world @ rounded.world_to_camera, np.eye(4))
    dusty = camera.world_to_camera + np.diag([1e-9] * 3, k=-1)
    assert camera_of(world_to_camera=dusty).world_to_camera[3].tolist() == [0, 0, 0, 1]


def test_a_camera_has_matrices_of_its_own_and_can_be_pickled():
    intrinsics = np.eye(3)
    camera = camera_of(intrinsics=intrinsics)
    intrinsics[0, 2] = 7
    assert camera.intrinsics[0, 2] == 0
    again = pickle.loads(pickle.dumps(camera))
    assert np.array_equal(again.world_to_camera, camera.world_to_camera)
    assert (again.width, again.height) == (100, 160)


# --- rows and calibrations --------------------------------------------------------------------------------------------


def row_of(camera, **changes):
    row = {"intrinsics": camera.intrinsics.tolist(), "world_to_camera": camera.world_to_camera.tolist()}
    return {**row, "width": camera.width, "height": camera.height, "camera": "222200037", **changes}


def test_a_row_makes_its_camera():
    camera = random_camera(np.random.default_rng(1))
    for row in (row_of(camera), row_of(camera, width=np.int32(camera.width))):
        made = nersemble.Camera.from_row(row)
        assert np.array_equal(made.intrinsics, camera.intrinsics)
        assert np.array_equal(made.world_to_camera, camera.world_to_camera)
        assert (made.width, made.height) == (camera.width, camera.height)


def test_a_row_without_a_camera_of_its_own_is_refused():
    row = row_of(camera_of())
    with pytest.raises(CalibrationError, match=r"CameraRig\.from_row"):
        nersemble.Camera.from_row({**row, "width": [100, 100], "cameras": ["222200037", "222200038"]})
    del row["width"], row["height"]
    with pytest.raises(CalibrationError, match=r"no width and no height.*make Camera\("):
        nersemble.Camera.from_row(row)
    for nothing in (None, 5):
        with pytest.raises(CalibrationError, match="no intrinsics"):
            nersemble.Camera.from_row(nothing)
        with pytest.raises(CalibrationError, match="no cameras"):
            nersemble.CameraRig.from_row(nothing)


@pytest.mark.parametrize("side", [99.5, None, np.nan, np.inf, 0, -3])
def test_a_row_without_a_whole_size_is_refused(side):
    row = row_of(camera_of())
    for name in ("width", "height"):
        with pytest.raises(SelectionError, match=f"{name} is "):
            nersemble.Camera.from_row({**row, name: side})
    assert nersemble.Camera.from_row({**row, "width": float(row["width"])}).width == row["width"]


def test_a_calibration_names_the_cameras_it_has():
    calibration = Calibration(np.eye(3), {"222200037": np.eye(4)})
    assert calibration.camera("222200037", 4, 5).height == 5
    with pytest.raises(CalibrationError, match="No camera '8' in the calibration: it has 222200037"):
        calibration.camera("8", 4, 5)


@pytest.mark.parametrize("size", [np.array([9, 9]), np.array(9.0), [9], None, "9"])
def test_a_size_that_is_no_number_is_refused_in_words(size):
    with pytest.raises(SelectionError, match="width is a whole number of pixels"):
        nersemble.Camera(np.eye(3), np.eye(4), size, 9)


COPIES = {
    "itself": lambda camera: camera,
    "a copy": copy.copy,
    "a deep copy": copy.deepcopy,
    "a pickle": lambda camera: pickle.loads(pickle.dumps(camera)),
    "an old pickle": lambda camera: pickle.loads(pickle.dumps(camera, 0)),
    "replaced": lambda camera: dataclasses.replace(camera, width=camera.width + 1),
    "resized": lambda camera: camera.resize(31, 17),
    "cut": lambda camera: camera.crop(1, 2, 5, 6),
    "padded": lambda camera: camera.pad(1, 2, 3, 4),
    "flipped": lambda camera: camera.flip(horizontal=True),
    "from a pose": lambda camera: nersemble.Camera.from_camera_to_world(
        camera.intrinsics, camera.camera_to_world, camera.width, camera.height
    ),
}


@pytest.mark.parametrize("made", COPIES)
def test_the_arrays_of_a_camera_are_its_own_and_never_change(made):
    matrix, pose = np.array([[100, 0, 50], [0, 100, 40], [0, 0, 1.0]]), np.eye(4)
    camera = COPIES[made](nersemble.Camera(matrix, pose, 100, 80))
    before = camera.intrinsics.copy(), camera.world_to_camera.copy()
    matrix[0, 0], pose[0, 3] = 7, 7
    for array in (camera.intrinsics, camera.world_to_camera):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 7
        with pytest.raises(ValueError, match="read-only"):
            array *= 2
    assert np.array_equal(camera.intrinsics, before[0])
    assert np.array_equal(camera.world_to_camera, before[1])


def test_what_a_camera_makes_can_be_written_to():
    """Arrays that nobody else holds."""
    camera = nersemble.Camera(np.array([[100, 0, 50], [0, 100, 40], [0, 0, 1.0]]), np.eye(4), 4, 3)
    rig = nersemble.CameraRig({"222200037": camera})
    gl, colmap, p3d = camera.to_opengl(), camera.to_colmap(), camera.to_pytorch3d()
    made = [
        *(camera.position, camera.camera_to_world, *camera.rays(), camera.unproject([[1, 2]], 3.0)),
        *(gl.intrinsics, gl.camera_to_world, gl.world_to_camera, gl.projection(0.1, 1.0)),
        *(colmap.params, colmap.quaternion, colmap.translation, p3d.R, p3d.T, p3d.focal_length, p3d.principal_point),
        *(rig.intrinsics, rig.world_to_camera, rig.camera_to_world, rig.positions),
    ]
    for array in made:
        array[...] = 1
    assert camera.intrinsics[0, 0] == 100
    assert camera.position.tolist() == [0, 0, 0]
