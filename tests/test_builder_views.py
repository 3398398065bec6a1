"""load_dataset("nersemble", ...): what rows hold, proven by what can be read back from the pixels."""

from __future__ import annotations

import inspect
import shutil
import warnings

import datasets
import numpy as np
import pytest
from datasets import load_dataset

import nersemble
from nersemble import MissingAssetWarning
from nersemble.demo import DemoOptions, demo_rig, landmark_colors, landmarks, read_identity
from nersemble.layout import SERIALS
from nersemble.video import resize_picture

OPTIONS = DemoOptions()
LANDMARK_RADIUS = 0.0075  # metres, and the cameras stand a metre away


def identity(row, picture=None):
    found = read_identity(row["frame"] if picture is None else picture)
    return (found.participant, found.sequence, found.camera, found.timestep)


def stated(row):
    return (row["participant"], row["sequence"], row["camera"], row["timestep"])


def test_downloaded_rows_hold_the_frame_they_say(access, cache):
    ds = load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    for index in (0, 17, 40, 399, len(ds) - 1):
        assert identity(ds[index]) == stated(ds[index])
    assert ds.column_names == [
        "participant",
        "sequence",
        "camera",
        "timestep",
        "frame",
        "width",
        "height",
        "intrinsics",
        "world_to_camera",
        "ccm",
    ]
    assert ds.features["participant"].dtype == ds.features["timestep"].dtype == "int32"


def test_rows_come_in_order_of_participant_sequence_camera_timestep(access, cache):
    ds = load_dataset("nersemble", "participant_50,240", split="train", cache_dir=cache)
    order = ds.select_columns(["participant", "sequence", "camera", "timestep"])[:]
    keys = [
        (p, nersemble.layout.SEQUENCES.index(s), SERIALS.index(c), t)
        for p, s, c, t in zip(*(order[name] for name in order), strict=True)
    ]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_frame_counts_are_each_videos_own(access, cache):
    ds = load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    counts = {}
    for sequence, camera in zip(ds["sequence"], ds["camera"], strict=True):
        counts[sequence, camera] = counts.get((sequence, camera), 0) + 1
    expected = {
        (asset.sequence, asset.camera): OPTIONS.num_frames(asset)
        for asset in OPTIONS.listed_videos()
        if asset.participant == 240
    }
    assert counts == expected
    assert len(set(counts.values())) == 2


def test_timestep_rows_hold_the_cameras_that_have_the_frame_in_rig_order(access, cache):
    ds = load_dataset("nersemble", "participant_240", view="timestep", split="train", cache_dir=cache)
    short = 0
    for row in (ds[0], ds[39], ds[len(ds) - 1]):
        assert row["cameras"] == sorted(row["cameras"], key=SERIALS.index)
        seen = [identity(None, picture) for picture in row["frames"]]
        assert seen == [(row["participant"], row["sequence"], camera, row["timestep"]) for camera in row["cameras"]]
        lengths = {len(row[name]) for name in ("frames", "width", "height", "intrinsics", "world_to_camera", "ccm")}
        assert lengths == {len(row["cameras"])}
    for cameras, timestep, sequence in zip(ds["cameras"], ds["timestep"], ds["sequence"], strict=True):
        has = [
            a.camera
            for a in OPTIONS.listed_videos()
            if (a.participant, a.sequence) == (240, sequence) and timestep < OPTIONS.num_frames(a)
        ]
        assert cameras == has
        short += len(cameras) < 16
    assert short == 3


def test_missing_files_are_skipped_and_named_in_one_warning(access, cache):
    with pytest.warns(MissingAssetWarning, match=r"055/sequences/EMO-1-shout\+laugh/images/cam_") as caught:
        ds = load_dataset("nersemble", "participant_55", view="video", split="train", cache_dir=cache)
    assert len([w for w in caught if issubclass(w.category, MissingAssetWarning)]) == 1
    present = [a for a in OPTIONS.listed_videos() if a.participant == 55 and a not in OPTIONS.missing_files()]
    assert ds.num_rows == len(present)


def test_missing_files_raise_if_asked_to(access, cache):
    with pytest.raises(nersemble.AssetNotFoundError, match="055/sequences"):
        load_dataset("nersemble", "participant_55", on_missing="raise", split="train", cache_dir=cache)


def test_video_view_has_stock_videos_with_counts(access, cache):
    ds = load_dataset("nersemble", "participant_240", view="video", split="train", cache_dir=cache)
    assert isinstance(ds.features["video"], datasets.Video)
    ds = ds.cast_column("video", datasets.Video(decode=False))
    for row in ds:
        with nersemble.VideoDecoder(row["video"]["path"]) as decoder:
            assert len(decoder) == row["num_frames"]
            assert (decoder.width, decoder.height) == (row["width"], row["height"])
        assert row["fps"] == 73


def test_background_view_has_stock_images(access, cache):
    ds = load_dataset("nersemble", "participant_240", view="background", split="train", cache_dir=cache)
    assert isinstance(ds.features["image"], datasets.Image)
    assert ds["camera"][:] == list(SERIALS)
    found = read_identity(ds[3]["image"])
    assert (found.participant, found.sequence, found.camera) == (240, "BACKGROUND", SERIALS[3])


def test_participant_view_has_the_rows_of_the_tables(access, cache):
    ds = load_dataset("nersemble", "all", view="participant", split="train", cache_dir=cache)
    assert ds["participant"][:] == list(OPTIONS.participants)
    row = ds[0]
    assert row["EXP-1-head"] in ("x", "m")
    assert row["FREE"] is None
    assert "EXP-1-head" in row["sequences"]
    assert {"gender", "wears_glasses", "BACKGROUND"} <= set(ds.column_names)


def people(demo_folder, tmp_path, table):
    """The participant view of a folder whose table of participants is this one."""
    folder = tmp_path / "people"
    folder.mkdir()
    shutil.copy(demo_folder / "metadata_sequences.csv", folder)
    for participant in OPTIONS.participants:
        shutil.copytree(
            demo_folder / f"{participant:03d}" / "calibration", folder / f"{participant:03d}" / "calibration"
        )
    (folder / "metadata_participants.csv").write_text(table)
    options = {"data_dir": str(folder), "view": "participant", "split": "train", "cache_dir": str(tmp_path / "cache")}
    return load_dataset("nersemble", "all", **options)


@pytest.mark.parametrize("name", ["ID", "id", "Participant_ID", "pid"])
def test_the_column_of_ids_may_be_called_otherwise(demo_folder, tmp_path, name):
    rows = people(demo_folder, tmp_path, f"age,{name}\n31,240\n")
    assert dict(zip(rows["participant"], rows["age"], strict=True))[240] == "31"
    assert name not in rows.column_names or name == "ID"


def test_a_table_of_participants_without_ids_is_left_out_with_a_warning(demo_folder, tmp_path):
    with pytest.warns(MissingAssetWarning, match="no column of participant ids"):
        rows = people(demo_folder, tmp_path, "age,name\n31,somebody\n")
    assert "age" not in rows.column_names
    assert 240 in rows["participant"][:]


def test_every_row_has_the_calibration_of_its_camera(access, cache):
    ds = load_dataset("nersemble", "participant_240__sequence_EXP-1-head", split="train", cache_dir=cache)
    rig = demo_rig(240, OPTIONS.width, OPTIONS.height)
    for row in ds.remove_columns("frame").select(range(0, len(ds), 40)):
        assert np.allclose(row["intrinsics"], rig.intrinsics)
        assert np.allclose(row["world_to_camera"], rig.world_to_camera[row["camera"]])
        assert np.allclose(row["ccm"], rig.ccm[row["camera"]])


@pytest.mark.parametrize("resize", [{}, {"scale": 0.5}, {"scale": 2.0}, {"scale": 0.71}, {"size": (184, 300)}])
def test_a_known_point_lands_on_its_picture_at_every_size(access, cache, resize):
    options = {"sequences": "EXP-1-head", "timesteps": [9], "color_correction": True, **resize}
    ds = load_dataset("nersemble", "participant_240", split="train", cache_dir=cache, **options)
    errors = []
    for row in ds:
        picture = np.asarray(row["frame"]).astype(float)
        assert picture.shape == (row["height"], row["width"], 3)
        matrices = np.array(row["intrinsics"]), np.array(row["world_to_camera"])
        camera = nersemble.Camera(*matrices, row["width"], row["height"])
        ys, xs = np.mgrid[: row["height"], : row["width"]]
        for name, point in landmarks(240, row["sequence"], row["timestep"]).items():
            x, y = camera.project(point[None])[0]
            radius = LANDMARK_RADIUS * np.array([matrices[0][0, 0], matrices[0][1, 1]])
            inside = ((xs - x) / radius[0]) ** 2 + ((ys - y) / radius[1]) ** 2 < 1.8**2
            distance = np.linalg.norm(picture - landmark_colors()[name], axis=2)
            weight = inside * np.clip(100 - distance, 0, 60) / 60
            if weight.sum() > 0.85 * np.pi * radius.prod():  # else the head hides a part of it
                seen = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()
                errors.append((seen - [x, y]) * OPTIONS.width / row["width"])
    assert len(errors) >= 20
    assert np.abs(np.mean(errors, axis=0)).max() < 0.15  # half a pixel off would be the other convention of (0, 0)
    assert np.linalg.norm(errors, axis=1).max() < 1.5


def test_color_correction_is_applied_after_the_resize(access, cache):
    options = {"cameras": SERIALS[2], "split": "train", "cache_dir": cache, "scale": 0.5}
    plain = load_dataset("nersemble", "participant_240", **options)[5]
    corrected = load_dataset("nersemble", "participant_240", color_correction=True, **options)[5]
    expected = nersemble.correct_color(np.asarray(plain["frame"]), np.array(plain["ccm"]))
    assert np.array_equal(np.asarray(corrected["frame"]), expected)
    assert not np.array_equal(np.asarray(corrected["frame"]), np.asarray(plain["frame"]))


@pytest.mark.parametrize("resize", [{"scale": 0.5}, {"size": (100, 100)}])
def test_color_correction_can_be_applied_before_the_resize(access, cache, resize):
    options = {"cameras": SERIALS[2], "split": "train", "cache_dir": cache}
    full = load_dataset("nersemble", "participant_240", **options)[5]
    first = load_dataset(
        "nersemble", "participant_240", color_correction=True, color_order="correct_first", **resize, **options
    )[5]
    usual = load_dataset("nersemble", "participant_240", color_correction=True, **resize, **options)[5]
    corrected = nersemble.correct_color(np.asarray(full["frame"]), np.array(full["ccm"]))
    expected = resize_picture(corrected, (first["width"], first["height"]))
    assert np.array_equal(np.asarray(first["frame"]), expected)
    assert not np.array_equal(np.asarray(first["frame"]), np.asarray(usual["frame"]))
    assert first["intrinsics"] == usual["intrinsics"]


def test_timesteps_keep_the_raw_index(access, cache):
    ds = load_dataset("nersemble", "participant_240", timesteps="5:30:10", split="train", cache_dir=cache)
    assert sorted(set(ds["timestep"])) == [5, 15, 25]
    assert identity(ds[1]) == stated(ds[1])


def test_a_reference_and_arrays_instead_of_a_picture(access, cache):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache)
    reference = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[7]["frame"]
    assert set(reference) == {"path", "timestep"}
    assert reference["timestep"] == 7
    picture = np.asarray(ds[7]["frame"])
    assert np.array_equal(ds.with_format("numpy")[7]["frame"], picture)
    assert ds.with_format("numpy")[7]["intrinsics"].shape == (3, 3)
    small = ds.cast_column("frame", nersemble.VideoFrame(scale=0.5))[7]["frame"]
    assert small.size == (OPTIONS.width // 2, OPTIONS.height // 2)


def test_batches_and_slices_hold_the_right_frames(access, cache):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache)
    batch = ds[[30, 3, 77, 3]]
    assert [read_identity(p).timestep for p in batch["frame"]] == batch["timestep"]
    batch = ds[10:15]
    assert [read_identity(p).timestep for p in batch["frame"]] == batch["timestep"]


def test_a_folder_of_the_official_kit_is_read_in_place(demo_folder, cache, tmp_path):
    ds = load_dataset("nersemble", "participant_240", data_dir=str(demo_folder), split="train", cache_dir=cache)
    reference = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[0]["frame"]["path"]
    assert reference.startswith(str(demo_folder.resolve()))
    assert identity(ds[100]) == stated(ds[100])
    copies = list((tmp_path / "cache").rglob("*.mp4"))
    assert copies == []


def test_a_folder_without_tables_is_its_own_catalogue(demo_folder, cache, tmp_path):
    folder = tmp_path / "kit"
    (folder / "240").parent.mkdir()
    (folder / "240").symlink_to(demo_folder / "240")
    ds = load_dataset("nersemble", "all", data_dir=str(folder), split="train", cache_dir=cache)
    assert set(ds["participant"]) == {240}
    assert identity(ds[0]) == stated(ds[0])


def test_frames_fetched_on_read_download_no_video(access, cache, tmp_path):
    ds = load_dataset("nersemble", "participant_240", fetch="on_read", split="train", cache_dir=cache)
    assert list((tmp_path / "cache").rglob("*.mp4")) == []
    for index in (0, 777, 41):
        assert identity(ds[index]) == stated(ds[index])
    reference = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[0]["frame"]["path"]
    assert reference.startswith("nersemble://240/")


def test_a_second_load_asks_for_nothing(access, cache):
    load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    access.reset()
    load_dataset("nersemble", participants=[240], split="train", cache_dir=cache)
    assert access.requests == []


def test_nothing_is_downloaded_twice(access, cache):
    load_dataset("nersemble", "participant_240__sequence_EXP-1-head", split="train", cache_dir=cache)
    access.reset()
    load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    fetched = [request.path for request in access.requests if "EXP-1-head" in request.path]
    assert fetched == []
    access.reset()
    load_dataset("nersemble", "participant_240", split="train", cache_dir=cache, download_mode="force_redownload")
    assert any("EXP-1-head" in request.path for request in access.requests)


def test_map_and_filter_keep_references(access, cache):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache)
    mapped = ds.map(lambda row: {"mean": float(np.asarray(row["frame"]).mean())}, num_proc=2)
    assert mapped.num_rows == ds.num_rows
    assert identity(mapped[50]) == stated(mapped[50])
    kept = ds.filter(lambda timesteps: [t % 10 == 0 for t in timesteps], batched=True, input_columns="timestep")
    assert identity(kept[2]) == stated(kept[2])


def test_saved_rows_are_read_again(access, cache, tmp_path):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache)
    ds.save_to_disk(str(tmp_path / "saved"))
    again = datasets.load_from_disk(str(tmp_path / "saved"))
    assert identity(again[9]) == stated(again[9])


def test_references_are_not_pushed_as_if_they_were_pictures(access, cache, tmp_path):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache)
    from datasets.table import embed_table_storage

    table = ds.with_format("arrow")[:2]
    if "remote_files" not in inspect.signature(embed_table_storage).parameters:
        # Older releases do not say whether they write for others, and save for oneself through the same call.
        assert embed_table_storage(table).equals(table)
        return
    with pytest.raises(nersemble.FrameError, match="references"):
        embed_table_storage(table)


def test_changed_pictures_are_refused_with_the_next_step(access, cache):
    ds = load_dataset("nersemble", "participant_240__camera_222200037", split="train", cache_dir=cache).select(range(2))

    def darker(row):
        row["frame"] = row["frame"].point(lambda value: value // 2)
        return row

    with pytest.raises(nersemble.FrameError, match=r"datasets\.Image"):
        ds.map(darker)


def test_preparing_with_processes_gives_the_same_rows(access, cache, tmp_path):
    alone = load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    together = load_dataset("nersemble", "participant_240", split="train", cache_dir=str(tmp_path / "two"), num_proc=2)
    columns = ["participant", "sequence", "camera", "timestep", "intrinsics", "ccm"]
    assert alone.select_columns(columns)[:] == together.select_columns(columns)[:]


def test_no_warning_when_nothing_is_missing(access, cache):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_dataset("nersemble", "participant_240", view="video", split="train", cache_dir=cache)
    assert [w for w in caught if issubclass(w.category, MissingAssetWarning)] == []
