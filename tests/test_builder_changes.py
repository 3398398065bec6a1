"""What changed since an earlier load is seen by the next one; odd captures load."""

from __future__ import annotations

import json
import os
import shutil

import datasets
import numpy as np
import pytest
from datasets import load_dataset

import nersemble
from nersemble.demo import DemoOptions, DemoServer, make_capture, read_identity
from nersemble.layout import SERIALS

EXP = "240/sequences/EXP-1-head/images"
NAME = "participant_240__sequence_EXP-1-head"


@pytest.fixture
def folder(demo_folder, tmp_path):
    """A copy of the capture of one participant, which a test may change."""
    shutil.copytree(demo_folder / "240", tmp_path / "capture" / "240")
    shutil.copy(demo_folder / "metadata_sequences.csv", tmp_path / "capture")
    shutil.copy(demo_folder / "metadata_participants.csv", tmp_path / "capture")
    return tmp_path / "capture"


def replace(folder, old, new):
    """Put another camera's video in the place of one."""
    shutil.copy(folder / EXP / f"cam_{new}.mp4", folder / "new.mp4")
    os.replace(folder / "new.mp4", folder / EXP / f"cam_{old}.mp4")


def camera_seen(row):
    return read_identity(row["frame"]).camera


@pytest.mark.parametrize("options", [{}, {"fetch": "on_read"}, {"streaming": True}])
def test_a_file_replaced_on_the_server_is_read_anew(folder, monkeypatch, cache, options):
    with DemoServer(folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        options = {"split": "train", "cache_dir": cache, "download_mode": "force_redownload", **options}
        assert camera_seen(next(iter(load_dataset("nersemble", NAME, **options)))) == SERIALS[0]
        replace(folder, SERIALS[0], SERIALS[1])
        assert camera_seen(next(iter(load_dataset("nersemble", NAME, **options)))) == SERIALS[1]


def test_a_file_replaced_in_a_folder_is_read_anew(folder, cache):
    options = {"data_dir": str(folder), "split": "train", "cache_dir": cache}
    assert camera_seen(load_dataset("nersemble", NAME, **options)[0]) == SERIALS[0]
    replace(folder, SERIALS[0], SERIALS[1])
    assert camera_seen(load_dataset("nersemble", NAME, **options)[0]) == SERIALS[1]


def test_a_folder_that_grew_gives_its_new_rows(folder, cache):
    options = {"data_dir": str(folder), "view": "video", "split": "train", "cache_dir": cache}
    moved = folder / EXP / f"cam_{SERIALS[4]}.mp4"
    away = moved.rename(folder.parent / "away.mp4")
    with pytest.warns(nersemble.MissingAssetWarning, match=SERIALS[4]):
        assert load_dataset("nersemble", NAME, **options).num_rows == 15
    away.rename(moved)
    assert load_dataset("nersemble", NAME, **options).num_rows == 16


def test_an_edited_table_gives_its_new_cells(folder, cache):
    options = {"data_dir": str(folder), "view": "participant", "split": "train", "cache_dir": cache}
    before = load_dataset("nersemble", "all", **options)[0]
    table = folder / "metadata_participants.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",hat", *(line + ",bowler" for line in lines[1:])]))
    after = load_dataset("nersemble", "all", **options)[0]
    assert after == {**before, "hat": "bowler"}


def test_streams_of_two_servers_do_not_mix(folder, monkeypatch):
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    path = other / "240" / "calibration" / "camera_params.json"
    table = json.loads(path.read_text())
    table["intrinsics"][0][0] = 12345.0
    path.write_text(json.dumps(table))
    with DemoServer(folder) as first, DemoServer(other) as second:
        streams = []
        for server in (first, second):
            monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
            streams.append(load_dataset("nersemble", NAME, split="train", streaming=True))
        seen = []
        for server, stream in zip((first, second), streams, strict=True):
            monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
            seen.append(next(iter(stream))["intrinsics"][0][0])
    assert seen[0] != seen[1] == 12345.0


@pytest.mark.parametrize("way", ["download", "on_read", "streaming", "folder"])
def test_a_camera_without_files_needs_no_calibration(folder, monkeypatch, cache, way):
    for name, table in (("camera_params", "world_2_cam"), ("color_calibration", None)):
        path = folder / "240" / "calibration" / f"{name}.json"
        content = json.loads(path.read_text())
        (content[table] if table else content).pop(SERIALS[3])
        path.write_text(json.dumps(content))
    for video in folder.rglob(f"cam_{SERIALS[3]}.mp4"):
        video.unlink()
    options = {"fetch": way} if way in ("download", "on_read") else {way: True} if way == "streaming" else {}
    with DemoServer(folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        if way == "folder":
            options["data_dir"] = str(folder)
        options |= {"split": "train", "cache_dir": cache, "timesteps": [0]}
        with pytest.warns(nersemble.MissingAssetWarning, match=SERIALS[3]):
            cameras = [row["camera"] for row in load_dataset("nersemble", NAME, **options).select_columns(["camera"])]
    assert cameras == [serial for serial in SERIALS if serial != SERIALS[3]]


@pytest.mark.parametrize("options", [{}, {"fetch": "on_read"}, {"streaming": True}])
def test_a_missing_still_is_skipped_and_named(folder, monkeypatch, cache, options):
    (folder / "240" / "sequences" / "BACKGROUND" / f"image_{SERIALS[2]}.jpg").unlink()
    with DemoServer(folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        options = {"view": "background", "split": "train", "cache_dir": cache, **options}
        with pytest.warns(nersemble.MissingAssetWarning, match=f"image_{SERIALS[2]}"):
            rows = list(load_dataset("nersemble", NAME, **options))
    assert [read_identity(row["image"]).camera for row in rows] == [s for s in SERIALS if s != SERIALS[2]]


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("written", ["SEN-07-fond_note_friend", "SEN-07-fond_note_fried"])
def test_the_old_spelling_loads_and_rows_have_the_current_one(tmp_path, cache, tables, written):
    options = DemoOptions(
        participants=(240,), sequences=("SEN-07-fond_note_friend",), frames=2, width=128, old_spelling=True, unmarked=()
    )
    folder = make_capture(tmp_path / "old", options)
    if not tables:
        (folder / "metadata_sequences.csv").unlink()
    ds = load_dataset("nersemble", sequences=written, data_dir=str(folder), split="train", cache_dir=cache)
    assert set(ds["sequence"]) == {"SEN-07-fond_note_friend"}
    assert read_identity(ds[1]["frame"]).timestep == 1


def test_a_newer_table_finds_a_folder_of_the_old_spelling(tmp_path, cache):
    options = DemoOptions(
        participants=(240,), sequences=("SEN-07-fond_note_friend",), frames=2, width=128, old_spelling=True, unmarked=()
    )
    folder = make_capture(tmp_path / "old", options)
    table = folder / "metadata_sequences.csv"
    table.write_text(table.read_text().replace("fond_note_fried", "fond_note_friend"))
    assert load_dataset("nersemble", "all", data_dir=str(folder), split="train", cache_dir=cache).num_rows == 32


def test_frames_become_pictures_of_their_own(access, cache):
    """The recipe that the error about pushing gives."""
    ds = load_dataset("nersemble", f"{NAME}__camera_222200037", split="train", cache_dir=cache, timesteps="0:3")
    pictures = ds.map(lambda row: {"image": row["frame"].copy()}, remove_columns="frame")
    assert isinstance(pictures.features["image"], datasets.Image)
    for row in pictures:
        assert read_identity(row["image"]).timestep == row["timestep"]
    assert np.array_equal(np.asarray(pictures[1]["image"]), np.asarray(ds[1]["frame"]))


def test_columns_of_a_stream_can_be_renamed(access):
    stream = load_dataset("nersemble", NAME, split="train", streaming=True).rename_column("ccm", "matrix")
    row = next(iter(stream))
    assert "matrix" in row
    assert read_identity(row["frame"]).timestep == row["timestep"]
