"""Videos that ask for more than is done, and options that are none, are refused in words."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from _videos import CLOSED, encode, number_in, with_matrix, x264, x265
from test_video import RemoteBytes

from nersemble.errors import FrameError, SelectionError
from nersemble.video import VideoDecoder


@pytest.fixture(scope="module")
def plain():
    return encode(options=CLOSED, mux="+faststart", count=12)


def turned_by(degrees: float) -> tuple[float, float, float, float]:
    """The matrix of a turn counter-clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return cosine, -sine, sine, cosine


# --- display matrices -------------------------------------------------------------------------------------------------

MIRRORS = {
    "across": (-1, 0, 0, 1),
    "up and down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "the other way": (0, -1, -1, 0),
}


@pytest.mark.parametrize("of_movie", [False, True])
@pytest.mark.parametrize("matrix", MIRRORS.values(), ids=MIRRORS)
def test_a_mirrored_video_is_refused(plain, matrix, of_movie):
    with pytest.raises(FrameError, match="asks players to mirror its pictures"):
        VideoDecoder(io.BytesIO(with_matrix(plain, *matrix, of_movie=of_movie)))


@pytest.mark.parametrize("of_movie", [False, True])
@pytest.mark.parametrize("degrees", [45, 2, 88, 200.5])
def test_a_video_that_stands_aslant_is_refused(plain, degrees, of_movie):
    with pytest.raises(FrameError, match=f"asks players to turn by {degrees:.1f} degrees"):
        VideoDecoder(io.BytesIO(with_matrix(plain, *turned_by(degrees), of_movie=of_movie)))


@pytest.mark.parametrize("of_movie", [False, True])
@pytest.mark.parametrize("degrees", [0.5, 89.9, 90.1, 179.9, 180.4, 270.3, 359.7])
def test_a_turn_that_was_rounded_is_the_quarter_turn_next_to_it(plain, degrees, of_movie):
    quarters = round(degrees / 90)
    with VideoDecoder(io.BytesIO(with_matrix(plain, *turned_by(degrees), of_movie=of_movie))) as decoder:
        frames = decoder.get_frames_at([3, 7])
        assert frames.shape[1:3] == (decoder.height, decoder.width)
        assert [number_in(np.rot90(frame, -quarters)) for frame in frames] == [3, 7]


def test_a_turn_of_the_movie_comes_on_top_of_that_of_its_track(plain):
    both = with_matrix(with_matrix(plain, *turned_by(90)), *turned_by(90), of_movie=True)
    with VideoDecoder(io.BytesIO(both)) as decoder:
        assert number_in(np.rot90(decoder.get_frame_at(5), 2)) == 5


# --- packed pictures --------------------------------------------------------------------------------------------------


def packed() -> bytes:
    """MPEG-4 in AVI as DivX packs it: a B picture in the packet of the one that it is predicted from."""
    source = io.BytesIO(encode(codec="mpeg4", options={"bf": "1", "g": "12"}, container="matroska", count=24))
    out = io.BytesIO()
    with av.open(source) as film, av.open(out, "w", format="avi") as to:
        copy = to.add_stream_from_template(film.streams.video[0])
        data = [bytes(packet) for packet in film.demux(video=0) if packet.size]
        for number in range(0, len(data) - 1, 2):
            packet = av.Packet(data[number] + data[number + 1])
            packet.stream, packet.pts, packet.dts = copy, number, number
            packet.is_keyframe = number == 0
            to.mux(packet)
    return out.getvalue()


def test_packed_pictures_are_refused():
    with pytest.raises(FrameError, match="two pictures each"):
        VideoDecoder(io.BytesIO(packed()))


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [(0, 0), (-4, 4), (48,), (48, 32, 3), 48, "ab", (4.5, 3), (10**6, 10**6), np.ones((2, 2))]
)
def test_a_size_that_is_none_is_refused(plain, size):
    with VideoDecoder(RemoteBytes(plain)) as decoder:
        for ask in (
            lambda: decoder.get_frame_at(3, size=size),
            lambda: decoder.get_frames_at([3, 4], size=size),
            lambda: decoder.get_frames_in_range(3, 5, size=size),
        ):
            with pytest.raises(SelectionError, match=r"size is \(width, height\) in pixels"):
                ask()
        assert decoder.get_frame_at(3, size=np.array([48, 32])).shape == (32, 48, 3)


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5])
def test_threads_that_are_none_are_refused(plain, threads):
    with pytest.raises(SelectionError, match="threads is a number of 1 or more"):
        VideoDecoder(io.BytesIO(plain), threads=threads)


def test_that_torch_is_missing_is_said_before_anything_is_read(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with VideoDecoder(RemoteBytes(plain)) as decoder:
        for ask in (decoder.get_frame_at, lambda t, **how: decoder.get_frames_at([t], **how)):
            with pytest.raises(ModuleNotFoundError, match=r"as_tensor=True needs PyTorch.*pip install torch"):
                ask(3, as_tensor=True)
        assert not decoder._engine.used


# --- cut off ----------------------------------------------------------------------------------------------------------

CUT = {
    "h264": {"options": x264("keyint=12:min-keyint=12:bframes=3:b-adapt=0")},
    "open": {"options": x264("keyint=12:min-keyint=12:bframes=3:b-adapt=0:open-gop=1")},
    "deep": {"options": x264("keyint=48:bframes=8:b-adapt=0:b-pyramid=normal")},
    "mpeg4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "hevc": {"codec": "libx265", "options": x265("keyint=12:min-keyint=12:bframes=4:b-adapt=0")},
}


CONTAINERS = {
    "h264": ["matroska", "mpegts", "flv", "frag"],
    "open": ["matroska", "mpegts", "flv", "frag"],
    "deep": ["matroska", "mpegts", "flv", "frag"],
    "mpeg4": ["matroska", "mpegts", "avi", "frag"],
    "hevc": ["matroska", "mpegts", "frag"],
}


@pytest.mark.parametrize(("name", "container"), [(name, one) for name, them in CONTAINERS.items() for one in them])
def test_of_a_file_that_was_cut_no_frame_is_counted_as_another(name, container):
    if container == "frag":
        data = encode(mux="+frag_keyframe+empty_moov", **CUT[name])
    else:
        data = encode(container=container, **CUT[name])
    with VideoDecoder(io.BytesIO(data)) as decoder:
        assert [number_in(frame) for frame in decoder] == list(range(48))
    given = 0
    for percent in range(8, 100, 4):
        cut = data[: len(data) * percent // 100]
        with contextlib.suppress(FrameError), VideoDecoder(io.BytesIO(cut)) as decoder:
            for timestep in range(len(decoder)):
                with contextlib.suppress(FrameError):
                    assert number_in(decoder.get_frame_at(timestep)) == timestep, (percent, len(decoder))
                    given += 1
    assert given > 48 or container == "avi"  # which is refused when it is cut


def test_a_gif_that_was_cut_gives_no_half_picture():
    data = encode(codec="gif", options={}, container="gif", pix_fmt="rgb8", time_base=Fraction(1, 100), count=10)
    with VideoDecoder(io.BytesIO(data)) as decoder:
        assert len(decoder) == 10
        whole = list(decoder)
    for percent in (35, 48, 61, 77, 89):
        with VideoDecoder(io.BytesIO(data[: len(data) * percent // 100])) as decoder:
            for timestep in range(len(decoder) - 1):
                assert np.array_equal(decoder.get_frame_at(timestep), whole[timestep])
            with pytest.raises(FrameError, match="the data is damaged"):
                decoder.get_frame_at(len(decoder) - 1)


@pytest.mark.parametrize(("container", "most"), [("matroska", 3), ("mp4", 3), ("flv", 0), ("mpegts", 0)])
def test_a_pause_at_the_end_of_a_whole_file_hides_nothing(container, most):
    """Frames that were dropped, which only a container that knows its own end tells from those behind a cut."""
    options = x264(f"keyint=12:bframes={most}:b-adapt=0")
    mux = "+frag_keyframe+empty_moov" if container == "mp4" else ""
    data = encode(
        options=options,
        container=container,
        mux=mux,
        time_base=Fraction(1, 1000),
        pts=lambda i: i * 40 + 500 * (i >= 46),
    )
    with VideoDecoder(io.BytesIO(data)) as decoder:
        assert [number_in(frame) for frame in decoder] == list(range(48))
