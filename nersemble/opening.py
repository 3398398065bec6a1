"""Opening what a row points to: a path on disk, ``nersemble://...``, or any URL that fsspec knows.

One pool of open decoders serves the process.  It tells apart equal paths behind different access URLs.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from .camera import parse_color_calibration
from .color.polynomial import check_ccm
from .errors import CalibrationError
from .filesystem import filesystem
from .layout import PROTOCOL, AssetPath, find_asset
from .memory import give_back
from .video import DecoderPool, VideoDecoder
from .video.reader import FIRST_READ
from .video.source import LocalSource

_SCHEME = f"{PROTOCOL}://"
#: Bytes asked for at first where the first frames are read next: a keyframe of a full-size video is a few hundred
#: kilobytes.
START_READ = 320 * 1024


def local_path(path: str) -> str | None:
    """Where ``path`` lies on disk, None if it has to be fetched."""
    if path.startswith(_SCHEME):
        folder = filesystem().local_folder
        return None if folder is None else os.path.join(folder, path.removeprefix(_SCHEME))
    return None if "://" in path else path


def open_video(path: str, *, first_read: int = FIRST_READ) -> VideoDecoder:
    """Open a video for exact frames; ``first_read`` as in ``VideoDecoder``.

    Raises:
        FrameError: If it is no video.
        AssetNotFoundError: If it is not there.
    """
    on_disk = local_path(path)
    if on_disk is not None:
        return VideoDecoder(LocalSource(on_disk), name=path)
    if path.startswith(_SCHEME):
        return VideoDecoder(filesystem().source(path), first_read=first_read)
    import fsspec

    return VideoDecoder(cast(BinaryIO, fsspec.open(path, "rb").open()), name=path)


def read_bytes(path: str) -> bytes:
    """Read a whole small file."""
    on_disk = local_path(path)
    if on_disk is None:
        return cast(bytes, filesystem().cat_file(path))
    source = LocalSource(on_disk)
    try:
        return source.read_at(0, source.size())
    finally:
        source.close()


def _identity(path: str) -> Any:
    """What tells the file behind ``path`` from one of the same name elsewhere, or at another time."""
    on_disk = local_path(path)
    if on_disk is None:
        return filesystem()._root() if path.startswith(_SCHEME) else None
    try:
        status = os.stat(on_disk)
    except OSError:  # opening it says what is wrong
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _open(key: tuple[Any, str], first_read: int = FIRST_READ) -> VideoDecoder:
    return open_video(key[1], first_read=first_read)


_pool: DecoderPool[tuple[Any, str]] = DecoderPool(_open)


def lease_video(path: str, *, first_read: int = FIRST_READ) -> AbstractContextManager[VideoDecoder]:
    """An open decoder of ``path`` for one reader, from the pool of this process; options as in ``open_video``."""
    return _pool.lease((_identity(path), path), first_read=first_read)


def close_videos() -> None:
    """Close every idle decoder of this process, and give their memory back to the system."""
    _pool.clear()
    give_back()


def color_matrix(video: str) -> NDArray[np.float64]:
    """The ``(3, T)`` colour-correction matrix of the camera that took a video.

    Raises:
        CalibrationError: If the video does not lie in the published layout, or its camera has no matrix.
    """
    found = find_asset(video)
    if found is None or found[1].kind != "video":
        raise CalibrationError(
            f"{video} does not lie in the published layout, so its colour calibration cannot be found."
        )
    root, asset = found
    path = f"{root}{AssetPath('color_calibration', asset.participant)}"
    matrices = _color_matrices(path, _identity(path))
    if asset.camera not in matrices:
        raise missing_matrix(asset.camera or "", path)
    return known_matrix(matrices[asset.camera], asset.camera or "", path)


def known_matrix(matrix: NDArray[np.float64], camera: str, path: str) -> NDArray[np.float64]:
    """A colour-correction matrix, if it has a shape that has a meaning.

    Args:
        matrix: ``(3, T)`` as its file has it.
        camera: Whose it is.
        path: Of the file.

    Raises:
        CalibrationError: If it has another one.
    """
    problem = ""
    try:
        return check_ccm(matrix)
    except CalibrationError as error:
        problem = str(error)
    raise CalibrationError(
        f"Colours of camera {camera} cannot be corrected by {path}: {problem} Leave the camera out (cameras=[...]), or "
        "the correction."
    )


def missing_matrix(camera: str, path: str) -> CalibrationError:
    """The error for a camera without a colour-correction matrix."""
    return CalibrationError(
        f"Camera {camera} has no colour-correction matrix in {path}. Leave the camera out (cameras=[...]), or ask the "
        "data's authors."
    )


@lru_cache(maxsize=512)
def _color_matrices(path: str, identity: Any) -> dict[str, NDArray[np.float64]]:
    return parse_color_calibration(read_bytes(path), path)
