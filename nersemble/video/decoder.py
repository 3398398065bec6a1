"""Exact frames of one video, by timestep.

The decoder is fed with packets picked from the index, each labelled with its number, so that a decoded picture says
itself which timestep it is: no time stamp is compared, no seek can be off by one.  A picture that does not come out
whole is an error, never replaced by its neighbour.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import PIL.Image
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..errors import FrameError, NersembleError
from .mp4 import Mp4Packets, read_index
from .packets import PacketIndex, PacketReader
from .scan import scan
from .source import ByteSource, WindowReader, as_source

#: Codec contexts opened before a fork: freeing them in the child could wait for threads that are not there.
_BEFORE_FORK: list[Any] = []

Picture = NDArray[np.uint8]


class VideoDecoder:
    """Random access to the frames of a video.

    Args:
        video: A path, or a seekable binary file object.
        name: How messages call the video; the path by default.
        threads: Codec threads.  One is right in worker processes, and for random access.

    May be shared by threads (calls wait for each other) and used after fork (it opens itself anew).

    Raises:
        FrameError: If it is no video, or its header is cut off.
        AssetNotFoundError: If there is no such file.

    >>> decoder = VideoDecoder("cam_222200037.mp4")     # doctest: +SKIP
    >>> decoder.get_frame_at(0).shape                    # doctest: +SKIP
    (3208, 2200, 3)
    """

    def __init__(
        self, video: str | os.PathLike[str] | BinaryIO | ByteSource, *, name: str | None = None, threads: int = 1
    ):
        self._source = as_source(video, name)
        self.name = name or self._source.name
        self._threads = threads
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._context: Any = None
        self._last: tuple[int, Any] | None = None
        self._reformatter = VideoReformatter()
        self.index, self._packets = self._read_index()
        self._reset()

    def _read_index(self) -> tuple[PacketIndex, PacketReader]:
        problem = ""
        try:
            reader = WindowReader(self._source)
            plain = read_index(reader)
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
        with self._lock:
            self._after_fork()
            return self._to_rgb(self._decode(self._packet(timestep), timestep), size)

    def get_frames_at(self, timesteps: Sequence[int], size: tuple[int, int] | None = None) -> Picture:
        """Decode several frames, in one pass through the video whatever their order.

        Returns:
            ``(len(timesteps), height, width, 3)`` uint8 RGB, in the order asked for.
        """
        width, height = size or (self.width, self.height)
        frames = np.empty((len(timesteps), height, width, 3), np.uint8)
        for place in np.argsort(np.asarray(timesteps, np.int64), kind="stable").tolist():
            frames[place] = self.get_frame_at(int(timesteps[place]), size)
        return frames

    def __iter__(self) -> Iterator[Picture]:
        for timestep in range(len(self)):
            yield self.get_frame_at(timestep)

    def close(self) -> None:
        """Free the codec and the file; closing twice is harmless."""
        with self._lock:
            self._context = None
            self._last = None
            self._source.close()

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"VideoDecoder({self.name!r}, {len(self)} frames of {self.width} x {self.height})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "A VideoDecoder holds an open file and cannot be pickled; open the video again where it is needed."
        )

    # --- decoding -------------------------------------------------------------------------------------------------

    def _packet(self, timestep: int) -> int:
        if not 0 <= timestep < len(self):
            raise FrameError(
                f"{self.name} has no timestep {timestep}: it has {len(self)} frames, 0 to {len(self) - 1}."
            )
        return int(self.index.packet_of[timestep])

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            _BEFORE_FORK.append((self._context, self._last, self._reformatter))
            self._pid = os.getpid()
            self._context = None
            self._reformatter = VideoReformatter()
            self._reset()

    def _reset(self) -> None:
        """Forget where the decoder stands."""
        self._last = None
        self._origin = self._fed = 0  # decoding began at packet `origin`; packet `fed` is next
        self._floor = -1  # the highest rank that came out: what ranks below it will not come any more

    def _open_context(self) -> Any:
        context: Any = av.CodecContext.create(self.index.codec, "r")
        context.extradata = self.index.extradata
        context.thread_count = self._threads
        context.options = {"has_b_frames": str(self.index.reorder_depth)}
        return context

    def _decode(self, packet: int, timestep: int) -> Any:
        if self._last is not None and self._last[0] == packet:
            return self._last[1]
        problem: str | None = None
        start: int | None = self.index.start_for(packet)
        while start is not None:
            try:
                frame = self._run(start, packet)
                if frame is not None:
                    self._last = (packet, frame)
                    return frame
                problem = "the decoder left it out"
            except av.error.FFmpegError as error:
                problem = f"{type(error).__name__}: the data is damaged"
            except NersembleError as error:
                problem = str(error)
                start = None
            # A frame may lean on more than its keyframe (intra refresh, a keyframe that is none): begin further back.
            self._context = None
            self._reset()
            start = None if start is None else self.index.keyframe_before(start)
        raise FrameError(f"{self.name}: timestep {timestep} cannot be decoded: {problem}.")

    def _run(self, start: int, target: int) -> Any:
        """Feed packets from ``start``, or from where the decoder stands, until ``target`` comes out."""
        rank = self.index.rank
        ahead = self._context is not None and self._origin <= start <= self._fed and rank[target] > self._floor
        if not ahead:
            if self._context is None:
                self._context = self._open_context()
            elif self._fed:
                self._context.flush_buffers()
            self._reset()
            self._origin = self._fed = start
        count = len(rank)
        found: Any = None
        while found is None and self._floor < rank[target] and self._fed <= count:
            for data in self._next_packets(target):
                for frame in self._feed(data):
                    if frame.pts is None:
                        continue
                    self._floor = max(self._floor, int(rank[frame.pts]))
                    if frame.pts == target:
                        found = frame
                if found is not None or self._floor >= rank[target]:
                    break
        if found is not None and found.is_corrupt:
            raise av.error.InvalidDataError(0, "corrupt frame")
        return found

    def _next_packets(self, target: int) -> list[bytes | None]:
        """The packets to feed for ``target``, in one read; None, the end of the stream, after the last one."""
        final = len(self.index.rank) - 1
        last = min(final, max(target + self.index.reorder_depth, self._fed))
        packets: list[bytes | None] = []
        if self._fed <= last:
            packets.extend(self._packets.read(self._fed, last))
        return [*packets, None] if last == final else packets

    def _feed(self, data: bytes | None) -> list[Any]:
        number = self._fed
        self._fed += 1
        if data is None:
            return list(self._context.decode(None))
        packet = av.Packet(data)
        packet.pts = packet.dts = number
        return list(self._context.decode(packet))

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
