"""A socket on loopback that answers HTTP in threads, and hangs up when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any


class Listener(ThreadingMixIn, HTTPServer):
    """The listening socket and its connections.

    Args:
        address: Host and port; 0 takes a free port.
        handler: Class that answers.
        owner: The server that it listens for, where handlers find it.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], owner: Any) -> None:
        self.owner = owner
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the name look-up of the base class, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, which does not keep the interpreter alive."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that has ended."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break every open connection off, and give their threads a moment to end."""
        with self._lock:
            connections = dict(self._open)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join(timeout=2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that hangs up is no news, and a server for tests must not print."""
