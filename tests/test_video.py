"""Exact frames, whatever the file's structure and however it is read.

A timestep is the frame that sequential decoding shows there, or an error.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import pickle
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _videos
import av
import numpy as np
import PIL.Image
import pytest
from _videos import VIDEOS, decode_all, encode, number_in

from nersemble.errors import AssetNotFoundError, FrameError, NersembleError
from nersemble.video import ByteSource, DecoderPool, VideoDecoder


class RemoteBytes:
    """A remote file that counts what it is asked for."""

    name = "nersemble://the/video.mp4"
    remote = True

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def size(self) -> int:
        return len(self.data)

    def read_at(self, start: int, stop: int) -> bytes:
        self.reads.append((start, min(stop, len(self.data))))
        return self.data[start:stop]

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def bytes_read(self) -> int:
        return sum(max(stop - start, 0) for start, stop in self.reads)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="session")
def truths(zoo):
    """Path and true frames of a video of the collection, made when first asked for."""
    known = {}

    def get(name):
        if name not in known:
            path = _videos.write(zoo, name)
            known[name] = path, decode_all(path)
        return known[name]

    return get


@pytest.fixture
def video(truths):
    return truths("closed-gop.mp4")[0]


@pytest.fixture
def decoder(video):
    with VideoDecoder(video) as opened:
        yield opened


def written(folder: Path, data: bytes, name: str = "video.mp4") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def wrong(decoder, truth, order):
    """The timesteps that come out otherwise than sequential decoding shows them."""
    return [t for t in order if not np.array_equal(decoder.get_frame_at(t), truth[t])]


def run_script(folder: Path, function, *arguments) -> str:
    """Run a function of this file as the main program of a fresh interpreter; a hang is a failure."""
    source = inspect.getsource(function)
    script = folder / "script.py"
    script.write_text(f"{source}\nif __name__ == '__main__':\n    import sys\n    {function.__name__}(*sys.argv[1:])\n")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the collection shows what it should ----------------------------------------------------------------------------


def test_numbers_can_be_read_and_mixtures_are_not_taken_for_a_part():
    pictures = [_videos.picture_of(number) for number in range(150)]
    assert [number_in(picture) for picture in pictures] == list(range(150))
    for first, second in ((3, 4), (11, 12), (0, 1), (20, 22)):
        mixed = np.concatenate([pictures[first][:, :48], pictures[second][:, 48:]], axis=1)
        assert number_in(mixed) not in (first, second)


@pytest.mark.parametrize("name", VIDEOS)
def test_the_truth_is_the_frames_in_order(truths, name):
    """So that agreeing with it means something; several edits show one frame after the other of each."""
    numbers = [number_in(np.rot90(picture, -_videos.TURNS.get(name, 0))) for picture in truths(name)[1]]
    assert None not in numbers
    assert set(np.diff(numbers).tolist()) - {1} == _videos.JUMPS.get(name, set())


# --- every structure, read every way --------------------------------------------------------------------------------


def every_other_way(count):
    """Timesteps in an order that goes forwards, backwards, on, and to the same one again."""
    jumps = random.Random(1).choices(range(count), k=30)
    return [*jumps, jumps[-1], *range(count), *range(count - 1, -1, -1), *range(0, count, 3)]


@pytest.mark.parametrize("name", VIDEOS)
class TestEveryStructure:
    def test_in_order(self, truths, name):
        path, truth = truths(name)
        with VideoDecoder(path) as decoder:
            assert len(decoder) == len(truth)
            assert (decoder.height, decoder.width) == truth[0].shape[:2]
            assert all(np.array_equal(ours, theirs) for ours, theirs in zip(decoder, truth, strict=True))

    def test_in_any_order(self, truths, name):
        path, truth = truths(name)
        with VideoDecoder(path) as decoder:
            assert wrong(decoder, truth, every_other_way(len(truth))) == []

    def test_each_by_itself(self, truths, name):
        path, truth = truths(name)
        for timestep in random.Random(2).choices(range(len(truth)), k=8):
            with VideoDecoder(path) as decoder:
                assert wrong(decoder, truth, [timestep]) == []

    def test_several_at_once(self, truths, name):
        path, truth = truths(name)
        wanted = random.Random(3).choices(range(len(truth)), k=12)
        wanted += wanted[:3]
        with VideoDecoder(path) as decoder:
            assert np.array_equal(decoder.get_frames_at(wanted), [truth[t] for t in wanted])

    def test_through_a_file_object(self, truths, name):
        path, truth = truths(name)
        with open(path, "rb") as file:
            assert wrong(VideoDecoder(file), truth, random.Random(4).choices(range(len(truth)), k=20)) == []

    def test_from_afar(self, truths, name):
        path, truth = truths(name)
        source = RemoteBytes(path.read_bytes())
        assert isinstance(source, ByteSource)
        assert wrong(VideoDecoder(source), truth, every_other_way(len(truth))) == []

    def test_with_codec_threads(self, truths, name):
        path, truth = truths(name)
        order = random.Random(6).choices(range(len(truth)), k=6)
        with VideoDecoder(path, threads=3) as decoder:
            assert wrong(decoder, truth, [*range(len(truth)), *order]) == []


@pytest.mark.parametrize("name", _videos.TURNS)
def test_pictures_are_turned_as_the_display_matrix_says(truths, name):
    """By the matrix itself: a point (x, y) of the coded picture is shown at (a x + c y, b x + d y)."""
    path, truth = truths(name)
    upright = decode_all(truths("closed-gop.mp4")[0])[0]
    assert np.array_equal(truth[0], np.rot90(upright, _videos.TURNS[name]))
    with VideoDecoder(path) as decoder:
        turned = decoder.get_frame_at(0)
    a, b, c, d = {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}[_videos.TURNS[name]]
    for x, y in ((0, 0), (95, 0), (40, 12), (7, 63)):
        shown_x, shown_y = a * x + c * y, b * x + d * y
        # Negative places count from the far edge, as the picture is moved back into view.
        right, down = (shown_x - 1 if min(a, c) < 0 else shown_x), (shown_y - 1 if min(b, d) < 0 else shown_y)
        assert np.array_equal(turned[down, right], upright[y, x])


def test_facts_of_a_video(decoder):
    assert (len(decoder), decoder.width, decoder.height) == (48, 96, 64)
    assert decoder.fps == pytest.approx(73)
    assert "48 frames of 96 x 64" in repr(decoder)
    assert (decoder.get_frame_at(0).dtype, decoder.get_frame_at(0).shape) == (np.uint8, (64, 96, 3))


def test_frames_are_resized_while_they_are_decoded(truths, decoder):
    truth = truths("closed-gop.mp4")[1]
    small = decoder.get_frame_at(7, (48, 32))
    areas = truth[7].reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(small - areas).max() <= 1
    assert np.array_equal(decoder.get_frames_at([7, 3, 7], (48, 32))[2], small)
    assert decoder.get_frame_at(7, (100, 30)).shape == (30, 100, 3)
    assert np.array_equal(decoder.get_frame_at(7), truth[7])


def test_what_is_given_out_is_the_readers_own(decoder):
    first = decoder.get_frame_at(5)
    first[:] = 0
    assert number_in(decoder.get_frame_at(5)) == 5


# --- wrong questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestep", [-1, 48, 10**9, -(10**30)])
def test_a_timestep_out_of_range_is_refused(decoder, timestep):
    with pytest.raises(FrameError, match=r"48 frames, 0 to 47"):
        decoder.get_frame_at(timestep)
    with pytest.raises(FrameError, match=r"48 frames, 0 to 47"):
        decoder.get_frames_at([0, timestep])
    assert number_in(decoder.get_frame_at(47)) == 47


def test_integers_of_numpy_are_timesteps(decoder):
    for kind in (np.int8, np.int32, np.uint64):
        assert number_in(decoder.get_frame_at(kind(9))) == 9
    assert [number_in(p) for p in decoder.get_frames_at(np.array([9, 2], np.int16))] == [9, 2]


@pytest.mark.parametrize("timestep", [3.0, 3.5, np.float32(3), "3", None])
def test_what_is_no_integer_is_refused_and_never_rounded(decoder, timestep):
    with pytest.raises((TypeError, FrameError)):
        decoder.get_frame_at(timestep)
    with pytest.raises((TypeError, FrameError)):
        decoder.get_frames_at([timestep])


def test_no_timesteps_give_no_frames(decoder):
    assert decoder.get_frames_at([]).shape == (0, 64, 96, 3)


def test_a_decoder_cannot_be_pickled(decoder):
    with pytest.raises(TypeError, match="open the video again"):
        pickle.dumps(decoder)


def test_a_closed_decoder_says_so(video):
    decoder = VideoDecoder(video)
    decoder.get_frame_at(3)
    decoder.close()
    decoder.close()
    with pytest.raises(FrameError, match="closed"):
        decoder.get_frame_at(20)


def test_a_file_that_somebody_else_opened_stays_open(video):
    with open(video, "rb") as file:
        with VideoDecoder(file) as decoder:
            decoder.get_frame_at(3)
        assert not file.closed


# --- files that are no videos, or not whole -------------------------------------------------------------------------


def jpeg() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(_videos.picture_of(5)).save(file, "JPEG")
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(_videos.picture_of(5)).save(file, "PNG")
    return file.getvalue()


NO_VIDEOS = {
    "empty": lambda: b"",
    "one byte": lambda: b"\0",
    "text": lambda: b"This is no video.\n" * 40,
    "web page": lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "random bytes": lambda: random.Random(0).randbytes(50_000),
    "zeros": lambda: bytes(50_000),
    "jpeg": jpeg,
    "png": png,
    "first box alone": lambda: encode()[:32],
    "frames without header": lambda: encode()[: _videos.frames_span(encode())[1]],
    "sound alone": lambda: _videos.sound_alone(),
}


@pytest.mark.parametrize("kind", NO_VIDEOS)
@pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
def test_what_is_no_video_gets_a_sentence(tmp_path, kind, remote):
    data = NO_VIDEOS[kind]()
    path = written(tmp_path, data)
    with pytest.raises(FrameError) as caught, VideoDecoder(RemoteBytes(data) if remote else path) as decoder:
        decoder.get_frame_at(0)
    assert str(caught.value).startswith(RemoteBytes.name if remote else str(path))
    assert len(str(caught.value)) > 60


def test_a_missing_file_gets_a_sentence(tmp_path):
    with pytest.raises(AssetNotFoundError, match=r"no\.mp4"):
        VideoDecoder(tmp_path / "no.mp4")


def test_a_folder_gets_a_sentence(tmp_path):
    with pytest.raises(NersembleError):
        VideoDecoder(tmp_path)


def test_a_wrong_argument_gets_a_sentence():
    with pytest.raises(FrameError, match="path or a seekable binary file object"):
        VideoDecoder(7)


@pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
@pytest.mark.parametrize("name", ["moov-first.mp4", "sound-after.mp4"])
def test_of_a_cut_off_file_the_frames_in_front_of_the_cut_are_right(truths, tmp_path, name, remote):
    path, truth = truths(name)
    data = path.read_bytes()
    start, stop = _videos.frames_span(data)
    cut = start + (stop - start) * 6 // 10
    with av.open(str(path)) as container:
        packets = sorted((p for p in container.demux(video=0) if p.size), key=lambda packet: packet.pts)
    there = [timestep for timestep, packet in enumerate(packets) if packet.pos + packet.size <= cut]
    assert 5 < len(there) < len(truth) - 5
    source = RemoteBytes(data[:cut]) if remote else written(tmp_path, data[:cut])
    with VideoDecoder(source) as decoder:
        assert len(decoder) == len(truth)
        order = every_other_way(len(truth))
        assert [readable(decoder, timestep, truth) for timestep in order] == [timestep in there for timestep in order]


def readable(decoder, timestep, truth) -> bool:
    """Whether a frame can be read; if it can, it is the right one."""
    try:
        picture = decoder.get_frame_at(timestep)
    except FrameError as error:
        message = str(error)
        picture = None
    if picture is None:
        assert f"timestep {timestep}" in message
        return False
    assert np.array_equal(picture, truth[timestep])
    return True


def test_a_file_cut_off_in_front_of_its_header_says_so(video, tmp_path):
    data = video.read_bytes()
    path = written(tmp_path, data[: len(data) * 6 // 10])
    with pytest.raises(FrameError, match="cut off"):
        VideoDecoder(path)


def test_a_header_cut_off_anywhere_says_so(truths, tmp_path):
    data = truths("moov-first.mp4")[0].read_bytes()
    header_end = next(stop for kind, _, _, stop in _videos.boxes(data) if kind == "moov")
    for end in range(33, header_end, 37):
        with pytest.raises(FrameError, match="cut off"):
            VideoDecoder(RemoteBytes(data[:end]))


@pytest.mark.parametrize("name", ["fragmented.mp4", "matroska.mkv"])
@pytest.mark.parametrize("tenths", [5, 7, 9])
def test_of_a_cut_off_scanned_file_no_frame_is_wrong(truths, tmp_path, name, tenths):
    path, truth = truths(name)
    data = path.read_bytes()
    with VideoDecoder(written(tmp_path, data[: len(data) * tenths // 10], name)) as decoder:
        assert 0 < len(decoder) < len(truth)
        assert sum(readable(decoder, timestep, truth) for timestep in range(len(decoder))) >= len(decoder) - 4


@pytest.mark.parametrize("zeros", [True, False], ids=["zeros", "noise"])
@pytest.mark.parametrize("options", [_videos.CLOSED, _videos.OPEN], ids=["closed", "open"])
def test_an_overwritten_stretch_gives_an_error_and_never_another_frame(tmp_path, zeros, options):
    """A codec left to itself fills holes with the neighbouring frame, and says nothing."""
    data = encode(options=options, count=30)
    truth = decode_all(written(tmp_path, data))
    whole = spoiled = 0
    for seed in range(60):
        damaged = _videos.overwrite(data, seed, 64, *_videos.frames_span(data), zeros=zeros)
        order = list(range(30))
        if seed % 3:
            random.Random(seed).shuffle(order)
        # Noise can be another valid video, zeros cannot.
        valid = {} if zeros else _videos.decode_what_is_valid(written(tmp_path, damaged))
        with VideoDecoder(RemoteBytes(damaged) if seed % 2 else written(tmp_path, damaged)) as decoder:
            for timestep in order:
                with contextlib.suppress(FrameError):
                    picture = decoder.get_frame_at(timestep)
                    assert number_in(picture) in (timestep, None) or np.array_equal(picture, valid.get(timestep))
                    whole += np.array_equal(picture, truth[timestep])
                    spoiled += not np.array_equal(picture, truth[timestep])
    assert whole > 0.5 * 60 * 30
    # A few spoiled bytes at the end of a packet can make another valid picture.
    assert spoiled < 0.01 * 60 * 30


def test_flipped_bits_never_give_another_frame_for_the_one_asked_for(tmp_path):
    """A flipped bit can make another valid video, which no decoder can tell: then its own picture, no other."""
    data = encode(count=30)
    read = made_by_the_flip = 0
    for seed in range(100):
        damaged = _videos.flip_bits(data, seed, 1 + seed % 4, *_videos.frames_span(data))
        valid = _videos.decode_what_is_valid(written(tmp_path, damaged))
        with VideoDecoder(RemoteBytes(damaged)) as decoder:
            for timestep in random.Random(seed).sample(range(30), 30):
                with contextlib.suppress(FrameError):
                    picture = decoder.get_frame_at(timestep)
                    read += 1
                    if (number := number_in(picture)) in range(30) and number != timestep:
                        assert np.array_equal(picture, valid.get(timestep)), (seed, timestep, number)
                        made_by_the_flip += 1
    assert read > 0.5 * 100 * 30
    assert made_by_the_flip < 0.002 * read


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_damaged_header_gives_errors_of_this_package_alone(tmp_path, codec):
    options = _videos.CLOSED if codec == "libx264" else _videos.x265("keyint=12:bframes=3")
    data = encode(count=24, codec=codec, options=options)
    start, stop = next((start, stop) for kind, start, _, stop in _videos.boxes(data) if kind == "moov")
    run = run_script(tmp_path, damage_headers, Path(__file__).parent, written(tmp_path, data), start, stop)
    assert int(run) > 100


def damage_headers(tests, path, start, stop):
    """In a process with bounded memory, so that a length believed blindly shows. Prints how many could be opened."""
    import random
    import resource
    import sys
    from pathlib import Path

    sys.path.insert(0, tests)
    import _videos

    from nersemble.errors import NersembleError
    from nersemble.video import VideoDecoder

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    data, opened = Path(path).read_bytes(), 0
    for seed in range(400):
        damaged = Path(path + "-damaged")
        damaged.write_bytes(_videos.flip_bits(data, seed, 1 + seed % 3, int(start), int(stop)))
        try:
            with VideoDecoder(damaged) as decoder:
                opened += 1
                for timestep in random.Random(seed).choices(range(len(decoder)), k=4):
                    decoder.get_frame_at(timestep)
        except NersembleError:
            continue
        except BaseException as error:
            raise RuntimeError(f"seed {seed}") from error
    sys.stdout.write(str(opened))


LOSING = {
    "h264-closed": {"options": _videos.CLOSED},
    "h264-open": {"options": _videos.OPEN},
    "h264-pyramid": {"options": _videos.x264("keyint=24:min-keyint=24:bframes=7:b-adapt=0:ref=4")},
    "h264-long": {"options": _videos.x264("keyint=250:bframes=2")},
    "h264-fields": {"options": _videos.x264("keyint=12:min-keyint=12:bframes=3:tff=1")},
    "h264-slices": {"options": {"x264-params": "slices=4:mbtree=0:keyint=12:min-keyint=12:bframes=3"}},
    "hevc": {"codec": "libx265", "options": _videos.x265("keyint=12:min-keyint=12:bframes=3")},
}


@pytest.mark.parametrize("name", LOSING)
def test_a_lost_packet_gives_errors_and_never_another_frame(tmp_path, name):
    """A codec puts an older picture in the place of one that others are predicted from."""
    data = encode(count=40, **LOSING[name])
    whole = VideoDecoder(RemoteBytes(data))
    given = 0
    for lost in range(1, 39, 2):
        gone = int(whole.index.rank[lost])
        timesteps = list(range(39))
        if lost % 3:
            random.Random(lost).shuffle(timesteps)
        with VideoDecoder(
            written(tmp_path, _videos.without_packets(data, {lost})), threads=1 + lost // 2 % 2
        ) as decoder:
            for timestep in timesteps:
                with contextlib.suppress(FrameError):
                    assert number_in(decoder.get_frame_at(timestep)) == timestep + (timestep >= gone), lost
                    given += 1
    assert given > (0.3 if name == "h264-long" else 0.7) * 19 * 39


def test_around_a_lost_packet_the_frames_are_right_and_those_that_need_it_say_why(tmp_path):
    """Packet 14 of groups of 12 pictures, of which the second one begins with pictures 12 and 16."""
    data = encode(options=_videos.x264("keyint=12:min-keyint=12:bframes=3:b-adapt=0:b-pyramid=none"))
    path = written(tmp_path, _videos.without_packets(data, {13}))
    for order in (range(47), range(46, -1, -1), [20, 5, 30, 14]):
        with VideoDecoder(path) as decoder:
            for timestep in order:
                if 13 <= timestep < 23:
                    with pytest.raises(FrameError, match="packets in front of it are missing"):
                        decoder.get_frame_at(timestep)
                else:
                    assert number_in(decoder.get_frame_at(timestep)) == timestep + (timestep >= 16)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_a_transport_stream_with_a_hole_gives_errors_and_never_another_frame(tmp_path, codec):
    """A codec may take half a picture for a whole one; the container counts its pieces."""
    more = {"libx264": _videos.CLOSED, "libx265": _videos.x265("keyint=12:bframes=3"), "mpeg4": {"g": "12"}}
    data = encode(codec=codec, options=more[codec], container="mpegts", noise=20, size=(192, 128))
    given = 0
    for seed in range(12):
        start = 188 * random.Random(seed).randrange(20, len(data) // 188 - 20)
        path = written(tmp_path, data[:start] + data[start + 188 :])
        with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:  # a lost head may refuse it as a whole
            before = -1
            for timestep in range(len(decoder)):
                with contextlib.suppress(FrameError):
                    number = number_in(decoder.get_frame_at(timestep))
                    assert number is not None, seed
                    assert before < number, seed
                    assert timestep <= number <= timestep + 48 - len(decoder), seed
                    before = number
                    given += 1
    assert given > 0.6 * 12 * 48


# --- other codecs and containers ------------------------------------------------------------------------------------

#: Encoder, container and pixel format of files whose pictures need what the container says.
OTHERS = {
    "ffv1.mkv": ("ffv1", "matroska", "yuv420p"),
    "ffv1.avi": ("ffv1", "avi", "yuv420p"),
    "raw.avi": ("rawvideo", "avi", "yuv420p"),
    "raw-rgb.mov": ("rawvideo", "mov", "rgb24"),
    "raw.nut": ("rawvideo", "nut", "yuv422p"),
    "huffyuv.avi": ("huffyuv", "avi", "yuv422p"),
    "animation.mov": ("qtrle", "mov", "argb"),
    "wmv1.avi": ("wmv1", "avi", "yuv420p"),
    "wmv2.asf": ("wmv2", "asf", "yuv420p"),
    "msmpeg4.avi": ("msmpeg4", "avi", "yuv420p"),
    "y4m.y4m": ("wrapped_avframe", "yuv4mpegpipe", "yuv420p"),
    "png.mov": ("png", "mov", "rgb24"),
    "mjpeg.avi": ("mjpeg", "avi", "yuvj420p"),
    "utvideo.avi": ("utvideo", "avi", "yuv420p"),
    "v210.mov": ("v210", "mov", "yuv422p10le"),
    # Every packet is flagged a keyframe, and few are.
    "h263.avi": ("h263", "avi", "yuv420p"),
    "rpza.mov": ("rpza", "mov", "rgb555le"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_codecs_that_lean_on_their_container_give_the_frames_of_a_pass_in_order(tmp_path, name):
    codec, container, pix_fmt = OTHERS[name]
    data = encode(codec=codec, container=container, pix_fmt=pix_fmt, options={}, count=30, size=(176, 144))
    path = written(tmp_path, data, name)
    truth = decode_all(path)
    with VideoDecoder(path) as decoder:
        assert len(decoder) == len(truth) == 30
        assert wrong(decoder, truth, [17, 3, *range(30), 29, 12, 13]) == []
    with VideoDecoder(RemoteBytes(data), threads=2) as decoder:
        assert np.array_equal(decoder.get_frames_at([20, 4, 26]), [truth[20], truth[4], truth[26]])


def test_a_palette_beside_the_pictures_is_refused(tmp_path):
    """A codec without it would give them other colours."""
    data = encode(codec="qtrle", container="mov", pix_fmt="gray", options={}, count=5)
    with pytest.raises(FrameError, match=r"a palette.*encode it anew"):
        VideoDecoder(written(tmp_path, data))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("codes", [(1, 1, 1), (2, 2, 2)])
def test_colours_that_the_container_alone_tells_are_those_of_a_pass_in_order(tmp_path, codec, codes):
    options = _videos.CLOSED if codec == "libx264" else _videos.x265("keyint=12")
    data = _videos.with_colours(encode(codec=codec, options=options, count=12), *codes, full_range=True)
    path = written(tmp_path, data)
    truth = decode_all(path)
    assert (truth[0].min() > 27) == (codec == "libx264")  # the other codec goes by its own header
    with VideoDecoder(path) as decoder:
        assert wrong(decoder, truth, range(12)) == []


def test_rows_that_the_container_cuts_off_are_cut_off(tmp_path):
    """As of 1080 rows that are coded as 1088, where the codec's own header does not say it."""
    path = written(tmp_path, _videos.with_height(encode(count=12), 56))
    truth = decode_all(path)
    assert truth[0].shape == (56, 96, 3)
    with VideoDecoder(path) as decoder:
        assert decoder.height == 56
        assert wrong(decoder, truth, [7, *range(12)]) == []


ODD_EDITS = {
    "hevc-open": (
        [(137, 512), (137, 6656)],
        {"codec": "libx265", "options": _videos.x265("keyint=12:open-gop=1:bframes=3")},
    ),
    "gap": ([(137, 512), (60, -1), (137, 6656)], {}),
    "scanned": ([(137, 512), (137, 6656)], {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}),
}


@pytest.mark.parametrize("kind", ODD_EDITS)
def test_edits_that_players_show_in_different_ways_are_refused(tmp_path, kind):
    rows, more = ODD_EDITS[kind]
    with pytest.raises(FrameError, match=r"several edits.*Encode it anew"):
        VideoDecoder(written(tmp_path, _videos.with_edits(encode(**more), *rows)))


@pytest.mark.parametrize("mux", ["frag_keyframe+empty_moov", "faststart"])
def test_cover_art_is_not_taken_for_the_video(tmp_path, mux):
    path = written(tmp_path, _videos.with_cover(encode(), mux))
    with VideoDecoder(path) as decoder:
        assert [number_in(picture) for picture in decoder] == list(range(48))


def test_pictures_that_are_never_shown_have_no_timestep(tmp_path):
    """As VP8 has them, for others to be predicted from."""
    data = encode(codec="libvpx", container="webm", options={"g": "12"}, count=20)
    with av.open(io.BytesIO(data)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    hidden = bytes([packets[7][0] & ~0x10]) + packets[7][1:]
    path = written(tmp_path, data.replace(packets[7], hidden))
    truth = decode_all(path)
    assert len(truth) == 19
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 19
        assert wrong(decoder, truth, [12, *range(19), 6, 7]) == []


# --- few reads from afar --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["moov-first.mp4", "closed-gop.mp4", "sound-after.mp4", "hevc-open.mp4"])
def test_a_remote_file_is_read_in_few_reads(truths, name):
    path, truth = truths(name)
    source = RemoteBytes(path.read_bytes())
    decoder = VideoDecoder(source)
    decoder.get_frame_at(0)
    assert len(source.reads) <= 3
    for timestep in range(len(truth)):
        decoder.get_frame_at(timestep)
    assert len(source.reads) <= 12
    assert source.bytes_read < 2 * len(source.data) + 256 * 1024


def test_a_late_frame_of_a_remote_file_costs_its_group_of_pictures_alone():
    options = {**_videos.x264("keyint=12:min-keyint=12:bframes=3"), "preset": "ultrafast"}
    data = encode(options=options, count=220, size=(320, 240), noise=20)
    assert len(data) > 2_000_000
    source = RemoteBytes(data)
    decoder = VideoDecoder(source)
    before = source.bytes_read
    assert number_in(decoder.get_frame_at(150)) == 150
    assert source.bytes_read - before < len(data) * 40 / 220


# --- threads --------------------------------------------------------------------------------------------------------


def test_threads_share_a_decoder(truths):
    path, truth = truths("open-gop.mp4")

    def read(seed):
        return wrong(decoder, truth, random.Random(seed).choices(range(len(truth)), k=40))

    with VideoDecoder(path) as decoder, ThreadPoolExecutor(8) as executor:
        assert list(executor.map(read, range(8))) == [[]] * 8


def test_threads_read_through_a_pool(truths):
    names = ["open-gop.mp4", "edit-in-gop.mp4", "hevc-open.mp4", "matroska.mkv"]
    known = {truths(name)[0]: truths(name)[1] for name in names}
    pool = DecoderPool(VideoDecoder)

    def read(seed):
        chance = random.Random(seed)
        bad = []
        for _ in range(60):
            path = chance.choice(list(known))
            with pool.lease(path) as decoder:
                bad += wrong(decoder, known[path], [chance.randrange(len(decoder))])
        return bad

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(read, range(8))) == [[]] * 8
    assert 4 <= len(pool) <= 32
    pool.clear()
    assert len(pool) == 0


def test_a_leased_decoder_is_one_readers_own(video):
    pool = DecoderPool(VideoDecoder)
    with pool.lease(video) as first, pool.lease(video) as second:
        assert first is not second
    with pool.lease(video) as again:
        assert again in (first, second)
    pool.clear()


def test_a_decoder_that_failed_does_not_come_back(video):
    pool = DecoderPool(VideoDecoder)
    with pytest.raises(FrameError, match="timestep 999"), pool.lease(video) as first:
        first.get_frame_at(999)
    assert len(pool) == 0
    with pytest.raises(FrameError, match="closed"):
        first.get_frame_at(0)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_a_pool_is_bounded_in_bytes_and_closes_what_it_drops(truths, tmp_path):
    data = truths("closed-gop.mp4")[0].read_bytes()
    paths = [written(tmp_path, data, f"{number}.mp4") for number in range(20)]
    before = open_files()
    pool = DecoderPool(VideoDecoder)
    with pool.lease(paths[0]):
        pass
    pool.max_bytes = 4 * 96 * 64 * 1.5 * 6  # four decoders, as estimated
    for path in paths:
        with pool.lease(path) as decoder:
            assert number_in(decoder.get_frame_at(7)) == 7
        assert len(pool) <= 4
        assert open_files() <= before + 4
    with pool.lease(paths[-1]) as decoder:
        assert decoder._last is not None  # the most recently used are the ones kept
    pool.clear()
    assert open_files() == before


def test_a_pool_too_small_for_any_keeps_one(video):
    pool = DecoderPool(VideoDecoder, max_bytes=1)
    with pool.lease(video), pool.lease(video):
        pass
    assert len(pool) == 1
    pool.clear()


# --- processes ------------------------------------------------------------------------------------------------------


def read_in_children(tests, path, method):
    """Reads in the parent, then in children that inherit (fork) or reopen; prints the numbers that children read."""
    import multiprocessing
    import sys

    children = multiprocessing.get_context(method)
    queue = children.Queue()
    if method == "fork":
        from nersemble.video import DecoderPool, VideoDecoder

        decoder, threaded, pool = VideoDecoder(path), VideoDecoder(path, threads=4), DecoderPool(VideoDecoder)
        for one in (decoder, threaded):
            one.get_frame_at(20)
        with pool.lease(path) as leased:
            leased.get_frame_at(5)
        inherited = (queue, tests, decoder, threaded, pool, path)
        work = [children.Process(target=read_inherited, args=inherited) for _ in range(2)]
    else:
        work = [children.Process(target=read_afresh, args=(queue, tests, path)) for _ in range(2)]
    for process in work:
        process.start()
    numbers = [queue.get(timeout=60) for _ in work]
    for process in work:
        process.join(60)
        if process.exitcode != 0:
            raise RuntimeError(f"a child ended with {process.exitcode}")
    if method == "fork":
        sys.path.insert(0, tests)
        from _videos import number_in

        numbers.append([number_in(decoder.get_frame_at(t)) for t in (21, 3, 47)])
    sys.stdout.write(str(numbers))


def read_inherited(queue, tests, decoder, threaded, pool, path):
    import sys

    sys.path.insert(0, tests)
    from _videos import number_in

    with pool.lease(path) as leased:
        queue.put([number_in(one.get_frame_at(t)) for one in (decoder, threaded, leased) for t in (21, 3, 47)])


def read_afresh(queue, tests, path):
    import sys

    sys.path.insert(0, tests)
    from _videos import number_in

    from nersemble.video import VideoDecoder

    decoder = VideoDecoder(path)
    queue.put([number_in(decoder.get_frame_at(t)) for t in (21, 3, 47)])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_read_the_same_frames(video, tmp_path, method):
    script = tmp_path / "processes.py"
    parts = [inspect.getsource(f) for f in (read_in_children, read_inherited, read_afresh)]
    script.write_text(
        "\n\n".join(parts) + "\nif __name__ == '__main__':\n    import sys\n    read_in_children(*sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(Path(__file__).parent), str(video), method],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [[21, 3, 47] * 3] * 2 + [[21, 3, 47]] if method == "fork" else [[21, 3, 47]] * 2
    assert done.stdout.strip() == str(expected)


def fork_while_a_thread_reads(tests, path):
    """Forks again and again while a thread of the parent is inside the decoder, and reads in the child."""
    import os
    import signal
    import sys
    import threading

    sys.path.insert(0, tests)
    from _videos import number_in

    from nersemble.video import VideoDecoder

    decoder = VideoDecoder(path)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            for timestep in range(len(decoder)):
                decoder.get_frame_at(timestep)

    thread = threading.Thread(target=read)
    thread.start()
    outcomes = {0}
    for _ in range(15):
        pid = os.fork()
        if not pid:
            signal.alarm(10)  # ends a child that hangs
            os._exit(0 if number_in(decoder.get_frame_at(30)) == 30 else 1)
        outcomes.add(os.waitpid(pid, 0)[1])
        if outcomes != {0}:
            break
    stop.set()
    thread.join()
    sys.stdout.write(str(outcomes))


def test_a_fork_while_another_thread_reads_does_not_hang_the_child(video, tmp_path):
    assert run_script(tmp_path, fork_while_a_thread_reads, Path(__file__).parent, video) == "{0}"


def share_a_file_object(tests, path):
    """Children that inherit one open file read from it at once: its position is shared with the parent's."""
    import os
    import random
    import sys

    sys.path.insert(0, tests)
    from _videos import number_in

    from nersemble.video import VideoDecoder

    with open(path, "rb") as file:
        decoder = VideoDecoder(file)
        children = []
        for seed in range(6):
            pid = os.fork()
            if not pid:
                status = 2  # an exception
                try:
                    chosen = random.Random(seed).choices(range(len(decoder)), k=500)
                    status = int(any(number_in(decoder.get_frame_at(t)) != t for t in chosen))
                finally:
                    os._exit(status)
            children.append(pid)
        sys.stdout.write(str({os.waitpid(pid, 0)[1] for pid in children}))


def test_forked_children_read_from_one_open_file(tmp_path):
    options = {**_videos.x264("keyint=6:bframes=1"), "preset": "ultrafast"}
    large = written(tmp_path, encode(options=options, size=(192, 128), noise=20))
    assert large.stat().st_size > 150_000
    assert run_script(tmp_path, share_a_file_object, Path(__file__).parent, large) == "{0}"


def test_closing_in_a_thread_while_another_reads_ends_in_a_frame_or_an_error(video):
    for _ in range(10):
        decoder = VideoDecoder(video)
        begun = threading.Event()
        outcomes = []

        def read(decoder=decoder, begun=begun, outcomes=outcomes):
            for timestep in range(48):
                try:
                    outcomes.append(number_in(decoder.get_frame_at(timestep)) == timestep)
                except FrameError:
                    outcomes.append(None)
                begun.set()

        thread = threading.Thread(target=read)
        thread.start()
        begun.wait(10)
        decoder.close()
        thread.join(30)
        assert False not in outcomes
        assert len(outcomes) == 48
