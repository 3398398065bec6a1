"""``plan``: works out what is to be prepared.

It reads the header of every selected video, so that every row is known before the first picture is decoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ..camera import scaled_size
from ..capture import Capture, forget_calibrations
from ..errors import AssetNotFoundError, SelectionError
from ..filesystem import filesystem
from ..layout import AssetPath
from ..masking import without_urls
from ..selection import parse_config_name, select
from ..shards import Shard, list_shards
from ..timesteps import Timesteps
from ..written import index_of, switch_of
from .encode import encoder_for
from .fingerprint import describe_stage
from .headers import Headers
from .job import cache_folder
from .names import check_config, config_name_of
from .options import PrepareOptions, check_options, check_written_size
from .plans import PreparePlan
from .stages import Stage, check_stages
from .unit import Unit, UnitVideo, cut

#: Moments of a unit, about.
CHUNK = 96
#: What names nothing, though it can be read as a list of numbers.
_BYTES = (bytes, bytearray, memoryview)


def plan(
    config: str | None = None,
    *,
    participants: Any = None,
    sequences: Any = None,
    cameras: Any = None,
    stages: Sequence[Stage] | None = None,
    config_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    from_cache: bool = False,
    on_missing: str = "warn",
    without: Any = (),
    chunk: int = CHUNK,
    **options: Any,
) -> PreparePlan:
    """Plan what is to be prepared.

    Args:
        config: A config name such as ``"participant_240"``; or leave it out and use the options.
        participants: An id, a range ``"50-60"``, a comma-separated string, or a list of these; all by default.
        sequences: A name, a pattern such as ``"EMO-*"``, or a list of these; all by default.
        cameras: A serial or a list of these; all 16 by default.
        stages: Functions that add columns, marked by ``nersemble.prepare.stage``.
        config_name: Name of the config that is made; by default it says which participants there are.
        data_dir: A folder in the published layout to read; by default what the access URL names.
        from_cache: Read what ``load_dataset`` downloaded into its cache.
        on_missing: ``warn`` leaves out listed files that are not there, ``raise`` raises.
        without: Videos to leave out, since they are damaged, say: published paths, such as
            ``"240/sequences/EXP-1-head/images/cam_222200037.mp4"``, as errors name them.
        chunk: Moments of a unit of work, about; units are cut at keyframes.
        options: How pictures are given: ``timesteps`` (such as ``"0::3"``), ``scale`` or ``size``, with
            ``color_correction`` and ``color_order``, ``image_format`` (``jpeg``, ``png``, ``webp``), ``quality``; and
            what a row is: ``rows`` of ``timestep``, ``frame`` or ``video``, with ``gop`` and ``crf``; as the attributes
            of ``PrepareOptions``.

    Raises:
        SelectionError: If something named does not exist, or an option is none.
        AssetNotFoundError: If nothing of the selection is there.
        FrameError, CalibrationError: If a selected file is there and cannot be used.
    """
    unknown = sorted(options.keys() - {one.name for one in fields(PrepareOptions)})
    if unknown:
        raise TypeError(f"plan() got an unexpected keyword argument {without_urls(repr(unknown[0]))}")
    checked = check_options(**options)
    moments, from_cache = _moments(chunk), switch_of(from_cache, "from_cache")
    if on_missing not in ("warn", "raise"):
        raise SelectionError(f"on_missing is warn or raise, not {on_missing!r}.")
    written = _written(config, participants, sequences, cameras)
    functions = check_stages(stages)
    folder = source_folder(data_dir, from_cache)
    forget_calibrations()
    selection = select(filesystem(folder).catalog(), **written)
    capture = Capture(folder or filesystem().local_folder)
    left_out = _parse_without(without)
    headers = Headers(capture, on_missing, left_out, with_stills=bool(functions), corrects=checked.color_correction)
    units = _units(headers, list_shards(selection, "timestep", ()), checked.wanted, moments)
    check_sizes(units, checked)
    name = config_name_of(written["participants"], selection.name) if config_name is None else config_name
    return PreparePlan(
        config=check_config(name),
        options=checked,
        units=units,
        selected={name: _said(value) for name, value in written.items()} | _told_without(left_out),
        encoder=encoder_for(checked),
        stages_told=tuple(map(describe_stage, functions)),
        stages=functions,
        data_dir=None if data_dir is None else folder,
        from_cache=from_cache,
        left_out=left_out,
    )


def _moments(chunk: Any) -> int:
    moments = index_of(chunk)
    if moments is None or moments < 1:
        raise SelectionError(f"chunk is a number of moments, 1 or more, not {chunk!r}.")
    return moments


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _listed(value: Any) -> Any:
    """What selects as a flat list, which can be read twice, if it is any iterable; sets in one order."""
    if value is None or isinstance(value, (str, *_BYTES)) or not isinstance(value, Iterable):
        return value
    parts = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
    flat: list[Any] = []
    for part in map(_listed, parts):
        flat += part if isinstance(part, list) else [part]
    return flat


def _written(config: str | None, participants: Any, sequences: Any, cameras: Any) -> dict[str, Any]:
    given = {"participants": participants, "sequences": sequences, "cameras": cameras}
    given = {name: _listed(value) for name, value in given.items()}
    if config is None:
        if all(value is None for value in given.values()):
            raise SelectionError(
                'Name what to prepare: participants="50-60" (--participant 50-60), say, or participants="all".'
            )
        return given
    for option, written in parse_config_name(config).items():
        if given[option] is not None:
            raise SelectionError(f"The config {config!r} and the option {option}= both name {option}. Give one.")
        given[option] = written
    return given


def source_folder(data_dir: str | os.PathLike[str] | None, from_cache: bool) -> str | None:
    """The folder that videos are read from; None for what the access URL names.

    Raises:
        SelectionError: If both are given, or ``data_dir`` is a URL, or no path.
        AssetNotFoundError: If nothing was downloaded into the cache.
    """
    if data_dir is not None and from_cache:
        raise SelectionError("data_dir= and from_cache= both say where to read. Give one.")
    if from_cache:
        folder = str(cache_folder())
        if not os.path.isdir(folder):
            raise AssetNotFoundError(
                f"Nothing was downloaded into {folder} yet. load_dataset does so, or `nersemble download` into a "
                "folder of your own."
            )
        return folder
    if data_dir is None:
        return None
    place = os.fspath(data_dir) if isinstance(data_dir, (str, os.PathLike)) else None
    if not place or not isinstance(place, str):
        raise SelectionError(f"data_dir is the path of a folder, not {data_dir!r}.")
    if "://" in place:
        raise SelectionError(
            "data_dir is a folder on disk. The access URL is not passed here, where it would be stored: set it with "
            "`nersemble login`, or in NERSEMBLE_DATA_URL."
        )
    return os.path.realpath(os.path.expanduser(place))


def _parse_without(without: Any) -> frozenset[AssetPath]:
    """The videos to leave out.

    Raises:
        SelectionError: If something is no path of a video.
    """
    if not isinstance(without, (str, Iterable, type(None))):
        raise SelectionError(f"without is a list of paths of videos, not {without!r}.")
    given = without.split(",") if isinstance(without, str) else list(() if without is None else without)
    found = {str(path).strip(): AssetPath.parse(str(path).strip()) for path in given if str(path).strip()}
    for path, asset in found.items():
        if asset is None or asset.kind != "video":
            raise SelectionError(
                f"{path!r} is no path of a video, such as 240/sequences/EXP-1-head/images/cam_222200037.mp4."
            )
    return frozenset(asset for asset in found.values() if asset is not None)


def _told_without(left_out: frozenset[AssetPath]) -> dict[str, str]:
    """For the plan: how many, not which, since their names would outlive a participant who is deleted."""
    return {"without": f"{len(left_out)} videos" if len(left_out) != 1 else "1 video"} if left_out else {}


def _units(headers: Headers, shards: Sequence[Shard], wanted: Timesteps, chunk: int) -> tuple[Unit, ...]:
    """The units of a selection, in order."""
    headers.read([asset for shard in shards for asset in shard.assets])
    units: list[Unit] = []
    longest = 0
    for shard in shards:
        held = headers.take(shard.assets)
        most = max((header.facts.num_frames for _, header in held), default=0)
        longest = max(longest, most)
        timesteps = wanted.within(most)
        if len(timesteps):
            starts = cut([header.leads for _, header in held], timesteps, chunk)
            videos = tuple(headers.video(asset, header) for asset, header in held)
            first = shard.assets[0]
            for start, stop in zip(starts, [*starts[1:], int(timesteps[-1]) + 1], strict=True):
                units.append(_unit(first, start, stop, videos))
    if not units:
        raise SelectionError(
            f"timesteps {wanted} lie beyond every selected video: the longest has {longest} frames, 0 to {longest - 1}."
        )
    # As `datasets` loads their files, so that the rows of a plan are in one order everywhere.
    return tuple(sorted(units, key=lambda unit: unit.name))


def check_sizes(units: Sequence[Unit], options: PrepareOptions) -> None:
    """Check that the pictures can be written, and read again, whatever the scale.

    Raises:
        SelectionError: If they cannot.
    """
    if options.rows != "video":
        for full in {(video.facts.width, video.facts.height) for unit in units for video in unit.videos}:
            check_written_size(scaled_size(full, options.scale, options.size), options.image_format)


def _unit(asset: AssetPath, start: int, stop: int, videos: Sequence[UnitVideo]) -> Unit:
    """A unit, less the videos that end before it."""
    held = tuple(video for video in videos if video.facts.num_frames > start)
    return Unit(asset.participant or 0, asset.sequence or "", start, stop, held)
