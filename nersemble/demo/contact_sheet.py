"""A labelled grid of pictures, to see a whole rig at one glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from nersemble.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAPER, _CARD, _INK, _FAINT = (18, 20, 24), (32, 35, 41), (232, 234, 238), (150, 156, 166)


def contact_sheet(
    images: Sequence[Image.Image],
    labels: Sequence[str],
    columns: int = 8,
    tile_width: int = 160,
    *,
    title: str | None = None,
) -> Image.Image:
    """Put pictures side by side, each with its label below.

    Args:
        images: One or more pictures, all of about the same shape.
        labels: A label for each picture; one that is too wide is cut with an ellipsis.
        columns: Pictures in a row.
        tile_width: Width of a picture in the sheet, in pixels; its height follows the picture's shape.
        title: A line above the grid.

    Returns:
        An RGB picture.

    Raises:
        SelectionError: If there is no picture, or not one label a picture.
    """
    if not images or len(images) != len(labels):
        raise SelectionError(
            f"A contact sheet needs a label a picture; got {len(images)} pictures, {len(labels)} labels."
        )
    if columns < 1 or tile_width < 16:
        raise SelectionError("A contact sheet needs at least one column and tiles of 16 pixels or more.")
    columns = min(columns, len(images))
    gap, line = max(4, tile_width // 16), max(14, tile_width // 7)
    tile_height = max(1, round(tile_width * max(image.height / image.width for image in images)))
    head = gap + (2 * line if title else 0)
    rows = -(-len(images) // columns)
    step_x, step_y = tile_width + gap, tile_height + line + gap
    sheet = Image.new("RGB", (gap + columns * step_x, head + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        font = ImageFont.load_default(line * 0.85)
        draw.text(
            (gap, head / 2 + gap / 4), _fit(title, font, sheet.width - 2 * gap), fill=_INK, font=font, anchor="lm"
        )
    font = ImageFont.load_default(line * 0.62)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        x, y = gap + index % columns * step_x, head + index // columns * step_y
        draw.rectangle((x, y, x + tile_width - 1, y + tile_height + line - 1), fill=_CARD)
        height = max(1, round(tile_width * image.height / image.width))
        tile = image.convert("RGB").resize((tile_width, height), Image.Resampling.LANCZOS, reducing_gap=3)
        sheet.paste(tile, (x, y + (tile_height - height) // 2))
        place = (x + tile_width / 2, y + tile_height + line / 2)
        draw.text(place, _fit(label, font, tile_width - 4), fill=_FAINT, font=font, anchor="mm")
    return sheet


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
