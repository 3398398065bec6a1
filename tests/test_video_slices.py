"""Frame numbers tell of lost packets, and of nothing else."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from _videos import CLOSED, decode_all, encode, number_in, picture_of, x264
from test_video import RemoteBytes

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.slices import FrameNumbers, frame_number

IDR, REFERENCE, OTHER = 0x65, 0x61, 0x01


class Writer:
    """Bits of a NAL unit."""

    def __init__(self) -> None:
        self.bits = ""

    def write(self, value: int, count: int) -> Writer:
        self.bits += format(value, f"0{count}b")
        return self

    def golomb(self, *values: int) -> Writer:
        for value in values:
            self.write(value + 1, 2 * (value + 1).bit_length() - 1)
        return self

    def unit(self, head: int) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        unit = bytes([head]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
        for last in range(4):
            unit = unit.replace(bytes([0, 0, last]), bytes([0, 0, 3, last]))
        return unit


def parameter_sets(*, gaps: int = 0, fields: bool = False, arithmetic: int = 1) -> list[bytes]:
    """Of pictures of 96 x 64: frame numbers of 4 bits, display order in 6, weighted prediction."""
    sequence = Writer().write(77, 8).write(0, 8).write(30, 8).golomb(0, 0, 0, 2, 4)
    sequence.write(gaps, 1).golomb(5, 1 if fields else 3).write(0b001 if fields else 0b11, 3 if fields else 2).write(
        0, 2
    )
    picture = Writer().golomb(0, 0).write(arithmetic, 1).write(0, 1).golomb(0, 2, 0).write(1, 1).write(0, 2)
    picture.golomb(0, 0, 0).write(0, 3)
    return [sequence.unit(0x67), picture.unit(0x68)]


def header(**more: Any) -> bytes:
    """An avcC record."""
    first, second = (len(unit).to_bytes(2, "big") + unit for unit in parameter_sets(**more))
    return bytes([1, 77, 0, 30, 0xFF, 0xE1]) + first + bytes([1]) + second


def picture(head: int, number: int, *, reset: bool = False, field: int | None = None, block: int = 0) -> bytes:
    """A unit of a P picture, or an IDR one, as a packet holds it."""
    slice_ = Writer().golomb(block, 7 if head == IDR else 5, 0).write(number, 4)
    if field is not None:
        slice_.write(1, 1).write(field, 1)
    if head == IDR:
        slice_.golomb(0)
    slice_.write(0, 6)
    if head == IDR:
        slice_.write(0, 2)
    else:
        slice_.write(1, 1).golomb(1)  # two references
        slice_.write(1, 1).golomb(0, 0, 3)  # in another order
        slice_.golomb(5, 5).write(0b1, 1).golomb(2, 2).write(0b000, 3)  # one of them with a weight
        if head != OTHER:
            slice_.write(int(reset), 1)
            if reset:
                slice_.golomb(1, 0, 3, 0, 0, 5, 0)
    slice_.write(0x5A5A, 16)
    unit = slice_.unit(head)
    return len(unit).to_bytes(4, "big") + unit


def lost_before(packets: list[bytes], extradata: bytes) -> list[int]:
    numbers = FrameNumbers(extradata)
    return [place for place, packet in enumerate(packets) if numbers.misses_before(packet)]


WHOLE = {
    "referred to": [picture(REFERENCE, n % 16) for n in range(40)],
    "not referred to": [
        picture(kind, n % 16) for n in range(1, 40) for kind in ((OTHER, OTHER, REFERENCE) if n % 3 else (REFERENCE,))
    ],
    "new beginning": [picture(IDR, 0), picture(REFERENCE, 1), picture(REFERENCE, 2), picture(IDR, 0)],
    "reset": [picture(REFERENCE, 7, reset=True), picture(OTHER, 1), picture(REFERENCE, 1), picture(REFERENCE, 2)],
    "reset to 0": [picture(REFERENCE, 7, reset=True), picture(REFERENCE, 0), picture(REFERENCE, 1)],
    "slices": [b"".join(picture(REFERENCE, n, block=block) for block in (0, 9, 40)) for n in range(9)],
    "no slices": [picture(REFERENCE, 3), b"\0\0\0\x02\x09\xf0", picture(REFERENCE, 4)],
    "unreadable": [picture(REFERENCE, 3), picture(REFERENCE, 4)[:-1], picture(REFERENCE, 5)],
    "starting anywhere": [picture(REFERENCE, 9), picture(OTHER, 10), picture(REFERENCE, 10)],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_missing_where_numbers_go_on(kind):
    assert lost_before(WHOLE[kind], header()) == []


@pytest.mark.parametrize("together", [True, False])
def test_nothing_is_missing_between_fields(together):
    pairs = [[picture(REFERENCE, n % 16, field=field) for field in (0, 1)] for n in range(20)]
    packets = [b"".join(pair) for pair in pairs] if together else [field for pair in pairs for field in pair]
    assert lost_before(packets, header(fields=True)) == []
    reset = [picture(REFERENCE, 7, field=0), picture(REFERENCE, 7, field=1, reset=True), picture(REFERENCE, 1, field=0)]
    assert lost_before(reset, header(fields=True)) == []


def test_a_lost_picture_that_others_are_predicted_from_is_missed():
    for lost in range(1, 39):
        packets = [picture(REFERENCE, n % 16) for n in range(40) if n != lost]
        assert lost_before(packets, header()) == [lost]
    followed = [picture(REFERENCE, 3), picture(OTHER, 5), picture(OTHER, 5), picture(REFERENCE, 5)]
    assert lost_before(followed, header()) == [1]
    assert lost_before([picture(REFERENCE, 7), picture(REFERENCE, 1)], header()) == [1]
    pair = [picture(REFERENCE, 7, field=0), picture(REFERENCE, 7, field=1), picture(REFERENCE, 9, field=0)]
    assert lost_before(pair, header(fields=True)) == [2]


def test_where_gaps_are_allowed_or_the_header_is_unknown_nothing_is_told():
    gap = [picture(REFERENCE, 3), picture(REFERENCE, 9)]
    assert lost_before(gap, header()) == [1]
    assert lost_before(gap, header(gaps=1)) == []
    assert lost_before(gap, b"") == []


def test_parameter_sets_among_the_packets_count():
    record = header()
    length = int.from_bytes(record[6:8], "big")
    sets = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (record[8 : 8 + length], record[8 + length + 3 :]))
    empty = bytes([1, 77, 0, 30, 0xFF, 0xE0, 0])
    packets = [sets + picture(IDR, 0), picture(REFERENCE, 1), picture(REFERENCE, 3)]
    assert lost_before(packets, empty) == [2]
    assert lost_before(packets[1:], empty) == []
    assert frame_number(record, packets[2][4:]) == 3
    assert frame_number(empty, packets[2][4:]) is None


def field_of(number: int, bottom: int) -> bytes:
    """A unit of one field of a numbered picture, its samples as they are."""
    head = IDR if number == 0 and not bottom else REFERENCE
    slice_ = Writer().golomb(0, 7, 0).write(number % 16, 4).write(1, 1).write(bottom, 1)
    if head == IDR:
        slice_.golomb(0)
    slice_.write((2 * number + bottom) % 64, 6).write(0, 2 if head == IDR else 1).golomb(0)
    luma = picture_of(number)[bottom::2, :, 0]
    for y in range(0, 32, 16):
        for x in range(0, 96, 16):
            slice_.golomb(25)
            slice_.bits += "0" * (-len(slice_.bits) % 8)
            block = luma[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128
            slice_.bits += "".join(format(value, "08b") for value in block)
    return slice_.unit(head)


def in_fields(folder: Path, count: int, lone: int | None = None) -> Path:
    """A transport stream that gives every field a packet; of picture ``lone`` there is the top field alone."""
    begin = b"\0\0\0\1"
    sets = b"".join(begin + unit for unit in parameter_sets(fields=True, arithmetic=0))
    fields = [(n, bottom) for n in range(count) for bottom in (0, 1) if (n, bottom) != (lone, 1)]
    packets = [(sets if n == 0 and not bottom else b"") + begin + field_of(n, bottom) for n, bottom in fields]
    path = folder / "fields.ts"
    with av.open(io.BytesIO(b"".join(packets)), format="h264") as raw, av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream_from_template(raw.streams.video[0])
        for (n, bottom), data in zip(fields, packets, strict=True):
            packet = av.Packet(begin + b"\x09\xf0" + data)
            packet.stream, packet.time_base = stream, Fraction(1, 50)
            packet.pts = packet.dts = 2 * n + bottom
            packet.is_keyframe = n == 0
            out.mux(packet)
    return path


def test_two_fields_with_packets_of_their_own_are_one_picture(tmp_path):
    path = in_fields(tmp_path, 20)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 40
    truth = decode_all(path)
    assert [number_in(picture) for picture in truth] == list(range(20))
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 20
        for timestep in [7, 3, *range(20), 19, 0]:
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("remote", [False, True])
def test_samples_of_one_field_are_joined_too(tmp_path, container, remote):
    """As they are where a transport stream is copied into another container."""
    stream, path = in_fields(tmp_path, 20), tmp_path / f"fields.{container}"
    with av.open(str(stream)) as source, av.open(str(path), "w") as out:
        track = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    truth = decode_all(path)
    assert [number_in(picture) for picture in truth] == list(range(20))
    with VideoDecoder(RemoteBytes(path.read_bytes()) if remote else path) as decoder:
        assert len(decoder) == 20
        for timestep in [7, 3, 19, 0]:
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("lone", [0, 5, 11])
def test_a_field_without_a_partner_is_refused(tmp_path, lone):
    """A pass in order may or may not show it, and counts accordingly."""
    with pytest.raises(FrameError, match=f"picture {lone} has one of its two alone"):
        VideoDecoder(in_fields(tmp_path, 12, lone=lone))


KINDS = {"closed": CLOSED, "no B-pictures": x264("keyint=12:min-keyint=12:bframes=0")}


def remuxed(data: bytes, path: Path, moved: dict[int, int], keyframes: set[int] | None = None) -> Path:
    """The video with the bytes of some packets in the place of others, and keyframes as said."""
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w") as out:
        track = out.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            other = av.Packet(bytes(packets[moved.get(number, number)]))
            other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
            other.time_base, other.stream = packet.time_base, track
            other.is_keyframe = packet.is_keyframe if keyframes is None else number in keyframes
            out.mux(other)
    return path


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_keyframe_in_the_place_of_another_packet_is_not_its_picture(tmp_path, kind, remote):
    data = encode(options=KINDS[kind])
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    truth = decode_all(path)
    for place, keyframe in [(1, 12), (10, 24), (16, 12), (22, 0), (33, 12), (40, 12)]:
        stray = remuxed(data, tmp_path / "stray.mp4", {place: keyframe}).read_bytes()
        with VideoDecoder(RemoteBytes(stray) if remote else io.BytesIO(stray)) as decoder:
            for timestep in [place, *range(len(truth)), place]:
                try:
                    picture = decoder.get_frame_at(timestep)
                except FrameError:
                    assert place - place % 12 <= timestep < place - place % 12 + 12
                    continue
                assert np.array_equal(picture, truth[timestep]), (place, timestep)


def test_the_error_of_a_misplaced_keyframe_says_what_to_do(tmp_path):
    path = remuxed(encode(options=KINDS["no B-pictures"]), tmp_path / "video.mp4", {16: 12})
    with VideoDecoder(path) as decoder, pytest.raises(FrameError, match=r"16 .*another picture\. .*fetch it again"):
        decoder.get_frame_at(16)


@pytest.mark.parametrize("kind", KINDS)
def test_a_keyframe_that_is_not_called_one_is_read(tmp_path, kind):
    data = encode(options=KINDS[kind])
    path = remuxed(data, tmp_path / "video.mp4", {}, {0, 24})
    with VideoDecoder(path) as decoder:
        assert np.flatnonzero(decoder.index.keyframe).tolist() == [0, 24]
        for timestep, picture in [*enumerate(decode_all(path))][::-1]:
            assert np.array_equal(decoder.get_frame_at(timestep), picture)
