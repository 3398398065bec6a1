"""Directory listings of the published layout, made from the catalogue alone."""

from __future__ import annotations

import re
from typing import Any

from .catalog import Catalog
from .layout import BACKGROUND, PARTICIPANTS_CSV, SEQUENCES_CSV, SERIALS, AssetPath

#: Of a participant; Python turns no text of thousands of digits into one.
_NUMBER = re.compile("[0-9]{1,9}")


def list_directory(catalog: Catalog, path: str) -> list[dict[str, Any]] | None:
    """The entries of a directory as fsspec gives them, None if ``path`` is no listed directory.

    File sizes are None: the catalogue does not hold them.
    """
    parts = path.split("/") if path else []
    if not parts:
        folders = [_directory(f"{p:03d}") for p in catalog.participants]
        return [*folders, _file(PARTICIPANTS_CSV), _file(SEQUENCES_CSV)]
    name = parts[0]
    if not _NUMBER.fullmatch(name) or int(name) not in catalog.sequences_of or name != f"{int(name):03d}":
        return None
    return _inside(catalog, int(name), parts[1:], path)


def padded_path(path: str) -> str:
    """The path with its participant written as paths write one, if it begins with a number at all: 55 as 055."""
    number, slash, rest = path.partition("/")
    return f"{int(number):03d}{slash}{rest}" if _NUMBER.fullmatch(number) else path


def _inside(catalog: Catalog, participant: int, parts: list[str], path: str) -> list[dict[str, Any]] | None:
    sequences = catalog.sequences_of[participant]
    has_background = participant in catalog.backgrounds
    match parts:
        case []:
            return [_directory(f"{path}/calibration"), _directory(f"{path}/sequences")]
        case ["calibration"]:
            kinds = ("camera_params", "color_calibration")
            return [_file(str(AssetPath(kind, participant))) for kind in kinds]
        case ["sequences"]:
            names = [*sequences, *([BACKGROUND] if has_background else [])]
            return [_directory(f"{path}/{name}") for name in names]
        case ["sequences", name] if name == BACKGROUND and has_background:
            return [_file(str(AssetPath("background", participant, camera=serial))) for serial in SERIALS]
        case ["sequences", name] if name in sequences:
            return [_directory(f"{path}/images")]
        case ["sequences", name, "images"] if name in sequences:
            return [_file(str(AssetPath("video", participant, name, serial))) for serial in SERIALS]
    return None


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _file(name: str) -> dict[str, Any]:
    return {"name": name, "size": None, "type": "file"}
