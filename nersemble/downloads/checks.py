"""Whether one file of a folder is whole, by its own contents.

``structure_problem`` reads a few bytes of it and needs no decoder; ``content_problem`` decodes all of it.  Both answer
with what is wrong, or with "", and never raise for a file that is not what it should be.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

from ..errors import FrameError, NersembleError

#: What the size of an mp4's box can say instead of a size.
_LARGE = 1
_TO_THE_END = 0


def structure_problem(path: Path, kind: str) -> str:
    """What a look at a file's outer structure finds wrong with it.

    Args:
        path: The file.
        kind: As ``AssetPath.kind``.

    Returns:
        A phrase such as ``"it was cut off: 96 bytes of its frames are missing"``, or "".
    """
    return _unless_unreadable(_STRUCTURE[kind], path)


def content_problem(path: Path, kind: str) -> str:
    """What decoding a file from its start to its end finds wrong with it.

    Args:
        path: The file.
        kind: As ``AssetPath.kind``.

    Returns:
        A phrase such as ``"damaged from timestep 211 of 430: the data is damaged"``, or "".  That of a video which has
        fewer frames than its header promises begins with ``short``.
    """
    return _unless_unreadable(_CONTENT[kind], path)


def _unless_unreadable(check: Callable[[Path], str], path: Path) -> str:
    try:
        if not path.stat().st_size:
            return "it is empty"
        return check(path)
    except FileNotFoundError:
        return "it disappeared while it was checked"
    except NersembleError as error:
        return _first_sentence(str(error).replace(str(path), "it"))
    except MemoryError:
        return "damaged: its header asks for more memory than a video takes"
    except OSError as error:
        return f"it cannot be read: {(error.strerror or type(error).__name__).lower()}"


def _first_sentence(message: str) -> str:
    """What is wrong, without the advice that follows it."""
    return message.split(". ")[0].rstrip(".")


# --- structure --------------------------------------------------------------------------------------------------------


def _tiled(path: Path) -> str:
    """Whether the top-level boxes of an mp4 fill the file exactly, a header (moov) among them."""
    from ..video.mp4 import FIRST_BOXES

    seen = set()
    position = 0
    with open(path, "rb", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        while position < length:
            file.seek(position)
            header = file.read(16)
            size, kind = struct.unpack(">I4s", header[:8]) if len(header) >= 8 else (0, b"")
            if position == 0 and kind not in FIRST_BOXES:
                return "it is no mp4"
            if len(header) < 8 or (size == _LARGE and len(header) < 16):
                return "it was cut off inside the head of a box"
            if size == _LARGE:
                size = struct.unpack(">Q", header[8:])[0]
            elif size == _TO_THE_END:
                size = length - position
            if size < 8 or not kind.isascii():
                return f"its structure breaks off at byte {position:,}"
            seen.add(kind)
            position += size
    if position > length:
        return f"it was cut off: {position - length:,} bytes are missing"
    return "" if b"moov" in seen else "it has no header (moov)"


def _bracketed(path: Path) -> str:
    """Whether a JPEG has its first and its last marker."""
    with open(path, "rb", buffering=0) as file:
        first = file.read(2)
        file.seek(-min(64, path.stat().st_size), os.SEEK_END)
        last = file.read().rstrip(b"\0 \r\n")
    if first != b"\xff\xd8":
        return "it is no JPEG"
    return "" if last.endswith(b"\xff\xd9") else "it was cut off: the mark at its end is missing"


def _json(path: Path) -> str:
    try:
        table = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return "it is no JSON"
    return "" if isinstance(table, dict) else "it holds no table"


def _sequences_csv(path: Path) -> str:
    from ..catalog import parse_catalog

    parse_catalog(path.read_bytes())
    return ""


def _participants_csv(path: Path) -> str:
    from ..catalog import parse_participants

    parse_participants(path.read_bytes())
    return ""


# --- content ----------------------------------------------------------------------------------------------------------


def _decoded(path: Path) -> str:
    """Decode every frame of a video with the reader's own engine, so that what passes here can be read later."""
    from ..video.engine import PictureDecoder
    from ..video.mp4 import Mp4Packets, read_index
    from ..video.outlook import Outlook
    from ..video.packets import PacketReader
    from ..video.scan import scan
    from ..video.source import LocalSource, WindowReader

    with contextlib.closing(LocalSource(path)) as source:
        reader = WindowReader(source)
        plain = read_index(reader, 0)
        packets: PacketReader
        index, packets = (plain.packets, Mp4Packets(plain, reader)) if plain is not None else scan(source)
        engine = PictureDecoder(index, packets, remote=False)
        total = index.num_frames
        for timestep, packet in enumerate(map(int, index.packet_of)):
            problem = ""
            try:
                picture = engine.picture(packet, Outlook(stride=1))
            except FrameError as error:
                problem = str(error)
            else:
                if (picture.width, picture.height) != (index.width, index.height):
                    problem = f"a frame of {picture.width} x {picture.height} among {index.width} x {index.height}"
            if not problem:
                continue
            if not packets.read(packet, packet):
                return f"short: {timestep} of {total} frames decode, then the file ends"
            return f"damaged from timestep {timestep} of {total}: {problem}"
    return ""


def _picture(path: Path) -> str:
    import warnings

    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(path) as image:
                image.load()
                return "" if image.format == "JPEG" else f"it is no JPEG but {image.format}"
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        return f"damaged: {str(error).replace(repr(str(path)), 'it') or 'it cannot be decoded'}"


def _camera_params(path: Path) -> str:
    from ..camera import parse_calibration

    parse_calibration(path.read_bytes(), "it")
    return ""


def _color_calibration(path: Path) -> str:
    from ..camera import parse_color_calibration

    parse_color_calibration(path.read_bytes(), "it")
    return ""


_STRUCTURE: dict[str, Callable[[Path], str]] = {
    "participants": _participants_csv,
    "sequences": _sequences_csv,
    "camera_params": _json,
    "color_calibration": _json,
    "video": _tiled,
    "background": _bracketed,
}
_CONTENT: dict[str, Callable[[Path], str]] = {
    "participants": _participants_csv,
    "sequences": _sequences_csv,
    "camera_params": _camera_params,
    "color_calibration": _color_calibration,
    "video": _decoded,
    "background": _picture,
}
