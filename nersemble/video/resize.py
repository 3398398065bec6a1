"""Resizing a decoded picture, edges staying edges.

In RGB, after the colour planes have been brought to full size: resizing the planes of a 4:2:0 frame instead moves its
colours by up to half a pixel.
"""

from __future__ import annotations

import contextlib
import operator
from typing import overload

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..compiling import Compiled, Loader
from ..errors import SelectionError

Picture = NDArray[np.uint8]

LONGEST_SIDE = 32_768

#: Bytes from which a picture counts as large, and large pictures after which it pays to load compiled code, which takes
#: up to a second and saves 10 ms for a picture of 3208 x 2200.
LARGE, PAYS_AFTER = 6 << 20, 32
#: Rows of a box that compiled code can sum up in 16 bits.
MOST_DOWN = 257


@overload
def checked_size(size: None) -> None: ...
@overload
def checked_size(size: tuple[int, int]) -> tuple[int, int]: ...
def checked_size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """A size as two whole numbers.

    Raises:
        SelectionError: If it is none, or larger than any picture that is wanted on purpose.
    """
    if size is None:
        return None
    found = None
    with contextlib.suppress(TypeError, ValueError):
        width, height = map(operator.index, size)
        found = (width, height)
    if found is None or not all(1 <= side <= LONGEST_SIDE for side in found):
        raise SelectionError(
            f"size is (width, height) in pixels, two whole numbers of 1 to {LONGEST_SIDE:,}, not {size!r}."
        )
    return found


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize ``(H, W, 3)`` uint8 RGB to (width, height).

    Whole factors average areas, rounded once; other factors down use a Hamming window, which unlike a box has no bias
    to a side; factors up are bicubic.

    Args:
        picture: Rows may lie further apart than they are long.
        size: (width, height) in pixels.

    Returns:
        ``(height, width, 3)`` uint8, contiguous; the picture itself if it has that size.

    Raises:
        SelectionError: If it is no size.
    """
    size = checked_size(size)
    height, width = picture.shape[:2]
    if size == (width, height):
        return picture
    if width % size[0] == 0 and height % size[1] == 0:
        return _average_boxes(picture, width // size[0], height // size[1])
    image = as_image(picture)
    down = size[0] <= width and size[1] <= height
    return np.array(image.resize(size, PIL.Image.Resampling.HAMMING if down else PIL.Image.Resampling.BICUBIC))


def _average_boxes(picture: Picture, across: int, down: int) -> Picture:
    """Average boxes of ``across`` x ``down`` pixels, by compiled code once there were enough to pay for loading it."""
    global _large_pictures
    if picture.nbytes >= LARGE and down <= MOST_DOWN:
        _large_pictures += 1
        compiled = _boxes.load()[0] if _large_pictures > PAYS_AFTER else None
        rows = _rows_of(picture)
        if compiled is not None and rows is not None:
            averages = np.empty((picture.shape[0] // down, picture.shape[1] // across, 3), np.uint8)
            compiled(*rows, across, down, averages)
            return averages
    return np.array(as_image(picture).reduce((across, down)))


def _rows_of(picture: Picture) -> tuple[NDArray[np.uint8], int] | None:
    """The bytes of a picture's rows, one behind the other, and how many each takes; None if they do not lie so."""
    height, width = picture.shape[:2]
    step = picture.strides[0]
    if picture.strides[1:] != (3, 1) or step < 3 * width:
        return None
    length = (height - 1) * step + 3 * width
    return np.lib.stride_tricks.as_strided(picture, (length,), (1,), writeable=False), step


def _compile_boxes(keep: bool) -> Compiled:
    from .averages import compile_boxes

    return compile_boxes(cache=keep)


_boxes = Loader(_compile_boxes)
_large_pictures = 0


def as_image(picture: Picture) -> PIL.Image.Image:
    """A PIL image of ``(H, W, 3)`` uint8 RGB, in one copy even where rows lie further apart than they are long."""
    height, width = picture.shape[:2]
    rows = _rows_of(picture)
    if rows is None or height == 1:
        return PIL.Image.fromarray(np.ascontiguousarray(picture))
    return PIL.Image.frombuffer("RGB", (width, height), rows[0], "raw", "RGB", rows[1], 1)


def contiguous(picture: Picture) -> Picture:
    """A picture in rows without gaps, which may be written to: copied if it has to be."""
    return np.require(picture, requirements=["C", "W"])
