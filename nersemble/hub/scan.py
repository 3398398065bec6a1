"""Looks through shards before they are sent: pictures there, nothing in them of this machine, no access URL, no token.

Every string of a shard and of its footer is looked at, and the raw bytes of the file and of every picture.  A secret is
never a local variable where something raises: ``Forbidden`` holds them and answers which of them is in something.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ..access import AccessURL, find_access
from ..errors import AccessError

_BLOCK = 4 << 20
#: Characters of a string that a message shows.
_SHOWN = 80
#: A path of some machine: at the start of a text, or behind what sets it off from other words.
_PATH = re.compile(
    r"""(?:^|[\s"'`=(,;:\[{|<>])
    (?: (?:file|nersemble):/
      | ~[\w.-]*[/\\]
      | /[^/\s"']+/[^/\s"']
      | \\\\[^\\\s]+\\
      | [A-Za-z]:[\\/]
    )
    | ^/""",
    re.VERBOSE | re.IGNORECASE,
)
#: What files of pictures keep beside the pixels; this package writes none of it.
_METADATA = ("exif", "comment", "xmp", "XML:com.adobe.xmp", "photoshop", "raw_exif")


class Forbidden:
    """What must not be in anything that is pushed: the access URL, the hub's tokens, and paths of this machine.

    Args:
        tokens: Gives the tokens.
    """

    __slots__ = ("_folders", "_longest", "_secrets")

    def __init__(self, tokens: Callable[[], Iterable[str]] = tuple) -> None:
        access = _access()
        urls = () if access is None or access.is_folder else _spellings(access)
        self._secrets = (
            *((url, "the access URL") for url in urls),
            *((coded, "a token of the hub") for token in tokens() for coded in _codings(token)),
        )
        self._longest = max((len(secret) for secret, _ in self._secrets), default=1)
        home = os.path.expanduser("~")
        folders = [home, os.path.realpath(home), str(access) if access is not None and access.is_folder else ""]
        self._folders = tuple(sorted({folder for folder in folders if len(folder) > 1}))

    @property
    def overlap(self) -> int:
        """Bytes that two blocks of a file have to share."""
        return self._longest - 1

    def secret_in(self, data: bytes) -> str:
        """Which secret is in some bytes, in any of its spellings, in words; "" if none is."""
        return next((called for secret, called in self._secrets if secret in data), "")

    def problem_of(self, text: str) -> str:
        """What is wrong with a string; "" if nothing is."""
        secret = self.secret_in(text.encode("utf-8", "surrogatepass"))
        if secret:
            return f"holds {secret}"
        if _PATH.search(text) or any(folder in text for folder in self._folders):
            return f"holds a path of a machine: {text[:_SHOWN]!r}"
        return ""


@dataclass(frozen=True)
class ScannedShard:
    """What was found out about a shard.

    Attributes:
        size: Its length in bytes.
        sha256: Of the bytes that were looked through.
        problem: Why it must not be pushed; "" if nothing was found.
    """

    size: int
    sha256: str
    problem: str


def scan_shard(path: str, forbidden: Forbidden) -> ScannedShard:
    """Look through a shard.

    Raises:
        OSError: If it cannot be read.
    """
    digest, size, problem = hashlib.sha256(), 0, ""
    with open(path, "rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
            joined = tail + block
            secret = "" if problem else forbidden.secret_in(joined)
            problem = f"it holds {secret}" if secret else problem
            tail = joined[len(joined) - forbidden.overlap :] if forbidden.overlap else b""
        file.seek(0)
        if not problem:
            try:
                problem = next(_problems(pq.ParquetFile(file), forbidden), "")
            except pa.ArrowException as error:
                problem = f"it cannot be read: {str(error).rstrip('. ')}"
    return ScannedShard(size, digest.hexdigest(), problem)


def _problems(shard: pq.ParquetFile, forbidden: Forbidden) -> Iterator[str]:
    for key, value in (shard.metadata.metadata or {}).items():
        if key != b"ARROW:schema":  # the same once more, in Base64
            said = forbidden.problem_of(value.decode("utf-8", "replace"))
            if said:
                yield f"its footer {said}"
    for group in range(shard.num_row_groups):
        table = shard.read_row_group(group)
        for name, column in zip(table.column_names, table.columns, strict=True):
            for chunk in column.chunks:
                for leaf in _leaves(chunk):
                    yield from (f"its column {name} {said}" for said in _problems_of(leaf, forbidden))


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of plain values that a nested one is made of."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            yield from _leaves(part)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array


def _problems_of(leaf: pa.Array, forbidden: Forbidden) -> Iterator[str]:
    if pa.types.is_string(leaf.type) or pa.types.is_large_string(leaf.type):
        yield from filter(None, (forbidden.problem_of(text) for text in leaf.unique().to_pylist() if text))
    elif pa.types.is_binary(leaf.type) or pa.types.is_large_binary(leaf.type):
        for data in leaf:
            yield from filter(None, [_problem_of_bytes(data.as_py(), forbidden)])


def _problem_of_bytes(data: bytes | None, forbidden: Forbidden) -> str:
    if not data:
        return "has a picture without bytes"
    if data.count(0) == len(data):
        return "has a picture of null bytes"
    secret = forbidden.secret_in(data)
    if secret:
        return f"holds {secret}"
    kept = _kept_beside(data)
    return f"has a picture with {kept} in its file, which this package never writes" if kept else ""


def _kept_beside(data: bytes) -> str:
    """What a picture's file keeps beside its pixels: ``"exif"``, or the name of a text; "" of a clip."""
    import PIL.Image

    info: dict[Any, Any] = {}
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            if image.format == "PNG":
                image.load()  # texts may stand behind the pixels
            info = {**image.info, **getattr(image, "text", {})}
            named = [name for name in info if name in _METADATA or name in getattr(image, "text", {})]
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return ""
    return str(named[0])[:40] if named else ""


def knows_url() -> bool:
    """Whether this machine has an access URL, which can be looked for only then."""
    access = _access()
    return access is not None and not access.is_folder


def _access() -> AccessURL | None:
    try:
        return find_access()
    except AccessError:
        return None


def _spellings(access: AccessURL) -> tuple[bytes, ...]:
    """The URL without its scheme, as files may have it.  Nothing here raises, nor do its callers with it at hand."""
    parts = urlsplit(access.reveal())
    places = [parts.netloc + parts.path, parts.netloc.rpartition("@")[2] + parts.path]
    logins = [parts.netloc.rpartition("@")[0]]
    texts = {
        said
        for text in [*places, *logins]
        for said in (text, unquote(text), quote(text), quote(text, safe=""), text.replace("/", "\\/"))
    }
    return tuple(sorted({needle for text in texts for needle in _codings(text) if len(needle) > 3}))


def _codings(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode(coding, "replace") for coding in ("utf-8", "utf-16-le", "utf-16-be"))


__all__ = ["Forbidden", "ScannedShard", "knows_url", "scan_shard"]
