"""Files of ``KEY = "value"`` lines: read tolerantly, and one key written with mode 0600, every other line kept.

The lines are what python-dotenv reads, because the official kit reads the same file with it.  The values are secrets,
so the functions here return the reason of a failure instead of raising in a frame that holds one.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_ENTRY = re.compile(
    r"""\ufeff?[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*
        (?:"(?P<double>(?:[^"\\]|\\.)*)"[ \t]*(?:\#.*)?
          |'(?P<single>(?:[^'\\]|\\.)*)'[ \t]*(?:\#.*)?
          |\#.*
          |(?P<bare>.*?)(?:[ \t]\#.*)?)[ \t\r]*""",
    re.VERBOSE,
)


def read_text(path: Path) -> tuple[str | None, str]:
    """(the file's text, "" if there is no file) or (None, the reason it cannot be read)."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "", ""
    except OSError as error:
        return None, f"Cannot read {path}: {error.strerror}. Mend its permissions, or move it away."
    if b"\0" in data:  # UTF-16, as some Windows editors save
        return None, f"{path} is not UTF-8 text. Save it as UTF-8, or remove it and run `nersemble login`."
    # Bytes that are not UTF-8, in comments and other keys, survive as surrogates and are written back unchanged.
    return data.decode("utf-8", "surrogateescape"), ""


def parse_entries(text: str) -> dict[str, str]:
    """The entries of a file's text; of two lines with one key the later counts, other lines are passed over.

    ``export`` in front, quotes, blanks around ``=``, comments, CRLF and a byte order mark are understood.
    """
    entries = {}
    for line in text.split("\n"):
        match = _ENTRY.fullmatch(line)
        if match:
            quoted = match["double"] if match["double"] is not None else match["single"]
            bare = (match["bare"] or "").strip()
            entries[match["key"]] = bare if quoted is None else re.sub(r"\\([\\\"'])", r"\1", quoted)
    return entries


def write_entry(path: Path, key: str, value: str) -> str:
    """Set one key in the file; the reason if that failed, the file being as it was, else ""."""
    text, problem = read_text(path)
    if text is None:
        return problem
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    data = _with_entry(text, key, f'{key} = "{escaped}"').encode("utf-8", "surrogateescape")
    try:
        _replace_file(Path(os.path.realpath(path)), data)
    except OSError as error:
        return f"Cannot write {path}: {error.strerror}. Mend the permissions of the file and its folder."
    return ""


def _with_entry(text: str, key: str, entry: str) -> str:
    """``text`` with ``entry`` in place of the last line for ``key`` (the one that counts), or at the end.

    Earlier lines for ``key`` go: they could only be an outdated secret.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    matches = [_ENTRY.fullmatch(line.rstrip("\n")) for line in lines]
    places = [place for place, match in enumerate(matches) if match and match["key"] == key]
    if not places:
        ending = "\r\n" if "\r\n" in text else "\n"
        joint = ending if text and not text.endswith("\n") else ""
        return f"{text}{joint}{entry}{ending}"
    old = lines[places[-1]]
    lines[places[-1]] = entry + ("\r\n" if old.endswith("\r\n") else "\n")
    kept = "".join(line for place, line in enumerate(lines) if place not in places[:-1])
    return "\ufeff" + kept if text.startswith("\ufeff") and not kept.startswith("\ufeff") else kept


def _replace_file(path: Path, data: bytes) -> None:
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # O_EXCL and mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
