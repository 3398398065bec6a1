"""The block code that lets every demo picture say which frame it is.

``stamp`` draws it and ``read_identity`` reads it back: two rows of black and white blocks across the top of the
picture.  The rule: the code's place is a fixed fraction of the picture's width and height, so a whole picture may be
resized to any shape before it is read, but not cropped.  A CRC-16 guards it: a picture yields its identity or an
error, never a wrong identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nersemble.errors import FrameError, SelectionError
from nersemble.layout import BACKGROUND, SEQUENCES, SERIALS, canonical_sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

MAX_PARTICIPANT = 2**11 - 1
MAX_TIMESTEP = 2**12 - 1

#: Height of the strip that the code covers, as a fraction of the picture's height.
STRIP = 3 / 36

_BACKGROUND_INDEX = 31
_COLUMNS, _ROWS = 24, 2
_BLACK, _WHITE = 20, 235
# Half a block of margin on every side, and one fixed block at both ends of each row.
_BLOCK_WIDTH = 1 / (_COLUMNS + 3)
_BLOCK_HEIGHT = STRIP / (_ROWS + 1)
_FIXED = np.array([[1, 0], [0, 1]], bool)
# Compression and resizing blur a block's border, so only its middle half is read.
_INNER = 0.5
_LEAST_CONTRAST = 40.0


@dataclass(frozen=True, slots=True)
class FrameIdentity:
    """Which frame a demo picture is.

    Attributes:
        participant: Participant id, 0 to 2047.
        sequence: Sequence name in its current spelling, or ``BACKGROUND`` for a still.
        camera: Serial of one of the 16 cameras.
        timestep: 0-based index of the frame in its video, 0 to 4095; 0 for a still.
    """

    participant: int
    sequence: str
    camera: str
    timestep: int


def stamp(image: NDArray[np.uint8], identity: FrameIdentity) -> NDArray[np.uint8]:
    """Draw the code of ``identity`` over the top of a picture, in place.

    Args:
        image: ``(H, W, 3)`` uint8, at least 108 pixels wide and 144 high.
        identity: What the code says.

    Returns:
        The same array.

    Raises:
        SelectionError: If the identity names something the code has no room for, or the picture is too small.
    """
    height, width = image.shape[:2]
    if width < 4 / _BLOCK_WIDTH or height < 4 / _BLOCK_HEIGHT:
        raise SelectionError(f"A picture of {width}x{height} is too small for the identity code; use 108x144 or more.")
    bits = _to_bits(identity)
    blocks = np.concatenate([_FIXED[:, :1], bits.reshape(_ROWS, _COLUMNS), _FIXED[:, 1:]], axis=1)
    xs = np.rint((np.arange(_COLUMNS + 3) + 0.5) * _BLOCK_WIDTH * width).astype(int)
    ys = np.rint((np.arange(_ROWS + 1) + 0.5) * _BLOCK_HEIGHT * height).astype(int)
    image[: round(STRIP * height)] = _BLACK
    rows = np.where(blocks, _WHITE, _BLACK).astype(np.uint8)
    for row in range(_ROWS):
        line = np.repeat(rows[row], np.diff(xs))
        image[ys[row] : ys[row + 1], xs[0] : xs[-1]] = line[None, :, None]
    return image


def read_identity(image: NDArray[Any] | Image) -> FrameIdentity:
    """Read the code back from a whole demo picture, at any scale that leaves a block about two pixels.

    Args:
        image: ``(H, W, 3)`` or ``(H, W)`` array of any range of values, or a PIL image.

    Returns:
        The identity that ``stamp`` drew.

    Raises:
        FrameError: If there is no code, or its checksum is wrong.
    """
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 2:
        raise FrameError(f"An array of shape {pixels.shape} is no picture; give (H, W, 3) or a PIL image.")
    height, width = pixels.shape[:2]
    strip = pixels[: int(np.ceil(STRIP * height)) + 1].astype(np.float64)
    grey = strip[..., :3].mean(axis=2) if strip.ndim == 3 else strip
    if pixels.dtype.kind == "f" and float(grey.max()) <= 2:
        grey = grey * 255
    columns = _block_weights(_COLUMNS + 2, _BLOCK_WIDTH * width, width)
    rows = _block_weights(_ROWS, _BLOCK_HEIGHT * height, grey.shape[0])
    blocks = rows @ grey @ columns.T
    # What counts as white is measured in this very picture: colour correction and compression shift it.
    ends = blocks[:, [0, -1]]
    white, black = ends[_FIXED].mean(), ends[~_FIXED].mean()
    if white - black < _LEAST_CONTRAST:
        raise FrameError("This picture carries no identity code. Is it a whole, uncropped picture of the demo capture?")
    return _from_bits((blocks[:, 1:-1] > (white + black) / 2).reshape(-1))


def _block_weights(count: int, size: float, pixels: int) -> NDArray[np.float64]:
    """``(count, pixels)``: how much each pixel counts towards the mean of the middle of each block."""
    centres = (np.arange(count)[:, None] + 1) * size
    half = size * _INNER / 2
    left = np.arange(pixels)[None, :]
    overlap = np.minimum(left + 1, centres + half) - np.maximum(left, centres - half)
    overlap = np.clip(overlap, 0, None)
    total = overlap.sum(axis=1, keepdims=True)
    return np.asarray(overlap / np.where(total > 0, total, 1))


def _to_bits(identity: FrameIdentity) -> NDArray[np.bool_]:
    sequence = canonical_sequence(identity.sequence)
    if sequence != BACKGROUND and sequence not in SEQUENCES:
        raise SelectionError(f"The demo has no sequence {identity.sequence!r}; see nersemble.layout.SEQUENCES.")
    if identity.camera not in SERIALS:
        raise SelectionError(f"The demo has no camera {identity.camera!r}; see nersemble.layout.SERIALS.")
    if not (0 <= identity.participant <= MAX_PARTICIPANT and 0 <= identity.timestep <= MAX_TIMESTEP):
        raise SelectionError(
            f"The identity code holds participants up to {MAX_PARTICIPANT} and timesteps up to {MAX_TIMESTEP}, "
            f"not participant {identity.participant} at timestep {identity.timestep}."
        )
    index = _BACKGROUND_INDEX if sequence == BACKGROUND else SEQUENCES.index(sequence)
    value = ((identity.participant << 5 | index) << 4 | SERIALS.index(identity.camera)) << 12 | identity.timestep
    value = value << 16 | _crc16(value.to_bytes(4, "big"))
    return np.unpackbits(np.frombuffer(value.to_bytes(6, "big"), np.uint8)).astype(bool)


def _from_bits(bits: NDArray[np.bool_]) -> FrameIdentity:
    data = np.packbits(bits).tobytes()
    value = int.from_bytes(data[:4], "big")
    index, camera = value >> 16 & 31, value >> 12 & 15
    known = index < len(SEQUENCES) or index == _BACKGROUND_INDEX
    if _crc16(data[:4]) != int.from_bytes(data[4:], "big") or not known:
        raise FrameError(
            "The identity code of this picture fails its checksum. Is it a whole, uncropped picture of the demo "
            "capture, at 69x100 pixels or more?"
        )
    sequence = BACKGROUND if index == _BACKGROUND_INDEX else SEQUENCES[index]
    return FrameIdentity(value >> 21, sequence, SERIALS[camera], value & MAX_TIMESTEP)


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ (0x1021 if value & 0x8000 else 0)
        value &= 0xFFFF
    return value
