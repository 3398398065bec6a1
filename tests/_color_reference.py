"""Colour correction as its formulas say, in float64, without a thought for speed; nothing is shared with it."""

from __future__ import annotations

import re

import numpy as np

#: The expansion of Cheung 2004 with 35 terms; those of other widths are these terms, without some.
_ALL = """R G B RG RB GB R2 G2 B2 RGB R2G G2B B2R R2B G2R B2G R3 G3 B3
          R3G R3B G3R G3B B3R B3G R2GB RG2B RGB2 R2G2 R2B2 G2B2 R4 G4 B4 1""".split()
_FIRST = {3: 3, 4: 3, 5: 3, 7: 6, 8: 6, 10: 9, 11: 9, 14: 9, 16: 13, 17: 13, 19: 19, 20: 19, 22: 19, 35: 34}
_MORE = {5: "RGB", 8: "RGB", 11: "RGB", 14: "RGB R3 G3 B3", 16: "R3 G3 B3", 17: "R3 G3 B3", 22: "R2GB RG2B RGB2"}
_CONSTANT = {4, 5, 7, 8, 10, 11, 14, 17, 20, 35}

WIDTHS = tuple(_FIRST)
KINDS = ("identity", "white-keeping", "realistic", "harsh")


def matrix(kind: str, width: int, seed: int = 0) -> np.ndarray:
    """A CCM: one that changes nothing, one that keeps greys, one as calibrations give, one with large coefficients."""
    rng = np.random.default_rng([width, seed])
    if kind == "identity":
        return np.eye(3, width)
    if kind == "harsh":
        return rng.normal(0, [1, 30, 1000][seed % 3], (3, width))
    ccm = np.eye(3, width) + rng.normal(0, 0.06, (3, width))
    if kind == "white-keeping":
        ccm[:, 3:] = 0
        ccm /= ccm.sum(axis=1, keepdims=True)
    return ccm


def picture(shape: tuple[int, int] = (41, 53), seed: int = 0) -> np.ndarray:
    """Any colours, then greys, then dark ones, whose levels are the narrowest."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (*shape, 3))
    greys = np.broadcast_to(rng.integers(0, 256, (*shape, 1)), colours.shape)
    dark = rng.integers(0, 24, (*shape, 3))
    return np.concatenate([colours, greys, dark]).astype(np.uint8)


def expected(image: np.ndarray, ccm: np.ndarray) -> np.ndarray:
    """What the formulas give: uint8 for uint8, else float64."""
    encoded = image / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)
    with np.errstate(all="ignore"):
        linear = np.where(encoded <= 12.92 * 0.0031308, encoded / 12.92, _power((encoded + 0.055) / 1.055, 2.4))
        expanded = np.stack([_term(name, linear) for name in _names(ccm.shape[1])], axis=-1)
        corrected = np.dot(ccm, expanded.reshape(-1, ccm.shape[1]).T).T.reshape(image.shape)
        again = np.where(corrected <= 0.0031308, corrected * 12.92, 1.055 * _power(corrected, 1 / 2.4) - 0.055)
        return np.clip(again * 255, 0, 255).astype(np.uint8) if image.dtype == np.uint8 else again


def _names(width: int) -> list[str]:
    more = _MORE.get(width, "").split()
    return [*_ALL[: _FIRST[width]], *more, *(["1"] if width in _CONSTANT else [])]


def _term(name: str, linear: np.ndarray) -> np.ndarray:
    term = np.ones(linear.shape[:-1])
    for channel, exponent in re.findall("([RGB])([234]?)", name):
        term = term * linear[..., "RGB".index(channel)] ** int(exponent or 1)
    return term


def _power(base: np.ndarray, exponent: float) -> np.ndarray:
    return np.sign(base) * np.abs(base) ** exponent
