"""Frames of one video by timestep, as the rest of this package reads them: one by one, or many in one pass.

Pictures that it gives need not be contiguous: their rows may lie further apart than they are long.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ..errors import FrameError
from ..memory import LARGE, keep_picture_memory
from ..written import count_of
from .asked import whole
from .engine import PictureDecoder
from .indexing import index_of
from .outlook import LONGEST_STEP, Outlook, outlooks_of
from .packets import PacketIndex, PacketReader
from .resize import Picture
from .rgb import RgbConverter
from .source import ByteSource, FileSource, LocalSource, as_source

_LIVE: weakref.WeakSet[FrameReader] = weakref.WeakSet()
#: What was theirs before a fork.  Freed in the child, a codec would wait for threads that are not there.
_BEFORE_FORK: list[Any] = []

#: The header of a video is a few kilobytes.
FIRST_READ = 32 * 1024
#: Pictures that a codec holds (references, reordering, its threads), by which memory is estimated; bytes of a pixel.
PICTURES_HELD, BYTES_A_PIXEL = {"h264": 8, "hevc": 12}, 1.5
#: Bytes of a decoder that has not decoded.
LEAST_HELD = 64 * 1024


class FrameReader:
    """An open video; ``VideoDecoder`` says what it is given and what it raises."""

    def __init__(
        self,
        video: str | os.PathLike[str] | BinaryIO | ByteSource,
        *,
        name: str | None = None,
        threads: int | None = None,
        first_read: int = FIRST_READ,
    ) -> None:
        self._last: Any  # the timestep and picture decoded last
        self._last_timestep: int
        self._last_step: int
        threads = None if threads is None else count_of(threads, "threads")
        self._source = as_source(video, name)
        self.name = name or self._source.name
        self._threads = threads
        self.index, self._packets = self._read_index(first_read)
        if 3 * self.index.width * self.index.height >= LARGE:
            keep_picture_memory()
        self._start()
        _LIVE.add(self)

    def _read_index(self, first_read: int) -> tuple[PacketIndex, PacketReader]:
        problem = ""
        try:
            return index_of(self._source, first_read)
        except FrameError as error:
            problem = str(error)
        self._source.close()
        raise FrameError(f"{self.name}: {problem}")

    def __len__(self) -> int:
        return self.index.num_frames

    @property
    def num_bytes(self) -> int:
        """Length of the file in bytes."""
        problem = ""
        try:
            return self._source.size()
        except FrameError as error:
            problem = str(error)
        raise FrameError(f"{self.name}: its length cannot be read: {problem}.")

    @property
    def fingerprint(self) -> str:
        """What tells the video from others, as far as its header does."""
        return self.index.digest(self._packets.sizes)

    @property
    def held_bytes(self) -> float:
        """Memory that it takes, estimated: most of it is a codec's, where one is open."""
        picture = self.index.width * self.index.height * BYTES_A_PIXEL
        pictures = PICTURES_HELD.get(self.index.codec, max(PICTURES_HELD.values())) if self._engine.used else 0
        return LEAST_HELD + self._packets.held_bytes + pictures * picture

    def read(self, timestep: int, size: tuple[int, int] | None = None, threads: int | None = None) -> Picture:
        """``get_frame_at``, in rows that may lie further apart than they are long."""
        timestep = whole(timestep, "timestep", self.name)
        with self._lock:
            step = timestep - self._last_timestep
            goes_on = step == 1 or (0 < step <= LONGEST_STEP and step == self._last_step)
            if step:
                self._last_timestep, self._last_step = timestep, step
            return self._rgb.picture(self._picture(timestep, Outlook(stride=step if goes_on else 0), threads), size)

    def read_many(
        self,
        timesteps: Iterable[int],
        size: tuple[int, int] | None = None,
        threads: int | None = None,
        *,
        ends: bool = False,
    ) -> Iterator[tuple[int, Picture]]:
        """Each of some frames once, in order, with its timestep; as ``read``.  ``ends``: nothing is read behind."""
        wanted = sorted(set(timesteps))
        for timestep in wanted:
            self._check(timestep)
        if not wanted:
            return
        if len(wanted) == 1:
            yield wanted[0], self.read(wanted[0], size, threads)
            return
        with self._lock:
            self._packets.expect(self._spans(self.index.packet_of[wanted].tolist()))
        for timestep, outlook in zip(wanted, outlooks_of(self.index, wanted, ends), strict=True):
            yield timestep, self._read_next(timestep, outlook, size, threads)  # no name holds what was given

    def _read_next(self, timestep: int, outlook: Outlook, size: tuple[int, int] | None, threads: int | None) -> Picture:
        with self._lock:
            self._last_timestep, self._last_step = timestep, outlook.stride
            return self._rgb.picture(self._picture(timestep, outlook, threads), size)

    def _spans(self, packets: Iterable[int]) -> list[tuple[int, int]]:
        """The runs of packets, first and last one, that are read for pictures: each from its keyframe on."""
        last: dict[int, int] = {}
        for packet in packets:
            start = self.index.start_for(packet)
            last[start] = max(last.get(start, 0), packet)
        return list(last.items())

    def close(self) -> None:
        """Free the codec and the file; closing twice is harmless."""
        with self._lock:
            self._engine = self._new_engine()
            self._last = None
            self._source.close()

    def _check(self, timestep: int) -> None:
        if not 0 <= timestep < len(self):
            raise FrameError(
                f"{self.name} has no timestep {timestep}: it has {len(self)} frames, 0 to {len(self) - 1}."
            )

    def _picture(self, timestep: int, outlook: Outlook, threads: int | None) -> Any:
        self._check(timestep)
        if self._last is None or self._last[0] != timestep:
            problem, self._last = "", None  # the codec can use its memory for the next one
            try:
                packet = int(self.index.packet_of[timestep])
                self._last = (timestep, self._engine.picture(packet, outlook, threads or self._threads))
            except FrameError as error:
                problem = str(error)
            except BaseException:  # a request failed, or Ctrl-C: what of a packet was noted is not known
                self._engine = self._new_engine()
                raise
            if problem:
                raise FrameError(f"{self.name}: timestep {timestep} cannot be decoded: {problem}.")
        return self._last[1]

    def _new_engine(self) -> PictureDecoder:
        return PictureDecoder(self.index, self._packets, self._source.remote)

    def _start(self) -> None:
        self._lock = threading.RLock()
        self._engine = self._new_engine()
        self._rgb = RgbConverter(self.name, self.index)
        self._last = None
        self._last_timestep = self._last_step = -2

    def _after_fork(self) -> None:
        _BEFORE_FORK.append((self._engine, self._last, self._rgb, self._lock))
        self._start()
        if isinstance(self._source, (LocalSource, FileSource)):
            self._source.after_fork()

    def _let_go(self) -> None:
        """Let go of the file until the next read; the codec, which may be that of a parent, is not touched."""
        if isinstance(self._source, LocalSource):
            self._source.let_go()


def _after_fork_in_child() -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_BEFORE_FORK))  # not even the end of the interpreter frees it
    for decoder in list(_LIVE):
        decoder._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
