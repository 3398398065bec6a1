"""A limit on bytes a second, shared by everything that downloads."""

from __future__ import annotations

import threading
import time

from .cancel import Cancel

#: Time that a burst may be ahead of the limit, in seconds.
BURST = 0.25


class Throttle:
    """Keeps the sum of what passes below ``rate`` bytes a second.  Safe under threads.

    Raises:
        ValueError: If the rate is not positive.
    """

    def __init__(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError("A rate is a positive number of bytes a second.")
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int, cancel: Cancel) -> None:
        """Wait until ``count`` more bytes may have passed."""
        with self._lock:
            now = time.monotonic()
            begin = max(self._free_at, now - BURST)
            self._free_at = begin + count / self.rate
            wait = self._free_at - now
        if wait > 0:
            cancel.wait(wait)
