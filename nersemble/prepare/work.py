"""``run_unit``: videos in, a shard out.

A pure function of the job and the unit: it writes one name, and skips what is there and whole, so that it may be killed
and run again anywhere.  Each video is decoded once, in one pass; a decoded picture is encoded before the next one is
decoded.
"""

from __future__ import annotations

import errno
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import (
    AccessError,
    AssetNotFoundError,
    FrameError,
    NersembleError,
    PrepareError,
    StorageError,
    TransportError,
)
from ..layout import AssetPath, canonical_sequence
from ..memory import give_back
from ..opening import START_READ, open_video
from ..video import VideoDecoder
from ..video.reader import FIRST_READ
from .claim import FolderTakenError, check_claim
from .encode import SUFFIXES, encode_clip, picture_encoder
from .job import Job, UnitResult
from .said import said_by
from .shard import ShardWriter, features_of
from .stages import StageInput, run_stages, sealed
from .target import no_room
from .unit import Unit, UnitVideo
from .unusable import unusable
from .view import UnitView
from .whole import is_whole

Picture = NDArray[np.uint8]
#: What has no hope for any other unit either.
_STOPPING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
#: Bytes of encoded pictures of a unit that are held in memory; more are put on disk until their moments are written.
SPOOL_BYTES = 4 << 20


def run_unit(job: Job, unit: Unit) -> UnitResult:
    """Make the shard of a unit, if it is not there.

    Returns:
        What came of it.  Whatever this package raises is a failed unit, not an exception.
    """
    problem, stops, unserved = "", False, False
    try:
        return _run(job, unit)
    except NersembleError as error:
        problem, unserved = str(error), isinstance(error, TransportError)
        stops = isinstance(error, (AccessError, FolderTakenError))
        stops |= isinstance(error, StorageError) and error.errno in _STOPPING
    except MemoryError:
        problem = "the memory is not enough. Take fewer workers"
    except Exception as error:  # noqa: BLE001 - a library's: of an encoder, say, that does not take this size
        problem = said_by(error)
    return UnitResult(unit.name, "failed", reason=problem, stops=stops, unserved=unserved)


def _run(job: Job, unit: Unit) -> UnitResult:
    name, target = job.shard_name(unit), job.output
    wanted = job.digest_of(unit)
    rows = len(unit.rows(job.options.wanted, job.options.rows))
    if is_whole(job, unit):
        return UnitResult(unit.name, "kept", rows=rows, bytes=target.size(name))
    check_claim(job, unit)
    making = _Making(job, unit)
    with target.writing(name) as part, _giving_back():
        with ShardWriter(part, features_of(job.options, job.columns), wanted) as writer:
            for row, size in making.rows():
                with making.timed("write"):
                    writer.add(row, size)
            closing = time.perf_counter()
        if writer.rows != rows:
            raise PrepareError(f"{name} came out with {writer.rows} rows instead of {rows}. Please report this.")
        check_claim(job, unit)  # again, for it took a while
    making.seconds["write"] += time.perf_counter() - closing  # its end, and the disk's
    seconds = {kind: round(spent, 6) for kind, spent in making.seconds.items()}
    return UnitResult(unit.name, "written", rows, making.pictures, target.size(name), seconds=seconds)


@contextmanager
def _giving_back() -> Iterator[None]:
    """Leave no more memory with a worker after a unit than it had before."""
    try:
        yield
    finally:
        pa.default_memory_pool().release_unused()
        give_back()


class _Making:
    """One unit in the making."""

    def __init__(self, job: Job, unit: Unit) -> None:
        self._job, self._unit = job, unit
        self._wanted = job.options.wanted
        self._encode = None if job.options.rows == "video" else picture_encoder(job.options, job.encoder)
        self._suffix = SUFFIXES[job.options.image_format]
        self.pictures = 0
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[kind] += time.perf_counter() - began

    def rows(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The rows of the shard in their order, each with the bytes of its pictures and columns of stages."""
        kinds: dict[str, Callable[[], Iterator[tuple[dict[str, Any], int]]]] = {
            "frame": self._frames,
            "timestep": self._moments,
            "video": self._clips,
        }
        return kinds[self._job.options.rows]()

    def _ids(self) -> dict[str, Any]:
        return {"participant": self._unit.participant, "sequence": canonical_sequence(self._unit.sequence)}

    def _stem(self, timestep: int, camera: str) -> str:
        return f"{self._unit.participant:03d}_{canonical_sequence(self._unit.sequence)}_{timestep:05d}_{camera}"

    # --- pictures -----------------------------------------------------------------------------------------------------

    def _decoded(self, video: UnitVideo, view: UnitView) -> Iterator[tuple[int, Picture]]:
        """The finished pictures of a video, and their timesteps."""
        timesteps = self._unit.timesteps(self._wanted, video.facts.num_frames)
        path = self._job.capture.path(self._unit.asset(video))
        first_read = FIRST_READ if self._unit.start else START_READ
        problem = ""
        try:
            began = time.perf_counter()
            with open_video(path, first_read=first_read) as decoder:
                _check_unchanged(path, video, decoder)
                for timestep, full in _read(decoder, self._unit.asset(video), timesteps):
                    self.seconds["decode"] += time.perf_counter() - began
                    self.pictures += 1
                    finished = view.finish(full, self.timed)
                    del full  # not held while the next one is decoded
                    yield timestep, finished
                    del finished
                    began = time.perf_counter()
        except AssetNotFoundError:
            problem = f"{path} was there when the work was planned, and is not now. Plan again"
        if problem:
            raise AssetNotFoundError(f"{problem}.")

    def _encoded(self, video: UnitVideo, view: UnitView) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
        """The encoded pictures of a video, with their timesteps and what stages say of them."""
        for timestep, picture in self._decoded(video, view):
            added = self._staged(timestep, video, view, picture)
            with self.timed("encode"):
                data = self._encode(picture) if self._encode else b""
            del picture
            yield timestep, data, added

    def _staged(self, timestep: int, video: UnitVideo, view: UnitView, picture: Picture) -> dict[str, Any]:
        if not self._job.functions:
            return {}
        with self.timed("stages"):
            row = {**self._ids(), "camera": video.camera, "timestep": timestep, "ccm": view.ccm}
            given = StageInput(sealed(picture), view.background, view.camera, row)
            return run_stages(self._job.functions, given, self._stem(timestep, video.camera))

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _frames(self) -> Iterator[tuple[dict[str, Any], int]]:
        for video in self._unit.videos:
            view = UnitView(self._job, self._unit, video)
            for timestep, data, added in self._encoded(video, view):
                frame = {"bytes": data, "path": self._stem(timestep, video.camera) + self._suffix}
                ids = {**self._ids(), "camera": video.camera, "timestep": timestep}
                yield {**ids, "frame": frame, **view.cells, **added}, len(data) + _bytes_of(list(added.values()))

    def _moments(self) -> Iterator[tuple[dict[str, Any], int]]:
        held: dict[int, list[tuple[UnitView, _Kept, dict[str, Any]]]] = defaultdict(list)
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            for video in self._unit.videos:
                view = UnitView(self._job, self._unit, video)
                for timestep, data, added in self._encoded(video, view):
                    name = self._stem(timestep, video.camera) + self._suffix
                    kept = _Kept.put(spool, {"bytes": data, "path": name})
                    held[timestep].append((view, kept, {key: _Kept.put(spool, one) for key, one in added.items()}))
                view.forget()
            give_back()  # what decoders left, before shards take memory too
            for timestep in sorted(held):
                parts = held.pop(timestep)
                frames = [kept.get(spool) for _, kept, _ in parts]
                lists: dict[str, list[Any]] = {
                    "cameras": [view.serial for view, _, _ in parts],
                    "frames": frames,
                    **{key: [view.cells[key] for view, _, _ in parts] for key in parts[0][0].cells},
                }
                for column in self._job.columns:
                    lists[column] = [added[column].get(spool) for _, _, added in parts]
                size = _bytes_of([frames, *(lists[column] for column in self._job.columns)])
                yield {**self._ids(), "timestep": timestep, **lists}, size

    def _clips(self) -> Iterator[tuple[dict[str, Any], int]]:
        for video in self._unit.videos:
            timesteps: list[int] = []
            lists: dict[str, list[Any]] = {column: [] for column in self._job.columns}
            wanted = self._unit.timesteps(self._wanted, video.facts.num_frames)
            if not len(wanted):
                continue
            step = int(np.diff(wanted).min()) if len(wanted) > 1 else 1
            fps = video.facts.fps / step
            view = UnitView(self._job, self._unit, video)
            data = encode_clip(self._clip(video, view, timesteps, lists), fps, self._job.options, self.timed)
            clip = {"bytes": data, "path": self._stem(timesteps[0], video.camera) + ".mp4"}
            facts = {"timesteps": timesteps, "num_frames": len(timesteps), "fps": fps}
            size = len(data) + _bytes_of(list(lists.values()))
            yield {**self._ids(), "camera": video.camera, "video": clip, **facts, **view.cells, **lists}, size

    def _clip(
        self, video: UnitVideo, view: UnitView, timesteps: list[int], lists: dict[str, list[Any]]
    ) -> Iterator[Picture]:
        for timestep, picture in self._decoded(video, view):
            timesteps.append(timestep)
            for column, value in self._staged(timestep, video, view, picture).items():
                lists[column].append(value)
            yield picture
            del picture


class _Kept:
    """A value of a row, whose bytes wait in a file."""

    def __init__(self, value: Any, place: tuple[int, int] | None) -> None:
        self._value, self._place = value, place

    @classmethod
    def put(cls, spool: Any, value: Any) -> _Kept:
        """Put the bytes of a picture into the file; any other value is kept as it is."""
        if not isinstance(value, dict):
            return cls(value, None)
        problem: OSError | None = None
        try:
            start = spool.seek(0, 2)
            start = spool.tell() if start is None else start  # before Python 3.11
            spool.write(value["bytes"])
            return cls(value["path"], (start, len(value["bytes"])))
        except OSError as error:
            problem = error
        raise no_room("the encoded pictures of a unit", problem)

    def get(self, spool: Any) -> Any:
        """The value."""
        if self._place is None:
            return self._value
        spool.seek(self._place[0])
        return {"bytes": spool.read(self._place[1]), "path": self._value}


def _read(decoder: VideoDecoder, asset: AssetPath, timesteps: NDArray[np.int32]) -> Iterator[tuple[int, Picture]]:
    """Pictures of a video, and what to do where one cannot be had."""
    problem = ""
    try:
        yield from decoder.read_many(map(int, timesteps), threads=1, ends=True)
    except FrameError as error:
        problem = str(error)
    if problem:
        raise unusable(asset, problem)


def _bytes_of(value: Any) -> int:
    """How many bytes the pictures and texts in a value have, about."""
    if isinstance(value, list):
        return sum(map(_bytes_of, value))
    if isinstance(value, dict):
        return len(value["bytes"])
    return len(value) if isinstance(value, str) else 0


def _check_unchanged(path: str, video: UnitVideo, decoder: VideoDecoder) -> None:
    planned = (video.facts.num_frames, video.facts.width, video.facts.height, video.bytes)
    found = (len(decoder), decoder.width, decoder.height, decoder.num_bytes)
    if found == planned and decoder.fingerprint != video.fingerprint:
        raise FrameError(f"{path} has become another video of that length since the work was planned. Plan again.")
    if found != planned:
        raise FrameError(
            f"{path} has changed since the work was planned: {found[0]} frames of {found[1]} x {found[2]} in "
            f"{found[3]:,} bytes, not {planned[0]} of {planned[1]} x {planned[2]} in {planned[3]:,}. Plan again."
        )
