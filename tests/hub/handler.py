"""How one call is answered: its body, its fault if it is to have one, its route, and a record of what it cost."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from .accounts import Refused, Token
from .faults import Action

if TYPE_CHECKING:
    from nersemble.demo.listener import Listener

    from .server import Hub

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Call:
    """One answered call.

    Attributes:
        route: Name of its route, as in ``routes.py``.
        method, path: As asked, the path without its query.
        user: Who asked; None for an anonymous call or an unknown token.
        status: Status answered; 0 if the connection was dropped instead.
        received, sent: Bytes of the two bodies.
        seconds: From the head of the call to the end of the answer.
    """

    route: str
    method: str
    path: str
    user: str | None
    status: int
    received: int
    sent: int
    seconds: float


class HangUpError(Exception):
    """The connection is broken off on purpose."""


class SaidError(Exception):
    """The call was answered with something else."""


#: Method, pattern of the path, name, and the function that answers.
Route = tuple[str, "re.Pattern[str]", str, Callable[..., None]]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection.  The functions of ``routes.py`` and ``storage.py`` are called with it."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "test-hub", ""
    disable_nagle_algorithm = True
    timeout = 60

    server: Listener

    @property
    def hub(self) -> Hub:
        return self.server.owner

    def answer(self) -> None:
        self.status = self.received = self.sent = 0
        begun = time.monotonic()
        self.body: bytes | None = None
        self.token: Token | None = None
        self.muted, self.limit = False, None
        asked = urlsplit(self.path)
        self.location, self.query = asked.path, parse_qs(asked.query)
        self.route, function, groups = self._find(asked.netloc)
        with self.hub.in_flight():
            try:
                self._answer(function, groups)
            except (HangUpError, OSError):
                self._hang_up()
            finally:
                user = self.token.user if self.token else None
                status = 0 if self.muted else self.status
                took = time.monotonic() - begun
                call = Call(self.route, self.command, self.location, user, status, self.received, self.sent, took)
                self.hub.record(call, self.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = do_OPTIONS = do_PATCH = answer

    # --- parts for the functions that answer --------------------------------------------------------------------------

    def read_body(self) -> bytes:
        """The body of the call, at the pace of the link."""
        if self.body is None:
            blocks = bytearray()
            for block in self._blocks():
                blocks += block
            self.body = bytes(blocks)
        return self.body

    def read_json(self) -> dict[str, Any]:
        try:
            return json.loads(self.read_body() or b"{}")
        except ValueError:
            raise Refused(400, "The body is no JSON") from None

    def flag(self, name: str) -> bool:
        """A yes or no of the query."""
        return self.query.get(name, [""])[0].lower() in ("1", "true")

    def send_json(self, value: object, *, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.send(status, {"Content-Type": "application/json; charset=utf-8", **named}, json.dumps(value).encode())

    def send(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer; to HEAD with the head alone."""
        self.read_body()  # or what is left of it would be taken for the next call
        self.status = status
        if self.muted:
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body)

    def send_file(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a file, or the part of it that was asked for."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if span is None or self.command == "HEAD" or span.groups() == ("", ""):
            self.send(200, headers, data)
            return
        first, last = span.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(len(data), int(last) + 1) if first and last else len(data)
        if start >= stop:
            self.send(416, {**headers, "Content-Range": f"bytes */{len(data)}"})
        else:
            self.send(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}, data[start:stop])

    # --- the rest -----------------------------------------------------------------------------------------------------

    def _find(self, host: str) -> tuple[str, Callable[..., None], list[str]]:
        if self.command == "CONNECT" or (host and host not in self.hub.hosts):
            viewer = host.startswith("datasets-server.") and self.command != "CONNECT"
            return ("viewer", _no_viewer, []) if viewer else ("elsewhere", _elsewhere, [])
        for method, pattern, name, function in self.hub.routes:
            found = pattern.fullmatch(self.location)
            if found and method in (self.command, self.command.replace("HEAD", "GET")):
                return name, function, [unquote(group or "") for group in found.groups()]
        return "unknown", _unknown, []

    def _answer(self, function: Callable[..., None], groups: list[str]) -> None:
        actions = self.hub.faults.due(self.route, self.location)
        try:
            for action in actions:
                self._strike(action)
            if self.route != "storage" and self.route != "lfs-put":
                self.token = self.hub.accounts.identify(self.headers.get("Authorization"))
            function(self, *groups)
            for action in actions:
                if action.after:
                    action.after()
                if action.late:
                    self.muted = False
                    raise Refused(action.status, action.message)
        except Refused as refused:
            self._refuse(refused)
        except SaidError:
            pass
        except (HangUpError, OSError):
            raise
        except Exception as error:  # noqa: BLE001
            self.hub.errors.append(f"{self.command} {self.path}\n{traceback.format_exc()}")
            self._refuse(Refused(500, f"The test hub failed: {error!r}"))
        if self.muted:
            raise HangUpError

    def _strike(self, action: Action) -> None:
        self.limit = action.cut if action.cut is not None else self.limit
        self.muted = self.muted or action.mute
        if action.before:
            action.before()
        if action.drop:
            self.read_body()
            self.muted = True
            raise HangUpError
        if action.body is not None:
            self.send(action.status, action.headers, action.body)
            raise SaidError
        if action.status and not action.late:
            raise Refused(action.status, action.message, "", **action.headers)

    def _refuse(self, refused: Refused) -> None:
        headers = {"X-Error-Message": refused.message, **refused.headers}
        if refused.code:
            headers["X-Error-Code"] = refused.code
        body = json.dumps({"error": refused.message}).encode()
        self.send(refused.status, {"Content-Type": "application/json; charset=utf-8", **headers}, body)

    def _blocks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size > 0:
            wanted = min(size, _BLOCK)
            if self.limit is not None:
                wanted = min(wanted, self.limit - self.received)
            if wanted <= 0:
                self.muted = True
                raise HangUpError
            block = self.rfile.read(wanted)
            if not block:
                raise HangUpError
            size -= len(block)
            self.received += len(block)
            self._pace(len(block))
            yield block

    def _send_body(self, body: bytes) -> None:
        end = len(body) if self.limit is None else min(len(body), self.limit)
        for start in range(0, end, _BLOCK):
            block = body[start : min(end, start + _BLOCK)]
            self.wfile.write(block)
            self.sent += len(block)
            self._pace(len(block))
        if end < len(body):
            raise HangUpError

    def _pace(self, size: int) -> None:
        if self.hub.bytes_per_second:
            time.sleep(size / self.hub.bytes_per_second)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client was faster
            self.connection.shutdown(socket.SHUT_RDWR)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class answers to what is no HTTP."""
        self.hub.errors.append(f"{code} {message} {getattr(self, 'requestline', '')}")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: calls are recorded, not printed."""


def _unknown(call: Handler) -> None:
    raise Refused(404, f"Sorry, we can't find the page you are looking for: {call.location}")


def _no_viewer(call: Handler) -> None:
    raise Refused(501, "The dataset viewer is not available for this dataset.")


def _elsewhere(call: Handler) -> None:
    """A client whose proxy is the hub wants to talk to another server."""
    call.close_connection = True
    raise Refused(502, f"This client was to talk to the test hub alone, not to {call.path}")
