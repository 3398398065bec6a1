"""How pictures are prepared: what is asked for, checked, and as the JSON that a plan keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import SelectionError
from ..features import check_color_order, check_resize
from ..frames import RESIZE_FIRST
from ..timesteps import Timesteps, parse_timesteps
from ..written import index_of, switch_of

ROWS = ("frame", "timestep", "video")
FORMATS = ("jpeg", "png", "webp")
LARGEST_WEBP = 16383
#: Pixels that Pillow takes for an attack if a picture has more: neither `datasets` nor a training would read it.
MOST_PIXELS = 2 * (1024**3 // 4 // 3)


@dataclass(frozen=True)
class PrepareOptions:
    """How each picture is given, and what a row is.

    Attributes:
        rows: ``frame`` (a row a picture), ``timestep`` (a row a moment, with all its cameras) or ``video`` (a row a
            clip of one camera, encoded anew with a keyframe every ``gop`` pictures).
        timesteps: Which frames, as ``str(Timesteps)`` writes it.
        scale: Factor that pictures are resized by; None for none.
        size: (width, height) that they are resized to instead.
        color_correction: Whether each camera's colour-correction matrix is applied.
        color_order: ``resize_first`` or ``correct_first``, where both are asked for.
        image_format: ``jpeg``, ``png`` or ``webp``.
        quality: 1 to 100, of JPEG and WebP.
        gop: Pictures from keyframe to keyframe of clips.
        crf: x264's constant rate factor of clips, 0 (lossless) to 51.
    """

    rows: str = "timestep"
    timesteps: str = str(Timesteps())
    scale: float | None = None
    size: tuple[int, int] | None = None
    color_correction: bool = False
    color_order: str = RESIZE_FIRST
    image_format: str = "jpeg"
    quality: int = 95
    gop: int = 12
    crf: int = 16

    @property
    def wanted(self) -> Timesteps:
        """The frames, parsed."""
        return parse_timesteps(self.timesteps)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "size": None if self.size is None else list(self.size)}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> PrepareOptions:
        """Read back what ``as_dict`` gave."""
        return check_options(**held)


def check_written_size(size: tuple[int, int], image_format: str) -> None:
    """Check that pictures of a size can be written, and read again.

    Raises:
        SelectionError: If they cannot.
    """
    written = f"{size[0]} x {size[1]}"
    if image_format == "webp" and max(size) > LARGEST_WEBP:
        raise SelectionError(f"WebP holds pictures of up to {LARGEST_WEBP} pixels a side, not {written}.")
    if size[0] * size[1] > MOST_PIXELS:
        raise SelectionError(
            f"Pictures would be {written}, {size[0] * size[1] / 1e6:,.0f} megapixels. Pillow, which `datasets` reads "
            f'them with, refuses more than {MOST_PIXELS // 10**6}. Take a smaller scale= or size=, or rows="video".'
        )


def check_options(
    *,
    rows: Any = "timestep",
    timesteps: Any = None,
    scale: Any = None,
    size: Any = None,
    color_correction: Any = False,
    color_order: Any = RESIZE_FIRST,
    image_format: Any = "jpeg",
    quality: Any = 95,
    gop: Any = 12,
    crf: Any = 16,
) -> PrepareOptions:
    """Check options as a caller writes them; what makes no difference is brought to one form.

    Raises:
        SelectionError: If one is none.
    """
    if rows not in ROWS:
        raise SelectionError(f"rows is one of {', '.join(ROWS)}, not {rows!r}.")
    image_format = "jpeg" if image_format == "jpg" else image_format
    if image_format not in FORMATS:
        raise SelectionError(f"image_format is one of {', '.join(FORMATS)}, not {image_format!r}.")
    color_correction = switch_of(color_correction, "color_correction")
    check_color_order(color_order)
    quality, gop, crf = (
        _number(value, name, least, most)
        for name, value, least, most in (("quality", quality, 1, 100), ("gop", gop, 1, 1000), ("crf", crf, 0, 51))
    )
    scale, size = check_resize(scale, size)
    if size is not None and rows != "video":
        check_written_size(size, image_format)
    resized = scale is not None or size is not None
    return PrepareOptions(
        rows=rows,
        timesteps=str(parse_timesteps(timesteps)),
        scale=scale,
        size=size,
        color_correction=color_correction,
        color_order=color_order if color_correction and resized else RESIZE_FIRST,
        image_format="jpeg" if rows == "video" else image_format,
        quality=95 if rows == "video" or image_format == "png" else quality,
        gop=gop if rows == "video" else 12,
        crf=crf if rows == "video" else 16,
    )


def _number(value: Any, name: str, least: int, most: int) -> int:
    number = index_of(value)
    if number is None or not least <= number <= most:
        raise SelectionError(f"{name} is a number from {least} to {most}, not {value!r}.")
    return number
