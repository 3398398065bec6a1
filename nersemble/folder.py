"""The catalogue of a folder in the published layout: what its directories and its metadata CSV, if any, say."""

from __future__ import annotations

import os
from pathlib import Path

from .catalog import Catalog, catalog_of_folder, parse_catalog
from .errors import AssetNotFoundError
from .layout import SEQUENCES_CSV


def read_folder_catalog(folder: Path) -> Catalog:
    """What of the data set a folder holds.

    With a ``metadata_sequences.csv`` the CSV says what a sequence folder should hold, and participants and sequences
    that were never downloaded are left out; without one the directories are the catalogue.

    Raises:
        AssetNotFoundError: If there is no such folder, or it holds no participant.
        CatalogError: If the CSV is not what it should be.
    """
    if not folder.is_dir():
        raise AssetNotFoundError(f"There is no folder {folder}. Is the path right, and its disk mounted?")
    present = {}
    for entry in os.scandir(folder):
        if entry.name.isdecimal() and len(entry.name) >= 3 and entry.is_dir():
            present[int(entry.name)] = _sequences(Path(entry.path) / "sequences")
    if not present:
        raise AssetNotFoundError(
            f"The folder {folder} holds no participant: expected folders such as 240/sequences in it. Name the folder "
            "that the data set was downloaded to, not one inside or above it."
        )
    table = folder / SEQUENCES_CSV
    if table.is_file():
        return parse_catalog(table.read_bytes()).restricted_to(present.items())
    return catalog_of_folder(present)


def _sequences(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in os.scandir(folder) if entry.is_dir()) if folder.is_dir() else frozenset()
