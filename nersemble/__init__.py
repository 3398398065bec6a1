"""NeRSemble v2 for Hugging Face ``datasets``.

Importing this package makes ``load_dataset("nersemble", ...)``, the ``VideoFrame`` feature and ``nersemble://`` known.
It is cheap: what it offers is imported when it is used, and ``datasets`` is waited for, not imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .registration import install as _install

if TYPE_CHECKING:
    from . import hub, prepare
    from .camera import Camera, CameraRig, resize_intrinsics
    from .color import correct_color
    from .downloads import DownloadReport, download, folder_status, plan_download
    from .downloads.verify import verify_folder
    from .errors import (
        AccessError,
        AssetNotFoundError,
        AudienceWarning,
        CalibrationError,
        CatalogError,
        FrameError,
        MissingAssetWarning,
        NersembleError,
        PrepareError,
        PushError,
        SelectionError,
        StageWarning,
        StaleCatalogWarning,
        StorageError,
        TransportError,
    )
    from .features import VideoFrame
    from .filesystem import NersembleFileSystem
    from .folder_data import FolderData, open_folder
    from .loading import load_dataset
    from .private_video import PrivateVideo
    from .video import VideoDecoder

__version__ = "0.1.0"

_HOMES = {
    "AccessError": "errors",
    "AssetNotFoundError": "errors",
    "AudienceWarning": "errors",
    "CalibrationError": "errors",
    "Camera": "camera",
    "CameraRig": "camera",
    "CatalogError": "errors",
    "DownloadReport": "downloads",
    "FolderData": "folder_data",
    "FrameError": "errors",
    "MissingAssetWarning": "errors",
    "NersembleError": "errors",
    "NersembleFileSystem": "filesystem",
    "PrepareError": "errors",
    "PrivateVideo": "private_video",
    "PushError": "errors",
    "SelectionError": "errors",
    "StageWarning": "errors",
    "StaleCatalogWarning": "errors",
    "StorageError": "errors",
    "TransportError": "errors",
    "VideoDecoder": "video",
    "VideoFrame": "features",
    "correct_color": "color",
    "download": "downloads",
    "folder_status": "downloads",
    "load_dataset": "loading",
    "open_folder": "folder_data",
    "plan_download": "downloads",
    "resize_intrinsics": "camera",
    "verify_folder": "downloads.verify",
}

#: Packages that are reached through this one.
_ROOMS = ("hub", "prepare")

__all__ = [
    "AccessError",
    "AssetNotFoundError",
    "AudienceWarning",
    "CalibrationError",
    "Camera",
    "CameraRig",
    "CatalogError",
    "DownloadReport",
    "FolderData",
    "FrameError",
    "MissingAssetWarning",
    "NersembleError",
    "NersembleFileSystem",
    "PrepareError",
    "PrivateVideo",
    "PushError",
    "SelectionError",
    "StageWarning",
    "StaleCatalogWarning",
    "StorageError",
    "TransportError",
    "VideoDecoder",
    "VideoFrame",
    "correct_color",
    "download",
    "folder_status",
    "hub",
    "load_dataset",
    "open_folder",
    "plan_download",
    "prepare",
    "resize_intrinsics",
    "verify_folder",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


_install()
