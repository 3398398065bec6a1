"""The packet index of any video FFmpeg reads, by demuxing the whole file once.

The way for files whose header says too little: fragmented mp4, several edits, Matroska, other codecs.  The compressed
packets are kept in memory (some megabytes a video); nothing is decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np

from ..errors import FrameError
from .packets import PacketIndex
from .source import ByteSource


@dataclass(frozen=True)
class ScannedPackets:
    """Packets of a scanned file, held in memory."""

    data: list[bytes]

    @property
    def held_bytes(self) -> int:
        """Bytes held in memory: all of them."""
        return sum(map(len, self.data))

    def read(self, first: int, last: int) -> list[bytes]:
        """Packets ``first`` to ``last``, the last one included."""
        return self.data[first : last + 1]

    def expect(self, spans: list[tuple[int, int]]) -> None:
        """All of them are there."""


def scan(source: ByteSource) -> tuple[PacketIndex, ScannedPackets]:
    """Demux the first video stream of ``source``.

    Raises:
        FrameError: If FFmpeg finds no video in it, or packets without a presentation time.
    """
    problem: str | None
    try:
        return _scan(io.BytesIO(source.read_at(0, source.size())))
    except av.error.FFmpegError as error:
        problem = type(error).__name__
    except FrameError as error:
        problem = str(error)
    except ValueError as error:  # PyAV's own, of text in a damaged header
        problem = type(error).__name__
    raise FrameError(
        f"This is no video that can be read exactly ({problem}). Was its download cut off, or is it another file?"
    )


def _scan(file: io.BytesIO) -> tuple[PacketIndex, ScannedPackets]:
    with av.open(file, "r") as container:
        stills = container.format.name.endswith("_pipe") or container.format.name == "image2"
        if stills or not container.streams.video or container.streams.video[0].codec_context is None:
            raise FrameError("no video track")
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        if any(packet.pts is None for packet in packets):
            raise FrameError("packets without presentation times")
        context = stream.codec_context
        index = PacketIndex(
            codec=context.codec.name,
            extradata=bytes(context.extradata or b""),
            width=context.width,
            height=context.height,
            rotation=_rotation(container, stream),
            fps=Fraction(stream.average_rate or 0),
            pts=np.array([packet.pts for packet in packets], np.int64),
            keyframe=np.array([packet.is_keyframe for packet in packets], np.bool_),
            shown=np.array([not packet.is_discard for packet in packets], np.bool_),
        )
        return index, ScannedPackets([bytes(packet) for packet in packets])


def _rotation(container: Any, stream: Any) -> int:
    """The turn of the display matrix in degrees counter-clockwise, which FFmpeg hands out with a decoded frame only."""
    container.seek(0)
    frame = next(iter(container.decode(stream)), None)
    return int(frame.rotation) % 360 if frame is not None else 0
