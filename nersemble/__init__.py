"""NeRSemble v2 for Hugging Face ``datasets``.

Importing this package makes ``load_dataset("nersemble", ...)``, the ``VideoFrame`` feature and ``nersemble://`` known.
It is cheap: what it offers is imported when it is used, and ``datasets`` is waited for, not imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .registration import install as _install

if TYPE_CHECKING:
    from .camera import Camera, resize_intrinsics
    from .color import correct_color
    from .errors import (
        AccessError,
        AssetNotFoundError,
        CalibrationError,
        CatalogError,
        FrameError,
        MissingAssetWarning,
        NersembleError,
        SelectionError,
        TransportError,
    )
    from .features import VideoFrame
    from .filesystem import NersembleFileSystem
    from .loading import load_dataset
    from .video import VideoDecoder

__version__ = "0.1.0"

_HOMES = {
    "AccessError": "errors",
    "AssetNotFoundError": "errors",
    "CalibrationError": "errors",
    "Camera": "camera",
    "CatalogError": "errors",
    "FrameError": "errors",
    "MissingAssetWarning": "errors",
    "NersembleError": "errors",
    "NersembleFileSystem": "filesystem",
    "SelectionError": "errors",
    "TransportError": "errors",
    "VideoDecoder": "video",
    "VideoFrame": "features",
    "correct_color": "color",
    "load_dataset": "loading",
    "resize_intrinsics": "camera",
}

__all__ = [
    "AccessError",
    "AssetNotFoundError",
    "CalibrationError",
    "Camera",
    "CatalogError",
    "FrameError",
    "MissingAssetWarning",
    "NersembleError",
    "NersembleFileSystem",
    "SelectionError",
    "TransportError",
    "VideoDecoder",
    "VideoFrame",
    "correct_color",
    "load_dataset",
    "resize_intrinsics",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


_install()
