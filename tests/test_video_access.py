"""What is left out, guessed or decoded by several threads changes the cost of a frame, never the frame."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from fractions import Fraction

import _videos
import numpy as np
import pytest
from _videos import CLOSED, OPEN, decode_all, encode, number_in, rewrite, x264, x265
from av.video.reformatter import VideoReformatter
from test_video import RemoteBytes

from nersemble.errors import FrameError
from nersemble.video import DecoderPool, VideoDecoder
from nersemble.video.disposable import holds_parameter_sets, is_disposable
from nersemble.video.engine import PictureDecoder
from nersemble.video.outlook import Outlook
from nersemble.video.packets import PacketIndex
from nersemble.video.scan import ScannedPackets

#: Long groups of pictures with many that nothing is predicted from; for HEVC also in temporal layers.
LONG = {
    "h264": {"options": x264("keyint=60:min-keyint=60:bframes=3:b-adapt=0")},
    "h264-flat": {"options": x264("keyint=60:min-keyint=60:bframes=3:b-adapt=0:b-pyramid=none")},
    "h264-open": {"options": x264("keyint=30:min-keyint=30:bframes=5:b-adapt=0:open-gop=1")},
    "h264-fields": {"options": x264("keyint=60:min-keyint=60:bframes=3:b-adapt=0:tff=1")},
    "h264-all-p": {"options": x264("keyint=60:min-keyint=60:bframes=0")},
    "h264-lossless": {"options": {**x264("keyint=60:min-keyint=60:bframes=3:b-adapt=0"), "qp": "0"}},
    "hevc": {"codec": "libx265", "options": x265("keyint=60:min-keyint=60:bframes=3:b-adapt=0")},
    "hevc-open": {"codec": "libx265", "options": x265("keyint=30:min-keyint=30:bframes=4:b-adapt=0:open-gop=1")},
    "hevc-layers": {"codec": "libx265", "options": x265("keyint=60:bframes=4:b-adapt=0:temporal-layers=2")},
}

#: Of large videos, whose kinds of pictures and places of keyframes stay the same: a third of the time to make one.
QUICK = {"preset": "veryfast"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Path and true frames of each of the long videos."""
    folder, known = tmp_path_factory.mktemp("long"), {}

    def get(name):
        if name not in known:
            path = folder / f"{name}.mp4"
            path.write_bytes(encode(count=90, mux="+faststart", **LONG[name]))
            known[name] = path, decode_all(path)
        return known[name]

    return get


def packets(decoder):
    return decoder._packets.read(0, len(decoder.index.rank) - 1)


def left_out_by(decoder):
    """How many packets of the video may be left out."""
    index, data = decoder.index, packets(decoder)
    return sum(
        is_disposable(index.codec, index.extradata, one, behind)
        for one, behind in zip(data, [*data[1:], b""], strict=True)
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", LONG)
def test_every_order_gives_the_frames_of_a_pass_in_order(videos, name, threads):
    path, truth = videos(name)
    everywhere = random.Random(3).choices(range(90), k=70)
    there_and_back = [t for k in range(0, 80, 9) for t in (k, k + 1, k + 2, k, k + 7, k + 4)]
    strides = [*range(0, 90, 7), *range(1, 90, 3), *range(89, -1, -11)]
    with VideoDecoder(path, threads=threads) as decoder:
        assert len(decoder) == 90
        for order in (everywhere, there_and_back, strides, range(90)):
            wrong = [t for t in order if not np.array_equal(decoder.get_frame_at(t), truth[t])]
            assert not wrong


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_requests_for_many_give_them_in_the_order_asked_for(videos, name, threads):
    path, truth = videos(name)
    chosen = random.Random(4)
    with VideoDecoder(path, threads=threads) as decoder:
        for count in (1, 2, 5, 17, 60):
            asked = chosen.choices(range(90), k=count)
            assert np.array_equal(decoder.get_frames_at(asked), np.stack([truth[t] for t in asked]))
            alone = chosen.randrange(90)
            assert np.array_equal(decoder.get_frame_at(alone), truth[alone])
        assert np.array_equal(decoder.get_frames_in_range(80, 3, -7), np.stack([truth[t] for t in range(80, 3, -7)]))
        assert np.array_equal(decoder.get_frames_in_range(40, 60), np.stack(truth[40:60]))
        assert all(np.array_equal(a, b) for a, b in zip(decoder, truth, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_a_pass_may_end_anywhere_and_be_gone_on_with(videos, name, threads):
    path, truth = videos(name)
    with VideoDecoder(path, threads=threads) as decoder:
        starts = decoder.index.rank[decoder.index.keyframe].tolist()
        near = {start + beside for start in starts for beside in (-1, 0, 1)}
        for stop in {*range(4, 90, 7), *(near & set(range(1, 91)))}:
            for start, step in itertools.product(range(max(0, stop - 25), stop, 12), (1, 3, 7)):
                expected = np.stack(truth[start:stop:step])
                assert np.array_equal(decoder.get_frames_in_range(start, stop, step), expected)
            for timestep in range(stop - 1, min(stop + 3, 90)):
                assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


def test_a_pass_that_ends_in_front_of_a_keyframe_does_not_read_it():
    options = {**CLOSED, **QUICK}
    remote = RemoteBytes(encode(options=options, count=36, mux="+faststart", size=(640, 480), noise=40))
    with VideoDecoder(remote, first_read=2048) as decoder:
        assert [number_in(picture) for picture in decoder.get_frames_in_range(0, 12)] == list(range(12))
        last_byte = max(stop for _, stop in remote.reads)
        assert number_in(decoder.get_frame_at(12)) == 12
        assert remote.reads[-1][0] == last_byte


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_a_pass_behind_which_nothing_is_read_decodes_nothing_behind(videos, name, threads):
    path, truth = videos(name)
    for stop, step in itertools.product((8, 31, 47, 59, 90), (1, 3, 7)):
        wanted = range(2, stop, step)
        with VideoDecoder(path, threads=threads) as decoder:
            for timestep, picture in decoder.read_many(wanted, ends=True):
                assert np.array_equal(picture, truth[timestep])
            fed = decoder._engine._fed
            assert len(wanted) == 1 or fed <= max(decoder.index.packet_of[wanted]) + 1
            for timestep in (wanted[-1], min(wanted[-1] + 1, 89), 0):  # whoever goes on all the same is served
                assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.fixture(scope="module", params=[OPEN, CLOSED], ids=["open", "closed"])
def large(request) -> bytes:
    """A video of which a group of pictures is many times what a first request takes."""
    options = {**request.param, **QUICK}
    return encode(options=options, count=96, mux="+faststart", size=(640, 480), noise=40)


@pytest.mark.parametrize("step", [1, 3])
def test_passes_that_go_on_read_every_byte_once(large, step):
    remote = RemoteBytes(large)
    with VideoDecoder(remote, first_read=2048) as decoder:
        for start in range(0, 96, 8):
            pictures = decoder.get_frames_in_range(start, start + 8, step)
            assert [number_in(picture) for picture in pictures] == list(range(start, start + 8, step))
    assert remote.bytes_read < 1.05 * len(remote.data)


def test_packets_that_nothing_is_predicted_from_are_left_out(videos):
    """As many as x264 and x265 make: all but the first of three B-frames with a pyramid, none without B-frames."""
    shares = {}
    for name in LONG:
        with VideoDecoder(videos(name)[0]) as decoder:
            shares[name] = left_out_by(decoder) / 90
            decoder.get_frame_at(58)
            if shares[name] > 0.3:
                assert len(decoder._engine._left_out) > 10
    assert 0.4 < shares["h264"] < 0.6
    assert 0.6 < shares["h264-flat"] < 0.8
    assert 0.4 < shares["hevc"] < 0.6
    assert shares["h264-all-p"] == 0
    assert shares["h264-open"] > 0.5


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_what_is_shown_before_a_lone_frame_is_left_out_behind_it_too(videos, name):
    """Whoever goes on from there does not ask for it, and what pushes the frame out has to be decoded anyway."""
    path, truth = videos(name)
    left_out = 0
    for timestep in range(50, 80):
        with VideoDecoder(path, threads=1) as decoder:
            index, data = decoder.index, packets(decoder)
            packet = int(index.packet_of[timestep])
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
            read = range(packet + 1, packet + 1 + decoder._engine._depth)  # with the packet behind each
            behind = [number for number in read if index.rank[number] < timestep]
            needless = {n for n in behind if is_disposable(index.codec, index.extradata, data[n], data[n + 1])}
            needless &= set(range(decoder._engine._fed))
            assert needless <= decoder._engine._left_out
            left_out += len(needless)
            for other in (timestep + 1, timestep - 1, timestep - 2, timestep):
                assert np.array_equal(decoder.get_frame_at(other), truth[other])
    assert left_out


def test_of_temporal_layers_only_the_highest_is_left_out(videos):
    with VideoDecoder(videos("hevc-layers")[0]) as decoder:
        index = decoder.index
        layers = [(packet[5] & 7) - 1 for packet in packets(decoder)]
        highest = (index.extradata[21] >> 3 & 7) - 1
        assert highest == max(layers) == 1
        data = packets(decoder)
        for layer, one, behind in zip(layers, data, data[1:], strict=False):
            assert layer == highest or not is_disposable("hevc", index.extradata, one, behind)
        assert left_out_by(decoder) > 10


def test_a_packet_whose_word_the_next_one_contradicts_is_not_left_out(videos):
    """As where a bit flipped that says that others are predicted from it."""
    with VideoDecoder(videos("h264-all-p")[0]) as decoder:
        index, data = decoder.index, packets(decoder)
        claiming = bytearray(data[20])
        claiming[4] &= 0b10011111  # nal_ref_idc, in the byte behind the length
        assert not is_disposable("h264", index.extradata, bytes(claiming), data[21])
    with VideoDecoder(videos("h264")[0]) as decoder:
        index, data = decoder.index, packets(decoder)
        place = next(k for k in range(10, 60) if is_disposable("h264", index.extradata, data[k], data[k + 1]))
        assert not is_disposable("h264", index.extradata, data[place][:-1], data[place + 1])
        assert not is_disposable("h264", index.extradata, data[place], b"")
        assert not is_disposable("h264", b"", data[place], data[place + 1])
        assert not is_disposable("vp9", index.extradata, data[place], data[place + 1])


def parameter_sets(decoder):
    """A unit with a parameter set, as a packet holds it."""
    extradata = decoder.index.extradata
    if decoder.index.codec == "h264":
        unit = extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")]
    else:  # the first unit of the first array (ISO/IEC 14496-15 8.3.3.1)
        unit = extradata[28 : 28 + int.from_bytes(extradata[26:28], "big")]
    return len(unit).to_bytes(4, "big") + unit


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_a_packet_that_brings_parameter_sets_is_not_left_out(videos, name):
    with VideoDecoder(videos(name)[0]) as decoder:
        index, data = decoder.index, packets(decoder)
        place = next(k for k in range(10, 60) if is_disposable(index.codec, index.extradata, data[k], data[k + 1]))
        bringing = parameter_sets(decoder) + data[place]
        assert not is_disposable(index.codec, index.extradata, bringing, data[place + 1])
        assert holds_parameter_sets(index.codec, index.extradata, bringing)
        assert not holds_parameter_sets(index.codec, index.extradata, data[place])
        assert not holds_parameter_sets("vp9", index.extradata, bringing)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_going_back_in_front_of_other_parameter_sets_finds_those_of_before(tmp_path, codec):
    """Two videos of one size behind one another, the sets of the second inside its first packet."""
    make = x264 if codec == "libx264" else x265
    first = encode(codec=codec, options=make("keyint=24:min-keyint=24:qp=14:bframes=2"), count=24, mux="+faststart")
    second = encode(codec=codec, options=make("keyint=24:min-keyint=24:qp=40:bframes=0"), count=24, mux="+faststart")
    readers = [VideoDecoder(RemoteBytes(data)) for data in (first, second)]
    truths = [list(reader) for reader in readers]
    one, other = (packets(reader) for reader in readers)
    kind = "h264" if codec == "libx264" else "hevc"
    index = readers[0].index
    joined = PacketIndex(
        codec=kind,
        extradata=index.extradata,
        width=index.width,
        height=index.height,
        rotation=0,
        fps=index.fps,
        pts=np.concatenate([index.pts, index.pts.max() + 1000 + readers[1].index.pts]),
        keyframe=np.concatenate([index.keyframe, readers[1].index.keyframe]),
        shown=np.ones(48, bool),
    )
    start = all_parameter_sets(readers[1]) + other[0]
    decoder = PictureDecoder(joined, ScannedPackets([*one, start, *other[1:]]), remote=False)
    reformatter = VideoReformatter()
    truth = [*truths[0], *truths[1]]
    for timestep in [0, 30, 3, 4, 5, 47, 12, 2, *range(48), 1]:
        picture = decoder.picture(int(joined.packet_of[timestep]), Outlook())
        shown = reformatter.reformat(picture, format="rgb24", threads=1).to_ndarray()
        assert np.array_equal(shown, truth[timestep]), timestep


def all_parameter_sets(decoder):
    """Every parameter set of a configuration record (ISO/IEC 14496-15 5.3.3.1, 8.3.3.1), as a packet holds them."""
    data, found = decoder.index.extradata, b""

    def take(position, count):
        nonlocal found
        for _ in range(count):
            length = int.from_bytes(data[position : position + 2], "big")
            found += length.to_bytes(4, "big") + data[position + 2 : position + 2 + length]
            position += 2 + length
        return position

    if decoder.index.codec == "h264":
        position = take(6, data[5] & 31)
        take(position + 1, data[position])
    else:
        position = 23
        for _ in range(data[22]):
            position = take(position + 3, int.from_bytes(data[position + 1 : position + 3], "big"))
    return found


def test_pictures_whose_order_the_file_contradicts_are_refused():
    """A stream with B-frames wrapped without composition times: which picture is the third, nothing says."""
    data = encode(options=x264("keyint=24:min-keyint=24:bframes=3:b-adapt=0"), mux="+faststart", count=48)
    wrapped = rewrite(data, lambda path, body: [("free", body)] if path.endswith("/ctts") else None)
    assert wrapped != data
    for order in (range(48), range(0, 48, 2), [20, 21, 22, 23, 24]):
        decoder = VideoDecoder(RemoteBytes(wrapped))
        with pytest.raises(FrameError, match="another order"):
            list(map(decoder.get_frame_at, order))
    with pytest.raises(FrameError, match="another order"):
        VideoDecoder(RemoteBytes(wrapped)).get_frames_in_range(0, 20)


@pytest.mark.parametrize("options", ["keyint=12:bframes=3", "keyint=7:bframes=1", "keyint=20:bframes=2", "keyint=250"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("threads", [1, 2])
def test_without_composition_times_no_picture_is_given_for_another(tmp_path, codec, threads, options):
    """As AVI and careless muxers have them: whatever is asked for first, and alone."""
    make = x264 if codec == "libx264" else x265
    data = encode(codec=codec, options=make(f"{options}:b-adapt=0"), mux="+faststart", count=30)
    path = tmp_path / "wrapped.mp4"
    path.write_bytes(rewrite(data, lambda at, body: [("free", body)] if at.endswith(("/ctts", "/edts")) else None))
    orders = [[t] for t in range(30)] + [[t, t + 1, t + 2] for t in range(0, 27, 4)]
    orders += [list(range(0, 30, step)) for step in (1, 2, 3, 4, 5, 6, 10)]
    batches = [[12, 26], [10, 24], [0, 29], [10, 24, 28], [3, 9, 15, 27]]
    given = 0
    for source in (path, RemoteBytes(path.read_bytes())):
        for order in orders:
            with VideoDecoder(source, threads=threads) as decoder:
                for timestep in order:
                    with contextlib.suppress(FrameError):
                        assert number_in(decoder.get_frame_at(timestep)) == timestep, order
                        given += 1
        for batch in batches:
            with VideoDecoder(source, threads=threads) as decoder, contextlib.suppress(FrameError):
                assert list(map(number_in, decoder.get_frames_at(batch))) == batch
    assert given > 0  # keyframes


def test_pictures_that_share_a_time_are_refused():
    with pytest.raises(FrameError, match="share presentation times"):
        PacketIndex("h264", b"", 8, 8, 0, Fraction(1), np.array([0, 2, 2]), np.ones(3, bool), np.ones(3, bool))
    hidden = PacketIndex(
        "h264", b"", 8, 8, 0, Fraction(1), np.array([0, 2, 2]), np.ones(3, bool), np.array([True, False, True])
    )
    assert hidden.num_frames == 2


def test_where_decoding_begins_is_found_as_fast_in_a_long_video():
    """Of keyframes alone, as ProRes and intra-only cameras make them: looked up for each of its pictures."""

    def seconds(count: int) -> float:
        times, all_of_them = np.arange(count), np.ones(count, bool)
        index = PacketIndex("h264", b"", 8, 8, 0, Fraction(1), times, all_of_them, all_of_them)
        assert [index.start_for(7), index.keyframe_before(7), index.keyframe_before(0)] == [7, 6, None]
        begin = time.process_time()
        for packet in range(0, count, max(count // 1000, 1)):
            index.start_for(packet), index.keyframe_before(packet)
        return time.process_time() - begin

    assert seconds(1_000_000) < 20 * seconds(1000)


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_many_frames_of_a_remote_video_read_each_group_of_pictures_once(videos, name):
    path, truth = videos(name)
    file = RemoteBytes(path.read_bytes())
    decoder = VideoDecoder(file)
    asked = random.Random(1).sample(range(90), 40)
    assert np.array_equal(decoder.get_frames_at(asked), np.stack([truth[t] for t in asked]))
    assert len(file.reads) <= 2  # the header, and as most of the file is needed, the file
    assert file.bytes_read <= 2 * file.size()


def test_a_few_frames_of_a_remote_video_read_no_more_than_theirs():
    options = {**x264("keyint=12:min-keyint=12:bframes=2"), **QUICK}
    data = encode(options=options, mux="+faststart", count=120, size=(384, 256), noise=20)
    file = RemoteBytes(data)
    decoder = VideoDecoder(file, first_read=4096)
    read = file.bytes_read
    assert [number_in(frame) for frame in decoder.get_frames_at([37, 2, 39])] == [37, 2, 39]
    assert file.bytes_read - read < len(data) / 3


def test_reading_in_order_decodes_no_packet_twice(videos):
    """Row by row, as data sets are iterated: after the first frame, each packet is fed once."""
    for name in ("h264", "h264-open", "hevc"):
        with VideoDecoder(videos(name)[0], threads=1) as decoder:
            fed = []
            feed = decoder._engine._feed

            def count(data, feed=feed, fed=fed):
                fed.append(data)
                return feed(data)

            decoder._engine._feed = count  # counts, and does what it does
            for timestep in range(90):
                decoder.get_frame_at(timestep)
            lone = 2  # the first frame is taken for a lone one: its packet, and the end of the stream
            assert len(fed) <= 90 + lone + 1, name


def test_a_stride_keeps_what_it_will_ask_for(videos):
    path, truth = videos("h264")
    with VideoDecoder(path, threads=1) as decoder:
        for timestep in range(0, 90, 2):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
        # It went on and on, and did not begin at a keyframe again for each.
        assert decoder._engine._evidence.origin == 0
        assert len(decoder._engine._left_out) >= 15


def test_frames_that_are_not_there_are_refused_before_any_is_decoded(videos):
    with VideoDecoder(videos("h264")[0]) as decoder:
        with pytest.raises(FrameError, match="no timestep 90: it has 90 frames"):
            decoder.get_frames_at([3, 90])
        with pytest.raises(FrameError, match="no timestep -1"):
            decoder.get_frames_in_range(-1, 3)
        assert not decoder._engine.used


FORK = """
import os, sys, gc, threading
from nersemble.video import VideoDecoder
decoder = VideoDecoder(sys.argv[1], threads=3)
before = [decoder.get_frame_at(t) for t in (40, 41, 42, 43)]
pid = os.fork()
if pid == 0:
    threading.Timer(20, os._exit, (9,)).start()
    same = all((decoder.get_frame_at(t) == f).all() for t, f in zip((40, 41, 42, 43), before))
    decoder.close()
    del decoder
    gc.collect()
    timers = [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
    [t.cancel() for t in timers]
    sys.exit(0 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_child_of_a_threaded_decoder_reads_and_ends(videos):
    """Through the whole end of the interpreter, which frees what is left."""
    # Python 3.12 and later warn of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(videos("h264")[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


COUNT_THREADS = """
import sys
from pathlib import Path
from nersemble.video import VideoDecoder

def count():
    return sum(task.read_text().startswith("av:h264") for task in Path("/proc/self/task").glob("*/comm"))

for given in (None, 3):
    with VideoDecoder(sys.argv[1], threads=given) as decoder:
        for timesteps in ([20], [40, 41, 42, 43], [3], [60], [10]):
            for timestep in timesteps:
                decoder.get_frame_at(timestep)
            print(count(), end=" ")
    del decoder
"""


def test_lone_frames_take_one_thread_again_after_a_pass_and_given_ones_stay(videos):
    command = [sys.executable, "-c", COUNT_THREADS, str(videos("h264")[0])]
    counts = subprocess.check_output(command, text=True).split()
    in_a_pass = "2" if len(os.sched_getaffinity(0)) > 1 else "0"
    assert counts == ["0", in_a_pass, in_a_pass, "0", "0", *"33333"]


CORES = """
import multiprocessing, os, sys
from nersemble.cores import usable_cores
def work(queue):
    queue.put(usable_cores())
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(usable_cores(), queue.get(timeout=30))
    process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_use_one_core_and_lone_processes_what_they_may(tmp_path, method):
    script = tmp_path / "cores.py"
    script.write_text(CORES)
    out = subprocess.check_output([sys.executable, str(script), method], text=True, timeout=60)
    assert out.split() == [str(len(os.sched_getaffinity(0))), "1"]


def test_a_pool_counts_the_memory_of_codecs(videos):
    """Decoders that have only been asked for their length keep no others out."""
    path = videos("h264")[0]
    with VideoDecoder(path) as decoder:
        before = decoder.held_bytes
        decoder.get_frame_at(3)
        used = decoder.held_bytes
    assert used - before == 8 * 1.5 * 96 * 64
    pool = DecoderPool(VideoDecoder, max_bytes=int(2.5 * used))
    for read in (False, True):
        with pool.lease(path) as a, pool.lease(path) as b, pool.lease(path) as c, pool.lease(path) as d:
            for decoder in (a, b, c, d):
                len(decoder)
                if read:
                    decoder.get_frame_at(7)
        assert len(pool) == (2 if read else min(4, int(2.5 * used // before)))
    pool.clear()
    assert len(pool) == 0


def test_the_collection_has_the_pictures_it_should(videos):
    for name in LONG:
        numbers = [number_in(frame) for frame in videos(name)[1]]
        assert numbers == list(range(90)), name
    assert _videos.VIDEOS
