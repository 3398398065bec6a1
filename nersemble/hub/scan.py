"""Looks through shards before they are sent: pictures there, nothing in them of this machine, no access URL, no token.

Every string of a shard and of its footer is looked at, and the raw bytes of the file and of every picture.  A secret is
never a local variable where something raises: ``Forbidden`` holds them and answers which of them is in something.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ..access import AccessURL, find_all_access
from .beside import kept_beside

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
#: Any token of the hub, whosever it is.
_TOKEN = re.compile(rb"hf_[A-Za-z0-9]{30,}|h\0f\0_\0(?:[A-Za-z0-9]\0){30,}")
_TOKEN_BYTES = 80
#: Characters of a password or a login, and of a path of the access URL, from which they are looked for alone.
_SECRET_LENGTH = 6
_PATH_LENGTH = 12
#: Bytes of a value up to which it is looked at as a text too.
_TEXT = 4096


class Forbidden:
    """What must not be in anything that is pushed: access URLs of this machine, the hub's tokens, and paths.

    Args:
        tokens: Gives the tokens.
    """

    __slots__ = ("_folders", "_longest", "_lowered", "_secrets")

    def __init__(self, tokens: Callable[[], Iterable[str]] = tuple) -> None:
        found = find_all_access()
        urls = {url for access in found if not access.is_folder for url in _spellings(access)}
        # Whoever writes a host in capitals means the same.
        self._lowered = tuple(sorted({coded.lower() for url in urls for coded in _codings(url)}))
        coded = [(code, "the access URL") for url in urls for code in _base64s(url)]
        told = [(code, "a token of the hub") for one in tokens() for code in (*_codings(one), *_base64s(one))]
        self._secrets = (*coded, *told)
        lengths = [*map(len, self._lowered), *(len(secret) for secret, _ in self._secrets)]
        self._longest = max(_TOKEN_BYTES, *lengths) if lengths else _TOKEN_BYTES
        home = os.path.expanduser("~")
        folders = [home, os.path.realpath(home), *(str(access) for access in found if access.is_folder)]
        self._folders = tuple(sorted({folder for folder in folders if len(folder) > 1}))

    @property
    def overlap(self) -> int:
        """Bytes that two blocks of a file have to share."""
        return self._longest - 1

    def secret_in(self, data: bytes) -> str:
        """Which secret is in some bytes, in any of its spellings, in words; "" if none is."""
        found = next((called for secret, called in self._secrets if secret in data), "")
        if not found and self._lowered:
            lowered = data.lower()
            found = "the access URL" if any(secret in lowered for secret in self._lowered) else ""
        return found or ("a token of the hub" if _TOKEN.search(data) else "")

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


def scan_shard(file: BinaryIO, forbidden: Forbidden) -> ScannedShard:
    """Look through a shard, open at its start.

    Raises:
        OSError: If it cannot be read.
    """
    digest, size, problem = hashlib.sha256(), 0, ""
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
        except (pa.ArrowException, ValueError) as error:
            problem = f"it cannot be read: {str(error).rstrip('. ')}"
    return ScannedShard(size, digest.hexdigest(), problem)


def _problems(shard: pq.ParquetFile, forbidden: Forbidden) -> Iterator[str]:
    for text in _words_of_footer(shard):
        said = forbidden.problem_of(text)
        if said:
            yield f"its footer {said}"
    for group in range(shard.num_row_groups):
        table = shard.read_row_group(group, use_threads=False)
        for name, column in zip(table.column_names, table.columns, strict=True):
            for chunk in column.chunks:
                for leaf in _leaves(chunk):
                    yield from (f"its column {name} {said}" for said in _problems_of(leaf, forbidden))


def _words_of_footer(shard: pq.ParquetFile) -> Iterator[str]:
    """Every text of a footer: what is kept with the file and with its columns, and their names at every depth."""
    yield str(shard.metadata.created_by or "")
    kept = [shard.metadata.metadata or {}, shard.schema_arrow.metadata or {}]
    fields = list(shard.schema_arrow)
    coded = kept[0].get(b"ARROW:schema")
    if coded:  # has names that Parquet does without
        schema = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(coded)))
        fields += list(schema)
        kept.append(schema.metadata or {})
    while fields:
        field = fields.pop()
        yield field.name
        kept.append(field.metadata or {})
        fields += [field.type.field(number) for number in range(field.type.num_fields)]
    for words in kept:
        for key, value in words.items():
            yield key.decode("utf-8", "replace")
            if key != b"ARROW:schema":
                yield value.decode("utf-8", "replace")


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of plain values that a nested one is made of."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            yield from _leaves(part)
    elif pa.types.is_map(array.type):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif hasattr(array, "flatten") and pa.types.is_nested(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array


def _problems_of(leaf: pa.Array, forbidden: Forbidden) -> Iterator[str]:
    called = str(leaf.type)
    if called in ("string", "large_string", "string_view"):
        texts = leaf.cast(pa.large_string()).unique().to_pylist()
        yield from filter(None, (forbidden.problem_of(text) for text in texts if text))
    elif called in ("binary", "large_binary", "binary_view"):
        for data in leaf:
            yield from filter(None, [_problem_of_bytes(data.as_py(), forbidden)])
    elif pa.types.is_fixed_size_binary(leaf.type):
        yield from filter(None, (_problem_of_text(data.as_py() or b"", forbidden) for data in leaf))
    elif not (pa.types.is_primitive(leaf.type) or pa.types.is_null(leaf.type) or pa.types.is_decimal(leaf.type)):
        yield f"has values that cannot be looked through: {called}"


def _problem_of_bytes(data: bytes | None, forbidden: Forbidden) -> str:
    if not data:
        return "has a picture without bytes"
    if data.count(0) == len(data):
        return "has a picture of null bytes"
    said = _problem_of_text(data, forbidden)
    if said:
        return said
    kept = kept_beside(data)
    return f"has a picture with {kept} in its file, which this package never writes" if kept else ""


def _problem_of_text(data: bytes, forbidden: Forbidden) -> str:
    """What is wrong with some bytes, which may be a text."""
    secret = forbidden.secret_in(data)
    if secret or len(data) > _TEXT:
        return f"holds {secret}" if secret else ""
    text = data.decode("utf-8", "ignore")
    return forbidden.problem_of(text) if text.isprintable() and text.encode() == data else ""


def knows_url() -> bool:
    """Whether this machine has an access URL, which can be looked for only then."""
    return any(not access.is_folder for access in find_all_access())


def _spellings(access: AccessURL) -> tuple[str, ...]:
    """The URL without its scheme, as files may have it.  Nothing here raises, nor do its callers with it at hand."""
    parts = urlsplit(access.reveal())
    login, _, host = parts.netloc.rpartition("@")
    hosts = {parts.netloc, host, host.removesuffix(":443")}
    hosts |= {f"{one}:443" for one in (parts.netloc, host) if ":" not in host}
    texts = {f"{one}{parts.path}" for one in hosts}
    user, _, password = login.partition(":")
    texts |= {password} if len(password) >= _SECRET_LENGTH else set()
    # What is plain words may be in anything, such as `nersemble` and `nersemble/data`.
    name, path = login if password else user, parts.path.strip("/")
    told = password or re.search(r"\d", name) or len(name) >= _PATH_LENGTH
    texts |= {name} if len(name) >= _SECRET_LENGTH and told else set()
    texts |= {path} if len(path) >= _PATH_LENGTH and re.search(r"\d", path) else set()
    spelled = {
        said
        for text in texts
        for said in (text, unquote(text), quote(text), quote(text, safe=""), text.replace("/", "\\/"))
    }
    return tuple(sorted(one for one in spelled if len(one) > 3))


def _base64s(text: str) -> tuple[bytes, ...]:
    """A text within Base64, wherever it stands there; none if it is short."""
    data = text.encode("utf-8", "replace")
    found = []
    for skipped in range(3):
        coded = base64.b64encode(b"\0" * skipped + data)
        whole = (skipped + len(data)) // 3 * 4
        found.append(coded[(0, 2, 3)[skipped] : whole])
    long = [one for one in found if len(one) >= 2 * _SECRET_LENGTH]
    return tuple({one for coded in long for one in (coded, coded.translate(bytes.maketrans(b"+/", b"-_")))})


def _codings(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode(coding, "replace") for coding in ("utf-8", "utf-16-le", "utf-16-be"))


__all__ = ["Forbidden", "ScannedShard", "knows_url", "scan_shard"]
