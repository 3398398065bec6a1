"""What came of a run, and how far it is while it lasts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from ..errors import PrepareError
from ..progress import Count
from ..units import format_bytes

#: Failed units that a message names.
NAMED = 5


@dataclass
class RunReport:
    """What came of a run.

    Attributes:
        target: Where the shards are.
        written: Units whose shards were made.
        kept: Units whose shards were there, whole.
        failed: Why units failed, by name.
        not_tried: Units that were not come to, because all others would have failed too.
        stopped: Why, "" if nothing stopped it.
        submitted: What was handed to a scheduler, "" if the run is over.
        rows: Rows of the shards that are there.
        pictures: Pictures that were made.
        bytes: Bytes of the shards that are there.
        seconds: How long it took.
        work: Seconds of all workers by kind of work.
    """

    target: str
    written: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    not_tried: int = 0
    stopped: str = ""
    submitted: str = ""
    rows: int = 0
    pictures: int = 0
    bytes: int = 0
    seconds: float = 0.0
    work: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def complete(self) -> bool:
        """Whether every shard of the plan is there."""
        return not (self.failed or self.not_tried or self.stopped or self.submitted)

    def raise_if_incomplete(self) -> None:
        """Raise if a shard is not there.

        Raises:
            PrepareError: Then, with what failed and what to do.
        """
        if not self.complete:
            raise PrepareError(str(self))

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "target": self.target,
            "complete": self.complete,
            "written": self.written,
            "kept": self.kept,
            "failed": self.failed,
            "not_tried": self.not_tried,
            "stopped": self.stopped,
            "submitted": self.submitted,
            "rows": self.rows,
            "pictures": self.pictures,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "work": {kind: round(spent, 3) for kind, spent in self.work.items()},
        }

    def __str__(self) -> str:
        if self.submitted:
            return f"Submitted: {self.submitted}"
        held = f"{self.written + self.kept:,} shards, {self.rows:,} rows, {format_bytes(self.bytes)} in {self.target}"
        lines = [f"{held}: {self.written:,} made, {self.kept:,} there already, in {self.seconds:.1f} s."]
        for reason, names in _by_reason(self.failed).items():
            shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
            lines.append(f"{len(names):,} failed: {shown}: {reason}")
        if self.stopped:
            lines.append(f"Stopped, since it would go for all others too: {self.stopped}")
        if self.not_tried:
            lines.append(f"{self.not_tried:,} were not tried.")
        if not self.complete:
            lines.append("Once the causes are mended, run it again: it makes only what is not there.")
        return "\n".join(lines)


def _by_reason(failed: dict[str, str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, reason in sorted(failed.items()):
        names.setdefault(reason, []).append(name)
    return names


@dataclass(frozen=True)
class UnitEvent:
    """What became of a unit, as displays show it."""

    asset: str
    outcome: str
    bytes: int = 0
    reason: str = ""


@dataclass
class RunProgress(Count):
    """How far a run is, as displays show it; bytes to come are guessed from those that came."""

    pictures_total: int = 0
    pictures_done: int = 0

    def add(self, pictures: int, size: int) -> None:
        """Count a shard of some pictures and bytes."""
        self.pictures_done += pictures
        self.bytes_done += size
        self.bytes_total = round(self.bytes_done * self.pictures_total / max(self.pictures_done, 1))
