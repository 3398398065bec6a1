"""The packet index of any video FFmpeg reads, by demuxing the whole file once.

The way for files whose header says too little: fragmented mp4, several edits, Matroska, other codecs.  The compressed
packets are kept in memory (some megabytes a video); nothing is decoded.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from numpy.typing import NDArray

from ..errors import FrameError
from .counted import in_counted_order
from .cut import without_doubtful_end
from .fields import Packet, join_fields
from .mp4 import ODD_EDITS
from .packets import PacketIndex
from .skipped import with_times
from .source import ByteSource
from .turn import JPEG, exif_turn, quarter_turn

MIN_TIME = -(1 << 63)
NO_VIDEO = "This is no video that can be read exactly ({}). Was its download cut off, or is it another file?"
TIMELESS = (
    "The file has packets without presentation times, so that its frames cannot be counted. Is it a raw stream, or was "
    "it cut without being encoded? Make an mp4 of its source anew."
)
CHANGING_FORMAT = (
    "The file holds what its pictures need beside them: a palette, or a codec header that changes midway. Such "
    "files are not read; encode it anew."
)
#: Starts a picture of MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.1).
_PICTURE = b"\0\0\1\xb6"
PACKED = (
    "Packets of the video hold two pictures each (a packed bitstream, as DivX and Xvid write), so that its frames "
    "cannot be counted. Encode it anew."
)
#: Codecs that call a packet a keyframe though it may be drawn over a part of what was there.
_PATCHES = ("apng",)
#: Codecs whose pictures FFmpeg decodes differently from another beginning, whatever they call keyframes.
_BOUND = ("dirac",)
IN_ORDER_ALONE = "Videos of the codec {} can be decoded in order alone, not frame by frame. Encode it anew."
#: No camera is as fast; a codec's clock is.
MOST_FPS = 1000
#: Ends a picture of a GIF, and the file; its decoder takes half a picture for a whole one.
_GIF_ENDS = (b"\0", b";")
#: Attributes of a codec context that say what the pictures are, apart from the codec's own header.
FORMAT = (
    "width",
    "height",
    "pix_fmt",
    "bits_per_coded_sample",
    "codec_tag",
    "color_range",
    "colorspace",
    "color_primaries",
    "color_trc",
)


@dataclass(frozen=True)
class ScannedPackets:
    """Packets of a scanned file, held in memory."""

    data: list[bytes]

    @property
    def held_bytes(self) -> int:
        """Bytes held in memory: all of them."""
        return sum(map(len, self.data))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``(packets,)`` bytes of each."""
        return np.array([len(packet) for packet in self.data], np.int64)

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
    problem = ""
    try:
        return _scan(io.BytesIO(source.read_at(0, source.size())))
    except FrameError:
        raise
    # PyAV's own: of text in a damaged header, and of a stream whose kind it does not know.
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        problem = type(error).__name__
    raise FrameError(NO_VIDEO.format(problem))


def _scan(file: io.BytesIO) -> tuple[PacketIndex, ScannedPackets]:
    with av.open(file, "r") as container:
        stills = container.format.name.endswith("_pipe") or container.format.name == "image2"
        stream = next(filter(_is_film, container.streams.video), None)
        if stills or stream is None:
            raise FrameError(NO_VIDEO.format("no video track"))
        context = stream.codec_context
        codec, extradata = context.codec.name, bytes(context.extradata or b"")
        if codec in _BOUND:
            raise FrameError(IN_ORDER_ALONE.format(codec))
        packets, durations, decoded = [], [], MIN_TIME
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if _changes_format(packet, extradata):
                raise FrameError(CHANGING_FORMAT)
            if container.format.name.startswith("mov") and packet.dts is not None:
                if packet.dts < decoded:  # it jumps back to the keyframe in front of another edit
                    raise FrameError(ODD_EDITS)
                decoded = packet.dts
            data = bytes(packet)
            if codec == "mpeg4" and data.count(_PICTURE) > 1:
                raise FrameError(PACKED)
            shown = not packet.is_discard and _has_picture(codec, data)
            durations += [packet.duration] if packet.duration else []
            damaged = bool(packet.is_corrupt) or (codec == "gif" and data[-1:] not in _GIF_ENDS)
            packets.append(Packet(packet.pts, packet.is_keyframe, shown, data, damaged))
        packets = with_times(codec, extradata, join_fields(codec, extradata, packets))
        packets = in_counted_order(container.format.name, codec, extradata, packets)
        if any(packet.pts is None for packet in packets):
            raise FrameError(TIMELESS)
        found = ScannedPackets([packet.data for packet in packets])
        index = PacketIndex(
            codec=codec,
            extradata=extradata,
            width=context.width,
            height=context.height,
            rotation=_rotation(file, stream.index),
            fps=_rate(stream),
            pts=np.array([packet.pts for packet in packets], np.int64),
            keyframe=np.array([packet.keyframe and codec not in _PATCHES for packet in packets], np.bool_),
            shown=np.array([packet.shown for packet in packets], np.bool_),
            format=_format(context),
            # What is missing may be the beginning of the next one.
            damaged=frozenset(n + i for n, packet in enumerate(packets) if packet.damaged for i in (0, 1)),
        )
        if context.codec.reorder:
            name, depth = container.format.name, context.reorder_depth
            index = without_doubtful_end(index, found, depth, durations, name, file.getbuffer())
        return index, found


def _is_film(stream: Any) -> bool:
    """Whether a video stream is no cover art, which may stand in front, nor one without packets."""
    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def _changes_format(packet: Any, extradata: bytes) -> bool:
    """Whether a packet brings, beside its bytes, what every later one needs to be decoded too."""
    for data in packet.iter_sidedata():
        if data.data_type in ("palette", "param_change"):
            return True
        if data.data_type == "new_extradata" and bytes(data) != extradata:
            return True
    return False


def _has_picture(codec: str, data: bytes) -> bool:
    """Whether a packet is shown: VP8 has some that others are predicted from alone (RFC 6386 9.1)."""
    return codec != "vp8" or bool(data[0] & 0x10)


def _format(context: Any) -> dict[str, Any]:
    """What a codec context has from its container, as far as it is known and can be given to another one."""
    found = {}
    for name in FORMAT:
        if name == "pix_fmt" and context.format is None:  # to ask for the name of none ends the process in PyAV 17
            continue
        try:
            value = getattr(context, name)
        except UnicodeDecodeError:  # a tag beyond ASCII, which PyAV cannot hand on
            continue
        if value is not None:
            found[name] = value
    return found


def _rate(stream: Any) -> Fraction:
    """Frames a second: the average, or where none is known what the codec says, if that is not its clock."""
    said = (stream.codec_context.framerate, stream.base_rate)
    return Fraction(stream.average_rate or next((rate for rate in said if rate and rate <= MOST_FPS), 0))


def _rotation(file: io.BytesIO, number: int) -> int:
    """The turn of the display matrix in degrees counter-clockwise, which FFmpeg hands out with a decoded frame only.

    The file is opened anew, since not every container can be sought back in.
    """
    file.seek(0)
    with av.open(file, "r") as container:
        for packet in container.demux(container.streams[number]):
            for frame in packet.decode():
                return _turn_of(frame, bytes(packet))
    return 0


def _turn_of(frame: Any, packet: bytes) -> int:
    try:
        matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # data of a kind that PyAV does not know, such as EXIF, hides the others from it
        return exif_turn(packet) if packet.startswith(JPEG) else int(frame.rotation) % 360
    if matrix is None:
        return 0
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return quarter_turn(a, b, c, d)
