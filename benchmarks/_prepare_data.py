"""What the benchmarks of preparing read: the capture of ``_frame_data``, with matrices of a width, and plans of it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _frame_data import KINDS, PARTICIPANT, make_capture

from nersemble.layout import SERIALS, AssetPath

DEFAULT = Path(tempfile.gettempdir()) / "nersemble-frames"


def capture_of_terms(folder: Path, terms: int) -> Path:
    """The capture, whose colour-correction matrices have 3 columns, or one beside it whose matrices have ``terms``."""
    make_capture(folder)
    if terms == 3:
        return folder
    wide = folder.with_name(f"{folder.name}-{terms}-terms")
    for path in folder.rglob("*"):
        target = wide / path.relative_to(folder)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    calibration = wide / str(AssetPath("color_calibration", PARTICIPANT))
    calibration.unlink()
    random = np.random.default_rng(0)
    matrices = {serial: (np.eye(3, terms) + random.normal(0, 0.03, (3, terms))).tolist() for serial in SERIALS}
    calibration.write_text(json.dumps(matrices))
    return wide


def plan_of(
    data: str, *, kind: str = "h264 gop 30", cameras: list[str], timesteps: str, chunk: int = 96, **options: Any
) -> Any:
    """A plan of some cameras' videos of one kind."""
    import nersemble

    return nersemble.prepare.plan(
        data_dir=data,
        participants=PARTICIPANT,
        sequences=KINDS[kind][0],
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
