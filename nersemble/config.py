"""``NersembleConfig``: what a call of ``load_dataset("nersemble", ...)`` asks for, checked and normalised."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

import datasets

from .access import root_name
from .catalog import Catalog
from .errors import AssetNotFoundError, SelectionError
from .features import VideoFrame, check_color_order, check_resize
from .filesystem import CATALOG_LIFE, NersembleFileSystem, filesystem
from .frames import RESIZE_FIRST
from .layout import AssetPath, canonical_sequence
from .masking import NOT_REPEATED, has_url, is_bare_url
from .metadata import metadata_digest
from .rows import VIEWS
from .selection import Selection, parse_config_name, select
from .shards import list_shards
from .timesteps import Timesteps, parse_timesteps
from .written import switch_of

#: Counts up when rows or decoded frames of an equal config would come out differently.
ROWS_VERSION = 3
LONGEST_NAME = 80
FETCHES = ("download", "on_read")
ON_MISSING = ("warn", "raise")
FRAME_VIEWS = ("frame", "timestep")
DEFAULT_NAME = "default"
NO_DATA_FILES = "nersemble takes no data_files. Name a folder with data_dir=..., or select by config."


@dataclass
class NersembleConfig(datasets.BuilderConfig):
    """A selection of the data set and a view on it.

    Args:
        name: A config name such as ``participant_240`` or ``participant_50-60__camera_222200037``, or ``all``.
        data_dir: A folder in the published layout to read instead of the server.
        participants: An id, a range ``"50-60"``, or a list of these; all by default.
        sequences: A name, a glob such as ``"EMO-*"``, or a list of these; all by default.
        cameras: A serial or a list of these; all 16 by default.
        view: ``frame`` (a row a frame), ``timestep`` (a row a moment with its cameras), ``video``, ``background`` or
            ``participant``.
        timesteps: ``"start:stop:step"``, or a list of 0-based frame numbers; all by default.
        scale: Resize frames by this factor while decoding; ``intrinsics`` are scaled to match.
        size: Resize frames to this (width, height) instead.
        color_correction: Apply each camera's colour-correction matrix while decoding.
        color_order: ``resize_first``, as the official kit does, or ``correct_first``, where both are asked for.
        fetch: ``download`` fetches the videos first; ``on_read`` fetches frames when they are read.
        on_missing: ``warn`` skips listed files that are not there and names them in one warning; ``raise`` raises.
    """

    name: str = DEFAULT_NAME
    data_dir: str | None = None
    participants: Any = None
    sequences: Any = None
    cameras: Any = None
    view: str = "frame"
    timesteps: Any = None
    scale: float | None = None
    size: Any = None
    color_correction: bool = False
    color_order: str = RESIZE_FIRST
    fetch: str = "download"
    on_missing: str = "warn"

    def __post_init__(self) -> None:
        for option, known in (("view", VIEWS), ("fetch", FETCHES), ("on_missing", ON_MISSING)):
            if getattr(self, option) not in known:
                raise SelectionError(f"{option} is one of {', '.join(known)}, not {getattr(self, option)!r}.")
        if self.data_files is not None:
            raise SelectionError(NO_DATA_FILES)
        self.data_dir = _folder(self.data_dir)
        self._read_name()
        self.timesteps: Timesteps = parse_timesteps(self.timesteps)
        self.scale, self.size = check_resize(self.scale, self.size)
        self.color_correction = switch_of(self.color_correction, "color_correction")
        check_color_order(self.color_order)
        self._selection: Selection | None = None
        if self.view not in FRAME_VIEWS:
            given = [name for name, used in self._frame_options().items() if used]
            if given:
                raise SelectionError(f"{' and '.join(given)} apply to frames, not to the view {self.view!r}.")
        super().__post_init__()

    def _frame_options(self) -> dict[str, bool]:
        resized = {"scale": self.scale is not None, "size": self.size is not None}
        colour = {"color_correction": self.color_correction, "color_order": self.color_order != RESIZE_FIRST}
        return {"timesteps": self.timesteps != Timesteps(), **resized, **colour}

    def _corrects_first(self) -> bool:
        """Whether the order of resizing and correcting changes pictures, and is not the usual one."""
        resizes = self.scale is not None or self.size is not None
        return self.color_correction and resizes and self.color_order != RESIZE_FIRST

    def _read_name(self) -> None:
        if self.name in (None, DEFAULT_NAME):
            self.name = DEFAULT_NAME
            if self.view != "participant" and self.participants is self.sequences is self.cameras is None:
                raise SelectionError(
                    'Name what to load, for example load_dataset("nersemble", "participant_240"), or options such as '
                    'participants=[240]. "all" is everything: 1.5 TB if downloaded, so best with streaming=True.'
                )
            return
        if not isinstance(self.name, str):
            raise SelectionError(f"A config is named by a string, such as participant_240, not by {self.name!r}.")
        if "/" not in self.name and set(self.name) & set("*?[]<>:\\|"):
            raise SelectionError(
                f"The config name {self.name!r} names a folder on disk, so it cannot hold patterns. Give them as an "
                'option: sequences="EMO-*".'
            )
        for option, written in parse_config_name(self.name).items():
            if getattr(self, option) is not None:
                raise SelectionError(f"The config {self.name!r} and the option {option}= both name {option}. Give one.")
            setattr(self, option, written)

    @property
    def root_name(self) -> str:
        """What tells the files that this config reads from those of another root."""
        return root_name(self.data_dir)

    @property
    def frame(self) -> VideoFrame:
        """The feature of this config's frames."""
        order = self.color_order if self._corrects_first() else RESIZE_FIRST
        return VideoFrame(scale=self.scale, size=self.size, color_correction=self.color_correction, color_order=order)

    @property
    def filesystem(self) -> NersembleFileSystem:
        """The filesystem this config reads: of its folder, or of the access URL."""
        return filesystem(self.data_dir)

    @property
    def selection(self) -> Selection:
        """The selection, resolved against the catalogue, which is fetched once."""
        if self._selection is None:
            self._selection = self._resolve(self.filesystem.catalog())
        return self._selection

    def _resolve(self, catalog: Catalog) -> Selection:
        return select(catalog, self.participants, self.sequences, self.cameras)

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
        """Name the cache folder: equal selections share one however written, different ones never do."""
        selection, name = self.selection, self.selection.name
        asked: dict[str, Any] = {
            "rows": ROWS_VERSION,
            "root": self.root_name,
            "contents": self._contents(),
            "view": self.view,
            "on_missing": self.on_missing,
        }
        if self.view in ("background", "participant"):
            name = selection.name_without_sequences
            asked["participants"] = selection.participants
        else:
            asked["pairs"] = [[p, list(map(canonical_sequence, names))] for p, names in selection.sequences_of]
        if self.view != "participant":
            asked |= {"cameras": selection.cameras, "fetch": self.fetch}
        if self.view in FRAME_VIEWS:
            asked |= {"timesteps": str(self.timesteps), "scale": self.scale, "size": self.size}
            asked["color_correction"] = self.color_correction
            if self._corrects_first():
                asked["color_order"] = self.color_order
        if custom_features is not None:
            asked["features"] = json.dumps(custom_features.to_dict(), sort_keys=True, default=str)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        if len(name) > LONGEST_NAME:
            name = name[:LONGEST_NAME].rstrip("-_,+")
        return f"{name}-{digest}"

    def _contents(self) -> str:
        """What tells a folder that was added to, or tables that were edited, from what they were before."""
        if self.view == "participant":
            return metadata_digest(self.filesystem)
        folder = self.filesystem.local_folder
        if folder is None:
            return ""
        backgrounds = self.filesystem.catalog(max_age=CATALOG_LIFE).backgrounds
        assets = {asset for shard in list_shards(self.selection, self.view, backgrounds) for asset in shard.assets}
        assets |= {AssetPath(kind, a.participant) for a in assets for kind in ("camera_params", "color_calibration")}
        digest = hashlib.sha256()
        for asset in sorted(map(str, assets)):
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(folder, asset))
                digest.update(f"{asset} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def refuse_urls(**given: Any) -> None:
    """Refuse a URL of the web as an argument that is handed on to `datasets`, which would show it, or ask for it.

    Raises:
        SelectionError: That names the argument alone.
    """
    for name, value in given.items():
        if value is not None and has_url(str(value)):
            raise SelectionError(
                f"{name}= cannot be a URL of the web. The access URL is not passed here: set it with `nersemble "
                "login`, or in NERSEMBLE_DATA_URL."
            )


def _folder(data_dir: Any) -> str | None:
    if data_dir is None:
        return None
    if not isinstance(data_dir, (str, os.PathLike)) or not os.fspath(data_dir):
        raise SelectionError(f"data_dir is the path of a folder, not {data_dir!r}.")
    if "://" in str(data_dir):
        raise SelectionError(
            "data_dir is a folder on disk. The access URL is not passed here, where it would be stored: set it with "
            "`nersemble login`, or in NERSEMBLE_DATA_URL."
        )
    if is_bare_url(str(data_dir)):
        raise AssetNotFoundError(f"There is no folder of the name in data_dir, {NOT_REPEATED}")
    return os.path.realpath(os.path.expanduser(os.fspath(data_dir)))


__all__ = ["NersembleConfig", "refuse_urls"]
