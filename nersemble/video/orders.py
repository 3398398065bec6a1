"""The place in presentation order that H.264 and HEVC give each picture themselves: the picture order count.

It counts from an IDR picture on (ITU-T H.264 8.2.1, H.265 8.3.1), by its lower bits, which are at the head of slices.
Containers say the same by times; where these disagree, one of both is damaged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .nal import Bits, is_configuration, split_heads, split_units
from .parameter_sets import PICTURE_SET, SEQUENCE_SET, sets_of, units_of
from .slices import SLICE_HEAD, SLICES, read_slice

_HEVC_SLICES, _HEVC_IRAP, _HEVC_IDR, _HEVC_BROKEN = range(32), range(16, 24), (19, 20), (16, 17, 18)
#: Below this, pictures of even types are of no sub-layer's references, and these lead a keyframe.
_HEVC_REFERENCES, _HEVC_LEADING = 16, range(6, 10)
_HEVC_SEQUENCE_SET, _HEVC_PICTURE_SET = _HEVC_SETS = 33, 34
_H264_SETS = (SEQUENCE_SET, PICTURE_SET)
#: More than any count has.
_MOST_BITS = 64


class Place(NamedTuple):
    """Where a picture comes.

    Attributes:
        order: Its count, from the last picture that began anew.
        anew: Whether it is an IDR picture, or a broken link, which begin anew.
    """

    order: int
    anew: bool


class PictureOrders:
    """Follows packets in decode order.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: Its out-of-band header.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec, self._extradata = codec, extradata
        self._last: int | None = None  # of the last picture that others are counted from
        self._since = 0  # pictures since one that began anew
        self._known = True

    def place(self, packet: bytes) -> Place | None:
        """The place of a packet's picture; None where it cannot be told, and of all behind one that brings other sets.

        Fields, and counts that are worked out in another way, are not told.
        """
        if not self._known or self._codec not in ("h264", "hevc"):
            return None
        heads = split_heads(self._codec, self._extradata, packet, SLICE_HEAD)
        found = None
        if brings_known_sets(self._codec, self._extradata, packet):
            found = self._h264(heads) if self._codec == "h264" else self._hevc(heads)
        if found is None:
            self._known = False
            return None
        lower, bits, anew, counted_from = found
        size, last = 1 << bits, 0 if anew or self._last is None else self._last
        order = last - last % size + lower
        if not anew or self._codec == "h264":  # the upper bits are those that lie nearest
            order -= size if order - last > size // 2 else 0
            order += size if last - order >= size // 2 else 0
        if counted_from or self._last is None:
            self._last = order
        return Place(order, anew)

    def _h264(self, heads: list[bytes]) -> tuple[int, int, bool, bool] | None:
        """Lower bits of the count, how many they are, and whether the picture begins anew and is counted from."""
        head = next((head for head in heads if head[0] & 31 in SLICES), None)
        found = None if head is None else read_slice(sets_of(self._extradata), head)
        if found is not None and found.sequence.in_order:
            self._since = 0 if found.begins_anew else self._since + 1
            return None if found.is_field() else (self._since, _MOST_BITS, found.begins_anew, True)
        lower = None if found is None else found.order()
        if found is None or lower is None:
            return None
        return lower, found.sequence.order_bits or 0, found.begins_anew, found.is_reference

    def _hevc(self, heads: list[bytes]) -> tuple[int, int, bool, bool] | None:
        """The same of HEVC."""
        sets = _hevc_sets(self._extradata)
        kinds = list(map(_hevc_kind, heads))
        place = next((number for number, kind in enumerate(kinds) if kind in _HEVC_SLICES), None)
        if place is None:
            return None
        kind, reader = kinds[place], Bits(heads[place][2:])
        try:
            if not reader.read(1):  # of a later slice
                return None
            if kind in _HEVC_IRAP:
                reader.read(1)
            extra, has_output_flag, planes_apart, bits = sets[reader.read_golomb()]
            if kind in _HEVC_IDR:
                return 0, bits, True, True
            reader.read(extra)
            reader.read_golomb()  # slice type
            reader.read(has_output_flag + 2 * planes_apart)
            lowest = heads[place][1] & 7 == 1
            unreferenced = kind < _HEVC_REFERENCES and kind % 2 == 0
            is_counted_from = lowest and not unreferenced and kind not in _HEVC_LEADING
            return reader.read(bits), bits, kind in _HEVC_BROKEN, is_counted_from
        except (EOFError, KeyError, IndexError):
            return None


def brings_known_sets(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether the parameter sets in a packet, if it has any, are those of the out-of-band header."""
    kinds, kind_of = (_HEVC_SETS, _hevc_kind) if codec == "hevc" else (_H264_SETS, _h264_kind)
    if not any(kind_of(head) in kinds for head in split_heads(codec, extradata, packet, 1)):
        return True
    known = _known_units(codec, extradata)
    units = split_units(codec, extradata, packet)
    return all(unit.rstrip(b"\0") in known for unit in units if kind_of(unit) in kinds)


def _h264_kind(unit: bytes) -> int:
    return unit[0] & 31


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


@lru_cache(maxsize=64)
def _known_units(codec: str, extradata: bytes) -> frozenset[bytes]:
    """The units of an out-of-band header, without zeros that may follow them."""
    units = units_of(extradata) if codec == "h264" else hevc_units(extradata)
    return frozenset(unit.rstrip(b"\0") for unit in units)


@lru_cache(maxsize=64)
def _hevc_sets(extradata: bytes) -> dict[int, tuple[int, int, int, int]]:
    """By number of a picture parameter set: extra bits of slice heads, whether they have a flag for output and the
    number of a plane, and the bits of the lower part of the count (H.265 7.3.2.2, 7.3.2.3).
    """
    sequences: dict[int, tuple[int, int]] = {}
    pictures: dict[int, tuple[int, int, int]] = {}
    for unit in hevc_units(extradata):
        reader = Bits(unit[2:])
        try:
            if unit[0] >> 1 & 63 == _HEVC_SEQUENCE_SET:
                number, *told = read_hevc_sequence(reader)
                sequences[number] = (told[0], told[1])
            elif unit[0] >> 1 & 63 == _HEVC_PICTURE_SET:
                number, sequence = reader.read_golomb(), reader.read_golomb()
                reader.read(1)
                has_output_flag = reader.read(1)
                pictures[number] = (sequence, reader.read(3), has_output_flag)
        except EOFError:
            continue
    return {
        number: (extra, has_output_flag, *sequences[sequence])
        for number, (sequence, extra, has_output_flag) in pictures.items()
        if sequence in sequences
    }


def hevc_units(extradata: bytes) -> list[bytes]:
    """The units of an out-of-band header (ISO/IEC 14496-15 8.3.3.1), or of one with start codes."""
    if not is_configuration(extradata, 22):
        return [unit for unit in split_units("hevc", b"", extradata) if len(unit) > 1]
    found, at = [], 23
    for _ in range(extradata[22]):
        count, at = int.from_bytes(extradata[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    return [unit for unit in found if len(unit) > 1]


def read_hevc_sequence(reader: Bits) -> tuple[int, int, int]:
    """Number of a sequence parameter set, whether planes are apart, and the bits of the lower part of the count."""
    reader.read(4)
    layers = reader.read(3)
    reader.read(1 + 88 + 8)
    present = [(reader.read(1), reader.read(1)) for _ in range(layers)]
    reader.read(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        reader.read(88 * profile + 8 * level)
    number, chroma = reader.read_golomb(), reader.read_golomb()
    planes_apart = reader.read(1) if chroma == 3 else 0
    reader.read_golomb(), reader.read_golomb()  # width and height
    if reader.read(1):
        for _ in range(4):
            reader.read_golomb()
    reader.read_golomb(), reader.read_golomb()  # bits of a sample
    return number, planes_apart, reader.read_golomb() + 4
