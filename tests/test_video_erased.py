"""Parts of files that are ones alone: errors, and no picture that was made up; but such samples are read."""

from __future__ import annotations

import io
import random
from fractions import Fraction

import _videos
import av
import numpy as np
import pytest
from _videos import decode_all, encode
from test_video_slices import IDR, REFERENCE, Writer, header
from test_video_slices import picture as picture_unit

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder
from nersemble.video.erased import NEIGHBOURS, RAW_RUN, RUN, Erased
from nersemble.video.packets import PacketIndex
from nersemble.video.scan import ScannedPackets

GROUP = 12
KINDS = {
    "hevc": ("libx265", _videos.x265("keyint=12:min-keyint=12:bframes=3:open-gop=0"), "mp4", RUN),
    "h264": ("libx264", _videos.CLOSED, "mp4", RUN + 384),
    "h264 in a transport stream": ("libx264", _videos.CLOSED, "mpegts", RUN + 384),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_erased_part_changes_no_picture(tmp_path, kind):
    codec, options, container, run = KINDS[kind]
    data = encode(codec=codec, options=options, count=2 * GROUP, noise=90, container="mp4")
    path = tmp_path / "video"
    path.write_bytes(data)
    truth = decode_all(path)
    for seed in range(24):
        chance = random.Random(seed)
        with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format=container) as out:
            track = out.add_stream_from_template(source.streams.video[0])
            packets = [packet for packet in source.demux(video=0) if packet.size > run + 200]
            hit = chance.choice(packets)
            damaged = round(hit.pts * hit.time_base * _videos.FPS)
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.size:
                    whole = bytes(packet)
                    at = chance.randrange(100, len(whole) - run) if packet.pts == hit.pts else len(whole)
                    other = av.Packet(whole[:at] + b"\xff" * min(run, len(whole) - at) + whole[at + run :])
                    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
                    other.time_base, other.stream, other.is_keyframe = packet.time_base, track, packet.is_keyframe
                    out.mux(other)
        with VideoDecoder(path) as decoder:
            for timestep in chance.sample(range(len(truth)), len(truth)):
                try:
                    picture = decoder.get_frame_at(timestep)
                except FrameError:
                    assert timestep // GROUP == damaged // GROUP
                    continue
                assert timestep != damaged
                assert np.array_equal(picture, truth[timestep]), (seed, timestep)


# --- what is no damage ------------------------------------------------------------------------------------------------


def erased_in(codec: str, extradata: bytes, packets: list[bytes]) -> list[bool]:
    count = len(packets)
    index = PacketIndex(
        codec, extradata, 8, 8, 0, Fraction(1), np.arange(count), np.arange(count) == 0, np.ones(count, bool)
    )
    erased = Erased(index, ScannedPackets(packets))
    return [erased.is_in(number, packet) for number, packet in enumerate(packets)]


def with_length(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def longer(packet: bytes, ones: int, end: bytes = b"\x80") -> bytes:
    """A packet of one unit with ones, in bytes, behind what it has."""
    return with_length(packet[4:] + b"\xff" * ones + end)


@pytest.mark.parametrize("kind", [IDR, REFERENCE])
def test_white_samples_and_codes_of_variable_length_are_none(kind):
    packet = picture_unit(kind, 0)
    for ones, is_erased in [(384, False), (384 + RUN - 1, False), (384 + RUN, True), (9999, True)]:
        assert erased_in("h264", header(), [longer(packet, ones)]) == [is_erased]
        assert erased_in("h264", header(arithmetic=0), [longer(packet, ones)]) == [False]
        assert erased_in("h264", b"", [longer(packet, ones)]) == [False]
        assert erased_in("vp9", b"", [longer(packet, ones)]) == [False]


def test_fillers_are_none():
    filler = with_length(b"\x0c" + b"\xff" * 9999 + b"\x80")
    assert erased_in("h264", header(), [picture_unit(IDR, 0) + filler]) == [False]
    filler = with_length(b"\x4c\x01" + b"\xff" * 9999 + b"\x80")
    assert erased_in("hevc", sequence_set(), [HEVC_SLICE + filler]) == [False]


def test_ones_that_many_packets_end_in_are_none():
    good, filled = longer(HEVC_SLICE, 0), longer(HEVC_SLICE, RUN, b"")
    assert erased_in("hevc", sequence_set(), [good, filled, good]) == [False, True, False]
    assert erased_in("hevc", sequence_set(), [filled, good, filled]) == [False] * 3
    apart = [good, filled, *[good] * NEIGHBOURS, filled]
    assert sum(erased_in("hevc", sequence_set(), apart)) == 2


HEVC_SLICE = with_length(b"\x26\x01\xaf\x12\x34")


def sequence_set(*, layers: int = 0, samples: int = 0, scaling: str = "0") -> bytes:
    """A configuration record of HEVC with a sequence parameter set."""
    bits = Writer().write(0, 4).write(layers, 3).write(1, 1).write(int("5" * 24, 16), 88 + 8)
    if layers:
        bits.write(0x5555 & 0x3FFF, 16)
    bits.golomb(0, 1, 8, 8).write(0, 1).golomb(0, 0, 4)
    bits.write(1, 1)
    for _ in range(layers + 1):
        bits.golomb(4, 0, 0)
    bits.golomb(0, 1, 0, 1, 2, 2)
    bits.bits += scaling
    bits.write(0b11, 2).write(samples, 1).write(0, 8)
    unit = b"\x42" + bits.unit(1)
    return b"\1" + bytes(20) + b"\xff\1" + b"\x21\0\1" + len(unit).to_bytes(2, "big") + unit


@pytest.mark.parametrize("layers", [0, 1])
def test_samples_of_hevc_are_none_where_they_are_allowed(layers):
    for ones, never, allowed in [
        (RUN - 1, False, False),
        (RUN, True, False),
        (6144, True, False),
        (RAW_RUN, True, True),
    ]:
        packet = longer(HEVC_SLICE, ones)
        assert erased_in("hevc", sequence_set(layers=layers), [packet]) == [never]
        assert erased_in("hevc", sequence_set(layers=layers, scaling="10"), [packet]) == [never]
        for unsure in [{"samples": 1}, {"samples": 1, "scaling": "10"}, {"scaling": "11"}]:
            assert erased_in("hevc", sequence_set(layers=layers, **unsure), [packet]) == [allowed]


def test_nothing_is_told_behind_other_parameter_sets():
    first, second = sequence_set(), sequence_set(samples=1)
    brought = with_length(second[28:])
    assert second[26:28] == len(second[28:]).to_bytes(2, "big")
    packet = longer(HEVC_SLICE, RUN)
    assert erased_in("hevc", first, [brought + HEVC_SLICE, packet]) == [False, False]
    assert erased_in("hevc", first, [with_length(first[28:]) + HEVC_SLICE, packet]) == [False, True]
