"""Whether a packet can be left out, because no other picture is predicted from its picture.

Its own NAL units say so (``nal_ref_idc``, ITU-T H.264 7.4.1; sub-layer non-reference pictures, H.265 7.4.2.2).  A bit
that flipped there would make codecs fill what is missing with a neighbouring picture, so in H.264 the packet behind has
to agree: a picture that others refer to moves the frame number on.  What is not certain is not left out.
"""

from __future__ import annotations

from functools import lru_cache

from .nal import Bits, is_configuration, split_heads

_H264_SLICE, _H264_IDR = 1, 5
#: Units that a packet may hold beside slices and still be left out: SEI, delimiters and filler, but no parameter sets.
_H264_BESIDE, _HEVC_BESIDE = {6, 9, 12}, {35, 38, 39, 40}
#: Profiles whose sequence parameter sets say more of the picture format (H.264 7.3.2.1.1).
_H264_LONG = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_CHROMA_444 = 3
#: Slice types of HEVC below this refer to nothing in their own temporal layer if they are even.
_HEVC_REFERENCE_TYPES = 16
#: Unit types of parameter sets, and where a unit's first byte says its type.
_PARAMETER_SETS = {"h264": ({7, 8, 13, 15}, 0, 31), "hevc": ({32, 33, 34}, 1, 63)}
#: Bytes of a slice in which its frame number lies.
_SLICE_HEAD = 24


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
    bits = _frame_number_bits(extradata)
    numbers = {_frame_number(unit, bits) for unit in (slices[0], *behind[:1])}
    return bool(behind) and bits is not None and len(numbers) == 1 and None not in numbers


def _slices_h264(extradata: bytes, packet: bytes) -> list[bytes]:
    heads = split_heads("h264", extradata, packet, _SLICE_HEAD)
    return [head for head in heads if _H264_SLICE <= head[0] & 31 <= _H264_IDR]


def _frame_number(unit: bytes, bits: int | None) -> int | None:
    """The frame number in the head of a slice (H.264 7.3.3)."""
    try:
        reader = Bits(unit[1:])
        for _ in ("first macroblock", "slice type", "picture parameter set"):
            reader.read_golomb()
        return reader.read(bits or 0)
    except EOFError:
        return None


@lru_cache(maxsize=64)
def _frame_number_bits(extradata: bytes) -> int | None:
    """Bits of a frame number, from the first sequence parameter set of an avcC record (H.264 7.3.2.1.1)."""
    if not is_configuration(extradata, 8) or not extradata[5] & 31:
        return None
    length = int.from_bytes(extradata[6:8], "big")
    try:
        return _read_frame_number_bits(Bits(extradata[9 : 8 + length]))
    except EOFError:
        return None


def _read_frame_number_bits(reader: Bits) -> int | None:
    profile = reader.read(8)
    reader.read(16)  # constraints and level
    reader.read_golomb()  # its own number
    if profile in _H264_LONG:
        chroma = reader.read_golomb()
        if chroma == _CHROMA_444 and reader.read(1):
            return None  # planes apart: a slice says whose it is before its frame number
        reader.read_golomb(), reader.read_golomb(), reader.read(1)
        if reader.read(1):
            for number in range(8 if chroma != _CHROMA_444 else 12):
                if reader.read(1):
                    _pass_scaling_list(reader, 16 if number < 6 else 64)
    return reader.read_golomb() + 4


def _pass_scaling_list(reader: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.read_signed_golomb()) % 256
        last = following or last
