"""Whether what a shard holds decodes: each picture, and each picture of a clip."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FrameError

if TYPE_CHECKING:
    import PIL.Image


def decoded_size(data: bytes) -> tuple[int, int] | None:
    """The (width, height) of a picture that decodes whole; None of one that does not."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    # By its own class: the common way in warns of large pictures, which these may be, as of an attack.
    kinds: dict[bytes, Callable[[io.BytesIO], PIL.Image.Image]]
    kinds = {b"\xff\xd8": JpegImageFile, b"\x89P": PngImageFile, b"RI": WebPImageFile}
    kind = kinds.get(data[:2])
    if kind is None:
        return None
    try:
        with kind(io.BytesIO(data)) as image:
            image.load()
            return image.size
    except (OSError, SyntaxError, ValueError):
        return None


def clip_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """The (width, height) of each picture of a clip, as far as it decodes."""
    from ..video import VideoDecoder

    try:
        with VideoDecoder(io.BytesIO(data), name="a clip", threads=1) as decoder:
            for _, picture in decoder.read_many(range(len(decoder))):
                yield np.shape(picture)[1], np.shape(picture)[0]
    except FrameError:
        return
