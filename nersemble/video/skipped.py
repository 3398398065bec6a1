"""Videos that were cut where a group of pictures is open: the pictures at the beginning that no decoder shows.

Those that lead the first keyframe may be predicted from what was cut away.  Decoders leave them out (ITU-T H.265 8.3.3,
NoRaslOutputFlag; H.264 D.2.8, where FFmpeg shows nothing in front of the recovery point; MPEG-1, -2 and -4, where
FFmpeg decodes no B-picture before it has two others, unless the group is said to be closed), and so does a count of
what players show.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .fields import Packet
from .nal import split_heads
from .orders import PictureOrders
from .packets import MAX_REORDER, PacketIndex, PacketReader
from .slices import IDR, SLICES

#: Types of NAL units of HEVC: slices of any kind, keyframes whose leading pictures may lack theirs, and those.
_HEVC_SLICES, _HEVC_OPEN, _HEVC_SKIPPED = range(32), {16, 17, 18, 21}, {8, 9}
#: Codecs whose B-pictures need two others, and what starts the header of a group of pictures of the first two.
_MPEG, _GROUP = ("mpeg1video", "mpeg2video", "mpeg4"), b"\0\0\1\xb8"


def without_skipped(index: PacketIndex, packets: PacketReader) -> PacketIndex:
    """The index with those pictures hidden; packets are read only if something leads the first one.

    Raises:
        FrameError: If nothing is left.
    """
    if index.codec not in ("h264", "hevc", *_MPEG):
        return index
    leading = (1 + np.flatnonzero(index.rank[1 : MAX_REORDER + 1] < index.rank[0])).tolist()
    if not leading:
        return index
    if index.codec in _MPEG:
        return index if _is_closed(*packets.read(0, 0)) else _hide(index, leading)
    kinds = [_kind(index, data) for data in packets.read(0, leading[-1])]
    if index.codec == "hevc":
        skipped = {number for number in leading if kinds[number : number + 1] and kinds[number] in _HEVC_SKIPPED}
        open_start = kinds[:1] and kinds[0] in _HEVC_OPEN
    else:
        skipped, open_start = set(leading), kinds[:1] and kinds[0] not in (IDR, None)
    return _hide(index, sorted(skipped)) if open_start and skipped else index


def with_times(codec: str, extradata: bytes, packets: list[Packet]) -> list[Packet]:
    """The packets, with times for those that lead the first one, where these alone have none.

    Matroska has no times below 0, which those pictures have in a file that was cut so that its keyframe comes at 0.
    They are put in front of it as they are counted (H.264, HEVC); whatever else has no time keeps none.
    """
    missing = [number for number, packet in enumerate(packets[: MAX_REORDER + 1]) if packet.pts is None]
    behind = range(1, len(missing) + 1)
    start = packets[0].pts if packets else None
    if start is None or not missing or missing != list(behind):
        return packets
    orders = PictureOrders(codec, extradata)
    first, *places = [orders.place(packet.data) for packet in packets[: len(missing) + 1]]
    counts = [place.order for place in places if place is not None and not place.anew]
    if first is None or len(set(counts)) < len(missing) or any(count >= first.order for count in counts):
        return packets
    times = {
        number: start + sorted(counts).index(count) - len(counts) for number, count in zip(behind, counts, strict=True)
    }
    return [packet._replace(pts=times.get(number, packet.pts)) for number, packet in enumerate(packets)]


def _hide(index: PacketIndex, packets: list[int]) -> PacketIndex:
    shown, sequence = index.shown.copy(), index.sequence
    shown[packets] = False
    return replace(index, shown=shown, sequence=None if sequence is None else sequence[shown[sequence]])


def _is_closed(packet: bytes = b"") -> bool:
    """Whether the header of a group in a packet says that nothing in front of it is needed (ISO/IEC 13818-2 6.3.8)."""
    found = packet.find(_GROUP)
    flags = packet[found + 7 : found + 8] if found >= 0 else b""  # behind 25 bits of time
    return bool(flags and flags[0] & 0x40)


def _kind(index: PacketIndex, packet: bytes) -> int | None:
    """The type of a packet's first slice."""
    for head in split_heads(index.codec, index.extradata, packet, 1):
        kind = head[0] & 31 if index.codec == "h264" else head[0] >> 1 & 63
        if kind in (SLICES if index.codec == "h264" else _HEVC_SLICES):
            return kind
    return None
