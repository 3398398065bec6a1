"""NAL units, of which packets of H.264 and HEVC consist, and the bits in them (ITU-T H.264 7.3, H.265 7.3, 9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}
#: With the zero that may stand in front of it.
_START_CODE = re.compile(rb"\x00?\x00\x00\x01")


def split_units(codec: str, extradata: bytes, packet: bytes) -> Iterator[bytes]:
    """The NAL units of a packet, headers included; what is cut off at its end comes as far as it goes."""
    size = _length_size(codec, extradata)
    if size:
        position = 0
        while position + size < len(packet):
            length = int.from_bytes(packet[position : position + size], "big")
            position += size
            if length:
                yield packet[position : position + length]
            position += length
        return
    for piece in _START_CODE.split(packet)[1:]:
        if piece:
            yield piece


def split_heads(codec: str, extradata: bytes, packet: bytes, length: int) -> list[bytes]:
    """The first bytes of each NAL unit; nothing of a packet whose units do not fill it."""
    size = _length_size(codec, extradata)
    if not size:
        return [unit[:length] for unit in split_units(codec, extradata, packet)]
    found, position = [], 0
    while position + size < len(packet):
        start = position + size
        position = start + int.from_bytes(packet[position:start], "big")
        if position > start:
            found.append(packet[start : min(position, start + length)])
    return found if position == len(packet) else []


def is_cut(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether the last NAL unit of a packet says that it is longer than what there is of it."""
    size, position = _length_size(codec, extradata), 0
    while size and position + size < len(packet):
        position += size + int.from_bytes(packet[position : position + size], "big")
    return position > len(packet)


def join_units(codec: str, extradata: bytes, units: list[bytes]) -> bytes:
    """A packet of NAL units."""
    size = _length_size(codec, extradata)
    return b"".join((len(unit).to_bytes(size, "big") if size else b"\0\0\0\1") + unit for unit in units)


def messages_in(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each message in a unit of them (SEI), whose own header was taken off, as far as they go.

    Each is a number of bytes 255 and one more, and so is the length of the content between them (H.264 7.3.2.3.1, H.265
    7.3.5).
    """
    data = unit.replace(b"\0\0\3", b"\0\0")
    at, end = 0, len(data) - data.endswith(b"\x80")
    while at < end:
        numbers = []
        for _ in range(2):
            start = at
            while data[at : at + 1] == b"\xff":
                at += 1
            numbers.append(255 * (at - start) + (data[at] if at < len(data) else 0))
            at += 1
        kind, size = numbers
        yield kind, data[at : at + size]
        at += size


def is_configuration(extradata: bytes, at: int) -> bool:
    """Whether the out-of-band header is a configuration record (ISO/IEC 14496-15) that goes on to byte ``at``."""
    return len(extradata) > at and extradata[0] == 1


def _length_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length in front of each unit; 0 for units that follow start codes."""
    at = _LENGTH_SIZE_AT[codec]
    return (extradata[at] & 3) + 1 if is_configuration(extradata, at) else 0


class Bits:
    """Reads the bits of a NAL unit one after the other, without the bytes that keep start codes out of it.

    Raises:
        EOFError: By its methods, if the unit ends before.
    """

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = self.length = 8 * len(data)

    @property
    def position(self) -> int:
        """Bits that were read."""
        return self.length - self._left

    def between(self, start: int, stop: int) -> str:
        """Bits ``start`` to ``stop`` as text."""
        count = stop - start
        return format(self._value >> (self.length - stop) & ((1 << count) - 1), f"0{count}b") if count else ""

    def read(self, count: int) -> int:
        """An unsigned number of ``count`` bits."""
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def read_signed_golomb(self) -> int:
        """A signed Exp-Golomb code."""
        code = self.read_golomb()
        return (code + 1) // 2 if code % 2 else -code // 2
