"""Published files over HTTP."""

from __future__ import annotations

import re
from concurrent.futures import CancelledError
from pathlib import Path

from ..access import AccessURL
from ..errors import TransportError
from .arrival import LOOK, head_problem
from .base import Fetched, FetchOptions, Part, Stat, uri
from .cancel import Cancel
from .client import HttpClient
from .exchange import Answer, Exchange, Refusal, Sink
from .fetch import content_range, fetch, is_page
from .policy import NEXT_STEP, Pace, raise_unless_found


class HttpFiles:
    """Published files from a server; see ``Files`` for the calls and ``HttpClient`` for what is tried again."""

    def __init__(self, access: AccessURL, *, pace: Pace | None = None) -> None:
        self.client = HttpClient(access, pace=pace)

    def __repr__(self) -> str:
        return "HttpFiles(***)"

    def read(self, path: str, start: int, stop: int | None, cancel: Cancel) -> Part:
        if stop is not None and stop <= start:
            return Part(b"", start, None, None, False)
        headers = {} if start == 0 and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        body = _Body(headers)
        answer = self._ask("GET", path, body, cancel)
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        if answer.status == 416 and headers:
            size = _size_without(answer)
            size = self.stat(path, cancel).size if size is None else size
            if size is None or start < size:  # it has that part: this is how it says that it knows no ranges
                return self.read(path, 0, None, cancel)
            return Part(b"", start, size, etag, False)
        raise_unless_found(answer.status, path)
        problem = _problem(answer, body, path, start, stop)
        if problem:
            raise TransportError(f"{problem} {NEXT_STEP}")
        data = b"".join(body.pieces)
        if answer.status != 206:
            return Part(data, 0, len(data), etag, True, modified)
        _, total_size = content_range(answer.headers)
        whole = total_size is not None and start == 0 and len(data) == total_size
        return Part(data, start, total_size, etag, whole, modified)

    def read_if_changed(self, path: str, etag: str | None, modified: str | None, cancel: Cancel) -> Part | None:
        headers = {"If-None-Match": etag} if etag else {"If-Modified-Since": modified} if modified else {}
        body = _Body(headers)
        answer = self._ask("GET", path, body, cancel)
        if answer.status == 304 and headers:
            return None
        raise_unless_found(answer.status, path)
        data = b"".join(body.pieces)
        return Part(data, 0, len(data), answer.headers.get("etag"), True, answer.headers.get("last-modified"))

    def stat(self, path: str, cancel: Cancel) -> Stat:
        answer = self._ask("HEAD", path, _Body({}), cancel)
        # Some servers refuse HEAD alone, or do not say a length, or 0, in answer to it.
        if answer.status in (204, 403, 405, 501) or (answer.status == 200 and not _length(answer)):
            answer = self._ask("GET", path, _Glance({"Range": "bytes=0-0"}), cancel)
            if answer.status == 206:
                return Stat(content_range(answer.headers)[1], answer.headers.get("etag"))
            if answer.status == 416:  # an empty file has no first byte; nor is there one for whoever knows no ranges
                size = _size_without(answer)
                if size is not None:
                    return Stat(size, answer.headers.get("etag"))
                answer = self._ask("GET", path, _Glance({}), cancel)
        raise_unless_found(answer.status, path)
        return Stat(_length(answer), answer.headers.get("etag"))

    def fetch(self, path: str, target: Path, cancel: Cancel, options: FetchOptions) -> Fetched:
        return fetch(self.client, path, target, cancel, options)

    def close(self) -> None:
        self.client.close()

    def _ask(self, method: str, path: str, body: Exchange, cancel: Cancel) -> Answer:
        answer = self.client.request(method, path, body, cancel)
        if answer.cancelled:
            raise CancelledError
        if answer.failure and answer.failure is not _SEEN:
            raise TransportError(f"{uri(path)} could not be fetched: {answer.failure}. {NEXT_STEP}")
        return answer


def _problem(answer: Answer, body: _Body, path: str, start: int, stop: int | None) -> str:
    """Why what was sent is not the stretch of the file that was asked for, "" if it is.

    Said instead of raised, so that the body is no local variable of a traceback: a page may repeat the secret path.
    """
    if answer.status != 206:
        head = body.head()
        is_one = is_page(answer.headers) and _is_markup(head)
        problem = "the server sent a web page instead of it" if is_one else head_problem(head, path)
        return f"{uri(path)} could not be fetched: {problem}." if problem else ""
    first, total_size = content_range(answer.headers)
    if first != start:
        return f"The server sent other bytes of {uri(path)} than those asked for."
    asked = total_size if stop is None or total_size is None else min(stop, total_size)
    if asked is not None and start + sum(map(len, body.pieces)) != asked:
        return f"The server sent fewer or more bytes of {uri(path)} than those asked for."
    return ""


def _length(answer: Answer) -> int | None:
    """The file's length; None if the answer does not say it, or says it of something else than the file."""
    length = answer.headers.get("content-length", "")
    encoded = answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    if encoded or is_page(answer.headers) or not (length.isascii() and length.isdigit()):
        return None
    return int(length)


def _size_without(answer: Answer) -> int | None:
    """The file's length where a server says that it has no such part of it; None if it does not say it."""
    total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("content-range", "").strip())
    return int(total[1]) if total else None


def _is_markup(data: bytes) -> bool:
    """Whether an answer that is called a web page is one: servers without ranges may call a video so."""
    return data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"<", b"")


_SEEN = Refusal("the head is enough")


class _Glance(Exchange):
    """Looks at the head of an answer and lets go of its body: without ranges, that is the whole file."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def headers(self) -> dict[str, str]:
        return self._headers

    def accept(self, answer: Answer) -> Refusal:
        return _SEEN


class _Body(Exchange):
    """Keeps the body in memory."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self.pieces: list[bytes] = []

    def headers(self) -> dict[str, str]:
        return self._headers

    def accept(self, answer: Answer) -> Sink:
        self.pieces = []
        return lambda piece: self.pieces.append(bytes(piece))

    def head(self) -> bytes:
        """The first bytes of what came, without a copy of all of it."""
        head = b""
        for piece in self.pieces:
            head += piece[: LOOK - len(head)]
            if len(head) == LOOK:
                break
        return head
