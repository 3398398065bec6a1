"""Every exception and warning this package raises on purpose.

NersembleError
 ├── AccessError (PermissionError)         no access URL, an unusable one, or the server refused it
 ├── AssetNotFoundError (FileNotFoundError) the server or the folder does not have this file
 ├── TransportError (ConnectionError)      the server could not be reached or broke off
 ├── StorageError (OSError)                the disk does not take what is downloaded, above all because it is full
 ├── CatalogError (ValueError)             the metadata CSVs are not what they should be
 ├── CalibrationError (ValueError)         a calibration file, camera or matrix is missing or malformed
 ├── SelectionError (ValueError)           a participant, sequence, camera or option that does not exist
 ├── FrameError (ValueError)               a video or a frame that cannot be decoded exactly
 ├── PrepareError (RuntimeError)           prepared shards that are not what their plan says, or cannot be made here
 └── PushError (RuntimeError)              what must not or could not be pushed to the hub, or deleted there

AudienceWarning (UserWarning)              who will be able to see the faces that are pushed
MissingAssetWarning (UserWarning)          listed files that are not there, named once
StageWarning (UserWarning)                 what a stage refers to and cannot be told apart when it changes
StaleCatalogWarning (UserWarning)          the catalogue of an earlier day is used, because the server does not answer

Each error is also the builtin a caller would already catch.  Messages name published paths such as
``nersemble://030/calibration/camera_params.json``, never the secret URL behind them, nor one that a caller gave as some
other argument: whatever they are made with, they say ``a URL`` in its place.  All of them can be pickled, so that they
arrive whole from worker processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from .masking import without_urls

P = ParamSpec("P")
T = TypeVar("T")

__all__ = [
    "AccessError",
    "AssetNotFoundError",
    "AudienceWarning",
    "CalibrationError",
    "CatalogError",
    "FrameError",
    "MissingAssetWarning",
    "NersembleError",
    "PrepareError",
    "PushError",
    "SelectionError",
    "StageWarning",
    "StaleCatalogWarning",
    "StorageError",
    "TransportError",
]


class _Masked(Exception):
    """What says nothing that looks like the access URL, whatever it was told."""

    def __init__(self, *said: Any) -> None:
        super().__init__(*(without_urls(one) if isinstance(one, str) else one for one in said))


class NersembleError(_Masked):
    """Base class of every error this package raises on purpose."""


class AccessError(NersembleError, PermissionError):
    """There is no usable access URL, or the server refused it."""


class AssetNotFoundError(NersembleError, FileNotFoundError):
    """A published path that the server or the folder does not have."""


class TransportError(NersembleError, ConnectionError):
    """The server could not be reached, broke off, or answered with something unusable."""


class StorageError(NersembleError, OSError):
    """The disk does not take what is downloaded.

    Attributes:
        errno: Why, such as ``errno.ENOSPC``; None if the disk was not asked yet.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.errno = code

    def __reduce__(self) -> tuple[type[StorageError], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


class CatalogError(NersembleError, ValueError):
    """A metadata CSV without its columns, or one that is not a CSV."""


class CalibrationError(NersembleError, ValueError):
    """A calibration file, camera or matrix that is missing or malformed, or points that a camera cannot see."""


class SelectionError(NersembleError, ValueError):
    """A participant, sequence, camera, config name or option that does not exist."""


class FrameError(NersembleError, ValueError):
    """A video that cannot be read, or a frame that cannot be decoded exactly."""


class PrepareError(NersembleError, RuntimeError):
    """Prepared shards that are not what their plan says, or that cannot be made here."""


class PushError(NersembleError, RuntimeError):
    """What must not or could not be pushed to the hub, or deleted there."""


class AudienceWarning(_Masked, UserWarning):
    """The members of an organisation will be able to see the faces that are pushed."""


class MissingAssetWarning(_Masked, UserWarning):
    """Files that the metadata lists and the server or folder does not have."""


class StageWarning(_Masked, UserWarning):
    """A stage refers to what cannot be told by its value, and has no ``version``."""


class StaleCatalogWarning(_Masked, UserWarning):
    """The catalogue of an earlier day is used, because the server does not answer."""


def hiding_data(parse: Callable[Concatenate[bytes, P], T]) -> Callable[Concatenate[bytes, P], T]:
    """Keep the bytes that ``parse`` is given out of the tracebacks of what it raises on purpose.

    A server may send, in place of a file, a page that repeats the secret path of the request, and some tracebacks show
    local variables.
    """

    @functools.wraps(parse)
    def hiding(data: bytes, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return parse(data, *args, **options)
        except NersembleError as error:
            problem = error.with_traceback(None)
        del data
        raise problem

    return hiding
