"""The packet index of a video: which packet is which frame, and from where decoding must start.

Packets are numbered in decode order, frames (timesteps) in presentation order.  Packets that an edit list hides stay in
the index, because frames that are shown may need them, but they have no timestep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError

#: No standard codec reorders over more packets than this.
MAX_REORDER = 32


class PacketReader(Protocol):
    """Bytes of packets by number, in decode order."""

    @property
    def held_bytes(self) -> int:
        """Bytes held in memory."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``(packets,)`` bytes of each."""

    def read(self, first: int, last: int) -> list[bytes]:
        """Packets ``first`` to ``last``, the last one included; fewer where the file is cut off."""

    def expect(self, spans: list[tuple[int, int]]) -> None:
        """Be told the runs of packets, first and last one, that will be read."""


@dataclass(frozen=True)
class PacketIndex:
    """What the header of a video says of its packets.

    Attributes:
        codec: FFmpeg's name of the codec, such as ``h264``.
        extradata: The codec's out-of-band header, as the decoder takes it.
        width: Width of the coded picture in pixels, before any rotation.
        height: Height of the coded picture in pixels, before any rotation.
        rotation: Counter-clockwise turn to apply to the decoded picture: 0, 90, 180 or 270 degrees.
        fps: Average frames a second.
        pts: ``(packets,)`` int64, presentation time of each packet in the track's own time unit.
        keyframe: ``(packets,)`` bool, packets at which decoding can start.
        shown: ``(packets,)`` bool, False for packets that an edit list hides.
        format: What the container alone says of the pictures, by the names of a codec context.  Some codecs cannot
            decode without; others take their colours from it.
    """

    codec: str
    extradata: bytes
    width: int
    height: int
    rotation: int
    fps: Fraction
    pts: NDArray[np.int64]
    keyframe: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    format: Mapping[str, Any] = field(default_factory=dict)
    #: Packets of which the container says that bytes of them are missing.
    damaged: frozenset[int] = frozenset()
    #: ``(timesteps,)`` packet number of each timestep, where edits show packets in another order than their own.
    sequence: NDArray[np.int64] | None = None
    #: ``(packets,)`` place of each packet in presentation order, hidden ones counted.
    rank: NDArray[np.int64] = field(init=False)
    #: ``(timesteps,)`` packet number of each timestep.
    packet_of: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        if not len(self.pts) or not self.shown.any():
            raise FrameError("The video has no frames. Was its download cut off?")
        visible = self.pts[self.shown]
        if len(np.unique(visible)) != len(visible):
            raise FrameError("Pictures of the video share presentation times, so that their order is not known.")
        order = np.argsort(self.pts, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        object.__setattr__(self, "rank", rank)
        packet_of = order[self.shown[order]] if self.sequence is None else self.sequence
        object.__setattr__(self, "packet_of", packet_of)

    @property
    def num_frames(self) -> int:
        """How many timesteps the video has."""
        return len(self.packet_of)

    def digest(self, sizes: NDArray[np.int64]) -> str:
        """What tells the video from others: a digest of the codec's header and of each packet's time and size."""
        found = hashlib.sha256(f"{self.codec} {self.width} {self.height} {self.rotation} {self.fps}".encode())
        for numbers in (self.pts, sizes):
            found.update(np.ascontiguousarray(numbers, "<i8").tobytes())
        for flags in (self.keyframe, self.shown):
            found.update(np.packbits(flags).tobytes())
        found.update(self.extradata)
        return found.hexdigest()[:16]

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) of the picture after rotation."""
        return (self.width, self.height) if self.rotation % 180 == 0 else (self.height, self.width)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        """``(keyframes,)`` packet number of each keyframe."""
        return np.flatnonzero(self.keyframe)

    @cached_property
    def reorder_depth(self) -> int:
        """The most packets that precede a packet in decode order and follow it in presentation order."""
        earlier_but_later_shown = np.zeros(len(self.rank), np.int64)
        for distance in range(1, min(MAX_REORDER, len(self.rank) - 1) + 1):
            earlier_but_later_shown[distance:] += self.rank[:-distance] > self.rank[distance:]
        return int(earlier_but_later_shown.max())

    def start_for(self, packet: int) -> int:
        """The keyframe to decode from, so that ``packet`` comes out whole.

        A packet that follows a keyframe in decode order but precedes it in presentation order (a leading picture of an
        open GOP) needs the keyframe before.
        """
        keys = self._keys
        place = int(np.searchsorted(keys, packet, side="right")) - 1
        while place >= 0 and self.pts[keys[place]] > self.pts[packet]:
            place -= 1
        return int(keys[place]) if place >= 0 else 0

    def leads(self) -> NDArray[np.int64]:
        """How many packets are decoded in front of each timestep, from ``start_for`` on: ``(timesteps,)`` int64."""
        keys = self._keys
        if not len(keys):
            return self.packet_of.copy()
        place = np.searchsorted(keys, self.packet_of, side="right") - 1
        while (late := (place >= 0) & (self.pts[keys[place]] > self.pts[self.packet_of])).any():
            place[late] -= 1
        return self.packet_of - np.where(place >= 0, keys[place], 0)

    def keyframe_before(self, packet: int) -> int | None:
        """The last keyframe in front of ``packet``, the first packet if there is none, None in front of that."""
        if packet == 0:
            return None
        place = int(np.searchsorted(self._keys, packet)) - 1
        return int(self._keys[place]) if place >= 0 else 0
