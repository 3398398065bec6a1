"""A pool of open decoders, so that reading frames here and there does not open files again and again.

A decoder is leased to one reader at a time and is never shared by threads.  A forked child starts with an empty pool
and closes its copies of the files that lie idle.  What lies idle is bounded in bytes and number; the least recently
used is closed first.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from .decoder import VideoDecoder
from .reader import _BEFORE_FORK

#: Idle decoders kept at most: each holds a file handle.
MOST_IDLE = 64

Key = TypeVar("Key", bound=Hashable)


class DecoderPool(Generic[Key]):
    """Leases of open decoders by key, such as a path.

    Args:
        open_decoder: Opens the decoder of a key; called with it and the options of the lease.
        max_bytes: Bound on the estimated memory of idle decoders; by default the 16 cameras of a moment fit.
    """

    def __init__(self, open_decoder: Callable[..., VideoDecoder], max_bytes: int = 1 << 31) -> None:
        self._open = open_decoder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._idle: OrderedDict[int, tuple[Key, VideoDecoder]] = OrderedDict()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        _BEFORE_FORK.append(self._idle)
        for _, decoder in self._idle.values():  # kept for good, but not their files
            with suppress(OSError):
                decoder._let_go()
        self._lock = threading.Lock()
        self._idle = OrderedDict()

    @contextmanager
    def lease(self, key: Key, **options: Any) -> Iterator[VideoDecoder]:
        """A decoder of ``key`` for one reader; it goes back to the pool at the end, unless reading it failed.

        Args:
            key: Which video.
            options: How to open it, if none lies idle.
        """
        decoder = self._take(key) or self._open(key, **options)
        try:
            yield decoder
        except BaseException:
            decoder.close()
            raise
        self._give_back(key, decoder)

    def _take(self, key: Key) -> VideoDecoder | None:
        with self._lock:
            number = next((number for number, (held, _) in reversed(self._idle.items()) if held == key), None)
            return None if number is None else self._idle.pop(number)[1]

    def _give_back(self, key: Key, decoder: VideoDecoder) -> None:
        closing = []
        with self._lock:
            self._idle[id(decoder)] = (key, decoder)
            while len(self._idle) > MOST_IDLE or (
                len(self._idle) > 1 and sum(decoder.held_bytes for _, decoder in self._idle.values()) > self.max_bytes
            ):
                closing.append(self._idle.popitem(last=False)[1][1])
        for old in closing:
            old.close()

    def clear(self) -> None:
        """Close every idle decoder."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for _, decoder in idle.values():
            decoder.close()

    def __len__(self) -> int:
        return len(self._idle)
