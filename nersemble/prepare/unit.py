"""A unit of work: a stretch of a sequence with all its cameras, and what becomes one shard.

All cameras, so that a moment stays in one row.  Units are pure data: equal plans have equal units.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..capture import CameraFacts, VideoFacts
from ..layout import AssetPath, canonical_sequence
from ..timesteps import Timesteps

#: Counts up when the shard of an equal unit would come out differently.
UNIT_VERSION = 4


@dataclass(frozen=True)
class UnitVideo:
    """One camera's video of a unit, and what was found of it when the work was planned.

    Attributes:
        camera: Its serial.
        facts: What its header says.
        bytes: Length of the file.
        calibration: Digest of the camera's matrices.
        fingerprint: What tells the video from others of that length (``VideoDecoder.fingerprint``).
        background: Digest of the camera's still of the empty set, if stages see it; otherwise "".
    """

    camera: str
    facts: VideoFacts
    bytes: int = 0
    calibration: str = ""
    fingerprint: str = ""
    background: str = ""

    def as_list(self) -> list[Any]:
        """As JSON holds it."""
        told = [self.camera, *astuple(self.facts), self.bytes, self.calibration, self.fingerprint]
        return [*told, self.background] if self.background else told

    @classmethod
    def from_list(cls, held: list[Any]) -> UnitVideo:
        """Read back what ``as_list`` gave.

        Raises:
            ValueError, TypeError: If it is none.
        """
        camera, frames, width, height, fps, *rest = held
        if not all(type(number) is int and number > 0 for number in (frames, width, height)):
            raise ValueError(f"no video has {frames} frames of {width} x {height}")
        return cls(camera, VideoFacts(frames, width, height, fps), *rest)


@dataclass(frozen=True)
class Unit:
    """The frames of a sequence from ``start`` up to, not including, ``stop``, of all its cameras.

    Attributes:
        participant: Its id.
        sequence: The sequence as the server spells it.
        start: First timestep.
        stop: Timestep behind the last one.
        videos: Its cameras in rig order.
    """

    participant: int
    sequence: str
    start: int
    stop: int
    videos: tuple[UnitVideo, ...]

    @property
    def name(self) -> str:
        """Path of its shard below the folder of the config: ``"240/EXP-1-head-000000.parquet"``."""
        return f"{self.participant:03d}/{canonical_sequence(self.sequence)}-{self.start:06d}.parquet"

    def asset(self, video: UnitVideo) -> AssetPath:
        """The published file of one of its videos."""
        return AssetPath("video", self.participant, self.sequence, video.camera)

    def timesteps(self, wanted: Timesteps, num_frames: int) -> NDArray[np.int32]:
        """The wanted timesteps of a video of ``num_frames`` frames that lie in this unit, ascending, int32."""
        all_wanted = wanted.within(min(num_frames, self.stop))
        return all_wanted[all_wanted >= self.start]

    def rows(self, wanted: Timesteps, kind: str) -> list[tuple[int, str]]:
        """The rows of its shard, in order: (timestep, camera) each, the camera "" in rows of moments.

        A clip counts as one row, at its first timestep.
        """
        if kind == "timestep":
            most = max(video.facts.num_frames for video in self.videos)
            return [(int(timestep), "") for timestep in self.timesteps(wanted, most)]
        rows = []
        for video in self.videos:
            held = self.timesteps(wanted, video.facts.num_frames)
            rows += [(int(timestep), video.camera) for timestep in (held[:1] if kind == "video" else held)]
        return rows

    def pictures(self, wanted: Timesteps) -> int:
        """How many pictures it has."""
        return sum(len(self.timesteps(wanted, video.facts.num_frames)) for video in self.videos)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "participant": self.participant,
            "sequence": self.sequence,
            "start": self.start,
            "stop": self.stop,
            "videos": [video.as_list() for video in self.videos],
        }

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Unit:
        """Read back what ``as_dict`` gave.

        Raises:
            ValueError, TypeError, KeyError: If it is none.
        """
        videos = tuple(UnitVideo.from_list(video) for video in held["videos"])
        unit = cls(held["participant"], held["sequence"], held["start"], held["stop"], videos)
        numbers = (unit.participant, unit.start, unit.stop)
        if not all(type(number) is int for number in numbers) or not 0 <= unit.start < unit.stop or not videos:
            raise ValueError(f"no unit has these numbers: {numbers} and {len(videos)} videos")
        for video in videos:  # whose names become those of files
            if AssetPath.parse(str(unit.asset(video))) != unit.asset(video):
                raise ValueError(f"no published video has this name: {unit.asset(video)}")
        return unit


def calibration_digest(facts: CameraFacts) -> str:
    """Of the matrices of a camera."""
    return digest([matrix.tolist() for matrix in (facts.intrinsics, facts.world_to_camera, facts.ccm)])


def still_digest(data: bytes | None) -> str:
    """Of the bytes of a still of the empty set, which may not be there."""
    return "none" if data is None else hashlib.sha256(data).hexdigest()[:16]


def digest(value: Any) -> str:
    """Of anything that JSON can hold: 16 hexadecimal digits that are the same wherever it is equal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def cut(leads: Sequence[NDArray[np.int64]], wanted: NDArray[np.int32], chunk: int) -> list[int]:
    """Where to cut a sequence into units, so that hardly a frame is decoded for two of them.

    Args:
        leads: For each camera ``(num_frames,)``, how many frames have to be decoded in front of each one.
        wanted: The wanted timesteps, ascending.
        chunk: How many of them a unit should have, about: the parts are as near to equal as keyframes allow, and have
            up to half as many more or fewer; any number more where keyframes are far apart.

    Returns:
        The first timestep of each unit: at keyframes of all cameras, or so near behind them that all that has to be
        decoded twice for a cut is below 1/20 of what a unit decodes.
    """
    starts, place = [int(wanted[0])], 0
    span = int(wanted[-1]) + 1
    cost = np.zeros(span, np.int64)
    for lead in leads:
        cost[: len(lead)] += lead[:span]
    while len(wanted) - place > chunk + chunk // 2:
        rest = len(wanted) - place
        even = place + rest / max(2, round(rest / chunk))  # where all that are left would be of one length
        first = place + max(1, chunk // 2)
        last = place + chunk + chunk // 2
        most = (int(wanted[min(last, len(wanted) - 1)]) - int(wanted[place])) * len(leads) // 20
        best = None
        while best is None and first < len(wanted) - chunk // 2:
            costs = cost[wanted[first : last + 1]]
            cheapest = min((first + np.flatnonzero(costs == costs.min())).tolist(), key=lambda at: abs(at - even))
            best = cheapest if cost[wanted[cheapest]] <= most else None
            first, last = last + 1, last + chunk
        if best is None:
            break
        place = best
        starts.append(int(wanted[place]))
    return starts
