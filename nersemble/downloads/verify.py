"""Checks what a folder holds: sizes, structure, and with ``deep`` every frame.

Nothing is fetched and no file is changed.  What is found wrong is noted in the folder's record, so that the next
download fetches it again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..access import AccessURL, find_access
from ..errors import AccessError, TransportError
from ..layout import AssetPath
from ..written import count_of, switch_of
from .assets import existing_folder
from .check_worker import check_contents
from .checks import structure_problem
from .holdings import Holdings, read_holdings
from .probe import server_sizes
from .record import Record
from .report import Progress

#: Files whose sizes the server is asked for at a time.
ASKED_AT_ONCE = 256
#: Threads that look at structures: they wait for the disk.
READERS = 16
#: The tables of metadata.
TABLES = ("participants", "sequences")
#: Seconds from one call of ``watch`` to the next, at least.
SHOWN_EVERY = 0.1
T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """A file that is not what it should be.

    Attributes:
        asset: Which file.
        reason: What is wrong with it.
    """

    asset: AssetPath
    reason: str

    def __str__(self) -> str:
        return f"{self.asset}: {self.reason}"


@dataclass
class VerifyReport:
    """What came of a check.

    Attributes:
        folder: The folder.
        files: How many published files were checked.
        bytes: Their size.
        by_record: How many were compared with the size remembered from their download.
        by_server: How many were compared with the server's size.
        by_structure: How many were looked at instead, since nobody knows their size.
        decoded: How many were decoded from start to end.
        findings: The files that are damaged, cut off or of another size.
        partial: Files that are half downloaded, with their sizes; a download goes on with them.
        strays: Files that are no part of the data set.
        not_asked: Why the server was not asked for sizes, "" if it was or need not be.
        seconds: How long it took.
    """

    folder: Path
    files: int = 0
    bytes: int = 0
    by_record: int = 0
    by_server: int = 0
    by_structure: int = 0
    decoded: int = 0
    findings: list[Finding] = field(default_factory=list)
    partial: dict[str, int] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    not_asked: str = ""
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {
            "folder": str(self.folder),
            "sound": self.sound,
            "files": self.files,
            "bytes": self.bytes,
            "by_record": self.by_record,
            "by_server": self.by_server,
            "by_structure": self.by_structure,
            "decoded": self.decoded,
            "findings": [{"path": str(found.asset), "reason": found.reason} for found in self.findings],
            "partial": self.partial,
            "strays": self.strays,
            "not_asked": self.not_asked,
            "seconds": round(self.seconds, 3),
        }


def verify_folder(
    folder: str | os.PathLike[str],
    *,
    participants: Any = None,
    deep: bool = False,
    workers: int | None = None,
    watch: Callable[[Progress], object] | None = None,
) -> VerifyReport:
    """Check the published files in a folder.

    Sizes are compared with those remembered from the download, or else with the server's; a file whose size nobody
    knows is looked at: the boxes of an mp4 must fill it, a JPEG must have its two ends, JSON and CSV must parse.

    Args:
        folder: A folder in the published layout, however it was made.
        participants: Those to check, such as ``"240,250-260"``; all by default.
        deep: Decode every video from start to end too, with every picture and matrix.
        workers: Processes that decode; one for each processor by default.
        watch: Called from this thread several times a second, and at the end.

    Returns:
        What was found.  Files that are found damaged are noted, and fetched again by the next download.

    Raises:
        AssetNotFoundError: If there is no such folder, or nothing of the data set in it.
        SelectionError: If the folder holds no such participant, or ``workers`` or ``deep`` is none.
    """
    return _Verification(existing_folder(folder), participants, watch).run(deep, workers)


class _Verification:
    """One check, and how far it is."""

    def __init__(self, folder: Path, participants: Any, watch: Callable[[Progress], object] | None) -> None:
        self._folder, self._watch = folder, watch
        self._start = time.monotonic()
        self._held: Holdings = read_holdings(folder, participants)
        self._report = VerifyReport(folder, partial=self._held.partial, strays=self._held.strays)
        self._report.files, self._report.bytes = len(self._held.files), sum(self._held.files.values())
        self._wrong: dict[AssetPath, str] = {}
        self._files_done = self._bytes_done = 0
        self._shown = 0.0

    def run(self, deep: bool, workers: int | None) -> VerifyReport:
        """Check everything; ``deep`` counts a file as done when it was decoded."""
        deep, workers = switch_of(deep, "deep"), _processors() if workers is None else count_of(workers, "workers")
        self._record = Record.open(self._folder)
        done = self._seen if deep else self._done
        unknown = self._compare(done)
        self._report.by_record = self._report.files - len(unknown)
        asked = len(unknown)
        unknown = self._ask(unknown, done)
        self._report.by_server = asked - len(unknown)
        self._look(unknown, done)
        self._report.by_structure = len(unknown)
        if deep:
            self._decode(workers)
        self._report.findings = [Finding(asset, self._wrong[asset]) for asset in sorted(self._wrong, key=str)]
        self._record.close()
        self._report.seconds = time.monotonic() - self._start
        self._show()
        return self._report

    # --- the checks, one after another --------------------------------------------------------------------------------

    def _compare(self, done: Callable[[AssetPath], object]) -> list[AssetPath]:
        """Compare with the remembered sizes; the files without one are left."""
        left = []
        for asset, size in self._held.files.items():
            self._wrong_is(asset, self._record.bad(str(asset)))
            # Tables grow; one that was downloaded in time is not damaged.
            expected = None if asset.kind in TABLES else self._record.size(str(asset))
            if expected is None:
                left.append(asset)
            else:
                self._judge_size(asset, size, expected)
                done(asset)
        return left

    def _ask(self, assets: Sequence[AssetPath], done: Callable[[AssetPath], object]) -> list[AssetPath]:
        """Compare with the server's sizes; the files without one are left."""
        left = [asset for asset in assets if asset.kind in TABLES]
        wanted = [asset for asset in assets if asset.kind not in TABLES]
        root = self._server() if wanted else None
        for batch in _batches(wanted, ASKED_AT_ONCE):
            sizes: dict[str, int | None] = {}
            if root is not None and not self._report.not_asked:
                self._show(note="asking the server for sizes")
                try:
                    sizes = server_sizes([str(asset) for asset in batch], root=root)
                except (AccessError, TransportError) as error:
                    self._report.not_asked = str(error)
            for asset in batch:
                expected = sizes.get(str(asset))
                if expected is None or expected < 0:
                    left.append(asset)
                else:
                    self._record.add_size(str(asset), expected)
                    self._judge_size(asset, self._held.files[asset], expected)
                    done(asset)
        return left

    def _server(self) -> AccessURL | None:
        """Where else the files are, if that is known."""
        try:
            root = find_access()
        except AccessError as error:
            self._report.not_asked = str(error)
            return None
        same = root.is_folder and os.path.realpath(root.reveal()) == os.path.realpath(self._folder)
        return None if same else root

    def _judge_size(self, asset: AssetPath, size: int, expected: int) -> None:
        if size != expected:
            self._wrong_is(asset, f"it has {size:,} bytes instead of {expected:,}")

    def _look(self, assets: Sequence[AssetPath], done: Callable[[AssetPath], object]) -> None:
        """Look at structures."""
        pool = ThreadPoolExecutor(READERS)
        try:
            for batch in _batches(assets, ASKED_AT_ONCE):
                problems = pool.map(lambda asset: structure_problem(self._folder / str(asset), asset.kind), batch)
                for asset, problem in zip(batch, problems, strict=True):
                    self._wrong_is(asset, problem)
                    done(asset)
        finally:
            pool.shutdown(cancel_futures=True)

    def _decode(self, workers: int) -> None:
        """Decode everything."""
        jobs = {(self._folder / str(asset), asset.kind): asset for asset in self._held.files}
        with contextlib.closing(check_contents(jobs, workers)) as results:
            for result in results:
                if result is None:
                    self._show()
                    continue
                job, problem = result
                self._wrong_is(jobs[job], problem)
                self._report.decoded += 1
                self._done(jobs[job])

    # --- what they find -----------------------------------------------------------------------------------------------

    def _wrong_is(self, asset: AssetPath, reason: str) -> None:
        if reason and reason not in self._wrong.get(asset, ""):
            reason = "; ".join(filter(None, [self._wrong.get(asset), reason]))
            self._wrong[asset] = reason
            # At once: what was found stays noted if the check is interrupted.
            self._record.mark_bad(str(asset), reason)

    def _seen(self, _: AssetPath) -> None:
        """Nothing is done with a file that is still to be decoded."""

    def _done(self, asset: AssetPath) -> None:
        self._files_done += 1
        self._bytes_done += self._held.files[asset]
        if time.monotonic() - self._shown > SHOWN_EVERY:
            self._show()

    def _show(self, note: str = "") -> None:
        self._shown = time.monotonic()
        if self._watch is not None:
            rate = self._bytes_done / max(self._shown - self._start, 1e-3)
            held = self._report
            self._watch(
                Progress(self._files_done, held.files, self._bytes_done, held.bytes, rate, len(self._wrong), 0, note)
            )


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
