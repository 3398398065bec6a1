"""Makes a demo capture on disk, whole or not at all, and keeps one in a cache.

The capture is built in a hidden folder beside its place and moved there in one step, so nobody sees half of one.  Equal
options give equal bytes.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from nersemble.caches import cache_folder
from nersemble.demo.options import DemoOptions
from nersemble.demo.rig import demo_rig, wobble
from nersemble.demo.worker import run_views
from nersemble.errors import SelectionError
from nersemble.layout import BACKGROUND, SEQUENCES, SERIALS, AssetPath

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], object]

_DEFAULT = DemoOptions()


def make_capture(
    folder: str | os.PathLike[str],
    options: DemoOptions = _DEFAULT,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make a synthetic capture in the published layout.

    Args:
        folder: Where to make it; must not exist, or be empty.
        options: What to make.
        workers: Pictures are drawn and encoded in this many processes; by default one for each processor.
        progress: Called now and then with (stills and videos made or begun, how many there will be).

    Returns:
        The folder.

    Raises:
        SelectionError: If the folder already holds something.
        NersembleError: If one of the processes fails.
    """
    place = Path(folder).absolute()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise SelectionError(f"{place} is there already and not an empty folder. Choose another place for the demo.")
    place.parent.mkdir(parents=True, exist_ok=True)
    half_made = place.parent / f".{place.name}.{secrets.token_hex(6)}.part"
    try:
        _write_tables(half_made, options)
        _write_pictures(half_made, options, workers, progress)
        if place.is_dir():
            place.rmdir()
        os.replace(half_made, place)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return place


def ensure_capture(
    options: DemoOptions = _DEFAULT,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """The capture of these options: made when first asked for, then found.

    Args:
        options: What to make.
        cache_dir: Folder that holds the captures, one folder for each set of options; by default ``demo`` in
            the user's cache (``nersemble.caches``).
        progress: As in ``make_capture``; not called when the capture is found.

    Returns:
        The capture's folder.  Treat it as read-only: other processes may be using it.
    """
    place = (cache_folder() / "demo" if cache_dir is None else Path(cache_dir)) / options.fingerprint()
    if place.is_dir():
        return place
    try:
        return make_capture(place, options, progress=progress)
    except (OSError, SelectionError):
        # Another process may have made the same one meanwhile; theirs is as good.
        if place.is_dir():
            return place
        raise


def _write_pictures(root: Path, options: DemoOptions, workers: int | None, progress: Progress | None) -> None:
    views = [(participant, serial) for participant in sorted(set(options.participants)) for serial in SERIALS]
    total = sum(asset.kind in ("video", "background") for asset in options.files())
    for _ in run_views(root, options, views, workers or os.cpu_count() or 1):
        if progress:
            progress(sum(path.suffix in (".mp4", ".jpg") for path in root.rglob("*.*")), total)
    if progress:
        progress(total, total)


def _write_tables(root: Path, options: DemoOptions) -> None:
    """The two CSVs and each participant's calibration."""
    root.mkdir()
    participants = sorted(set(options.participants))
    people = [["ID", "gender", "age", "height_cm"]]
    names = [options.spelling(name) for name in SEQUENCES]
    marks = [["ID", "wears_glasses", BACKGROUND, *names]]
    for number in participants:
        gender = "f" if wobble(number, "gender") < 0 else "m"
        people.append(
            [
                str(number),
                gender,
                str(int(40 + 20 * wobble(number, "age"))),
                str(int(172 + 16 * wobble(number, "height"))),
            ]
        )
        has = options.sequences_of(number)
        # The published table uses both letters for "has it".
        row = ["xm"[(number + place) % 2] if name in has else "" for place, name in enumerate(names)]
        marks.append([str(number), "x" if wobble(number, "glasses") > 0.4 else "", "x", *row])
        _write_calibration(root, options, number)
    for asset, rows in ((AssetPath("participants"), people), (AssetPath("sequences"), marks)):
        with open(root / str(asset), "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _write_calibration(root: Path, options: DemoOptions, participant: int) -> None:
    rig = demo_rig(participant, options.width, options.height)
    poses = {serial: matrix.tolist() for serial, matrix in rig.world_to_camera.items()}
    contents = {
        "camera_params": {"world_2_cam": poses, "intrinsics": rig.intrinsics.tolist()},
        "color_calibration": {serial: matrix.tolist() for serial, matrix in rig.ccm.items()},
    }
    for kind, content in contents.items():
        path = root / str(AssetPath(kind, participant))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
