"""The frames that rows refer to, decoded: one, or many of them in one pass through each of their videos.

``planned`` is how a batch of rows becomes one pass: what it read is handed out while it lasts, in this thread.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import scaled_size
from .color import correct_color
from .cores import usable_cores
from .errors import FrameError
from .opening import START_READ, color_matrix, lease_video, local_path
from .parallel import map_on_threads
from .video import VideoDecoder, resize_picture
from .video.reader import FIRST_READ

Picture = NDArray[np.uint8]

COLOR_ORDERS = RESIZE_FIRST, CORRECT_FIRST = "resize_first", "correct_first"
#: Videos read at once from a server, whose answers are waited for.
REMOTE_THREADS = 16
#: As loads name folders in the cache of `datasets`; what else lies on a disk, no load fetches again.
_DOWNLOADED = re.compile(r"/nersemble/(v2|[0-9a-f]{16})/\d{3,}/sequences/")


@dataclass(frozen=True)
class FrameOptions:
    """How a frame is to be given: as the arguments of ``VideoFrame``."""

    scale: float | None = None
    size: tuple[int, int] | None = None
    color_correction: bool = False
    color_order: str = RESIZE_FIRST

    @property
    def corrects_first(self) -> bool:
        """Whether colours are corrected at full size, and the picture is resized after that."""
        return self.color_correction and self.color_order == CORRECT_FIRST


@dataclass(frozen=True)
class FrameReference:
    """A frame of a video, and how it is to be given."""

    path: str
    timestep: int
    options: FrameOptions = FrameOptions()


def read_frame(reference: FrameReference) -> Picture:
    """Decode a frame: ``(height, width, 3)`` uint8 RGB, in rows that may lie further apart than they are long.

    Raises:
        FrameError: If it cannot be decoded exactly.
        AssetNotFoundError: If the video is not there.
        CalibrationError: If colours are to be corrected and the camera has no matrix.
    """
    held = getattr(_plan, "pictures", None)
    if held and reference in held:
        return held[reference]
    with _lease(reference.path, reference.timestep) as decoder:
        at_first, at_last = _sizes(decoder, reference.options)
        return _finish(reference, decoder.read(reference.timestep, at_first), at_last)


def read_frames(references: Iterable[FrameReference]) -> dict[FrameReference, Picture]:
    """Decode frames, each once, in one pass through each video and several videos at a time; as ``read_frame``."""
    groups: dict[tuple[str, FrameOptions], list[FrameReference]] = {}
    for reference in dict.fromkeys(references):
        groups.setdefault((reference.path, reference.options), []).append(reference)
    remote = any(local_path(path) is None for path, _ in groups)
    threads = min(len(groups), REMOTE_THREADS if remote else usable_cores())
    if threads <= 1:
        return {reference: picture for group in groups.values() for reference, picture in _read_group(group, None)}
    read = map_on_threads(lambda group: list(_read_group(group, 1)), list(groups.values()), threads)
    return {reference: picture for group in read for reference, picture in group}


def _read_group(group: list[FrameReference], threads: int | None) -> Iterator[tuple[FrameReference, Picture]]:
    """Frames of one video that are to be given in one way."""
    at = {reference.timestep: reference for reference in group}
    with _lease(group[0].path, min(at)) as decoder:
        at_first, at_last = _sizes(decoder, group[0].options)
        for timestep, picture in decoder.read_many(at, at_first, threads):
            finished = _finish(at[timestep], picture, at_last)
            del picture  # not held while the next one is decoded
            yield at[timestep], finished


@contextlib.contextmanager
def _lease(path: str, timestep: int) -> Iterator[VideoDecoder]:
    problem = ""
    try:
        with lease_video(path, first_read=FIRST_READ if timestep else START_READ) as decoder:
            yield decoder
            return
    except FrameError as error:
        if "cut off" not in str(error) or not _DOWNLOADED.search(path):
            raise
        problem = str(error)
    raise FrameError(
        f"{problem} If it is in the cache of datasets, loading the data set with "
        'download_mode="reuse_cache_if_exists" fetches what is gone or cut off.'
    )


def _sizes(decoder: VideoDecoder, options: FrameOptions) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """What to resize to before colours are corrected, and after."""
    wanted = scaled_size((decoder.width, decoder.height), options.scale, options.size)
    return None if options.corrects_first else wanted, wanted


def _finish(reference: FrameReference, picture: Picture, size: tuple[int, int]) -> Picture:
    if reference.options.color_correction:
        picture = correct_color(picture, color_matrix(reference.path))
    return resize_picture(picture, size)


_plan = threading.local()


@contextlib.contextmanager
def planned(references: Iterable[FrameReference]) -> Iterator[None]:
    """While it lasts, ``read_frame`` of these, in this thread, is answered from one pass through their videos."""
    before = getattr(_plan, "pictures", None)
    _plan.pictures = read_frames(references)
    try:
        yield
    finally:
        _plan.pictures = before
