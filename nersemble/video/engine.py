"""From packets to pictures: feeds a codec so that a wanted picture comes out, and knows it when it does.

Every packet is labelled with its number in decode order, and the codec hands the label on with the picture.  So no time
stamp is compared and no seek can be off by one.  A picture that the codec flags as damaged is an error.
"""

from __future__ import annotations

from typing import Any

import av
import av.error

from ..errors import FrameError
from .entry import is_clean_start
from .packets import PacketIndex, PacketReader

#: Most packets fed behind a wanted one before it is given up: twice what a standard codec may hold back.
LONGEST_WAIT = 32
#: FFmpeg's H.264 decoder ends the process if it is told to hold back more pictures than this.
MOST_HELD_BACK = 15


class PictureDecoder:
    """Decodes pictures by packet number, going on from where it stands where it can.

    Args:
        index: The packets of the video.
        packets: Their bytes.
        threads: Codec threads.
        remote: Reading costs requests, so that no packets are read beyond what a lone picture needs.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader, threads: int, remote: bool) -> None:
        self._index = index
        self._packets = packets
        self._threads = threads
        self._remote = remote
        self._context: Any = None
        self._last_rank = -2
        self._reset()

    def _reset(self) -> None:
        """Forget where the codec stands."""
        self._origin = self._fed = 0  # decoding began at packet `origin`; packet `fed` is next
        self._drained = False  # the codec was told that the stream ended
        self._out: set[int] = set()  # the packets whose pictures came out since
        self._damaged: set[int] = set()  # packets that the codec could not read whole
        self._pending: dict[int, Any] = {}  # pictures that came out beside a wanted one

    @property
    def used(self) -> bool:
        """Whether a codec is open."""
        return self._context is not None

    def picture(self, packet: int) -> Any:
        """Decode the picture of ``packet``.

        Returns:
            An ``av.VideoFrame``.

        Raises:
            FrameError: If it does not come out whole; the message says why.
        """
        problem = ""
        start: int | None = self._index.start_for(packet)
        while start is not None:
            picture, problem = self._attempt(start, packet)
            if picture is not None:
                self._last_rank = int(self._index.rank[packet])
                return picture
            # It may lean on more than its keyframe (intra refresh, a keyframe that is none): begin further back.
            self._context = None
            self._reset()
            start = self._index.keyframe_before(start)
        raise FrameError(problem)

    def _attempt(self, start: int, target: int) -> tuple[Any, str]:
        """The picture, or what is wrong."""
        picture = self._pending.pop(target, None)
        try:
            if picture is None:
                picture = self._run(start, target)
            damaged = picture is None or picture.is_corrupt or self._leans_on_damage(target)
        except FrameError as error:
            return None, str(error)
        if damaged:
            return None, "the data is damaged" if self._damaged else "the decoder left it out"
        return picture, ""

    def _leans_on_damage(self, target: int) -> bool:
        """Whether a packet that ``target`` may be predicted from was damaged.

        A codec fills what it cannot read from neighbouring pictures, and goes on predicting from that.
        """
        if not self._damaged:
            return False
        start: int | None = self._index.start_for(target)
        while start and not self._is_clean(start, *self._packets.read(start, start)):
            start = self._index.keyframe_before(start)
        rank = self._index.rank
        first = start or 0
        return any(first <= packet <= target and rank[packet] >= rank[first] for packet in self._damaged)

    def _is_clean(self, packet: int, data: bytes = b"") -> bool:
        return packet == 0 or is_clean_start(self._index.codec, self._index.extradata, data)

    def _run(self, start: int, target: int) -> Any:
        """Feed packets from ``start``, or from where the codec stands, until ``target`` comes out."""
        passed = self._context is not None and self._origin <= start <= self._fed
        # A lone picture of a remote file is drained out of the codec, instead of pushed out by packets behind it.  One
        # that follows the last one is not lone: more will follow, and a drained codec starts over.
        lone = self._remote and not (passed and self._index.rank[target] > self._last_rank)
        if not passed or self._drained or target in self._out:
            self._seek(start)
        found: Any = None
        while found is None and not self._drained and self._fed <= target + LONGEST_WAIT:
            packets = self._next_packets(target, lone)
            if not self._out and self._fed == self._origin and not self._is_clean(self._origin, packets[0] or b""):
                return None
            for data in packets:
                found = self._take(self._feed(data), target) or found
                if found is not None:
                    break
        return found

    def _take(self, pictures: list[Any], target: int) -> Any:
        """Note which pictures came out; the one of ``target`` if it is among them."""
        found = None
        for picture in pictures:
            if picture.pts is None:
                continue
            number = int(picture.pts)
            self._out.add(number)
            if picture.is_corrupt:
                self._damaged.add(number)
            if number == target:
                found = picture
            elif self._index.rank[number] > self._index.rank[target]:
                self._pending[number] = picture
        return found

    def _seek(self, start: int) -> None:
        if self._context is None:
            self._context = av.CodecContext.create(self._index.codec, "r")
            self._context.extradata = self._index.extradata
            self._context.thread_count = self._threads
            self._context.options = {
                "has_b_frames": str(min(self._index.reorder_depth, MOST_HELD_BACK)),
                "err_detect": "explode",  # say at once that a packet is damaged, not when its picture is shown
            }
        else:
            self._context.flush_buffers()
        self._reset()
        self._origin = self._fed = start

    def _next_packets(self, target: int, lone: bool) -> list[bytes | None]:
        """The packets to feed for ``target``, in one read; None, the end of the stream, after the last there is."""
        final = len(self._index.rank) - 1
        # A codec may hold back one picture more than the reordering of this file needs.
        last = target if lone else min(final, max(target + self._index.reorder_depth + 1, self._fed))
        packets: list[bytes | None] = []
        if self._fed <= last:
            packets.extend(self._packets.read(self._fed, last))
        end = self._fed + len(packets)
        if end <= target:
            raise FrameError(
                "the file ends before this frame: its download was cut off. Delete the file and fetch it again"
            )
        return [*packets, None] if lone or end <= last or last == final else packets

    def _feed(self, data: bytes | None) -> list[Any]:
        packet = None
        if data is None:
            self._drained = True
        else:
            # Allocated by FFmpeg, with the zeros behind it that decoders read; one around `data` itself has none.
            packet = av.Packet(len(data))
            packet.update(data)
            packet.pts = packet.dts = self._fed
            self._fed += 1
        try:
            return list(self._context.decode(packet))
        except (av.error.FFmpegError, ValueError):  # PyAV 19 has a ValueError of its own for damaged headers
            self._damaged.add(self._fed - 1)
            return []
