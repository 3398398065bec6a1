"""Checksums that a file has of its own pictures are heeded."""

from __future__ import annotations

import io
import random

import av
import numpy as np
import pytest
from _videos import decode_all, encode, read

KEYFRAMES = 6
WITH = {
    "slices": {"level": "3", "slices": "4"},
    "run lengths": {"level": "3", "coder": "0", "slices": "4"},
    "version 4": {"level": "4", "strict": "experimental"},
}
WITHOUT = {"version 1": {"level": "1"}, "not asked for": {"level": "3", "slices": "4", "slicecrc": "0"}}


def film(options: dict[str, str]) -> bytes:
    return encode(
        codec="ffv1", options={"g": str(KEYFRAMES), **options}, container="matroska", count=3 * KEYFRAMES, noise=9
    )


def packets_in(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("kind", WITH)
def test_a_wrong_checksum_is_an_error_until_the_next_keyframe(tmp_path, kind):
    """FFmpeg shows a part of the picture before in such a slice's place."""
    data = film(WITH[kind])
    path = tmp_path / "video.mkv"
    path.write_bytes(data)
    truth, packets = decode_all(path), packets_in(data)
    for seed in range(24):
        chance = random.Random(seed)
        damaged = chance.randrange(len(packets))
        packet, start = packets[damaged], data.index(packets[damaged])
        length = min(len(packet), (1, 16, 600, 10**6)[seed % 4])
        at = start + chance.randrange(len(packet) - length + 1)
        other = bytes([data[at] ^ 1 << chance.randrange(8)]) if length == 1 else bytes(length)
        path.write_bytes(data[:at] + other + data[at + length :])
        lost = range(damaged, damaged - damaged % KEYFRAMES + KEYFRAMES)
        for timestep, picture in enumerate(read(path)):
            assert (picture is None) == (timestep in lost), (seed, timestep)
            assert picture is None or np.array_equal(picture, truth[timestep])


def test_a_lone_picture_of_several_slices_needs_no_other_to_tell(tmp_path):
    """The slices that are whole say that there are checksums."""
    data = encode(codec="ffv1", options={"level": "3", "slices": "4"}, container="matroska", count=1, noise=9)
    (packet,) = packets_in(data)
    start, path = data.index(packet), tmp_path / "video.mkv"
    for seed in range(24):
        at = start + random.Random(seed).randrange(len(packet))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert read(path) == [None], seed


@pytest.mark.parametrize("kind", [*WITH, *WITHOUT])
def test_files_are_read_whether_they_have_checksums(tmp_path, kind):
    path = tmp_path / "video.mkv"
    path.write_bytes(film((WITH | WITHOUT)[kind]))
    assert np.array_equal(read(path), decode_all(path))


def test_zeros_are_no_checksum(tmp_path):
    """Nothing but zeros has the remainder of a slice that is right."""
    data = film(WITHOUT["not asked for"])
    last = packets_in(data)[-1]
    path = tmp_path / "video.mkv"
    path.write_bytes(data.replace(last, bytes(len(last))))
    assert not any(picture is None for picture in read(path)[:-1])
