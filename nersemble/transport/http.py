"""Published files over HTTP, through aiohttp.

The rule that holds in here: the access URL is a local variable only of ``HttpTransport._attempt``, which never lets an
exception out but returns what went wrong; errors are raised by its callers and name published paths.  So no traceback
shows the URL, not even one with locals.
"""

from __future__ import annotations

import asyncio
import errno
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from ..access import AccessURL
from ..errors import AccessError, AssetNotFoundError, NersembleError, TransportError
from .base import Part, Stat, disk_problem, uri, whole_file

#: Takes the next piece of a body; ``None`` says that the body begins anew.
Sink = Callable[[bytes | None], None]

PIECE = 1 << 20
ATTEMPTS = 5
RETRIED = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
CONNECT_TIMEOUT, READ_TIMEOUT = 30.0, 60.0
CONNECTIONS = 16


@dataclass(frozen=True)
class _Answer:
    """What came of a request: a status with headers and body, or the kind of failure."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str = ""
    cancelled: bool = False
    final: bool = False


class HttpTransport:
    """Published files from a server.

    Connection errors, 408, 425, 429 and 5xx are tried again with growing, jittered pauses; redirects are followed on
    the same origin only, since they carry the secret path.
    """

    def __init__(self, access: AccessURL) -> None:
        self._access = access
        self._session: Any = None
        self._gate: asyncio.Semaphore | None = None

    def __repr__(self) -> str:
        return "HttpTransport(***)"

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Part:
        if stop is not None and stop <= start:
            return Part(b"", start, None, None, False)
        headers = {} if start == 0 and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        answer = await self._request("GET", path, headers)
        etag = answer.headers.get("etag")
        if answer.status == 416:
            return Part(b"", start, _total(answer.headers), etag, False)
        _raise_unless_found(answer, path)
        if answer.status != 206:
            return Part(answer.body, 0, len(answer.body), etag, True)
        first, total = _content_range(answer.headers)
        if first != start:
            raise TransportError(f"The server sent other bytes of {uri(path)} than those asked for. {_NEXT_STEP}")
        asked = total if stop is None or total is None else min(stop, total)
        if asked is not None and start + len(answer.body) != asked:
            raise TransportError(f"The server sent fewer bytes of {uri(path)} than those asked for. {_NEXT_STEP}")
        return Part(answer.body, start, total, etag, total is not None and start == 0 and len(answer.body) == total)

    async def stat(self, path: str) -> Stat:
        answer = await self._request("HEAD", path, {})
        if answer.status in (405, 501) or answer.status == 403:  # some servers refuse HEAD alone
            part = await self.read(path, 0, 1)
            return Stat(part.size, part.etag)
        _raise_unless_found(answer, path)
        length = answer.headers.get("content-length", "")
        return Stat(int(length) if length.isdigit() else None, answer.headers.get("etag"))

    async def copy(self, path: str, target: Path) -> Stat:
        with whole_file(target, path) as file:

            def sink(piece: bytes | None) -> None:
                if piece is None:
                    file.seek(0)
                    file.truncate()
                else:
                    file.write(piece)

            answer = await self._request("GET", path, {}, sink)
            _raise_unless_found(answer, path)
            size = file.tell()
        return Stat(size, answer.headers.get("etag"))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(self, method: str, path: str, headers: dict[str, str], sink: Sink | None = None) -> _Answer:
        if self._gate is None:
            self._gate = asyncio.Semaphore(CONNECTIONS)
        answer = _Answer(failure="was not asked")
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(_pause(attempt, answer.headers.get("retry-after", "")))
            async with self._gate:
                answer = await self._attempt(method, path, headers, sink)
            if answer.cancelled:
                raise asyncio.CancelledError
            if answer.final or (not answer.failure and answer.status not in RETRIED):
                break
        if answer.final:
            raise TransportError(f"{uri(path)} could not be written: {answer.failure}.")
        if answer.failure:
            raise TransportError(f"{uri(path)} could not be fetched: {answer.failure}. {_NEXT_STEP}")
        return answer

    async def _attempt(self, method: str, path: str, headers: dict[str, str], sink: Sink | None) -> _Answer:
        """One request with its redirects.  Never raises, and holds the URL."""
        try:
            import aiohttp
            from yarl import URL

            session = self._open_session(aiohttp)
            base = self._access.reveal()
            url = f"{base}/{quote(path, safe='/+,;=@:!$&()*~')}"
            for _ in range(MOST_REDIRECTS):
                # Encoded: a `+` in a path is a plus.
                async with session.request(
                    method, URL(url, encoded=True), headers=headers, allow_redirects=False
                ) as response:
                    if response.status not in REDIRECTS:
                        return await self._receive(response, method, sink)
                    target = urljoin(url, response.headers.get("location", ""))
                if urlsplit(target)[:2] != urlsplit(base)[:2]:
                    return _Answer(failure="the server redirects to another one, which is not followed")
                url = target
            return _Answer(failure="the server redirects in circles")
        except asyncio.CancelledError:  # its traceback would show the URL among the locals of this frame
            return _Answer(cancelled=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return _Answer(failure=disk_problem(error), final=True)
            return _Answer(failure=_describe(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may quote the URL
            return _Answer(failure=_describe(error))

    async def _receive(self, response: Any, method: str, sink: Sink | None) -> _Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if method == "HEAD" or response.status >= 300:
            return _Answer(response.status, headers)
        expected = headers.get("content-length", "")
        received = 0
        pieces: list[bytes] = []
        if sink is not None:
            sink(None)
        async for piece in response.content.iter_chunked(PIECE):
            received += len(piece)
            (sink or pieces.append)(piece)
        if expected.isdigit() and int(expected) != received:
            return _Answer(failure=f"the server broke off after {received:,} of {int(expected):,} bytes")
        return _Answer(response.status, headers, b"".join(pieces))

    def _open_session(self, aiohttp: Any) -> Any:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                headers={"Accept-Encoding": "identity", "User-Agent": "nersemble"},
                auto_decompress=False,
                trust_env=not self._access.is_loopback,
            )
        return self._session


_NEXT_STEP = "Check the connection and try again; `nersemble login` sets another access URL."


def _describe(error: Exception) -> str:
    """What went wrong, without the error's own text, which may quote the URL."""
    kinds = {
        "ClientConnectorCertificateError": "the server's certificate is not trusted",
        "ClientConnectorDNSError": "the server's name could not be resolved",
        "ClientConnectorError": "the server could not be reached",
        "ClientPayloadError": "the server broke off in the middle of the file",
        "InvalidURL": "the access URL is malformed",
        "ServerDisconnectedError": "the server closed the connection",
        "SocketTimeoutError": "the server did not answer in time",
        "TimeoutError": "the server did not answer in time",
    }
    return kinds.get(type(error).__name__, f"the connection failed ({type(error).__name__})")


def _pause(attempt: int, retry_after: str) -> float:
    if retry_after.isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    return min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.5)


def _content_range(headers: dict[str, str]) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), int(match[3]) if match[3] != "*" else None


def _total(headers: dict[str, str]) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", headers.get("content-range", "").strip())
    return int(match[1]) if match else None


def _raise_unless_found(answer: _Answer, path: str) -> None:
    error: NersembleError | None = None
    if answer.status in (404, 410):
        error = AssetNotFoundError(
            f"The server does not have {uri(path)}. Some listed files were never published or have been withdrawn; if "
            "everything is missing, the access URL is wrong or out of date (`nersemble login`)."
        )
    elif answer.status in (401, 403):
        error = AccessError(
            f"The server refused {uri(path)} (HTTP {answer.status}). Is the access URL complete and current? "
            "`nersemble login` sets it; access is asked of the data's authors."
        )
    elif not 200 <= answer.status < 300:
        error = TransportError(f"The server answered {uri(path)} with HTTP {answer.status}. {_NEXT_STEP}")
    if error is not None:
        raise error
