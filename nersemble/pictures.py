"""The picture that a row gives: a PIL image that leaves the pixels where the decoder put them until PIL needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from .video.resize import as_image

#: Rows that are compared at once.
_BAND = 128


class FramePicture(PIL.Image.Image):
    """A decoded frame, in RGB.

    ``numpy.asarray`` gives its pixels without a copy, as a read-only array; every method of PIL works as on any other
    image, and takes a copy of the pixels for PIL when the first of them needs it.

    Args:
        pixels: ``(H, W, 3)`` uint8, which nobody may change any more.
        filename: The name of these pixels, which ``datasets`` stores instead of them; see ``VideoFrame``.
    """

    _im: Any = None
    _pixels: NDArray[np.uint8] | None = None
    _filename = ""
    _named_otherwise = False

    def __init__(self, pixels: NDArray[np.uint8], filename: str) -> None:
        super().__init__()
        if pixels.strides[1:] != (3, 1) or pixels.strides[0] < 3 * pixels.shape[1]:
            pixels = np.ascontiguousarray(pixels)
        self._mode = "RGB"
        self._size = pixels.shape[1], pixels.shape[0]
        self._pixels = pixels.view()
        self._pixels.flags.writeable = False
        self._filename = filename

    @property
    def filename(self) -> str:
        """The name of the pixels; empty once they were changed, so that what is stored is the picture itself.

        PIL gives no notice of a change (drawing writes into ``im``, and so do the pixels that ``load`` gives): PIL's
        pixels are compared with the decoder's, which are kept for it.  An assigned name is kept whatever happens.
        """
        return self._filename if self._named_otherwise or self._unchanged() else ""

    @filename.setter
    def filename(self, filename: str) -> None:
        self._filename = filename
        self._named_otherwise = True

    def _unchanged(self) -> bool:
        pixels = self._pixels
        if pixels is None or self._im is None:
            return pixels is not None
        if (self.mode, self.size) != ("RGB", pixels.shape[1::-1]):
            return False
        width, height = self.size
        for top in range(0, height, _BAND):  # a fresh copy of all of them would cost thrice as much
            band = self.crop((0, top, width, min(top + _BAND, height)))
            if band.tobytes() != pixels[top : top + _BAND].tobytes():
                return False
        return True

    @property
    def im(self) -> Any:
        """What PIL works on, made when it is first asked for: not all of PIL calls ``load`` before."""
        if self._im is None and self._pixels is not None:
            self._im = as_image(self._pixels).im
        return self._im

    @im.setter
    def im(self, im: Any) -> None:
        self._im = im

    def load(self) -> Any:
        """Hand the pixels over to PIL."""
        _ = self.im
        return super().load()

    def close(self) -> None:
        """Give up the pixels, but not their name."""
        self.filename = self.filename
        super().close()
        self._pixels = None

    def __eq__(self, other: object) -> bool:
        """Whether the other is an equal picture, of a row or of PIL's own making, such as a copy."""
        return self.copy() == (other.copy() if isinstance(other, FramePicture) else other)

    __hash__ = None  # type: ignore[assignment]  # pictures can be changed

    @property
    def __array_interface__(self) -> dict[str, Any]:
        pixels = self._pixels
        if pixels is None or self._im is not None:
            return super().__array_interface__
        # Not an address, which would not keep the pixels alive when PIL takes over: a buffer, and where they lie in it.
        rows, columns, _ = pixels.shape
        step = pixels.strides[0]
        flat = np.lib.stride_tricks.as_strided(pixels, ((rows - 1) * step + 3 * columns,), (1,), writeable=False)
        return {"version": 3, "shape": pixels.shape, "typestr": "|u1", "strides": pixels.strides, "data": flat}
