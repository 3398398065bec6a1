"""What a run writes: the planned rows, each picture the one its row names, with stock features, the same every time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from _prepared import SMALL, digests, made, picture, rows, shards, small_plan
from datasets import load_dataset

import nersemble
from nersemble import VideoDecoder, correct_color, prepare
from nersemble.demo import read_identity
from nersemble.errors import PrepareError, SelectionError, StorageError
from nersemble.prepare.encode import encode_clip
from nersemble.prepare.options import check_options
from nersemble.prepare.shard import GROUP_BYTES
from nersemble.prepare.target import Target
from nersemble.video import resize_picture
from nersemble.writers import this_process

PLACE = ("participant", "sequence", "camera", "timestep")


def seen(stored):
    found = read_identity(picture(stored))
    return found.participant, found.sequence, found.camera, found.timestep


def test_rows_of_pictures_are_the_planned_ones(demo_folder, tmp_path):
    plan = small_plan(demo_folder, rows="frame", timesteps="0::3")
    held = made(plan, tmp_path)
    assert len(held) == plan.rows
    assert [seen(row["frame"]) for row in held] == [tuple(row[name] for name in PLACE) for row in held]
    assert len({tuple(row[name] for name in PLACE) for row in held}) == plan.rows
    assert {row["timestep"] % 3 for row in held} == {0}


def test_rows_of_moments_hold_every_camera_that_has_the_frame(demo_folder, tmp_path):
    plan = prepare.plan(participants=240, sequences="EXP-1-head", data_dir=demo_folder, scale=0.5, timesteps="0::5")
    for row in made(plan, tmp_path):
        due = [video.camera for video in plan.units[0].videos if video.facts.num_frames > row["timestep"]]
        assert row["cameras"] == due
        assert [seen(frame) for frame in row["frames"]] == [
            (240, "EXP-1-head", camera, row["timestep"]) for camera in due
        ]
        assert {len(row[name]) for name in ("width", "height", "intrinsics", "world_to_camera", "ccm")} == {len(due)}


def test_rows_of_clips_hold_every_wanted_frame_and_can_be_seeked(demo_folder, tmp_path):
    plan = small_plan(demo_folder, rows="video", timesteps="0::2", gop=4, chunk=96)
    for row in made(plan, tmp_path):
        with VideoDecoder(io.BytesIO(row["video"]["bytes"])) as clip:
            found = [read_identity(clip.get_frame_at(number)) for number in range(len(clip))]
            assert [one.timestep for one in found] == row["timesteps"]
            assert {one.camera for one in found} == {row["camera"]}
            assert (clip.width, clip.height) == (row["width"], row["height"])
            assert clip.fps == pytest.approx(row["fps"], rel=1e-3)
            assert row["fps"] == pytest.approx(73 / 2)
            keys = np.flatnonzero(clip.index.keyframe)
            assert np.diff(keys).max(initial=0) <= 4


@pytest.mark.parametrize("color_order", ["resize_first", "correct_first"])
def test_pictures_and_cameras_are_those_that_load_dataset_gives(demo_folder, tmp_path, cache, color_order):
    """Losslessly encoded they are the very pixels; and so K belongs to them in the same way."""
    how = {"scale": 0.5, "color_correction": True, "color_order": color_order, "timesteps": "0::9"}
    plan = small_plan(demo_folder, rows="frame", image_format="png", chunk=96, **how)
    stored = made(plan, tmp_path)
    ds = load_dataset("nersemble", **SMALL, **how, data_dir=str(demo_folder), split="train", cache_dir=cache)
    streamed = {tuple(row[name] for name in PLACE): row for row in ds}
    assert len(stored) == len(streamed)
    for row in stored:
        other = streamed[tuple(row[name] for name in PLACE)]
        assert np.array_equal(np.asarray(picture(row["frame"])), np.asarray(other["frame"]))
        for name in ("width", "height", "intrinsics", "world_to_camera", "ccm"):
            assert row[name] == other[name], name


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_every_format_is_what_it_says(demo_folder, tmp_path, image_format):
    plan = small_plan(demo_folder, rows="frame", image_format=image_format, timesteps="0::20")
    exact = {tuple(row[name] for name in PLACE): row for row in rows_of_png(demo_folder, tmp_path / "png")}
    for row in made(plan, tmp_path / "out"):
        image = picture(row["frame"])
        assert image.format == {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}[image_format]
        other = np.asarray(picture(exact[tuple(row[name] for name in PLACE)]["frame"]), float)
        assert np.abs(np.asarray(image, float) - other).mean() < 4
        assert "/" not in row["frame"]["path"]


def test_jpegs_are_encoded_as_the_plan_says_or_not_at_all(demo_folder, tmp_path):
    """By the library that the plan names: others give other bytes."""
    plan = small_plan(demo_folder, rows="frame", timesteps="0::20")
    assert plan.encoder == "simplejpeg"
    made(plan, tmp_path / "a")
    without = replace(plan, encoder="pillow")
    assert without.hash != plan.hash
    held = made(without, tmp_path / "b")
    assert {picture(row["frame"]).format for row in held} == {"JPEG"}
    assert digests(tmp_path / "a") != digests(tmp_path / "b")
    code = """
import sys
sys.modules["simplejpeg"] = None
from nersemble.prepare.work import run_unit
from nersemble.prepare import plan, load_plan
made = load_plan(sys.argv[1], data_dir=sys.argv[2])
print(run_unit(made.job(sys.argv[3]), made.units[0]).reason)
print(plan("participant_240__sequence_EXP-1-head", data_dir=sys.argv[2]).encoder)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a"), str(demo_folder), str(tmp_path / "c")]
    refused, encoder = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "pip install simplejpeg" in refused
    assert encoder == "pillow"


def rows_of_png(demo_folder, folder):
    return made(small_plan(demo_folder, rows="frame", image_format="png", timesteps="0::20"), folder)


def test_shards_are_read_by_datasets_without_this_package(demo_folder, tmp_path):
    for kind in prepare.options.ROWS:
        made(small_plan(demo_folder, rows=kind, timesteps="0::10"), tmp_path / kind)
    code = """
import os, sys
sys.modules["nersemble"] = None
from datasets import Image, load_dataset
for kind in ("frame", "timestep"):
    for streaming in (False, True):
        files = f"{sys.argv[1]}/{kind}/**/*.parquet"
        ds = load_dataset("parquet", data_files=files, split="train", streaming=streaming, cache_dir=sys.argv[2])
        row = next(iter(ds))
        frame = row["frame"] if kind == "frame" else row["frames"][0]
        assert frame.size == (138, 201), frame
        assert len(row["intrinsics"]) == (3 if kind == "frame" else 2)
ds = load_dataset("parquet", data_files=f"{sys.argv[1]}/video/**/*.parquet", split="train", cache_dir=sys.argv[2])
assert type(ds.features["video"]).__name__ == "Video"
print("read", flush=True)
os._exit(0)  # threads of a stream of Arrow's can abort a process that ends in the usual way, with all its work done
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), str(tmp_path / "cache")]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout == "read\n"


def test_the_same_plan_gives_the_same_bytes_wherever_the_videos_lie(demo_folder, access, tmp_path):
    first, again, served = (tmp_path / name for name in ("first", "again", "served"))
    made(small_plan(demo_folder, color_correction=True), first, workers=2)
    made(small_plan(demo_folder, color_correction=True), again, workers=1)
    made(small_plan(None, color_correction=True), served, workers=1)
    assert len(digests(first)) > 2
    assert digests(first) == digests(again) == digests(served)


def test_running_again_makes_only_what_is_not_there_and_whole(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    made(plan, tmp_path)
    before = digests(tmp_path)
    assert len(before) == 3
    gone, cut, other = shards(tmp_path)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    made(small_plan(demo_folder, quality=50), tmp_path / "coarse")
    shutil.copy(shards(tmp_path / "coarse")[2], other)
    shutil.rmtree(tmp_path / "coarse")
    report = plan.run(tmp_path, workers=1)
    assert (report.written, report.kept) == (3, len(plan.units) - 3)
    assert digests(tmp_path) == before


def test_a_plan_read_from_its_file_goes_on(demo_folder, tmp_path):
    made(small_plan(demo_folder), tmp_path)
    shards(tmp_path)[0].unlink()
    read = prepare.load_plan(tmp_path, data_dir=demo_folder)
    assert not read.verify(tmp_path).sound
    assert read.hash == small_plan(demo_folder).hash
    assert read.run(tmp_path, workers=1).written == 1
    assert read.verify(tmp_path).sound
    with pytest.raises(SelectionError, match="Give one"):
        prepare.load_plan(tmp_path, data_dir=demo_folder, from_cache=True)


def test_shards_of_other_options_are_not_written_over(demo_folder, tmp_path):
    made(small_plan(demo_folder), tmp_path)
    before = digests(tmp_path)
    with pytest.raises(PrepareError, match="other options"):
        small_plan(demo_folder, quality=50).run(tmp_path, workers=1)
    assert digests(tmp_path) == before


def test_a_plan_that_grew_keeps_what_is_there(demo_folder, tmp_path):
    made(small_plan(demo_folder, config_name="some"), tmp_path)
    wider = small_plan(demo_folder, sequences="EXP-1-head,EMO-1*", config_name="some")
    report = wider.run(tmp_path, workers=1)
    assert report.kept == len(small_plan(demo_folder).units)
    assert report.complete
    assert wider.verify(tmp_path).sound


def test_nothing_half_written_is_left(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    shard = tmp_path / plan.config / plan.units[0].name
    shard.parent.mkdir(parents=True)
    say = "from nersemble.writers import this_process; print(this_process())"
    ended = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True).stdout.strip()
    of_nobody, of_another_run, of_another_machine = (
        shard.with_name(f".{shard.name}.by_{writer}-0123456789ab.part")
        for writer in (ended, this_process(), f"elsewhere_{ended.partition('_')[2]}")
    )
    for part in (of_nobody, of_another_run, of_another_machine):
        part.write_bytes(b"half")
    made(plan, tmp_path)
    assert set(tmp_path.rglob("*.part")) == {of_another_run, of_another_machine}


def test_a_unit_that_fails_is_reported_and_the_others_are_made(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    plan = small_plan(folder, sequences="EXP-1-head,EMO-1*")
    video = folder / "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    kept = video.read_bytes()
    video.unlink()
    report = plan.run(tmp_path / "out", workers=2)
    assert not report.complete
    assert all("EXP-1-head" in name for name in report.failed)
    assert "cam_222200037.mp4" in str(report)
    assert report.written == sum("EMO-1" in unit.name for unit in plan.units)
    with pytest.raises(PrepareError, match="run it again"):
        report.raise_if_incomplete()
    video.write_bytes(kept)
    assert plan.run(tmp_path / "out", workers=2).complete
    assert plan.verify(tmp_path / "out").sound


def test_a_video_that_changed_since_it_was_planned_is_not_taken_for_the_other(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    plan = small_plan(folder)
    images = folder / "240/sequences"
    other = next(images.glob("EMO-1*/images/cam_222200037.mp4"))
    shutil.copy(other, images / "EXP-1-head/images/cam_222200037.mp4")
    report = plan.run(tmp_path / "out", workers=1)
    assert len(report.failed) == len(plan.units)
    assert "has changed" in str(report)
    again = small_plan(folder)
    assert again.hash != plan.hash


def test_a_calibration_that_changed_makes_its_shards_anew(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    made(small_plan(folder), tmp_path / "out")
    path = folder / "240/calibration/camera_params.json"
    held = json.loads(path.read_text())
    held["world_2_cam"]["222200037"][0][3] += 0.5
    path.write_text(json.dumps(held))
    report = small_plan(folder).run(tmp_path / "out", workers=1)
    assert report.kept == 0
    for row in rows(tmp_path / "out"):
        poses = dict(zip(row["cameras"], row["world_to_camera"], strict=True))
        assert all(poses[serial] == held["world_2_cam"][serial] for serial in poses)


def test_what_was_damaged_is_made_anew_when_it_is_looked_for(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    made(plan, tmp_path)
    before = digests(tmp_path)
    path = shards(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert len(plan.verify(tmp_path).findings) == 1
    assert plan.run(tmp_path, workers=1).written == 0
    assert plan.run(tmp_path, workers=1, recheck=True).written == 1
    assert digests(tmp_path) == before


@pytest.mark.parametrize("other", [{"cameras": ["222200037"]}, {"sequences": "EMO-1*"}, {"chunk": 96}], ids=str)
def test_shards_of_another_selection_are_neither_written_over_nor_left_behind(demo_folder, tmp_path, other):
    made(small_plan(demo_folder), tmp_path)
    before = digests(tmp_path)
    with pytest.raises(PrepareError, match="another selection"):
        small_plan(demo_folder, **other).run(tmp_path, workers=1)
    assert digests(tmp_path) == before
    assert small_plan(demo_folder).verify(tmp_path).sound


@pytest.mark.parametrize(
    "spoil", [lambda _: "", lambda _: "{", lambda _: "null", lambda text: text.replace("95", "90")]
)
def test_a_plan_that_was_changed_by_hand_is_mended_by_running_what_it_was_planned_with(demo_folder, tmp_path, spoil):
    """As the error says; another plan does not take the shards for its own."""
    plan = small_plan(demo_folder)
    made(plan, tmp_path)
    before, file = digests(tmp_path), tmp_path / plan.config / "plan.json"
    file.write_text(spoil(file.read_text()))
    for use in (
        prepare.load_plan,
        lambda place: prepare.PreparePlan.from_json((place / plan.config / "plan.json").read_text()),
    ):
        with pytest.raises(PrepareError, match="plan with the options of before and run that into their folder"):
            use(tmp_path)
    with pytest.raises(PrepareError, match=r"holds a plan\.json that was changed, damaged or .*: not by this plan"):
        small_plan(demo_folder, quality=90).run(tmp_path, workers=1)
    report = small_plan(demo_folder).run(tmp_path, workers=1)
    assert (report.written, report.kept) == (0, len(plan.units))
    assert digests(tmp_path) == before
    assert prepare.load_plan(tmp_path) == plan


def test_two_runs_into_one_folder_leave_each_other_in_peace(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    reports = []
    runs = [threading.Thread(target=lambda: reports.append(plan.run(tmp_path, workers=1))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [report.complete for report in reports] == [True] * 3
    assert plan.verify(tmp_path).sound


def test_a_damaged_frame_is_a_failed_unit_never_a_wrong_row(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    plan = small_plan(folder)
    video = folder / "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    video.write_bytes(data)
    report = plan.run(tmp_path / "out", workers=1)
    assert report.failed
    assert "(--without 240/sequences/EXP-1-head/images/cam_" in str(report)
    for row in rows(tmp_path / "out"):
        assert [seen(frame) for frame in row["frames"]] == [
            (240, "EXP-1-head", camera, row["timestep"]) for camera in row["cameras"]
        ]


def test_equal_pictures_give_equal_clips_whatever_lies_in_memory(demo_folder):
    """x264 reads beside what it is given where pictures are small."""
    path = demo_folder / "240/sequences/EXP-1-head/images/cam_222200047.mp4"
    with VideoDecoder(path) as decoder:
        pictures = [resize_picture(one, (62, 78)) for _, one in decoder.read_many(range(12, 24))]
    options, clips, junk = check_options(rows="video"), set(), []
    random = np.random.default_rng(1)
    for _ in range(80):
        junk = [*junk[-5:], random.integers(0, 256, random.integers(1000, 3_000_000), dtype=np.uint8)]
        untimed = lambda _: contextlib.nullcontext()  # noqa: E731
        clips.add(encode_clip((one.copy() for one in pictures), 24.0, options, untimed))
    assert len(clips) == 1


# --- where to ---------------------------------------------------------------------------------------------------------


def test_shards_go_to_any_url_that_fsspec_can_write(demo_folder, tmp_path):
    made(small_plan(demo_folder), tmp_path / "folder")
    url = f"file://{tmp_path}/by-url"
    plan = small_plan(demo_folder)
    assert plan.run(url, workers=1).complete
    assert digests(tmp_path / "by-url") == digests(tmp_path / "folder")
    again = plan.run(url, workers=1)
    assert (again.written, again.kept) == (0, len(plan.units))
    assert plan.verify(url).sound


def test_nothing_is_left_of_what_was_on_its_way_to_a_url(demo_folder, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what was found before
    write = """
import os, signal
from nersemble.prepare.target import Target
with Target("memory://somewhere").writing("a/shard.parquet") as part:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", write]).returncode == -signal.SIGKILL
    of_a_running_one = tmp_path / f"tmp/nersemble-shard.parquet.by_{this_process()}-0123456789ab.part"
    of_a_running_one.touch()
    assert len(list((tmp_path / "tmp").iterdir())) == 2
    assert small_plan(demo_folder).run(f"file://{tmp_path}/by-url", workers=1).complete
    assert list((tmp_path / "tmp").iterdir()) == [of_a_running_one]


FULL = """
import resource, fsspec
from nersemble.errors import StorageError
from nersemble.prepare.target import Target
target = Target("memory://somewhere")
fsspec.filesystem("memory").pipe("/somewhere/a/shard.parquet", bytes(1 << 20))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
def write():
    with target.writing("a/other.parquet") as part, open(part, "wb") as file:
        file.write(bytes(1 << 20))
for act in (lambda: target.open_on_disk("a/shard.parquet"), write):
    try:
        act()
    except StorageError as error:
        print(error)
"""


def test_a_full_folder_for_temporary_files_is_named_and_not_the_store(tmp_path):
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, env=environ)
    assert done.stderr == ""
    copied, written = done.stdout.splitlines()
    for told, what in ((copied, "a copy of memory://"), (written, "what is on its way to memory://")):
        assert told.startswith(f"The folder for temporary files, {tmp_path}, does not take {what}")
        assert "Name one with more space in TMPDIR" in told
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


@pytest.mark.parametrize(
    "place", ["", "nersemble://out", "https://x.invalid/out", "nowhere://out", "memory://x", "simplecache::memory://x"]
)
def test_a_place_that_cannot_be_written_to_is_refused(demo_folder, place):
    with pytest.raises(SelectionError):
        small_plan(demo_folder).run(place)


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    target = Target(tmp_path)
    seen = []

    def write_and_fail():
        with target.writing("a/shard") as part:
            Path(part).write_bytes(b"half")
            seen.append((tmp_path / "a/shard").exists())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert seen == [False]
    assert list((tmp_path / "a").iterdir()) == []
    memory = Target("memory://somewhere")
    with memory.writing("a/shard") as part:
        Path(part).write_bytes(b"whole")
    assert fsspec.filesystem("memory").cat("/somewhere/a/shard") == b"whole"
    assert memory.names("a") == ["a/shard"]


def test_a_folder_that_takes_nothing_stops_the_run(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    with pytest.raises(StorageError, match="cannot be written"):
        plan.run("/proc/nowhere", workers=1)
    (tmp_path / plan.config).mkdir()
    (tmp_path / plan.config / "240").write_text("a file where the folder of shards should be")
    report = plan.run(tmp_path, workers=1)
    assert len(report.failed) == len(plan.units)
    assert "cannot be written" in str(report)


# --- secrets, memory --------------------------------------------------------------------------------------------------


def test_the_access_url_is_in_no_shard_plan_or_process(access, tmp_path):
    plan = small_plan(None, timesteps="0::2")
    secret = access.url.split("://")[1].encode()
    lines: list[bytes] = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # of what has ended meanwhile
                    lines.append(path.read_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        made(plan, tmp_path, workers=2)
    finally:
        done.set()
        watching.join()
    assert any(b"nersemble.engines.worker" in line for line in lines)
    assert not any(secret in line for line in lines)
    assert secret.decode() not in json.dumps(plan.as_dict()) + repr(plan) + plan.job(tmp_path).to_json()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(secret in path.read_bytes() for path in files)


def test_a_worker_without_access_says_so_and_stops_the_run(access, tmp_path, monkeypatch):
    plan = small_plan(None)
    monkeypatch.delenv("NERSEMBLE_DATA_URL")
    report = plan.run(tmp_path, workers=1)
    assert "No access URL" in report.stopped
    assert report.not_tried == len(plan.units) - 1


def test_row_groups_stay_small(demo_folder, tmp_path):
    made(prepare.plan(participants=240, sequences="EXP-1-head", data_dir=demo_folder, rows="frame"), tmp_path)
    for path in shards(tmp_path):
        found = pq.ParquetFile(path).metadata
        for number in range(found.num_row_groups):
            group = found.row_group(number)
            assert group.num_rows <= 256
            assert group.total_byte_size < 24 << 20


@pytest.mark.parametrize("kind", prepare.options.ROWS)
def test_row_groups_stay_small_whatever_stages_add(demo_folder, tmp_path, kind):
    @prepare.stage(noise="image", name="string")
    def large(image, background, camera, row):
        noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
        return {"noise": noise, "name": "n" * 400_000}

    options = {"rows": kind, "timesteps": "0:12", "scale": 0.1}
    made(small_plan(demo_folder, stages=[large], **options), tmp_path)
    groups = [pq.ParquetFile(path).metadata.row_group(0) for path in shards(tmp_path)]
    each = 1_600_000 * {"frame": 1, "timestep": 2, "video": 12}[kind]
    assert groups
    assert all(group.total_byte_size < GROUP_BYTES + 1.1 * each for group in groups)


def test_every_core_is_used_by_default_and_workers_by_one_thread(demo_folder, tmp_path):
    @prepare.stage(cores="int32")
    def cores(image, background, camera, row):
        from nersemble.cores import usable_cores

        return {"cores": usable_cores()}

    held = made(small_plan(demo_folder, stages=[cores], timesteps="0::20", rows="frame"), tmp_path)
    assert {row["cores"] for row in held} == {1}
    assert os.cpu_count() is not None


def test_correcting_colours_is_what_correct_color_does(demo_folder, tmp_path):
    how = {"rows": "frame", "image_format": "png", "timesteps": "0::30", "scale": None}
    plain = made(small_plan(demo_folder, **how), tmp_path / "plain")
    corrected = made(small_plan(demo_folder, **how, color_correction=True), tmp_path / "corrected")
    for before, after in zip(plain, corrected, strict=True):
        due = correct_color(np.asarray(picture(before["frame"])), before["ccm"])
        assert np.array_equal(np.asarray(picture(after["frame"])), due)


def test_the_package_offers_it(demo_folder):
    assert nersemble.prepare.plan is prepare.plan
