"""Colours come out as the official kit makes them, and cameras keep their geometry."""

from __future__ import annotations

import numpy as np
import pytest

import nersemble
from nersemble.color import EXPANSIONS
from nersemble.errors import CalibrationError

PICTURE = np.array(
    [
        [[0, 0, 0], [255, 255, 255], [200, 30, 90], [10, 11, 12]],
        [[128, 64, 32], [3, 250, 100], [77, 77, 200], [254, 1, 128]],
    ],
    np.uint8,
)
#: What `correct_color` of the official kit 0.0.6 gives for PICTURE and the matrix of `matrix(width)`.
FROM_THE_KIT = {
    3: [0, 0, 0, 255, 228, 255, 195, 0, 96, 10, 8, 12, 125, 51, 43, 65, 231, 115, 79, 62, 194, 248, 0, 134],
    4: [0, 68, 0, 251, 246, 231, 188, 57, 73, 0, 70, 0, 112, 85, 0, 23, 244, 58, 51, 105, 179, 243, 27, 115],
    5: [0, 0, 55, 244, 252, 247, 186, 0, 88, 0, 0, 57, 108, 29, 54, 0, 240, 99, 40, 74, 198, 241, 0, 117],
    7: [55, 68, 63, 247, 248, 247, 201, 89, 110, 58, 70, 65, 136, 96, 74, 85, 248, 107, 95, 94, 194, 251, 90, 142],
    8: [68, 0, 0, 254, 244, 231, 204, 11, 22, 70, 0, 0, 141, 49, 0, 93, 232, 36, 102, 36, 181, 253, 0, 87],
    10: [0, 66, 0, 253, 240, 238, 192, 35, 77, 0, 67, 0, 116, 82, 0, 76, 236, 73, 64, 102, 174, 248, 0, 130],
    11: [0, 0, 69, 246, 253, 240, 187, 0, 93, 0, 8, 70, 107, 55, 68, 60, 242, 74, 43, 95, 197, 244, 0, 115],
    14: [68, 34, 0, 252, 248, 235, 204, 68, 34, 70, 37, 0, 141, 75, 0, 103, 243, 0, 107, 61, 175, 251, 82, 103],
    16: [0, 0, 0, 254, 234, 248, 199, 0, 108, 10, 8, 11, 126, 47, 48, 103, 224, 120, 80, 74, 187, 255, 0, 159],
    17: [0, 49, 56, 248, 252, 233, 189, 2, 90, 0, 52, 58, 108, 73, 58, 79, 245, 12, 43, 108, 190, 251, 0, 110],
    19: [0, 0, 0, 244, 244, 244, 195, 60, 100, 10, 10, 11, 126, 70, 47, 71, 246, 116, 83, 80, 192, 246, 59, 135],
    20: [66, 59, 0, 250, 249, 241, 204, 85, 75, 68, 61, 0, 140, 90, 0, 96, 247, 68, 105, 82, 180, 253, 92, 120],
    22: [0, 0, 0, 255, 229, 255, 195, 0, 98, 10, 8, 11, 126, 49, 46, 71, 230, 116, 83, 61, 193, 246, 0, 132],
    35: [0, 60, 0, 254, 237, 242, 192, 29, 79, 0, 62, 0, 118, 78, 0, 80, 232, 99, 71, 93, 177, 248, 0, 139],
}


def matrix(width):
    return np.eye(3, width) * 0.9 + 0.06 * np.sin(1 + np.arange(3 * width).reshape(3, width))


@pytest.mark.parametrize("width", FROM_THE_KIT)
def test_every_width_of_matrix_means_what_it_means_to_the_kit(width):
    corrected = nersemble.correct_color(PICTURE, matrix(width))
    assert corrected.dtype == np.uint8
    assert corrected.reshape(-1).tolist() == FROM_THE_KIT[width]


def test_every_width_is_tested():
    assert set(EXPANSIONS) == set(FROM_THE_KIT)


def test_floats_are_corrected_without_rounding():
    exact = nersemble.correct_color(PICTURE / 255, matrix(3))
    assert exact.dtype == np.float64
    assert np.array_equal(np.clip(exact * 255, 0, 255).astype(np.uint8), nersemble.correct_color(PICTURE, matrix(3)))


def test_batches_are_corrected_like_pictures():
    batch = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    single = [nersemble.correct_color(picture, matrix(10)) for picture in batch]
    assert np.array_equal(nersemble.correct_color(batch, matrix(10)), np.stack(single))


@pytest.mark.parametrize("shape", [(3, 6), (2, 3), (3,), (4, 4)])
def test_other_matrices_get_a_sentence(shape):
    with pytest.raises(CalibrationError, match="no known meaning"):
        nersemble.correct_color(PICTURE, np.ones(shape))


def test_a_resized_camera_sees_points_where_the_resized_picture_shows_them():
    intrinsics = np.array([[8185.0, 0, 1099.5], [0, 8185.0, 1603.5], [0, 0, 1]])
    camera = nersemble.Camera(intrinsics, np.eye(4), 2200, 3208)
    points = np.array([[0.0, 0, 1], [0.05, -0.1, 1.1], [-0.1, 0.15, 0.9]])
    quarter = camera.resize(550, 802)
    # The centre of pixel x moves to (x + 0.5) / 4 - 0.5: edges stay edges.
    assert np.allclose(quarter.project(points), (camera.project(points) + 0.5) / 4 - 0.5)
    assert np.allclose(quarter.intrinsics[:2, 2], [274.5, 400.5])
    assert np.allclose(quarter.resize(2200, 3208).intrinsics, intrinsics)


def test_a_point_behind_the_camera_is_refused():
    camera = nersemble.Camera(np.eye(3), np.eye(4), 10, 10)
    with pytest.raises(CalibrationError, match="behind the camera"):
        camera.project([[0, 0, -1]])
