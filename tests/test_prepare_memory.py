"""How much memory a worker takes for a unit: no decoded picture outlives its turn."""

from __future__ import annotations

import shutil
import subprocess
import sys
import weakref
from operator import itemgetter
from pathlib import Path
from typing import Any

import _videos
import pytest
from _prepared import small_plan

from nersemble import VideoDecoder
from nersemble.prepare.shard import GROUP_BYTES
from nersemble.prepare.work import run_unit
from nersemble.video.rgb import RgbConverter

WIDTH, HEIGHT, FRAMES = 2200, 3208, 16
CAMERAS = ("222200037", "222200042")
SEQUENCE = "240/sequences/EXP-1-head"

#: Holes that the allocator leaves are as large as a picture, and differ from run to run: one of so many must be within.
PROCESSES = 3
#: Bytes that a second unit takes at most beyond those before it, as a process of its own says them.
UNIT = """
import sys
from pathlib import Path
from nersemble import prepare
from nersemble.cores import be_worker
from nersemble.prepare.work import run_unit

def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024

source, out, rows = sys.argv[1:]
asked = {"participants": 240, "sequences": "EXP-1-head", "data_dir": source, "scale": 0.25, "rows": rows}
plan = prepare.plan(**asked, color_correction=True)
be_worker()
peaks = []
for number in range(2):
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    told = run_unit(plan.job(Path(out) / str(number)), plan.units[0])
    assert told.outcome == "written", told
    peaks.append(resident("VmHWM") - before)
print(peaks[1])
"""


@pytest.fixture(scope="module")
def full_size(tmp_path_factory, demo_folder) -> Path:
    """The capture of two cameras, with videos as large as the data set's."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copytree(Path(demo_folder) / "240/calibration", folder / "240/calibration")
    options = _videos.x264("keyint=12:min-keyint=12:bframes=3:ref=3") | {"preset": "veryfast"}
    video = _videos.encode(options=options, count=FRAMES, size=(WIDTH, HEIGHT), noise=4)
    images = folder / SEQUENCE / "images"
    images.mkdir(parents=True)
    for camera in CAMERAS:
        (images / f"cam_{camera}.mp4").write_bytes(video)
    return folder


@pytest.mark.parametrize("rows", ["timestep", "frame", "video"])
def test_a_unit_takes_little_more_memory_than_the_frames_in_flight(full_size, tmp_path, rows):
    pixels = WIDTH * HEIGHT
    flight = 8 * pixels * 3 // 2 + 3 * pixels + 3 * pixels // 16  # of the codec, the RGB picture, its resized copy
    waiting = 2 * GROUP_BYTES if rows == "frame" else 0  # encoded, until their row group is full; and its table
    if rows == "video":
        flight += 48 * pixels * 3 // 2 // 16  # x264 decides with 40 pictures before it, and holds a few behind it
    taken: list[int] = []
    while len(taken) < PROCESSES and not any(peak < 1.5 * flight + waiting for peak in taken):
        command = [sys.executable, "-c", UNIT, str(full_size), str(tmp_path / str(len(taken))), rows]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        taken.append(int(done.stdout))
    assert min(taken) < 1.5 * flight + waiting, taken


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("rows", ["timestep", "frame", "video"])
def test_no_picture_of_a_unit_is_held_while_the_next_one_is_decoded(demo_folder, tmp_path, monkeypatch, rows, colour):
    given: list[weakref.ref[Any]] = []
    held: list[int] = []
    to_rgb = RgbConverter.picture

    def watched(*arguments):
        held.append(sum(picture() is not None for picture in given))
        picture = to_rgb(*arguments)
        given.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(RgbConverter, "picture", watched)
    plan = small_plan(demo_folder, rows=rows, scale=None, color_correction=colour)
    assert run_unit(plan.job(tmp_path), plan.units[0]).outcome == "written"
    assert len(held) > 10
    assert set(held) == {0}


def test_a_pass_holds_no_picture_that_was_given(full_size):
    with VideoDecoder(full_size / SEQUENCE / f"images/cam_{CAMERAS[0]}.mp4") as decoder:
        for pictures in (iter(decoder), map(itemgetter(1), decoder.read_many(range(3)))):
            picture = next(pictures)
            held = weakref.ref(picture)
            del picture
            assert held() is None
