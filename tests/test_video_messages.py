"""Units beside the coded pictures, which players skip: what is wrong with them changes no picture."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from _videos import decode_all, encode, number_in, x264, x265
from test_video import RemoteBytes
from test_video_times import remuxed

from nersemble.errors import FrameError, TransportError
from nersemble.video import VideoDecoder
from nersemble.video.nal import join_units, messages_in, split_units

COUNT = 24
KINDS = {
    "h264": ("libx264", x264("keyint=12:min-keyint=12:bframes=3")),
    "h264 in open groups": ("libx264", x264("keyint=12:min-keyint=12:bframes=3:open-gop=1")),
    "hevc": ("libx265", x265("keyint=12:min-keyint=12:bframes=3:open-gop=0")),
}
#: Large ones, which no first read of a file holds.
KEYFRAMES = ("libx264", x264("keyint=1"))
#: Units that FFmpeg refuses if it is to say at once what is damaged: text and colour volumes that end too early.
BAD_MESSAGES = {
    "h264": [b"\x06\x05\xff\xff\x10" + b"x" * 20 + b"\x80", b"\x06\x04\x08\x01\x02\x03", b"\x06\x00\x01\x02\x80"],
    "hevc": [b"\x4e\x01\x05\xff\xff\x10" + b"x" * 20 + b"\x80"],
}
#: One of a kind that is left to others, with zeros inside, and what such a kind ends in where a hole goes on behind it.
OF_OTHERS = {"h264": b"\x18abc\0\0\0\0abc", "hevc": b"\x7c\x01abc\0\0\0\0abc"}


def changed(path: Path, kind: str, change: Callable[[int, list[bytes]], list[bytes]]) -> Path:
    """A video whose packets have other units, by their number in decode order."""
    codec, options = KINDS.get(kind, KEYFRAMES)
    large = {} if kind in KINDS else {"noise": 40, "size": (192, 128)}
    data = encode(codec=codec, options=options, count=COUNT, **large)
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format="mp4") as out:
        context = source.streams.video[0].codec_context
        name, extradata = context.name, bytes(context.extradata)
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            units = change(number, list(split_units(name, extradata, bytes(packet))))
            made = av.Packet(join_units(name, extradata, units))
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.duration, made.is_keyframe, made.stream = packet.duration, packet.is_keyframe, stream
            out.mux(made)
    return path


def assert_all_are_right(path: Path) -> None:
    truth = decode_all(path)
    assert [number_in(picture) for picture in truth] == list(range(COUNT))
    for threads in (1, 2):
        with VideoDecoder(path, threads=threads) as decoder:
            for timestep in [17, 5, 23, 0, 11, 12]:
                assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
            assert np.array_equal(decoder.get_frames_at(range(3, 20, 4)), truth[3:20:4])
            for picture, expected in zip(decoder, truth, strict=True):
                assert np.array_equal(picture, expected)


def test_messages_are_told_apart_in_linear_time():
    text = b"\xff\x01" + b"\xff\x02" + b"x" * 257
    assert list(messages_in(b"\x06\x01\x84" + text + b"\x80")) == [(6, b"\x84"), (256, b"x" * 257)]
    assert list(messages_in(b"\x05\x09abc")) == [(5, b"abc")]  # cut off
    assert list(messages_in(b"\x80")) == []
    began = time.process_time()
    assert sum(1 for _ in messages_in(b"\x01\x00" * 1_000_000)) == 1_000_000
    assert time.process_time() - began < 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [1, 5])
def test_messages_that_no_player_can_read_cost_no_picture(tmp_path, kind, every):
    messages = BAD_MESSAGES[kind.split()[0]]
    path = changed(
        tmp_path / "video.mp4",
        kind,
        lambda number, units: [*(messages if number % every == 0 else []), *units],
    )
    assert_all_are_right(path)


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_in_units_that_no_picture_is_made_of_are_no_hole(tmp_path, kind):
    path = changed(tmp_path / "video.mp4", kind, lambda _, units: [OF_OTHERS[kind.split()[0]], *units])
    assert_all_are_right(path)


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_a_hole_behind_such_a_unit_is_one_all_the_same(tmp_path, kind):
    """From the middle of a unit beside the picture into the picture's own: a codec would show what was before."""

    def with_hole(number: int, units: list[bytes]) -> list[bytes]:
        if number != 15:
            return units
        *front, picture = units
        filled = picture[:12] + b"\0" * (len(picture) - 12)
        return [*front, OF_OTHERS[kind][:6] + b"\0" * 20, filled]

    path = changed(tmp_path / "video.mp4", kind, with_hole)
    refused = 0
    for timestep in range(COUNT):
        with VideoDecoder(path) as decoder:
            try:
                assert number_in(decoder.get_frame_at(timestep)) == timestep
            except FrameError:
                refused += 1
    assert refused


def test_a_picture_that_is_damaged_beside_its_message_stays_refused(tmp_path):
    """Without the message it is tried once more, and refused for its own sake."""

    def damaged(number: int, units: list[bytes]) -> list[bytes]:
        if number != 13:
            return units
        *front, picture = units
        return [*BAD_MESSAGES["h264"], *front, picture[: len(picture) // 2]]

    path = changed(tmp_path / "video.mp4", "h264", damaged)
    with VideoDecoder(path) as decoder:
        for timestep in range(12):
            assert number_in(decoder.get_frame_at(timestep)) == timestep
        with pytest.raises(FrameError, match=r"damaged|left it out"):
            decoder.get_frames_at(range(12, COUNT))


@pytest.mark.parametrize("lost", [1, 3, 9])
@pytest.mark.parametrize("kind", ["h264", "hevc"])
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_packet_that_lost_its_end_does_not_come_to_look_whole_without_its_message(tmp_path, container, kind, lost):
    message = {"h264": b"\x06\x05\x11" + b"m" * 17 + b"\x80", "hevc": b"\x4e\x01\x05\x11" + b"m" * 17 + b"\x80"}[kind]
    source = changed(tmp_path / "source.mp4", kind, lambda _, units: [message, *units])
    truth, path = decode_all(source), tmp_path / "video"

    def shorten(_: list[av.Packet], data: list[bytes]) -> list[bytes]:
        data[12] = data[12][:-lost]
        return data

    remuxed(source.read_bytes(), path, container, {}, shorten)
    refused = set()
    for threads in (1, 2):
        for timestep in range(COUNT):
            with VideoDecoder(path, threads=threads) as decoder:
                try:
                    assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
                except FrameError:
                    refused.add(timestep)
    assert refused == set(range(12, COUNT))


#: Film grain for all brightnesses (H.264 D.1.21), as FFmpeg's decoder adds to pictures.
GRAIN = bytes.fromhex("06130a01200200ff01e010082880")


def test_film_grain_is_kept_where_other_messages_are_left_out(tmp_path):
    def grainy(number: int, units: list[bytes]) -> list[bytes]:
        return [GRAIN, *(BAD_MESSAGES["h264"] if number == 17 else []), *units]

    path = changed(tmp_path / "video.mp4", "h264", grainy)
    truth = decode_all(path)
    plain = decode_all(changed(tmp_path / "plain.mp4", "h264", lambda _, units: units))
    assert not np.array_equal(truth[3], plain[3])
    with VideoDecoder(path) as decoder:
        for timestep in (3, 16, 17, 18, 3, 23):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


class Breaking(RemoteBytes):
    """A server that breaks off one request."""

    fails = 0

    def read_at(self, start: int, stop: int) -> bytes:
        data = super().read_at(start, stop)
        if len(self.reads) == self.fails:
            raise TransportError("The server broke off.")
        return data


def test_a_picture_is_whole_at_the_next_try_after_its_request_broke_off(tmp_path):
    """Its neighbours are asked for while it is noted, since it ends in zeros: what was noted then counts no more."""

    def padded(number: int, units: list[bytes]) -> list[bytes]:
        return [*units[:-1], units[-1] + b"\0\0\0"] if number % 2 == 0 else units

    data = changed(tmp_path / "video.mp4", "keyframes", padded).read_bytes()
    with VideoDecoder(Breaking(data)) as decoder:
        opening = len(decoder._source.reads)
        decoder.get_frame_at(4)
        requests = len(decoder._source.reads)
    assert requests > opening + 1
    for fails in range(opening + 1, requests + 1):
        source = Breaking(data)
        with VideoDecoder(source) as decoder:
            source.fails = fails
            with pytest.raises(TransportError):
                decoder.get_frame_at(4)
            assert number_in(decoder.get_frame_at(4)) == 4
