"""Headers that say what cannot be, colours and files that cannot be read: a sentence of this package, never another."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.logging
import numpy as np
import pytest
from _videos import (
    FPS,
    decode_all,
    encode,
    frames_span,
    number_in,
    overwrite,
    replace,
    with_co64,
    with_edits,
    with_large_mdat,
    with_movie_timescale,
    x264,
    x265,
)
from test_video import RemoteBytes
from test_video_orders import is_read, remuxed

from nersemble import FrameError, VideoDecoder

TABLES = "/moov/trak/mdia/minf/stbl"


def _last_sample_empty(table: bytes) -> bytes:
    return table[:-4] + bytes(4)


def _far_away(table: bytes) -> bytes:
    return table[:8] + b"\x80" + table[9:]


def _without_entry(table: bytes) -> bytes:
    return table[:8]


def _short_entry(table: bytes) -> bytes:
    return table[:8] + struct.pack(">I", 16) + table[12:]


def _of_more_than_all_bytes(data: bytes) -> bytes:
    at = with_large_mdat(data).index(b"\0\0\0\1mdat") + 8
    return with_large_mdat(data)[:at] + b"\xff" * 8 + with_large_mdat(data)[at + 8 :]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "no time scale, edits": lambda data: with_movie_timescale(with_edits(data, (400, 1024)), 0),
    "no sample description": lambda data: replace(data, f"{TABLES}/stsd", _without_entry),
    "a short sample description": lambda data: replace(data, f"{TABLES}/stsd", _short_entry),
    "packets in front of the file": lambda data: replace(with_co64(data), f"{TABLES}/co64", _far_away),
    "a box of more than all bytes": _of_more_than_all_bytes,
}


@pytest.fixture(scope="module")
def plain() -> bytes:
    return encode(options=x264("keyint=12:bframes=2"), count=24)


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("source", ["path", "file object", "server"])
def test_a_damaged_header_is_a_sentence_or_no_damage(plain, tmp_path, kind, source):
    data = DAMAGED[kind](plain)
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    given: Any = {"path": path, "file object": io.BytesIO(data), "server": RemoteBytes(data)}[source]
    try:
        with VideoDecoder(given) as decoder:
            numbers = [number_in(decoder.get_frame_at(timestep)) for timestep in range(len(decoder))]
    except FrameError:
        return
    assert numbers == list(range(24))[-len(numbers) :]


def test_an_empty_packet_is_no_picture(plain, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(replace(plain, f"{TABLES}/stsz", _last_sample_empty))
    truth = decode_all(path)
    assert len(truth) == 23
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 23
        assert np.array_equal(decoder.get_frame_at(22), truth[22])


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("remote", [False, True])
def test_a_size_that_the_container_leaves_open_is_that_of_the_codec(tmp_path, codec, remote):
    data = encode(codec=codec, options=(x264 if codec == "libx264" else x265)("keyint=12:bframes=2"), count=24)
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    truth = decode_all(path)
    sizeless = replace(data, f"{TABLES}/stsd", lambda table: table[:40] + bytes(4) + table[44:])
    assert sizeless != data
    path.write_bytes(sizeless)
    with VideoDecoder(RemoteBytes(sizeless) if remote else path) as decoder:
        assert (decoder.width, decoder.height) == (96, 64)
        assert all(map(np.array_equal, decoder, truth))


@pytest.mark.parametrize("container", ["mpegts", "nut"])
def test_a_rate_of_which_there_is_no_average_is_what_the_codec_says(tmp_path, container):
    path = tmp_path / "video"
    path.write_bytes(encode(options=x264("keyint=12:bframes=0"), container=container, count=1))
    with av.open(str(path)) as source:
        assert not source.streams.video[0].average_rate
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 1
        assert decoder.fps == FPS


def test_a_codecs_clock_is_no_rate(tmp_path):
    path = tmp_path / "video"
    clock = Fraction(1001, 30000)
    path.write_bytes(encode(codec="mpeg4", container="mpegts", count=2, noise=30, time_base=clock))
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 2
        assert decoder.fps < 60


def test_colours_that_are_not_converted_are_named(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(encode(options=x264("keyint=12:colormatrix=chroma-derived-nc"), count=3))
    with VideoDecoder(path) as decoder, pytest.raises(FrameError, match=r"video.mp4: its colours cannot be made RGB"):
        decoder.get_frame_at(1)


class Refusing(io.BytesIO):
    """A file object whose medium fails once it was opened, with words of its own."""

    refuses = False

    def read(self, size: int | None = -1) -> bytes:
        if self.refuses:
            raise OSError(5, "https://user:secret@server")
        return super().read(size)


def test_what_a_medium_refuses_is_told_without_its_words(plain):
    file = Refusing(plain)
    with VideoDecoder(file, name="the video") as decoder:
        file.refuses = True
        with pytest.raises(FrameError, match=r"the video: timestep 20 .* cannot be read any more: Input") as caught:
            decoder.get_frame_at(20)
        assert "secret" not in str(caught.value)
        file.refuses = False
        assert decoder.get_frame_at(20).shape == (64, 96, 3)


@pytest.mark.parametrize("name", ["a\0b.mp4", "a\ud800.mp4"])
def test_a_name_that_no_file_can_have_is_told(name):
    with pytest.raises(FrameError, match="no file can be called so"):
        VideoDecoder(name)


class Counted(RemoteBytes):
    """A file on disk that counts what is read of it."""

    remote = False


def test_a_damaged_picture_is_not_looked_for_from_every_keyframe(tmp_path):
    """Nothing in front of an IDR picture changes what comes out behind it."""
    data = encode(options=x264("keyint=1"), count=120, noise=4)
    start, stop = frames_span(data)
    video = Counted(overwrite(data, 3, 200, stop - (stop - start) // 60, stop, zeros=True))
    with VideoDecoder(video) as decoder:
        refused = sum(not is_read(decoder, timestep) for timestep in range(115, 120))
    assert 0 < refused < 5
    assert video.bytes_read < 3 * len(data)


def test_what_a_cut_file_lacks_is_not_looked_for_from_every_keyframe():
    data = encode(options=x264("keyint=10:min-keyint=10"), mux="+faststart", count=120, noise=4)
    start, stop = frames_span(data)
    video = RemoteBytes(data[: start + (stop - start) // 6])
    with VideoDecoder(video) as decoder:
        asked = len(video.reads)
        with pytest.raises(FrameError, match="the file ends before this frame"):
            decoder.get_frame_at(119)
    assert len(video.reads) - asked < 4


LOGGING = """
import sys
import av.logging
from nersemble import FrameError, VideoDecoder

av.logging.set_level(av.logging.ERROR)
for _ in range(3):
    for timestep in range(0, 119, 2):
        for read in (lambda video: video.get_frame_at(timestep), lambda video: video.get_frames_at([3, timestep])):
            with VideoDecoder(sys.argv[1]) as video:
                try:
                    read(video)
                except FrameError:
                    pass
print("read")
"""


def test_a_process_that_has_ffmpeg_log_is_not_held_up(tmp_path):
    """PyAV's log takes the interpreter's lock, which the one who frees a codec holds while its threads end."""
    path = tmp_path / "video.mp4"
    data = encode(codec="libx265", options=x265("keyint=250:bframes=0"), count=120)
    path.write_bytes(remuxed(data, "mp4", 70, 10.5))
    done = subprocess.run([sys.executable, "-c", LOGGING, str(path)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "read\n", done.stderr


def test_a_decoder_of_two_threads_takes_one_once_ffmpeg_logs(plain):
    with VideoDecoder(io.BytesIO(plain), threads=2) as decoder:
        assert decoder.get_frame_at(20).shape == (64, 96, 3)
        assert decoder._engine._threads == 2
        av.logging.set_level(av.logging.ERROR)
        try:
            assert number_in(decoder.get_frame_at(0)) == 0
        finally:
            av.logging.set_level(None)
        assert decoder._engine._threads == 1


def cut_at_second_keyframe(data: bytes) -> bytes:
    made = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(made, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        keyframes = 0
        for packet in source.demux(video=0):
            keyframes += bool(packet.size and packet.is_keyframe)
            if packet.size and keyframes > 1:
                packet.stream = stream
                target.mux(packet)
    return made.getvalue()


def with_closed_groups(data: bytes) -> bytes:
    """Say in the headers of groups that nothing in front of them is needed."""
    return re.sub(
        rb"(\x00\x00\x01\xb8...)(.)", lambda found: found[1] + bytes([found[2][0] | 0x40]), data, flags=re.DOTALL
    )


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "mpeg4"])
def test_pictures_that_lead_a_cut_file_of_mpeg_count_where_players_show_them(tmp_path, codec, closed):
    options = {"bf": "2", "g": "12", "qscale": "3"}
    data = encode(codec=codec, options=options, count=40, container="matroska", time_base=Fraction(1, 25))
    path = tmp_path / "video.mkv"
    path.write_bytes(with_closed_groups(cut_at_second_keyframe(data)) if closed else cut_at_second_keyframe(data))
    truth = decode_all(path)
    assert 20 < len(truth) < 35
    with VideoDecoder(path) as decoder:
        assert len(decoder) == len(truth)
        for timestep in (0, 1, 2, 5, len(truth) - 1):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
