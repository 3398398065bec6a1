"""Rows of a batch, and the cameras of a moment, are read in one pass, and give PIL images like any others."""

from __future__ import annotations

import copy
import io
import pickle
import threading

import datasets
import numpy as np
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import pytest
from datasets import load_dataset

import nersemble
from nersemble import frames
from nersemble.demo import read_identity
from nersemble.errors import FrameError
from nersemble.opening import close_videos
from nersemble.pictures import FramePicture

NAME = "participant_240__sequence_EXP-1-head"
ONE = f"{NAME}__camera_222200037"


@pytest.fixture
def passes(monkeypatch):
    """How many frames each pass through videos was for; counted, and done as ever."""
    seen = []
    read = frames.read_frames

    def counting(references):
        references = list(references)
        seen.append(len(references))
        return read(references)

    monkeypatch.setattr(frames, "read_frames", counting)
    return seen


def right(batch):
    seen = map(read_identity, batch["frame"])
    stated = zip(batch["participant"], batch["sequence"], batch["camera"], batch["timestep"], strict=True)
    return [(one.participant, one.sequence, one.camera, one.timestep) for one in seen] == list(stated)


ORDERS = {
    "scattered": [300, 2, 17, 2, 155, 38, 39, 0],
    "a slice": slice(10, 50),
    "backwards": slice(200, 100, -9),
    "a range": range(5, 400, 31),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_batch_is_one_pass_and_right(access, cache, passes, order):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    batch = ds[order]
    assert right(batch)
    assert passes == [len(batch["frame"])]


def test_every_way_to_a_batch_is_one_pass(access, cache, passes):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    rows = ds.__getitems__([7, 90, 4])
    assert [read_identity(row["frame"]).timestep for row in rows] == [row["timestep"] for row in rows]
    assert [read_identity(frame).timestep for frame in ds.select(range(9))["frame"][:]] == list(range(9))
    assert passes == [3, 9]
    assert all(right(batch) for batch in ds.select(range(20)).iter(batch_size=10))
    mapped = ds.select(range(8)).map(lambda batch: {"ok": [right(batch)] * 8}, batched=True, batch_size=8)
    assert mapped["ok"][:] == [True] * 8
    assert passes == [3, 9, 10, 10, 8]


def test_a_moment_is_one_pass_through_its_cameras(access, cache, passes):
    moments = load_dataset("nersemble", NAME, view="timestep", split="train", cache_dir=cache)
    row = moments[11]
    seen = [read_identity(frame) for frame in row["frames"]]
    assert [(one.camera, one.timestep) for one in seen] == [(camera, 11) for camera in row["cameras"]]
    assert passes == [len(row["cameras"])]
    several = moments[3:6]
    assert passes[1:] == [sum(map(len, several["cameras"]))]
    assert [{read_identity(frame).timestep for frame in row} for row in several["frames"]] == [{3}, {4}, {5}]


def test_a_single_frame_and_rows_without_frames_make_no_pass(access, cache, passes):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    assert read_identity(ds[6]["frame"]).timestep == 6
    assert len(ds.select_columns(["timestep", "camera"])[3:9]["timestep"]) == 6
    assert len(ds.cast_column("frame", nersemble.VideoFrame(decode=False))[3:9]["frame"]) == 6
    assert datasets.Dataset.from_dict({"x": [1, 2, 3]})[0:2] == {"x": [1, 2]}
    assert passes == []


def test_streams_and_batches_of_streams_are_right(access):
    stream = load_dataset("nersemble", NAME, split="train", streaming=True)
    assert all(right(batch) for batch in stream.take(30).batch(10))
    moments = load_dataset("nersemble", NAME, view="timestep", split="train", streaming=True)
    for row in moments.take(4):
        assert {read_identity(frame).timestep for frame in row["frames"]} == {row["timestep"]}


def test_options_hold_in_batches(access, cache):
    options = {"scale": 0.5, "color_correction": True, "split": "train", "cache_dir": cache}
    ds = load_dataset("nersemble", ONE, **options)
    batch = ds[[5, 30, 6]]
    for place, index in enumerate([5, 30, 6]):
        assert np.array_equal(batch["frame"][place], ds[index]["frame"])
    assert batch["frame"][0].size == (ds[0]["width"], ds[0]["height"])


def test_columns_of_several_options_do_not_mix(access, cache):
    ds = load_dataset("nersemble", ONE, split="train", cache_dir=cache, timesteps="0:6")
    small = ds.cast_column("frame", nersemble.VideoFrame(scale=0.25)).rename_column("frame", "small")
    both = datasets.concatenate_datasets([ds, small.select_columns("small")], axis=1)
    batch = both[[1, 4]]
    for place, index in enumerate([1, 4]):
        assert np.array_equal(batch["frame"][place], ds[index]["frame"])
        assert np.array_equal(batch["small"][place], small[index]["small"])


def test_a_frame_that_fails_in_a_batch_is_named(access, cache, tmp_path):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    references = ds.cast_column("frame", nersemble.VideoFrame(decode=False))
    rows = [dict(references[k]["frame"]) for k in (0, 50)]
    rows[1]["timestep"] = 4000
    broken = datasets.Dataset.from_dict({"frame": rows}).cast_column("frame", nersemble.VideoFrame())
    with pytest.raises(FrameError, match="no timestep 4000"):
        broken[0:2]
    assert read_identity(broken[0]["frame"]).timestep == 0


def test_threads_read_batches_of_their_own(access, cache):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    found = []

    def read(first):
        found.append(all(right(ds[first + k : first + k + 40 : 7]) for k in range(0, 60, 20)))

    threads = [threading.Thread(target=read, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


# --- the picture of a row ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["padded", "tight"])
def pixels(request):
    """A picture as swscale leaves it: rows may lie further apart than they are long."""
    rows = np.random.default_rng(0).integers(0, 256, (50, 128 if request.param == "padded" else 120), np.uint8)
    return np.lib.stride_tricks.as_strided(rows, (50, 40, 3), (rows.shape[1], 3, 1))


def test_numpy_takes_the_pixels_without_a_copy_and_cannot_change_them(pixels):
    picture = FramePicture(pixels, "a.mp4#timestep=1")
    array = np.asarray(picture)
    assert np.array_equal(array, pixels)
    assert np.shares_memory(array, pixels)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 0
    picture.putpixel((1, 0), (9, 8, 7))  # PIL changes a copy of its own
    assert picture.getpixel((1, 0)) == (9, 8, 7)
    assert tuple(np.asarray(picture)[0, 1]) == (9, 8, 7)
    assert np.array_equal(array, pixels)
    own = np.array(FramePicture(pixels, ""))
    own[0, 0] = 0
    assert np.array_equal(array, pixels)


USES = {
    "copy": lambda p: p.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda p: pickle.loads(pickle.dumps(p)),
    "png": lambda p: PIL.Image.open(saved(p)),
    "paste": lambda p: pasted(p),
    "bytes": lambda p: PIL.Image.frombytes("RGB", p.size, p.tobytes()),
    "merge": lambda p: PIL.Image.merge("RGB", p.split()),
    "twice turned": lambda p: p.transpose(PIL.Image.Transpose.ROTATE_180).transpose(PIL.Image.Transpose.ROTATE_180),
    "crop": lambda p: p.crop((0, 0, *p.size)),
    "resize": lambda p: p.resize(p.size),
    "channels": lambda p: PIL.Image.merge("RGB", [p.getchannel(band) for band in "RGB"]),
    "lighter": lambda p: PIL.ImageChops.lighter(p, PIL.Image.new("RGB", p.size)),
}


def saved(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file


def pasted(picture):
    below = PIL.Image.new("RGB", picture.size)
    below.paste(picture, (0, 0))
    return below


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_pil_works_on_it_as_on_any_other(pixels, use):
    picture = FramePicture(pixels, "a.mp4#timestep=1")
    assert (picture.mode, picture.size, picture.width, picture.height) == ("RGB", (40, 50), 40, 50)
    assert np.array_equal(np.asarray(use(picture)), pixels)
    assert np.array_equal(np.asarray(picture), pixels)


def test_drawing_into_one_changes_it_alone(pixels):
    first, second = FramePicture(pixels, ""), FramePicture(pixels, "")
    PIL.ImageDraw.Draw(first).rectangle((0, 0, 9, 9), fill=(1, 2, 3))
    assert (np.asarray(first)[:10, :10] == (1, 2, 3)).all()
    assert np.array_equal(np.asarray(second), pixels)


def test_the_pixels_of_a_row_outlive_its_video(access, cache):
    ds = load_dataset("nersemble", ONE, split="train", cache_dir=cache)
    picture = ds[20]["frame"]
    assert isinstance(picture, PIL.Image.Image)
    array = np.asarray(picture)
    kept = array.copy()
    del picture
    close_videos()
    assert [read_identity(ds[k]["frame"]).timestep for k in range(21, 30)] == list(range(21, 30))
    assert np.array_equal(array, kept)
