"""The checksums of FFV1.  Where one fails, FFmpeg shows a part of an older picture, and does not complain.

Every slice ends in its size, a byte, and 32 bits that make its remainder the one that it began with (RFC 9043 4.9; the
generator is that of zip files, and the highest bit of a byte comes first).  Versions below 3 have none, and later ones
need not have them.  Whether a file does is seen by its packets: one that has none does not hold a slice with a right
checksum by chance.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .packets import PacketIndex, PacketReader

_FOOTER = 8  # bytes: the size of the slice in front of it, a byte, the checksum
#: ``zlib`` takes the lowest bit of a byte first, and inverts the remainder in front and behind.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_INVERTED = 0xFFFFFFFF
#: Remainders to begin with, the highest bit last: of version 3, and FFmpeg's of version 4.
_BEGINNINGS = (0, 0x5E31029E)


class Checksums:
    """Tells which packets of a video have checksums that fail.

    Args:
        index: The packets of the video.
        packets: Their bytes.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader) -> None:
        self._index = index
        self._packets = packets
        self._has_some: bool | None = None  # the file; None as long as that was not asked

    def fail(self, data: bytes) -> bool:
        """Whether the bytes of a packet are others than were written."""
        if self._index.codec != "ffv1" or not self._index.extradata:
            return False
        is_whole, some_right = _look_at(data)
        if is_whole or self._has_some is False:
            return False
        self._has_some = self._has_some or some_right or any(map(_has_right_one, self._all()))
        return self._has_some

    def _all(self) -> Iterator[bytes]:
        for number in range(len(self._index.rank)):
            yield from self._packets.read(number, number)


def _has_right_one(packet: bytes) -> bool:
    return _look_at(packet)[1]


def _look_at(packet: bytes) -> tuple[bool, bool]:
    """Whether a packet consists of slices whose checksums are right, and whether one of them is.

    A size that is wrong hides the slices in front of it.
    """
    slices, end = [], len(packet)
    while end > 0:
        size = int.from_bytes(packet[max(0, end - _FOOTER) : max(0, end - _FOOTER + 3)], "big")
        start = end - _FOOTER - size
        if start < 0 or size == 0:
            break
        slices.append(packet[start:end])
        end = start
    right = [any(_leaves(begin, data) for begin in _BEGINNINGS) for data in slices]
    return end == 0 and bool(right) and all(right), any(right)


def _leaves(begin: int, data: bytes) -> bool:
    """Whether the remainder of some bytes is the one that they began with."""
    return zlib.crc32(data.translate(_MIRRORED), begin ^ _INVERTED) == begin ^ _INVERTED
