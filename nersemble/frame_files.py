"""Frames as files: each has a URL, ``nersemble-frame://...``, which fsspec opens as a picture.

What ``datasets`` stores of a picture that has a name is the name, whatever the column.  A column of frames takes this
one for the reference that it is, and a stock column of images opens it like any other file.  The URL holds how the
frame was read, so that it is the same picture again; paths are kept in it as they stand in references.
"""

from __future__ import annotations

import errno
import io
import os
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlencode

import fsspec

from .errors import AssetNotFoundError
from .frames import RESIZE_FIRST, FrameOptions, FrameReference, read_frame
from .video.resize import as_image

FRAME_PROTOCOL = "nersemble-frame"
_SCHEME = f"{FRAME_PROTOCOL}://"


def frame_url(reference: FrameReference) -> str:
    """The URL of a frame, such as ``nersemble-frame://%2Fvideos%2F/cam_1.mp4#timestep=4&scale=0.25``.

    What opens URLs takes slashes for its own and joins or drops some: those of the path are quoted.  The one before the
    file's name only shows where that begins, as the name alone is kept of a picture that is put into a file for others.
    """
    options = reference.options
    facts: dict[str, Any] = {"timestep": reference.timestep}
    if options.scale is not None:
        facts["scale"] = options.scale
    if options.size is not None:
        facts["size"] = "{}x{}".format(*options.size)
    if options.color_correction:
        facts["color"] = options.color_order
    folder, slash, name = reference.path.rpartition("/")
    place = f"{quote(folder + slash, safe='')}/" if slash else ""
    return f"{_SCHEME}{place}{quote(name)}#{urlencode(facts)}"


def parse_frame_url(url: str) -> FrameReference | None:
    """The frame of a URL that ``frame_url`` made, None for any other."""
    path, mark, facts = url.removeprefix(_SCHEME).rpartition("#")
    if not url.startswith(_SCHEME) or not mark:
        return None
    known = dict(parse_qsl(facts))
    try:
        scale = float(known["scale"]) if "scale" in known else None
        width, _, height = known.get("size", "").partition("x")
        options = FrameOptions(
            scale, (int(width), int(height)) if width else None, "color" in known, known.get("color", RESIZE_FIRST)
        )
        return FrameReference(unquote(path.replace("/", "")), int(known["timestep"]), options)
    except (KeyError, ValueError):
        return None


class FrameFileSystem(fsspec.AbstractFileSystem):
    """Opens the URLs of frames as BMP files, which take no time to make and to read.

    Raises:
        AssetNotFoundError: If a path names no frame, or its video is not there.
        FrameError: If the frame cannot be decoded exactly.
    """

    protocol = FRAME_PROTOCOL

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix(_SCHEME)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            self._refuse()
        reference = parse_frame_url(f"{_SCHEME}{self._strip_protocol(path)}")
        if reference is None:
            raise AssetNotFoundError(
                f"{path} names no frame. These URLs are made by nersemble when a row's picture is stored; give it as "
                "it was stored."
            )
        file = _File()
        as_image(read_frame(reference)).save(file, "BMP")
        file.seek(0)
        return file

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size and kind of a frame's file, for which it is decoded."""
        with self._open(path) as file:
            return {"name": self._strip_protocol(path), "size": len(file.getbuffer()), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The file itself: nothing is listed here."""
        entry = self.info(path)
        return [entry] if detail else [entry["name"]]

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, f"{_SCHEME} is read-only")

    mkdir = makedirs = rmdir = rm = rm_file = touch = cp_file = mv = put_file = pipe_file = _refuse


class _File(io.BytesIO):
    """Bytes in memory; a class of its own, as ``datasets`` puts a ``read`` with retries on what it opens."""
