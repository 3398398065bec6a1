"""What H.264 says of a picture at the head of its slices: its frame number, and so whether packets are missing.

Frame numbers count the pictures that others are predicted from (ITU-T H.264 7.4.3).  Where one is left out that others
need, a codec fills the gap with an older picture and says nothing.  What cannot be told is taken for whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .nal import Bits, is_configuration, split_heads, split_units

_SLICES, _IDR, _SEQUENCE_SET, _PICTURE_SET = (1, 2, 5), 5, 7, 8
#: Profiles whose sequence parameter sets say more of the picture format (H.264 7.3.2.1.1).
_LONG_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_CHROMA_444 = 3
#: Bytes of a slice in which its frame number lies, and most of its whole head.
SLICE_HEAD, WHOLE_HEAD = 24, 2048
_P, _B = (0, 3), 1
_RESET = 5  # memory management operation that makes frame numbers begin at 0 again


class _Sequence(NamedTuple):
    """A sequence parameter set, as far as slices are read by it."""

    frame_number_bits: int
    gaps_allowed: bool
    order_bits: int | None
    order_steps: bool
    frames_only: bool
    chroma: int


class _Picture(NamedTuple):
    """A picture parameter set, as far as slices are read by it."""

    sequence: int
    fields_apart: int
    references: tuple[int, int]
    weighted: int
    weighted_twice: int
    redundant: int


class _Sets(NamedTuple):
    sequences: dict[int, _Sequence]
    pictures: dict[int, _Picture]

    def read(self, unit: bytes) -> None:
        """Take in a unit, if it is a parameter set; one that cannot be read is unknown."""
        reader, kind = Bits(unit[1:]), unit[0] & 31
        try:
            if kind == _SEQUENCE_SET:
                number, sequence = _read_sequence(reader)
                self.sequences[number] = sequence
            elif kind == _PICTURE_SET:
                number, picture = _read_picture(reader)
                self.pictures[number] = picture
        except (EOFError, _Unread):
            (self.sequences if kind == _SEQUENCE_SET else self.pictures).clear()


class _Unread(Exception):
    """Something that is not read here."""


@lru_cache(maxsize=64)
def _sets_of(extradata: bytes) -> _Sets:
    """The parameter sets of an out-of-band header (ISO/IEC 14496-15 5.3.3.1), or of one with start codes."""
    found = _Sets({}, {})
    if not is_configuration(extradata, 6):
        for unit in split_units("h264", b"", extradata):
            found.read(unit)
        return found
    position = 5
    for mask in (31, 255):
        count = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        for _ in range(count):
            length = int.from_bytes(extradata[position : position + 2], "big")
            unit = extradata[position + 2 : position + 2 + length]
            position += 2 + length
            if unit:
                found.read(unit)
    return found


def frame_number(extradata: bytes, unit: bytes) -> int | None:
    """The frame number in the head of a slice, by the parameter sets of the out-of-band header; None if unknown."""
    if not is_configuration(extradata, 6):  # its parameter sets come with the packets
        return None
    found = _read_number(_sets_of(extradata), Bits(unit[1:SLICE_HEAD]))
    return found[0] if found else None


def _read_number(sets: _Sets, reader: Bits) -> tuple[int, int, _Sequence, _Picture] | None:
    """Frame number, slice type, and the parameter sets of a slice; the reader stands behind the number."""
    try:
        reader.read_golomb()  # first macroblock
        kind = reader.read_golomb() % 5
        picture = sets.pictures[reader.read_golomb()]
        sequence = sets.sequences[picture.sequence]
        return reader.read(sequence.frame_number_bits), kind, sequence, picture
    except (EOFError, KeyError):
        return None


class FrameNumbers:
    """Follows packets of H.264 in decode order, and sees where some are missing that others are predicted from.

    Args:
        extradata: The codec's out-of-band header.
    """

    def __init__(self, extradata: bytes) -> None:
        self._extradata = extradata
        self._sets = _sets_of(extradata)
        self._last: int | None = None  # number of the last picture that others may be predicted from
        self._last_packet = b""

    def misses_before(self, packet: bytes) -> bool:
        """Whether pictures are missing between the packet before, as far as one was, and this one."""
        missing = False
        slices = self._slices(packet)
        for head in slices:
            if head is slices[0] or (len(head) > 1 and head[1] & 0x80):  # a picture begins: macroblock 0
                missing |= self._misses_before(head)
                if head[0] & 0x60:
                    self._last_packet = packet
        return missing

    def lone_field(self, packet: bytes) -> tuple[int, bool] | None:
        """Of a packet that holds one field of a picture, its frame number and whether it is the bottom field."""
        fields = {self._field(head) for head in self._slices(packet)}
        return fields.pop() if len(fields) == 1 else None

    def _field(self, head: bytes) -> tuple[int, bool] | None:
        reader = Bits(head[1:])
        found = _read_number(self._sets, reader)
        try:
            if found is None or found[2].frames_only or not reader.read(1):
                return None
            return found[0], bool(reader.read(1))
        except EOFError:
            return None

    def _slices(self, packet: bytes) -> list[bytes]:
        """The heads of the slices of a packet; its parameter sets are taken in."""
        heads = split_heads("h264", self._extradata, packet, SLICE_HEAD)
        if any(head[0] & 31 in (_SEQUENCE_SET, _PICTURE_SET) for head in heads):
            self._sets = _Sets(dict(self._sets.sequences), dict(self._sets.pictures))
            for unit in split_units("h264", self._extradata, packet):
                self._sets.read(unit)
        if not heads:  # it is cut off
            self._last = None
        return [head for head in heads if head[0] & 31 in _SLICES]

    def _misses_before(self, head: bytes) -> bool:
        found = _read_number(self._sets, Bits(head[1:]))
        if found is None:
            self._last = None
            return False
        number, _, sequence, _ = found
        size = 1 << sequence.frame_number_bits
        goes_on = (
            self._last is None
            or head[0] & 31 == _IDR
            or sequence.gaps_allowed
            or number in (self._last, (self._last + 1) % size)
            or (number < 2 and self._was_reset())
        )
        if head[0] & 0x60:
            self._last = number
        elif not goes_on:
            self._last = (number - 1) % size
        return not goes_on

    def _was_reset(self) -> bool:
        """Whether the last picture that others may be predicted from made frame numbers begin anew."""
        heads = split_heads("h264", self._extradata, self._last_packet, WHOLE_HEAD)
        return any(_resets(self._sets, head) for head in heads if head[0] & 31 in _SLICES and head[0] & 0x60)


def _resets(sets: _Sets, unit: bytes) -> bool:
    """Whether a slice has the operation that resets frame numbers (H.264 7.3.3); True if that cannot be told."""
    reader = Bits(unit[1:])
    found = _read_number(sets, reader)
    if found is None:
        return True
    _, kind, sequence, picture = found
    try:
        return _reaches_reset(reader, unit[0] & 31 == _IDR, kind, sequence, picture)
    except EOFError:
        return True


def _reaches_reset(reader: Bits, idr: bool, kind: int, sequence: _Sequence, picture: _Picture) -> bool:
    if idr:
        return False
    field = not sequence.frames_only and reader.read(1)
    if field:
        reader.read(1)
    if sequence.order_bits is not None:
        reader.read(sequence.order_bits)
    if sequence.order_bits is not None or sequence.order_steps:
        for _ in range((sequence.order_steps) + (picture.fields_apart and not field)):
            reader.read_signed_golomb()
    if picture.redundant:
        reader.read_golomb()
    if kind == _B:
        reader.read(1)
    lists = (kind == _B or kind in _P) + (kind == _B)
    references = list(picture.references)
    if lists and reader.read(1):
        references[:lists] = [reader.read_golomb() + 1 for _ in range(lists)]
    for _ in range(lists):
        if reader.read(1):
            while reader.read_golomb() != 3:
                reader.read_golomb()
    if (picture.weighted and kind in _P) or (picture.weighted_twice == 1 and kind == _B):
        _pass_weights(reader, sum(references[:lists]), sequence.chroma)
    if reader.read(1):
        while operation := reader.read_golomb():
            if operation == _RESET:
                return True
            for _ in range(2 if operation == 3 else 1):
                reader.read_golomb()
    return False


def _pass_weights(reader: Bits, references: int, chroma: int) -> None:
    for _ in range(1 + bool(chroma)):
        reader.read_golomb()
    for _ in range(references):
        for count in (2, 4)[: 1 + bool(chroma)]:
            if reader.read(1):
                for _ in range(count):
                    reader.read_signed_golomb()


def _read_sequence(reader: Bits) -> tuple[int, _Sequence]:
    profile = reader.read(8)
    reader.read(16)  # constraints and level
    number, chroma = reader.read_golomb(), 1
    if profile in _LONG_PROFILES:
        chroma = reader.read_golomb()
        if chroma == _CHROMA_444 and reader.read(1):
            raise _Unread  # planes apart: a slice says whose it is before its frame number
        reader.read_golomb(), reader.read_golomb(), reader.read(1)
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
    return number, _Sequence(frame_number_bits, gaps_allowed, order_bits, order_steps, bool(reader.read(1)), chroma)


def _read_picture(reader: Bits) -> tuple[int, _Picture]:
    number, sequence = reader.read_golomb(), reader.read_golomb()
    reader.read(1)  # entropy coding
    fields_apart = reader.read(1)
    if reader.read_golomb():
        raise _Unread  # slice groups
    references = (reader.read_golomb() + 1, reader.read_golomb() + 1)
    weighted, weighted_twice = reader.read(1), reader.read(2)
    for _ in range(3):
        reader.read_signed_golomb()  # quantizers
    reader.read(2)  # deblocking, constrained prediction
    return number, _Picture(sequence, fields_apart, references, weighted, weighted_twice, reader.read(1))


def _pass_scaling_list(reader: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.read_signed_golomb()) % 256
        last = following or last
