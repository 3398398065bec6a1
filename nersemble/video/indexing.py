"""Finds the packets of a video: by its header alone where that is plain, or else by demuxing all of it."""

from __future__ import annotations

from .mp4 import Mp4Packets, read_index
from .packets import PacketIndex, PacketReader
from .parameter_sets import sets_of
from .scan import scan
from .skipped import without_skipped
from .slices import FrameNumbers
from .source import ByteSource, WindowReader

_AT_ONCE = 64  # packets that are looked at in one read


def index_of(source: ByteSource, first_read: int) -> tuple[PacketIndex, PacketReader]:
    """The index of the first video track of ``source``, and what reads its packets.

    Args:
        source: The bytes of the video.
        first_read: Bytes asked for at first of a remote one.

    Raises:
        FrameError: If it is no video, its frames cannot be counted, or its header is cut off.
    """
    reader = WindowReader(source)
    plain = read_index(reader, first_read)
    if plain is None:
        index, scanned = scan(source)
        return without_skipped(index, scanned), scanned
    packets = Mp4Packets(plain, reader)
    if _has_lone_fields(plain.packets, packets):
        index, scanned = scan(source)
        return without_skipped(index, scanned), scanned
    return without_skipped(plain.packets, packets), packets


def _has_lone_fields(index: PacketIndex, packets: Mp4Packets) -> bool:
    """Whether a packet holds one field of a picture; only interlaced H.264, whose packets are all read, can have some.

    Where the file is cut off, the packets in front of that tell.
    """
    if index.codec != "h264" or all(sequence.frames_only for sequence in sets_of(index.extradata).sequences.values()):
        return False
    numbers, count = FrameNumbers(index.extradata), len(index.pts)
    packets.expect([(0, 0), (0, count - 1)])
    for first in range(0, count, _AT_ONCE):
        for data in packets.read(first, min(first + _AT_ONCE, count) - 1):
            if numbers.lone_field(data) is not None:
                return True
    return False
