"""Times that say another order than the pictures do: what is not in its place is refused, however it is asked for."""

from __future__ import annotations

import contextlib
import io
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from _videos import decode_all, encode, number_in, replace, without_packets, x264, x265
from test_video import RemoteBytes

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.nal import join_units, split_units
from nersemble.video.orders import PictureOrders
from nersemble.video.parameter_sets import sets_of
from nersemble.video.slices import Slice, read_slice

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


@pytest.mark.parametrize("kind", ["closed", "hevc"])
def test_a_time_that_contradicts_an_edit_list_gives_no_wrong_picture(tmp_path, kind):
    """The video begins in the middle of a group of pictures; a hidden picture may seem to be shown, or the reverse."""
    codec, options = KINDS[kind]
    data = encode(codec=codec, options=options, count=COUNT, pts=lambda number: number - 27)
    path, tried, given = tmp_path / "video.mp4", 0, 0
    for seed in range(24):
        path.write_bytes(with_another_time(data, seed))
        truth = [number_in(picture) for picture in decode_all(path)]
        if truth != sorted(truth):
            continue  # players show other pictures too
        tried += 1
        for timestep in range(0, COUNT - 27, 2):
            with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:
                assert number_in(decoder.get_frame_at(timestep)) == truth[timestep]
                given += 1
    assert tried > 12
    assert given > 5 * tried


def test_a_picture_is_in_its_place_or_refused_however_it_is_asked_for(whole, tmp_path):
    path, tried, given = tmp_path / "video.mp4", 0, 0
    for seed in range(12):
        path.write_bytes(with_another_time(whole, seed))
        if [number_in(picture) for picture in decode_all(path)] != list(range(COUNT)):
            continue  # players show other pictures too
        tried += 1
        given += assert_lone_ones_are_right_or_refused(path)
        with VideoDecoder(path) as decoder:
            with contextlib.suppress(FrameError):
                assert [number_in(picture) for picture in decoder] == list(range(COUNT))
            for timestep in reversed(range(COUNT)):
                with contextlib.suppress(FrameError):
                    assert number_in(decoder.get_frame_at(timestep)) == timestep
        assert_batches_are_right_or_refused(path)
    assert tried > 6
    assert given > 20 * tried


BATCHES = [(first, first + step) for step in (1, 3, 15, 22) for first in range(0, COUNT - step, 4)]


def assert_batches_are_right_or_refused(path: Path) -> int:
    """How many were given."""
    given = 0
    for batch in BATCHES:
        with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:
            assert [number_in(picture) for picture in decoder.get_frames_at(batch)] == list(batch)
            given += 1
    return given


def assert_lone_ones_are_right_or_refused(path: Path) -> int:
    """How many were given."""
    given = 0
    for timestep in range(COUNT):
        with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:
            assert number_in(decoder.get_frame_at(timestep)) == timestep
            given += 1
    return given


def remuxed(data: bytes, container: str, packet: int = 0, frames: float = 0, delay: int = 0) -> bytes:
    """The video in another container, so many frames later, and one packet of it by some more."""
    made = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(made, "w", format=container) as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        coded = (each for each in source.demux(video) if each.size)
        for number, each in enumerate(coded):
            later = delay + (frames if number == packet else 0)
            each.pts += round(later / float(video.average_rate * each.time_base))
            each.stream = stream
            target.mux(each)
    return made.getvalue()


MOVED = {
    "without B-frames": ("libx264", x264("keyint=20:min-keyint=20:bframes=0"), []),
    "hevc without B-frames": ("libx265", x265("keyint=20:min-keyint=20:bframes=0"), []),
    "open hevc": KINDS["open hevc"] + ([],),
    "sets in packets": ("libx264", KINDS["closed"][1], ["mpegts", "mp4"]),
    "hevc, sets in packets": ("libx265", KINDS["hevc"][1], ["mpegts", "mp4"]),
    "sets in packets alone": ("libx264", KINDS["closed"][1], ["mpegts"]),
    "without B-frames, sets in packets": ("libx264", x264("keyint=20:min-keyint=20:bframes=0"), ["mpegts", "mp4"]),
}


@pytest.mark.parametrize("kind", MOVED)
def test_a_moved_picture_is_told_wherever_the_counts_are_and_a_good_video_is_read(kind, tmp_path):
    codec, options, containers = MOVED[kind]
    data = encode(codec=codec, options=options, count=COUNT)
    *before, last = [*containers] or ["matroska"]
    for container in before:
        data = remuxed(data, container)
    path = tmp_path / "video"
    path.write_bytes(remuxed(data, last))
    assert assert_lone_ones_are_right_or_refused(path) == COUNT
    assert assert_batches_are_right_or_refused(path) == len(BATCHES)
    tried = 0
    for packet, frames in ((30, 1.5), (33, 2.5), (10, 14.5), (37, 6.5)):
        path.write_bytes(remuxed(data, last, packet, frames))
        if [number_in(picture) for picture in decode_all(path)] == list(range(COUNT)):
            assert assert_lone_ones_are_right_or_refused(path) < COUNT
            assert assert_batches_are_right_or_refused(path) < len(BATCHES)
            tried += 1
    assert tried > 1


@pytest.mark.parametrize("kind", ["hevc without B-frames", "without B-frames", "open hevc"])
def test_a_picture_moved_into_the_group_in_front_is_told(kind, tmp_path):
    codec, options, _ = MOVED[kind]
    data = encode(codec=codec, options=options, count=COUNT)
    path, tried = tmp_path / "video.mkv", 0
    for packet in (23, 27, 43, 47):
        path.write_bytes(remuxed(data, "matroska", packet, -9.5, delay=64))
        if [number_in(picture) for picture in decode_all(path)] == list(range(COUNT)):
            assert assert_lone_ones_are_right_or_refused(path) < COUNT
            tried += 1
    assert tried > 1


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


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- streams that are unusual and good --------------------------------------------------------------------------------

#: Without B-pictures, but for the counts that those need.
PLAIN = x264("keyint=8:min-keyint=8:bframes=2:b-adapt=1:b-bias=-100:b-pyramid=none:ref=1:cabac=0:weightp=0")
#: A recovery point at the picture itself (H.264 D.1.8).
RECOVERY = b"\x06\x06\x01\xc4\x80"


def remade(
    data: bytes, path: Path, change: Callable[[int, Slice, bytes], list[bytes]], pts: list[int], mux: str = ""
) -> Path:
    """A video of one slice a picture, whose slices are changed and whose packets have other times, in decode order."""
    options = {"movflags": mux} if mux else {}
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format="mp4", options=options) as out:
        film = out.add_stream_from_template(source.streams.video[0])
        extradata = bytes(source.streams.video[0].codec_context.extradata)
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            units = []
            for unit in split_units("h264", extradata, bytes(packet)):
                head = read_slice(sets_of(extradata), unit)
                units += [unit] if head is None else change(number, head, unit)
            made = av.Packet(join_units("h264", extradata, units))
            made.pts, made.dts, made.is_keyframe = packets[pts[number]].pts, packet.dts - 4096, packet.is_keyframe
            made.duration, made.time_base, made.stream = packet.duration, packet.time_base, film
            out.mux(made)
    return path


def with_bits(head: int, bits: str) -> bytes:
    bits = bits.rstrip("0")
    bits += "0" * (-len(bits) % 8)
    return bytes([head]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", int(bits, 2).to_bytes(len(bits) // 8, "big"))


def assert_read_as_in_order(path: Path) -> None:
    truth = decode_all(path)
    assert len(truth) == 24
    for threads in (1, 2):
        with VideoDecoder(path, threads=threads) as decoder:
            for timestep in (20, 16, 9, 8, 15, 16, 3, 1, 0, 23):
                assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])
            assert all(map(np.array_equal, decoder, truth))
    for timestep in range(24):
        with VideoDecoder(RemoteBytes(path.read_bytes())) as decoder:
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


def test_of_a_file_that_is_cut_and_counts_with_gaps_what_is_there_is_given(tmp_path):
    """In steps of four, which lone pictures make look into all of their group."""

    def change(number: int, head: Slice, unit: bytes) -> list[bytes]:
        if number == 0:
            return [unit]
        reader, bits = head.reader, head.sequence.order_bits
        place = reader.position
        lower = format(2 * reader.read(bits) % (1 << bits), f"0{bits}b")
        return [with_bits(unit[0], reader.between(0, place) + lower + reader.between(reader.position, reader.length))]

    options = x264("keyint=48:min-keyint=48:bframes=1:b-adapt=0:direct=spatial:ref=1:cabac=0:weightp=0")
    path = remade(encode(options=options, count=48), tmp_path / "video.mp4", change, list(range(48)), "+faststart")
    truth, data = decode_all(path), path.read_bytes()
    assert len(truth) == 48
    with av.open(io.BytesIO(data)) as source:
        ends = [packet.pos + packet.size for packet in source.demux(video=0) if packet.size]
    for count in range(3, 48):
        with VideoDecoder(written(tmp_path / "cut.mp4", data[: ends[count - 1]])) as decoder:
            assert np.array_equal(decoder.get_frame_at(1), truth[1])


def test_pictures_that_make_all_counts_begin_anew_are_no_disorder(tmp_path):
    """Keyframes that are recovery points with memory management operation 5 (H.264 8.2.1), instead of IDR pictures."""

    def change(number: int, head: Slice, unit: bytes) -> list[bytes]:
        if not head.begins_anew or number == 0:
            return [unit]
        reader, sequence = head.reader, head.sequence
        place = reader.position - sequence.frame_number_bits
        reader.read_golomb()
        reader.read(sequence.order_bits + 2)
        told = (
            format(8, f"0{sequence.frame_number_bits}b")
            + format(16 % (1 << sequence.order_bits), f"0{sequence.order_bits}b")
            + "1001101"
        )
        return [
            RECOVERY,
            with_bits(0x61, reader.between(0, place) + told + reader.between(reader.position, reader.length)),
        ]

    data = encode(options=PLAIN, count=24)
    assert_read_as_in_order(remade(data, tmp_path / "video.mp4", change, list(range(24))))


def test_a_picture_that_is_shown_in_front_of_the_keyframe_it_follows_is_no_disorder(tmp_path):
    """Its count is below that of the IDR picture, and so is its time."""

    def change(number: int, head: Slice, unit: bytes) -> list[bytes]:
        if number % 8 != 1:
            return [unit]
        reader, bits = head.reader, head.sequence.order_bits
        place = reader.position
        reader.read(bits)
        lower = format((1 << bits) - 2, f"0{bits}b")
        return [with_bits(unit[0], reader.between(0, place) + lower + reader.between(reader.position, reader.length))]

    data = encode(options=PLAIN, count=24)
    pts = [number + (number % 8 == 0) - (number % 8 == 1) for number in range(24)]
    assert_read_as_in_order(remade(data, tmp_path / "video.mp4", change, pts))


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
