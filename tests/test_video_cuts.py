"""Videos cut at a keyframe whose group of pictures is open: what was cut away is spoken of, and no frame lost."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from _videos import boxes, decode_all, encode, number_in, x264, x265

from nersemble import FrameError, VideoDecoder

KINDS = {
    "arithmetic": ("libx264", x264("keyint=12:min-keyint=12:bframes=3:open-gop=1:ref=4")),
    "tables": ("libx264", x264("keyint=12:min-keyint=12:bframes=3:open-gop=1:ref=4:cabac=0")),
    "slices": ("libx264", x264("keyint=12:min-keyint=12:bframes=3:open-gop=1:ref=3:slices=3")),
    "many references": ("libx264", x264("keyint=14:min-keyint=14:bframes=8:b-adapt=0:open-gop=1:ref=16")),
    "few references": ("libx264", x264("keyint=11:min-keyint=11:bframes=5:b-adapt=0:open-gop=1:ref=2:weightp=2")),
    "delimiters": (
        "libx264",
        x264("keyint=13:min-keyint=13:bframes=3:b-adapt=0:open-gop=1:ref=3:bluray-compat=1"),
    ),
    "hevc": ("libx265", x265("keyint=14:min-keyint=14:bframes=4:open-gop=1")),
}
#: Pictures that lead keyframes of HEVC and need nothing in front of them, which players show.
LEADING_AND_WHOLE = ("libx265", x265("keyint=14:min-keyint=14:bframes=4:open-gop=0:radl=2"))


@cache
def whole(kind: str) -> bytes:
    codec, options = KINDS.get(kind, LEADING_AND_WHOLE)
    return encode(codec=codec, options=options, count=80, noise=12)


def keyframes(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
    return [number for number, packet in enumerate(packets) if packet.is_keyframe]


def cut(data: bytes, first: int, container: str, path: Path) -> None:
    """The packets from ``first`` on, in decode order, with all their times."""
    options = {"use_editlist": "0"} | ({"movflags": "frag_keyframe+empty_moov"} if container == "fragments" else {})
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format="mp4", options=options) as out:
        film = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if number >= first:
                packet.stream = film
                out.mux(packet)


def frame_or_none(decoder: VideoDecoder, timestep: int) -> np.ndarray | None:
    try:
        return decoder.get_frame_at(timestep)
    except FrameError:
        return None


def is_refused(packet: av.Packet) -> bool:
    try:
        packet.decode()
    except av.FFmpegError:
        return True
    return False


def assert_all_that_is_shown_is_right(path: Path) -> list[np.ndarray]:
    """What players show of a video, all of which comes out, in whatever order it is asked for."""
    truth = decode_all(path)
    numbers = [number_in(picture) for picture in truth]
    assert numbers == list(range(numbers[0] or 0, 80))
    with VideoDecoder(path) as decoder:
        assert len(decoder) == len(truth)
        for timestep in (2, len(truth) - 1, 0, 1, 5, 4):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
        assert all(map(np.array_equal, decoder, truth))
    return truth


@pytest.mark.parametrize("container", ["mp4", "fragments"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_behind_a_cut_is_there_and_right(tmp_path, kind, container):
    data = whole(kind)
    for first in keyframes(data)[1:-1]:
        path = tmp_path / f"{first}"
        cut(data, first, container, path)
        truth = assert_all_that_is_shown_is_right(path)
        with VideoDecoder(path, threads=2) as decoder:
            assert np.array_equal(decoder.get_frames_in_range(0, len(truth), 3), truth[::3])


@pytest.mark.parametrize("kind", ["arithmetic", "tables", "many references", "few references", "hevc", "leads"])
def test_of_a_matroska_that_was_cut_so_that_its_keyframe_comes_at_0_all_that_is_shown_is_there(tmp_path, kind):
    """As ``ffmpeg -ss`` copies: pictures that lead the keyframe have times below 0, which the container cannot hold."""
    data, timeless = whole(kind), 0
    for first in keyframes(data)[1:-1]:
        path = tmp_path / f"{first}"
        with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format="matroska") as out:
            film = out.add_stream_from_template(source.streams.video[0])
            packets = [packet for packet in source.demux(video=0) if packet.size][first:]
            start = packets[0].pts
            for packet in packets:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, film
                out.mux(packet)
        with av.open(str(path)) as source:
            timeless += sum(packet.pts is None for packet in source.demux(video=0) if packet.size)
        assert_all_that_is_shown_is_right(path)
    assert timeless


@pytest.mark.parametrize("kind", ["arithmetic", "tables", "slices", "delimiters"])
def test_a_codec_that_says_at_once_what_is_damaged_refuses_packets_behind_a_cut(tmp_path, kind):
    """So that the test above shows something."""
    refused = 0
    for first in keyframes(whole(kind))[1:-1]:
        cut(whole(kind), first, "mp4", tmp_path / f"{first}")
        with av.open(str(tmp_path / f"{first}")) as source:
            context = source.streams.video[0].codec_context
            context.options, context.thread_count = {"err_detect": "explode"}, 1
            for packet in source.demux(video=0):
                refused += is_refused(packet)
    assert refused


@pytest.mark.parametrize("kind", ["arithmetic", "tables", "slices", "delimiters"])
def test_a_hole_behind_a_cut_is_found_all_the_same(tmp_path, kind):
    for first in keyframes(whole(kind))[1:-1]:
        path = tmp_path / f"{first}"
        cut(whole(kind), first, "mp4", path)
        truth = decode_all(path)
        with av.open(str(path)) as source:
            packets = [packet for packet in source.demux(video=0) if packet.size][:8]
            places = [(packet.pos, packet.size) for packet in packets if packet.pts >= packets[0].pts]
        for place, size in places:
            damaged = bytearray(path.read_bytes())
            damaged[place + size // 2 : place + size // 2 + 40] = bytes(40)
            (tmp_path / "damaged").write_bytes(damaged)
            with VideoDecoder(tmp_path / "damaged") as decoder:
                outcomes = [frame_or_none(decoder, timestep) for timestep in range(len(truth))]
            assert any(one is None for one in outcomes)
            assert all(one is None or np.array_equal(one, right) for one, right in zip(outcomes, truth, strict=True))


def test_a_header_that_goes_to_the_end_of_the_file_is_read_and_may_not_be_cut(tmp_path):
    data = bytearray(encode(count=24))
    place = next(begin for kind, begin, *_ in boxes(data) if kind == "moov")
    data[place : place + 4] = bytes(4)
    path = tmp_path / "video"
    path.write_bytes(data)
    with VideoDecoder(path) as decoder:
        assert [number_in(picture) for picture in decoder] == list(range(24))
    for left in range(place + 8, len(data), 41):
        path.write_bytes(data[:left])
        with pytest.raises(FrameError, match="cut off"):
            VideoDecoder(path)
