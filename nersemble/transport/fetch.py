"""One file from a server onto a disk: whole or not at all, going on with what is there of it.

What has come is kept in a ``PartFile`` whatever ends a fetch, also the end of the process.  It is gone on with only if
the server still has the version that it is of: it is asked for with If-Range, the answer has to name that version and
length, and its first bytes, which are asked for again, have to be those held.  Otherwise the file begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import CancelledError
from email.utils import parsedate_to_datetime
from pathlib import Path

from ..errors import StorageError, TransportError
from .base import Fetched, FetchOptions, NotWantedError, disk_problem, uri
from .cancel import Cancel
from .client import HttpClient
from .exchange import Answer, BodyError, Exchange, Refusal, Sink
from .part_file import LostClaimError, PartFile, Version
from .policy import NEXT_STEP, raise_unless_found

#: Bytes at the end of a part that are asked for again, to be compared.
OVERLAP = 1024
#: A file that changed as lately as this before the answer may change again under the same Last-Modified, in seconds.
SETTLED = 60.0
CHANGED = "it changed on the server, or the server sent something else than what was asked for"


def part_key(parts: Path, target: Path) -> str:
    """What a file's parts are called in the folder that keeps them."""
    return "~".join(target.relative_to(parts).parts) if target.is_relative_to(parts) else target.name


def fetch(client: HttpClient, path: str, target: Path, cancel: Cancel, options: FetchOptions) -> Fetched:
    """Write a published file to ``target``; see ``Files.fetch``.

    Raises:
        AssetNotFoundError, AccessError, TransportError: If it does not come.
        StorageError: If the disk does not take it.
        CancelledError: If it was cancelled.
    """
    received = 0
    while True:
        part = claim_part(path, target, options)
        exchange = _Download(part, cancel, options)
        try:
            answer = _exchange(client, path, target, exchange, cancel)
            received += exchange.received
            announced = "content-length" in answer.headers
            if options.refuses is not None and (problem := options.refuses(part.path, announced)):
                part.restart(None)
                raise TransportError(f"{uri(path)} could not be fetched: {problem}. {NEXT_STEP}")
            finish_part(part, path, target)
            return Fetched(part.size, answer.headers.get("etag"), received)
        except LostClaimError:
            continue
        finally:
            part.release()


def claim_part(path: str, target: Path, options: FetchOptions) -> PartFile:
    """Claim a part of a file, or begin one.

    Raises:
        StorageError: If the disk does not let it be written.
        NotWantedError: If it is not wanted any more.
    """
    parts = options.parts or target.parent
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts.mkdir(parents=True, exist_ok=True)
        if parts.stat().st_dev != target.parent.stat().st_dev:  # a part cannot be renamed from disk to disk
            parts = target.parent
        part = PartFile.claim(parts, part_key(parts, target))
    except OSError as error:
        raise storage_error(error, path, target) from None
    if options.wanted is not None and not options.wanted():
        part.release()
        raise NotWantedError
    return part


def finish_part(part: PartFile, path: str, target: Path) -> None:
    """Give a part that is whole its final name.

    Raises:
        StorageError: If the disk does not take it.
        LostClaimError: If another process has it by now.
    """
    try:
        part.finish(target)
    except OSError as error:
        raise storage_error(error, path, target) from None


def storage_error(error: OSError, path: str, target: Path) -> StorageError:
    """The error for a disk that does not take a file."""
    return StorageError(f"{uri(path)} could not be written to {target.parent}: {disk_problem(error)}.", error.errno)


def _exchange(client: HttpClient, path: str, target: Path, exchange: _Download, cancel: Cancel) -> Answer:
    answer = client.request("GET", path, exchange, cancel)
    if answer.status == 416 and not answer.failure and exchange.forget(path, target):  # shorter now than what is held
        answer = client.request("GET", path, exchange, cancel)
    if answer.cancelled:
        raise CancelledError
    if answer.storage is not None:
        raise storage_error(answer.storage, path, target)
    if answer.failure:
        raise TransportError(f"{uri(path)} could not be fetched: {answer.failure}. {NEXT_STEP}")
    raise_unless_found(answer.status, path)
    return answer


class _Download(Exchange):
    """Fills a part."""

    patient = True

    def __init__(self, part: PartFile, cancel: Cancel, options: FetchOptions) -> None:
        self._part, self._cancel = part, cancel
        self._tell, self._throttle = options.received, options.throttle
        self._best = part.size
        self._start = 0
        self._held = b""
        self.received = 0
        if self._throttle is not None:  # pieces that are not long in coming
            self.piece = int(min(max(self._throttle.rate / 8, 4096), self.piece))

    def headers(self) -> dict[str, str]:
        part = self._part
        if part.version is None or not part.size:
            self._start = 0
            return {}
        self._start = part.size - min(OVERLAP, (part.size + 1) // 2)
        return {"Range": f"bytes={self._start}-", "If-Range": part.version.validator}

    def accept(self, answer: Answer) -> Sink | str:
        part, headers = self._part, answer.headers
        if is_page(headers):
            return Refusal("the server sent a web page instead of it")
        self._held = b""
        if answer.status == 200:
            part.restart(version_of(headers))
            return self._append
        wanted = part.version
        first, total = content_range(headers)
        if answer.status != 206 or wanted is None or not part.size:
            return "the server sent something else than what was asked for"
        if first != self._start or total != wanted.size or not _names(headers, wanted.validator):
            part.restart(None)
            return CHANGED
        self._held = part.tail(part.size - self._start)
        part.go_on()
        return self._append

    def forget(self, path: str, target: Path) -> bool:
        """Begin anew; False if nothing is held that could be forgotten.

        Raises:
            StorageError: If the disk does not take it.
        """
        if not self._part.size:
            return False
        try:
            self._part.restart(None)
        except OSError as error:
            raise storage_error(error, path, target) from None
        return True

    def _append(self, piece: memoryview) -> None:
        self.received += len(piece)
        if self._tell is not None:
            self._tell(len(piece))
        if self._throttle is not None:
            self._throttle.take(len(piece), self._cancel)
        if self._held:
            known = min(len(self._held), len(piece))
            if piece[:known] != self._held[:known]:
                self._part.restart(None)
                raise BodyError(CHANGED)
            self._held, piece = self._held[known:], piece[known:]
        version = self._part.version
        if version is not None and self._part.size + len(piece) > version.size:
            self._part.restart(None)
            raise BodyError(CHANGED)
        self._part.write(piece)

    def problem(self) -> str:
        version = self._part.version
        if self._held or (version is not None and self._part.size != version.size):
            return "the server sent less of it than it announced"
        return ""

    def progressed(self) -> bool:
        best, self._best = self._best, max(self._best, self._part.size)
        return self._part.size > best


def version_of(headers: Mapping[str, str]) -> Version | None:
    """The version that an answer is of; None if it has no name that a later answer could be asked for by."""
    length = headers.get("content-length", "")
    etag = headers.get("etag", "")
    if not (length.isascii() and length.isdigit()):
        return None
    if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag):
        return Version(etag, int(length))
    try:
        modified = headers.get("last-modified", "")
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return None
    return Version(modified, int(length)) if age.total_seconds() >= SETTLED else None


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether an answer says that it is a web page, such as one to sign in."""
    return headers.get("content-type", "").strip().lower().startswith(("text/html", "application/xhtml"))


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """First byte and length of the whole that a Content-Range says, None for what it does not say."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), int(match[3]) if match[3] != "*" else None


def _names(headers: Mapping[str, str], validator: str) -> bool:
    """Whether an answer to If-Range is of the version asked for.

    One that does not say has the server's word for it, and the bytes that are compared.
    """
    return headers.get("etag" if validator.startswith('"') else "last-modified", validator) == validator


__all__ = ["claim_part", "content_range", "fetch", "finish_part", "is_page", "part_key", "storage_error", "version_of"]
