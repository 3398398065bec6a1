"""Exact frames of one video, by timestep.

A picture that does not come out whole is an error, never replaced by its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .asked import range_of, timesteps_of
from .reader import FrameReader
from .resize import Picture, checked_size, contiguous
from .tensor import converter

if TYPE_CHECKING:
    import torch


class VideoDecoder(FrameReader):
    """Random access to the frames of a video.

    Args:
        video: A path, or a seekable binary file object.
        name: How messages call the video; the path by default.
        threads: Codec threads; by default one in worker processes and for lone frames near their keyframe, or else two.
        first_read: Bytes asked for at first of a remote video: enough for its header.

    May be shared by threads (calls wait for each other) and used after fork (it opens itself anew).

    Raises:
        FrameError: If it is no video, or its header is cut off.
        AssetNotFoundError: If there is no such file.
        SelectionError: If ``threads`` is no number of threads; its methods, if ``size`` is no size.

    >>> decoder = VideoDecoder("cam_222200037.mp4")     # doctest: +SKIP
    >>> decoder.get_frame_at(0).shape                    # doctest: +SKIP
    (3208, 2200, 3)
    """

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

    @overload
    def get_frame_at(
        self, timestep: int, size: tuple[int, int] | None = None, *, as_tensor: Literal[False] = False
    ) -> Picture: ...
    @overload
    def get_frame_at(
        self, timestep: int, size: tuple[int, int] | None = None, *, as_tensor: Literal[True]
    ) -> torch.Tensor: ...
    @overload
    def get_frame_at(
        self, timestep: int, size: tuple[int, int] | None = None, *, as_tensor: bool
    ) -> Picture | torch.Tensor: ...
    def get_frame_at(
        self, timestep: int, size: tuple[int, int] | None = None, *, as_tensor: bool = False
    ) -> Picture | torch.Tensor:
        """Decode one frame.

        Args:
            timestep: 0-based index in presentation order.
            size: (width, height) to resize to (see ``resize_picture``); the video's own by default.
            as_tensor: Give a torch tensor, channels first.

        Returns:
            ``(height, width, 3)`` uint8 RGB; as a tensor ``(3, height, width)``.

        Raises:
            FrameError: If there is no such timestep, or it cannot be decoded whole.
            TypeError: If it is no whole number.
        """
        converted = converter(as_tensor)
        return converted(contiguous(self.read(timestep, size)))

    @overload
    def get_frames_at(
        self, timesteps: Sequence[int], size: tuple[int, int] | None = None, *, as_tensor: Literal[False] = False
    ) -> Picture: ...
    @overload
    def get_frames_at(
        self, timesteps: Sequence[int], size: tuple[int, int] | None = None, *, as_tensor: Literal[True]
    ) -> torch.Tensor: ...
    @overload
    def get_frames_at(
        self, timesteps: Sequence[int], size: tuple[int, int] | None = None, *, as_tensor: bool
    ) -> Picture | torch.Tensor: ...
    def get_frames_at(
        self, timesteps: Sequence[int], size: tuple[int, int] | None = None, *, as_tensor: bool = False
    ) -> Picture | torch.Tensor:
        """Decode several frames in one pass through the video, whatever their order and however often they come.

        Returns:
            ``(len(timesteps), height, width, 3)`` uint8 RGB, in the order asked for; as a tensor
            ``(len(timesteps), 3, height, width)``.

        Raises:
            FrameError: If one of them does not exist, or cannot be decoded whole.
            TypeError: If they are no list of whole numbers.
        """
        converted = converter(as_tensor)
        wanted = timesteps_of(timesteps, self.name)
        places: dict[int, list[int]] = {}
        for place, timestep in enumerate(wanted):
            places.setdefault(timestep, []).append(place)
        width, height = checked_size(size) or (self.width, self.height)
        for timestep in places:
            self._check(timestep)
        frames = np.empty((len(wanted), height, width, 3), np.uint8)
        for timestep, picture in self.read_many(places, size):
            for place in places[timestep]:
                frames[place] = picture
            del picture  # not held while the next one is made
        return converted(frames)

    @overload
    def get_frames_in_range(
        self,
        start: int,
        stop: int,
        step: int = 1,
        size: tuple[int, int] | None = None,
        *,
        as_tensor: Literal[False] = False,
    ) -> Picture: ...
    @overload
    def get_frames_in_range(
        self, start: int, stop: int, step: int = 1, size: tuple[int, int] | None = None, *, as_tensor: Literal[True]
    ) -> torch.Tensor: ...
    @overload
    def get_frames_in_range(
        self, start: int, stop: int, step: int = 1, size: tuple[int, int] | None = None, *, as_tensor: bool
    ) -> Picture | torch.Tensor: ...
    def get_frames_in_range(
        self,
        start: int,
        stop: int,
        step: int = 1,
        size: tuple[int, int] | None = None,
        *,
        as_tensor: bool = False,
    ) -> Picture | torch.Tensor:
        """Decode the frames of ``range(start, stop, step)``, in one pass.

        Returns:
            As ``get_frames_at``.

        Raises:
            FrameError, TypeError: As ``get_frames_at``.
            SelectionError: If the step is 0.
        """
        return self.get_frames_at(range_of(start, stop, step, self.name), size, as_tensor=as_tensor)

    def __iter__(self) -> Iterator[Picture]:
        yield from map(contiguous, map(itemgetter(1), self.read_many(range(len(self)))))  # no name holds a picture

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "index"):  # a traceback with locals shows it half made
            return f"VideoDecoder({self._source.name!r})" if hasattr(self, "_source") else "VideoDecoder()"
        return f"VideoDecoder({self.name!r}, {len(self)} frames of {self.width} x {self.height})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "A VideoDecoder holds an open file and cannot be pickled; open the video again where it is needed."
        )
