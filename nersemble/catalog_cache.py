"""The published catalogue, kept on disk: asked for once a day, and then only whether it changed.

Of many processes that need it at once, one asks.  If the server fails, the catalogue of an earlier day is used, with a
warning, and also while another process waits for a server that does not answer.  What is kept holds no URL: it is told
from what another URL gave by a salted tag.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from .access import AccessURL, find_access, root_name
from .caches import cache_folder
from .catalog import Catalog, parse_catalog
from .errors import StaleCatalogWarning, TransportError
from .layout import SEQUENCES_CSV
from .transport import Files, shared_files, wait_for

#: How long to wait for another process that asks, in seconds: with nothing kept, and where an old one would do.
LOCK_TIMEOUT, SHORT_TIMEOUT = 60.0, 15.0
#: How long to wait for the server where an old one would do, in seconds.
PATIENCE = 20.0
#: How long a table is used without asking for a newer one, in seconds.
LIFE = 24 * 3600.0


@dataclass(frozen=True)
class _Kept:
    """What is known of a table that is kept, without its bytes."""

    salt: str
    tag: str
    checked: float
    digest: str
    etag: str | None = None
    modified: str | None = None


def published_catalog(*, refresh: bool = False) -> Catalog:
    """The catalogue behind the access URL.

    Args:
        refresh: Ask the server whether it changed, however lately that was done.

    Raises:
        AccessError: If there is no access URL, or the server refuses it.
        CatalogError: If it is not what it should be.
        TransportError: If it cannot be fetched and none is kept.
    """
    return _parsed(published_table(SEQUENCES_CSV, _parsed, refresh=refresh))


def published_table(name: str, check: Callable[[bytes], object], *, refresh: bool = False) -> bytes:
    """The bytes of a metadata CSV; ``check`` raises if they are not what they should be, which are not kept then.

    Raises:
        AssetNotFoundError: If the server does not have it.
    """
    access = find_access()
    if access.is_folder:
        return wait_for(lambda cancel: shared_files(access).read(name, 0, None, cancel)).data
    place = cache_folder() / "catalog" / root_name() / f"{name}.kept"
    began = time.time()
    kept, data = _load(place, access)
    if kept is not None and not refresh and 0 <= began - kept.checked < LIFE:
        return data
    with _locked(place, LOCK_TIMEOUT if kept is None else SHORT_TIMEOUT) as held:
        kept, data = _load(place, access)
        if kept is not None and began <= kept.checked <= time.time():  # another process has just asked
            return data
        problem = ""
        if kept is not None and began <= _failed_at(place) <= time.time():  # in vain
            problem = "the server failed another process just now."
        elif kept is not None and not held:
            problem = "another process waits for the server, which has not answered yet."
        else:
            data, problem = _fetch(name, check, access, place, kept, data)
    if problem and kept is not None:
        days = (time.time() - kept.checked) / 86400
        message = f"The catalogue of {days:.1f} days ago is used: {problem}"
        warnings.warn(StaleCatalogWarning(message), stacklevel=3)
    return data


def _fetch(
    name: str, check: Callable[[bytes], object], access: AccessURL, place: Path, kept: _Kept | None, data: bytes
) -> tuple[bytes, str]:
    """The table as it is now; as it was kept, and why, if the server fails."""
    etag, modified = (kept.etag, kept.modified) if kept else (None, None)
    files: Files = shared_files(access)
    try:
        part = wait_for(
            lambda cancel: files.read_if_changed(name, etag, modified, cancel), None if kept is None else PATIENCE
        )
    except TransportError as error:
        if kept is None:
            raise
        with contextlib.suppress(OSError):
            _failure(place).touch()
        return data, str(error)
    if part is not None:
        check(part.data)
        data, etag, modified = part.data, part.etag, part.modified
    salt = kept.salt if kept else secrets.token_hex(8)
    _store(place, _Kept(salt, access.tag(salt), time.time(), _digest(data), etag, modified), data)
    return data, ""


def _failure(place: Path) -> Path:
    return place.with_name(f"{place.name}.failed")


def _failed_at(place: Path) -> float:
    """When the server last failed, 0 if it did not."""
    try:
        return _failure(place).stat().st_mtime
    except OSError:
        return 0.0


def _load(place: Path, access: AccessURL) -> tuple[_Kept | None, bytes]:
    """What is kept of this access URL."""
    try:
        head, _, data = place.read_bytes().partition(b"\n")
        kept = _Kept(**json.loads(head))
        # Whatever else lies there is none, also what a crash of the machine left of it.
        if kept.tag == access.tag(kept.salt) and kept.digest == _digest(data) and kept.checked >= 0:
            return kept, data
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return None, b""


def _store(place: Path, kept: _Kept, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written is none
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f"{place.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            temporary.write_bytes(json.dumps(asdict(kept)).encode() + b"\n" + data)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    return hashlib.blake2s(data, digest_size=16).hexdigest()


@contextlib.contextmanager
def _locked(place: Path, timeout: float) -> Iterator[bool]:
    """One process at a time, where the disk knows locks.  Yields whether no other process holds it still."""
    lock, held = -1, True
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{place}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + timeout
        held = _take(lock)
        while not held and time.monotonic() < deadline:
            time.sleep(0.05)
            held = _take(lock)
    try:
        yield held
    finally:
        if lock >= 0:
            os.close(lock)


def _take(lock: int) -> bool:
    """Take a lock, if no other process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


#: No function of its own, whose traceback would show what came.
_parsed = lru_cache(maxsize=4)(parse_catalog)
