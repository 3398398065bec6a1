"""Frames are right under threads, fork, spawn, num_proc, and after the parent has read frames itself."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from datasets import load_dataset

import nersemble
from nersemble.demo import read_identity

NAME = "participant_240__sequence_EXP-1-head"
#: A worker that hangs fails the test instead of stopping the run.
PATIENCE = 120


@pytest.fixture(params=["download", "on_read"])
def ds(request, access, cache):
    return load_dataset("nersemble", NAME, split="train", cache_dir=cache, fetch=request.param)


def wrong(ds, indices):
    """The rows whose picture is another one than they say."""
    found = []
    for index in indices:
        row = ds[index]
        seen = read_identity(row["frame"])
        if (seen.camera, seen.timestep) != (row["camera"], row["timestep"]):
            found.append(index)
    return found


def test_threads_get_their_own_frames(ds):
    parts = [range(start, len(ds), 37) for start in range(8)]
    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(wrong, [ds] * 8, parts)) == [[]] * 8


def set_environment(values):
    """A fork server's children have the environment in which it was started, by whichever test was first."""
    os.environ.update(values)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_get_their_own_frames_after_the_parent_has_read(ds, method):
    assert wrong(ds, range(0, 200, 40)) == []
    context = multiprocessing.get_context(method)
    given = {"initializer": set_environment, "initargs": (dict(os.environ),)}
    with ProcessPoolExecutor(2, mp_context=context, **given) as executor:
        parts = [list(range(start, len(ds), 67)) for start in range(2)]
        assert list(executor.map(wrong, [ds] * 2, parts, timeout=PATIENCE)) == [[], []]
    assert wrong(ds, range(1, 200, 40)) == []


def check(row):
    seen = read_identity(row["frame"])
    return {"right": (seen.camera, seen.timestep) == (row["camera"], row["timestep"])}


def test_map_with_processes_reads_frames(ds):
    assert wrong(ds, [3]) == []
    checked = ds.select(range(0, len(ds), 23)).map(check, num_proc=2)
    assert all(checked["right"])
    assert isinstance(checked.features["frame"], nersemble.VideoFrame)


def test_a_streamed_map_reads_frames(access):
    rows = load_dataset("nersemble", NAME, split="train", streaming=True, timesteps="::13").map(check)
    assert all(row["right"] for row in rows)


def test_a_stream_decodes_on_threads(access):
    rows = load_dataset("nersemble", NAME, split="train", streaming=True, timesteps="::5")
    if not hasattr(rows, "decode"):
        return  # the datasets release has no threaded decoding
    for row in rows.decode(num_threads=8):
        seen = read_identity(row["frame"])
        assert (seen.camera, seen.timestep) == (row["camera"], row["timestep"])


#: Allocates what pictures on their way take, and lets go of it, turn after turn.
PICTURES = """
import resource
import sys
import numpy as np
from nersemble.memory import keep_picture_memory
keep_picture_memory()
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(20 << 20, np.uint8) for _ in range(int(sys.argv[1]))]
    del held
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_a_turn(pictures, **environ):
    """Pages that the system gave, turn by turn."""
    command = [sys.executable, "-c", PICTURES, str(pictures)]
    done = subprocess.check_output(command, text=True, env={**os.environ, **environ})
    return [int(line) for line in done.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told how")
@pytest.mark.parametrize("pictures", [3, 9], ids=["a picture", "a video"])
def test_the_memory_of_a_picture_and_of_a_video_is_kept_for_the_next(pictures):
    turns = faults_a_turn(pictures)
    assert turns[0] > 100
    assert max(turns[1:]) < 50, turns


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told how")
def test_what_a_user_told_the_c_library_stays():
    assert min(faults_a_turn(3, MALLOC_TRIM_THRESHOLD_="1000000", MALLOC_MMAP_THRESHOLD_="1000000")) > 100
