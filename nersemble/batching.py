"""Rows of a batch, and the cameras of a moment, decoded in one pass through each of their videos.

``datasets`` hands values to a feature one by one.  Its methods that decode rows are wrapped here, so that the frames
which they will ask for are read before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .features import VideoFrame
from .frames import FrameReference, planned


def decoding_together(decode: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method of ``datasets.Features`` that decodes rows read all their frames in one pass.

    It changes nothing for features without a ``VideoFrame``, nor for a single frame.
    """

    @functools.wraps(decode)
    def decode_together(features: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
        references: list[FrameReference] = []
        is_column = not isinstance(values, dict)  # decode_column: its name is the next argument
        columns = {args[0] if args else kwargs.get("column_name"): values} if is_column else values
        for name, value in columns.items():
            if features._column_requires_decoding.get(name):
                _collect(features[name], value, references)
        if len(references) < 2:
            return decode(features, values, *args, **kwargs)
        with planned(references):
            return decode(features, values, *args, **kwargs)

    decode_together.nersemble = True  # type: ignore[attr-defined]
    return decode_together


def _collect(feature: Any, value: Any, found: list[FrameReference]) -> None:
    """Add the frames that a value of a feature, or a list of values, refers to."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
    if isinstance(value, list):
        for one in value:
            _collect(feature if inner is None else inner, one, found)
    elif isinstance(feature, VideoFrame):
        if feature.decode and isinstance(value, dict):
            found.append(feature.reference(value))
    elif isinstance(value, dict):
        parts = feature if isinstance(feature, dict) else inner
        if isinstance(parts, dict):
            for name, part in parts.items():
                _collect(part, value.get(name), found)
