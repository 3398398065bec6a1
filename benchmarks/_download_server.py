"""A fast file server on loopback for ``benchmarks/downloads.py``, in a process of its own.

``DownloadServer`` is the benchmark's end of it.  One thread serves each connection, and the kernel copies the bodies
(``sendfile``; from the mapped file where TLS has to see them), so that what is measured is the client.  The rules: a
body is always as long as its Content-Length says, and the cap is a connection's, however many requests it carries.
"""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import json
import mmap
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

#: What a paced connection is given at a time, and how late a wake-up may be without costing it bytes.
PACED_BYTES, PACED_LAG = 1 << 16, 0.05
UNPACED_BYTES = 1 << 30
MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)


class DownloadServer:
    """A server process for a folder; ``url`` is its secret-looking base URL.

    Args:
        folder: What to serve, in the published layout.
        latency: Seconds that each request waits before its answer.
        rate: Bytes a second that one connection gets, None for all it can take.
        certificate: A PEM file with certificate and key, for https.
    """

    def __init__(
        self, folder: Path, *, latency: float = 0.0, rate: float | None = None, certificate: Path | None = None
    ) -> None:
        prefix = f"/nersemble-v2-{os.urandom(16).hex()}"
        command = [sys.executable, __file__, str(folder), "--prefix", prefix, "--latency", str(latency)]
        command += ["--rate", str(rate)] if rate else []
        command += ["--certificate", str(certificate)] if certificate else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._answer()}{prefix}"

    def take_counts(self) -> dict[str, float]:
        """Connections, requests, body bytes and CPU seconds since the last call."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> DownloadServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> Any:
        return json.loads(self._process.stdout.readline())


def make_certificate(scratch: Path) -> tuple[Path, Path]:
    """A throw-away authority and a certificate of 127.0.0.1: the server's PEM file and the authority's."""
    authority, own = scratch / "authority.pem", scratch / "own.pem"
    request = ["openssl", "req", "-x509", "-config", "/dev/null", "-days", "2", "-noenc"]
    request += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    made = ["-subj", "/CN=Benchmark", "-keyout", f"{authority}.key", "-out", str(authority)]
    made += ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    subprocess.run([*request, *made], check=True, capture_output=True)
    made = ["-subj", "/CN=127.0.0.1", "-keyout", f"{own}.key", "-out", str(own)]
    made += ["-CA", str(authority), "-CAkey", f"{authority}.key", "-addext", "subjectAltName=IP:127.0.0.1"]
    made += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature"]
    subprocess.run([*request, *made], check=True, capture_output=True)
    own.write_text(own.read_text() + Path(f"{own}.key").read_text())
    return own, authority


class Server:
    """The server's own end: settings, the counts, and the connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder = options.folder.resolve()
        self.prefix = options.prefix
        self.latency = options.latency
        self.rate = options.rate
        self.tls = None
        if options.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(options.certificate)
        self._lock = threading.Lock()
        self._counts: dict[str, float] = {}
        self._begin = 0.0
        self.take_counts()

    def count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number

    def take_counts(self) -> dict[str, float]:
        with self._lock:
            taken, self._counts = self._counts, dict.fromkeys(("connections", "requests", "bytes"), 0)
        begin, self._begin = self._begin, time.process_time()
        return taken | {"cpu": self._begin - begin}

    def accept_all(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            self.count("connections")
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        # A client that goes away ends its connection and nothing else.
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            Connection(self, connection).run()


class Connection:
    """One connection: requests one after the other, and the pace they share."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self.server = server
        self.socket = connection
        self._received = b""
        self._due = 0.0  # when the next byte may go out

    def run(self) -> None:
        while request := self._read_request():
            self.server.count("requests")
            method, target, headers = request
            time.sleep(self.server.latency)
            self._due = max(self._due, time.monotonic())
            self._respond(method, target, headers)
            if headers.get("connection", "").lower() == "close":
                return

    def _read_request(self) -> tuple[str, str, dict[str, str]] | None:
        while b"\r\n\r\n" not in self._received:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._received += data
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = (line.partition(":") for line in lines)
        return method, target, {name.strip().lower(): value.strip() for name, _, value in fields}

    def _respond(self, method: str, target: str, headers: dict[str, str]) -> None:
        path = self._find(target)
        if method not in ("GET", "HEAD"):
            return self._send_head("405 Method Not Allowed", {"Content-Length": "0"})
        if path is None:
            return self._send_head("404 Not Found", {"Content-Length": "0"})
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
            fields = {
                "ETag": tag,
                "Last-Modified": email.utils.formatdate(int(state.st_mtime), usegmt=True),
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
            }
            if tag in headers.get("if-none-match", ""):
                return self._send_head("304 Not Modified", fields)
            span = find_range(headers, fields, state.st_size)
            if span is None:
                return self._send_head("200 OK", fields, file, (0, state.st_size), method)
            fields["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{state.st_size}"
            if span[0] >= span[1]:
                fields |= {"Content-Range": f"bytes */{state.st_size}", "Content-Length": "0"}
                return self._send_head("416 Range Not Satisfiable", fields)
            return self._send_head("206 Partial Content", fields, file, span, method)

    def _find(self, target: str) -> Path | None:
        target = unquote(target.partition("?")[0])
        if not target.startswith(f"{self.server.prefix}/") or ".." in target:
            return None
        path = self.server.folder / target[len(self.server.prefix) + 1 :]
        return path if path.is_file() else None

    def _send_head(
        self,
        status: str,
        fields: dict[str, str],
        file: Any = None,
        span: tuple[int, int] = (0, 0),
        method: str = "HEAD",
    ) -> None:
        if file:
            fields["Content-Length"] = str(span[1] - span[0])
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if method == "GET" and span[1] > span[0]:
            self.socket.sendall(head, 0 if self.server.tls else MORE_FOLLOWS)
            self._send_body(file, *span)
        else:
            self.socket.sendall(head)

    def _send_body(self, file: Any, position: int, end: int) -> None:
        step = PACED_BYTES if self.server.rate else UNPACED_BYTES
        with contextlib.ExitStack() as stack:
            view = None
            if self.server.tls:
                mapped = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                view = stack.enter_context(memoryview(mapped))
            while position < end:
                wanted = min(step, end - position)
                self._wait_for(wanted)
                if view:
                    self.socket.sendall(view[position : position + wanted])
                    sent = wanted
                else:
                    sent = os.sendfile(self.socket.fileno(), file.fileno(), position, wanted)
                    if not sent:  # the file became shorter than was promised
                        raise ConnectionAbortedError
                position += sent
                self.server.count("bytes", sent)

    def _wait_for(self, size: int) -> None:
        if not self.server.rate:
            return
        # A client that reads slowly saves up nothing; a late wake-up is made good.
        self._due = max(self._due, time.monotonic() - PACED_LAG) + size / self.server.rate
        time.sleep(max(0.0, self._due - time.monotonic()))


def find_range(headers: dict[str, str], fields: dict[str, str], size: int) -> tuple[int, int] | None:
    """Start and end of the one range asked for, empty if it lies outside; None where the whole file is the answer."""
    wanted = headers.get("range", "")
    condition = headers.get("if-range")
    if not wanted.startswith("bytes=") or "," in wanted:
        return None
    if condition is not None and condition not in (fields["ETag"], fields["Last-Modified"]):
        return None
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prefix", default="/data", help="what stands before the published paths")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each request waits")
    parser.add_argument("--rate", type=float, help="bytes a second that one connection gets")
    parser.add_argument("--certificate", help="a PEM file with certificate and key: serve https")
    server = Server(parser.parse_args())
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=server.accept_all, args=(listener,), daemon=True).start()
    print(json.dumps(listener.getsockname()[1]), flush=True)
    for _ in sys.stdin:  # each line asks for the counts; the end of input ends the server
        print(json.dumps(server.take_counts()), flush=True)


if __name__ == "__main__":
    main()
