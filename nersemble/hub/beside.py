"""What a picture's file keeps beside its pixels, none of which this package writes: refused whatever it says."""

from __future__ import annotations

import re
import struct

#: Chunks of the PNG files that this package writes, and of those with a palette or one colour that is clear.
_PNG = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_WEBP = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}
#: A marker of JPEG within the coded pixels that is none of those that belong there.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_BROKEN = "a structure that cannot be read"


def kept_beside(data: bytes) -> str:
    """What a picture's file keeps beside its pixels, in words; "" if nothing, or if it is no picture."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _of_jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _of_png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _of_webp(data)
    except (IndexError, struct.error):
        return _BROKEN
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF tags"
    return ""


def _of_jpeg(data: bytes) -> str:
    place = 2
    while True:
        while data[place] == 0xFF and data[place + 1] == 0xFF:
            place += 1
        if data[place] != 0xFF:
            return _BROKEN
        marker = data[place + 1]
        if marker == 0xD9:
            return "bytes behind its end" if len(data) > place + 2 else ""
        (length,) = struct.unpack_from(">H", data, place + 2)
        held = data[place + 4 : place + 2 + length]
        if marker == 0xFE:
            return "comment"
        plain = (marker == 0xE0 and held.startswith(b"JFIF\0") and len(held) == 14) or (
            marker == 0xEE and held.startswith(b"Adobe") and len(held) == 12
        )
        if 0xE0 <= marker <= 0xEF and not plain:
            return "exif" if held.startswith(b"Exif") else f"APP{marker - 0xE0}"
        place += 2 + length
        if marker == 0xDA:
            found = _MARKER.search(data, place)
            if found is None:
                return _BROKEN
            place = found.start()


def _of_png(data: bytes) -> str:
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            return data[place + 8 : place + 8 + length].partition(b"\0")[0].decode("latin-1")[:40]
        if name not in _PNG:
            return f"a chunk {name.decode('latin-1')}"
        place += 12 + length
        if name == b"IEND":
            return "bytes behind its end" if len(data) > place or length else ""


def _of_webp(data: bytes) -> str:
    place = 12
    while place < len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        if name not in _WEBP:
            return name.decode("latin-1").strip().lower()
        place += 8 + length + length % 2
    (told,) = struct.unpack_from("<I", data, 4)
    return "" if told + 8 == len(data) == place else "bytes behind its end"
