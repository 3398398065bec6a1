"""What ``push_to_hub`` of ``datasets`` may send of loaded rows: nothing of somebody's face."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import datasets
import pytest
from datasets import load_dataset
from datasets.table import embed_table_storage

import nersemble

#: Older releases do not tell a column whether they save or push; columns then keep their paths, and no file is sent.
TELLS = "remote_files" in inspect.signature(embed_table_storage).parameters
NAME = "participant_240__sequence_EXP-1-head__camera_222200037,222200042"

PUSH = """
import json, sys
import nersemble
from datasets import load_dataset
folder, options = sys.argv[1], json.loads(sys.argv[2])
asked = {"data_dir": folder, "split": "train", **options}
rows = load_dataset("nersemble", NAME, **asked)
rows = rows.take(2) if asked.get("streaming") else rows.select(range(2))
rows.push_to_hub("alice/faces")
""".replace("NAME", repr(NAME))

#: Older releases push no streams.
STREAMED = {"streamed": {"streaming": True}} if hasattr(datasets.IterableDataset, "push_to_hub") else {}
WAYS = {"prepared": {}, **STREAMED}


def load(folder, cache, **options):
    return load_dataset("nersemble", NAME, data_dir=str(folder), split="train", cache_dir=cache, **options)


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("view", ["video", "frame", "timestep"])
def test_no_face_is_pushed_whatever_the_view(hub, demo_folder, view, options):
    token = hub.user("alice")
    done = hub.python(PUSH, demo_folder, json.dumps({"view": view, **options}), token=token)
    sent = [repo.read(path) for repo in hub.repos.values() for path in repo.paths()]
    assert not any(b"ftyp" in data for data in sent)
    if TELLS:
        assert done.returncode == 1
        error = "FrameError: This column holds " + ("videos of faces" if view == "video" else "references")
        assert error in done.stderr
        assert not any(path.endswith(".parquet") for repo in hub.repos.values() for path in repo.paths())


def test_the_error_says_how_videos_are_shared_privately(demo_folder, cache):
    table = load(demo_folder, cache, view="video").with_format("arrow")[:]
    if not TELLS:
        assert embed_table_storage(table).equals(table)
        return
    with pytest.raises(nersemble.FrameError, match=r'rows="video".*nersemble push.*private'):
        embed_table_storage(table)


def test_a_saved_video_column_is_that_of_datasets_and_still_refuses(demo_folder, cache, tmp_path):
    videos = load(demo_folder, cache, view="video")
    videos.save_to_disk(str(tmp_path / "saved"))
    videos.to_parquet(str(tmp_path / "videos.parquet"))
    stock = videos.cast_column("video", datasets.Video())
    stock.save_to_disk(str(tmp_path / "stock"))

    def paths_and_bytes(rows, feature=datasets.Video):
        return rows.cast_column("video", feature(decode=False))["video"][:]

    saved = datasets.load_from_disk(str(tmp_path / "saved"))
    if TELLS:
        assert paths_and_bytes(saved) == paths_and_bytes(datasets.load_from_disk(str(tmp_path / "stock")))
    else:
        assert paths_and_bytes(saved) == paths_and_bytes(videos)
    read = load_dataset("parquet", data_files=str(tmp_path / "videos.parquet"), split="train", cache_dir=cache)
    assert paths_and_bytes(read) == paths_and_bytes(videos)
    kept = videos.cast_column("video", nersemble.PrivateVideo(decode=False)).map(lambda row: {"more": row["fps"]})
    for rows in (saved, read, kept):
        assert isinstance(rows.features["video"], nersemble.PrivateVideo)
        if TELLS:
            with pytest.raises(nersemble.FrameError):
                embed_table_storage(rows.with_format("arrow")[:])
    path = Path(paths_and_bytes(kept, nersemble.PrivateVideo)[0]["path"])
    assert path.name == "cam_222200037.mp4" or path.name == "cam_222200042.mp4"


def test_a_stream_of_videos_gives_their_paths(access):
    rows = load_dataset("nersemble", NAME, view="video", split="train", streaming=True)
    assert next(iter(rows.decode(False)))["video"]["path"].startswith("nersemble://240/")


def test_a_video_column_survives_being_told_in_words(demo_folder, cache):
    features = load(demo_folder, cache, view="video").features
    assert datasets.Features.from_dict(features.to_dict()) == features
    assert datasets.Features.from_arrow_schema(features.arrow_schema) == features
    assert datasets.Features._from_yaml_list(features._to_yaml_list()) == features
