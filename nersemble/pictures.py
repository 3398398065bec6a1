"""The picture that a row gives: a PIL image that leaves the pixels where the decoder put them until PIL needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from .video.resize import as_image


class FramePicture(PIL.Image.Image):
    """A decoded frame, in RGB.

    ``numpy.asarray`` gives its pixels without a copy, as a read-only array; every method of PIL works as on any other
    image, and takes a copy of the pixels for PIL when the first of them needs it.

    Args:
        pixels: ``(H, W, 3)`` uint8, which nobody may change any more.
        filename: What the picture is written back as; see ``VideoFrame``.
    """

    _pixels: NDArray[np.uint8] | None = None

    def __init__(self, pixels: NDArray[np.uint8], filename: str) -> None:
        super().__init__()
        if pixels.strides[1:] != (3, 1) or pixels.strides[0] < 3 * pixels.shape[1]:
            pixels = np.ascontiguousarray(pixels)
        self._mode = "RGB"
        self._size = pixels.shape[1], pixels.shape[0]
        self._pixels = pixels.view()
        self._pixels.flags.writeable = False
        self.filename = filename

    def load(self) -> Any:
        """Hand the pixels over to PIL."""
        pixels = self._pixels
        if pixels is not None:
            self.im = as_image(pixels).im
            self._pixels = None  # only now: another thread may look
        return super().load()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        pixels = self._pixels
        if pixels is None:
            return super().__array_interface__
        # Not an address, which would not keep the pixels alive when PIL takes over: a buffer, and where they lie in it.
        rows, columns, _ = pixels.shape
        step = pixels.strides[0]
        flat = np.lib.stride_tricks.as_strided(pixels, ((rows - 1) * step + 3 * columns,), (1,), writeable=False)
        return {"version": 3, "shape": pixels.shape, "typestr": "|u1", "strides": pixels.strides, "data": flat}
