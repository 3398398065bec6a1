"""What the builder asks of one capture, wherever it lies: paths for rows, calibrations, and facts of videos.

A ``Capture`` is a folder in the published layout (downloaded before, or by ``nersemble.download``) or the server behind
``nersemble://``.  It holds no secret and can be pickled; each process finds its own access URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .camera import Calibration, parse_calibration, parse_color_calibration
from .errors import AssetNotFoundError, CalibrationError
from .filesystem import filesystem
from .layout import AssetPath
from .opening import START_READ, lease_video, missing_matrix, open_video, read_bytes
from .parallel import map_on_threads

T = TypeVar("T")

#: Headers read at once.
WORKERS = 16


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video's header says: frames, picture size in pixels (after rotation), frames a second."""

    num_frames: int
    width: int
    height: int
    fps: float


@dataclass(frozen=True)
class CameraFacts:
    """Calibration of one camera: ``(3, 3)`` intrinsics of the full-size picture, ``(4, 4)`` pose, ``(3, T)`` CCM."""

    intrinsics: NDArray[np.float64]
    world_to_camera: NDArray[np.float64]
    ccm: NDArray[np.float64]


@dataclass(frozen=True)
class Capture:
    """Published files of one root.

    Attributes:
        folder: Absolute path of the folder that holds them; None for ``nersemble://``.
    """

    folder: str | None = None

    def _root(self) -> Any:
        """What tells one server from another in caches of this process."""
        return filesystem()._root() if self.folder is None else None

    def path(self, asset: AssetPath) -> str:
        """The path that rows store."""
        return asset.uri if self.folder is None else os.path.join(self.folder, str(asset))

    def missing(self, assets: Sequence[AssetPath], *, ask: bool) -> list[AssetPath]:
        """The files that are not there.

        Args:
            assets: Which files.
            ask: Ask a server for each; else only a folder can tell, and on a server it shows when a file is read.
        """
        if self.folder is not None:
            return [asset for asset in assets if not os.path.isfile(self.path(asset))]
        if not ask:
            return []
        present = map_on_threads(lambda asset: bool(filesystem().exists(str(asset))), assets, WORKERS)
        return [asset for asset, there in zip(assets, present, strict=True) if not there]

    def video_facts(self, asset: AssetPath, *, keep_open: bool = False) -> VideoFacts | None:
        """The header of a video; None if it is not there.

        Args:
            asset: The video.
            keep_open: Leave the decoder in the pool, because frames will be read next.
        """
        try:
            if keep_open:
                with lease_video(self.path(asset), first_read=START_READ) as decoder:
                    return VideoFacts(len(decoder), decoder.width, decoder.height, decoder.fps)
            with open_video(self.path(asset)) as decoder:
                return VideoFacts(len(decoder), decoder.width, decoder.height, decoder.fps)
        except AssetNotFoundError:
            return None

    def facts_of(self, assets: Sequence[AssetPath], *, keep_open: bool = False) -> list[VideoFacts | None]:
        """``video_facts`` of many videos, some at a time."""
        return map_on_threads(lambda asset: self.video_facts(asset, keep_open=keep_open), assets, WORKERS)

    def camera_facts(self, participant: int, serial: str) -> CameraFacts | None:
        """The calibration of one camera; None if a calibration file is not there.

        Raises:
            CalibrationError: If a calibration file is malformed or lacks the camera.
        """
        calibration, matrices = _calibration(self, self._root(), participant)
        if calibration is None or matrices is None:
            return None
        if serial not in calibration.world_to_camera:
            path = self.path(AssetPath("camera_params", participant))
            raise CalibrationError(
                f"Camera {serial} has no pose in {path}. Leave the camera out (cameras=[...]), or ask the data's "
                "authors."
            )
        if serial not in matrices:
            raise missing_matrix(serial, self.path(AssetPath("color_calibration", participant)))
        return CameraFacts(calibration.intrinsics, calibration.world_to_camera[serial], matrices[serial])

    def missing_calibration(self, participant: int) -> AssetPath | None:
        """The calibration file of a participant that is not there, None if both are."""
        calibration, matrices = _calibration(self, self._root(), participant)
        if calibration is None:
            return AssetPath("camera_params", participant)
        return AssetPath("color_calibration", participant) if matrices is None else None


@lru_cache(maxsize=64)
def _calibration(
    capture: Capture, root: Any, participant: int
) -> tuple[Calibration | None, dict[str, NDArray[np.float64]] | None]:
    """Both calibration files of a participant; None for one that is not there, which is remembered too."""
    poses = capture.path(AssetPath("camera_params", participant))
    colors = capture.path(AssetPath("color_calibration", participant))
    return _parsed_if_there(parse_calibration, poses), _parsed_if_there(parse_color_calibration, colors)


def _parsed_if_there(parse: Callable[[bytes, str], T], path: str) -> T | None:
    try:
        return parse(read_bytes(path), path)  # held by no variable, which a traceback could show
    except AssetNotFoundError:
        return None


def forget_calibrations() -> None:
    """Read calibration files anew: a new load must not answer for an older server's or folder's files."""
    _calibration.cache_clear()
