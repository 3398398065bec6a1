"""Finds the packets of a video: by its header alone where that is plain, or else by demuxing all of it."""

from __future__ import annotations

import av
import numpy as np

from ..errors import FrameError
from .mp4 import Mp4Packets, read_index
from .packets import PacketIndex, PacketReader
from .parameter_sets import sets_of
from .scan import scan
from .skipped import without_skipped
from .slices import FrameNumbers
from .source import ByteSource, WindowReader

DISORDERED = (
    "The pictures of the video have other presentation times than their order in the file says, which this codec never "
    "changes, so that its frames cannot be counted. Its times are damaged: make or fetch it again."
)
_AT_ONCE = 64  # packets that are looked at in one read


def index_of(source: ByteSource, first_read: int) -> tuple[PacketIndex, PacketReader]:
    """The index of the first video track of ``source``, and what reads its packets.

    Args:
        source: The bytes of the video.
        first_read: Bytes asked for at first of a remote one.

    Raises:
        FrameError: If it is no video, its frames cannot be counted, or its header is cut off.
    """
    index, packets = _found(source, first_read)
    if not av.Codec(index.codec, "r").reorder and (np.diff(index.pts[index.shown]) <= 0).any():
        raise FrameError(DISORDERED)
    return without_skipped(index, packets), packets


def _found(source: ByteSource, first_read: int) -> tuple[PacketIndex, PacketReader]:
    reader = WindowReader(source)
    plain = read_index(reader, first_read)
    if plain is None:
        return scan(source)
    packets = Mp4Packets(plain, reader)
    few = 2 if source.remote else len(plain.packets.pts)
    return scan(source) if _has_lone_fields(plain.packets, packets, few) else (plain.packets, packets)


def _has_lone_fields(index: PacketIndex, packets: Mp4Packets, few: int) -> bool:
    """Whether one of the first packets holds one field of a picture, as of interlaced H.264 alone.

    Where the file is cut off, the packets in front of that tell.
    """
    if index.codec != "h264" or all(sequence.frames_only for sequence in sets_of(index.extradata).sequences.values()):
        return False
    numbers, count = FrameNumbers(index.extradata), min(few, len(index.pts))
    for first in range(0, count, _AT_ONCE):
        for data in packets.read(first, min(first + _AT_ONCE, count) - 1):
            if numbers.lone_field(data) is not None:
                return True
    return False
