"""What ``benchmarks/downloads.py`` serves and what folders hold before it, in the published layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from _download_clients import PARTICIPANTS

from nersemble.downloads.record import Record
from nersemble.layout import SEQUENCES, SERIALS, AssetPath

SEQUENCE = "EMO-1-shout+laugh"
SIZE = 8_700_000
#: As many as are published, about.
ALL_PARTICIPANTS, ALL_SEQUENCES = range(1, 426), SEQUENCES[:25]


def make_capture(data: Path, size: int) -> list[str]:
    """Random bytes in the published layout; gives the paths."""
    videos = [AssetPath("video", p, SEQUENCE, serial) for p in PARTICIPANTS for serial in SERIALS]
    small = [AssetPath(kind, p) for p in PARTICIPANTS for kind in ("camera_params", "color_calibration")]
    tables = {
        AssetPath("participants"): "ID,gender\n" + "".join(f"{p},\n" for p in PARTICIPANTS),
        AssetPath("sequences"): make_sequences_csv(PARTICIPANTS, {SEQUENCE}),
    }
    assets = [*tables, *small, *videos]
    for asset in assets:
        path = data / str(asset)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = tables.get(asset)
        path.write_bytes(table.encode() if table else os.urandom(size if asset.kind == "video" else 4000))
    return [str(asset) for asset in assets]


def make_sequences_csv(participants: Iterable[int], present: set[str]) -> str:
    cells = ["", "", *("x" if name in present else "" for name in SEQUENCES)]
    rows = [["ID", "wears_glasses", "BACKGROUND", *SEQUENCES], *([str(p), *cells] for p in participants)]
    return "".join(",".join(row) + "\n" for row in rows)


def make_all_tables(data: Path) -> None:
    """The tables of 170,000 videos, and none of the videos."""
    (data / "metadata_sequences.csv").write_text(make_sequences_csv(ALL_PARTICIPANTS, set(ALL_SEQUENCES)))
    (data / "metadata_participants.csv").write_text("ID\n" + "".join(f"{p}\n" for p in ALL_PARTICIPANTS))


def fill_folder(folder: Path, data: Path) -> None:
    """A folder that holds every video and calibration: files with a size and no bytes."""
    for participant in ALL_PARTICIPANTS:
        assets = [AssetPath(kind, participant) for kind in ("camera_params", "color_calibration")]
        for sequence in ALL_SEQUENCES:
            assets += [AssetPath("video", participant, sequence, serial) for serial in SERIALS]
        for asset in assets:
            path = folder / str(asset)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(SIZE)
    for table in data.iterdir():
        shutil.copy(table, folder)


def record_sizes(folder: Path) -> None:
    """Make the record of a folder hold the size of every file in it."""
    record = Record.open(folder)
    for path in folder.rglob("*.*"):
        if path.is_file() and not path.name.startswith("."):
            record.add_size(path.relative_to(folder).as_posix(), path.stat().st_size)
    record.close()
