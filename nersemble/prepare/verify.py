"""Checks shards against their plan: every planned row once, every picture there and whole."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ..cores import usable_cores
from ..errors import PrepareError
from ..parallel import map_on_threads
from ..progress import Count
from ..units import format_bytes
from ..written import count_of, switch_of
from .decoding import clip_sizes, decoded_size
from .job import Job
from .plans import PreparePlan
from .run import check_watch
from .shard import group_rows, is_undamaged, read_header
from .target import PART, Target
from .unit import Unit

#: Findings that a message shows.
SHOWN = 10


@dataclass(frozen=True)
class ShardFinding:
    """A shard that is not what the plan says.

    Attributes:
        shard: Its path below the folder.
        reason: What is wrong with it.
    """

    shard: str
    reason: str

    def __str__(self) -> str:
        return f"{self.shard}: {self.reason}"


@dataclass
class ShardReport:
    """What came of a check.

    Attributes:
        target: Where the shards are.
        shards: How many the plan has.
        rows: Rows that were found right.
        pictures: Pictures that were decoded.
        bytes: Bytes of the shards.
        findings: What is wrong.
        decoded: Whether pictures were decoded.
        seconds: How long it took.
    """

    target: str
    shards: int = 0
    rows: int = 0
    pictures: int = 0
    bytes: int = 0
    findings: list[ShardFinding] = field(default_factory=list)
    decoded: bool = True
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.findings

    def raise_if_unsound(self) -> None:
        """Raise if something wrong was found.

        Raises:
            PrepareError: Then, with the first findings.
        """
        if not self.sound:
            raise PrepareError(str(self))

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "target": self.target,
            "sound": self.sound,
            "shards": self.shards,
            "rows": self.rows,
            "pictures": self.pictures,
            "bytes": self.bytes,
            "decoded": self.decoded,
            "findings": [{"shard": found.shard, "reason": found.reason} for found in self.findings],
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        pictures = f"{self.pictures:,} pictures, " if self.decoded else ""
        told = f"{self.rows:,} rows, {pictures}{format_bytes(self.bytes)} in {self.target}"
        if self.sound:
            looked = "every picture decodes" if self.decoded else "as it was made; pictures were not decoded"
            return f"Sound: {self.shards:,} shards, {told}: every planned row once, {looked}."
        wrong = "1 thing is" if len(self.findings) == 1 else f"{len(self.findings):,} things are"
        lines = [f"{wrong} not as planned of {self.shards:,} shards; right are {told}."]
        lines += [f"  {found}" for found in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            lines.append(f"  and {len(self.findings) - SHOWN:,} more")
        lines.append(
            "Run the plan again with recheck=True (--recheck): it makes what is missing, and what is damaged. What is "
            "no part of the plan has to be removed by hand."
        )
        return "\n".join(lines)


def verify_shards(
    plan: PreparePlan,
    folder: str | os.PathLike[str],
    *,
    decode: bool = True,
    workers: int | None = None,
    watch: Callable[[Count], object] | None = None,
) -> ShardReport:
    """Check shards against their plan.

    Args:
        plan: What they should be.
        folder: Where they are, as it was given to ``run``.
        decode: Decode every picture; without it, only their presence is looked at.
        workers: Threads; one for each core by default.
        watch: Called with the progress as it changes.

    Returns:
        What was found; nothing is changed.  ``report.sound`` says whether all is well.

    Raises:
        SelectionError: If the folder, the number of workers or another option is none.
    """
    workers = usable_cores() if workers is None else count_of(workers, "workers")
    check_watch(watch)
    decode = switch_of(decode, "decode")
    began = time.monotonic()
    target = Target(folder)
    job = plan.reading_job(target.text)
    report = ShardReport(target.shown, len(plan.units), decoded=decode)
    state = Count(len(plan.units))

    def check(unit: Unit) -> _Check:
        checking = _Check(job, unit, plan.columns, decode)
        checking.run()
        report.findings += [ShardFinding(job.shard_name(unit), checking.problem)] if checking.problem else []
        report.rows += checking.rows
        report.pictures += checking.pictures
        report.bytes += checking.bytes
        state.files_done, state.failed = state.files_done + 1, len(report.findings)
        if watch is not None:
            watch(state)
        return checking

    map_on_threads(check, plan.units, workers)
    planned = {job.shard_name(unit) for unit in plan.units}
    report.findings += [
        ShardFinding(name, "no shard of the plan, whose rows would be loaded with it: remove it")
        for name in target.names(plan.config)
        if name.endswith(".parquet") and name not in planned and not name.endswith(PART)
    ]
    report.findings.sort(key=lambda found: found.shard)
    report.seconds = time.monotonic() - began
    return report


class _Check:
    """The check of one shard."""

    def __init__(self, job: Job, unit: Unit, columns: dict[str, str], decode: bool) -> None:
        self._job, self._unit, self._columns, self._decode = job, unit, columns, decode
        self._wanted = job.options.wanted
        self.problem = ""
        self.rows = self.pictures = self.bytes = 0

    def run(self) -> None:
        """Check it; ``problem`` says what is wrong."""
        name, problem = self._job.shard_name(self._unit), ""
        try:
            self._check(name)
        except (FileNotFoundError, NotADirectoryError):
            problem = "it is not there"
        except _WrongError as error:
            problem = str(error)
        except (OSError, pa.ArrowException) as error:
            problem = f"it cannot be read: {error}"
        except (KeyError, TypeError, ValueError, IndexError) as error:  # rows of another kind
            problem = f"its rows are not those of the plan ({type(error).__name__}: {error})"
        self.problem = problem

    def _check(self, name: str) -> None:
        with self._job.output.open(name) as file:
            header = read_header(file)
            whole = header is not None and is_undamaged(file)
        if header is None:
            raise _WrongError("it is no whole shard of this package")
        if header.unit != self._job.digest_of(self._unit):
            raise _WrongError("it was made with other options, or from other videos")
        if not whole:
            raise _WrongError("it was damaged after it was made: its checksum does not match")
        expected = self._unit.rows(self._wanted, self._job.options.rows)
        with self._job.output.open(name) as file:
            place = 0
            for rows in group_rows(file):
                for row in rows:
                    if place >= len(expected):
                        raise _WrongError(f"it has more than its {len(expected)} rows")
                    self._check_row(row, *expected[place])
                    place += 1
        if place != len(expected):
            raise _WrongError(f"it has {place} rows instead of {len(expected)}")
        self.rows, self.bytes = place, self._job.output.size(name)

    def _check_row(self, row: dict[str, Any], timestep: int, camera: str) -> None:
        kind = self._job.options.rows
        if row["participant"] != self._unit.participant:
            raise _WrongError(f"a row is of participant {row['participant']}")
        if kind == "video":
            self._check_clip(row, timestep, camera)
            return
        if row["timestep"] != timestep or (kind == "frame" and row["camera"] != camera):
            raise _WrongError(f"a row is of timestep {row['timestep']} where {timestep} is due")
        if kind == "frame":
            self._check_picture(row["frame"], (row["width"], row["height"]), f"timestep {timestep}")
            self._check_camera(row["intrinsics"], row["world_to_camera"])
            self._check_added(row, f"timestep {timestep}")
            return
        due = [video.camera for video in self._unit.videos if video.facts.num_frames > timestep]
        if row["cameras"] != due:
            raise _WrongError(f"timestep {timestep} has the cameras {row['cameras']}, not {due}")
        if any(len(row[name]) != len(due) for name in ("frames", "width", "height", "intrinsics", "world_to_camera")):
            raise _WrongError(f"timestep {timestep} has lists of other lengths than its cameras")
        for number, serial in enumerate(due):
            size = (row["width"][number], row["height"][number])
            self._check_picture(row["frames"][number], size, f"timestep {timestep} of camera {serial}")
            self._check_camera(row["intrinsics"][number], row["world_to_camera"][number])
            self._check_added({name: row[name][number] for name in self._columns}, f"timestep {timestep}")

    def _check_picture(self, value: Any, size: tuple[int, int] | None, what: str) -> None:
        if not value or not value.get("bytes"):
            raise _WrongError(f"{what} has no bytes")
        if "/" in (value.get("path") or "") or "\\" in (value.get("path") or ""):
            raise _WrongError(f"{what} names a path")
        if self._decode:
            found = decoded_size(value["bytes"])
            if found is None:
                raise _WrongError(f"{what} does not decode")
            if size is not None and found != size:
                raise _WrongError(f"{what} is {found[0]} x {found[1]}, not {size[0]} x {size[1]}")
            self.pictures += 1

    def _check_added(self, row: dict[str, Any], what: str) -> None:
        for name, kind in self._columns.items():
            if kind == "image":
                self._check_picture(row[name], None, f"{name} of {what}")

    def _check_camera(self, intrinsics: Any, pose: Any) -> None:
        flat = [value for matrix in (intrinsics, pose) for line in matrix for value in line]
        if len(flat) != 25 or not all(map(math.isfinite, flat)):
            raise _WrongError("a matrix is not finite")

    def _check_clip(self, row: dict[str, Any], timestep: int, camera: str) -> None:
        video = next(one for one in self._unit.videos if one.camera == camera)
        due = self._unit.timesteps(self._wanted, video.facts.num_frames).tolist()
        if row["camera"] != camera or row["timesteps"] != due or row["num_frames"] != len(due):
            raise _WrongError(f"the clip of camera {camera} from timestep {timestep} has other frames than planned")
        if not row["video"] or not row["video"].get("bytes"):
            raise _WrongError(f"the clip of camera {camera} has no bytes")
        self._check_camera(row["intrinsics"], row["world_to_camera"])
        if self._decode:
            found = sum(1 for size in clip_sizes(row["video"]["bytes"]) if size == (row["width"], row["height"]))
            if found != len(due):
                raise _WrongError(f"the clip of camera {camera} has {found} pictures that decode, not {len(due)}")
            self.pictures += found


class _WrongError(Exception):
    """What is wrong with a shard."""


__all__ = ["ShardFinding", "ShardReport", "verify_shards"]
