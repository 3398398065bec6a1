"""Whether a picture is whole: what was fed to a codec since decoding began, and what came out of it, speak for that.

A codec fills what it cannot read from neighbouring pictures, goes on predicting from that, and seldom says so.
"""

from __future__ import annotations

import heapq
from typing import Any

from .checksums import Checksums
from .entry import is_clean_start
from .erased import Erased
from .holes import Holes
from .packets import PacketIndex, PacketReader
from .places import Places
from .slices import FrameNumbers

DISORDERED = "its pictures have another order than its presentation times say"
LOST = (
    "packets in front of it are missing, of pictures that it may be predicted from. They were lost when the file was "
    "made: make or fetch it again"
)
MISPLACED = (
    "a keyframe stands in its place that what comes next does not go on from, so that the bytes are those of another "
    "picture. The file is damaged: make or fetch it again"
)


class Evidence:
    """Notes what goes into a codec and what comes out, and says what is wrong with a picture.

    Args:
        index: The packets of the video.
        packets: Their bytes.
        remote: Reading costs requests, so that nothing is read that is not fed.

    Attributes:
        places: Whether the pictures say the same order as their times.
        origin: The packet that decoding began at.
        out: The packets whose pictures came out since.
        refused: The first packet that the codec could not read.
        disordered: Pictures came out in another order than the file says.
        false_keyframes: The codec contradicted the container on where decoding can begin.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader, remote: bool) -> None:
        self._index = index
        self._packets = packets
        self._holes = Holes(index, packets)
        self._checksums = Checksums(index, packets)
        self._erased = Erased(index, packets)
        self.places = Places(index, packets, remote)
        self._lost: set[int] = set()  # packets in front of which others are missing
        self._uncalled: set[int] = set()  # IDR pictures that the container calls no keyframes
        self.false_keyframes = False
        self._contradicted: set[int] = set()  # where groups of pictures begin that were found to be disordered
        self.begin(0)

    def begin(self, origin: int) -> None:
        """Forget what went in and came out: decoding begins at packet ``origin``.  What the file lacks stays known."""
        self.origin = origin
        self.out: set[int] = set()
        self._numbers = FrameNumbers(self._index.extradata) if self._index.codec == "h264" else None
        self._damaged: set[int] = set()  # packets that the codec could not read whole
        self.refused: int | None = None
        # The codec confirmed that decoding can begin there; of these two codecs the packets themselves tell before.
        self._began_well = origin == 0 or self._index.codec in ("h264", "hevc")
        self._highest = -1  # place in presentation order of the last picture that came out
        self._due: list[tuple[int, int]] = []  # a heap of the places and packets that were fed and did not come out
        self.disordered = False
        self.places.begin(origin)

    def start_for(self, packet: int) -> int:
        """The packet to decode from for ``packet``, as far as the container's word on keyframes is good."""
        return 0 if self.false_keyframes else self._index.start_for(packet)

    def is_clean(self, packet: int, data: bytes = b"") -> bool:
        """Whether decoding can begin at a packet, as its bytes say."""
        return packet == 0 or is_clean_start(self._index.codec, self._index.extradata, data)

    def leans_on_lost(self, target: int) -> bool:
        """Whether a packet that ``target`` may be predicted from is known to be missing."""
        return bool(self._lost) and any(self._clean_start(target) < packet <= target for packet in self._lost)

    def is_disordered(self, target: int) -> bool:
        """Whether the group of pictures of a packet is known to be in another order than its times say."""
        return self.start_for(target) in self._contradicted

    def remember_disorder(self, target: int) -> None:
        """Keep in mind that the group of pictures of a packet is so, whatever was tried."""
        self._contradicted.add(self.start_for(target))

    def problem_of(self, target: int, picture: Any, threads: int) -> str:
        """What is wrong with the picture that came out for packet ``target``, or None, by so many threads; or ''.

        Raises:
            FrameError: If the packets that tell cannot be read.
        """
        damaged = picture is None or picture.is_corrupt or self._leans_on_damage(target, threads)
        if picture is not None and not self._began_well:
            self.false_keyframes = self.origin in self.out
            return "the keyframe in front of it is none"
        if self.disordered or self.is_disordered(target):
            return DISORDERED
        if self.leans_on_lost(target):
            return LOST
        if picture is not None and self._is_misplaced(target):
            return MISPLACED
        if damaged:
            return "the data is damaged" if self._damaged else "the decoder left it out"
        return ""

    # --- what is noted ------------------------------------------------------------------------------------------------

    def misses_before(self, packet: int, data: bytes) -> bool:
        """Note, and say, whether packets are missing in front of one that comes next."""
        if self.places.misplaces(packet, data):
            self._contradicted.add(self.start_for(packet))
        missing = self._numbers is not None and self._numbers.misses_before(data)
        if missing:
            self._lost.add(packet)
        if self._numbers is not None and self._numbers.begins_anew and not self._index.keyframe[packet]:
            self._uncalled.add(packet)
        return missing

    def note_fed(self, packet: int, data: bytes) -> None:
        """Note that a packet goes to the codec."""
        erased = self._holes.is_in(packet, data) or self._erased.is_in(packet, data)
        if packet in self._index.damaged or erased or self._checksums.fail(data):
            self._damaged.add(packet)
        rank = int(self._index.rank[packet])
        if self._index.shown[packet] and rank >= self._index.rank[self.origin]:
            heapq.heappush(self._due, (rank, packet))

    def note_refused(self, packet: int) -> None:
        """Note that the codec could not read a packet."""
        self._damaged.add(packet)
        self.refused = packet if self.refused is None else self.refused

    def note_out(self, packet: int, picture: Any) -> None:
        """Note that the picture of a packet came out."""
        self.out.add(packet)
        self._began_well |= packet == self.origin and bool(picture.key_frame)
        if self._index.shown[packet]:  # the times of hidden ones can be anything
            self._note_place(int(self._index.rank[packet]))
        if picture.is_corrupt:
            self._damaged.add(packet)

    def _note_place(self, rank: int) -> None:
        """Note that the picture at a place in presentation order came out: after all that were fed and precede it."""
        while self._due and self._due[0][0] <= rank:
            due, packet = heapq.heappop(self._due)
            self.disordered |= due < rank and packet not in self._damaged
        self.disordered |= rank < self._highest
        self._highest = max(self._highest, rank)

    def _leans_on_damage(self, target: int, threads: int) -> bool:
        """Whether a packet that ``target`` may be predicted from was damaged."""
        if not self._damaged or threads > 1:  # by several threads the packet that is blamed may be another one
            return bool(self._damaged)
        rank, first = self._index.rank, self._clean_start(target)
        return any(first <= packet <= target and rank[packet] >= rank[first] for packet in self._damaged)

    def _is_misplaced(self, target: int) -> bool:
        """Whether a packet took the place of another: the container calls it no keyframe, and nor does what follows."""
        if target not in self._uncalled:
            return False
        numbers = FrameNumbers(self._index.extradata)
        return [numbers.misses_before(data) for data in self._packets.read(target, target + 1)] == [False, True]

    def _clean_start(self, target: int) -> int:
        """The packet from which on everything is that ``target`` may be predicted from."""
        start: int | None = self.start_for(target)
        while start and not self.is_clean(start, *self._packets.read(start, start)):
            start = self._index.keyframe_before(start)
        return start or 0
