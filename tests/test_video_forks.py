"""A forked child holds no file of its parent's idle decoders, and reads all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _videos import encode

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder

HELD = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from _videos import number_in
from nersemble.video import DecoderPool, VideoDecoder

path = os.path.realpath(sys.argv[2])

def held():
    names = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink("/proc/self/fd/" + fd))
        except FileNotFoundError:  # that of the listing
            pass
    return names.count(path)

pool = DecoderPool(lambda key: VideoDecoder(path if key < 6 else files[key], threads=2))
files = {key: open(path, "rb") for key in (6, 7)}  # which the caller gave
with pool.lease(0) as a, pool.lease(1) as b, pool.lease(2) as c, pool.lease(6) as d:
    idle = [a, b, c, d]
    for timestep, decoder in enumerate(idle):
        assert [number_in(f) for f in decoder.get_frames_at([timestep, 9])] == [timestep, 9]
own = VideoDecoder(path)  # beside the pool
with pool.lease(3) as leased:
    assert number_in(leased.get_frame_at(5)) == 5
    assert held() == 3 + 1 + 1 + 2, held()

    # Threads of the parent read on while it forks.
    stop, wrong, count = threading.Event(), [], [0]
    def read():
        while not stop.is_set():
            with pool.lease(4) as decoder:
                for timestep in (30, 31, 3):
                    wrong.extend([timestep] if number_in(decoder.get_frame_at(timestep)) != timestep else [])
                    count[0] += 1
    thread = threading.Thread(target=read)
    thread.start()
    while count[0] < 9:
        pass

    outcomes = set()
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            status = 9
            try:
                # The caller's two, own, leased, and perhaps the one that the thread was reading from.
                assert held() in (4, 5), held()
                assert len(pool) == 0
                for decoder in (leased, own, *idle):
                    assert number_in(decoder.get_frame_at(11)) == 11
                    assert [number_in(f) for f in decoder.get_frames_at([40, 41])] == [40, 41]
                assert held() in (7, 8), held()
                for decoder in idle:
                    decoder.close()
                assert held() in (4, 5), held()
                with pool.lease(5) as decoder:
                    assert number_in(decoder.get_frame_at(12)) == 12
                assert len(pool) == 1
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(status)
        outcomes.add(os.waitpid(pid, 0)[1])
        before = count[0]
        while count[0] < before + 6:
            pass
    stop.set()
    thread.join()
assert not wrong and outcomes == {0}, (wrong, outcomes)
for decoder in (leased, own, *idle):
    assert number_in(decoder.get_frame_at(13)) == 13
pool.clear()
assert held() == 3, held()  # own and the caller's
print("right")
"""

PRINT_HELD = """
import os, sys
from nersemble import opening
from nersemble.opening import lease_video

def held():
    links = (os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.realpath(link).endswith(".mp4") for link in links)

for path in sys.argv[1:]:
    with lease_video(path) as decoder:
        decoder.get_frame_at(0)
pids = held(), len(opening._pool)
child = os.fork()
if child == 0:
    print(*pids, held(), len(opening._pool), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(held())
"""

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "of_forks.mp4"
    path.write_bytes(encode(count=48))
    return path


def run(script, *arguments):
    # Python 3.12 and later warn of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_proc
def test_a_forked_child_holds_no_file_of_idle_decoders_and_reads_with_them(video):
    assert run(HELD, Path(__file__).parent, video) == "right\n"


@needs_proc
def test_a_forked_child_holds_no_video_of_the_pool_of_the_process(demo_folder):
    paths = sorted((demo_folder / "240" / "sequences" / "EXP-1-head" / "images").glob("*.mp4"))[:5]
    assert run(PRINT_HELD, *paths) == "5 5 0 0\n5\n"


def test_a_file_that_was_let_go_of_is_opened_again_if_it_is_the_same(video, tmp_path):
    path = tmp_path / "cam.mp4"
    path.write_bytes(video.read_bytes())
    with VideoDecoder(path) as decoder:
        first = decoder.get_frame_at(9)
        decoder._let_go()
        assert (decoder.get_frame_at(9) == first).all()
        decoder._let_go()
        assert decoder.get_frames_at([3, 4]).shape[0] == 2
        assert decoder.num_bytes == path.stat().st_size
        decoder._let_go()
        other = tmp_path / "other.mp4"
        other.write_bytes(video.read_bytes())
        other.replace(path)
        with pytest.raises(FrameError, match=r"cam\.mp4: timestep 20 cannot be decoded: the file was replaced since"):
            decoder.get_frame_at(20)
        decoder._let_go()
        decoder.close()
        with pytest.raises(FrameError, match="the video was closed"):
            decoder.get_frame_at(21)
