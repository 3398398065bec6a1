"""The packet index of an mp4 or mov file, read from its header (``moov``) alone.

A remote video thus shows its first frame after a few kilobytes, wherever the header stands in the file.  Only plain
files are read here: one sample description, no fragments, edits at normal speed.  For anything
else ``read_index`` answers None and the caller scans the file (``nersemble.video.scan``).  Box layouts follow ISO/IEC
14496-12 and 14496-15; which packets an edit hides follows FFmpeg, whose players users compare with.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError
from .boxes import OddFile, box, boxes, read_sample_description
from .packets import PacketIndex
from .source import WindowReader
from .turn import quarter_turn

#: Bytes asked for where the header stands after the frames.
TAIL_READ = 64 * 1024
#: Where packets lie further apart than this beyond their own bytes, each is read for itself.
MOST_WASTE = 256 * 1024
MAX_HEADER = 64 * 1024 * 1024
#: A box that says it is longer is damaged.
MOST_BYTES = 1 << 62
#: Boxes an mp4 or mov file may begin with.
FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx"}
#: What an edit list says of a stretch without media.
EMPTY_EDIT = -1
#: A stretch of time that holds everything.
WHOLE = (-(1 << 62), 1 << 62)
NO_HEADER = "The video has no whole header (moov): its download was cut off. Delete the file and fetch it again."
ODD_EDITS = (
    "The video has an edit list of several edits that players show in different ways, so that its frames cannot be "
    "counted. Encode it anew, without edits."
)
STRAY = (
    "The video has pictures that are shown behind a keyframe that its edit list hides, and stand in front of it, so "
    "that its frames cannot be counted. Its header is damaged: fetch it again."
)


@dataclass(frozen=True)
class Mp4Index:
    """A packet index and where each packet lies in the file."""

    packets: PacketIndex
    offset: NDArray[np.int64]
    size: NDArray[np.int64]


def read_index(reader: WindowReader, first_read: int) -> Mp4Index | None:
    """Read the index of the first video track.

    Args:
        reader: The file.
        first_read: Bytes asked for at first, if the file is remote.

    Returns:
        None if the file is no plain mp4: the caller should scan it.

    Raises:
        FrameError: If the file says it is an mp4 but is cut off before the end of its header.
    """
    moov = _find_moov(reader, first_read)
    if moov is None:
        return None
    try:
        return _parse_moov(moov)
    except FrameError:
        raise
    except (OddFile, struct.error, IndexError, KeyError, ValueError):
        return None


def _find_moov(reader: WindowReader, least: int) -> bytes | None:
    position = 0
    while True:
        header = reader.read_at(position, position + 16, least)
        if len(header) < 8:
            if position == 0:
                return None
            raise FrameError(NO_HEADER)
        size, kind = struct.unpack(">I4s", header[:8])
        start = 8
        if position == 0 and kind not in FIRST_BOXES:
            return None
        if size == 1:
            if len(header) < 16:
                return None
            size, start = struct.unpack(">Q", header[8:16])[0], 16
        if kind == b"moov":
            if (size or reader.source.size() - position) > MAX_HEADER:
                return None
            stop = position + size if size else reader.source.size()  # 0: to the end of the file
            body = reader.read_at(position + start, stop)
            if len(body) < stop - position - start or not (size or _is_whole(body)):
                raise FrameError(NO_HEADER)
            return body
        if kind == b"moof":
            return None
        if size == 0:
            raise FrameError(NO_HEADER)
        if not start <= size < MOST_BYTES:
            return None
        position += size
        least = TAIL_READ


def _is_whole(moov: bytes) -> bool:
    """Whether a header that goes to the end of its file was not cut off: its boxes fill it."""
    try:
        return bool(list(boxes(moov)))
    except OddFile:
        return False


def _parse_moov(moov: bytes) -> Mp4Index:
    children = list(boxes(moov))
    if any(kind == b"mvex" for kind, _ in children):
        raise OddFile
    movie = dict(children)[b"mvhd"]
    movie_timescale = _header_timescale(movie)
    if quarter_turn(*_matrix(movie, 48 if movie[0] == 1 else 36)):
        raise OddFile  # it turns all tracks, after their own turns
    for kind, track in children:
        if kind == b"trak" and box(track, b"mdia", b"hdlr")[8:12] == b"vide":
            return _parse_track(track, movie_timescale)
    raise OddFile


def _header_timescale(header: bytes) -> int:
    return int(struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0])


def _parse_track(track: bytes, movie_timescale: int) -> Mp4Index:
    media = box(track, b"mdia")
    timescale = _header_timescale(box(media, b"mdhd"))
    table = dict(boxes(box(media, b"minf", b"stbl")))
    entry = read_sample_description(table[b"stsd"])
    size = _sizes(table[b"stsz"])
    count = len(size)
    if not count or not size.all():  # empty ones are no pictures
        raise OddFile
    duration = _runs(table[b"stts"], count)
    decode_time = np.concatenate([[0], np.cumsum(duration)[:-1]])
    composition = decode_time + _runs(table[b"ctts"], count, signed=True) if b"ctts" in table else decode_time
    keyframe = np.ones(count, np.bool_)
    if b"stss" in table:
        keyframe[:] = False
        keyframe[_array(table[b"stss"], ">u4", 4, 8) - 1] = True
    if len(np.unique(composition)) != count:
        raise OddFile
    edits = _edits(track, movie_timescale, timescale)
    if len(edits) > 1 and entry.codec == "hevc" and _has_leading_pictures(composition, keyframe):
        raise FrameError(ODD_EDITS)  # FFmpeg leaves out those behind a jump
    order = np.argsort(composition)
    sequence = np.concatenate(
        [order[(composition[order] >= start) & (composition[order] < stop)] for start, stop in edits]
    )
    shown = np.zeros(count, np.bool_)
    shown[sequence] = True
    if _has_strays(composition, keyframe, shown):
        raise FrameError(STRAY)
    fps = Fraction(timescale * count, int(duration.sum())) if duration.sum() else Fraction(0)
    packets = PacketIndex(
        codec=entry.codec,
        extradata=entry.extradata,
        width=entry.width,
        height=entry.height,
        rotation=_rotation(box(track, b"tkhd")),
        fps=fps,
        pts=composition,
        keyframe=keyframe,
        shown=shown,
        format=entry.format,
        sequence=sequence,
    )
    return Mp4Index(packets, _offsets(table, size), size)


def _array(box: bytes, dtype: str, count_at: int, start: int) -> NDArray[np.int64]:
    count = struct.unpack_from(">I", box, count_at)[0]
    return np.frombuffer(box, dtype, count, start).astype(np.int64)


def _runs(box: bytes, count: int, *, signed: bool = False) -> NDArray[np.int64]:
    """Expand a table of (run length, value), such as stts and ctts, to one value a packet."""
    entries = struct.unpack_from(">I", box, 4)[0]
    lengths, values = np.frombuffer(box, ">u4", entries * 2, 8).astype(np.int64).reshape(-1, 2).T
    if signed:
        values = values.astype(np.uint32).astype(np.int32).astype(np.int64)
    ends = np.minimum(np.cumsum(lengths), count)  # a damaged length can be more than any memory holds
    if not len(ends) or ends[-1] < count:
        raise OddFile
    return np.repeat(values, np.diff(ends, prepend=0))


def _sizes(box: bytes) -> NDArray[np.int64]:
    constant, count = struct.unpack_from(">II", box, 4)
    if constant:
        if count > MAX_HEADER:
            raise OddFile
        return np.full(count, constant, np.int64)
    return np.frombuffer(box, ">u4", count, 12).astype(np.int64)


def _offsets(table: dict[bytes, bytes], size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each packet lies: chunks hold runs of packets, one after the other."""
    chunk_offset = _array(table[b"co64"], ">u8", 4, 8) if b"co64" in table else _array(table[b"stco"], ">u4", 4, 8)
    if (chunk_offset < 0).any():  # 64 bits of a damaged table
        raise OddFile
    entries = struct.unpack_from(">I", table[b"stsc"], 4)[0]
    first, samples, description = np.frombuffer(table[b"stsc"], ">u4", entries * 3, 8).astype(np.int64).reshape(-1, 3).T
    if (description != 1).any():
        raise OddFile
    chunks_in_run = np.diff(np.append(first - 1, len(chunk_offset)))
    if (chunks_in_run < 0).any():
        raise OddFile
    samples_in_chunk = np.repeat(samples, chunks_in_run)
    # A damaged table can promise more packets than any memory holds.
    if not len(size) <= samples_in_chunk.sum() <= len(size) + MAX_HEADER:
        raise OddFile
    chunk = np.repeat(np.arange(len(chunk_offset)), samples_in_chunk)[: len(size)]
    before = np.cumsum(size) - size
    first_in_chunk = np.concatenate([[0], np.cumsum(samples_in_chunk)[:-1]])
    first_in_chunk = np.minimum(first_in_chunk, len(size) - 1)
    return chunk_offset[chunk] + before - before[first_in_chunk[chunk]]


def _edits(track: bytes, movie_timescale: int, timescale: int) -> list[tuple[int, int]]:
    """The stretches of composition time that are shown one after the other, from the edit list."""
    edits = next((box(body, b"elst") for kind, body in boxes(track) if kind == b"edts"), None)
    if edits is None:
        return [WHOLE]
    if not movie_timescale:
        raise OddFile
    entry = ">Qqhh" if edits[0] == 1 else ">Iihh"
    count = struct.unpack_from(">I", edits, 4)[0]
    rows = [struct.unpack_from(entry, edits, 8 + i * struct.calcsize(entry)) for i in range(count)]
    if rows and rows[0][1] == EMPTY_EDIT:
        rows = rows[1:]
    shown = []
    for duration, start, rate, _ in rows:
        if rate != 1 or start < 0 or (len(rows) > 1 and not duration):
            raise FrameError(ODD_EDITS) if len(rows) > 1 else OddFile
        # FFmpeg rounds a half up.
        length = (2 * duration * timescale + movie_timescale) // (2 * movie_timescale)
        shown.append((start, start + length if duration else WHOLE[1]))
    return shown or [WHOLE]


def _has_leading_pictures(composition: NDArray[np.int64], keyframe: NDArray[np.bool_]) -> bool:
    """Whether pictures behind a keyframe are shown in front of it, as in open groups of pictures."""
    earliest = np.minimum.accumulate(composition[::-1])[::-1]
    return bool((earliest[keyframe] < composition[keyframe]).any())


def _has_strays(composition: NDArray[np.int64], keyframe: NDArray[np.bool_], shown: NDArray[np.bool_]) -> bool:
    """Whether a shown picture in front of a hidden keyframe comes behind it, which no group of pictures has."""
    if shown.all():
        return False
    latest = np.maximum.accumulate(np.where(shown, composition, WHOLE[0]))
    return bool((latest > composition)[keyframe & ~shown].any())


def _rotation(tkhd: bytes) -> int:
    """The turn that the track's display matrix asks for, in degrees counter-clockwise."""
    return quarter_turn(*_matrix(tkhd, 52 if tkhd[0] == 1 else 40))


def _matrix(header: bytes, at: int) -> tuple[int, int, int, int]:
    a, b, _, c, d = struct.unpack_from(">5i", header, at)
    return a, b, c, d


class Mp4Packets:
    """Reads packets of a plain mp4 by number; one read of the source for a run of packets."""

    def __init__(self, index: Mp4Index, reader: WindowReader) -> None:
        self._index = index
        self._reader = reader

    @property
    def held_bytes(self) -> int:
        """Bytes held in memory."""
        return self._reader.held_bytes

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``(packets,)`` bytes of each."""
        return self._index.size

    def read(self, first: int, last: int) -> list[bytes]:
        """Packets ``first`` to ``last``, the last one included, in one read; fewer where the file is cut off."""
        offset, size = self._index.offset[first : last + 1], self._index.size[first : last + 1]
        start, stop = int(offset.min()), int((offset + size).max())
        ranges = list(zip(offset.tolist(), size.tolist(), strict=True))
        if stop - start > 2 * int(size.sum()) + MOST_WASTE:
            packets = [self._reader.read_at(o, o + s) for o, s in ranges]
        else:
            data = self._reader.read_at(start, stop)
            packets = [data[o - start : o - start + s] for o, s in ranges]
        whole = [len(packet) == s for packet, (_, s) in zip(packets, ranges, strict=True)]
        return packets[: whole.index(False)] if False in whole else packets

    def expect(self, spans: list[tuple[int, int]]) -> None:
        """Fetch a remote file whole where most of it will be read in more than one piece."""
        if len(spans) > 1:
            ends = self._index.offset + self._index.size
            needed = sum(int(self._index.size[first : last + 1].sum()) for first, last in spans)
            self._reader.expect(needed, int(ends.max()))
