"""Ending what waits for the network or for a pause, from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Cancel:
    """Ends the requests that hold it, at once: their sockets are shut down.  Good for one use."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End what is under way, and what begins later before it begins."""
        self._event.set()
        with self._lock:
            for held in self._sockets:
                _shut_down(held)

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until ``cancel``; True if it was called."""
        return self._event.wait(seconds)

    @contextlib.contextmanager
    def holding(self, held: socket.socket) -> Iterator[None]:
        """A socket that is read or written in here is shut down by ``cancel``."""
        with self._lock:
            self._sockets.add(held)
        if self.cancelled:
            _shut_down(held)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(held)


def _shut_down(held: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the method of a TLS socket, which goes on in plain text after it.
        socket.socket.shutdown(held, socket.SHUT_RDWR)
