"""What the benchmarks of preparing read: the capture of ``_frame_data``, widened, and plans of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _frame_data import KINDS, PARTICIPANT, make_capture, video_path

from nersemble.layout import SEQUENCES, SERIALS, AssetPath

KIND = "h264 gop 30"
DEFAULT = Path(tempfile.gettempdir()) / "nersemble-frames"


def sequences_of(count: int) -> list[str]:
    """The one of ``KIND``, or the first ones, which ``capture_of_sequences`` fills with its videos."""
    return [KINDS[KIND][0]] if count == 1 else list(SEQUENCES[:count])


def capture_of_sequences(folder: Path, count: int) -> Path:
    """The capture, or one beside it whose first ``count`` sequences show the same: what several cores have to do."""
    make_capture(folder)
    if count == 1:
        return folder
    many = folder.with_name(f"{folder.name}-{count}-sequences")
    for asset in ("camera_params", "color_calibration"):
        link(folder / str(AssetPath(asset, PARTICIPANT)), many / str(AssetPath(asset, PARTICIPANT)))
    names = sequences_of(count)
    for sequence in names:
        for serial in SERIALS:
            link(video_path(folder, KIND, serial), many / str(AssetPath("video", PARTICIPANT, sequence, serial)))
    (many / "metadata_sequences.csv").write_text(f"ID,{','.join(names)}\n{PARTICIPANT},{','.join('x' * count)}\n")
    return many


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(source, target)


def capture_of_terms(folder: Path, terms: int) -> Path:
    """The capture, whose colour-correction matrices have 3 columns, or one beside it whose matrices have ``terms``."""
    if terms == 3:
        return folder
    wide = folder.with_name(f"{folder.name}-{terms}-terms")
    for path in folder.rglob("*"):
        if path.is_file():
            link(path, wide / path.relative_to(folder))
    calibration = wide / str(AssetPath("color_calibration", PARTICIPANT))
    calibration.unlink()
    random = np.random.default_rng(0)
    matrices = {serial: (np.eye(3, terms) + random.normal(0, 0.03, (3, terms))).tolist() for serial in SERIALS}
    calibration.write_text(json.dumps(matrices))
    return wide


def plan_of(
    data: str,
    *,
    cameras: list[str],
    timesteps: str,
    sequences: Sequence[str] = (KINDS[KIND][0],),
    chunk: int = 96,
    **options: Any,
) -> Any:
    """A plan of some cameras' videos."""
    import nersemble

    return nersemble.prepare.plan(
        data_dir=data,
        participants=PARTICIPANT,
        sequences=list(sequences),
        cameras=cameras,
        timesteps=timesteps,
        chunk=chunk,
        **options,
    )


def environment_of_clients() -> dict[str, str]:
    """Of every process that is measured: one thread a process but for what shares out its work itself."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {**os.environ, **threads, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def without_numba(folder: Path) -> dict[str, str]:
    """What to add to an environment so that numba is not there."""
    (folder / "numba.py").write_text('raise ImportError("left out by this benchmark")\n')
    return {"PYTHONPATH": str(folder)}
