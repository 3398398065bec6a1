"""Resizing a decoded picture, edges staying edges.

In RGB, after the colour planes have been brought to full size: resizing the planes of a 4:2:0 frame instead moves its
colours by up to half a pixel.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize ``(H, W, 3)`` uint8 RGB to (width, height).

    Whole factors average areas, rounded once; other factors down use a Hamming window, which unlike a box has no bias
    to a side; factors up are bicubic.

    Args:
        picture: Rows may lie further apart than they are long.
        size: (width, height) in pixels.

    Returns:
        ``(height, width, 3)`` uint8, contiguous; the picture itself if it has that size.
    """
    height, width = picture.shape[:2]
    if size == (width, height):
        return picture
    image = as_image(picture)
    if width % size[0] == 0 and height % size[1] == 0:
        return np.array(image.reduce((width // size[0], height // size[1])))
    down = size[0] <= width and size[1] <= height
    return np.array(image.resize(size, PIL.Image.Resampling.HAMMING if down else PIL.Image.Resampling.BICUBIC))


def as_image(picture: Picture) -> PIL.Image.Image:
    """A PIL image of ``(H, W, 3)`` uint8 RGB, in one copy even where rows lie further apart than they are long."""
    height, width = picture.shape[:2]
    step = picture.strides[0]
    if picture.strides[1:] != (3, 1) or step < 3 * width or height == 1:
        return PIL.Image.fromarray(np.ascontiguousarray(picture))
    rows = np.lib.stride_tricks.as_strided(picture, ((height - 1) * step + 3 * width,), (1,), writeable=False)
    return PIL.Image.frombuffer("RGB", (width, height), rows, "raw", "RGB", step, 1)
