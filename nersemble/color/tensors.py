"""Colour correction of torch tensors, on their device.

uint8 on the CPU goes the way of arrays.  Elsewhere it is evaluated in float64, in blocks, and levels are found by the
same thresholds; so that a device needs float64, those without it have their pictures corrected on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import CalibrationError
from .plan import Plan
from .srgb import KNEE, tables

#: Pixels at once: 35 terms of none are kept, eight planes of float64 are.
BLOCK = 1 << 20
#: Kinds of device without float64.
_WITHOUT_FLOAT64 = ("mps",)


def correct_uint8_tensor(pixels: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Correct ``(N, 3)`` uint8 pixels on their device."""
    device = pixels.device
    decoded = torch.from_numpy(tables().decoded).to(device)
    thresholds = torch.from_numpy(tables().thresholds[1:-1]).to(device)
    corrected = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    for start in range(0, len(pixels), BLOCK):
        block = pixels[start : start + BLOCK]
        channels = tuple(decoded[block[:, channel].long()] for channel in range(3))
        for row, linear in enumerate(_linear(channels, plan)):
            corrected[start : start + BLOCK, row] = torch.bucketize(linear, thresholds, right=True).to(torch.uint8)
    return corrected


def correct_float_tensor(image: torch.Tensor, plan: Plan, dim: int) -> torch.Tensor:
    """Correct floats with their channels in ``dim``, in their own type; gradients flow through.

    Raises:
        CalibrationError: If that type does not hold the matrix.
    """
    largest = float(np.abs(plan.ccm).max())
    if largest > torch.finfo(image.dtype).max:
        raise CalibrationError(
            f"The CCM has a number of size {largest:.2g}, too large for float32. Correct in float64."
        )
    channels = _decode(image).unbind(dim)
    return _encode(torch.stack(_linear(channels, plan), dim))


def as_array(ccm: torch.Tensor) -> NDArray[Any]:
    """A matrix as an array, which NumPy has no bfloat16 for.

    Raises:
        CalibrationError: If it is sparse.
    """
    check_dense(ccm, "A CCM")
    ccm = ccm.detach().cpu()
    matrix: NDArray[Any] = (ccm.double() if ccm.is_floating_point() else ccm).numpy()
    return matrix


def check_dense(tensor: torch.Tensor, what: str) -> None:
    """Refuse a tensor that does not hold all of its numbers, or not in a row.

    Raises:
        CalibrationError: If it does not.
    """
    if tensor.layout != torch.strided:
        raise CalibrationError(f"{what} is a dense tensor, not of the layout {tensor.layout}. Call its to_dense().")


def is_on_host(image: torch.Tensor) -> bool:
    """Whether a uint8 tensor is corrected as an array."""
    return image.device.type in ("cpu", *_WITHOUT_FLOAT64)


def _linear(channels: tuple[torch.Tensor, ...], plan: Plan) -> list[torch.Tensor]:
    rows = [torch.zeros_like(channels[0]) for _ in range(3)]
    for column, factors in enumerate(plan.factors.tolist()):
        term: torch.Tensor | None = None
        for channel in factors:
            if channel < 3:
                term = channels[channel] if term is None else term * channels[channel]
        for row in range(3):
            value = float(plan.ccm[row, column])
            # `alpha` multiplies and adds with one rounding, as BLAS does for the kit.
            if term is None:
                rows[row] += value
            else:
                rows[row].add_(term, alpha=value)
    return rows


# `where` sends a gradient into both of its branches; the one not taken must not make it NaN.
def _decode(encoded: torch.Tensor) -> torch.Tensor:
    knee = 12.92 * KNEE
    power = ((encoded.clamp(min=knee) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= knee, encoded / 12.92, power)


def _encode(linear: torch.Tensor) -> torch.Tensor:
    power = 1.055 * linear.clamp(min=KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear <= KNEE, linear * 12.92, power)
