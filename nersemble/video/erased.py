"""Parts of files that are nothing but ones, as flash memory is after it was erased and before a file's bytes arrived.

Codecs of H.264 and HEVC read them as some picture, and seldom complain.  But where ones are the top of what an
arithmetic code can say, they end the slice at the end of the block (ITU-T H.264 9.3.3.2, H.265 9.3.4.3.5), and anywhere
else so many of them are one chance in two to the power of their bits.  Not so where the samples of a block stand in the
file as they are, which may be white, nor in codes of variable length, in which a one can be a whole block.
"""

from __future__ import annotations

from functools import lru_cache

from .nal import Bits, split_units
from .orders import brings_known_sets, hevc_units, read_hevc_sequence
from .packets import PacketIndex, PacketReader
from .parameter_sets import sets_of
from .slices import WHOLE_HEAD, read_slice

#: Bytes of ones that no arithmetic encoder writes; the most in some hundred videos were 8.
RUN = 64
#: More than a block of HEVC has whose samples stand there as they are: three times 32 x 32 of 16 bits.
RAW_RUN = 8192
#: Packets on each side of one with ones at its end that are asked whether they have some too.
NEIGHBOURS = 4
_ONES = b"\xff"
_HEVC_SLICES, _HEVC_SEQUENCE_SET = {*range(10), *range(16, 22)}, 33


class Erased:
    """Tells which packets of a video have parts that were erased.

    Args:
        index: The packets of the video.
        packets: Their bytes.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader) -> None:
        self._index = index
        self._packets = packets

    def is_in(self, number: int, data: bytes) -> bool:
        """Whether a part of packet ``number``, whose bytes are ``data``, is ones alone."""
        if self._index.codec not in ("h264", "hevc") or _ONES * RUN not in data:
            return False
        slices = self._slices(data)
        if not any(_ONES * run in unit for unit, run in slices) or not self._has_known_sets(number):
            return False
        return any(_ONES * run in unit.rstrip(_ONES) for unit, run in slices) or not self._is_custom(number)

    def _slices(self, data: bytes) -> list[tuple[bytes, int]]:
        """The units of a packet that an arithmetic encoder wrote, and how many ones are too many there, in bytes."""
        codec, extradata = self._index.codec, self._index.extradata
        units = split_units(codec, extradata, data)
        if codec == "hevc":
            run = RAW_RUN if _may_have_samples(extradata) else RUN
            return [(unit, run) for unit in units if _is_slice(unit)]
        found = [(unit, read_slice(sets_of(extradata), unit[:WHOLE_HEAD])) for unit in units]
        return [(unit, RUN + head.sequence.block_bytes) for unit, head in found if head and head.picture.arithmetic]

    def _has_known_sets(self, number: int) -> bool:
        """Whether a group of pictures up to a packet brings no parameter sets but those of the out-of-band header."""
        codec, extradata = self._index.codec, self._index.extradata
        group = self._packets.read(self._index.start_for(number), number)
        return all(brings_known_sets(codec, extradata, data) for data in group)

    def _is_custom(self, number: int) -> bool:
        """Whether a packet around ``number`` has ones at the end of its units too."""
        first = max(0, number - NEIGHBOURS)
        around = self._packets.read(first, min(number + NEIGHBOURS, len(self._index.rank) - 1))
        return any(
            unit.endswith(_ONES * RUN)
            for other, data in enumerate(around, first)
            if other != number
            for unit, _ in self._slices(data)
        )


def _is_slice(unit: bytes) -> bool:
    """Whether a unit of HEVC is a slice, of the lowest layer."""
    return unit[0] >> 1 & 63 in _HEVC_SLICES and not unit[0] & 1 and unit[1:2] < b"\x08"


@lru_cache(maxsize=64)
def _may_have_samples(extradata: bytes) -> bool:
    """Whether blocks of HEVC may have their samples as they are, as its sequence sets say; True if that is not told."""
    sets = [unit for unit in hevc_units(extradata) if unit[0] >> 1 & 63 == _HEVC_SEQUENCE_SET]
    try:
        return not sets or any(map(_says_samples, sets))
    except EOFError:
        return True


def _says_samples(unit: bytes) -> bool:
    """Whether a sequence parameter set allows that, or lies behind what is not read here (H.265 7.3.2.2)."""
    reader = Bits(unit[2:])
    layers = reader.read(8) >> 1 & 7
    reader = Bits(unit[2:])
    read_hevc_sequence(reader)
    told = layers + 1 if reader.read(1) else 1
    for _ in range(3 * told + 6):  # of buffers; sizes of blocks
        reader.read_golomb()
    if reader.read(1) and reader.read(1):  # scaling lists
        return True
    reader.read(2)
    return bool(reader.read(1))
