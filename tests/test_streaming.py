"""Streaming: nothing is fetched before it is needed, and skipping costs no frame."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest
from datasets import load_dataset
from datasets.distributed import split_dataset_by_node

from nersemble import MissingAssetWarning, opening
from nersemble.demo import DemoOptions, DemoServer, FrameIdentity, read_identity, stamp
from nersemble.layout import SEQUENCES, SERIALS, AssetPath

OPTIONS = DemoOptions()


def stream(name="participant_240", **options):
    return load_dataset("nersemble", name, split="train", streaming=True, **options)


def identity(row):
    found = read_identity(row["frame"])
    return (found.participant, found.sequence, found.camera, found.timestep)


def stated(row):
    return (row["participant"], row["sequence"], row["camera"], row["timestep"])


def video_requests(server):
    return [request for request in server.requests if request.path.endswith(".mp4")]


def num_shards(ds):
    return ds.num_shards if hasattr(ds, "num_shards") else ds.n_shards


def test_the_first_frame_costs_few_requests_and_no_whole_file(access):
    row = next(iter(stream()))
    assert identity(row) == stated(row) == (240, "EXP-1-head", SERIALS[0], 0)
    assert len(access.requests) <= 5
    assert all(request.range for request in video_requests(access))


def write_noisy_video(path, asset):
    """A stamped video of about 9 MB, a quarter of a megabyte a frame."""
    noise = np.random.default_rng(0)
    path.unlink()
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=73)
        track.width, track.height, track.pix_fmt = 276, 402, "yuv420p"
        track.options = {"preset": "ultrafast", "qp": "6", "x264-params": "bframes=2:keyint=250:slices=1"}
        for timestep in range(58):
            picture = noise.integers(0, 256, (402, 276, 3), np.uint8)
            stamp(picture, FrameIdentity(240, asset.sequence, asset.camera, timestep))
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode(None))


def test_the_first_moment_asks_for_each_camera_once(access):
    """Header and first frame of a small video in one request; beside them the catalogue and two calibrations."""
    row = next(iter(stream("participant_240__sequence_EXP-1-head", view="timestep")))
    assert [read_identity(frame).camera for frame in row["frames"]] == row["cameras"]
    assert len(access.requests) == 3 + len(row["cameras"])


def test_the_first_frame_of_a_large_video_costs_less_than_a_megabyte(demo_folder, tmp_path, monkeypatch):
    folder = tmp_path / "large"
    shutil.copytree(demo_folder / "240", folder / "240")
    (folder / "metadata_sequences.csv").write_text("ID,BACKGROUND,EXP-1-head\n240,x,x\n")
    video = folder / str(AssetPath("video", 240, "EXP-1-head", SERIALS[0]))
    write_noisy_video(video, AssetPath.parse(str(video)))
    assert 8_000_000 < video.stat().st_size < 12_000_000
    with DemoServer(folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        row = next(iter(stream()))
        assert identity(row) == stated(row)
        assert len(server.requests) <= 5
        assert sum(request.body_bytes for request in server.requests) < 1_000_000


def test_shards_are_videos(access):
    ds = stream()
    assert num_shards(ds) == len([a for a in OPTIONS.listed_videos() if a.participant == 240])
    assert num_shards(stream(view="timestep")) == len(OPTIONS.sequences_of(240))
    assert video_requests(access) == []


def test_every_streamed_row_is_the_frame_it_says(access):
    rows = list(stream("participant_240__sequence_EXP-1-head__camera_222200037,222200048"))
    assert [identity(row) for row in rows] == [stated(row) for row in rows]
    assert len(rows) == sum(
        OPTIONS.num_frames(a)
        for a in OPTIONS.listed_videos()
        if a.participant == 240 and a.sequence == "EXP-1-head" and a.camera in ("222200037", "222200048")
    )


def test_streamed_and_downloaded_rows_are_equal(access, cache):
    name = "participant_240__camera_222200037"
    downloaded = load_dataset("nersemble", name, split="train", cache_dir=cache, timesteps="::13")
    for ours, theirs in zip(stream(name, timesteps="::13"), downloaded, strict=True):
        assert ours["frame"].tobytes() == theirs["frame"].tobytes()
        assert {**ours, "frame": None} == {**theirs, "frame": None}


def test_skip_and_take_decode_one_frame(access):
    row = next(iter(stream().skip(500)))
    assert identity(row) == stated(row)
    # The 12 videos passed over were asked for their headers alone, one request each, and nothing of them was decoded.
    assert len(video_requests(access)) == 13
    decoding = [decoder for _, decoder in opening._pool._idle.values() if decoder._engine.used]
    assert [decoder.name.rsplit("cam_")[1] for decoder in decoding] == [f"{row['camera']}.mp4"]
    assert len(list(stream().take(3))) == 3


def test_a_stream_goes_on_where_its_state_was_taken(access):
    ds = stream("participant_240__camera_222200037")
    rows = iter(ds)
    for _ in range(45):
        next(rows)
    state = ds.state_dict()
    following = stated(next(rows))
    again = stream("participant_240__camera_222200037")
    again.load_state_dict(state)
    row = next(iter(again))
    assert stated(row) == following == identity(row)


def test_nodes_share_the_shards_without_overlap(access):
    seen = []
    for rank in range(2):
        part = split_dataset_by_node(stream("participant_50__sequence_EXP-1-head", timesteps="0:2"), rank, 2)
        seen.append({stated(row) for row in part})
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == 32


def test_shuffled_rows_are_the_frames_they_say(access):
    rows = list(stream("participant_240__sequence_EXP-1-head", timesteps="::20").shuffle(seed=3, buffer_size=8))
    assert [identity(row) for row in rows] == [stated(row) for row in rows]
    assert [stated(row) for row in rows] != sorted(stated(row) for row in rows)


def test_a_missing_video_is_skipped_and_named(access):
    name = "participant_55__sequence_EMO-1-shout+laugh"
    with pytest.warns(MissingAssetWarning, match=SERIALS[11]) as caught:
        cameras = {row["camera"] for row in stream(name, timesteps=[0])}
    assert cameras == set(SERIALS) - {SERIALS[11]}
    assert len([w for w in caught if issubclass(w.category, MissingAssetWarning)]) == 1


def test_moments_hold_all_cameras(access):
    row = next(iter(stream(view="timestep", timesteps=[7])))
    assert [read_identity(picture).camera for picture in row["frames"]] == row["cameras"] == list(SERIALS)
    assert {read_identity(picture).timestep for picture in row["frames"]} == {7}


def test_other_views_stream(access):
    still = next(iter(stream(view="background")))
    assert read_identity(still["image"]).camera == still["camera"]
    assert next(iter(stream("all", view="participant")))["participant"] == 50
    video = next(iter(stream(view="video").decode(False)))
    assert video["num_frames"] == 40
    assert video["video"]["path"].startswith("nersemble://240/")


def test_a_pickled_stream_runs_in_a_fresh_interpreter_that_never_imported_the_package(access, tmp_path):
    (tmp_path / "stream.pickle").write_bytes(pickle.dumps(stream(timesteps=[3])))
    assert access.prefix.encode() not in (tmp_path / "stream.pickle").read_bytes()
    code = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    row = next(iter(pickle.load(file)))
print(row["frame"].size, row["timestep"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "stream.pickle")], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [f"({OPTIONS.width},", f"{OPTIONS.height})", "3"], done.stderr


def test_a_folder_streams_in_place(demo_folder):
    row = next(iter(stream(data_dir=str(demo_folder))))
    assert identity(row) == stated(row)


def test_all_of_the_data_set_is_a_stream_after_one_request(tmp_path, monkeypatch):
    rows = [f"{number},,x," + ",".join(["x"] * len(SEQUENCES)) for number in range(1, 426)]
    (tmp_path / "root").mkdir()
    table = "\n".join(["ID,wears_glasses,BACKGROUND," + ",".join(SEQUENCES), *rows])
    (tmp_path / "root" / "metadata_sequences.csv").write_text(table)
    with DemoServer(tmp_path / "root") as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        assert num_shards(stream("all")) == 425 * 26 * 16
        assert [request.path for request in server.requests] == ["metadata_sequences.csv"]
