"""What a file that was cut off can no longer tell: which pictures were to come in front of its last ones.

Where containers have no table of all packets, B-pictures behind a cut leave nothing but a gap in the presentation
times, and those behind the gap would be counted as earlier timesteps than theirs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import FrameError
from .orders import PictureOrders
from .packets import MAX_REORDER, PacketIndex, PacketReader

_SEGMENT = b"\x18\x53\x80\x67"
#: How much wider than a usual step a gap is.
WIDE = 1.5
#: From picture to picture; H.264 counts fields.
_LARGEST_STEP = {"h264": 2, "hevc": 1}
NO_TIMES = (
    "The file was cut off, and it is an AVI, which has no presentation times, so that its frames cannot be counted. "
    "Make or fetch it again."
)


def without_doubtful_end(
    index: PacketIndex,
    packets: PacketReader,
    depth: int,
    durations: Sequence[int],
    format_name: str,
    data: memoryview,
) -> PacketIndex:
    """The index without the last pictures, if the file may be cut off and there is a gap in front of them.

    A gap in the times alone may be a pause: where pictures are counted, and no count is missing, it is one.

    Args:
        index: Of all packets that are there.
        packets: Their bytes.
        depth: How many pictures the codec holds back to bring them into order, as far as it is known.
        durations: Of those of which they are known, in the unit of the presentation times.
        format_name: FFmpeg's name of the container.
        data: The whole file.

    Raises:
        FrameError: If it is a container without presentation times that was cut off, and there are B-pictures.
    """
    is_cut = _is_cut(format_name, data)
    if is_cut and format_name == "avi" and index.reorder_depth:
        raise FrameError(NO_TIMES)
    times = np.sort(index.pts[index.shown])
    steps = np.diff(times)
    # Packets behind a cut can belong in front of so many pictures.
    last = MAX_REORDER if is_cut else max(depth, index.reorder_depth)
    if is_cut is False or not last or not len(steps):
        return index
    first = max(len(steps) - last, 0)
    usual = float(np.median(durations)) if len(durations) else 0.0
    if not is_cut or not usual:  # what may be whole may also have steps of many kinds
        usual = max(usual, float(steps[:first].max(initial=0)) or float(steps.min()))
    wide = np.flatnonzero(steps[first:] > WIDE * usual)
    if not len(wide):
        return index
    behind = index.pts > times[first + wide[0]]
    # Further in front in the file than what may be held back, a late time is a damaged one.
    if behind[:-MAX_REORDER].any() or _is_counted_through(index, packets):
        return index
    return replace(index, shown=index.shown & ~behind)


def _is_counted_through(index: PacketIndex, packets: PacketReader) -> bool:
    """Whether the last pictures have all counts up to the highest one (H.264 and HEVC)."""
    final = len(index.pts) - 1
    start = index.start_for(max(final - MAX_REORDER, 0))
    orders = PictureOrders(index.codec, index.extradata)
    groups: list[list[int]] = [[]]
    for data in packets.read(start, final):
        place = orders.place(data)
        if place is None:
            return False
        if place.anew:
            groups.append([])
        groups[-1].append(place.order)
    steps = [np.diff(np.sort(np.array(counts, np.int64))) for counts in groups]
    usual = int(np.gcd.reduce(np.concatenate(steps))) if sum(map(len, steps)) else 0
    # In front of a lone picture that begins anew, none is missing.
    return 1 <= usual <= _LARGEST_STEP[index.codec] and bool((steps[-1] == usual).all())


def _is_cut(format_name: str, data: memoryview) -> bool | None:
    """Whether the container was to be longer than it is; None of one that does not say."""
    if format_name.startswith("mov"):
        return _boxes_are_cut(data)
    if format_name.startswith("matroska"):
        return _segment_is_cut(data)
    if format_name == "avi":
        return _chunks_are_cut(data)
    return None


def _boxes_are_cut(data: memoryview) -> bool:
    """ISO/IEC 14496-12, 4.2: each box at the top of an mp4 begins with its length."""
    at = 0
    while at < len(data):
        if len(data) - at < 16:
            return len(data) - at < 8 or struct.unpack_from(">I", data, at)[0] != len(data) - at
        size, _, large = struct.unpack_from(">I4sQ", data, at)
        if size == 0:  # to the end of the file, wherever that is
            return False
        at += max(large if size == 1 else size, 8)
    return at > len(data)


def _chunks_are_cut(data: memoryview) -> bool:
    """RIFF: each chunk at the top of an AVI begins with a name and its length, and ends at an even byte."""
    at = 0
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        at += 8 + size
        if at > len(data):
            return True
        at += size % 2
    return False


def _segment_is_cut(data: memoryview) -> bool | None:
    """RFC 8794, 4 and 6: a length has as many bytes as the first of them has leading zeros, and one."""
    at = bytes(data[:4096]).find(_SEGMENT) + len(_SEGMENT)
    if at < len(_SEGMENT) or at + 8 > len(data):
        return None
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length], "big") - (1 << 7 * length)
    if size == (1 << 7 * length) - 1:  # not known when it was written
        return None
    return at + length + size > len(data)
