"""The hub itself: its repositories and accounts, and what it remembers of the calls."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nersemble.demo.listener import Listener

from . import commits, routes, storage
from .accounts import Accounts
from .faults import Faults
from .handler import Call, Handler, Route
from .repos import Repo

#: Variables that would lead a client elsewhere, or tell it of somebody's real account.
_FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Hub:
    """A hub on 127.0.0.1, whose large files come from ``localhost``.

    Attributes:
        repos: Repositories by ``owner/name``.
        moved: What they are called that were renamed.
        accounts: Users, organisations and tokens.
        faults: What is to go wrong.
        page_size: Entries in a page of a listing.
        bytes_per_second: Pace of every body, either way, a connection; None for no limit.
        named: URL that its answers give for it, as of a hub behind a proxy; "" for the one that it has.
        errors: Tracebacks of failures of the hub itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repos: dict[str, Repo] = {}
        self.moved: dict[str, str] = {}
        self.accounts = Accounts()
        self.faults = Faults()
        self.lock = threading.RLock()
        self.page_size = 1000
        self.bytes_per_second: float | None = None
        self.named = ""
        self.errors: list[str] = []
        self.routes: list[Route] = [*routes.ROUTES, *commits.ROUTES, *storage.ROUTES]
        self._secret = secrets.token_bytes(16)
        self._idle = threading.Condition()
        self._in_flight = self._homes = 0
        self._calls: list[Call] = []
        self._large: Counter[str] = Counter()
        self._regular: Counter[str] = Counter()
        self._listener: Listener | None = None

    # --- people and repositories --------------------------------------------------------------------------------------

    def user(self, name: str, *, role: str = "write", default_private: bool = False) -> str:
        """A token of a user, who is made if need be; another call gives another token."""
        self.accounts.add_user(name, default_private=default_private)
        return self.accounts.add_token(name, role)

    def fine_grained(self, user: str, scopes: Mapping[str, Sequence[str]]) -> str:
        """A token of a user for some namespaces or repositories: ``{"lab": ["repo.content.read", "repo.write"]}``."""
        return self.accounts.add_token(user, "fineGrained", scopes)

    def organization(self, name: str, *, default_private: bool = False, **members: str) -> None:
        """An organisation; ``alice="admin"``, or ``write``, ``contributor``, ``read``."""
        self.accounts.add_organization(name, members, default_private=default_private)

    def create(self, name: str, *, private: bool = True, author: str | None = None) -> Repo:
        """A repository, without asking anybody."""
        owner = name.partition("/")[0]
        if owner not in self.accounts.namespaces:
            self.accounts.add_user(owner)
        with self.lock:
            self.repos[name] = Repo(name, private=private, author=author or owner)
            return self.repos[name]

    # --- clients ------------------------------------------------------------------------------------------------------

    def environment(self, token: str | None = None, *, home: Path | None = None) -> dict[str, str]:
        """The environment of a process whose clients know this hub alone.

        Each call gives an empty ``HF_HOME`` of its own, unless ``home`` names one.  Plain and secure connections to any
        other host go through a proxy, which is the hub: it refuses them and records them as ``elsewhere``.  What asks
        for the data viewer is answered as for a private data set; ``datasets.config.USE_PARQUET_EXPORT = False`` spares
        the asking, and with huggingface_hub before 1.0 a look-up of a name that there is not.
        """
        if home is None:
            self._homes += 1
            home = self.folder / f"home-{self._homes}"
            home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        added = {
            "HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "TOKENIZERS_PARALLELISM": "false",
            "http_proxy": self.url,
            "https_proxy": self.url,
            "no_proxy": "127.0.0.1,localhost",
        }
        return {**kept, **added, **({"HF_TOKEN": token} if token else {})}

    def python(
        self, code: str, *arguments: object, token: str | None = None, home: Path | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run some code in a fresh interpreter of a client; its exit status is for the test to look at."""
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=self.environment(token, home=home),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # --- what came of it ----------------------------------------------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        """The calls answered so far; waits, up to a second, while one is being answered."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=1)
            return list(self._calls)

    @property
    def counts(self) -> Counter[str]:
        """Number of calls by route, refused and dropped ones as well."""
        return Counter(call.route for call in self.calls)

    @property
    def large_bytes(self) -> Counter[str]:
        """Bytes received by SHA-256 of the large file, also of uploads that broke off."""
        return Counter(self._large) if self.calls else Counter()

    @property
    def regular_bytes(self) -> Counter[str]:
        """Bytes of regular files received by path, each time that a commit brought them."""
        return Counter(self._regular) if self.calls else Counter()

    @property
    def received(self) -> int:
        """Bytes of the contents of files received so far, large and regular."""
        return sum(self.large_bytes.values()) + sum(self.regular_bytes.values())

    def reset(self) -> None:
        """Forget the calls and bytes so far; repositories and faults stay."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=1)
            self._calls.clear()
            self._large.clear()
            self._regular.clear()

    # --- for the handlers ---------------------------------------------------------------------------------------------

    def sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        with self._idle:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def record(self, call: Call, body: bytes | None) -> None:
        with self._idle:
            self._calls.append(call)
            if call.route == "lfs-put":
                self._large[call.path.rpartition("/")[2]] += call.received
            elif call.route == "commit" and body:
                with contextlib.suppress(ValueError, KeyError):  # one that is no commit brings no files
                    for path, size in commits.regular_files(body):
                        self._regular[path] += size

    # --- the socket ---------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("the hub is not listening")
        return self._listener.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_url(self) -> str:
        """Where large files are: another host name, as far as a client can tell."""
        return f"http://localhost:{self.port}"

    @property
    def hosts(self) -> tuple[str, str]:
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def __enter__(self) -> Hub:
        self._listener = Listener(("127.0.0.1", 0), Handler, self)
        run = self._listener.serve_forever
        self._thread = threading.Thread(target=run, args=(0.05,), name="test-hub", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._listener is not None:
            self._listener.shutdown()
            self._thread.join()
            self._listener.hang_up()
            self._listener.server_close()
