"""When a request is tried again, how long to wait before it, and how failures are told.

Nothing here sees the access URL; ``describe`` never quotes an error's own text, which may.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from ..errors import AccessError, AssetNotFoundError, NersembleError, TransportError
from .base import uri
from .cancel import Cancel

ATTEMPTS = 6
RETRIED = {408, 425, 429, 500, 502, 503, 504}
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
#: The longest wait that a server may ask for, in seconds; asked for more, a request fails and says so.
LONGEST_RETRY_AFTER = 900.0
#: A server is said to be out of reach after so many seconds.
NOTED = 5.0
#: How long a server that was reached before may be out of reach, in seconds, before downloads fail for it.
PATIENCE = 120.0

NEXT_STEP = "Check the connection and try again; `nersemble login` sets another access URL."


class Pace:
    """What all requests to one server share: a pause that it asked for, and when it was last reached.

    Attributes:
        patience: As ``PATIENCE``, which it is if None.
    """

    def __init__(self) -> None:
        self.patience: float | None = None
        self._lock = threading.Lock()
        self._until = 0.0
        self._reached: float | None = None
        self._waiting = 0
        self._closed_until = 0.0

    def begin(self, patience: float | None) -> None:
        """Forget what was: a server that was reached an hour ago may be gone, and one that was busy may be free."""
        self.patience, self._reached, self._closed_until = patience, None, 0.0

    def hold(self, seconds: float) -> None:
        """Let no request begin for so long."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def close(self, seconds: float) -> None:
        """Ask for nothing for so long; requests fail instead of waiting."""
        self._closed_until = time.monotonic() + seconds

    @property
    def closed(self) -> str:
        """Why nothing is asked of the server now, "" if something is."""
        left = self._closed_until - time.monotonic()
        return f"the server asks to wait {left / 60:,.0f} minutes, and is left alone until then" if left > 0 else ""

    def remaining(self) -> float:
        """Seconds of the pause that are left."""
        return max(self._until - time.monotonic(), 0.0)

    def wait(self, cancel: Cancel) -> None:
        """Sit out the pause."""
        while (left := self.remaining()) and not cancel.wait(left + random.uniform(0, min(1.0, left / 10))):
            pass

    def reached(self) -> None:
        """Note that the server answered."""
        self._reached = time.monotonic()

    def worth_waiting(self) -> bool:
        """Whether the server answered so lately that a failure to reach it should pass."""
        patience = PATIENCE if self.patience is None else self.patience
        return self._reached is not None and time.monotonic() - self._reached < patience

    def reached_since(self, moment: float) -> bool:
        """Whether the server answered anybody since then."""
        return self._reached is not None and self._reached > moment

    @contextlib.contextmanager
    def unreached(self, unreached: bool) -> Iterator[None]:
        """Counts a request as waiting for a server that is out of reach."""
        self._waiting += unreached
        try:
            yield
        finally:
            self._waiting -= unreached

    @property
    def note(self) -> str:
        """What requests wait for, "" if they do not."""
        left = self.remaining()
        if left >= 1:
            return f"the server asks to wait {left:.0f} s"
        reached = self._reached
        if self._waiting and reached is not None and time.monotonic() - reached > NOTED:
            return f"the server has been out of reach for {time.monotonic() - reached:.0f} s; waiting for it"
        return ""


def pause_before(attempt: int) -> float:
    """Seconds to wait before attempt 2, 3, ...: growing, and different for each worker."""
    return min(FIRST_PAUSE * 2.0 ** min(attempt - 2, 20), LONGEST_PAUSE) * random.uniform(0.5, 1.5)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After asks for, as a number or a date by the server's clock; None if it says neither."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = _timestamp(text)
    except (TypeError, ValueError):
        return None
    try:
        now = _timestamp(headers.get("date", ""))
    except (TypeError, ValueError):
        now = time.time()
    return max(until - now, 0.0)


def _timestamp(date: str) -> float:
    """Seconds since 1970 of an HTTP date, which is in UTC also where it does not say so."""
    parsed = parsedate_to_datetime(date)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()


def describe(error: Exception) -> str:
    """What went wrong, without the error's own text."""
    kinds: list[tuple[type[Exception], str]] = [
        (ssl.SSLCertVerificationError, "the server's certificate is not trusted"),
        (ssl.SSLError, "the encrypted connection failed"),
        (socket.gaierror, "the server's name could not be resolved"),
        (TimeoutError, "the server did not answer in time"),
        (http.client.IncompleteRead, "the server broke off in the middle of the file"),
        (http.client.RemoteDisconnected, "the server closed the connection"),
        (ConnectionRefusedError, "the server could not be reached"),
        (ConnectionError, "the connection broke off"),
        (http.client.InvalidURL, "the access URL is malformed"),
        (http.client.HTTPException, "the server's answer is no proper HTTP"),
        (OSError, "the server could not be reached"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), f"an unexpected {type(error).__name__}")


def raise_unless_found(status: int, path: str) -> None:
    """Raise what a status means for a published path, if it is no success.

    Raises:
        AssetNotFoundError, AccessError, TransportError: By the status.
    """
    error: NersembleError | None = None
    if status in (404, 410):
        error = AssetNotFoundError(
            f"The server does not have {uri(path)}. Some listed files were never published or have been withdrawn; if "
            "everything is missing, the access URL is wrong or out of date (`nersemble login`)."
        )
    elif status in (401, 403):
        error = AccessError(
            f"The server refused {uri(path)} (HTTP {status}). Is the access URL complete and current? "
            "`nersemble login` sets it; access is asked of the data's authors. If other files come, this one may not "
            "be there: `nersemble download` fetches all others, and data_dir= loads what is in its folder."
        )
    elif status not in (200, 206):  # others of success bring something else than the file, or nothing
        error = TransportError(f"The server answered {uri(path)} with HTTP {status}. {NEXT_STEP}")
    if error is not None:
        raise error
