"""Decoded frames of a video as RGB, turned as they are shown."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import FrameError
from .packets import PacketIndex
from .resize import Picture, resize_picture


class RgbConverter:
    """Makes pictures of the frames of one video, by swscale."""

    def __init__(self, name: str, index: PacketIndex) -> None:
        self.name, self.index = name, index
        self._reformatter = VideoReformatter()

    def picture(self, frame: Any, size: tuple[int, int] | None) -> Picture:
        """A frame as ``(height, width, 3)`` uint8 RGB, in rows that may lie further apart than they are long.

        Args:
            frame: As the codec gave it.
            size: (width, height) to resize to, of the turned picture; its own if None.

        Raises:
            FrameError: If the frame has another size than its video, or colours that swscale does not convert.
        """
        if (frame.width, frame.height) != (self.index.width, self.index.height):
            raise FrameError(
                f"{self.name}: a frame of {frame.width} x {frame.height} in a video of {self.index.width} x "
                f"{self.index.height}, as its header says: the calibration would not fit it. Encode the video anew."
            )
        # One swscale thread: a pool of them would not survive a fork.  Not rgb0, though PIL could take that as it is:
        # swscale leaves its last columns wrong at widths of 2 or 4 beyond a multiple of 8.
        picture: Any = None
        with contextlib.suppress(OSError):
            picture = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        if picture is None:
            raise FrameError(
                f"{self.name}: its colours cannot be made RGB: FFmpeg does not convert the colour matrix that the "
                "video says it has. Encode the video anew with a usual one, such as BT.709."
            )
        if self.index.rotation:
            picture = np.ascontiguousarray(np.rot90(picture, self.index.rotation // 90))
        return picture if size is None else resize_picture(picture, size)
