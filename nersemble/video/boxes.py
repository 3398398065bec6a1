"""The boxes of an mp4 or mov file, and what its sample entry says of the pictures (ISO/IEC 14496-12 and 14496-15)."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

#: Sample entries read here, FFmpeg's codec name and the box that holds the codec's header.
CODECS = {
    b"avc1": ("h264", b"avcC"),
    b"avc3": ("h264", b"avcC"),
    b"hvc1": ("hevc", b"hvcC"),
    b"hev1": ("hevc", b"hvcC"),
}
VISUAL_ENTRY_HEADER = 78
#: Colours that FFmpeg knows by the codes of ISO/IEC 23091-2: primaries, transfer, matrix.
KNOWN_COLOURS = (
    ("color_primaries", {1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22}),
    ("color_trc", {1, *range(4, 19)}),
    ("colorspace", {0, 1, *range(4, 15)}),
)
NARROW, FULL = 1, 2


class OddFile(Exception):
    """The file holds something that only a full scan handles."""


class SampleEntry(NamedTuple):
    """How pictures are coded.

    Attributes:
        codec: FFmpeg's name of the codec.
        extradata: The codec's out-of-band header.
        width: Width of the picture in pixels, before any rotation.
        height: Height of the picture in pixels, before any rotation.
        format: What the entry says of the pictures, by the names of a codec context; a codec's own header goes before.
    """

    codec: str
    extradata: bytes
    width: int
    height: int
    format: dict[str, Any]


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and contents of each box.

    Raises:
        OddFile: If one goes on beyond the end.
    """
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        start = 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, position + 8)[0], 16
        elif size == 0:
            size = len(data) - position
        if size < start or position + size > len(data):
            raise OddFile
        yield kind, data[position + start : position + size]
        position += size


def box(data: bytes, *path: bytes) -> bytes:
    """The contents of the first box of a kind, of one in that, and so on.

    Raises:
        OddFile: If there is none, or an empty one.
    """
    for kind in path:
        data = next((body for name, body in boxes(data) if name == kind), b"")
        if not data:
            raise OddFile
    return data


def read_sample_description(stsd: bytes) -> SampleEntry:
    """The only entry of a sample description.

    Raises:
        OddFile: If it has several, or one of another codec than is read here, or one that says no size.
    """
    if struct.unpack_from(">I", stsd, 4)[0] != 1:
        raise OddFile
    kind, entry = next(boxes(stsd[8:]), (b"", b""))
    codec, header = CODECS.get(kind, ("", b""))
    if not codec:
        raise OddFile
    width, height = struct.unpack_from(">HH", entry, 24)
    if not (width and height):  # left to the codec's header
        raise OddFile
    within: dict[bytes, bytes] = {}
    with contextlib.suppress(OddFile):  # what stands behind the last one may be anything
        for kind, body in boxes(entry[VISUAL_ENTRY_HEADER:]):
            within.setdefault(kind, body)
    if not within.get(header):
        raise OddFile
    found = {"width": width, "height": height, **_colours(within.get(b"colr", b""))}
    return SampleEntry(codec, within[header], width, height, found)


def _colours(colr: bytes) -> dict[str, int]:
    """What a box of colour information says, where it is one of codes."""
    if colr[:4] not in (b"nclx", b"nclc") or len(colr) < 10:
        return {}
    codes = struct.unpack_from(">3H", colr, 4)
    found = {name: code for (name, known), code in zip(KNOWN_COLOURS, codes, strict=True) if code in known}
    if colr[:4] == b"nclx" and len(colr) > 10:
        found["color_range"] = FULL if colr[10] & 0x80 else NARROW
    return found
