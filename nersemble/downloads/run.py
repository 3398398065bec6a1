"""Running a plan: worker threads over one queue, and the calling thread, which watches and can be interrupted.

Errors of single files are collected.  What concerns all of them (a full disk, an access URL that is refused, a server
out of reach) stops the queue.  Other processes may download into the same folder: a file that one of them is at work on
is put off.
"""

from __future__ import annotations

import contextlib
import errno
import numbers
import queue
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import AssetNotFoundError, NersembleError, SelectionError, StorageError
from ..layout import AssetPath
from ..transport import Cancel, HttpFiles, Throttle, shared_files
from ..transport.base import disk_problem
from ..units import format_bytes
from ..written import count_of
from .assets import sweep
from .estimate import SizeModel
from .get import GONE, Getter
from .halt import Halt
from .report import DownloadReport, FileEvent, Progress

if TYPE_CHECKING:
    from .plan import Plan

MOST_WORKERS = 64
#: Seconds between looks at a file that another process is at work on.
PUT_OFF = 0.25
#: Seconds that threads have to keep what they hold when the download is interrupted.
GRACE = 0.8
#: The disk's errors after which no other file has a chance.
DISK_ENDS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
TICK = 0.1
#: Seconds over which the rate is taken.
RATE_SECONDS = 10.0


class Run:
    """One run of a plan.

    Raises:
        SelectionError: If the number of workers, the rate or the patience is none.
    """

    def __init__(
        self,
        plan: Plan,
        workers: int,
        max_rate: float | None,
        patience: float | None,
        watch: Callable[[Progress], object] | None,
        on_file: Callable[[FileEvent], object] | None,
    ) -> None:
        workers = count_of(workers, "workers", MOST_WORKERS)
        if patience is not None and not (_is_number(patience) and patience >= 0):
            raise SelectionError(f"patience is a number of seconds, not {patience!r}.")
        if max_rate is not None and not (_is_number(max_rate) and max_rate > 0):
            raise SelectionError(f"max_rate is a positive number of bytes a second, not {max_rate!r}.")
        self.plan, self.watch, self.on_file = plan, watch, on_file
        self.files = shared_files(plan.root)
        self.pace = self.files.client.pace if isinstance(self.files, HttpFiles) else None
        if self.pace is not None:
            self.pace.begin(patience)
        self.cancel = Cancel()
        self.getter = Getter(plan, self.files, None if max_rate is None else Throttle(max_rate), self.cancel)
        self.queue = deque([*plan.unchecked, *plan.todo])
        self.workers = min(workers, max(len(self.queue), 1))
        #: What came of a file; None from a worker that has ended.
        self.events: queue.SimpleQueue[FileEvent | None] = queue.SimpleQueue()
        self.report = DownloadReport(plan.folder, kept=len(plan.done), missing=list(plan.absent))
        self._halt = Halt(self.workers, self.pace, self._serves_others)
        self._put_off: set[AssetPath] = set()
        #: Of the files that were fetched: bytes guessed, and bytes that came; of those to come: bytes guessed.
        self._guessed = self._came = self._to_come = 0.0
        self._history: deque[tuple[float, int]] = deque()

    def go(self) -> DownloadReport:
        """Run to the end."""
        began = time.monotonic()
        self._make_room()
        model = SizeModel(self.plan.record.sizes)
        held = self.plan.partial
        sizes = {asset: max(model.guess(asset) - held.get(asset, 0), 0.0) for asset in self.plan.todo}
        self._to_come = sum(sizes.values())
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.workers)] if self.queue else []
        for thread in threads:
            thread.start()
        try:
            self._watch_over(len(threads), sizes)
        except BaseException:
            self.cancel.cancel()
            deadline = time.monotonic() + GRACE
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0))
            raise
        finally:
            self.plan.record.close()
        self.report.not_tried = len(self.queue)
        self.report.stopped, self.report._kind = self._halt.reason, self._halt.kind
        self.report.bytes = self.getter.received
        self.report.seconds = time.monotonic() - began
        self.report.missing.sort()
        self.report.withdrawn.sort()
        if self.report.complete:
            sweep(self.plan.folder, self.plan.files)
        self._tell()
        return self.report

    def _make_room(self) -> None:
        """Make the folder, and see whether the disk has room.

        Raises:
            StorageError: If it has not.
        """
        plan = self.plan
        try:
            plan.folder.mkdir(parents=True, exist_ok=True)
            if plan.todo:  # one error now, rather than one for each file
                tempfile.TemporaryFile(dir=plan.folder).close()
        except OSError as error:
            raise StorageError(
                f"{plan.folder} cannot be written: {disk_problem(error)}. Choose another folder, or mend this one.",
                error.errno,
            ) from None
        if plan.request is not None and self.queue:
            plan.record.add_request(*plan.request)
        estimate, free = plan.estimate(), plan.free_bytes
        if estimate.bytes + estimate.error <= free:
            return
        if estimate.unknown:
            try:
                estimate = plan.refine()
            except NersembleError:  # a guess is no reason to refuse
                return
            self.queue = deque([*plan.unchecked, *plan.todo])
            self.report.missing = list(plan.absent)
        if estimate.bytes - estimate.error > free:
            raise StorageError(
                f"{plan.folder} has {format_bytes(free)} free, and the download needs {estimate}: "
                f"{format_bytes(estimate.bytes - free)} ({estimate.bytes - free:,} bytes) are missing. Make room, or "
                "select less.",
                errno.ENOSPC,
            )

    # --- the calling thread -------------------------------------------------------------------------------------------

    def _watch_over(self, working: int, sizes: dict[AssetPath, float]) -> None:
        told = 0.0
        while working:
            with contextlib.suppress(queue.Empty):
                event = self.events.get(timeout=TICK)
                if event is None:
                    working -= 1
                else:
                    self._note(event, sizes)
            if time.monotonic() - told >= TICK:
                told = time.monotonic()
                self._tell()

    def _note(self, event: FileEvent, sizes: dict[AssetPath, float]) -> None:
        report, asset = self.report, event.asset
        guessed = sizes.get(asset, 0.0)
        self._to_come -= guessed
        if event.outcome == "fetched":
            report.fetched += 1
            self._guessed += guessed
            self._came += max(event.bytes - self.plan.partial.get(asset, 0), 0)
        elif event.outcome == "kept":
            report.kept += 1
            if event.reason == GONE:
                report.withdrawn.append(asset)
        elif event.outcome == "missing":
            report.missing.append(asset)
        else:
            report.failed[asset] = event.reason
        if self.on_file is not None:
            self.on_file(event)

    def _expected(self) -> float:
        """Bytes of the whole download, guessed anew from what the files fetched so far turned out to be."""
        return self._came + self._to_come * (self._came / self._guessed if self._guessed else 1.0)

    def _tell(self) -> None:
        if self.watch is None:
            return
        now, report = time.monotonic(), self.report
        self._history.append((now, self.getter.received))
        while len(self._history) > 2 and now - self._history[0][0] > RATE_SECONDS:
            self._history.popleft()
        then, before = self._history[0]
        rate = (self.getter.received - before) / (now - then) if now > then else 0.0
        done = report.fetched + report.kept + len(report.missing) + len(report.failed)
        self.watch(
            Progress(
                files_done=done,
                files_total=len(self.plan.files),
                bytes_done=self.getter.received,
                bytes_total=max(round(self._expected()), self.getter.received),
                rate=rate,
                failed=len(report.failed),
                missing=len(report.missing),
                note=self._waiting_for(),
            )
        )

    def _waiting_for(self) -> str:
        note = "" if self.pace is None else self.pace.note
        if not note and self._put_off and len(self._put_off) >= len(self.queue):
            note = f"another download is at work on {len(self._put_off)} of the files"
        return note

    # --- the workers --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._work_through()
        finally:
            self.events.put(None)

    def _work_through(self) -> None:
        while not (self.cancel.cancelled or self._halt.reason):
            try:
                asset = self.queue.popleft()
            except IndexError:
                return
            try:
                event = self._get(asset)
            except CancelledError:
                self.queue.append(asset)
                return
            if event is None:  # another process is at work on it
                self._put_off.add(asset)
                self.queue.append(asset)
                self.cancel.wait(PUT_OFF * random.uniform(0.5, 1.5))
            else:
                self._put_off.discard(asset)
                self.events.put(event)

    def _get(self, asset: AssetPath) -> FileEvent | None:
        """See to one file; None if it is put off."""
        event: FileEvent | None
        try:
            event = self.getter.get(asset)
        except CancelledError:  # an Exception, to concurrent.futures
            raise
        except AssetNotFoundError:
            self.plan.record.add_gone(str(asset), self.plan.tag)
            event = FileEvent(asset, "missing")
        except StorageError as error:
            if error.errno in DISK_ENDS:
                self._halt.note_disk(partial(self._told_of_disk, error))
            event = FileEvent(asset, "failed", reason=str(error))
        except NersembleError as error:
            event = FileEvent(asset, "failed", reason=str(error))
            self._halt.note_failure(error)
        except Exception as error:  # noqa: BLE001 - a thread that died would leave the queue waiting
            event = FileEvent(asset, "failed", reason=f"{type(error).__name__}; please report this")
        if event is not None and event.outcome != "failed":
            self._halt.note_answer()
        return event

    def _told_of_disk(self, error: StorageError) -> str:
        """What is said of a disk that takes nothing more."""
        left = max(self._expected() - self.getter.received, 0)
        missing = left - self.plan.free_bytes
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or missing <= 0:  # of inodes, or a quota
            return str(error)
        return (
            f"the disk of {self.plan.folder} is full. {format_bytes(missing)} ({round(missing):,} bytes) are missing "
            f"for the {format_bytes(left)} still to come."
        )

    def _serves_others(self, looks: int) -> bool:
        """Whether the server answers for a file far from those that failed: for the last one, else for any."""
        for place in (-1, random.randrange(max(len(self.queue), 1)))[:looks]:
            with contextlib.suppress(NersembleError, IndexError):
                with contextlib.suppress(AssetNotFoundError):  # which is an answer
                    self.files.read(str(self.queue[place]), 0, 1, self.cancel)
                return True
        return False


def _is_number(given: Any) -> bool:
    return isinstance(given, numbers.Real)
