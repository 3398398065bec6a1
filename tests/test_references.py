"""What a column of references takes, and what it says of the rest."""

from __future__ import annotations

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features

import nersemble
from nersemble import FrameError, VideoFrame
from nersemble.demo import read_identity

VIDEO = "240/sequences/EXP-1-head/images/cam_222200037.mp4"

BROKEN = {
    "no path": {"path": None, "timestep": 3},
    "no timestep": {"path": "a.mp4", "timestep": None},
    "neither": {"path": None, "timestep": None},
    "empty path": {"path": "", "timestep": 3},
    "path of bytes": {"path": b"a.mp4", "timestep": 3},
    "path is a number": {"path": 7, "timestep": 3},
    "timestep between frames": {"path": "a.mp4", "timestep": 3.5},
    "timestep is a float": {"path": "a.mp4", "timestep": 3.0},
    "timestep is not a number": {"path": "a.mp4", "timestep": float("nan")},
    "timestep is text": {"path": "a.mp4", "timestep": "3"},
    "timestep is a truth": {"path": "a.mp4", "timestep": True},
    "timestep too large": {"path": "a.mp4", "timestep": 2**31},
}
each = pytest.mark.parametrize("reference", BROKEN.values(), ids=BROKEN)
said = pytest.raises(FrameError, match=r"path of a video and a timestep.* not .*\. Was it .*store None")


@each
def test_a_broken_reference_is_not_taken(reference):
    with said:
        VideoFrame().encode_example(reference)
    with said:
        VideoFrame().encode_example((reference["path"], reference["timestep"]))


@each
def test_a_broken_reference_is_not_read(reference):
    with said:
        VideoFrame().decode_example(reference)


@each
@pytest.mark.parametrize("beside", ["alone", "with a good one", "with a null"])
def test_a_broken_reference_is_not_stored(reference, beside):
    if reference["timestep"] is True:
        beside = "alone"  # Arrow makes a 1 of it, if there are numbers beside it
    others = {"alone": [], "with a good one": [{"path": "b.mp4", "timestep": 0}], "with a null": [None]}
    try:
        storage = pa.array([*others[beside], reference])
    except pa.ArrowInvalid:  # Arrow itself takes no such mixture
        return
    with pytest.raises(FrameError, match=r"path of a video and a timestep|struct<path: string, timestep: int32>, not"):
        VideoFrame().cast_storage(storage)
    with pytest.raises(FrameError):
        VideoFrame().cast_storage(storage[len(storage) - 1 :])


@pytest.mark.parametrize("value", [None, 3, "a.mp4", {}, {"path": "a.mp4"}, {"timestep": 3}, ("a.mp4",), []])
def test_what_is_no_reference_is_named(value):
    with pytest.raises(FrameError, match=r"references to frames|path of a video and a timestep"):
        VideoFrame().decode_example(value)
    with pytest.raises(FrameError, match=r"references to frames|path of a video and a timestep"):
        VideoFrame().encode_example(value)


def test_map_does_not_store_a_reference_with_a_gap():
    good = Dataset.from_list([{"frame": {"path": "a.mp4", "timestep": 1}}], features=Features(frame=VideoFrame()))
    good = good.cast_column("frame", VideoFrame(decode=False))
    for broken in (BROKEN["no path"], BROKEN["no timestep"], BROKEN["timestep between frames"]):
        with said:
            good.map(lambda row, broken=broken: {"frame": broken})


def test_a_batch_with_a_gap_says_so(demo_folder):
    # As a file made by another program could hold them; datasets does not check what it only maps into memory.
    rows = [{"path": str(demo_folder / VIDEO), "timestep": 1}, {"path": str(demo_folder / VIDEO), "timestep": None}]
    table = pa.table({"frame": pa.array(rows, VideoFrame.pa_type)})
    ds = Dataset(datasets.table.InMemoryTable(table), info=datasets.DatasetInfo(features=Features(frame=VideoFrame())))
    assert read_identity(ds[0]["frame"]).timestep == 1
    with said:
        ds[0:2]


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), 3])
def test_whole_numbers_of_every_kind_are_taken(number, tmp_path):
    expected = {"path": str(tmp_path / "a.mp4"), "timestep": 3}
    assert VideoFrame().encode_example({"path": tmp_path / "a.mp4", "timestep": number}) == expected
    assert type(VideoFrame().encode_example((expected["path"], number))["timestep"]) is int


def test_rows_without_a_frame_are_none(demo_folder):
    reference = {"path": str(demo_folder / VIDEO), "timestep": 5}
    features = Features(frame=nersemble.VideoFrame())
    ds = Dataset.from_dict({"frame": [None, reference, None]}, features=features)
    assert [row["frame"] and read_identity(row["frame"]).timestep for row in ds] == [None, 5, None]
    assert ds[0:3]["frame"][0] is None
    assert ds.map(lambda row: row)[1:3]["frame"][1] is None
    empty = Dataset.from_dict({"frame": [None, None]}, features=features)
    assert empty[:]["frame"] == [None, None]
