"""How the demo server answers one request: files, ranges, ETags and refusals.

To play a faulty server, subclass ``DemoHandler`` and override ``respond``; ``send_file``, ``send_status``,
``send_head`` and ``send_body`` are the parts to answer with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nersemble.demo.listener import Listener
    from nersemble.demo.server import DemoServer

_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".csv": "text/csv", ".json": "application/json"}


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request.

    Attributes:
        method: ``GET`` or ``HEAD``, or what else was asked.
        path: Path below the prefix, unquoted; with its leading slash if it was outside the prefix.
        range: The Range header as sent, or None.
        status: Status answered.
        body_bytes: Bytes of the body that were sent.
    """

    method: str
    path: str
    range: str | None
    status: int
    body_bytes: int


class DemoHandler(BaseHTTPRequestHandler):
    """Answers one connection.  Override ``respond`` to make faults; ``self.demo`` is the ``DemoServer``."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nersemble-demo", ""
    disable_nagle_algorithm = True
    timeout = 60

    server: Listener
    status = 0
    body_bytes = 0

    @property
    def demo(self) -> DemoServer:
        """The server this connection belongs to."""
        return self.server.owner

    def do_GET(self) -> None:
        """Answer GET, and HEAD as GET without its body."""
        self.status = self.body_bytes = 0
        path, allowed = self._relative_path()
        with self.demo.in_flight():
            try:
                if allowed:
                    self.respond(path)
                else:
                    self.send_status(403, "Forbidden: not a valid access URL.")
            finally:
                record = Request(self.command, path, self.headers.get("Range"), self.status, self.body_bytes)
                self.demo.record(record)

    do_HEAD = do_GET

    def respond(self, path: str) -> None:
        """Answer a request for ``path``, which lies below the prefix and is unquoted."""
        self.send_file(path)

    def send_file(self, path: str) -> None:
        """Answer with a file of the folder, or the part of it that was asked for."""
        try:
            local = self._locate(path)
            with open(local, "rb") as file:
                self._send_open_file(local, file)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
            self.send_status(404, "Not found.")

    def send_status(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Answer with a status and a short plain text."""
        body = text.encode()
        self.send_head(status, {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD" and body:
            self.wfile.write(body)
            self.body_bytes += len(body)

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and headers."""
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_body(self, file: BinaryIO, start: int, length: int) -> None:
        """Send ``length`` bytes of a file from ``start`` on."""
        if length:
            try:
                self.connection.sendfile(file, start, length)
            finally:
                # The file stands where the sending stopped, also if the client hung up.
                self.body_bytes += file.tell() - start

    def _send_open_file(self, path: Path, file: BinaryIO) -> None:
        size, etag, modified = _version(file)
        headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        known = [tag.strip() for tag in self.headers.get("If-None-Match", "").split(",")]
        if etag in known or f"W/{etag}" in known or "*" in known:
            self.send_head(304, headers)
            return
        wanted = self._wanted_range(size, etag, modified)
        if wanted is not None and wanted[0] >= wanted[1]:
            self.send_status(416, "", {**headers, "Content-Range": f"bytes */{size}"})
            return
        start, stop = wanted or (0, size)
        headers["Content-Length"] = str(stop - start)
        headers["Content-Type"] = _TYPES.get(path.suffix, "application/octet-stream")
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.send_head(206 if wanted else 200, headers)
        if self.command != "HEAD":
            self.send_body(file, start, stop - start)

    def _wanted_range(self, size: int, etag: str, modified: str) -> tuple[int, int] | None:
        """Start and stop of the part asked for; stop <= start if there is no such part, None for the whole file."""
        # A Range means something to GET alone, and only while If-Range still names this version of the file.
        if self.command == "HEAD" or self.headers.get("If-Range", etag) not in (etag, modified):
            return None
        unit, _, span = self.headers.get("Range", "").partition("=")
        first, dash, last = span.strip().partition("-")
        if unit.strip().lower() != "bytes" or not dash or not (first or last) or not (first + last).isdecimal():
            return None
        if not first:
            return max(0, size - int(last)), size if int(last) else 0
        if last and int(last) < int(first):
            return None
        return int(first), min(size, int(last) + 1) if last else size

    def _relative_path(self) -> tuple[str, bool]:
        path = unquote(self.path.partition("?")[0])
        prefix = f"/{self.demo.prefix}/" if self.demo.prefix else "/"
        return (path[len(prefix) :], True) if path.startswith(prefix) else (path, False)

    def _locate(self, path: str) -> Path:
        parts = path.split("/")
        if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
            raise ValueError(path)
        return self.demo.folder.joinpath(*parts)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class answers to requests it does not understand; it then closes the connection."""
        self.close_connection = True
        self.body_bytes = 0
        with self.demo.in_flight():
            self.send_status(code, message or "", {"Connection": "close"})
            self.demo.record(Request(str(self.command), getattr(self, "path", ""), None, code, self.body_bytes))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are recorded, not printed."""


def _version(file: BinaryIO) -> tuple[int, str, str]:
    """Size, strong ETag and Last-Modified of an open file."""
    facts = os.fstat(file.fileno())
    return facts.st_size, f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"', formatdate(facts.st_mtime, usegmt=True)
