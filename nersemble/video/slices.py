"""What H.264 says of a picture at the head of its slices: its frame number, and so whether packets are missing.

Frame numbers count the pictures that others are predicted from (ITU-T H.264 7.4.3).  Where one is left out that others
need, a codec fills the gap with an older picture and says nothing.  What cannot be told is taken for whole.
"""

from __future__ import annotations

from typing import NamedTuple

from .nal import Bits, is_configuration, split_heads, split_units
from .parameter_sets import PICTURE_SET, SEQUENCE_SET, Picture, Sequence, Sets, sets_of

SLICES, IDR = (1, 2, 5), 5
#: Bytes of a slice in which its frame number lies, and most of its whole head.
SLICE_HEAD, WHOLE_HEAD = 24, 2048
_P, _B = (0, 3), 1
_LAST_USUAL = 2  # slice types behind it, of switching pictures, say more
_RESET = 5  # memory management operation that makes frame numbers begin at 0 again


def frame_number(extradata: bytes, unit: bytes) -> int | None:
    """The frame number in the head of a slice, by the parameter sets of the out-of-band header; None if unknown."""
    if not is_configuration(extradata, 6):  # its parameter sets come with the packets
        return None
    found = _read_number(sets_of(extradata), Bits(unit[1:SLICE_HEAD]))
    return found[0] if found else None


def _read_number(sets: Sets, reader: Bits) -> tuple[int, int, Sequence, Picture] | None:
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

    Attributes:
        begins_anew: Whether the last packet is an IDR picture.
    """

    def __init__(self, extradata: bytes) -> None:
        self._extradata = extradata
        self._sets = sets_of(extradata)
        self.begins_anew = False
        self._last: int | None = None  # number of the last picture that others may be predicted from
        self._last_packet = b""

    def misses_before(self, packet: bytes) -> bool:
        """Whether pictures are missing between the packet before, as far as one was, and this one.

        So it is where a packet stands twice: no two frames that others refer to, one behind the other, have the same
        number (7.4.3), let alone all the same bytes, so that one of both took the place of another picture.
        """
        slices = self._slices(packet)
        self.begins_anew = bool(slices) and slices[0][0] & 31 == IDR
        missing = bool(slices) and not self.begins_anew and packet == self._last_packet
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
        if any(head[0] & 31 in (SEQUENCE_SET, PICTURE_SET) for head in heads):
            self._sets = self._sets.copy()
            for unit in split_units("h264", self._extradata, packet):
                self._sets.read(unit)
        if not heads:  # it is cut off
            self._last = None
        return [head for head in heads if head[0] & 31 in SLICES]

    def _misses_before(self, head: bytes) -> bool:
        found = _read_number(self._sets, Bits(head[1:]))
        if found is None:
            self._last = None
            return False
        number, _, sequence, _ = found
        size = 1 << sequence.frame_number_bits
        goes_on = (
            self._last is None
            or head[0] & 31 == IDR
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
        return any(_resets(self._sets, head) for head in heads if head[0] & 31 in SLICES and head[0] & 0x60)


def resets_counts(extradata: bytes, packet: bytes) -> bool:
    """Whether frame numbers and picture order counts begin anew behind a packet's picture; True if that is not told."""
    heads = split_heads("h264", extradata, packet, WHOLE_HEAD)
    slices = [head for head in heads if head[0] & 31 in SLICES]
    return not slices or any(_resets(sets_of(extradata), head) for head in slices if head[0] & 0x60)


def _resets(sets: Sets, unit: bytes) -> bool:
    """Whether a slice has the operation that resets frame numbers (H.264 7.3.3); True if that cannot be told."""
    reader = Bits(unit[1:])
    found = _read_number(sets, reader)
    if found is None:
        return True
    _, kind, sequence, picture = found
    try:
        return _reaches_reset(reader, unit[0] & 31 == IDR, kind, sequence, picture)
    except EOFError:
        return True


def _reaches_reset(reader: Bits, idr: bool, kind: int, sequence: Sequence, picture: Picture) -> bool:
    if idr:
        return False
    _pass_to_marks(reader, kind, sequence, picture)
    if reader.read(1):
        while operation := reader.read_golomb():
            if operation == _RESET:
                return True
            for _ in range(2 if operation == 3 else 1):
                reader.read_golomb()
    return False


def _pass_to_marks(reader: Bits, kind: int, sequence: Sequence, picture: Picture) -> bool:
    """Read on from behind the frame number of a slice that is none of an IDR picture; whether it is of a field."""
    field = bool(not sequence.frames_only and reader.read(1))
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
    return field


def _pass_weights(reader: Bits, references: int, chroma: int) -> None:
    for _ in range(1 + bool(chroma)):
        reader.read_golomb()
    for _ in range(references):
        for count in (2, 4)[: 1 + bool(chroma)]:
            if reader.read(1):
                for _ in range(count):
                    reader.read_signed_golomb()


class Slice(NamedTuple):
    """The head of a slice; the reader stands behind the frame number."""

    kind: int
    is_reference: bool
    number: int
    type: int
    sequence: Sequence
    picture: Picture
    reader: Bits

    @property
    def begins_anew(self) -> bool:
        """Whether it is of an IDR picture."""
        return self.kind == IDR

    def is_field(self) -> bool:
        """Read on, and say whether it is of a field of a picture; also if that cannot be told."""
        try:
            return bool(not self.sequence.frames_only and self.reader.read(1))
        except EOFError:
            return True

    def order(self) -> int | None:
        """Read on to the lower bits of the picture order count; None of a field, or where there are none."""
        try:
            if self.sequence.order_bits is None or self.is_field():
                return None
            if self.begins_anew:
                self.reader.read_golomb()
            return self.reader.read(self.sequence.order_bits)
        except EOFError:
            return None

    def pass_to_marks(self) -> bool:
        """Read on up to what it says of older pictures (H.264 7.3.3.3); False if that is not done here.

        Raises:
            EOFError: If the slice ends before.
        """
        return not self.begins_anew and not _pass_to_marks(self.reader, self.type, self.sequence, self.picture)

    def pass_rest(self) -> None:
        """Read on from behind that to the coded picture.

        Raises:
            EOFError: If the slice ends before.
        """
        if self.picture.arithmetic and (self.type in _P or self.type == _B):
            self.reader.read_golomb()
        self.reader.read_signed_golomb()
        if self.picture.deblocking and self.reader.read_golomb() != 1:
            self.reader.read_signed_golomb(), self.reader.read_signed_golomb()


def read_slice(sets: Sets, unit: bytes) -> Slice | None:
    """The head of a slice; None if it is none, or not known."""
    if unit[0] & 31 not in SLICES:
        return None
    reader = Bits(unit[1:])
    found = _read_number(sets, reader)
    if found is None or found[1] > _LAST_USUAL:
        return None
    number, kind, sequence, picture = found
    return Slice(unit[0] & 31, bool(unit[0] & 0x60), number, kind, sequence, picture, reader)
