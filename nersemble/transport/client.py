"""Requests over HTTP: blocking, with retries, for any number of threads.

The rule that holds in here: the access URL is a local variable only of ``HttpClient._attempt`` and what it calls, which
never let an exception out but return what went wrong; errors are raised by the callers of ``request`` and name
published paths.  So no traceback shows the URL, not even one with locals.  ``request`` is called from threads that
Ctrl-C does not interrupt; they are ended by their ``Cancel``.
"""

from __future__ import annotations

import http.client
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from ..access import AccessURL
from . import connections, policy
from .cancel import Cancel
from .exchange import Answer, BodyError, Exchange, Refusal, Sink
from .policy import Pace

#: Pieces are handed on when they are this old, if not before.
PIECE_SECONDS = 1.0
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
#: Headers of an answer that mean something here.
KNOWN_HEADERS = {
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "retry-after",
}
#: Bodies of refusals that are read, so that the connection can be used on.
DRAINED = 64 * 1024


class HttpClient:
    """Requests to the server behind an access URL.

    Connection errors, 408, 425, 429 and 5xx are tried again with growing, jittered pauses; a Retry-After holds every
    request back; redirects are followed on the same origin only, since they carry the secret path.
    """

    def __init__(self, access: AccessURL, *, pace: Pace | None = None) -> None:
        self._access = access
        self._connections = connections.Connections(access)
        self.pace = pace or Pace()
        self._good = ""

    def __repr__(self) -> str:
        return "HttpClient(***)"

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    def request(self, method: str, path: str, exchange: Exchange, cancel: Cancel) -> Answer:
        """Ask until there is an answer, or no hope for one."""
        attempt = answered = 0  # since there was progress: failures, and those of them that the server answered with
        since: float | None = None  # out of reach
        revived = False
        while True:
            if self.pace.closed:
                return Answer(failure=self.pace.closed, final=True)
            self.pace.wait(cancel)
            answer = self._attempt(method, path, exchange, cancel)
            if cancel.cancelled:
                return Answer(cancelled=True)
            if answer.reached and answer.status not in policy.RETRIED:
                self.pace.reached()
            if answer.final or not (answer.failure or answer.status in policy.RETRIED):
                self._good = self._good if answer.failure else path
                return answer
            if exchange.progressed():
                attempt, answered, revived = 0, 0, False
            attempt, answered = attempt + 1, answered + answer.reached
            if answer.reached:
                lasting, since = answered >= policy.ATTEMPTS, None
            else:
                lasting, since = attempt >= policy.ATTEMPTS, since or time.monotonic()
                if lasting and exchange.patient and self.pace.worth_waiting():
                    back = self.pace.reached_since(since) or not self._is_out_of_reach(cancel)
                    lasting = back and revived  # if it is in reach, or again, the file has one more round
                    if back:
                        attempt, since, revived = 0, None, True
            if lasting:
                return answer
            pause = policy.pause_before(attempt + 1)
            asked = policy.retry_after(answer.headers) if answer.status else None
            if asked is not None and asked > policy.LONGEST_RETRY_AFTER:
                self.pace.close(asked)
                return Answer(answer.status, failure=self.pace.closed, final=True)
            if asked is not None or answer.status == 429:
                self.pace.hold(max(pause, asked or 0.0))
            else:
                with self.pace.unreached(not answer.reached):
                    cancel.wait(pause)

    def _is_out_of_reach(self, cancel: Cancel) -> bool:
        """Whether the server does not even answer for what it gave before: else the trouble is one file."""
        if not self._good or not self._attempt("HEAD", self._good, Exchange(), cancel).reached:
            return True
        self.pace.reached()
        return False

    def _attempt(self, method: str, path: str, exchange: Exchange, cancel: Cancel) -> Answer:
        """One request with its redirects.  Never raises, and holds the URL."""
        try:
            base = self._access.reveal()
            url = f"{base}/{quote(path, safe='/+,;=@:!$&()*~')}"
            for _ in range(MOST_REDIRECTS):
                answer = self._ask(method, url, exchange, cancel)
                if answer.status not in REDIRECTS or answer.failure:
                    return answer
                target = quote(urljoin(url, answer.headers.get("location", "")), safe="/:?#[]@!$&'()*+,;=%~")
                if _origin(target) != _origin(base):
                    return Answer(failure="the server redirects to another one, which is not followed", final=True)
                url = target.partition("#")[0]
            return Answer(failure="the server redirects in circles", final=True)
        except _SinkError as error:
            return Answer(failure="the disk", final=True, storage=error.cause)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may quote the URL
            # An answer that is no HTTP is one; what is wrong on this side stays wrong.
            said = isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError)
            return Answer(failure=policy.describe(error), reached=said, final=isinstance(error, ValueError))

    def _ask(self, method: str, url: str, exchange: Exchange, cancel: Cancel) -> Answer:
        target = url.split("://", 1)[1]
        target = target[target.index("/") :]
        headers = {**self._connections.headers(), **exchange.headers()}
        for fresh in (False, True):
            connection, used = self._connections.take(fresh=fresh)
            whole = False
            try:
                with cancel.holding(connection.sock):
                    held = connection.sock
                    try:
                        connection.request(method, target, headers=headers)
                        response = connection.getresponse()
                    except (OSError, http.client.HTTPException) as error:
                        if used:  # whatever ended a kept connection may have ended the others too
                            self._connections.close()
                            if not isinstance(error, TimeoutError) and not cancel.cancelled:
                                continue
                        raise
                    try:
                        answer, whole = _receive(response, held, method, exchange)
                    except BodyError as error:
                        return Answer(failure=str(error), reached=True)
                    except (OSError, http.client.HTTPException) as error:  # a server that answers is in reach
                        return Answer(failure=policy.describe(error), reached=True)
                    finally:
                        response.close()
                    return answer
            finally:
                if whole and not response.will_close:
                    self._connections.give(connection)
                else:
                    connection.close()
        raise ConnectionError


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


class _SinkError(Exception):
    """The disk did not take a piece."""

    def __init__(self, cause: OSError) -> None:
        super().__init__()
        self.cause = cause


def _receive(response: http.client.HTTPResponse, held: Any, method: str, exchange: Exchange) -> tuple[Answer, bool]:
    """Read an answer; also whether it was read to its end, so that its connection can be used on."""
    # No others: a server may repeat the secret path in them.
    known = KNOWN_HEADERS | ({"location"} if response.status in REDIRECTS else set())
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() in known}
    answer = Answer(response.status, headers, reached=True)
    expected = headers.get("content-length", "")
    is_known = expected.isascii() and expected.isdigit()
    if method == "HEAD":
        return answer, True
    if response.status >= 300:
        drained = response.length is not None and response.length <= DRAINED
        if drained:
            try:
                response.read()
            except (OSError, http.client.HTTPException):
                drained = False
        return answer, drained
    sink: Sink | str
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        sink = Refusal("the server sent it compressed, which was not asked for")
    elif response.getheader("transfer-encoding", "chunked").strip().lower() != "chunked":
        sink = Refusal("the server sent it encoded, which was not asked for")
    elif len(set(response.headers.get_all("content-length", []))) > 1:
        sink = "the server says two lengths"
    elif not response.chunked and not is_known:
        sink = Refusal("the server does not say how long it is, so that a cut could not be noticed")
    else:
        try:
            sink = exchange.accept(answer)
        except OSError as error:
            raise _SinkError(error) from None
    if isinstance(sink, str):
        return Answer(answer.status, headers, failure=sink, final=isinstance(sink, Refusal), reached=True), False
    problem = ""
    if response.chunked:
        received = _read_chunks(response, sink, exchange.piece)
        if is_known and received != int(expected):
            problem = f"{received:,} bytes came of {int(expected):,}"
    else:
        problem = _read_exactly(response.fp, held, int(expected), sink, exchange.piece)
    problem = problem or exchange.problem()
    if problem:
        return Answer(answer.status, headers, failure=problem, reached=True), False
    return answer, True


def _read_exactly(file: Any, held: Any, length: int, sink: Sink, piece: int) -> str:
    """Hand ``length`` bytes on; what went wrong, "" if they came and nothing after them.

    What came with the head is in ``file``; the rest is read from the socket itself, into one buffer: through the
    layers of the file object, threads take twice as long.
    """
    buffer = memoryview(bytearray(min(piece, max(length, 1))))
    first = file.peek() if length else b""
    if len(first) > length:
        return "the server sent more than it announced"
    received = len(first)
    if first:
        _hand_on(sink, memoryview(first))
    filled = 0
    since = time.monotonic()
    try:
        while received < length:
            count = held.recv_into(buffer[filled : filled + length - received])
            if not count:
                return f"the server broke off after {received:,} of {length:,} bytes"
            received += count
            filled += count
            if filled == len(buffer) or time.monotonic() - since > PIECE_SECONDS:
                full, filled, since = buffer[:filled], 0, time.monotonic()
                _hand_on(sink, full)
    finally:  # also what came before a connection broke
        if filled:
            _hand_on(sink, buffer[:filled])
    return "the server sent more than it announced" if _more(held) else ""


def _read_chunks(response: http.client.HTTPResponse, sink: Sink, size: int) -> int:
    """Hand all chunks on; how many bytes they were."""
    received = 0
    while piece := response.read1(size):
        received += len(piece)
        _hand_on(sink, memoryview(piece))
    return received


def _hand_on(sink: Sink, piece: memoryview) -> None:
    try:
        sink(piece)
    except OSError as error:
        raise _SinkError(error) from None


def _more(held: Any) -> bool:
    """Whether bytes wait to be read already."""
    timeout = held.gettimeout()
    held.settimeout(0)
    try:
        with suppress(OSError):
            return bool(held.recv(1))
        return False
    finally:
        with suppress(OSError):
            held.settimeout(timeout)
