"""Parameter sets of H.264, as far as the heads of slices are read by them (ITU-T H.264 7.3.2.1 and 7.3.2.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .nal import Bits, is_configuration, split_units

SEQUENCE_SET, PICTURE_SET = 7, 8
#: Profiles whose sequence parameter sets say more of the picture format (7.3.2.1.1).
_LONG_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_CHROMA_444 = 3
#: Samples of a macroblock: of grey pictures, 4:2:0, 4:2:2, 4:4:4.
_BLOCK_SAMPLES = (256, 384, 512, 768)
#: The type of picture order count by which no picture is shown before one that was decoded before it.
_IN_ORDER = 2


class Sequence(NamedTuple):
    """A sequence parameter set, as far as slices are read by it.

    ``in_order``: pictures are shown in the order in which they are decoded, as their count of type 2 says (8.2.1.3).
    """

    frame_number_bits: int
    gaps_allowed: bool
    in_order: bool
    order_bits: int | None
    order_steps: bool
    frames_only: bool
    chroma: int
    sample_bits: int

    @property
    def numbers(self) -> int:
        """How many frame numbers there are."""
        return 1 << self.frame_number_bits

    @property
    def block_bytes(self) -> int:
        """Bytes of a macroblock whose samples stand in the file as they are."""
        return _BLOCK_SAMPLES[self.chroma] * self.sample_bits // 8


class Picture(NamedTuple):
    """A picture parameter set, as far as slices are read by it."""

    sequence: int
    arithmetic: bool
    fields_apart: int
    references: tuple[int, int]
    weighted: int
    weighted_twice: int
    deblocking: bool
    redundant: int


class Sets(NamedTuple):
    """Parameter sets by their numbers."""

    sequences: dict[int, Sequence]
    pictures: dict[int, Picture]

    def copy(self) -> Sets:
        """One that can be read into without a change of this one."""
        return Sets(dict(self.sequences), dict(self.pictures))

    def read(self, unit: bytes) -> None:
        """Take in a unit, if it is a parameter set; one that cannot be read is unknown."""
        reader, kind = Bits(unit[1:]), unit[0] & 31
        try:
            if kind == SEQUENCE_SET:
                number, sequence = _read_sequence(reader)
                self.sequences[number] = sequence
            elif kind == PICTURE_SET:
                number, picture = _read_picture(reader)
                self.pictures[number] = picture
        except (EOFError, _Unread):
            (self.sequences if kind == SEQUENCE_SET else self.pictures).clear()


class _Unread(Exception):
    """Something that is not read here."""


@lru_cache(maxsize=64)
def sets_of(extradata: bytes) -> Sets:
    """The parameter sets of an out-of-band header."""
    found = Sets({}, {})
    for unit in units_of(extradata):
        found.read(unit)
    return found


@lru_cache(maxsize=64)
def units_of(extradata: bytes) -> tuple[bytes, ...]:
    """The units of an out-of-band header (ISO/IEC 14496-15 5.3.3.1), or of one with start codes."""
    if not is_configuration(extradata, 6):
        return tuple(split_units("h264", b"", extradata))
    found, position = [], 5
    for mask in (31, 255):
        count = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        for _ in range(count):
            length = int.from_bytes(extradata[position : position + 2], "big")
            unit = extradata[position + 2 : position + 2 + length]
            position += 2 + length
            if unit:
                found.append(unit)
    return tuple(found)


def _read_sequence(reader: Bits) -> tuple[int, Sequence]:
    profile = reader.read(8)
    reader.read(16)  # constraints and level
    number, chroma, sample_bits = reader.read_golomb(), 1, 8
    if profile in _LONG_PROFILES:
        chroma = reader.read_golomb()
        if chroma > _CHROMA_444 or (chroma == _CHROMA_444 and reader.read(1)):
            raise _Unread  # planes apart: a slice says whose it is before its frame number
        sample_bits += max(reader.read_golomb(), reader.read_golomb())
        reader.read(1)
        if reader.read(1):
            for index in range(8 if chroma != _CHROMA_444 else 12):
                if reader.read(1):
                    _pass_scaling_list(reader, 16 if index < 6 else 64)
    frame_number_bits = reader.read_golomb() + 4
    order, order_bits, order_steps = reader.read_golomb(), None, False
    if order == 0:
        order_bits = reader.read_golomb() + 4
    elif order == 1:
        order_steps = not reader.read(1)
        reader.read_signed_golomb(), reader.read_signed_golomb()
        for _ in range(reader.read_golomb()):
            reader.read_signed_golomb()
    reader.read_golomb()  # most references
    gaps_allowed = bool(reader.read(1))
    reader.read_golomb(), reader.read_golomb()  # width and height
    frames_only = bool(reader.read(1))
    return number, Sequence(
        frame_number_bits, gaps_allowed, order == _IN_ORDER, order_bits, order_steps, frames_only, chroma, sample_bits
    )


def _read_picture(reader: Bits) -> tuple[int, Picture]:
    number, sequence = reader.read_golomb(), reader.read_golomb()
    arithmetic = bool(reader.read(1))
    fields_apart = reader.read(1)
    if reader.read_golomb():
        raise _Unread  # slice groups
    references = (reader.read_golomb() + 1, reader.read_golomb() + 1)
    weighted, weighted_twice = reader.read(1), reader.read(2)
    for _ in range(3):
        reader.read_signed_golomb()  # quantizers
    deblocking = bool(reader.read(1))
    reader.read(1)  # constrained prediction
    redundant = reader.read(1)
    return number, Picture(
        sequence, arithmetic, fields_apart, references, weighted, weighted_twice, deblocking, redundant
    )


def _pass_scaling_list(reader: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.read_signed_golomb()) % 256
        last = following or last
