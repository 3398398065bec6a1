"""Connections to the one server behind an access URL, kept open between requests.

Whatever is called here may fail with an error that quotes the host: only ``HttpClient._attempt`` calls it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import re
import select
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..access import AccessURL

CONNECT_TIMEOUT, READ_TIMEOUT = 30.0, 60.0
#: Connections that are kept while nobody uses them, and for how long, in seconds: routers forget longer ones silently.
KEPT, IDLE = 64, 20.0
#: Bytes of the line in front of a chunk, at most.
LONGEST_LINE = 65536
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,15}")
#: Interim answers that are passed over; a server that sends more of them never comes to the answer.
MOST_INTERIM = 16


class Response(http.client.HTTPResponse):
    """The answer that comes last: those before it, such as 103 Early Hints, are passed over.

    ``http.client`` passes over 100 Continue alone, and takes any other one for the answer.
    """

    def begin(self, *args: Any, **options: Any) -> None:
        """Read status and headers."""
        for _ in range(MOST_INTERIM):
            super().begin(*args, **options)
            if not 100 <= self.status < 200 or self.status == 101:  # 101 ends it: nothing follows in HTTP
                return
            self.headers = self.msg = None  # type: ignore[assignment]  # so that it reads on
        raise http.client.HTTPException("too many interim answers")

    def _read_next_chunk_size(self) -> int:
        """Length of the next chunk; ``http.client`` takes a line that was cut off for a shorter number."""
        line = self.fp.readline(LONGEST_LINE)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _HEXADECIMAL.fullmatch(size):
            raise http.client.IncompleteRead(b"")
        return int(size, 16)


class Connections:
    """Open connections, each lent to one request at a time.  Safe under threads."""

    def __init__(self, access: AccessURL) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._context: ssl.SSLContext | None = None

    def take(self, *, fresh: bool) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        while not fresh:
            with self._lock:
                since, connection = self._idle.pop() if self._idle else (0.0, None)
            if connection is None:
                break
            # Something to read before anything was asked: the server has hung up, or sent more than it announced.
            lately = time.monotonic() - since < IDLE
            if lately and connection.sock is not None and not _readable(connection.sock):
                return connection, True
            connection.close()
        return self._open(), False

    def give(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection, whose answer was read to its end, for the next request."""
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def headers(self) -> dict[str, str]:
        """What every request says."""
        parts = urlsplit(self._access.reveal())
        headers = {"User-Agent": "nersemble", "Accept-Encoding": "identity"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = _basic(login)
        return headers

    def _open(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._access.reveal())
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "http":  # a server on this machine
            connection = http.client.HTTPConnection(host, parts.port, timeout=CONNECT_TIMEOUT)
        else:
            proxy = self._proxy(host)
            if proxy is None:
                connection = http.client.HTTPSConnection(host, parts.port, timeout=CONNECT_TIMEOUT, context=self._tls())
            else:
                connection = http.client.HTTPSConnection(
                    proxy.hostname or "", proxy.port or 3128, timeout=CONNECT_TIMEOUT, context=self._tls()
                )
                login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}" if proxy.username else ""
                connection.set_tunnel(
                    host, parts.port or 443, headers={"Proxy-Authorization": _basic(login)} if login else {}
                )
        connection.response_class = Response
        connection.connect()
        connection.sock.settimeout(READ_TIMEOUT)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _proxy(self, host: str) -> SplitResult | None:
        """The proxy that the environment names for https, None for none."""
        if self._access.is_loopback:
            return None
        from urllib.request import getproxies, proxy_bypass

        named = getproxies().get("https", "")
        if not named or proxy_bypass(host):
            return None
        return urlsplit(named if "://" in named else f"http://{named}")

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                context = ssl.create_default_context()
                paths = ssl.get_default_verify_paths()
                if not (paths.cafile or paths.capath or os.environ.get("SSL_CERT_FILE")):  # Python without roots
                    with contextlib.suppress(ImportError):
                        import certifi

                        context.load_verify_locations(certifi.where())
                self._context = context
            return self._context


def _basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


def _readable(held: socket.socket) -> bool:
    try:
        poll = select.poll()
    except AttributeError:
        return bool(select.select([held], [], [], 0)[0])
    poll.register(held, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
