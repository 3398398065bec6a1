"""``open_folder``: what lies in a folder is found, and nothing else; its pictures are the rows' pictures."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import random
import shlex
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from datasets import load_dataset

import nersemble
from nersemble.demo import MISSING_VIDEO, SHORT_VIDEO, DemoOptions, read_identity
from nersemble.folder_data import open_folder
from nersemble.layout import FRONTAL_SERIAL, SEQUENCES, SERIALS, AssetPath

OPTIONS = DemoOptions()
SEQUENCE = "EXP-1-head"
OLD, NEW = "SEN-07-fond_note_fried", "SEN-07-fond_note_friend"
#: A worker that hangs fails the test instead of stopping the run.
PATIENCE = 120


@pytest.fixture
def data(demo_folder):
    return open_folder(demo_folder)


@pytest.fixture
def copy(demo_folder, tmp_path):
    """A small copy of the capture that a test may break: two cameras of one sequence, calibration, two stills."""
    target = tmp_path / "capture"
    shutil.copytree(demo_folder / "240" / "calibration", target / "240" / "calibration")
    for serial in (SERIALS[0], FRONTAL_SERIAL):
        assets = AssetPath("video", 240, SEQUENCE, serial), AssetPath("background", 240, camera=serial)
        for asset in map(str, assets):
            (target / asset).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo_folder / asset, target / asset)
    return target


def images(folder: Path, sequence: str = SEQUENCE) -> Path:
    return folder / "240" / "sequences" / sequence / "images"


def rows(folder, cache, **options):
    return load_dataset("nersemble", data_dir=str(folder), cache_dir=cache, split="train", **options)


# --- what is there ----------------------------------------------------------------------------------------------------


def test_everything_in_the_folder_is_listed_in_order(data):
    assert data.participants() == list(OPTIONS.participants)
    videos = {asset for asset in OPTIONS.listed_videos() if asset not in OPTIONS.missing}
    found = set()
    for participant in data.participants():
        sequences = data.sequences(participant)
        assert sequences == sorted(sequences, key=SEQUENCES.index)
        for sequence in sequences:
            cameras = data.cameras(participant, sequence)
            assert cameras == sorted(cameras, key=SERIALS.index)
            found |= {AssetPath("video", participant, sequence, camera) for camera in cameras}
    assert found == videos


def test_frame_counts_are_each_videos_own(data):
    counts = {camera: data.num_frames(240, SEQUENCE, camera) for camera in data.cameras(240, SEQUENCE)}
    assert counts == {camera: OPTIONS.num_frames(AssetPath("video", 240, SEQUENCE, camera)) for camera in SERIALS}
    assert counts[SHORT_VIDEO.camera] < counts[FRONTAL_SERIAL]


@pytest.mark.parametrize("participant", [240, "240", np.int64(240)])
@pytest.mark.parametrize("camera", [FRONTAL_SERIAL, int(FRONTAL_SERIAL)])
def test_ids_and_serials_can_be_written_as_numbers_or_text(data, participant, camera):
    assert SEQUENCE in data.sequences(participant)
    assert read_identity(data.load_image(participant, SEQUENCE, camera, np.int32(7))).timestep == 7


def test_ids_below_a_hundred_can_be_written_as_the_folder_is_called(data):
    assert data.sequences("050") == data.sequences(50) == data.sequences("50")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_named_by_text_or_path(demo_folder, kind, monkeypatch):
    monkeypatch.chdir(demo_folder.parent)
    data = open_folder(kind(demo_folder.name))
    monkeypatch.chdir("/")
    assert data.folder == str(demo_folder)
    assert repr(data) == f"FolderData({str(demo_folder)!r})"
    assert data.participants() == [50, 55, 240]


def test_a_folder_can_lie_in_the_home(copy, monkeypatch):
    monkeypatch.setenv("HOME", str(copy.parent))
    assert open_folder("~/capture").folder == str(copy)


def test_only_whole_files_under_their_published_names_count(copy):
    place, video = images(copy), images(copy) / f"cam_{FRONTAL_SERIAL}.mp4"
    strays = [
        f"cam_{SERIALS[1]}.mp4.part",
        f"cam_{SERIALS[1]}.mp4.0123abcd.part",
        f".cam_{SERIALS[1]}.mp4",
        f"._cam_{SERIALS[1]}.mp4",
        f"cam_{SERIALS[1]} (1).mp4",
        f"cam_{SERIALS[1]}.tmp.mp4",
        f"cam_{SERIALS[1]}.MP4",
        f"xcam_{SERIALS[1]}.mp4",
        "cam_.mp4",
    ]
    for name in strays:
        shutil.copy(video, place / name)
    (place / f"cam_{SERIALS[2]}.mp4").mkdir()
    (place / f"cam_{SERIALS[3]}.mp4").symlink_to("nowhere")
    (place / f"cam_{SERIALS[4]}.mp4").symlink_to(f"cam_{SERIALS[4]}.mp4")
    (place / f"cam_{SERIALS[9]}.mp4").symlink_to(video)  # whole, on another disk
    data = open_folder(copy)
    assert data.cameras(240, SEQUENCE) == [SERIALS[0], FRONTAL_SERIAL, SERIALS[9]]
    assert data.num_frames(240, SEQUENCE, SERIALS[9]) == data.num_frames(240, SEQUENCE, FRONTAL_SERIAL)
    for camera in SERIALS[1:5]:
        with pytest.raises(nersemble.AssetNotFoundError, match=camera):
            data.load_image(240, SEQUENCE, camera, 0)
    with pytest.raises(nersemble.SelectionError, match="no camera"):
        data.load_image(240, SEQUENCE, f"{SERIALS[1]}.tmp", 0)


def test_folders_that_are_no_participants_and_no_sequences_do_not_count(copy):
    for name in ("241", "0240", "24", "logs", "242/sequences/EXP-1-head/images", "٢٤٠"):
        (copy / name).mkdir(parents=True, exist_ok=True)
    (copy / "243").write_text("a file")
    (copy / "242/sequences/EXP-1-head/images/cam_222200037.mp4.part").write_bytes(b"half")
    shutil.copytree(images(copy), images(copy, "thumbnails"))
    shutil.copytree(images(copy), images(copy, f".{SEQUENCE}.part"))
    images(copy, "EMO-1-shout+laugh").mkdir(parents=True)
    (images(copy, "FREE") / f"cam_{FRONTAL_SERIAL}.mp4.part").mkdir(parents=True)
    (copy / "240" / "sequences" / "HAIR").write_text("a file")
    data = open_folder(copy)
    assert data.participants() == [240]
    assert data.sequences(240) == [SEQUENCE]
    with pytest.raises(nersemble.AssetNotFoundError, match="No participant 242"):
        data.sequences(242)


def test_a_participant_with_a_calibration_alone_has_no_sequences(copy):
    shutil.copytree(copy / "240" / "calibration", copy / "017" / "calibration")
    data = open_folder(copy)
    assert data.participants() == [17, 240]
    assert data.sequences(17) == []
    assert set(data.color_calibration(17)) == set(SERIALS)
    with pytest.raises(nersemble.AssetNotFoundError, match=r"participant 17 .* holds no video"):
        data.cameras(17, SEQUENCE)


def test_a_folder_that_grows_is_seen_as_it_is(copy):
    data = open_folder(copy)
    video = images(copy) / f"cam_{FRONTAL_SERIAL}.mp4"
    part = video.with_name(f"cam_{SERIALS[5]}.mp4.part")
    shutil.copy(video, part)
    before = data.cameras(240, SEQUENCE)
    os.replace(part, part.with_suffix(""))
    assert data.cameras(240, SEQUENCE) == [before[0], SERIALS[5], before[1]]


@pytest.mark.parametrize("spelled", [OLD, NEW])
@pytest.mark.parametrize("asked", [OLD, NEW])
def test_both_spellings_of_one_sequence_name_it(demo_folder, copy, spelled, asked):
    shutil.copytree(images(demo_folder, NEW), images(copy, spelled))
    data = open_folder(copy)
    assert data.sequences(240) == [SEQUENCE, spelled]
    assert data.cameras(240, asked) == list(SERIALS)
    seen = read_identity(data.load_image(240, asked, SERIALS[3], 5, color_correction=True))
    assert (seen.sequence, seen.camera, seen.timestep) == (NEW, SERIALS[3], 5)


def test_a_sequence_under_both_spellings_is_one(demo_folder, copy):
    for spelled, serials in ((OLD, SERIALS[:3]), (NEW, SERIALS[2:5])):
        images(copy, spelled).mkdir(parents=True)
        for serial in serials:
            shutil.copy(images(demo_folder, NEW) / f"cam_{serial}.mp4", images(copy, spelled))
    data = open_folder(copy)
    assert data.sequences(240) == [SEQUENCE, NEW]
    assert data.cameras(240, OLD) == data.cameras(240, NEW) == list(SERIALS[:5])
    assert [data.num_frames(240, OLD, serial) for serial in SERIALS[:5]] == [OPTIONS.frames] * 5


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_every_frame_is_the_one_asked_for(data):
    asked = [
        (participant, sequence, camera, timestep)
        for participant in data.participants()
        for sequence in data.sequences(participant)
        for camera in data.cameras(participant, sequence)
        for timestep in (0, 11, 12, data.num_frames(participant, sequence, camera) - 1)
    ]
    random.Random(3).shuffle(asked)
    for key in asked:
        seen = read_identity(data.load_image(*key))
        assert (seen.participant, seen.sequence, seen.camera, seen.timestep) == key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"color_correction": True},
        {"scale": 0.5},
        {"scale": 0.3, "color_correction": True},
        {"size": (200, 301), "color_correction": True},
        {"scale": 1, "color_correction": False},
        {"scale": 0.5, "color_correction": True, "color_order": "correct_first"},
        {"color_correction": True, "color_order": "correct_first"},
    ],
    ids=str,
)
def test_pictures_are_those_of_the_rows(demo_folder, data, cache, options):
    ds = rows(demo_folder, cache, name=f"participant_240__sequence_{SEQUENCE}", timesteps="::9", **options)
    assert len(ds) > 60
    for row in ds:
        image = data.load_image(240, SEQUENCE, row["camera"], row["timestep"], **options)
        assert image.dtype == np.uint8
        assert image.shape == (row["height"], row["width"], 3)
        assert np.array_equal(image, np.asarray(row["frame"]))


def test_the_correction_is_the_matrix_applied_after_the_resize(data):
    ccm = data.color_calibration(240)[FRONTAL_SERIAL]
    small = data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 4, scale=0.5)
    corrected = data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 4, scale=0.5, color_correction=True)
    assert np.array_equal(corrected, nersemble.correct_color(small, ccm))
    assert not np.array_equal(corrected, small)


def test_a_picture_belongs_to_its_reader(data):
    first = data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 4)
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 4), kept)


def test_backgrounds_are_those_of_the_rows(demo_folder, data, cache):
    ds = rows(demo_folder, cache, name="participant_55", view="background")
    assert len(ds) == 16
    for row in ds:
        still = data.background(55, row["camera"])
        assert np.array_equal(still, np.asarray(row["image"]))
        seen = read_identity(still)
        assert (seen.participant, seen.camera, seen.sequence) == (55, row["camera"], "BACKGROUND")


def test_a_background_is_upright_rgb_whatever_its_file(copy):
    path = copy / str(AssetPath("background", 240, camera=FRONTAL_SERIAL))
    lying = PIL.Image.new("L", (40, 20), 7)
    exif = lying.getexif()
    exif[0x0112] = 6  # turn it by 90 degrees
    lying.save(path, exif=exif)
    still = open_folder(copy).background(240, FRONTAL_SERIAL)
    assert still.shape == (40, 20, 3)
    assert still.dtype == np.uint8
    still[:] = 1  # it is the reader's own


# --- calibrations -----------------------------------------------------------------------------------------------------


def test_calibrations_are_those_of_the_rows(demo_folder, data, cache):
    ds = rows(demo_folder, cache, name=f"participant_240__sequence_{SEQUENCE}", timesteps=[0])
    cameras, colors = data.camera_calibration(240), data.color_calibration("240")
    assert set(cameras.world_to_camera) == set(colors) == set(SERIALS)
    for row in ds.remove_columns("frame"):
        assert np.array_equal(cameras.intrinsics, row["intrinsics"])
        assert np.array_equal(cameras.world_to_camera[row["camera"]], row["world_to_camera"])
        assert np.array_equal(colors[row["camera"]], row["ccm"])


@pytest.mark.parametrize("scale", [None, 0.25])
def test_the_rig_is_that_of_the_rows(demo_folder, data, cache, scale):
    ds = rows(demo_folder, cache, name=f"participant_240__sequence_{SEQUENCE}", timesteps=[0], scale=scale)
    rig = data.camera_rig(240)
    rig = rig.scale(scale) if scale else rig
    assert rig.serials == SERIALS
    for row in ds.remove_columns("frame"):
        camera = rig[row["camera"]]
        assert np.array_equal(camera.intrinsics, row["intrinsics"])
        assert np.array_equal(camera.world_to_camera, row["world_to_camera"])
        assert (camera.width, camera.height) == (row["width"], row["height"])


def test_a_rig_without_a_video_needs_a_size(copy):
    shutil.rmtree(images(copy))
    data = open_folder(copy)
    with pytest.raises(nersemble.AssetNotFoundError, match=r"no video.*camera_rig\(240, size=\(2200, 3208\)\)"):
        data.camera_rig(240)
    rig = data.camera_rig(240, size=(2200, 3208))
    assert (rig.frontal.width, rig.frontal.height) == (2200, 3208)
    assert np.array_equal(rig.frontal.intrinsics, data.camera_calibration(240).intrinsics)
    with pytest.raises(nersemble.SelectionError, match=r"size is \(width, height\)"):
        data.camera_rig(240, size=2200)
    with pytest.raises(nersemble.AssetNotFoundError, match="No participant 241"):
        data.camera_rig(241)


def test_a_calibration_is_read_anew(copy):
    data = open_folder(copy)
    before = data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_correction=True)
    path = copy / "240/calibration/color_calibration.json"
    path.write_text(json.dumps({FRONTAL_SERIAL: [[0, 0, 0]] * 3}))
    assert not data.color_calibration(240)[FRONTAL_SERIAL].any()
    assert before.any()
    assert not data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_correction=True).any()


@pytest.mark.parametrize(
    ("name", "kind"), [("camera_params", "calibration"), ("color_calibration", "color_calibration")]
)
def test_a_missing_calibration_is_named_with_a_next_step(copy, name, kind):
    (copy / "240" / "calibration" / f"{name}.json").unlink()
    data = open_folder(copy)
    read = data.camera_calibration if name == "camera_params" else data.color_calibration
    with pytest.raises(FileNotFoundError, match=rf"nersemble://240/.*{name}\.json is not in .* 240 --assets {kind}$"):
        read(240)
    assert data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0).any()
    if name == "color_calibration":
        with pytest.raises(nersemble.AssetNotFoundError, match=r"color_calibration\.json is not in the folder"):
            data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_correction=True)


def test_a_damaged_calibration_is_named(copy):
    for name in ("camera_params", "color_calibration"):
        (copy / "240" / "calibration" / f"{name}.json").write_text('{"')
    data = open_folder(copy)
    with pytest.raises(nersemble.CalibrationError, match=r"camera_params\.json is not JSON"):
        data.camera_calibration(240)
    with pytest.raises(nersemble.CalibrationError, match=r"color_calibration\.json is not JSON"):
        data.color_calibration(240)
    with pytest.raises(nersemble.CalibrationError, match=r"color_calibration\.json is not JSON"):
        data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_correction=True)


def test_a_camera_without_a_matrix_is_named(copy):
    path = copy / "240/calibration/color_calibration.json"
    path.write_text(json.dumps({SERIALS[0]: np.eye(3).tolist()}))
    data = open_folder(copy)
    assert list(data.color_calibration(240)) == [SERIALS[0]]
    with pytest.raises(nersemble.CalibrationError, match=f"{FRONTAL_SERIAL} has no colour-correction matrix"):
        data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_correction=True)


# --- what is not there ------------------------------------------------------------------------------------------------


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(nersemble.AssetNotFoundError, match=r"nowhere is not there\. Is the path right"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(nersemble.AssetNotFoundError, match="is a file, not a folder"):
        open_folder(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(nersemble.AssetNotFoundError, match=r"holds no participant: .*was downloaded to"):
        open_folder(tmp_path / "empty")
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    with pytest.raises(nersemble.AssetNotFoundError, match="holds no participant"):
        open_folder(tmp_path / "photos")


@pytest.mark.parametrize("inside", ["240", "240/sequences", f"240/sequences/{SEQUENCE}/images", ".."])
def test_a_folder_inside_or_above_is_led_to_the_right_one(copy, inside):
    with pytest.raises(nersemble.AssetNotFoundError) as caught:
        open_folder(copy / inside)
    assert str(caught.value).endswith(f"Did you mean {copy}?")


@pytest.mark.parametrize("written", ["", None, 240, b"/data", ["/data"], "a\0b"])
def test_what_is_no_path_is_refused(written):
    with pytest.raises(nersemble.SelectionError, match="takes the path of a folder"):
        open_folder(written)


@pytest.mark.parametrize("kind", [str, Path])
def test_an_access_url_is_refused_and_not_shown(kind):
    with pytest.raises(nersemble.SelectionError, match="not a URL") as caught:
        open_folder(kind("https://example.org/c4nary"))
    assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize("written", [241, "241", 0, 10**12])
def test_a_participant_that_is_not_there(data, written):
    calls = [
        lambda: data.sequences(written),
        lambda: data.cameras(written, SEQUENCE),
        lambda: data.num_frames(written, SEQUENCE, FRONTAL_SERIAL),
        lambda: data.load_image(written, SEQUENCE, FRONTAL_SERIAL, 0),
        lambda: data.camera_calibration(written),
        lambda: data.color_calibration(written),
        lambda: data.background(written, FRONTAL_SERIAL),
    ]
    nearest = "50" if written == 0 else "240"
    for call in calls:
        with pytest.raises(nersemble.AssetNotFoundError, match=rf"No participant \d+ .*Did you mean {nearest} or"):
            call()


@pytest.mark.parametrize("written", [-1, "-1", "two", "", "50-60", 2.5, None, True, [240], "9" * 5000])
def test_what_is_no_participant_id_is_refused(data, written):
    with pytest.raises(nersemble.SelectionError, match="A participant is an id such as 240"):
        data.sequences(written)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("EXP-1-heed", "Did you mean EXP-1-head"),
        ("exp-1-head", "Did you mean EXP-1-head"),
        ("EMO-9-unheard", "EMO-1-shout\\+laugh"),
        ("", "holds EXP-1-head"),
        ("../calibration", "holds EXP-1-head"),
        ("EXP-1-/../EXP-1-head", "Did you mean EXP-1-head"),
        ("BACKGROUND", r"background\(participant, camera\)"),
        (1, "A sequence is a name"),
        (None, "A sequence is a name"),
    ],
)
def test_what_is_no_sequence_is_refused_with_what_is_there(data, written, hint):
    for call in (data.cameras, lambda *key: data.load_image(*key, FRONTAL_SERIAL, 0)):
        with pytest.raises(nersemble.SelectionError, match=hint):
            call(240, written)


def test_a_sequence_that_was_not_downloaded(data):
    step = f"nersemble download .* --participant 50 --sequence {NEW}$"
    with pytest.raises(nersemble.AssetNotFoundError, match=rf"No video of {NEW} .*holds EXP-1-head, EMO-1.*{step}"):
        data.cameras(50, NEW)
    with pytest.raises(nersemble.AssetNotFoundError, match=f"No video of {OLD}"):
        data.num_frames(50, OLD, FRONTAL_SERIAL)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (f"{FRONTAL_SERIAL}.mp4", f"Did you mean {FRONTAL_SERIAL}"),
        ("8", f"Did you mean {FRONTAL_SERIAL}"),
        (8, f"Did you mean {FRONTAL_SERIAL}"),
        ("front", "222200042, 222200044"),
        ("", "222200042, 222200044"),
        (f"cam_{FRONTAL_SERIAL}", f"Did you mean {FRONTAL_SERIAL}"),
        (None, "A camera is a serial"),
        (8.0, "A camera is a serial"),
    ],
)
def test_what_is_no_camera_is_refused_with_what_is_there(data, written, hint):
    for call in (data.num_frames, lambda p, _, c: data.background(p, c)):
        with pytest.raises(nersemble.SelectionError, match=hint):
            call(240, SEQUENCE, written)


def test_a_camera_that_was_not_downloaded(data, copy):
    gone = MISSING_VIDEO
    with pytest.raises(
        nersemble.AssetNotFoundError, match=r"nersemble://055/.*cam_222200043\.mp4 is not in .*222200043$"
    ):
        data.load_image(gone.participant, gone.sequence, gone.camera, 0)
    with pytest.raises(
        nersemble.AssetNotFoundError, match=f"image_{SERIALS[1]}.* are there: {SERIALS[0]}, .*backgrounds"
    ):
        open_folder(copy).background(240, SERIALS[1])
    shutil.rmtree(copy / "240/sequences/BACKGROUND")
    with pytest.raises(nersemble.AssetNotFoundError, match="No camera's is there"):
        open_folder(copy).background(240, SERIALS[0])


def test_the_command_that_fetches_what_is_missing_can_be_pasted(demo_folder, tmp_path):
    (tmp_path / "our data").symlink_to(demo_folder)
    with pytest.raises(nersemble.AssetNotFoundError) as caught:
        open_folder(tmp_path / "our data").num_frames(55, "EMO-4-disgust+happy", FRONTAL_SERIAL)
    command = str(caught.value).partition("this fetches it: ")[2]
    words = ["nersemble", "download", str(tmp_path / "our data"), "--participant", "55"]
    assert shlex.split(command) == [*words, "--sequence", "EMO-4-disgust+happy"]


def test_a_timestep_out_of_range_is_named_with_the_range(data):
    for timestep in (40, -1, 10**12):
        with pytest.raises(nersemble.FrameError, match=rf"no timestep {timestep}: it has 40 frames, 0 to 39"):
            data.load_image(240, SEQUENCE, FRONTAL_SERIAL, timestep)
    with pytest.raises(nersemble.FrameError, match=r"no timestep 37: it has 37 frames"):
        data.load_image(240, SEQUENCE, SHORT_VIDEO.camera, 37)
    assert read_identity(data.load_image(240, SEQUENCE, SHORT_VIDEO.camera, 36)).timestep == 36


@pytest.mark.parametrize("written", [1.0, "1", None, True, [1], slice(3)])
def test_what_is_no_timestep_is_refused(data, written):
    with pytest.raises(nersemble.SelectionError, match="A timestep is a whole number"):
        data.load_image(240, SEQUENCE, FRONTAL_SERIAL, written)


@pytest.mark.parametrize("options", [{"scale": 0}, {"scale": 0.5, "size": (2, 2)}, {"size": 200}])
def test_what_is_no_size_is_refused(data, options):
    with pytest.raises(nersemble.SelectionError, match=r"scale|size"):
        data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, **options)


def test_what_is_no_color_order_is_refused(data):
    with pytest.raises(nersemble.SelectionError, match="color_order is one of resize_first, correct_first, not 'x'"):
        data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 0, color_order="x")
    with pytest.raises(nersemble.SelectionError, match="color_order is one of"):
        nersemble.VideoFrame(color_order=None)


@pytest.mark.parametrize("content", [b"", b"no video\n" * 1000, None], ids=["empty", "text", "truncated"])
def test_a_damaged_video_is_named_and_its_neighbours_are_read(copy, content):
    video = images(copy) / f"cam_{FRONTAL_SERIAL}.mp4"
    whole = video.read_bytes()
    data = open_folder(copy)
    assert data.num_frames(240, SEQUENCE, FRONTAL_SERIAL) == 40
    video.write_bytes(whole[: len(whole) * 6 // 10] if content is None else content)
    assert data.cameras(240, SEQUENCE) == [SERIALS[0], FRONTAL_SERIAL]
    with pytest.raises(nersemble.FrameError, match=video.name):
        [data.load_image(240, SEQUENCE, FRONTAL_SERIAL, timestep) for timestep in range(40)]
    assert read_identity(data.load_image(240, SEQUENCE, SERIALS[0], 39)).timestep == 39
    video.write_bytes(whole)
    assert read_identity(data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 39)).timestep == 39


@pytest.mark.parametrize("content", [b"", b"no picture\n" * 100, None], ids=["empty", "text", "truncated"])
def test_a_damaged_background_is_named(copy, content):
    path = copy / str(AssetPath("background", 240, camera=FRONTAL_SERIAL))
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(nersemble.FrameError, match=rf"image_{FRONTAL_SERIAL}\.jpg cannot be read.*download it again"):
        open_folder(copy).background(240, FRONTAL_SERIAL)


def test_a_directory_that_cannot_be_read_is_not_taken_for_an_empty_one(copy):
    images(copy, "FREE").parent.mkdir()
    images(copy, "FREE").symlink_to("images")  # leads to itself
    with pytest.raises(nersemble.TransportError, match=r"FREE/images cannot be read: .*Are its permissions right"):
        open_folder(copy).sequences(240)


def test_a_folder_that_goes_away_is_named(copy):
    data = open_folder(copy)
    shutil.rmtree(copy)
    for call in (data.participants, lambda: data.sequences(240), lambda: data.load_image(240, SEQUENCE, SERIALS[0], 0)):
        with pytest.raises(nersemble.AssetNotFoundError, match="capture is not there"):
            call()


# --- threads, processes, and what it needs ----------------------------------------------------------------------------


def wrong(data, part: int, parts: int) -> list[tuple[str, int]]:
    """The frames of this part, of all frames of a sequence, that are other ones than asked for."""
    asked = [(camera, timestep) for timestep in range(0, 36, 3) for camera in SERIALS[:6]]
    found = []
    for camera, timestep in asked[part::parts]:
        seen = read_identity(data.load_image(240, SEQUENCE, camera, timestep, color_correction=True))
        if (seen.camera, seen.timestep) != (camera, timestep):
            found.append((camera, timestep))
    return found


def test_threads_get_their_own_frames(data):
    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(wrong, [data] * 8, range(8), [8] * 8)) == [[]] * 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_get_their_own_frames_after_the_parent_has_read(data, method):
    assert wrong(data, 0, 4) == []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as executor:
        assert list(executor.map(wrong, [data] * 2, range(2), [2] * 2, timeout=PATIENCE)) == [[], []]
    assert wrong(data, 1, 4) == []


def test_it_can_be_pickled(data):
    again = pickle.loads(pickle.dumps(data))
    assert again == data
    assert hash(again) == hash(data)
    assert repr(again) == repr(data)
    assert np.array_equal(
        again.load_image(240, SEQUENCE, FRONTAL_SERIAL, 9), data.load_image(240, SEQUENCE, FRONTAL_SERIAL, 9)
    )


def test_a_pickle_opens_where_the_folder_is_not_and_says_so(copy):
    stored = io.BytesIO()
    pickle.dump(open_folder(copy), stored)
    shutil.rmtree(copy)
    stored.seek(0)
    with pytest.raises(nersemble.AssetNotFoundError, match="is not there"):
        pickle.load(stored).participants()


def test_it_needs_no_datasets_no_network_and_no_access_url(demo_folder, tmp_path):
    """In a process of its own: ``datasets`` stays out, sockets are refused, an access URL would answer nothing."""
    code = """
import sys
opened = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        opened.append(event)
        raise RuntimeError("network")
sys.addaudithook(watch)
from nersemble.folder_data import open_folder
data = open_folder(sys.argv[1])
for participant in data.participants():
    for sequence in data.sequences(participant):
        data.cameras(participant, sequence)
data.num_frames(240, "EXP-1-head", "222200037")
data.load_image(240, "EXP-1-head", "222200037", 3, color_correction=True, scale=0.5)
data.camera_calibration(240), data.camera_rig(240), data.color_calibration(240), data.background(240, "222200037")
for wanted in (999, 240):
    try:
        data.load_image(wanted, "HAIR", "222200037", 0)
    except FileNotFoundError:
        pass
print(opened, *sorted({name.split(".")[0] for name in sys.modules} & {"datasets", "torch", "pandas", "typer"}))
"""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/c4nary"
    repository = str(Path(nersemble.__file__).parents[1])
    environ = {**os.environ, "NERSEMBLE_DATA_URL": url, "PYTHONPATH": repository}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(demo_folder)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
