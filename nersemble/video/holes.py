"""Holes that were filled with zeros, as in a file that was given its length before its bytes arrived.

Codecs of H.264 and HEVC read such zeros as parts of pictures that stay as they were, and do not complain.  But encoders
keep three zeros in a row out of their units, as well as 0, 0, 1 and 0, 0, 2, and no unit ends in zero (H.264 7.4.1,
H.265 7.4.2).  Between the units of a byte stream zeros may stand, though: some encoders fill up with them, and where
such a stream is copied into another container, they stand at the end of units.  There they tell of a hole only in a
file that has none elsewhere.
"""

from __future__ import annotations

import re

from .nal import split_units
from .packets import PacketIndex, PacketReader

#: Packets on each side of one with zeros at its end that are asked whether they have some too.
NEIGHBOURS = 4
#: The part of them that makes zeros the custom: where lengths are filled up to multiples of 4, three in four have some.
CUSTOM = 1 / 4
#: Messages, delimiters, fillers, and what is reserved or left to others.
_BESIDE_PICTURES = {"h264": {6, 9, 12, *range(24, 32)}, "hevc": {35, 38, 39, 40, *range(41, 64)}}
_NEVER_INSIDE = re.compile(rb"\x00\x00[\x00-\x02]")


class Holes:
    """Tells which packets of a video have holes.

    Args:
        index: The packets of the video.
        packets: Their bytes.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader) -> None:
        self._index = index
        self._packets = packets
        self._zeros_are_custom: bool | None = None  # behind units; None as long as there were none

    def is_in(self, number: int, data: bytes) -> bool:
        """Whether a part of packet ``number``, whose bytes are ``data``, was filled with zeros."""
        if self._index.codec not in ("h264", "hevc"):
            return False
        units = self._units(data)
        if any(_NEVER_INSIDE.search(unit.rstrip(b"\0")) for unit in units if not self._is_beside_pictures(unit)):
            return True
        # A lone zero may be left of a longer start code.
        return any(unit.endswith(b"\0\0") for unit in units) and not self._has_custom(number)

    def _is_beside_pictures(self, unit: bytes) -> bool:
        """Whether a unit is of a kind that no picture is made of, and no hole goes on behind it."""
        kind = unit[0] & 31 if self._index.codec == "h264" else unit[0] >> 1 & 63
        return kind in _BESIDE_PICTURES[self._index.codec] and not unit.endswith(b"\0")

    def _has_custom(self, number: int) -> bool:
        """Whether packets around ``number`` end in zeros too."""
        if self._zeros_are_custom is None:
            first = max(0, number - NEIGHBOURS)
            around = self._packets.read(first, min(number + NEIGHBOURS, len(self._index.rank) - 1))
            found = [
                any(unit.endswith(b"\0") for unit in self._units(data))
                for other, data in enumerate(around, first)
                if other != number
            ]
            self._zeros_are_custom = any(found) and sum(found) >= CUSTOM * len(found)
        return self._zeros_are_custom

    def _units(self, data: bytes) -> list[bytes]:
        return list(split_units(self._index.codec, self._index.extradata, data))
