"""What the builder reads: the listed files, shard by shard, less those that are not there."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .capture import Capture, VideoFacts
from .errors import AssetNotFoundError, MissingAssetWarning, SelectionError
from .layout import AssetPath
from .selection import Selection
from .timesteps import Timesteps

#: How many missing files a message names.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Shard:
    """What one table covers: one video or all those of a moment, all stills of a participant, or all participants.

    Attributes:
        assets: Its files.
        facts: What the headers of its videos say; None if they were not read.
    """

    assets: tuple[AssetPath, ...]
    facts: tuple[VideoFacts, ...] | None = None


def list_shards(selection: Selection, view: str, backgrounds: Collection[int]) -> list[Shard]:
    """The shards of a view, as the catalogue lists them.

    Raises:
        SelectionError: If there are none.
    """
    cameras = selection.cameras
    if view == "participant":
        return [Shard(())]
    if view == "background":
        shards = [
            Shard(tuple(AssetPath("background", p, camera=serial) for serial in cameras))
            for p in selection.participants
            if p in backgrounds
        ]
    else:
        moments = [(p, name) for p, names in selection.sequences_of for name in names]
        shards = [Shard(tuple(AssetPath("video", p, name, serial) for serial in cameras)) for p, name in moments]
        if view != "timestep":
            shards = [Shard((asset,)) for shard in shards for asset in shard.assets]
    if not shards:
        what = "background stills" if view == "background" else "sequences"
        raise SelectionError(f"The catalogue lists no {what} of the selected participants.")
    return shards


def examine(
    capture: Capture, shards: Sequence[Shard], *, headers: bool, calibration: bool
) -> tuple[list[Shard], list[AssetPath]]:
    """Look for the files of shards.

    Args:
        capture: Where they lie.
        shards: What is listed.
        headers: Read the header of every video.
        calibration: Read the calibration of every camera that has a file, and ask a server for every file.

    Returns:
        The shards of what is there, with facts if headers were read, and the files that are not there.

    Raises:
        FrameError, CalibrationError: If a file is there and cannot be used.
    """
    assets = [asset for shard in shards for asset in shard.assets]
    missing = capture.missing(assets, ask=calibration and not headers)
    gone = set(missing)
    facts: dict[AssetPath, VideoFacts] = {}
    if headers:
        readable = [asset for asset in assets if asset not in gone]
        for asset, fact in zip(readable, capture.facts_of(readable), strict=True):
            if fact is None:
                missing.append(asset)
                gone.add(asset)
            else:
                facts[asset] = fact
    if calibration:
        uncalibrated = {}
        for participant, serial in sorted({(a.participant or 0, a.camera or "") for a in assets if a not in gone}):
            if capture.camera_facts(participant, serial) is None:
                uncalibrated[participant] = capture.missing_calibration(participant)
        missing += [asset for asset in uncalibrated.values() if asset is not None]
        gone |= {asset for asset in assets if asset.participant in uncalibrated}
    left = [tuple(asset for asset in shard.assets if asset not in gone) for shard in shards]
    found = [Shard(held, tuple(facts[asset] for asset in held) if headers else None) for held in left if held]
    return found, missing


def report_missing(missing: Sequence[AssetPath], on_missing: str, *, nothing_left: bool = False) -> None:
    """Name missing files in one warning, or in an error if that was asked for or nothing is left.

    Raises:
        AssetNotFoundError: If ``on_missing`` is ``raise``, or nothing is left.
    """
    if not missing:
        return
    named = ", ".join(asset.uri for asset in missing[:NAMED])
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    files = "file is" if len(missing) == 1 else "files are"
    message = f"{len(missing)} listed {files} not there: {named}{more}."
    if nothing_left:
        raise AssetNotFoundError(f"{message} That leaves nothing of the selection; select something else.")
    if on_missing == "raise":
        raise AssetNotFoundError(f'{message} Skip what is missing with on_missing="warn", or select something else.')
    warnings.warn(MissingAssetWarning(f"{message} What needs them is left out."), stacklevel=2)


def refuse_no_frames(shards: Sequence[Shard], timesteps: Timesteps) -> None:
    """Raise if no video of shards with facts has any of the wanted timesteps.

    Raises:
        SelectionError: Then, with the length of the longest.
    """
    most = max(fact.num_frames for shard in shards for fact in shard.facts or ())
    if not len(timesteps.within(most)):
        raise SelectionError(
            f"timesteps {timesteps} lie beyond every selected video: the longest has {most} frames, 0 to {most - 1}."
        )
