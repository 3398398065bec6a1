"""H.264 that was cut where a group of pictures is open: what its first pictures say of those that were cut away.

A picture can say that older ones are not referred to any more (ITU-T H.264 7.4.3.3).  Where those were cut away, FFmpeg
refuses the picture, if it is to say at once what is damaged; but not for the last few of them, in whose place it puts
empty ones (7.4.3, gaps in frame numbers).  Taken out of the heads of its slices, these words change nothing else: what
names pictures of the file, and the coded picture itself, stay bit for bit.
"""

from __future__ import annotations

import re

from .nal import Bits, is_cut, join_units, split_heads, split_units
from .parameter_sets import PICTURE_SET, SEQUENCE_SET, Sets, sets_of
from .slices import WHOLE_HEAD, Slice, read_slice

_UNMARK = 1  # memory management operation that names a picture by how far its number lies back
#: How many numbers stand behind an operation, if it is not one.
_NUMBERS = {3: 2, 5: 0}
#: Where a byte has to keep start codes out of a unit (7.3.1).
_EMULATION = re.compile(rb"\0\0(?=[\0-\3])")


def begins_anew(extradata: bytes, packet: bytes) -> bool:
    """Whether a file that begins with this packet says nothing of pictures in front of it, or that is not known."""
    sets = sets_of(extradata).copy()
    heads = _take_in(sets, split_heads("h264", extradata, packet, WHOLE_HEAD))
    first = next((one for head in heads if (one := read_slice(sets, head)) is not None), None)
    return first is None or first.begins_anew


def without_lost_marks(extradata: bytes, packets: list[bytes], count: int) -> bytes | None:
    """The last of the packets, without what it says of the oldest pictures in front of the first one.

    Args:
        extradata: The codec's out-of-band header.
        packets: All packets from the first one of the file on, in decode order.
        count: Of how many.

    Returns:
        None if it says nothing of so many, or that cannot be told.
    """
    if is_cut("h264", extradata, packets[-1]):  # joined anew, it would look whole
        return None
    sets, held = sets_of(extradata).copy(), set()
    for packet in packets[:-1]:
        heads = _take_in(sets, split_heads("h264", extradata, packet, WHOLE_HEAD))
        slices = [one for head in heads if (one := read_slice(sets, head)) is not None]
        held |= {one.number for one in slices if one.is_reference}
    units, changed = [], False
    for unit in _take_in(sets, list(split_units("h264", extradata, packets[-1]))):
        head = read_slice(sets, unit)
        mended = None if head is None else _without_marks(unit, head, held, count)
        units.append(mended or unit)
        changed |= mended is not None
    return join_units("h264", extradata, units) if changed else None


def _take_in(sets: Sets, units: list[bytes]) -> list[bytes]:
    """Units, of which the parameter sets are noted."""
    for unit in units:
        if unit[0] & 31 in (SEQUENCE_SET, PICTURE_SET):
            sets.read(unit)
    return units


def _without_marks(unit: bytes, head: Slice, held: set[int], count: int) -> bytes | None:
    """A slice without operations on the ``count`` oldest pictures that are not ``held``; None if there are fewer."""
    reader = head.reader
    operations: list[str] = []
    lost: list[tuple[int, int]] = []  # how far back the number of a picture lies, and the place of its operation
    try:
        if not head.is_reference or not head.pass_to_marks() or not reader.read(1):
            return None
        start = begin = reader.position
        while operation := reader.read_golomb():
            numbers = [reader.read_golomb() for _ in range(_NUMBERS.get(operation, 1))]
            if operation == _UNMARK and (head.number - numbers[0] - 1) % head.sequence.numbers not in held:
                lost.append((numbers[0], len(operations)))
            operations.append(reader.between(begin, reader.position))
            begin = reader.position
        if len(lost) < count:
            return None
        end = reader.position
        head.pass_rest()
    except EOFError:
        return None
    for _, place in sorted(lost)[-count:]:
        operations[place] = ""
    bits = reader.between(0, start) + "".join(operations) + "1" + reader.between(end, reader.position)
    return unit[:1] + _EMULATION.sub(b"\0\0\3", _before_picture(bits, reader, arithmetic=head.picture.arithmetic))


def _before_picture(bits: str, reader: Bits, *, arithmetic: bool) -> bytes:
    """The bits of a slice's head, with the coded picture behind it that the reader stands on."""
    if arithmetic:  # that begins at a whole byte, with ones in front of it (7.3.4)
        bits += "1" * (-len(bits) % 8)
        bits += reader.between(-(-reader.position // 8) * 8, reader.length)
    else:  # that ends with a one, and zeros up to a whole byte (7.3.2.11)
        bits += reader.between(reader.position, reader.length).rstrip("0")
        bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
