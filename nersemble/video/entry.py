"""Whether decoding can begin at a packet and give exact pictures.

Containers flag more packets as keyframes than are such: those where an intra refresh begins, for example, from which
pictures become whole only bit by bit.  The packet's own NAL units tell (ITU-T H.264 7.4.1.2 and D.2.8, H.265 7.4.2.2).
"""

from __future__ import annotations

from .nal import Bits, messages_in, split_units

_H264_SLICE, _H264_IDR, _H264_SEI = 1, 5, 6
_RECOVERY_POINT = 6
_HEVC_SLICES, _HEVC_IRAP = range(32), range(16, 24)


def is_clean_start(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether pictures from ``packet`` on, in presentation order too, need nothing before it.

    Codecs other than H.264 and HEVC are taken at their container's word.
    """
    if codec == "h264":
        for unit in split_units(codec, extradata, packet):
            kind = unit[0] & 31
            if kind == _H264_SEI and _recovery_frames(unit) == 0:
                return True
            if _H264_SLICE <= kind <= _H264_IDR:
                return kind == _H264_IDR
        return False
    if codec == "hevc":
        for unit in split_units(codec, extradata, packet):
            kind = unit[0] >> 1 & 63
            if kind in _HEVC_SLICES:
                return kind in _HEVC_IRAP
        return False
    return True


def _recovery_frames(unit: bytes) -> int | None:
    """The frame count of a recovery point message in an SEI unit, None if it holds none."""
    found = next((content for kind, content in messages_in(unit[1:]) if kind == _RECOVERY_POINT), None)
    return None if found is None else _first_code(found)


def _first_code(data: bytes) -> int | None:
    try:
        return Bits(data).read_golomb()
    except EOFError:
        return None
