"""Many published files into a folder in the published layout: planned, fetched, looked at, verified."""

from __future__ import annotations

import os
from typing import Any

from ..selection import Selection
from ..units import format_bytes, parse_rate
from .estimate import Estimate
from .plan import Counts, Plan, plan_download, plan_files
from .probe import server_sizes
from .record import Record
from .report import DownloadReport, FileEvent, Progress
from .status import Status, folder_status

__all__ = [
    "Counts",
    "DownloadReport",
    "Estimate",
    "FileEvent",
    "Plan",
    "Progress",
    "Record",
    "Status",
    "download",
    "folder_status",
    "format_bytes",
    "parse_rate",
    "plan_download",
    "plan_files",
    "server_sizes",
]


def download(
    selection: str | Selection | None = None,
    folder: str | os.PathLike[str] = "",
    *,
    participants: Any = None,
    sequences: Any = None,
    cameras: Any = None,
    assets: Any = None,
    workers: int = 16,
    max_rate: str | float | None = None,
    patience: float | None = None,
    force: bool = False,
    recheck: bool = False,
    progress: bool | None = None,
) -> DownloadReport:
    """Download a selection into a folder in the published layout, going on with what is there.

    Args:
        selection: A config name such as ``"participant_240"`` or ``"all"``; or leave it out and use the options.
        folder: Where to.  A folder that the official kit made is continued.
        participants: An id, a range ``"50-60"``, a comma-separated string, or a list of these; all by default.
        sequences: A name, a pattern such as ``"EMO-*"``, or a list of these; all by default.
        cameras: A serial or a list of these; all 16 by default.
        assets: ``images``, ``backgrounds``, ``calibration``, ``color_calibration``, ``metadata_participants``,
            ``metadata_sequences``, ``metadata`` (both tables), or a list of these; all by default.
        workers: Files, and so connections, at once; 1 to 64.
        max_rate: Bytes a second of all together, as a number or as ``"20M"``; no limit by default.
        patience: How long a server that was reached may be out of reach, in seconds, before files fail for it; two
            minutes by default.
        force: Fetch files again that are there.
        recheck: Ask again for files that the server did not have within the last day.
        progress: Show how far it is; by default on a terminal and in a notebook.

    Returns:
        What came of it.  Files that could not be fetched are in it, not raised: look at ``report.complete``.

    Raises:
        AccessError: If there is no access URL, or the server refuses it.
        SelectionError: If something named does not exist, or an option is none.
        TransportError: If the server cannot be reached.
        StorageError: If the disk has too little room.
        KeyboardInterrupt: Within a second of Ctrl-C; what has come is kept.
    """
    from ..progress import display, kind_for

    kind, rate = kind_for(progress), None if max_rate is None else parse_rate(max_rate)
    plan = plan_download(
        selection,
        folder,
        participants=participants,
        sequences=sequences,
        cameras=cameras,
        assets=assets,
        force=force,
        recheck=recheck,
    )
    with display(kind) as shown:
        return plan.run(workers=workers, max_rate=rate, patience=patience, watch=shown.update, on_file=shown.file)
