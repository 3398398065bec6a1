"""The cameras of a capture together: named two ways, in rig order, consistent with each camera alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from _cameras import close, random_camera

import nersemble
from nersemble.camera import Calibration
from nersemble.demo import demo_rig, landmarks
from nersemble.errors import CalibrationError, SelectionError
from nersemble.layout import FRONTAL_SERIAL, SERIALS

CameraRig = nersemble.CameraRig
POINTS = np.array(list(landmarks(240, "EXP-1-head", 9).values()))


@pytest.fixture(scope="module")
def calibration():
    rig = demo_rig(240, 550, 802)
    backwards = {serial: rig.world_to_camera[serial] for serial in reversed(SERIALS)}
    return Calibration(rig.intrinsics, backwards)


@pytest.fixture(scope="module")
def rig(calibration):
    return CameraRig.from_calibration(calibration, 550, 802)


def test_a_rig_holds_the_cameras_of_its_calibration_in_rig_order(rig, calibration):
    assert rig.serials == tuple(rig) == SERIALS
    assert len(rig) == 16
    for serial, camera in rig.items():
        alone = calibration.camera(serial, 550, 802)
        assert np.array_equal(camera.world_to_camera, alone.world_to_camera)
        assert np.array_equal(camera.intrinsics, alone.intrinsics)
        assert (camera.width, camera.height) == (550, 802)


def test_a_camera_is_named_by_serial_or_by_number(rig):
    for number, serial in enumerate(SERIALS):
        assert rig[serial] is rig[number] is rig[np.int64(number)] is rig[int(serial)]
        assert rig.serial(number) == rig.serial(serial) == serial
        assert serial in rig
        assert number in rig
    assert rig.frontal is rig[8] is rig.get(8)
    assert rig.get("222200099", "none") == "none"
    assert None not in rig
    assert True not in rig


def test_numbers_stay_those_of_the_papers_in_a_subset(rig):
    few = rig.select([8, "222200042", 3])
    assert few.serials == (SERIALS[0], SERIALS[3], FRONTAL_SERIAL)
    assert few[8] is rig[8]
    assert 1 not in few
    rest = rig.without([8])
    assert len(rest) == 15
    assert 8 not in rest
    assert rig.select(rest).serials == rest.serials


@pytest.mark.parametrize(
    ("camera", "hint"),
    [
        ("8", "Did you mean the number 8, without quotes"),
        ("22220037", "Did you mean 222200037"),
        (16, "by their number in papers, 0 to 15"),
        (-1, "no camera -1"),
        (None, "no camera None"),
        (2.0, r"no camera 2\.0"),
    ],
)
def test_a_camera_that_is_not_there_is_a_selection_error_with_a_hint(rig, camera, hint):
    for ask in (rig.serial, rig.__getitem__, lambda name: rig.select([name]), lambda name: rig.without([name])):
        with pytest.raises(SelectionError, match=hint):
            ask(camera)


def test_rigs_without_cameras_and_selections_that_are_no_list_are_refused(rig):
    with pytest.raises(SelectionError, match="at least one camera"):
        CameraRig({})
    with pytest.raises(SelectionError, match="at least one camera"):
        rig.without(rig)
    with pytest.raises(SelectionError, match="Cameras are a list"):
        rig.select(FRONTAL_SERIAL)
    with pytest.raises(SelectionError, match="Cameras are a list"):
        rig.without(8)
    with pytest.raises(SelectionError, match="no camera '222200037'"):
        rig.without([8]).frontal  # noqa: B018


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resize", (137, 200)),
        ("scale", (0.25,)),
        ("crop", (10, 20, 300, 400)),
        ("pad", (1, 2, 3, 4)),
    ],
)
def test_all_pictures_are_transformed_alike(rig, name, arguments):
    changed = getattr(rig, name)(*arguments)
    for serial in SERIALS:
        alone = getattr(rig[serial], name)(*arguments)
        assert np.array_equal(changed[serial].intrinsics, alone.intrinsics)
        assert (changed[serial].width, changed[serial].height) == (alone.width, alone.height)
    assert rig[0].width == 550


def test_flips_and_boxes_of_each_camera_go_through_too(rig):
    assert all(camera.is_mirrored for camera in rig.flip(horizontal=True).values())

    def around_the_head(camera):
        x, y = np.rint(camera.project(POINTS).mean(axis=0)).astype(int)
        return camera.crop(x - 100, y - 100, 200, 200)

    assert np.abs(rig.apply(around_the_head).project(POINTS).mean(axis=1) - 100).max() <= 0.5


def test_arrays_are_stacked_in_rig_order(rig):
    assert rig.intrinsics.shape == (16, 3, 3)
    assert rig.world_to_camera.shape == rig.camera_to_world.shape == (16, 4, 4)
    for index, camera in enumerate(rig.values()):
        assert np.array_equal(rig.intrinsics[index], camera.intrinsics)
        assert np.array_equal(rig.world_to_camera[index], camera.world_to_camera)
        assert close(rig.camera_to_world[index], camera.camera_to_world)
        assert close(rig.positions[index], camera.position)


def test_relative_poses_take_points_from_one_camera_to_the_other(rig):
    point = np.array([0.02, -0.03, 1.1, 1])  # in camera a's frame
    for a, b in ((0, 15), ("222200037", 3), (5, 5)):
        moved = rig.relative_pose(a, b) @ point
        world = rig[a].camera_to_world @ point
        assert close(moved, rig[b].world_to_camera @ world)
    chain = rig.relative_pose(3, 7) @ rig.relative_pose(1, 3)
    assert close(chain, rig.relative_pose(1, 7))


def test_points_are_projected_into_every_camera(rig):
    pixels = rig.project(POINTS.reshape(2, 3, 3))
    assert pixels.shape == (16, 2, 3, 2)
    assert close(pixels[4].reshape(6, 2), rig[4].project(POINTS))
    behind = [*POINTS, rig[4].position - rig[4].world_to_camera[2, :3]]
    seen = rig.project_masked(behind)
    assert seen.pixels.shape == (16, 7, 2)
    assert seen.depth.shape == seen.in_front.shape == seen.inside.shape == (16, 7)
    assert seen.in_front[4].tolist() == [True] * 6 + [False]
    with pytest.raises(CalibrationError, match="1 of 7 points"):
        rig.project(behind)


# --- triangulation ----------------------------------------------------------------------------------------------------


def test_exact_pixels_give_back_their_points(rig):
    pixels = rig.project(POINTS.reshape(2, 3, 3))
    assert close(rig.triangulate(pixels), POINTS.reshape(2, 3, 3))
    assert close(rig.triangulate(pixels[:, 1, 2]), POINTS[5])
    pixels[3:, 0, 0] = np.nan
    pixels[1, 0, 0] = np.nan  # two are left of this point
    pixels[:9, 1] = np.nan
    assert close(rig.triangulate(pixels), POINTS.reshape(2, 3, 3))
    pair = rig.select([2, 9]).flip(horizontal=True)
    assert close(pair.triangulate(pair.project(POINTS)), POINTS)


def test_no_other_point_is_nearer_to_the_rays_of_inexact_pixels(rig):
    rng = np.random.default_rng(0)
    few = rig.select([1, 6, 8, 12])
    pixels = few.project(POINTS) + rng.normal(size=(4, 6, 2))

    def cost(points):
        total = 0
        for camera, row in zip(few.values(), pixels, strict=True):
            origins, directions = camera.rays(row)
            total += (np.cross(points - origins, directions) ** 2).sum(axis=1)
        return total

    best = few.triangulate(pixels)
    for _ in range(50):
        assert (cost(best + rng.normal(scale=1e-5, size=best.shape)) > cost(best)).all()
    assert np.linalg.norm(best - POINTS, axis=1).max() < 2e-3


def test_points_that_two_rays_do_not_fix_are_refused(rig):
    pixels = rig.project(POINTS)
    lonely = pixels.copy()
    lonely[1:, 2] = np.nan
    with pytest.raises(CalibrationError, match="fewer than two cameras"):
        rig.triangulate(lonely)
    for wrong in (pixels[:5], pixels[..., 0], pixels[0, 0]):
        with pytest.raises(CalibrationError, match=r"Pixels have shape \(16, \.\.\., 2\)"):
            rig.triangulate(wrong)
    camera = random_camera(np.random.default_rng(0))
    twins = CameraRig({"1": camera, "2": camera.scale(0.5)})
    with pytest.raises(CalibrationError, match="parallel"):
        twins.triangulate(twins.project(camera.unproject([[10, 20]], 1.0)))


# --- rows, files, pickles ---------------------------------------------------------------------------------------------


def row_of(rig):
    return {
        "cameras": list(rig),
        "width": [camera.width for camera in rig.values()],
        "height": [camera.height for camera in rig.values()],
        "intrinsics": rig.intrinsics.tolist(),
        "world_to_camera": rig.world_to_camera.tolist(),
    }


def test_a_row_of_a_moment_makes_its_rig(rig):
    few = rig.select([3, 8, 11])
    made = CameraRig.from_row(row_of(few))
    assert made.serials == few.serials
    assert np.array_equal(made.intrinsics, few.intrinsics)
    assert np.array_equal(made.world_to_camera, few.world_to_camera)
    with pytest.raises(CalibrationError, match=r"no cameras.*Camera\.from_row"):
        CameraRig.from_row({"camera": "222200037", **{k: v for k, v in row_of(few).items() if k != "cameras"}})


def test_rows_of_the_data_set_make_cameras_and_rigs(access, cache):
    name, options = "participant_240__sequence_EXP-1-head", {"split": "train", "cache_dir": cache, "scale": 0.5}
    moments = nersemble.load_dataset(name, view="timestep", timesteps="38:40", **options)
    frames = nersemble.load_dataset(name, timesteps="38:40", **options)
    first = {row["camera"]: nersemble.Camera.from_row(row) for row in frames if row["timestep"] == 38}
    for kind in (None, "numpy"):
        rig = CameraRig.from_row(moments.with_format(kind)[0])
        assert len(rig) == 15  # one camera of the demo is three frames short
        assert SERIALS[5] not in rig
        assert set(rig) == set(first)
        for serial, camera in rig.items():
            assert np.allclose(camera.intrinsics, first[serial].intrinsics, rtol=1e-6)
            assert np.allclose(camera.world_to_camera, first[serial].world_to_camera, atol=1e-6)
            assert (camera.width, camera.height) == (138, 201)


def test_a_bad_matrix_is_named_with_its_camera(calibration):
    poses = dict(calibration.world_to_camera)
    poses[SERIALS[3]] = 2 * poses[SERIALS[3]]
    with pytest.raises(CalibrationError, match=f"Camera {SERIALS[3]}: The last row of world_to_camera"):
        CameraRig.from_calibration(Calibration(calibration.intrinsics, poses), 550, 802)


def test_a_rig_can_be_pickled_and_says_what_it_holds(rig):
    few = pickle.loads(pickle.dumps(rig.select([8, 0])))
    assert np.array_equal(few.world_to_camera, rig.select([0, 8]).world_to_camera)
    assert repr(few) == "CameraRig of 222200042, 222200037"


def test_columns_of_unequal_length_are_named(rig):
    row = row_of(rig)
    assert CameraRig.from_row(row).serials == rig.serials
    for name in row:
        with pytest.raises(CalibrationError, match=f"different lengths: .*{name} 15"):
            CameraRig.from_row({**row, name: row[name][1:]})
    with pytest.raises(CalibrationError, match=r"cameras 16, .*width no list"):
        CameraRig.from_row({**row, "width": 550})
    with pytest.raises(CalibrationError, match="Is it a batch"):
        CameraRig.from_row({name: [column] for name, column in row.items()})


def test_a_row_names_each_camera_once_with_its_size(rig):
    row = row_of(rig)
    assert CameraRig.from_row({**row, "width": np.array(row["width"], float)}).frontal.width == rig.frontal.width
    with pytest.raises(CalibrationError, match=f"camera {SERIALS[0]} twice"):
        CameraRig.from_row({name: [*column, column[0]] for name, column in row.items()})
    for name, side in (("width", 99.5), ("height", None), ("height", 0)):
        with pytest.raises(SelectionError, match=f"{name} is "):
            CameraRig.from_row({**row, name: [*row[name][1:], side]})
    with pytest.raises(CalibrationError, match="The column width holds lists"):
        CameraRig.from_row({**row, "width": [[side] for side in row["width"]]})


def test_an_array_is_no_name_of_a_camera(rig):
    assert rig[np.array(8)] is rig[np.int64(8)] is rig.frontal
    for camera in (np.array([8]), np.array(8.0), [8]):
        assert camera not in rig
        with pytest.raises(SelectionError, match="The rig has no camera"):
            rig[camera]


def test_a_rig_is_made_of_cameras_by_serial(rig):
    camera = rig.frontal
    for cameras in ([camera], camera, None, "222200037", [("222200037", camera)]):
        with pytest.raises(SelectionError, match="a mapping of serials to cameras"):
            CameraRig(cameras)
    with pytest.raises(SelectionError, match="Camera 222200037 is a ndarray, not a Camera"):
        CameraRig({"222200042": camera, "222200037": camera.intrinsics})
    with pytest.raises(SelectionError, match=r"named by serial, .* not 8"):
        CameraRig({8: camera})
    with pytest.raises(SelectionError, match="NoneType, not a Camera"):
        rig.apply(lambda _: None)
