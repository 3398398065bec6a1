"""Whether a download ends before its queue does, and why: the disk, the access URL or the server failed, not a file.

Failures in a row say so; whether another file is served tells those of a few files from those of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import AccessError, NersembleError, StorageError, TransportError

if TYPE_CHECKING:
    from ..transport.policy import Pace

#: Refusals in a row after which the access URL itself may be refused: another file is looked at.
REFUSALS = 8
#: Failures in a row, for each worker, after which the server may be failing altogether.
FAILURES = 3
#: Failures in a row after which it ends in any case.
MOST_FAILURES = 1000


class Halt:
    """Takes note of what comes of the files, from all worker threads.

    Args:
        workers: Threads.
        pace: Of the server; None for a folder.
        serves_others: Whether the server answers for files far from those that failed, of which so many are looked at.

    Attributes:
        reason: Why all ends, in words; "" as long as it goes on.
        kind: The error that this is.
    """

    def __init__(self, workers: int, pace: Pace | None, serves_others: Callable[[int], bool]) -> None:
        self.reason = ""
        self.kind: type[NersembleError] = TransportError
        self._workers, self._pace, self._serves_others = workers, pace, serves_others
        self._lock = threading.Lock()
        self._in_a_row = self._refused_in_a_row = self._failed_in_a_row = 0

    def note_answer(self) -> None:
        """Note that a file came, or is known not to be there."""
        with self._lock:
            self._in_a_row = self._refused_in_a_row = self._failed_in_a_row = 0

    def note_disk(self, tell: Callable[[], str]) -> None:
        """Note that the disk takes no file any more; what is told of it is asked for once."""
        with self._lock:
            if not self.reason:
                self.reason, self.kind = tell(), StorageError

    def note_failure(self, error: NersembleError) -> None:
        """Note that a file failed."""
        with self._lock:  # also while another file is looked at: if the server fails, nothing more is asked of it
            self._in_a_row += 1
            self._refused_in_a_row += isinstance(error, AccessError)
            self._failed_in_a_row += 1
            refused = self._refused_in_a_row >= REFUSALS
            failing = isinstance(error, TransportError) and self._failed_in_a_row >= FAILURES * max(self._workers, 4)
            if self.reason:
                return
            if self._pace is not None and self._pace.closed:
                self.reason = f"{self._pace.closed}."
            elif refused or failing:
                self._refused_in_a_row = self._failed_in_a_row = 0
                if self._in_a_row >= MOST_FAILURES or not self._serves_others(2 if refused else 1):
                    what = "were refused" if refused else "failed"
                    self.reason = f"{self._in_a_row} files in a row {what}, the last one so: {error}"
                    self.kind = AccessError if refused else TransportError
