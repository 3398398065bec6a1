"""Parts of files that were filled with zeros: errors, and no picture that is made of its neighbours."""

from __future__ import annotations

import contextlib
import io
import random
import time
from fractions import Fraction
from pathlib import Path

import _videos
import av
import numpy as np
import pytest
from _videos import decode_all, encode

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.holes import Holes
from nersemble.video.packets import PacketIndex
from nersemble.video.scan import ScannedPackets

CODECS = ["libx264", "libx265"]
#: A configuration record that says that lengths of units have 4 bytes.
RECORD = b"\1" + b"\xff" * 30


def options(codec: str) -> dict[str, str]:
    return _videos.CLOSED if codec == "libx264" else _videos.x265("keyint=12:bframes=3")


def written(folder: Path, data: bytes, name: str = "video.mp4") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read_holed(path: Path, truth: list[np.ndarray], chance: random.Random) -> int:
    """How many pictures of a file with a hole can be read, all of which are the right ones."""
    read = 0
    with VideoDecoder(path) as decoder:
        for timestep in chance.sample(range(len(truth)), len(truth)):
            with contextlib.suppress(FrameError):
                assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep]), timestep
                read += 1
    return read


@pytest.mark.parametrize("codec", CODECS)
def test_a_hole_changes_no_picture(tmp_path, codec):
    """Codecs read zeros as parts of pictures that stay as they were: the likeliest damage, and the quietest."""
    data = encode(codec=codec, options=options(codec), count=30, noise=20)
    truth = decode_all(written(tmp_path, data))
    start, stop = _videos.frames_span(data)
    with av.open(io.BytesIO(data)) as container:
        last_bytes = {packet.pos + packet.size - 1 for packet in container.demux(video=0) if packet.size}
    read = 0
    for seed in range(60):
        chance = random.Random(seed)
        at = chance.randrange(start + 64, stop - 64)
        at -= at in last_bytes  # a lone zero at the end can be part of a start code
        read += read_holed(written(tmp_path, data[:at] + bytes(64) + data[at + 64 :]), truth, chance)
    assert read > 0.4 * 60 * 30


@pytest.mark.parametrize("codec", CODECS)
def test_a_hole_in_a_transport_stream_changes_no_picture(tmp_path, codec):
    """Its units stand between start codes, where zeros may stand too."""
    data = encode(codec=codec, options=options(codec), count=30, noise=20, container="mpegts")
    truth = decode_all(written(tmp_path, data, "whole.ts"))
    # Packets of 188 bytes in the middle of a picture: no header but the transport stream's own four bytes.
    inside = [
        at
        for at in range(0, len(data), 188)
        if data[at + 1] & 0x5F == 1 and data[at + 2] == 0 and not data[at + 3] & 0x20
    ]
    assert len(inside) > 5
    read = 0
    for seed in range(60):
        chance = random.Random(seed)
        at = chance.choice(inside)
        first = at + chance.randrange(4, 160)
        stop = chance.choice([first + 20, at + 188])
        holed = written(tmp_path, data[:first] + bytes(stop - first) + data[stop:], f"{seed}.ts")
        read += read_holed(holed, truth, chance)
    assert read > 0.4 * 60 * 30


def repacked(path: Path, target: Path, behind: bytes) -> Path:
    """The video with something behind each of its units, as where a byte stream with zeros between them was copied."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            data, position, units = bytes(packet), 0, []
            while position < len(data):
                stop = position + 4 + int.from_bytes(data[position : position + 4], "big")
                units.append(data[position + 4 : stop] + behind)
                position = stop
            if units:
                longer = av.Packet(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units))
                longer.pts, longer.dts, longer.duration = packet.pts, packet.dts, packet.duration
                longer.time_base, longer.is_keyframe, longer.stream = packet.time_base, packet.is_keyframe, stream
                out.mux(longer)
    return target


@pytest.mark.parametrize("zeros", [1, 3, 100_000])
@pytest.mark.parametrize("codec", CODECS)
def test_zeros_behind_all_units_are_none_of_its_business(tmp_path, codec, zeros):
    plain = written(tmp_path, encode(codec=codec, options=options(codec), count=30, noise=20))
    truth = decode_all(plain)
    filled = repacked(plain, tmp_path / "filled.mp4", bytes(zeros))
    began = time.monotonic()
    assert read_holed(filled, truth, random.Random(0)) == len(truth)
    assert time.monotonic() - began < 60  # a search that goes back over them takes hours
    if zeros == 3:  # but those inside of units are
        data = filled.read_bytes()
        with av.open(str(filled)) as container:
            packet = max(container.demux(video=0), key=lambda packet: packet.size)
            at = packet.pos + packet.size * 3 // 4
        holed = written(tmp_path, data[:at] + bytes(8) + data[at + 8 :])
        assert read_holed(holed, truth, random.Random(0)) < len(truth)


def holes_in(codec: str, extradata: bytes, packets: list[bytes]) -> list[bool]:
    count = len(packets)
    index = PacketIndex(
        codec, extradata, 8, 8, 0, Fraction(1), np.arange(count), np.ones(count, bool), np.ones(count, bool)
    )
    holes = Holes(index, ScannedPackets(packets))
    return [holes.is_in(number, packet) for number, packet in enumerate(packets)]


def with_lengths(*units: str) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in map(bytes.fromhex, units))


GOOD, FILLED = "41 9a 80", "41 9a 80 00 00 00"


@pytest.mark.parametrize(
    ("unit", "has_hole"),
    [
        ("41 00 00 03 00 00 03 01 80", False),
        ("41 00 00 04 80 00", False),  # what some write who cut at start codes of three bytes
        ("41 9a 00 00 00 80", True),
        ("41 9a 00 00 01 80", True),
        ("41 9a 00 00 02 80", True),
        ("41 9a 80 00 00", True),
        (FILLED, True),
    ],
)
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_zeros_tell_of_a_hole_where_no_encoder_puts_them(codec, unit, has_hole):
    alone = with_lengths(unit)
    for packet in (alone, with_lengths(GOOD, unit), with_lengths(unit, GOOD), alone + bytes(4) + with_lengths(GOOD)):
        others = [with_lengths(GOOD)] * 6
        assert holes_in(codec, RECORD, [*others, packet, *others]) == [False] * 6 + [has_hole] + [False] * 6
    assert holes_in("vp9", b"", [alone] * 3) == [False] * 3


def test_zeros_that_many_packets_end_in_tell_nothing():
    good, filled = with_lengths(GOOD), with_lengths(FILLED)
    assert holes_in("h264", RECORD, [filled] * 3) == [False] * 3
    assert holes_in("h264", RECORD, [good, filled] * 4) == [False] * 8
    assert holes_in("h264", RECORD, [good, good, good, filled, good, good, good, good, good, good, filled]) == [
        number in (3, 10) for number in range(11)
    ]
    assert holes_in("h264", RECORD, [filled]) == [True]  # nothing speaks for it


def test_between_start_codes_zeros_may_lead_to_the_next():
    good = bytes.fromhex("00000001 09 f0 00000001 41 9a 80 000001 01 9e 80")
    for hole, has_hole in [("", False), ("00", False), ("0000", True), ("00000000 80", True), ("000002 80", True)]:
        packet = good + bytes.fromhex(hole)
        assert holes_in("h264", b"", [good, good, packet, good, good]) == [False, False, has_hole, False, False]
    filled = good + bytes(9)
    assert holes_in("h264", b"", [filled] * 5) == [False] * 5
