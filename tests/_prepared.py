"""Plans and shards for tests, made from the demo capture."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow.parquet as pq

from nersemble import prepare

#: Two videos short enough for every test, of three keyframes each.
SMALL = {"participants": 240, "sequences": "EXP-1-head", "cameras": ["222200037", "222200042"]}


def small_plan(folder: Path, **options: Any) -> prepare.PreparePlan:
    """A plan of two cameras of one sequence, cut into short units."""
    return prepare.plan(**{**SMALL, "data_dir": folder, "scale": 0.5, "chunk": 12, **options})


def shards(folder: Path) -> list[Path]:
    """The shards below a folder, in the order of a data set's rows."""
    return sorted(folder.rglob("*.parquet"))


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of all shards, pictures as they are stored."""
    return [row for path in shards(folder) for row in pq.read_table(path).to_pylist()]


def digests(folder: Path) -> dict[str, str]:
    """Every shard's SHA-256 by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in shards(folder)
    }


def made(plan: prepare.PreparePlan, folder: Path, **options: Any) -> list[dict[str, Any]]:
    """All rows of a plan that is run to its end."""
    report = plan.run(folder, **{"workers": 1, **options})
    assert report.complete, report
    return rows(folder)


def picture(stored: dict[str, Any]) -> PIL.Image.Image:
    """A picture of a row."""
    return PIL.Image.open(io.BytesIO(stored["bytes"]))
