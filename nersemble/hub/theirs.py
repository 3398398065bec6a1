"""Which files of a commit are of whom: those below ``<config>/<id>/``, of configs that this package made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ..errors import PushError
from ..prepare.plans import PLAN_FILE
from .card import configs_of

CARD = "README.md"
File = TypeVar("File")
#: A shard as this package lays it out.
_SHARD = re.compile(r"([^/]+)/\d{3,}/[^/]+-\d{6,}\.parquet")


def is_shard(path: str) -> bool:
    """Whether a file is called as this package calls shards."""
    return _SHARD.fullmatch(path) is not None


def shards_in(files: Mapping[str, File], participants: tuple[int, ...]) -> dict[str, File]:
    """Shards of these participants in a commit, by path: what can be told where nothing of it can be read."""
    return {path: file for path, file in _below(files, participants).items() if is_shard(path)}


def configs_in(paths: Iterable[str], read: Callable[[str], bytes], among: set[str] | None = None) -> set[str]:
    """The configs of this package in a commit: with shards as it lays them out, a section of its card, or a plan.

    Args:
        paths: All files.
        read: Gives the content of one.
        among: Look at these folders alone; nothing is read that need not be.
    """
    paths = set(paths)
    folders = {path.partition("/")[0] for path in paths if "/" in path}
    open_ones = folders if among is None else folders & among
    found = {match[1] for match in map(_SHARD.fullmatch, paths) if match is not None} & open_ones
    if CARD in paths and (among is None or open_ones - found):
        # A push that was not finished has a section before it has a plan, and perhaps before it has shards.
        sections = set(_sections(read(CARD)))
        found |= sections if among is None else sections & open_ones
    planned = {folder for folder in open_ones - found if f"{folder}/{PLAN_FILE}" in paths}
    return found | {folder for folder in planned if _is_plan(read(f"{folder}/{PLAN_FILE}"))}


def theirs_in(
    files: Mapping[str, File], participants: tuple[int, ...], read: Callable[[str], bytes]
) -> dict[str, File]:
    """All files of these participants in a commit, shards or not, by path."""
    below = _below(files, participants)
    if not below:
        return {}
    configs = configs_in(files, read, {path.partition("/")[0] for path in below})
    return {path: file for path, file in below.items() if path.partition("/")[0] in configs}


def _below(files: Mapping[str, File], participants: tuple[int, ...]) -> dict[str, File]:
    """The files in folders that are called like these participants, in whatever folder."""
    folders = {f"{participant:03d}" for participant in participants}
    return {path: file for path, file in files.items() if path.count("/") > 1 and path.split("/")[1] in folders}


def _sections(card: bytes) -> list[str]:
    try:
        return configs_of(card.decode("utf-8", "replace"))
    except PushError:  # its YAML is broken, as that of an old commit may be
        return []


def _is_plan(data: bytes) -> bool:
    """Whether this package, perhaps a newer one, wrote a ``plan.json``: others call files so as well."""
    try:
        held = json.loads(data)
    except ValueError:
        return False
    return isinstance(held, dict) and {"format", "config", "package", "units"} <= held.keys()
