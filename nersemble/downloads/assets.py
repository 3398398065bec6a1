"""Which files of a selection are meant: the official kit's asset names, and the files they stand for."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..catalog import Catalog
from ..errors import AssetNotFoundError, SelectionError
from ..layout import AssetPath
from ..masking import NOT_REPEATED, has_url, is_bare_url
from ..selection import Selection
from ..transport.part_file import list_parts

#: The kit's name of each kind of file, in the order they are fetched in.
KINDS = {
    "metadata_participants": "participants",
    "metadata_sequences": "sequences",
    "calibration": "camera_params",
    "color_calibration": "color_calibration",
    "backgrounds": "background",
    "images": "video",
}
NAMES = {kind: name for name, kind in KINDS.items()}
_GROUPS = {"all": tuple(KINDS), "metadata": ("metadata_participants", "metadata_sequences")}


def parse_assets(written: Any) -> tuple[str, ...]:
    """Read asset names: one, a comma-separated string, or a list of these; None for all.

    Returns:
        The kit's names, in the order of ``KINDS``.

    Raises:
        SelectionError: If one does not exist, or there is none.
    """
    if written is None:
        return tuple(KINDS)
    words = written if isinstance(written, Iterable) and not isinstance(written, (str, bytes)) else [written]
    chosen: set[str] = set()
    for word in (part.strip() for item in words for part in str(item).split(",")):
        if word in _GROUPS:
            chosen.update(_GROUPS[word])
        elif word in KINDS:
            chosen.add(word)
        elif word:
            near = difflib.get_close_matches(word, [*KINDS, *_GROUPS], 1, 0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SelectionError(f"No asset {word!r}.{hint} There are {', '.join([*KINDS, *_GROUPS])}.")
    if not chosen:
        raise SelectionError("assets are empty. Leave the option out to select all.")
    return tuple(name for name in KINDS if name in chosen)


def list_files(catalog: Catalog, selection: Selection, assets: Iterable[str]) -> list[AssetPath]:
    """The files of a selection that the catalogue lists: tables, calibrations, stills, then videos."""
    wanted = {KINDS[name] for name in assets}
    files = [AssetPath(kind) for kind in ("participants", "sequences") if kind in wanted]
    for participant in selection.participants:
        files += [AssetPath(k, participant) for k in ("camera_params", "color_calibration") if k in wanted]
    if "background" in wanted:
        files += [
            AssetPath("background", participant, camera=serial)
            for participant in selection.participants
            if participant in catalog.backgrounds
            for serial in selection.cameras
        ]
    if "video" in wanted:
        files += [
            AssetPath("video", participant, sequence, serial)
            for participant, sequences in selection.sequences_of
            for sequence in sequences
            for serial in selection.cameras
        ]
    return files


def parts_folder(folder: Path, asset: AssetPath) -> Path:
    """Where the parts of a file are kept: beside nothing that other tools list."""
    return folder if asset.participant is None else folder / f"{asset.participant:03d}"


def check_folder(folder: Any) -> Path:
    """The absolute path of a folder, which need not exist.

    Raises:
        SelectionError: If it is no path of a folder.
    """
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise SelectionError("Name the folder to download to.")
    # One slash alone as a `Path` writes it.
    if "://" in os.fspath(folder) or has_url(os.fspath(folder)):
        raise SelectionError("The folder to download to is a path on disk, not a URL.")
    place = Path(os.path.abspath(os.path.expanduser(os.fspath(folder))))
    if place.exists() and not place.is_dir():
        raise SelectionError(f"{place} is a file. Name a folder to download to.")
    return place


def existing_folder(folder: Any) -> Path:
    """The absolute path of a folder that is there.

    Raises:
        AssetNotFoundError: If it is not.
        SelectionError: If it is no path of a folder.
    """
    place = check_folder(folder)
    if is_bare_url(os.fspath(folder)):
        raise AssetNotFoundError(f"There is no folder of that name, {NOT_REPEATED}")
    if not place.is_dir():
        raise AssetNotFoundError(f"There is no folder {place}. Is the path right, and its disk mounted?")
    return place


def sweep(folder: Path, assets: Iterable[AssetPath]) -> None:
    """Drop the parts of files that are there whole, as a process that was killed can leave them."""
    for home in {parts_folder(folder, asset) for asset in assets}:
        for part in list_parts(home):
            if part.free and (home / part.key.replace("~", "/")).is_file():
                with contextlib.suppress(OSError):
                    part.path.unlink()
