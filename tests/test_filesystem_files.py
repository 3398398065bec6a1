"""File objects of ``nersemble://``: what fsspec, its caches and readers of videos ask of one."""

from __future__ import annotations

import os
import pickle

import fsspec
import numpy as np
import pytest

from nersemble import NersembleFileSystem, VideoDecoder
from nersemble.layout import SERIALS, AssetPath

VIDEO = str(AssetPath("video", 240, "EXP-1-head", SERIALS[0]))
CSV = "metadata_sequences.csv"


#: fsspec leaves the file behind its cache of blocks to the garbage collector.
UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_a_file_says_what_fsspec_asks_of_one(fs, demo_folder):
    data = (demo_folder / VIDEO).read_bytes()
    with fs.open(f"nersemble://{VIDEO}") as file:
        assert file.size == len(data)
        assert (file.path, file.fs, file.mode, file.name) == (VIDEO, fs, "rb", f"nersemble://{VIDEO}")
        assert file.blocksize > 0
    with fs.open(VIDEO, block_size=1000) as file:
        assert file.blocksize == pickle.loads(pickle.dumps(file)).blocksize == 1000


def test_blocks_heads_and_tails_are_read(fs, demo_folder):
    data, table = (demo_folder / VIDEO).read_bytes(), (demo_folder / CSV).read_bytes()
    first, second = table.splitlines(keepends=True)[:2]
    assert fs.read_block(CSV, 3, len(first), b"\n") == second
    assert fs.read_block(CSV, 3, 9) == table[3:12]
    assert fs.read_block(VIDEO, len(data) - 5, 100) == data[-5:]
    assert (fs.head(VIDEO, 8), fs.tail(VIDEO, 8)) == (data[:8], data[-8:])


def test_a_closed_file_is_closed(fs):
    file = fs.open(VIDEO)
    file.read(5)
    file.close()
    for use in (file.read, lambda: file.read(3), lambda: file.seek(0), file.tell, lambda: file.readinto(bytearray(1))):
        with pytest.raises(ValueError, match="closed"):
            use()


@pytest.mark.parametrize("whence", [9, -1, None])
def test_a_position_is_counted_from_a_known_place(fs, whence):
    with fs.open(VIDEO) as file:
        file.seek(7)
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, whence)
        with pytest.raises(ValueError, match="negative"):
            file.seek(-8, os.SEEK_CUR)
        assert file.tell() == 7


@UNCLOSED
@pytest.mark.parametrize("kind", ["blockcache", "filecache", "simplecache"])
def test_caches_of_fsspec_keep_what_was_read(access, demo_folder, tmp_path, kind):
    data = (demo_folder / VIDEO).read_bytes()
    options = {kind: {"cache_storage": str(tmp_path / "cache")}, "nersemble": {}}
    if kind == "blockcache":
        options["nersemble"] = {"skip_instance_cache": True}
    for requests in (True, False):
        with fsspec.open(f"{kind}::nersemble://{VIDEO}", **options) as file:
            access.reset()
            file.seek(len(data) - 30)
            assert file.read(10) == data[-30:-20]
            file.seek(100)
            assert file.read() == data[100:]
            if not requests:
                assert [request.path for request in access.requests if request.method == "GET"] == []


@UNCLOSED
def test_a_block_that_a_cache_holds_is_not_asked_for_again(access, demo_folder, tmp_path):
    data = (demo_folder / VIDEO).read_bytes()
    cached = fsspec.filesystem(
        "blockcache", fs=NersembleFileSystem(), cache_storage=str(tmp_path / "cache"), skip_instance_cache=True
    )
    with cached.open(VIDEO, block_size=4096) as file:
        assert len(data) > 30_000
        file.seek(25_000)
        assert file.read(100) == data[25_000:25_100]
        access.reset()
        file.seek(25_050)
        assert file.read(100) == data[25_050:25_150]
        assert access.requests == []
        file.seek(20_000)
        assert file.read(1000) == data[20_000:21_000]
        assert len(access.requests) >= 1


def test_a_video_is_decoded_from_an_open_file_by_few_ranges(access, demo_folder):
    with NersembleFileSystem().open(VIDEO) as file, VideoDecoder(demo_folder / VIDEO) as local:
        with VideoDecoder(file) as decoder:
            assert np.array_equal(decoder.get_frame_at(30), local.get_frame_at(30))
        assert file.read(8) == (demo_folder / VIDEO).read_bytes()[:8]  # left to whoever opened it
    assert 1 <= len(access.requests) <= 4


def test_a_video_is_not_opened_from_a_closed_file(access):
    file = NersembleFileSystem().open(VIDEO)
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        VideoDecoder(file)
