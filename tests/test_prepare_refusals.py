"""What is not prepared, or not taken for prepared, and how that is said."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from _prepared import SMALL, shards, small_plan

from nersemble import prepare
from nersemble.errors import FrameError, PrepareError, SelectionError, StorageError
from nersemble.prepare.sample import estimate

WORDS = "--participant 240 --sequence EXP-1-head --camera 222200037 --scale 0.25 --timesteps 0:6".split()


def run(*words, folder=None):
    return subprocess.run(
        [sys.executable, "-m", "nersemble", *map(str, words)], capture_output=True, text=True, cwd=folder
    )


@pytest.fixture
def capture(demo_folder, tmp_path):
    """A copy of a participant, to be changed."""
    shutil.copytree(demo_folder / "240", tmp_path / "capture" / "240")
    return tmp_path / "capture"


# --- where to ---


@pytest.mark.parametrize("target", ["hf://datasets/alice/faces", "simplecache::hf://datasets/alice/faces"])
def test_nothing_is_prepared_straight_into_the_hub(demo_folder, target):
    """A data set there can be public; `push` looks."""
    with pytest.raises(SelectionError, match="nersemble push"):
        small_plan(demo_folder).run(target, workers=1)


@pytest.mark.parametrize("folder", [None, 5, b"out", ["out"]])
def test_a_folder_that_is_no_path_is_refused(demo_folder, folder):
    plan = small_plan(demo_folder)
    for use in (plan.run, plan.verify, prepare.load_plan):
        with pytest.raises(SelectionError, match="folder of shards is a path or a URL, not"):
            use(folder)


@pytest.mark.parametrize("form", ["{}", "simplecache::{}", "filecache::{}", " {}"])
def test_the_access_url_is_no_folder_of_shards_and_is_not_repeated(demo_folder, form):
    url, plan = form.format("HTTPS://user:word@127.0.0.1:1/s3cret/x"), small_plan(demo_folder)
    for place in (url, url.lower(), Path(url)):
        for use in (plan.run, plan.verify, prepare.load_plan):
            with pytest.raises(SelectionError, match="no http:// or https://") as caught:
                use(place)
            assert not [word for word in ("s3cret", "word", "127.0.0.1") if word in str(caught.value)]


def test_an_engine_that_is_none_is_refused(demo_folder, tmp_path):
    with pytest.raises(SelectionError, match="engine is one of local, ray, datatrove, or an object with a method run"):
        small_plan(demo_folder).run(tmp_path / "out", engine=5)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"watch": 5}, "watch is a function that is called with the progress, not 5"),
        ({"recheck": "no"}, "recheck is True or False, not 'no'"),
        ({"progress": "no"}, "progress is True or False, not 'no'"),
    ],
)
def test_options_of_a_run_that_are_none_are_said_before_anything_is_made(demo_folder, tmp_path, given, said):
    with pytest.raises(SelectionError, match=said):
        small_plan(demo_folder).run(tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [{"watch": 5}, {"decode": "no"}])
def test_options_of_a_check_that_are_none_are_said(demo_folder, tmp_path, given):
    with pytest.raises(SelectionError, match=f"{next(iter(given))} is"):
        small_plan(demo_folder).verify(tmp_path, **given)


@pytest.mark.parametrize("name", ["replace", "dry_run"])
def test_a_push_takes_no_text_for_a_switch(demo_folder, tmp_path, name):
    with pytest.raises(SelectionError, match=f"{name} is True or False, not 'no'"):
        small_plan(demo_folder).push(tmp_path, "my-lab/heads", **{name: "no"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chunk": 0}, "chunk is a number of moments, 1 or more, not 0"),
        ({"chunk": True}, "chunk is a number of moments"),
        ({"chunk": 1.5}, "chunk is a number of moments"),
        ({"from_cache": "no"}, "from_cache is True or False, not 'no'"),
        ({"config_name": ""}, "A config cannot be named ''"),
    ],
)
def test_options_of_a_plan_that_are_none_are_said(demo_folder, given, said):
    with pytest.raises(SelectionError, match=said):
        small_plan(demo_folder, **given)


def test_options_of_a_plan_may_be_of_numpy(demo_folder):
    left_out = "240/sequences/EXP-1-head/images/cam_222200042.mp4"
    options = {"chunk": 24, "without": [left_out], "from_cache": False}
    of_numpy = {"chunk": np.int64(24), "without": np.array([left_out]), "from_cache": np.False_}
    planned, otherwise = small_plan(demo_folder, **options), small_plan(demo_folder, **of_numpy)
    assert otherwise.hash == planned.hash
    assert otherwise.job("out").to_json() == planned.job("out").to_json()


def test_videos_to_leave_out_that_are_no_list_are_said(demo_folder):
    with pytest.raises(SelectionError, match="without is a list of paths of videos, not 5"):
        small_plan(demo_folder, without=5)


def test_a_password_in_a_target_is_not_repeated(demo_folder):
    target = "ftp://user:s3cretword@127.0.0.1:1/shards"
    with pytest.raises((SelectionError, StorageError)) as caught:
        small_plan(demo_folder).run(target, workers=1)
    assert "127.0.0.1" in str(caught.value)
    assert "s3cretword" not in str(caught.value)
    done = run("prepare", target, *WORDS, "--data-dir", demo_folder, "--dry-run")
    assert done.returncode == 1
    assert "s3cretword" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_that_cannot_be_read_is_said_in_a_line(demo_folder, tmp_path):
    (tmp_path / "out/participant_240/plan.json").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"plan\.json cannot be read"):
        small_plan(demo_folder).run(tmp_path / "out", workers=1)
    for command in ("verify", "status"):
        done = run(command, tmp_path / "out")
        assert done.returncode == 1
        assert "plan.json" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_run_that_made_nothing_does_not_stand_in_the_way_of_other_options(demo_folder, tmp_path):
    other = small_plan(demo_folder, image_format="png")
    (tmp_path / other.config).mkdir()
    (tmp_path / other.config / "plan.json").write_text(other.to_json())
    plan = small_plan(demo_folder)
    assert plan.run(tmp_path, workers=1).complete
    assert prepare.load_plan(tmp_path) == plan
    with pytest.raises(PrepareError, match="other options"):
        other.run(tmp_path, workers=1)


def test_a_dry_run_says_what_would_be_refused(demo_folder, tmp_path):
    words = ("prepare", tmp_path / "out", *WORDS, "--data-dir", demo_folder)
    assert run(*words, "--yes", "--quiet").returncode == 0
    assert run(*words, "--dry-run").returncode == 0
    done = run(*words, "--dry-run", "--format", "png")
    assert done.returncode == 1
    assert "This will be refused" in done.stdout
    asked = run(*words, "--format", "png")
    assert (asked.returncode, "other options" in asked.stderr, "Proceed?" in asked.stderr) == (1, True, False)
    told = run(*words, "--dry-run", "--format", "png", "--json")
    assert (told.returncode, "other options" in json.loads(told.stdout)["refusal"]) == (1, True)
    assert run(*words, "--dry-run", "--engine", "cloud").returncode == 1


# --- what from ---


def test_another_video_of_the_same_length_is_noticed(capture, tmp_path):
    """Its file has as many bytes, its frames are as many and as large."""
    images = capture / "240/sequences/EXP-1-head/images"
    shorter, longer = sorted(images.iterdir(), key=lambda path: path.stat().st_size)[-2:]
    cameras = [longer.stem.removeprefix("cam_")]
    plan = small_plan(capture, cameras=cameras)
    free = longer.stat().st_size - shorter.stat().st_size
    assert free >= 8
    longer.write_bytes(shorter.read_bytes() + struct.pack(">I4s", free, b"free") + bytes(free - 8))
    changed = small_plan(capture, cameras=cameras)
    before, after = plan.units[0].videos[0], changed.units[0].videos[0]
    assert (before.facts, before.bytes) == (after.facts, after.bytes)
    assert changed.hash != plan.hash
    report = plan.run(tmp_path / "out", workers=1)
    assert len(report.failed) == len(plan.units)
    assert all("has become another video" in reason for reason in report.failed.values())


@pytest.mark.parametrize("harm", ["empty", "garbage", "folder"])
def test_a_video_that_cannot_be_read_is_an_error_of_the_plan_which_says_how_to_leave_it_out(capture, tmp_path, harm):
    video = "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    (capture / video).unlink()
    if harm == "folder":
        (capture / video).mkdir()
    else:
        (capture / video).write_bytes({"empty": b"", "garbage": b"<html>" * 999}[harm])
    with pytest.raises(FrameError, match=r"cam_222200037\.mp4") as caught:
        small_plan(capture)
    said = f'download it again, or plan again without it: without=["{video}"] (--without {video}).'
    assert str(caught.value).endswith(said)
    assert ".." not in str(caught.value)
    words = ["prepare", tmp_path / "out", *WORDS[:4], "--data-dir", capture, "--scale", "0.25", "--timesteps", "0:3"]
    done = run(*words, "--yes")
    assert (done.returncode, f"(--without {video})" in " ".join(done.stderr.split())) == (1, True)
    assert run(*words, "--without", video, "--dry-run").returncode == 0


def test_a_video_that_is_damaged_further_on_is_said_in_the_same_words(capture, tmp_path):
    video = "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    whole = (capture / video).read_bytes()
    middle = len(whole) // 2
    (capture / video).write_bytes(whole[:middle] + bytes(600) + whole[middle + 600 :])
    said = f'download it again, or plan again without it: without=["{video}"] (--without {video}).'
    reasons = small_plan(capture).run(tmp_path / "out", workers=1).failed.values()
    assert reasons
    assert all(reason.endswith(said) for reason in reasons)


def test_a_damaged_video_can_be_left_out(capture, tmp_path):
    video = "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    (capture / video).write_bytes(b"")
    for without in ([video], f"nersemble://{video}", [capture / video]):
        plan = small_plan(capture, without=without)
        assert {video.camera for unit in plan.units for video in unit.videos} == {"222200042"}
        assert plan.selected["without"] == "1 video"
    assert plan.run(tmp_path / "out", workers=1).complete
    assert "cam_222200037" not in plan.to_json()
    words = ["prepare", tmp_path / "more", *WORDS[:4], "--data-dir", capture, "--scale", "0.25", "--timesteps", "0:3"]
    done = run(*words, "--without", video, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verify"]["sound"]


@pytest.mark.parametrize("without", ["cam_222200037.mp4", ["240/calibration/camera_params.json"], ["240/x"]])
def test_what_is_no_video_cannot_be_left_out(demo_folder, without):
    with pytest.raises(SelectionError, match="no path of a video"):
        small_plan(demo_folder, without=without)


def test_a_video_that_is_not_selected_cannot_be_left_out(demo_folder):
    with pytest.raises(SelectionError, match="not among the selected"):
        small_plan(demo_folder, without="240/sequences/EXP-1-head/images/cam_222200040.mp4")


def test_leaving_out_every_video_is_refused(demo_folder):
    videos = [f"240/sequences/EXP-1-head/images/cam_{serial}.mp4" for serial in SMALL["cameras"]]
    with pytest.raises(SelectionError, match=r"without= \(--without\) leaves out every selected video"):
        small_plan(demo_folder, without=videos)


@pytest.mark.parametrize(
    ("participants", "cameras"),
    [
        ((one for one in [240]), ["222200037", "222200042"]),
        ({240}, {"222200042", "222200037"}),
        ([[240]], [["222200037"], "222200042"]),
        ((240,), ("222200037", "222200042")),
    ],
)
def test_a_selection_may_be_any_iterable(demo_folder, participants, cameras):
    given = {**SMALL, "participants": participants, "cameras": cameras}
    plan = prepare.plan(**given, data_dir=demo_folder, scale=0.5, chunk=12)
    assert plan.hash == small_plan(demo_folder, participants=[240]).hash
    assert plan.selected["cameras"] == "222200037,222200042"


@pytest.mark.parametrize("config", [240, ["participant_240"], b"participant_240"])
def test_a_config_that_is_no_name_is_refused(demo_folder, config):
    with pytest.raises(SelectionError, match="A config is a name such as 'participant_240', not"):
        prepare.plan(config, data_dir=demo_folder)


@pytest.mark.parametrize("data_dir", [5, b"/tmp", b"https://user:word@host/s3cret", "", ["/tmp"]])
def test_a_folder_to_read_that_is_no_path_is_refused(demo_folder, data_dir):
    with pytest.raises(SelectionError, match="data_dir is the path of a folder, not") as caught:
        small_plan(data_dir)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("name", ["participants", "sequences", "cameras"])
def test_bytes_select_nothing(demo_folder, kind, name):
    for value in (kind(b"240"), [kind(b"240")]):
        with pytest.raises(SelectionError, match=f"{name} cannot be"):
            small_plan(demo_folder, **{name: value})


@pytest.mark.parametrize("workers", ["2", 0, -1, 1.5, True])
def test_workers_that_are_no_number_are_refused(demo_folder, tmp_path, workers):
    plan = small_plan(demo_folder)
    for use in (plan.run, plan.verify):
        with pytest.raises(SelectionError, match="workers is a number of 1 or more, not"):
            use(tmp_path / "out", workers=workers)


def test_webp_has_a_largest_picture(demo_folder):
    with pytest.raises(SelectionError, match="16383"):
        small_plan(demo_folder, scale=None, size=(16384, 100), image_format="webp")


# --- the command line ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine-option", "workers=2"], "--engine-option workers="),
        (["--engine-option", "folder=x"], "--engine-option folder="),
        (["--stage", "raising:mask"], "ZeroDivisionError"),
        (["--stage", "wrong:mask"], "SyntaxError"),
        (["--stage", "leaving:mask"], "--stage leaving:mask cannot be had: SystemExit. It is"),
        (["--stage", "quoting:mask"], "SystemExit: no a URL"),
    ],
)
def test_mistakes_are_a_line(demo_folder, tmp_path, words, said):
    (tmp_path / "raising.py").write_text("1 / 0\n")
    (tmp_path / "wrong.py").write_text("def mask(:\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit()\n")
    (tmp_path / "quoting.py").write_text("import sys\nsys.exit('no https://user:word@host/s3cret')\n")
    done = run("prepare", "out", *WORDS, "--data-dir", demo_folder, *words, "--yes", folder=tmp_path)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_selected_names_the_options_of_the_command_line(demo_folder, tmp_path):
    done = run("prepare", tmp_path / "out", "--data-dir", demo_folder)
    assert done.returncode == 1
    assert "--participant" in done.stderr


def test_an_estimate_counts_no_worker_that_has_nothing_to_do(demo_folder):
    plan = small_plan(demo_folder, chunk=1000)
    assert len(plan.units) == 1
    reckoned = estimate(plan, workers=64)
    assert reckoned.workers == 1
    assert str(reckoned).endswith("with 1 worker")


def test_a_folder_of_shards_is_known_from_inside_and_by_its_plan(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    assert plan.run(tmp_path / "out", workers=1).complete
    inside = tmp_path / "out" / plan.config
    for command in ("verify", "status"):
        for place, folder in ((".", inside), ("..", inside / "240"), ("plan.json", inside)):
            done = run(command, place, folder=folder)
            assert done.returncode == 0, done.stderr
            assert "Sound" in done.stdout or "0 shards" in done.stdout
    assert "pictures were not decoded" in run("verify", inside).stdout
    assert "every picture decodes" in run("verify", inside, "--deep").stdout


def test_a_home_folder_is_meant_everywhere(demo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    plan = small_plan(demo_folder)
    assert plan.run("~/shards", workers=1).complete
    assert len(shards(tmp_path / "shards")) == len(plan.units)
    assert prepare.load_plan("~/shards") == plan
    assert plan.verify(os.path.join("~", "shards")).sound
