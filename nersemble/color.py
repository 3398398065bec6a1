"""Colour correction with the official kit's meaning.

The kit decodes sRGB, expands every pixel with the polynomial of Cheung et al. (2004, "A comparative study of the
characterisation of colour cameras by means of neural networks and polynomial transforms"), multiplies by the
colour-correction matrix (CCM), encodes sRGB, and truncates to uint8.  The correction is not linear: correcting after a
resize is not the same as before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CalibrationError

_LINEAR = "R G B"
_PRODUCTS = f"{_LINEAR} RG RB GB"
_SQUARES = f"{_PRODUCTS} RR GG BB"
_CUBES = f"{_SQUARES} RGB RRG GGB RBB"
_ALL_CUBIC = f"{_CUBES} RRB RGG GBB RRR GGG BBB"

#: The terms of the expansion for each width a CCM can have, as products of channels; ``1`` is the constant term.
EXPANSIONS: dict[int, tuple[str, ...]] = {
    len(terms.split()): tuple(terms.split())
    for terms in (
        _LINEAR,
        f"{_LINEAR} 1",
        f"{_LINEAR} RGB 1",
        f"{_PRODUCTS} 1",
        f"{_PRODUCTS} RGB 1",
        f"{_SQUARES} 1",
        f"{_SQUARES} RGB 1",
        f"{_SQUARES} RGB RRR GGG BBB 1",
        f"{_CUBES} RRR GGG BBB",
        f"{_CUBES} RRR GGG BBB 1",
        _ALL_CUBIC,
        f"{_ALL_CUBIC} 1",
        f"{_ALL_CUBIC} RRGB RGGB RGBB",
        f"{_ALL_CUBIC} RRRG RRRB RGGG GGGB RBBB GBBB RRGB RGGB RGBB RRGG RRBB GGBB RRRR GGGG BBBB 1",
    )
}

ROWS_AT_ONCE = 64


def correct_color(image: NDArray[Any], ccm: NDArray[np.float64]) -> NDArray[Any]:
    """Correct the colours of a picture.

    Args:
        image: ``(..., 3)`` RGB, uint8, or floats of 0 to 1 in sRGB encoding.
        ccm: ``(3, T)`` float64, T one of 3, 4, 5, 7, 8, 10, 11, 14, 16, 17, 19, 20, 22 or 35.

    Returns:
        An array of the same shape; uint8 for uint8, else float64.

    Raises:
        CalibrationError: If the CCM has another shape.
    """
    ccm = np.asarray(ccm, np.float64)
    if ccm.ndim != 2 or ccm.shape[0] != 3 or ccm.shape[1] not in EXPANSIONS:
        widths = ", ".join(map(str, EXPANSIONS))
        raise CalibrationError(
            f"A CCM of shape {ccm.shape} has no known meaning: it needs 3 rows and {widths} columns."
        )
    image = np.asarray(image)
    if image.shape[-1:] != (3,):
        raise CalibrationError(f"A picture to correct is (..., 3) RGB, not of shape {image.shape}.")
    flat = image.reshape(-1, 3)
    is_uint8 = image.dtype == np.uint8
    corrected = np.empty(flat.shape, np.uint8 if is_uint8 else np.float64)
    step = ROWS_AT_ONCE * 1024
    for start in range(0, len(flat), step):  # in blocks, so that a full-size picture needs no gigabytes
        block = flat[start : start + step]
        linear = _DECODED[block] if is_uint8 else decode_srgb(block.astype(np.float64))
        encoded = encode_srgb(_expand(linear, ccm.shape[1]) @ ccm.T)
        corrected[start : start + step] = np.clip(encoded * 255, 0, 255).astype(np.uint8) if is_uint8 else encoded
    return corrected.reshape(image.shape)


def decode_srgb(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB values (IEC 61966-2-1), 0 to 1."""
    with np.errstate(invalid="ignore"):
        return np.where(encoded <= 12.92 * 0.0031308, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB values of linear light (IEC 61966-2-1), 0 to 1."""
    with np.errstate(invalid="ignore"):
        return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055)


_DECODED = decode_srgb(np.arange(256) / 255.0)


def _expand(linear: NDArray[np.float64], terms: int) -> NDArray[np.float64]:
    channels = {"R": linear[:, 0], "G": linear[:, 1], "B": linear[:, 2], "1": np.ones(len(linear))}
    expanded = np.empty((len(linear), terms))
    for column, term in enumerate(EXPANSIONS[terms]):
        expanded[:, column] = channels[term[0]]
        for factor in term[1:]:
            expanded[:, column] *= channels[factor]
    return expanded
