"""A loopback HTTP server for a capture on disk, which behaves as a careful static file server does.

HTTP/1.1 with connections kept open, ranges, strong ETags, and a secret-looking prefix outside of which everything is
403, like the real server.  It prints nothing and records every request.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from nersemble.demo.handler import DemoHandler, Request
from nersemble.demo.listener import Listener
from nersemble.errors import AssetNotFoundError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


class DemoServer:
    """Serves a folder on 127.0.0.1 until closed.

    Args:
        folder: Folder in the published layout.
        port: Port; 0 takes a free one.
        prefix: First part of every path; by default a random token, as secret as a real access URL.  "" for none.
        handler: Class that answers; a subclass of ``DemoHandler`` can make faults.

    Raises:
        AssetNotFoundError: If the folder does not exist.
        OSError: If the port is taken.

    >>> with DemoServer(folder) as server:                                    # doctest: +SKIP
    ...     urllib.request.urlopen(server.url + "/metadata_sequences.csv").read()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        port: int = 0,
        prefix: str | None = None,
        handler: type[DemoHandler] = DemoHandler,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise AssetNotFoundError(f"There is no folder {self.folder} to serve. `nersemble demo` makes one.")
        self.prefix = secrets.token_urlsafe(24) if prefix is None else prefix.strip("/")
        self._port, self._handler = port, handler
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._idle = threading.Condition()
        self._in_flight = 0
        self._requests: list[Request] = []

    @property
    def port(self) -> int:
        """The port listened on; before ``start`` the one asked for."""
        return self._port

    @property
    def url(self) -> str:
        """The access URL, without a slash at its end; with ``port=0`` known once started."""
        return f"http://127.0.0.1:{self._port}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def requests(self) -> list[Request]:
        """The requests answered so far, in the order in which their answers ended.

        A client can have its answer before the server has noted it, so this waits, up to a second, while a request is
        being answered.
        """
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=1)
            return list(self._requests)

    def requests_so_far(self) -> list[Request]:
        """Like ``requests``, but waits for nothing; for handlers, which are themselves answering one."""
        with self._idle:
            return list(self._requests)

    def reset(self) -> None:
        """Forget the requests so far."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=1)
            self._requests.clear()

    def start(self) -> DemoServer:
        """Begin to listen, in threads of its own."""
        if self._listener is None:
            self._listener = Listener(("127.0.0.1", self._port), self._handler, self)
            self._port = self._listener.server_address[1]
            run = self._listener.serve_forever
            self._thread = threading.Thread(target=run, args=(0.05,), name="nersemble-demo-server", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop listening and break every connection off.  A later ``start`` listens on the same port again."""
        listener, thread, self._listener, self._thread = self._listener, self._thread, None, None
        if listener is not None and thread is not None:
            listener.shutdown()
            thread.join()
            listener.hang_up()
            listener.server_close()

    def __enter__(self) -> DemoServer:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        """Counts a request as being answered; for handlers."""
        with self._idle:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def record(self, request: Request) -> None:
        """Note an answered request; for handlers."""
        with self._idle:
            self._requests.append(request)
