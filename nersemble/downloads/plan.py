"""What a download is to fetch: the selected files, less those that are there."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..access import AccessURL, find_access
from ..catalog import Catalog
from ..catalog_cache import published_catalog
from ..errors import SelectionError
from ..folder import read_folder_catalog
from ..layout import AssetPath
from ..selection import Selection, parse_config_name, select
from ..transport.part_file import list_parts
from ..written import switch_of
from .assets import NAMES, check_folder, list_files, parse_assets, parts_folder
from .estimate import Estimate, SizeModel
from .record import Record
from .report import DownloadReport, FileEvent, Progress

#: Files whose size is asked for to estimate the others.
SAMPLES = 128


@dataclass(frozen=True)
class Counts:
    """Numbers of selected files by what they are of; files that are not of a camera, say, are counted in the others."""

    participants: dict[str, int]
    sequences: dict[str, int]
    cameras: dict[str, int]
    assets: dict[str, int]


@dataclass
class Plan:
    """A download that can be looked at before it is run.

    Attributes:
        folder: Where the files go, absolute.
        files: All files asked for.
        done: Those that are there, whole.
        unchecked: Those that are there and whose right size is not known yet; ``run`` asks the server for it.
        todo: Those to fetch.
        replaced: Those to fetch although a file is there: one of another length, a damaged one, or any if forced.
        partial: Bytes that are held of files to fetch.
        absent: Files that the server did not have within the last day; they are not asked for.
        root: Where they come from.
        record: What is remembered of the folder.
        request: The selection and the assets that this is, as the record keeps them; None if it is neither.
    """

    folder: Path
    files: list[AssetPath]
    root: AccessURL | str
    record: Record
    request: tuple[str, str] | None = None
    done: list[AssetPath] = field(default_factory=list)
    unchecked: list[AssetPath] = field(default_factory=list)
    todo: list[AssetPath] = field(default_factory=list)
    replaced: set[AssetPath] = field(default_factory=set)
    partial: dict[AssetPath, int] = field(default_factory=dict)
    absent: list[AssetPath] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """What the record calls the server by."""
        return self.root[:8] if isinstance(self.root, str) else self.root.tag(self.record.salt)

    @property
    def free_bytes(self) -> int:
        """Free space of the disk that the folder is on, in bytes."""
        place = self.folder
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def counts(self) -> Counts:
        """How many of the files asked for belong to each participant, sequence, camera and asset."""
        tallies = [
            Counter(f"{asset.participant:03d}" for asset in self.files if asset.participant is not None),
            Counter(asset.sequence for asset in self.files if asset.sequence is not None),
            Counter(asset.camera for asset in self.files if asset.camera is not None),
            Counter(NAMES[asset.kind] for asset in self.files),
        ]
        return Counts(*(dict(tally) for tally in tallies))

    def estimate(self) -> Estimate:
        """Bytes that are to come."""
        return SizeModel(self.record.sizes).total(self.todo, self.partial)

    def refine(self, samples: int = SAMPLES) -> Estimate:
        """Ask the server for the sizes of some files, remember them, and estimate anew.

        Raises:
            AccessError, TransportError: If it does not answer.
        """
        from .probe import probe_sizes

        probe_sizes(self, samples)
        return self.estimate()

    def run(
        self,
        *,
        workers: int = 16,
        max_rate: float | None = None,
        patience: float | None = None,
        watch: Callable[[Progress], object] | None = None,
        on_file: Callable[[FileEvent], object] | None = None,
    ) -> DownloadReport:
        """Fetch what is to fetch.

        Args:
            workers: Files, and so connections, at once; 1 to 64.
            max_rate: Bytes a second of all of them together; None for no limit.
            patience: How long a server that was reached may be out of reach, in seconds, before files fail for it; two
                minutes by default.
            watch: Called about ten times a second, and at the end, from the calling thread.
            on_file: Called once for each file, from the calling thread.

        Returns:
            What came of it.  Files that could not be fetched are in it, not raised.

        Raises:
            StorageError: If the disk has too little room, before anything is fetched.
            KeyboardInterrupt: Within a second of Ctrl-C; what has come is kept.
        """
        from .run import Run

        return Run(self, workers, max_rate, patience, watch, on_file).go()


def plan_download(
    selection: str | Selection | None = None,
    folder: str | os.PathLike[str] = "",
    *,
    participants: Any = None,
    sequences: Any = None,
    cameras: Any = None,
    assets: Any = None,
    force: bool = False,
    recheck: bool = False,
) -> Plan:
    """Find out what a download would fetch; only the catalogue is asked for, and nothing is written.

    Args:
        selection: A config name such as ``"participant_240"`` or ``"all"``; or leave it out and use the options.
        folder: Where to, in the published layout; files that are there already are kept.
        participants: An id, a range ``"50-60"``, a comma-separated string, or a list of these; all by default.
        sequences: A name, a pattern such as ``"EMO-*"``, or a list of these; all by default.
        cameras: A serial or a list of these; all 16 by default.
        assets: ``images``, ``backgrounds``, ``calibration``, ``color_calibration``, ``metadata_participants``,
            ``metadata_sequences``, ``metadata`` (both tables), or a list of these; all by default.
        force: Fetch files again that are there.
        recheck: Ask again for files that the server did not have within the last day.

    Raises:
        AccessError: If there is no access URL, or the server refuses it.
        SelectionError: If something named does not exist.
    """
    place = check_folder(folder)
    root = find_access()
    catalog = catalog_of(root)
    chosen = choose(catalog, selection, participants, sequences, cameras)
    names = parse_assets(assets)
    force, recheck = switch_of(force, "force"), switch_of(recheck, "recheck")
    plan = plan_files(list_files(catalog, chosen, names), place, root, force=force, recheck=recheck)
    plan.request = (chosen.name_without_sequences if not chosen.sequences_of else chosen.name, ",".join(names))
    return plan


def plan_files(
    files: Sequence[AssetPath],
    folder: Path,
    root: AccessURL | str | None = None,
    *,
    force: bool = False,
    recheck: bool = False,
) -> Plan:
    """Plan the download of given files, by default from where the access URL leads."""
    plan = Plan(folder, list(files), find_access() if root is None else root, Record.open(folder))
    record, tag = plan.record, plan.tag
    for asset, size in zip(plan.files, _sizes_on_disk(folder, plan.files), strict=True):
        path = str(asset)
        known = record.sizes.get(path)
        if size is None and not (force or recheck) and record.gone(path, tag):
            plan.absent.append(asset)
        elif size is None or force or (known is not None and known != size) or record.bad(path):
            plan.todo.append(asset)
            if size is not None:
                plan.replaced.add(asset)
        elif known is None or asset.kind in ("participants", "sequences"):  # tables grow
            plan.unchecked.append(asset)
        else:
            plan.done.append(asset)
    _find_parts(plan)
    return plan


def choose(catalog: Catalog, selection: Any, participants: Any, sequences: Any, cameras: Any) -> Selection:
    """Resolve what a caller wrote, in either form.

    Raises:
        SelectionError: If both forms name the same, or something does not exist.
    """
    if isinstance(selection, Selection):
        return selection
    options = {"participants": participants, "sequences": sequences, "cameras": cameras}
    if selection is not None:
        if not isinstance(selection, str):
            raise SelectionError(f"A selection is a config name such as 'participant_240', not {selection!r}.")
        for name, written in parse_config_name(selection).items():
            if options[name] is not None:
                raise SelectionError(f"The selection {selection!r} and {name}= both name {name}. Give one.")
            options[name] = written
    return select(catalog, **options)


def catalog_of(root: AccessURL | str) -> Catalog:
    """The catalogue of a server, of at most a day ago, or of a folder."""
    if isinstance(root, str):
        return read_folder_catalog(Path(root))
    return read_folder_catalog(Path(root.reveal())) if root.is_folder else published_catalog()


def _sizes_on_disk(folder: Path, files: Iterable[AssetPath]) -> Iterable[int | None]:
    """Length of each file, None for one that is not there; each directory is read once."""
    seen: dict[str, dict[str, int]] = {}
    root = str(folder)
    for asset in files:
        home, _, name = str(asset).rpartition("/")
        if home not in seen:
            seen[home] = _directory(f"{root}/{home}")
        yield seen[home].get(name)


def _directory(path: str) -> dict[str, int]:
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError:
        return {}


def _find_parts(plan: Plan) -> None:
    homes: dict[Path, list[AssetPath]] = defaultdict(list)
    for asset in plan.todo:
        homes[parts_folder(plan.folder, asset)].append(asset)
    for home, assets in homes.items():
        held: dict[str, int] = {}
        for part in list_parts(home):
            held[part.key] = max(held.get(part.key, 0), part.size)
        if held:
            prefix = "" if home == plan.folder else f"{home.name}/"
            for asset in assets:
                key = str(asset).removeprefix(prefix).replace("/", "~")
                if held.get(key):
                    plan.partial[asset] = held[key]
