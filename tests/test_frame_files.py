"""A frame put into a column of another kind works there: its name is a URL that opens as the same picture."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys

import fsspec
import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Features, Image, Value, load_dataset, load_from_disk
from datasets.table import embed_table_storage

import nersemble
from nersemble import AssetNotFoundError, FrameError
from nersemble.demo import read_identity
from nersemble.frame_files import frame_url, parse_frame_url
from nersemble.frames import FrameOptions, FrameReference

ONE = "participant_240__sequence_EXP-1-head__camera_222200037"
SAME = {"frame": lambda row: {"image": row["frame"]}, "loaded": lambda row: {"image": loaded(row["frame"])}}


def loaded(picture):
    picture.load()
    return picture


@pytest.fixture
def ds(access, cache):
    return load_dataset("nersemble", ONE, split="train", cache_dir=cache, timesteps=[4, 9, 2])


def same_pictures(rows, other, column="image"):
    assert len(rows) == len(other)
    for row, one in zip(rows, other, strict=True):
        assert row[column].mode == "RGB"
        assert np.array_equal(row[column], one["frame"])
    return True


@pytest.mark.parametrize("work", SAME.values(), ids=SAME)
@pytest.mark.parametrize("writer_batch_size", [1, 1000])
def test_a_frame_in_a_new_column_can_be_read(ds, work, writer_batch_size):
    mapped = ds.map(work, writer_batch_size=writer_batch_size)
    assert mapped.features["image"] == Image()
    assert same_pictures(mapped, ds)
    assert mapped.features["frame"] == ds.features["frame"]
    assert mapped.with_format("numpy")[1]["image"].shape == np.asarray(ds[1]["frame"]).shape


def test_a_frame_in_a_column_said_to_be_of_images_can_be_read(ds):
    features = Features({**ds.features, "frame": Image()})
    assert same_pictures(ds.map(lambda row: {"frame": row["frame"]}, features=features), ds, "frame")


def test_frames_in_lists_and_in_batches_can_be_read(ds):
    pairs = ds.map(lambda row: {"pair": [row["frame"], row["frame"].copy()]})
    for row, one in zip(pairs, ds, strict=True):
        assert all(np.array_equal(picture, one["frame"]) for picture in row["pair"])
    assert same_pictures(ds.map(lambda batch: {"image": batch["frame"]}, batched=True, batch_size=2), ds)


def test_changed_and_unchanged_pictures_share_a_column(ds):
    def work(row):
        if row["timestep"] != 4:
            row["frame"].putpixel((0, 0), (1, 2, 3))
        return {"image": row["frame"], "timestep": row["timestep"]}

    mapped = ds.map(work, remove_columns=ds.column_names)
    assert [row["image"].getpixel((0, 0)) == (1, 2, 3) for row in mapped] == [t != 4 for t in ds["timestep"]]


OPTIONS = {
    "scale": {"scale": 0.37},
    "size": {"size": (64, 80)},
    "colours": {"color_correction": True},
    "all": {"scale": 0.5, "color_correction": True, "color_order": "correct_first"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("fetch", ["download", "on_read"])
def test_it_is_the_picture_as_it_was_read(access, cache, options, fetch):
    load = {"split": "train", "cache_dir": cache, "timesteps": [4, 9], "fetch": fetch}
    ds = load_dataset("nersemble", ONE, **load, **options)
    mapped = ds.map(lambda row: {"image": row["frame"]})
    assert same_pictures(mapped, ds)
    again = mapped.remove_columns("frame").cast_column("image", nersemble.VideoFrame(**options))
    assert same_pictures(again, ds)


def test_a_column_that_would_give_another_picture_refuses_it(ds):
    small = ds.cast_column("frame", nersemble.VideoFrame(scale=0.5)).rename_column("frame", "small")
    both = Dataset.from_dict({"frame": ds.cast_column("frame", nersemble.VideoFrame(decode=False))["frame"][:]})
    features = Features({"frame": nersemble.VideoFrame()})
    with pytest.raises(FrameError, match=r"scale=0\.5.*another.*Cast the columns"):
        both.map(lambda row, k: {"frame": small[k]["small"]}, with_indices=True, features=features)
    with pytest.raises(FrameError, match="another"):
        nersemble.VideoFrame().encode_example(small[0]["small"])


def test_such_columns_can_be_saved_embedded_and_made_by_hand(ds, tmp_path):
    mapped = ds.map(lambda row: {"image": row["frame"]}, remove_columns=ds.column_names)
    mapped.save_to_disk(str(tmp_path / "saved"))
    assert same_pictures(load_from_disk(str(tmp_path / "saved")), ds)
    embedded = embed_table_storage(mapped.with_format("arrow")[:])
    assert [one["path"] for one in embedded["image"].to_pylist()] == [
        f"cam_222200037.mp4#timestep={t}" for t in (2, 4, 9)
    ]
    inside = [PIL.Image.open(io.BytesIO(one["bytes"])) for one in embedded["image"].to_pylist()]
    assert [read_identity(picture).timestep for picture in inside] == ds["timestep"][:]
    assert same_pictures(Dataset.from_list([{"image": row["frame"]} for row in ds]), ds)
    assert same_pictures(Dataset.from_dict({"image": ds["frame"][:]}), ds)
    features = Features({"image": Image(), "timestep": Value("int32")})
    encoded = features.encode_example({"image": ds[0]["frame"], "timestep": 4})
    assert np.array_equal(features.decode_example(encoded)["image"], ds[0]["frame"])


def test_a_process_that_only_imports_the_package_can_read_them(ds, tmp_path):
    ds.map(lambda row: {"image": row["frame"]}, remove_columns=ds.column_names).save_to_disk(str(tmp_path / "saved"))
    code = (
        "import nersemble, datasets; from nersemble.demo import read_identity\n"
        f"for row in datasets.load_from_disk({str(tmp_path / 'saved')!r}): print(read_identity(row['image']).timestep)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(timestep) for timestep in ds["timestep"]]


PATHS = [
    "/a/b.mp4",
    "a b.mp4",
    "nersemble://240/x/cam_1.mp4",
    "/odd #1?*[x]::y%20&=/ü.mp4",
    "memory://a.mp4",
    "/a#timestep=3",
]


@pytest.mark.parametrize("path", PATHS)
def test_urls_hold_everything_and_nothing_that_fsspec_would_read(path):
    for options in (
        FrameOptions(),
        FrameOptions(scale=1 / 3),
        FrameOptions(size=(7, 9), color_correction=True),
        FrameOptions(color_correction=True, color_order="correct_first"),
    ):
        reference = FrameReference(path, 12, options)
        url = frame_url(reference)
        assert parse_frame_url(url) == reference
        assert url.count("/") <= 3
        assert not set(url) & set("*?[]")
        assert "::" not in url


@pytest.mark.parametrize(
    "url", ["", "a.mp4", "a.mp4#timestep=3", "nersemble-frame://a.mp4", "nersemble-frame://a.mp4#timestep=x"]
)
def test_other_names_are_no_frames(url):
    assert parse_frame_url(url) is None


def test_files_of_odd_names_are_read(demo_folder, tmp_path):
    odd = tmp_path / "odd #1 ?*[x]::y%20.mp4"
    os.symlink(demo_folder / "240/sequences/EXP-1-head/images/cam_222200037.mp4", odd)
    features = Features(frame=nersemble.VideoFrame())
    ds = Dataset.from_list([{"frame": {"path": str(odd), "timestep": 7}}], features=features)
    mapped = ds.map(lambda row: {"image": row["frame"]})
    assert read_identity(mapped[0]["image"]).timestep == 7
    assert ds.map(lambda row: row).data.equals(ds.data)


def test_the_filesystem_reads_frames_and_nothing_else(demo_folder):
    reference = FrameReference(str(demo_folder / "240/sequences/EXP-1-head/images/cam_222200037.mp4"), 5)
    url = frame_url(reference)
    fs = pickle.loads(pickle.dumps(fsspec.filesystem("nersemble-frame")))
    assert read_identity(PIL.Image.open(fs.open(url))).timestep == 5
    assert fs.isfile(url)
    assert fs.info(url)["size"] == len(fs.cat_file(url))
    assert fs.ls(url, detail=False) == [url.partition("://")[2]]
    assert not fs.exists("nersemble-frame://a.mp4")
    with pytest.raises(AssetNotFoundError, match="names no frame"):
        fs.open("nersemble-frame://a.mp4")
    with pytest.raises(FrameError, match="no timestep 4000"):
        fs.open(frame_url(FrameReference(reference.path, 4000)))
    for write in (
        lambda: fs.open(url, "wb"),
        lambda: fs.mkdir("x"),
        lambda: fs.rm(url),
        lambda: fs.pipe_file(url, b""),
    ):
        with pytest.raises(OSError, match="read-only"):
            write()
