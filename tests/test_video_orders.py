"""Times that say another order than the pictures do: what is not in its place is refused, however it is asked for."""

from __future__ import annotations

import contextlib
import random
import struct

import numpy as np
import pytest
from _videos import decode_all, encode, number_in, replace, without_packets, x264, x265
from test_video import RemoteBytes

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.orders import PictureOrders

COUNT = 60
KINDS = {
    "closed": ("libx264", x264("keyint=20:min-keyint=20:bframes=3")),
    "closed without a pyramid": ("libx264", x264("keyint=15:min-keyint=15:bframes=2:b-pyramid=none")),
    "open": ("libx264", x264("keyint=20:min-keyint=20:bframes=3:open-gop=1")),
    "hevc": ("libx265", x265("keyint=20:min-keyint=20:bframes=3:open-gop=0")),
    "hevc that is led": ("libx265", x265("keyint=20:min-keyint=20:bframes=3:open-gop=0:radl=2")),
    "open hevc": ("libx265", x265("keyint=20:min-keyint=20:bframes=4:open-gop=1")),
}


@pytest.fixture(scope="module", params=KINDS)
def whole(request) -> bytes:
    codec, options = KINDS[request.param]
    return encode(codec=codec, options=options, count=COUNT)


def with_another_time(data: bytes, seed: int) -> bytes:
    """The video with one of its composition offsets changed."""
    chance = random.Random(seed)

    def change(table: bytes) -> bytes:
        entry = 12 + 8 * chance.randrange(struct.unpack_from(">I", table, 4)[0])
        offset = struct.unpack_from(">I", table, entry)[0] ^ chance.randrange(1, 4096)
        return table[:entry] + struct.pack(">I", offset) + table[entry + 4 :]

    return replace(data, "/moov/trak/mdia/minf/stbl/ctts", change)


def test_a_picture_is_in_its_place_or_refused_however_it_is_asked_for(whole, tmp_path):
    path, tried, given = tmp_path / "video.mp4", 0, 0
    for seed in range(12):
        path.write_bytes(with_another_time(whole, seed))
        if [number_in(picture) for picture in decode_all(path)] != list(range(COUNT)):
            continue  # players show other pictures too
        tried += 1
        for timestep in range(COUNT):
            with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:
                assert number_in(decoder.get_frame_at(timestep)) == timestep
                given += 1
        with VideoDecoder(path) as decoder:
            with contextlib.suppress(FrameError):
                assert [number_in(picture) for picture in decoder] == list(range(COUNT))
            for timestep in reversed(range(COUNT)):
                with contextlib.suppress(FrameError):
                    assert number_in(decoder.get_frame_at(timestep)) == timestep
    assert tried > 6
    assert given > 20 * tried


def is_read(decoder: VideoDecoder, timestep: int) -> bool:
    try:
        decoder.get_frame_at(timestep)
    except FrameError:
        return False
    return True


def test_what_was_refused_once_stays_refused(tmp_path):
    """A lone picture is not given where a pass found that its group is out of order."""
    data = encode(options=KINDS["closed"][1], count=COUNT)
    path = tmp_path / "video.mp4"
    path.write_bytes(with_another_time(data, 3))
    with VideoDecoder(path) as decoder:
        refused = set()
        for _ in range(2):
            for timestep in (*range(COUNT), *reversed(range(COUNT))):
                is_given = is_read(decoder, timestep)
                assert not (is_given and timestep in refused)
                refused |= set() if is_given else {timestep}
        assert refused


def test_pictures_that_are_counted_with_gaps_are_given(tmp_path):
    """As where every other picture was left out in front of the container: all pictures of a group tell."""
    data = encode(options=x264("keyint=20:min-keyint=20:bframes=3:b-adapt=0:b-pyramid=none"), count=40)
    path = tmp_path / "video.mp4"
    decoder = VideoDecoder(RemoteBytes(data))
    packets = decoder._packets.read(0, 39)
    path.write_bytes(without_packets(data, {n for n, packet in enumerate(packets) if packet[4] & 0x60 == 0 and n % 3}))
    truth = decode_all(path)
    assert 8 < len(truth) < 30
    for timestep in range(len(truth)):
        with VideoDecoder(path) as decoder:
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
    with VideoDecoder(RemoteBytes(path.read_bytes())) as decoder:
        for timestep in (7, 3, 1, 0, 8):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_counts_are_the_places_of_the_pictures(codec):
    options = {"libx264": x264, "libx265": x265}[codec]("keyint=25:min-keyint=25:bframes=4:open-gop=0")
    with VideoDecoder(RemoteBytes(encode(codec=codec, options=options, mux="+faststart", count=COUNT))) as decoder:
        orders, index = PictureOrders(decoder.index.codec, decoder.index.extradata), decoder.index
        step, begin = 2 if codec == "libx264" else 1, 0
        for packet in range(COUNT):
            place = orders.place(decoder._packets.read(packet, packet)[0])
            assert place is not None
            begin = packet if place.anew else begin
            assert place.order == step * (index.rank[packet] - index.rank[begin])
            assert place.anew == index.keyframe[packet]


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1\x65", b"\0\0\0\2\x65\x88", bytes(40)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9"])
def test_what_cannot_be_read_is_not_told(codec, data):
    extradata = b"\1" + bytes(30)
    orders = PictureOrders(codec, extradata)
    assert orders.place(data) is None
    assert PictureOrders(codec, b"").place(data) is None
