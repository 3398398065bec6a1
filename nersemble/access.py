"""The access URL: found in the environment or in a file, checked, masked, and written with mode 0600.

Whoever has the URL has all the data, so one rule holds here: the raw text is never a local variable or an argument of
a frame that lets an exception out, nor part of a message.  Functions that see it return a reason; their callers drop
what they hold and raise.  ``AccessURL`` carries it from there on, masked wherever it is printed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .envfile import parse_entries, read_text, write_entry
from .errors import AccessError

#: The names looked for, in this order: today's, and the one in older approval mails.
DATA_URL = "NERSEMBLE_DATA_URL"
BENCHMARK_URL = "NERSEMBLE_BENCHMARK_URL"
KEYS = (DATA_URL, BENCHMARK_URL)

ACCESS_FORM = "https://forms.gle/rYRoGNh2ed51TDWX9"
NO_ACCESS = (
    "No access URL for NeRSemble was found. Ask the data's authors for access at "
    f"{ACCESS_FORM}, then run `nersemble login` with the URL from their mail "
    f"(or set {DATA_URL}). `nersemble demo` needs no access."
)
_ACCEPTED = "Give the https URL from the approval mail, or the absolute path of a folder that holds the data."

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTES = ('""', "''", "“”", "‘’", "„“", "``")


class AccessURL:
    """Where the data lie: a secret base URL or a folder.  Immutable, masked when printed, refuses to be pickled.

    Made by ``AccessURL.parse`` and ``find_access``.

    >>> AccessURL.parse("https://user:secret@data.example/v2/", source="the prompt")
    AccessURL(https://***)
    """

    __slots__ = ("_folder", "_value")

    _folder: bool
    _value: str

    def __init__(self) -> None:
        raise TypeError("Use AccessURL.parse(...) or find_access()")

    @classmethod
    def parse(cls, value: str, *, source: str) -> AccessURL:
        """Check an access URL and wrap it.

        Args:
            value: An https URL, an http URL of a loopback host, or an existing folder (absolute, ``~/...`` or
                ``file://``).  Blanks and quotes around it and slashes at its end are dropped.
            source: Where it came from, for messages: ``"NERSEMBLE_DATA_URL in the environment"``.

        Raises:
            AccessError: For anything else, in a sentence that names ``source`` and no part of ``value``.
        """
        access, problem = _wrap(value, source)
        del value
        if access is None:
            raise AccessError(problem)
        return access

    @property
    def is_folder(self) -> bool:
        """Whether the data lie in a folder of this machine rather than on a server."""
        return self._folder

    @property
    def is_loopback(self) -> bool:
        """Whether the URL names a server on this machine, such as the demo's."""
        return not self._folder and _is_loopback(urlsplit(self._value).hostname or "")

    def reveal(self) -> str:
        """The base URL without a slash at its end, or the absolute path of the folder.  Never print or store it."""
        return self._value

    def tag(self, salt: str) -> str:
        """A few characters that differ from those of another URL, too few to tell anything about this one."""
        return hashlib.blake2s(self._value.encode(), key=salt.encode()[:32], digest_size=4).hexdigest()

    def __repr__(self) -> str:
        return f"AccessURL({self})"

    def __str__(self) -> str:
        return self._value if self._folder else self._value.split("://", 1)[0] + "://***"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, AccessURL) else NotImplemented

    def __hash__(self) -> int:
        return hash((AccessURL, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("AccessURL cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("AccessURL cannot be changed")

    def __reduce__(self) -> NoReturn:
        raise TypeError("AccessURL is secret and cannot be pickled or copied; call find_access() in each process")

    def __getstate__(self) -> NoReturn:
        raise TypeError("AccessURL is secret and has no state to give away; call find_access() in each process")


def find_access(environ: Mapping[str, str] | None = None, env_file: str | os.PathLike[str] | None = None) -> AccessURL:
    """Find the access URL: ``NERSEMBLE_DATA_URL``, else ``NERSEMBLE_BENCHMARK_URL``, else the same two in the file.

    Args:
        environ: The environment to look in, ``os.environ`` if None.  An empty value counts as unset.
        env_file: The file to look in, ``env_file_path()`` if None.

    Raises:
        AccessError: If there is none, the first one found is unusable, or the file cannot be read.
    """
    access, problem = _search(os.environ if environ is None else environ, env_file)
    del environ
    if access is None:
        raise AccessError(problem)
    return access


def find_all_access() -> list[AccessURL]:
    """Every access URL of this machine, the one in force and those that it hides; what is unusable is passed over."""
    try:
        kept = parse_entries(read_text(env_file_path())[0] or "")
    except AccessError:
        kept = {}
    found = [_wrap(place.get(key, ""), key)[0] for place in (os.environ, kept) for key in KEYS]
    return list(dict.fromkeys(access for access in found if access is not None))


def root_name(data_dir: str | None = None) -> str:
    """What tells the files of one root from those of another in caches, without holding a URL.

    The published server has one name, whatever its URL: the URL changes, and its files are kept.

    Args:
        data_dir: Absolute path of a folder that is read instead of what the access URL names.
    """
    if data_dir is None:
        access = find_access()
        if not access.is_folder and not access.is_loopback:
            return "v2"
        return _digest(os.path.realpath(access.reveal()) if access.is_folder else access.reveal())
    return _digest(data_dir)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def env_file_path() -> Path:
    """The official kit's file, ``~/.config/nersemble_data/.env``, whether or not it exists.

    Raises:
        AccessError: If this user has no home folder.
    """
    path = Path(os.path.expanduser("~/.config/nersemble_data/.env"))
    if not path.is_absolute():
        raise AccessError(f"This user has no home folder to keep the access URL in. Set {DATA_URL} instead.")
    return path


def write_access(value: AccessURL | str, env_file: str | os.PathLike[str] | None = None) -> Path:
    """Write the access URL into the file, with mode 0600 from its first byte, keeping every other line as it is.

    Args:
        value: The URL; text is checked as by ``AccessURL.parse``.
        env_file: The file, ``env_file_path()`` if None.  Of a symbolic link the target is written.

    Returns:
        The path of the file given, not of a link's target.

    Raises:
        AccessError: If the value is unusable or the file cannot be read or written; the file is then as it was.
    """
    access, problem = (value, "") if isinstance(value, AccessURL) else _wrap(value, "The URL to be written")
    del value
    if access is None:
        raise AccessError(problem)
    path = env_file_path() if env_file is None else Path(env_file)
    problem = write_entry(path, DATA_URL, access.reveal())
    if problem:
        raise AccessError(problem)
    return path


def _search(environ: Mapping[str, str], env_file: str | os.PathLike[str] | None) -> tuple[AccessURL | None, str]:
    for key in KEYS:
        value = environ.get(key, "")
        if value.strip():
            return _wrap(value, f"{key} in the environment")
    if env_file is None:
        try:
            env_file = env_file_path()
        except AccessError as error:
            return None, f"{NO_ACCESS} {error}"
    text, problem = read_text(Path(env_file))
    if text is None:
        return None, f"{problem} Or set {DATA_URL}."
    entries = parse_entries(text)
    for key in KEYS:
        if entries.get(key, "").strip():
            return _wrap(entries[key], f"{key} in {os.fspath(env_file)}")
    return None, NO_ACCESS


def _wrap(value: Any, source: str) -> tuple[AccessURL | None, str]:
    """The value as an AccessURL, or None and what is wrong with ``source``."""
    try:
        text, folder, problem = _check(value) if isinstance(value, str) else ("", False, "is not text.")
    except ValueError:  # urlsplit and .port on malformed hosts; their messages quote the URL
        text, folder, problem = "", False, f"is not a well-formed URL. {_ACCEPTED}"
    if problem:
        return None, f"{source} {problem}"
    access = object.__new__(AccessURL)
    object.__setattr__(access, "_value", text)
    object.__setattr__(access, "_folder", folder)
    return access, ""


def _check(value: str) -> tuple[str, bool, str]:
    """(cleaned value, whether it is a folder, "") or ("", False, what is wrong with it)."""
    value = _unquote(value)
    if not value or value.strip(".…") == "" or "<<<" in value or (value[0] == "<" and value[-1] == ">"):
        return "", False, f"holds no URL yet. {NO_ACCESS}"
    if _CONTROL.search(value):
        return "", False, "holds control characters or several lines. Copy the URL alone."
    if value.startswith("~") or os.path.isabs(value):
        return _check_folder(value)
    if not _SCHEME.match(value):
        return "", False, f"is neither a URL nor an absolute path. {_ACCEPTED}"
    parts = urlsplit(value)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            return "", False, "is a file:// URL of another machine. Give the absolute path of a local folder."
        from urllib.request import url2pathname  # with all of HTTP, which few need here

        return _check_folder(url2pathname(parts.path))
    if parts.scheme not in ("https", "http"):
        return "", False, f"is not a https URL. {_ACCEPTED}"
    if "?" in value or "#" in value:
        return "", False, "has a query (?...) or fragment (#...), which a base URL cannot have. Remove it."
    if not _URL_CHARACTERS.fullmatch(value):
        return "", False, "holds blanks or other characters that no URL has. Copy the URL alone."
    if not parts.hostname or parts.port == 0:
        return "", False, f"is a URL without a usable host or port. {_ACCEPTED}"
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return "", False, "is plain http, which would show the secret to the network. Use the https URL."
    return parts.scheme + value[len(parts.scheme) :].rstrip("/"), False, ""


def _check_folder(value: str) -> tuple[str, bool, str]:
    path = os.path.expanduser(value)
    if not (os.path.isabs(path) and os.path.isdir(path)):
        return "", False, "names a folder that does not exist on this machine or cannot be opened."
    return os.path.abspath(path), True, ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unquote(value: str) -> str:
    """Without the blanks, pairs of quotes and a mail program's angle brackets around it."""
    value = value.strip()
    while len(value) >= 2 and value[0] + value[-1] in _QUOTES:
        value = value[1:-1].strip()
    return value[1:-1] if re.fullmatch(r"<https?://[^<>]*>", value) else value
