"""A synthetic capture in the published layout, and a loopback server for it: try everything without an access URL.

>>> from nersemble import demo
>>> folder = demo.ensure_capture()                                            # doctest: +SKIP
>>> with demo.DemoServer(folder) as server:                                   # doctest: +SKIP
...     print(server.url)

Names are loaded when first used, so importing this package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Not lazy: the function has its module's name, and whichever is set last wins.
from nersemble.demo.contact_sheet import contact_sheet

if TYPE_CHECKING:
    from nersemble.demo.capture import ensure_capture, make_capture
    from nersemble.demo.handler import DemoHandler, Request
    from nersemble.demo.identity import FrameIdentity, read_identity, stamp
    from nersemble.demo.options import MISSING_VIDEO, SHORT_VIDEO, DemoOptions
    from nersemble.demo.rig import DemoRig, demo_rig
    from nersemble.demo.scene import landmark_colors, landmarks
    from nersemble.demo.server import DemoServer

_HOMES = {
    "DemoHandler": "handler",
    "DemoOptions": "options",
    "DemoRig": "rig",
    "DemoServer": "server",
    "FrameIdentity": "identity",
    "MISSING_VIDEO": "options",
    "Request": "handler",
    "SHORT_VIDEO": "options",
    "demo_rig": "rig",
    "ensure_capture": "capture",
    "landmark_colors": "scene",
    "landmarks": "scene",
    "make_capture": "capture",
    "read_identity": "identity",
    "stamp": "identity",
}

__all__ = [
    "MISSING_VIDEO",
    "SHORT_VIDEO",
    "DemoHandler",
    "DemoOptions",
    "DemoRig",
    "DemoServer",
    "FrameIdentity",
    "Request",
    "contact_sheet",
    "demo_rig",
    "ensure_capture",
    "landmark_colors",
    "landmarks",
    "make_capture",
    "read_identity",
    "stamp",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
