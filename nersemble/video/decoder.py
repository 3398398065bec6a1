"""Exact frames of one video, by timestep.

A picture that does not come out whole is an error, never replaced by its neighbour.
"""

from __future__ import annotations

import operator
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..errors import FrameError
from .engine import PictureDecoder
from .mp4 import Mp4Packets, read_index
from .packets import PacketIndex, PacketReader
from .scan import scan
from .source import ByteSource, FileSource, LocalSource, WindowReader, as_source

#: Open decoders, and what was theirs before a fork: freed in the child, it could wait for threads that are not there.
_LIVE: weakref.WeakSet[VideoDecoder] = weakref.WeakSet()
_BEFORE_FORK: list[Any] = []

#: A keyframe of a full-size video is a few hundred kilobytes.
FIRST_READ = 320 * 1024

Picture = NDArray[np.uint8]


class VideoDecoder:
    """Random access to the frames of a video.

    Args:
        video: A path, or a seekable binary file object.
        name: How messages call the video; the path by default.
        threads: Codec threads.  One is right in worker processes, and for random access.
        first_read: Bytes asked for at first of a remote video: enough for its header and, mostly, its first frame.

    May be shared by threads (calls wait for each other) and used after fork (it opens itself anew).

    Raises:
        FrameError: If it is no video, or its header is cut off.
        AssetNotFoundError: If there is no such file.

    >>> decoder = VideoDecoder("cam_222200037.mp4")     # doctest: +SKIP
    >>> decoder.get_frame_at(0).shape                    # doctest: +SKIP
    (3208, 2200, 3)
    """

    def __init__(
        self,
        video: str | os.PathLike[str] | BinaryIO | ByteSource,
        *,
        name: str | None = None,
        threads: int = 1,
        first_read: int = FIRST_READ,
    ) -> None:
        self._source = as_source(video, name)
        self.name = name or self._source.name
        self._threads = threads
        self._last: Any = None  # the timestep and picture decoded last
        self.index, self._packets = self._read_index(first_read)
        self._start()
        _LIVE.add(self)

    def _read_index(self, first_read: int) -> tuple[PacketIndex, PacketReader]:
        problem = ""
        try:
            reader = WindowReader(self._source)
            plain = read_index(reader, first_read)
            if plain is not None:
                return plain.packets, Mp4Packets(plain, reader)
            return scan(self._source)
        except FrameError as error:
            problem = str(error)
        self._source.close()
        raise FrameError(f"{self.name}: {problem}")

    def __len__(self) -> int:
        return self.index.num_frames

    @property
    def fps(self) -> float:
        """Average frames a second."""
        return float(self.index.fps)

    @property
    def width(self) -> int:
        """Width of the picture in pixels, after rotation."""
        return self.index.display_size[0]

    @property
    def height(self) -> int:
        """Height of the picture in pixels, after rotation."""
        return self.index.display_size[1]

    def get_frame_at(self, timestep: int, size: tuple[int, int] | None = None) -> Picture:
        """Decode one frame.

        Args:
            timestep: 0-based index in presentation order.
            size: (width, height) to resize to (see ``resize_picture``); the video's own by default.

        Returns:
            ``(height, width, 3)`` uint8 RGB.

        Raises:
            FrameError: If there is no such timestep, or it cannot be decoded whole.
        """
        timestep = operator.index(timestep)
        with self._lock:
            return self._to_rgb(self._picture(timestep), size)

    def get_frames_at(self, timesteps: Sequence[int], size: tuple[int, int] | None = None) -> Picture:
        """Decode several frames, in one pass through the video whatever their order.

        Returns:
            ``(len(timesteps), height, width, 3)`` uint8 RGB, in the order asked for.
        """
        width, height = size or (self.width, self.height)
        frames = np.empty((len(timesteps), height, width, 3), np.uint8)
        wanted = [operator.index(timestep) for timestep in timesteps]
        for place in sorted(range(len(wanted)), key=wanted.__getitem__):
            frames[place] = self.get_frame_at(wanted[place], size)
        return frames

    def __iter__(self) -> Iterator[Picture]:
        for timestep in range(len(self)):
            yield self.get_frame_at(timestep)

    def close(self) -> None:
        """Free the codec and the file; closing twice is harmless."""
        with self._lock:
            self._engine = PictureDecoder(self.index, self._packets, self._threads, self._source.remote)
            self._last = None
            self._source.close()

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "index"):  # a traceback with locals shows it half made
            return f"VideoDecoder({self._source.name!r})"
        return f"VideoDecoder({self.name!r}, {len(self)} frames of {self.width} x {self.height})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "A VideoDecoder holds an open file and cannot be pickled; open the video again where it is needed."
        )

    def _picture(self, timestep: int) -> Any:
        if not 0 <= timestep < len(self):
            raise FrameError(
                f"{self.name} has no timestep {timestep}: it has {len(self)} frames, 0 to {len(self) - 1}."
            )
        if self._last is None or self._last[0] != timestep:
            problem = ""
            try:
                self._last = (timestep, self._engine.picture(int(self.index.packet_of[timestep])))
            except FrameError as error:
                problem = str(error)
            if problem:
                raise FrameError(f"{self.name}: timestep {timestep} cannot be decoded: {problem}.")
        return self._last[1]

    def _start(self) -> None:
        self._lock = threading.RLock()
        self._engine = PictureDecoder(self.index, self._packets, self._threads, self._source.remote)
        self._reformatter = VideoReformatter()
        self._last = None

    def _after_fork(self) -> None:
        _BEFORE_FORK.append((self._engine, self._last, self._reformatter, self._lock))
        self._start()
        if isinstance(self._source, (LocalSource, FileSource)):
            self._source.after_fork()

    def _to_rgb(self, frame: Any, size: tuple[int, int] | None) -> Picture:
        if (frame.width, frame.height) != (self.index.width, self.index.height):
            raise FrameError(
                f"{self.name}: a frame of {frame.width} x {frame.height} in a video of {self.index.width} x "
                f"{self.index.height}: the calibration would not fit it."
            )
        # One swscale thread: a pool of them would not survive a fork.
        picture: Any = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        if self.index.rotation:
            picture = np.ascontiguousarray(np.rot90(picture, self.index.rotation // 90))
        return picture if size is None else resize_picture(picture, size)


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize ``(H, W, 3)`` uint8 RGB to (width, height), edges staying edges.

    Whole factors average areas; other factors down use a Hamming window, which unlike a box has no bias to a side;
    factors up are bicubic.

    The picture is resized in RGB, after its colour planes have been brought to full size: resizing the planes of a
    4:2:0 frame instead moves its colours by up to half a pixel.
    """
    height, width = picture.shape[:2]
    if size == (width, height):
        return picture
    if width % size[0] == 0 and height % size[1] == 0:
        resampling = PIL.Image.Resampling.BOX
    elif size[0] <= width and size[1] <= height:
        resampling = PIL.Image.Resampling.HAMMING
    else:
        resampling = PIL.Image.Resampling.BICUBIC
    return np.array(PIL.Image.fromarray(picture).resize(size, resampling))


def _after_fork_in_child() -> None:
    for decoder in list(_LIVE):
        decoder._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
