"""What a download tells: while it runs, of each file, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NersembleError, TransportError
from ..layout import AssetPath
from ..transport.policy import NEXT_STEP
from ..units import format_bytes

#: Files that a report names in each list.
NAMED = 10


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes:
        files_done: Files that need nothing more, whatever came of them.
        files_total: Files selected.
        bytes_done: Bytes received so far.
        bytes_total: Bytes to be received in all, as estimated now.
        rate: Bytes a second, over the last seconds.
        failed: Files that could not be fetched so far.
        missing: Files that the server does not have so far.
        note: What it waits for, if it waits: "the server asks to wait 30 s".
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    rate: float
    failed: int
    missing: int
    note: str = ""


@dataclass(frozen=True)
class FileEvent:
    """What came of one file.

    Attributes:
        asset: Which.
        outcome: ``fetched``, ``kept`` (it was there), ``missing`` (on the server) or ``failed``.
        bytes: Its length, 0 if it is not there.
        reason: Why it failed, or is kept although the server does not have it.
    """

    asset: AssetPath
    outcome: str
    bytes: int = 0
    reason: str = ""


@dataclass
class DownloadReport:
    """What came of a download.

    Attributes:
        folder: Where the files are.
        fetched: Number of files that were fetched.
        bytes: Bytes received for them.
        kept: Number of files that were there already.
        withdrawn: Files that the server does not have any more, and that are kept.
        missing: Files that the server does not have, and that are not there.
        failed: Files that could not be fetched, and why.
        not_tried: Number of files that it did not come to.
        stopped: Why it ended early, "" if it did not.
        seconds: How long it took.
    """

    folder: Path
    fetched: int = 0
    bytes: int = 0
    kept: int = 0
    withdrawn: list[AssetPath] = field(default_factory=list)
    missing: list[AssetPath] = field(default_factory=list)
    failed: dict[AssetPath, str] = field(default_factory=dict)
    not_tried: int = 0
    stopped: str = ""
    seconds: float = 0.0
    _kind: type[NersembleError] = field(default=TransportError, repr=False)

    @property
    def complete(self) -> bool:
        """Whether everything is there that the server has."""
        return not (self.failed or self.not_tried or self.stopped)

    def raise_if_incomplete(self) -> None:
        """Raise the report as an error, if something is not there that the server has.

        Raises:
            StorageError, AccessError, TransportError: By what ended it.
        """
        if not self.complete:
            raise self._kind(str(self))

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON's types, files by their published paths."""
        return {
            "folder": str(self.folder),
            "complete": self.complete,
            "fetched": self.fetched,
            "bytes": self.bytes,
            "kept": self.kept,
            "withdrawn": [str(asset) for asset in self.withdrawn],
            "missing": [str(asset) for asset in self.missing],
            "failed": {str(asset): reason for asset, reason in self.failed.items()},
            "not_tried": self.not_tried,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        rate = f", {format_bytes(self.bytes / self.seconds)}/s" if self.bytes and self.seconds > 0 else ""
        amount = f"{format_bytes(self.bytes)} in {_duration(self.seconds)}{rate}"
        lines = [f"{_files(self.fetched)} fetched ({amount}), {self.kept:,} kept, in {self.folder}"]
        if self.withdrawn:
            lines.append(f"{_files(len(self.withdrawn))} kept that the server has no more: {_named(self.withdrawn)}")
        if self.missing:
            lines.append(f"{_files(len(self.missing))} not on the server: {_named(self.missing)}")
        if self.failed:
            lines.append(f"{_files(len(self.failed))} failed:")
            shown = [(asset, reason.replace(f" {NEXT_STEP}", "")) for asset, reason in self.failed.items()][:NAMED]
            lines += [f"  {reason}" if str(asset) in reason else f"  {asset}: {reason}" for asset, reason in shown]
            if len(self.failed) > NAMED:
                lines.append(f"  and {len(self.failed) - NAMED:,} more")
        if self.stopped:
            lines.append(f"Stopped: {self.stopped}")
        if self.not_tried:
            lines.append(f"{_files(self.not_tried)} not tried")
        if not self.complete:
            lines.append("Run it again to go on: what is there is kept. `nersemble login` sets another access URL.")
        return "\n".join(lines)


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _named(names: Any, most: int = 3) -> str:
    known = [str(name) for name in names]
    more = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {int(seconds) % 60:02d} s"
