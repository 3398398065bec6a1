"""Containers without presentation times: the pictures' own counts say their order, or they are refused."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from _videos import CLOSED, OPEN, decode_all, encode, number_in, picture_of, read, x264, x265

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.counted import in_counted_order
from nersemble.video.fields import Packet

RATE, COUNT = 25, 40
#: In decode order, the picture that is shown last of the first group.
LAST = 10
KINDS = {
    "closed": CLOSED,
    "open": OPEN,
    "pyramid": x264("keyint=24:bframes=7:b-adapt=0:b-pyramid=normal:ref=4"),
    "one group": x264("keyint=250:bframes=3"),
    "interlaced": x264("keyint=12:bframes=3:tff=1"),
    "intra refresh": x264("keyint=16:intra-refresh=1:bframes=3"),
    "in order": x264("keyint=12:bframes=0"),
}


def film(path: Path, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.options = 96, 64, "yuv420p", options
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def leave_out(path: Path, lost: int) -> None:
    """Write an AVI again without one of its packets."""
    with av.open(io.BytesIO(path.read_bytes())) as source, av.open(str(path), "w") as out:
        track = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number != lost:
                packet.stream = track
                out.mux(packet)


def packets_of(path: Path) -> tuple[bytes, list[Packet]]:
    """The codec's header, and the packets as FFmpeg gives them."""
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata)
        return extradata, [Packet(p.pts, p.is_keyframe, True, bytes(p)) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("container", ["avi", "mxf"])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_come_in_the_order_of_their_counts(tmp_path, kind, container):
    path = film(tmp_path / f"video.{container}", KINDS[kind])
    truth = decode_all(path)
    assert [number_in(picture) for picture in truth] == list(range(COUNT))
    assert np.array_equal(read(path), truth)
    with VideoDecoder(path) as decoder:
        for timestep in np.random.default_rng(0).permutation(COUNT).tolist():
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("lost", [n for n in range(1, 16) if n != LAST])
def test_where_a_count_is_missing_the_file_is_refused(tmp_path, lost):
    path = film(tmp_path / "video.avi", CLOSED)
    leave_out(path, lost)
    with pytest.raises(FrameError, match="packets without presentation times"):
        VideoDecoder(path)


def test_a_picture_that_nothing_counts_on_from_is_not_missed(tmp_path):
    """It is the last of its group: the group is one shorter."""
    path = film(tmp_path / "video.avi", CLOSED)
    leave_out(path, LAST)
    given = read(path)
    truth = [number for number in range(COUNT) if number != 11]
    assert len(given) == len(truth)
    lost = [number for number, picture in zip(truth, given, strict=True) if picture is None]
    assert set(lost) <= {9, 10}  # which lean on it
    assert all(picture is None or number_in(picture) == number for number, picture in zip(truth, given, strict=True))


@pytest.mark.parametrize("lost", range(1, 12))
def test_where_a_count_of_hevc_is_missing_the_packets_have_no_times(tmp_path, lost):
    path = tmp_path / "video.mp4"
    path.write_bytes(encode(codec="libx265", options=x265("keyint=24:bframes=3:b-pyramid=1:open-gop=0"), count=24))
    extradata, given = packets_of(path)
    packets = [packet._replace(pts=number) for number, packet in enumerate(given)]
    order = np.argsort([packet.pts for packet in given])
    mended = in_counted_order("avi", "hevc", extradata, packets)
    assert np.array_equal(np.argsort([packet.pts for packet in mended]), order)
    del packets[lost]
    assert {packet.pts for packet in in_counted_order("avi", "hevc", extradata, packets)} == {None}


@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("container", ["avi", "mxf"])
def test_of_a_file_that_was_cut_off_no_picture_takes_another_place(tmp_path, container, part):
    path = film(tmp_path / f"video.{container}", KINDS["pyramid"])
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    try:
        pictures = read(path)
    except FrameError:
        return
    for timestep, picture in enumerate(pictures):
        assert picture is None or number_in(picture) == timestep


def test_other_containers_and_times_are_left_alone(tmp_path):
    path = film(tmp_path / "video.avi", CLOSED)
    extradata, packets = packets_of(path)
    mended = in_counted_order("avi", "h264", extradata, packets)
    assert mended != packets
    assert sorted(packet.pts for packet in mended) == [packet.pts for packet in packets]
    assert [packet.data for packet in mended] == [packet.data for packet in packets]
    swapped = [packets[0]._replace(pts=packets[1].pts), packets[1]._replace(pts=packets[0].pts), *packets[2:]]
    timeless = [packets[0], packets[1]._replace(pts=None), *packets[2:]]
    for given in (mended, swapped, timeless):
        assert in_counted_order("avi", "h264", extradata, given) == given
    for given in (packets[1:], packets[:2] + packets[3:]):
        assert {packet.pts for packet in in_counted_order("avi", "h264", extradata, given)} == {None}
    assert in_counted_order("matroska", "h264", extradata, packets) == packets
    assert in_counted_order("avi", "mpeg4", extradata, packets) == packets
    assert in_counted_order("avi", "h264", b"", packets) == packets
