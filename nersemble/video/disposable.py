"""Whether a packet can be left out, because no other picture is predicted from its picture.

Its own NAL units say so (``nal_ref_idc``, ITU-T H.264 7.4.1; sub-layer non-reference pictures, H.265 7.4.2.2).  A bit
that flipped there would make codecs fill what is missing with a neighbouring picture, so in H.264 the packet behind has
to agree: a picture that others refer to moves the frame number on.  What is not certain is not left out.
"""

from __future__ import annotations

from .nal import is_configuration, split_heads
from .slices import SLICE_HEAD, frame_number

_H264_SLICE, _H264_IDR = 1, 5
#: Units that a packet may hold beside slices and still be left out: SEI, delimiters and filler, but no parameter sets.
_H264_BESIDE, _HEVC_BESIDE = {6, 9, 12}, {35, 38, 39, 40}
#: Slice types of HEVC below this refer to nothing in their own temporal layer if they are even.
_HEVC_REFERENCE_TYPES = 16
#: Unit types of parameter sets, and where a unit's first byte says its type.
_PARAMETER_SETS = {"h264": ({7, 8, 13, 15}, 0, 31), "hevc": ({32, 33, 34}, 1, 63)}


def holds_parameter_sets(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether a packet brings parameter sets, which a codec then has in place of those it was opened with."""
    if codec not in _PARAMETER_SETS:
        return False
    kinds, shift, mask = _PARAMETER_SETS[codec]
    return any(head[0] >> shift & mask in kinds for head in split_heads(codec, extradata, packet, 1))


def is_disposable(codec: str, extradata: bytes, packet: bytes, following: bytes) -> bool:
    """Whether no picture is predicted from the one in ``packet``.

    Args:
        codec: FFmpeg's name of the codec; False for others than H.264 and HEVC.
        extradata: Its out-of-band header.
        packet: The packet.
        following: The packet behind it, in decode order.
    """
    if codec == "h264":
        return _is_disposable_h264(extradata, packet, following)
    if codec == "hevc" and is_configuration(extradata, 21):
        highest = (extradata[21] >> 3 & 7) - 1  # temporal layers above the picture's may refer to it
        heads = split_heads(codec, extradata, packet, 2)
        slices = [head for head in heads if head[0] >> 1 & 63 not in _HEVC_BESIDE]
        return bool(slices) and all(_is_unreferenced_hevc(head, highest) for head in slices)
    return False


def _is_unreferenced_hevc(head: bytes, highest: int) -> bool:
    kind = head[0] >> 1 & 63
    return len(head) > 1 and kind < _HEVC_REFERENCE_TYPES and kind % 2 == 0 and (head[1] & 7) - 1 == highest


def _is_disposable_h264(extradata: bytes, packet: bytes, following: bytes) -> bool:
    slices = _slices_h264(extradata, packet)
    beside = {head[0] & 31 for head in split_heads("h264", extradata, packet, 1)} - {head[0] & 31 for head in slices}
    if not slices or beside - _H264_BESIDE or any(unit[0] >> 5 & 3 for unit in slices):
        return False
    behind = _slices_h264(extradata, following)
    if behind and behind[0][0] & 31 == _H264_IDR:  # nothing behind it refers to anything before
        return True
    numbers = {frame_number(extradata, unit) for unit in (slices[0], *behind[:1])}
    return bool(behind) and len(numbers) == 1 and None not in numbers


def _slices_h264(extradata: bytes, packet: bytes) -> list[bytes]:
    heads = split_heads("h264", extradata, packet, SLICE_HEAD)
    return [head for head in heads if _H264_SLICE <= head[0] & 31 <= _H264_IDR]
