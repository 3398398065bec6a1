"""Whether presentation times and the pictures themselves say the same order (H.264 and HEVC, which count pictures).

A time that was damaged gives a picture the place of a neighbour, and every picture is whole all the same.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .entry import is_clean_start
from .orders import PictureOrders, Place
from .packets import MAX_REORDER, PacketIndex, PacketReader
from .slices import resets_counts


@dataclass
class _Group:
    """Pictures that are counted from one of them.

    Attributes:
        packet: That one.
        order: Its count.
        step: The greatest number that divides how far all of them are from it.
    """

    packet: int
    order: int
    step: int = 0


class Places:
    """Follows the packets that a codec is fed, and compares their counts with their times.

    Args:
        index: The packets of the video.
        packets: Their bytes.
        remote: Reading costs requests, so that nothing is read that is not fed.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader, remote: bool) -> None:
        self._index = index
        self._packets = packets
        self._remote = remote
        shown = index.shown  # what is said of all in front leaves hidden ones out, whose times can be anything
        self._shown_before: NDArray[np.int64] = np.cumsum(shown) - shown
        self._shown_rank = np.empty_like(index.rank)
        order = np.argsort(index.rank)
        self._shown_rank[order] = np.cumsum(shown[order]) - shown[order]
        self._placed: set[int] = set()  # keyframes that are known to come where their times say
        self._sparse = False  # pictures are counted with gaps, and are in order all the same
        self.begin(0)

    def begin(self, origin: int) -> None:
        """Forget the counts: decoding begins at packet ``origin``.  What is known of keyframes stays."""
        self._origin = origin
        self._orders = PictureOrders(self._index.codec, self._index.extradata)
        self._group: _Group | None = None
        self._counts: dict[int, tuple[_Group, int]] = {}  # of the packets fed

    def misplaces(self, packet: int, data: bytes) -> bool:
        """Note a packet that comes next, and say whether it is a keyframe whose time gives it another place."""
        place = self._orders.place(data)
        if place is None:
            return False
        if place.anew or self._group is None:
            self._group = _Group(packet, place.order)
        self._counts[packet] = self._group, place.order
        self._group.step = math.gcd(self._group.step, place.order - self._group.order)
        return self._is_misplaced(packet, place, data)

    def suspects(self, target: int) -> bool:
        """Whether the time of a packet says another place than its picture does, which a file may do by gaps in both.

        All pictures of the group tell, once they came out.
        """
        if self._sparse or target not in self._counts:
            return False
        group, order = self._counts[target]
        step = 2 if self._index.codec == "h264" and group.step % 2 == 0 else 1
        rank = self._index.rank
        return order - group.order != step * int(rank[target] - rank[group.packet])

    def contradict(self, target: int) -> bool:
        """Whether of the packets fed of a picture's group, one has a higher time and no higher count than another."""
        if target not in self._counts:
            return False
        group, _ = self._counts[target]
        fed = sorted(
            (int(self._index.rank[packet]), order) for packet, (of, order) in self._counts.items() if of is group
        )
        if all(earlier < later for (_, earlier), (_, later) in itertools.pairwise(fed)):
            return False
        return self._index.codec != "h264" or not self._reset(self._packets.read(min(self._counts), max(self._counts)))

    def clear_suspicion(self) -> None:
        """Note that all pictures of a group came out in order: places are counted with gaps in this file."""
        self._sparse = True

    def _reset(self, packets: list[bytes]) -> bool:
        """Whether a picture of H.264 makes counts begin anew, though it is no IDR picture."""
        return any(resets_counts(self._index.extradata, data) for data in packets)

    def _is_misplaced(self, packet: int, place: Place, data: bytes) -> bool:
        """Whether a keyframe is said to come elsewhere than behind all in front of it, and what leads it."""
        if packet in self._placed or not self._index.shown[packet]:
            return False
        if not (place.anew or packet == self._origin or self._is_open_keyframe(packet, data)):
            return False
        leading = int(self._shown_rank[packet] - self._shown_before[packet])
        if place.anew and leading == 0:
            return False
        if not 0 <= leading <= MAX_REORDER:
            return True
        if self._remote and not place.anew:  # bytes behind it would have to be fetched
            return False
        self._placed.add(packet)
        # They come at once, as a rule; if not, all are looked at that can.
        return not any(self._leading(packet, most) in (leading, None) for most in (leading + 1, MAX_REORDER))

    def _is_open_keyframe(self, packet: int, data: bytes) -> bool:
        """Whether all in front of a packet comes before it, as is so of keyframes of HEVC of any kind (7.4.2.2)."""
        codec = self._index.codec
        return (
            codec == "hevc"
            and bool(self._index.keyframe[packet])
            and is_clean_start(codec, self._index.extradata, data)
        )

    def _leading(self, keyframe: int, most: int) -> int | None:
        """How many of the packets behind a keyframe, up to ``most`` and the next one, are shown and lead it."""
        last = min(keyframe + most, len(self._index.rank) - 1)
        orders = PictureOrders(self._index.codec, self._index.extradata)
        packets = self._packets.read(keyframe, last)
        if self._index.codec == "h264" and self._reset(packets):
            return None
        first, *behind = map(orders.place, packets)
        found = 0
        for packet, place in enumerate(behind, keyframe + 1):
            if place is None or first is None:
                return None
            if place.anew:
                break
            found += place.order < first.order and bool(self._index.shown[packet])
        return found
