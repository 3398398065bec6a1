"""Boxes are averaged by compiled code as Pillow averages them, to the bit, and only where that pays."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from nersemble.video import resize, resize_picture
from nersemble.video.averages import average_boxes, compile_boxes

FACTORS = [1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 33, 100, 257]


@pytest.fixture(scope="module")
def compiled():
    return compile_boxes(cache=False)


@pytest.mark.parametrize("across", FACTORS)
def test_averages_are_those_of_pillow(compiled, across):
    chance = np.random.default_rng(across)
    for down in FACTORS:
        width, height = max(1, 60 // across), max(1, 40 // down)
        shape = (height * down, width * across, 3)
        for picture in (
            chance.integers(0, 256, shape, np.uint8),
            np.full(shape, 255, np.uint8),
            np.zeros(shape, np.uint8),
        ):
            averages = np.empty((height, width, 3), np.uint8)
            compiled(picture.reshape(-1), 3 * width * across, across, down, averages)
            assert np.array_equal(averages, np.array(PIL.Image.fromarray(picture).reduce((across, down))))


def test_rows_may_lie_apart(compiled):
    whole = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    picture = whole[:, :32]
    averages = np.empty((6, 8, 3), np.uint8)
    compiled(whole.reshape(-1)[: 23 * 120 + 96], 120, 4, 4, averages)
    assert np.array_equal(averages, np.array(PIL.Image.fromarray(np.ascontiguousarray(picture)).reduce(4)))


def test_the_loop_is_what_it_says_uncompiled():
    picture = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    averages = np.empty((2, 4, 3), np.uint8)
    with np.errstate(over="ignore"):
        average_boxes(picture.reshape(-1), 36, 3, 4, averages)
    assert np.array_equal(averages, np.array(PIL.Image.fromarray(picture).reduce((3, 4))))


@pytest.mark.parametrize("view", [np.s_[:], np.s_[:, ::-1], np.s_[::-1], np.s_[:, :1536]], ids=str)
def test_large_pictures_are_the_same_before_and_after_code_is_loaded(monkeypatch, view):
    picture = np.random.default_rng(2).integers(0, 256, (1208, 2048, 3), np.uint8)[view]
    size = (picture.shape[1] // 4, picture.shape[0] // 4)
    monkeypatch.setattr(resize, "_large_pictures", 0)
    before = resize_picture(picture, size)
    monkeypatch.setattr(resize, "_large_pictures", resize.PAYS_AFTER)
    after = resize_picture(picture, size)
    assert np.array_equal(before, after)
    assert after.flags.c_contiguous
    assert after.flags.writeable


def test_numba_is_loaded_when_it_pays_and_no_sooner():
    code = """
import sys, numpy as np
from nersemble.video import resize, resize_picture
small, large = np.zeros((400, 400, 3), np.uint8), np.zeros((1600, 1600, 3), np.uint8)
for _ in range(100): resize_picture(small, (100, 100))
for _ in range(resize.PAYS_AFTER): resize_picture(large, (400, 400))
print("numba" in sys.modules)
resize_picture(large, (400, 400))
print("numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
