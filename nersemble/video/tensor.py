"""Decoded pictures as torch tensors, where torch is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .resize import Picture

NO_TORCH = (
    "as_tensor=True needs PyTorch, which is not installed. Install it (pip install torch), or leave as_tensor out."
)


def converter(as_tensor: bool) -> Callable[[Picture], Any]:
    """What brings pictures into the form asked for: as they are, or as tensors with channels in front, without a copy.

    Raises:
        ModuleNotFoundError: If there is no torch; asked before anything is decoded.
    """
    if not as_tensor:
        return lambda pictures: pictures
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NO_TORCH, name="torch") from error
    return lambda pictures: torch.from_numpy(pictures).movedim(-1, -3)
