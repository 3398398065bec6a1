"""What of a selection a folder holds: complete, partial, missing on the server, still to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..access import AccessURL, find_access
from ..catalog import Catalog
from ..errors import AccessError, AssetNotFoundError, SelectionError, TransportError
from ..folder import read_folder_catalog
from ..layout import AssetPath
from ..selection import Selection, parse_config_name, select
from .assets import existing_folder, list_files, parse_assets
from .holdings import list_holdings
from .plan import Plan, catalog_of, choose, plan_files
from .record import Record


@dataclass
class Status:
    """What a folder holds.

    Attributes:
        folder: Which.
        complete: Files that are there.
        partial: Bytes held of files that were begun.
        missing: Files that the server did not have within the last day.
        to_do: Files to fetch, those begun included.
        not_selected: Files that are there outside the selection.
        bytes: Bytes on disk, of all of these.
        dropped: What was asked for before and does not exist any more, such as ``participant_240``, and why.
        offline: Why the published catalogue was not used, "" if it was.
    """

    folder: Path
    complete: list[AssetPath] = field(default_factory=list)
    partial: dict[AssetPath, int] = field(default_factory=dict)
    missing: list[AssetPath] = field(default_factory=list)
    to_do: list[AssetPath] = field(default_factory=list)
    not_selected: list[AssetPath] = field(default_factory=list)
    bytes: int = 0
    offline: str = ""
    dropped: dict[str, str] = field(default_factory=dict)


def folder_status(
    folder: str | os.PathLike[str],
    *,
    participants: Any = None,
    sequences: Any = None,
    cameras: Any = None,
    assets: Any = None,
) -> Status:
    """Compare a folder with a selection.  No file is asked for, and nothing is written.

    Args:
        folder: A folder in the published layout.
        participants: As in ``plan_download``, and so the others; without any of them what was asked for in this folder
            before, all of it together, or else everything.

    Raises:
        AssetNotFoundError: If there is no such folder.
        SelectionError: If something named does not exist.
    """
    place = existing_folder(folder)
    status = Status(place)
    root, catalog = _catalog(place, status)
    given = any(option is not None for option in (participants, sequences, cameras, assets))
    requests = {} if given else Record.open(place).requests
    files: dict[AssetPath, None] = {}
    for name, names in requests:
        left = _what_is_left(catalog, name, status.dropped)
        if left is not None:
            files.update(dict.fromkeys(list_files(catalog, left, parse_assets(names))))
    if not requests:
        selection = choose(catalog, None, participants, sequences, cameras)
        files.update(dict.fromkeys(list_files(catalog, selection, parse_assets(assets))))
    _fill(status, plan_files(list(files), place, root))
    return status


def _what_is_left(catalog: Catalog, name: str, dropped: dict[str, str]) -> Selection | None:
    """A selection that was asked for once, without what was withdrawn or renamed since; None if nothing is left.

    Args:
        catalog: What is published now.
        name: The selection's config name.
        dropped: Is told what was left out, and why.
    """
    try:
        parts = parse_config_name(name)
    except SelectionError as error:
        dropped[name] = str(error)
        return None
    left: dict[str, list[str]] = {}
    for kind, written in parts.items():
        problems = {word: _problem(catalog, kind, word) for word in _words(written)}
        dropped.update({f"{kind.removesuffix('s')}_{word}": why for word, why in problems.items() if why})
        left[kind] = [word for word, why in problems.items() if not why]
    if not all(left.values()):
        return None
    try:
        return select(catalog, **left)
    except SelectionError as error:  # each of it exists, but nobody has all of it any more
        dropped[name] = str(error)
        return None


def _words(written: str) -> Iterator[str]:
    """The words of a config name's part, each of which existed: ranges are of ids that followed one another."""
    for word in written.split(","):
        first, dash, last = word.partition("-")
        if dash and first.isdecimal() and last.isdecimal():
            yield from map(str, range(int(first), int(last) + 1))
        else:
            yield word


def _problem(catalog: Catalog, kind: str, word: str) -> str:
    """Why something cannot be selected any more, "" if it can."""
    try:
        select(catalog, **{kind: word})
    except SelectionError as error:
        return str(error)
    return ""


def _catalog(place: Path, status: Status) -> tuple[AccessURL | str, Catalog]:
    """The published catalogue, else the folder's own."""
    problem: AccessError | TransportError
    try:
        root = find_access()
        return root, catalog_of(root)
    except (AccessError, TransportError) as error:
        problem = error
    try:
        catalog = read_folder_catalog(place)
    except AssetNotFoundError:
        raise problem from None
    status.offline = str(problem)
    return str(place), catalog


def _fill(status: Status, plan: Plan) -> None:
    replaced = plan.replaced
    status.complete = [*plan.done, *plan.unchecked]
    status.partial = {**dict.fromkeys(replaced, 0), **plan.partial}
    status.partial |= {asset: _size(plan.folder, asset) for asset in replaced if not plan.partial.get(asset)}
    status.missing = plan.absent
    status.to_do = plan.todo
    selected = set(plan.files)
    for asset, size in list_holdings(plan.folder).files.items():
        status.bytes += size
        if asset not in selected:
            status.not_selected.append(asset)
    status.bytes += sum(size for asset, size in plan.partial.items())


def _size(folder: Path, asset: AssetPath) -> int:
    try:
        return (folder / str(asset)).stat().st_size
    except OSError:
        return 0
