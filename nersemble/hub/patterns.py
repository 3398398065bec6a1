"""Which files the configs of a card take by their patterns, as `datasets` finds them: whether one would take ours.

A config that names no files takes all that it finds below its folder, and so would take what is pushed beside it.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

_WORDS = "train training validation valid dev val test testing eval evaluation".split()
_SEP, _DIGITS = "[-._ 0-9]", "[0-9]" * 5
#: What `datasets` looks for where no files are named: of these groups, the first that finds a file is taken.
_DEFAULTS: tuple[tuple[str, ...], ...] = (
    (f"data/*-{_DIGITS}-of-{_DIGITS}*.*",),
    tuple(f"**/{start}{word}{end}/**" for word in _WORDS for start in ("", f"*{_SEP}") for end in ("", f"{_SEP}*")),
    tuple(f"**/{start}{word}{_SEP}*" for word in _WORDS for start in ("", f"*{_SEP}")),
    ("**",),
)
#: Files that a pattern finds only if it names them.
_PASSED_OVER = "README.md config.json dataset_info.json dataset_infos.json dummy_data.zip dataset_dict.json".split()
#: Stars, a question mark, or characters between brackets, the first of which may be a bracket.
_MAGIC = re.compile(r"\*+|\?|\[(!(?:\][^\]]*|[^\]]+)|(?!!)(?:\][^\]]*|[^\]]+))\]")
_ARCHIVES = "zip tar tgz gz bz2 xz zst 7z lz4".split()
_NULL = ("", "~", "null", "Null", "NULL")


class Taking:
    """What a config takes.

    Args:
        entry: The config, with texts for all values, as a card's head gives it.
        files: All files that there are, and that will be.

    Attributes:
        told: Its patterns in words.
    """

    def __init__(self, entry: dict[str, Any], files: Iterable[str]) -> None:
        folder = "" if entry.get("data_dir") in (None, *_NULL) else str(entry["data_dir"])
        named = list(_named(entry.get("data_files")))
        self.told = ", ".join(map(repr, named)) if named else "all files, as it names no data_files"
        groups = [tuple(named)] if named else _DEFAULTS
        paths = list(files)
        self._patterns: list[_Pattern] = []
        for group in groups:
            self._patterns = [_Pattern(_within(folder, one)) for one in group if "://" not in one]
            if named or any(map(self.takes, paths)):
                break

    def takes(self, path: str) -> bool:
        """Whether it takes a file."""
        return any(one.finds(path) for one in self._patterns)


def kind_of(first: dict[str, Any], files: Iterable[str]) -> str:
    """The kind of files, such as ``csv``, that all configs are loaded as, since the first one has most of it.

    Args:
        first: The first config of a card.
        files: All files that load, those to come as well.

    Returns:
        It; "" if it has none, or archives alone.
    """
    paths = list(files)
    # `datasets` looks at the top of the data set here, whatever folder the config has.
    taking = Taking({"data_files": first.get("data_files")}, paths)
    names = [posixpath.basename(path) for path in paths if taking.takes(path)]
    counts = Counter(part.lower() for name in names for part in name.split(".")[1:])
    kinds = [(count, part == "parquet", part) for part, count in counts.items() if part not in _ARCHIVES]
    return max(kinds, default=(0, False, ""))[2]


class _Pattern:
    """A pattern: ``*`` and ``?`` within a name, ``**`` for any folders, ``[...]``; braces stand for themselves."""

    def __init__(self, text: str) -> None:
        self._last = posixpath.basename(text)
        self._marked = _marked(text)
        self._regex = re.compile(_regex(text), re.DOTALL)

    def finds(self, path: str) -> bool:
        """Whether it finds a file; those hidden only where it says so itself."""
        if self._regex.fullmatch(path) is None or _marked(path) != self._marked:
            return False
        name = posixpath.basename(path)
        return name not in _PASSED_OVER or name == self._last


def _named(data_files: Any) -> Iterator[str]:
    """Every pattern, in whatever form: a text, a list of texts or of splits with paths, or a mapping of splits."""
    if isinstance(data_files, str):
        yield from () if data_files in _NULL else (data_files,)
    elif isinstance(data_files, dict):
        for one in [data_files["path"]] if "path" in data_files and "split" in data_files else data_files.values():
            yield from _named(one)
    elif isinstance(data_files, list):
        for one in data_files:
            yield from _named(one)


def _within(folder: str, pattern: str) -> str:
    """A pattern, from the top of the data set."""
    return posixpath.normpath(posixpath.join("/", folder, pattern)).lstrip("/")


def _marked(path: str) -> tuple[int, int]:
    """How many of its parts are hidden, and how many of its folders begin with two underscores."""
    parts = path.split("/")
    return sum(part.startswith(".") for part in parts), sum(part.startswith("__") for part in parts[:-1])


def _regex(pattern: str) -> str:
    parts = pattern.split("/")
    found = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            found += ".*" if last else "(?:.+/)?"
        else:
            found += (_regex_of_name(part) if part != "*" else "[^/]+") + ("" if last else "/")
    return found


def _regex_of_name(part: str) -> str:
    found, place = "", 0
    for match in _MAGIC.finditer(part):
        found += re.escape(part[place : match.start()])
        place = match.end()
        if match[1] is None:
            # Older releases of fsspec let two stars within a name stand for folders as well.
            found += "[^/]" if match[0] == "?" else "[^/]*" if match[0] == "*" else ".*"
            continue
        chars = _class(match[1].removeprefix("!"))
        if match[1].startswith("!"):
            found += f"[^/{chars}]"
        else:
            found += f"[{chars}]" if chars else "(?!)"
    return found + re.escape(part[place:])


def _class(chars: str) -> str:
    """What stands between brackets, where ranges alone have a meaning; those that run backwards are empty."""
    kept = re.sub(r"(.)-(.)", lambda one: one[0] if one[1] <= one[2] else "", chars, flags=re.DOTALL)
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", kept)
