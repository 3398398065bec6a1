"""How a video is turned for display: by its display matrix, which containers carry (ISO/IEC 14496-12, 8.3.2)."""

from __future__ import annotations

import io
import math

from ..errors import FrameError

JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x112
#: The display matrix of each orientation that a camera notes in a JPEG (EXIF 2.3, 4.6.4), as ``quarter_turn`` takes it.
_MATRICES = {
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
#: Degrees by which a turn may miss a quarter one: writers that compute it round it.
TOLERANCE = 1.0
ODD_TURN = (
    "The video asks players to {} its pictures, which this package does not do. Turn them into what is to be seen by "
    "encoding it anew (ffmpeg -i VIDEO NEW.mp4), or take the display matrix out of it (ffmpeg -display_rotation 0 -i "
    "VIDEO -c copy NEW.mp4)"
)


def quarter_turn(a: float, b: float, c: float, d: float) -> int:
    """The turn of a display matrix that maps (x, y) to (a x + c y, b x + d y), y down.

    Returns:
        Degrees counter-clockwise: 0, 90, 180 or 270; 0 of one that maps everything to a line.

    Raises:
        FrameError: If it mirrors, or turns by something else.
    """
    area = a * d - b * c
    if area < 0:
        raise FrameError(ODD_TURN.format("mirror"))
    if area == 0:
        return 0
    degrees = -math.degrees(math.atan2(b, a)) % 360
    quarters = round(degrees / 90)
    if abs(degrees - 90 * quarters) > TOLERANCE:
        raise FrameError(ODD_TURN.format(f"turn by {degrees:.1f} degrees"))
    return quarters % 4 * 90


def exif_turn(picture: bytes) -> int:
    """The turn that a JPEG asks for by itself, which FFmpeg takes for that of the video; as ``quarter_turn``."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(picture)) as opened:
            orientation = opened.getexif().get(_ORIENTATION, 1)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0
    return quarter_turn(*_MATRICES.get(orientation, (1, 0, 0, 1)))
