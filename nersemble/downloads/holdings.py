"""What lies in a folder in the published layout: its published files, what is half downloaded, and what is neither."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import ID_COLUMN, Catalog
from ..errors import AssetNotFoundError, NersembleError, TransportError
from ..layout import AssetPath, find_asset
from ..selection import select
from ..transport.part_file import list_parts

_PARTICIPANT = re.compile(r"\d{3,}")
#: Files of this package beside the published ones.
_OWN = ".nersemble"
_PARTIAL = ".part"
#: Folders below a participant's in which published files lie: sequences/EXP-1-head/images.
_DEEPEST = 3


@dataclass
class Holdings:
    """What a folder holds.

    Attributes:
        files: Size in bytes of each published file.
        partial: Bytes held of each file that is half downloaded, by its published path; by the path of what is held
            where another program wrote it.
        strays: Everything else, by its path in the folder; a folder at the top that is no participant's is one.
    """

    files: dict[AssetPath, int] = field(default_factory=dict)
    partial: dict[str, int] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)


def read_holdings(folder: Path, participants: Any = None) -> Holdings:
    """List a folder that should hold something.

    Args:
        folder: As in ``list_holdings``, and so the other.

    Raises:
        AssetNotFoundError: If there is no published file in it, nor a part of one.
    """
    found = list_holdings(folder, participants)
    if not found.files and not found.partial:
        raise AssetNotFoundError(
            f"The folder {folder} holds no file of the data set. Name the folder that it was downloaded to, not one "
            "inside or above it."
        )
    return found


def list_holdings(folder: Path, participants: Any = None) -> Holdings:
    """List a folder.

    Args:
        folder: A folder in the published layout.
        participants: Those of whom to list the files, in the written forms of ``nersemble.selection``; None lists all,
            with the tables of metadata and what lies beside the participants.

    Raises:
        AssetNotFoundError: If there is no such folder.
        SelectionError: If the folder holds no such participant.
        TransportError: If the disk refuses to list it.
    """
    if not folder.is_dir():
        raise AssetNotFoundError(f"There is no folder {folder}. Is the path right, and its disk mounted?")
    problem = ""
    try:
        return _read(folder, participants)
    except OSError as error:
        if isinstance(error, NersembleError):
            raise
        problem = f"{error.filename or folder} cannot be read: {(error.strerror or type(error).__name__).lower()}"
    raise TransportError(f"{problem}. Are its permissions right, and its disk well?")


def _read(folder: Path, participants: Any) -> Holdings:
    homes = {}
    found = Holdings()
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if _PARTICIPANT.fullmatch(entry.name) and entry.is_dir():
                homes[entry.name] = int(entry.name)
            elif participants is None and not entry.name.startswith(_OWN):
                _note(found, entry.name, entry)
    wanted = set(homes.values()) if participants is None else set(_known(homes.values(), participants))
    for name, participant in homes.items():
        if participant in wanted:
            _note_participant(found, folder / name, name)
    return found


def _note_participant(found: Holdings, home: Path, name: str) -> None:
    parts = list_parts(home)
    for part in parts:
        path = f"{name}/{part.key.replace('~', '/')}"
        found.partial[path] = max(found.partial.get(path, 0), part.size)
    named = {f"{name}/{part.path.name}" for part in parts}
    for path, entry in _below(home, name):
        if path not in named:
            _note(found, path, entry)


def _known(homes: Any, participants: Any) -> tuple[int, ...]:
    return select(Catalog(dict.fromkeys(homes, ()), frozenset(), {}, (ID_COLUMN,)), participants).participants


def _note(found: Holdings, path: str, entry: os.DirEntry[str]) -> None:
    split = find_asset(path) if entry.is_file() else None
    # A participant's number can be written with more zeros than are published.
    if split is not None and str(split[1]) == path:
        found.files[split[1]] = entry.stat().st_size
    elif path.endswith(_PARTIAL) and entry.is_file():
        found.partial[path] = entry.stat().st_size
    else:
        found.strays.append(path)


def _below(folder: Path, prefix: str, depth: int = 0) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below a folder, and every folder too deep for published files, with its path from the root."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{prefix}/{entry.name}"
        if depth < _DEEPEST and entry.is_dir():
            yield from _below(folder / entry.name, path, depth + 1)
        else:
            yield path, entry
