"""From packets to pictures: feeds a codec so that a wanted picture comes out, and knows it when it does.

Every packet is labelled with its number in decode order, and the codec hands the label on with the picture.  So no time
stamp is compared and no seek can be off by one.  A picture that is not whole is an error: ``Evidence`` says which are.

Packets on the way that no other picture is predicted from, and that nobody will ask for, are left out.  What will be
asked for next is an ``Outlook``: it only saves time, and a wrong one costs no more than decoding anew.
"""

from __future__ import annotations

from typing import Any

import av
import av.error
import av.logging
import numpy as np

from ..cores import usable_cores
from ..errors import FrameError
from .disposable import holds_parameter_sets, is_disposable
from .evidence import DISORDERED, LOST, Evidence
from .mends import Mends
from .orders import PictureOrders
from .outlook import Outlook, Wanted
from .packets import PacketIndex, PacketReader

#: Most packets fed behind a wanted one before it is given up: twice what a standard codec may hold back.
LONGEST_WAIT = 32
#: FFmpeg's H.264 decoder ends the process if it is told to hold back more pictures than this.
MOST_HELD_BACK = 15
#: Codec threads of a lone process: each more holds another picture or two.
MOST_THREADS = 2
#: A lone picture this near its keyframe is drained out of the codec, to begin there again costs little; by one thread
#: if nothing else is said, since more would take a tenth more of the processors' time.
NEAR = 48
_BESIDE = 2  # packets behind a keyframe, of pictures that lead or follow it


class PictureDecoder:
    """Decodes pictures by packet number, going on from where it stands where it can.

    Args:
        index: The packets of the video.
        packets: Their bytes.
        remote: Reading costs requests, so that no packets are read beyond what a lone picture needs.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader, remote: bool) -> None:
        self._index = index
        self._packets = packets
        self._evidence = Evidence(index, packets, remote)
        self._remote = remote
        self._context: Any = None
        self._threads = self._asked = 1  # that it has, and that the last picture asked for
        self._one_thread = False
        self._mends = Mends(index, packets)
        self._depth = index.reorder_depth  # pictures that the codec holds back to bring them into order
        self._has_other_sets = False  # the codec was fed parameter sets, which a flush does not take back
        self._reset()

    def _reset(self, start: int = 0) -> None:
        """Forget where the codec stood: decoding begins at packet ``start``."""
        self._evidence.begin(start)
        self._fed = start  # the packet that is next
        self._drained = False  # the codec was told that the stream ended
        self._left_out: set[int] = set()  # packets passed over
        self._pending: dict[int, Any] = {}  # pictures that came out beside a wanted one

    @property
    def used(self) -> bool:
        """Whether a codec is open."""
        return self._context is not None

    def picture(self, packet: int, outlook: Outlook, threads: int | None = None) -> Any:
        """Decode the picture of ``packet``.

        Args:
            packet: Number of the packet in decode order.
            outlook: What will be asked for next.
            threads: Codec threads; by default ``MOST_THREADS`` if there are as many cores, and one for a lone picture
                near its keyframe.

        Returns:
            An ``av.VideoFrame``.

        Raises:
            FrameError: If it does not come out whole; the message says why.
        """
        problem, sure = "", 0
        start: int | None = self._begin_for(packet)
        while start is not None:
            in_doubt = self._in_doubt
            if self._evidence.leans_on_lost(packet):
                raise FrameError(LOST)
            if self._evidence.is_disordered(packet):
                raise FrameError(DISORDERED)
            wanted = Wanted(self._index, packet, outlook)
            picture, problem = self._attempt(start, wanted, 1 if self._one_thread else threads)
            if picture is not None and not self._in_doubt and self._evidence.places.suspects(packet):
                picture, problem = self._in_group(start, wanted)
            if picture is not None and in_doubt == self._in_doubt:
                return picture
            refused, self._context = self._evidence.refused, None
            self._reset()
            if in_doubt != self._in_doubt:
                start = self._begin_for(packet)
            elif self._evidence.false_keyframes:
                start = self._evidence.start_for(packet) if start else None
            elif self._threads > 1:  # with more threads a codec says late what is damaged: look again
                self._threads, self._one_thread = 1, True
            elif self._mends.leave_out_messages(refused) or (start == 0 and self._mends.leave_out_marks(refused)):
                self._one_thread = False
            elif (sure and self._begins_anew(start)) or not self._packets.read(packet, packet):
                break  # nothing in front of it changes what comes out; or the file ends before the picture
            else:  # it may lean on more than its keyframe (intra refresh, a keyframe that is none): begin further back
                sure += self._begins_anew(start)
                start = self._index.keyframe_before(start)
        raise FrameError(problem)

    def _begins_anew(self, start: int) -> bool:
        """Whether a codec forgets all in front of a packet, as its bytes say."""
        orders = PictureOrders(self._index.codec, self._index.extradata)
        place = next(map(orders.place, self._packets.read(start, start)), None)
        return place is not None and place.anew

    @property
    def _in_doubt(self) -> bool:
        """Whether the codec may show pictures in another order, and the file says nothing of one."""
        return self._depth > self._index.reorder_depth == 0

    def _begin_for(self, packet: int) -> int:
        """The keyframe to begin at; where the order is in doubt one further back, so that it shows what leads it."""
        start = self._evidence.start_for(packet)
        return (self._index.keyframe_before(start) or 0) if self._in_doubt else start

    def _attempt(self, start: int, wanted: Wanted, threads: int | None) -> tuple[Any, str]:
        """The picture, or what is wrong."""
        picture = self._pending.pop(wanted.target, None)
        try:
            if picture is None:
                picture = self._run(start, wanted, threads)
            problem = self._evidence.problem_of(wanted.target, picture, self._threads)
        except FrameError as error:
            problem = str(error)
        return (None if problem else picture), problem

    def _in_group(self, start: int, wanted: Wanted) -> tuple[Any, str]:
        """The same after all pictures of the group came out, and the next keyframe, so that their order shows."""
        final = len(self._index.rank) - 1
        behind = wanted.target + 1 + np.flatnonzero(self._index.keyframe[wanted.target + 1 :])
        keyframe = int(behind[0]) if len(behind) else None
        end = final if keyframe is None else min(final, keyframe + _BESIDE)
        self._reset(start)
        self._begin(1)
        found: Any = None
        while not self._drained:
            last = min(end, self._fed + LONGEST_WAIT)
            packets: list[bytes | None] = [*(self._packets.read(self._fed, last) if self._fed <= end else [])]
            at_end = not packets or self._fed + len(packets) <= last or last == end  # of the group, or of a cut file
            for data in [*packets, None] if at_end else packets:
                if data is not None:
                    self._evidence.misses_before(self._fed, data)
                found = self._take(self._feed(data), wanted, lone=True) or found
        beyond = keyframe is not None and self._evidence.is_disordered(keyframe)  # some in front of it stand behind it
        if beyond or self._evidence.places.contradict(wanted.target):
            self._evidence.disordered = True
        problem = self._evidence.problem_of(wanted.target, found, 1)
        if self._evidence.disordered:
            self._evidence.remember_disorder(wanted.target)
        elif not problem and self._fed > end:
            self._evidence.places.clear_suspicion()
        return (None if problem else found), problem

    def _run(self, start: int, wanted: Wanted, threads: int | None) -> Any:
        """Feed packets from ``start``, or from where the codec stands, until the target comes out."""
        target = wanted.target
        evidence = self._evidence
        passed = self._context is not None and evidence.origin <= start <= self._fed
        if not passed or self._drained or target in evidence.out or target in self._left_out:
            self._reset(start)
        lone = self._is_lone(wanted)
        if self._fed == evidence.origin:
            few = lone and target - start <= NEAR
            self._begin(threads or (1 if few else min(usable_cores(), MOST_THREADS)))
        found: Any = None
        while found is None and not self._drained and self._fed <= target + LONGEST_WAIT + self._threads:
            packets = self._next_packets(target, target if lone else self._end_of_pass(wanted))
            begins = self._fed == evidence.origin and not evidence.out
            if begins and not evidence.is_clean(self._fed, packets[0] or b""):
                return None
            for data, following in zip(packets, [*packets[1:], None], strict=True):
                if data is not None and evidence.misses_before(self._fed, data) and evidence.leans_on_lost(target):
                    return None
                if data is not None and self._is_needless(data, following, wanted):
                    self._left_out.add(self._fed)
                    self._fed += 1
                    continue
                found = self._take(self._feed(data), wanted, lone) or found
                if found is not None:
                    break
        return found

    def _is_lone(self, wanted: Wanted) -> bool:
        """Whether the target is to be drained out of the codec, instead of pushed out by the packets behind it.

        A drained codec has to begin at a keyframe again, and those behind cost decoding, and requests.
        """
        if self._in_doubt:  # those behind show in which order they come out
            return False
        outlook = wanted.outlook
        if outlook.following is not None:
            pushed = max(wanted.target + self._depth + 1, self._fed)
            return self._index.start_for(outlook.following) > pushed
        return not outlook.stride and (self._remote or wanted.target - self._evidence.origin <= NEAR)

    def _end_of_pass(self, wanted: Wanted) -> int | None:
        """The last packet of a pass, if the codec is drained behind it, instead of pushed out by what follows.

        It is where nothing is read behind the pass.  And in front of a keyframe: whoever goes on later begins at that
        all the same, if nothing in front of it is shown behind.
        """
        last, rank, keyframe = wanted.outlook.last, self._index.rank, self._index.keyframe
        if last is None or self._in_doubt or self._fed > last + 1 or last + 1 == len(rank):
            return None
        closed = keyframe[last + 1] and rank[last + 1] == last + 1 and not self._evidence.false_keyframes
        return last if wanted.outlook.ends or closed else None

    def _is_needless(self, data: bytes, following: bytes | None, wanted: Wanted) -> bool:
        """Whether the next packet can be left out; ``following`` is the one behind it, where that was read too.

        None is where the times do not reorder: what a codec reorders all the same would then show too late, or never.
        """
        if following is None or wanted.includes(self._fed) or self._index.reorder_depth == 0:
            return False
        return is_disposable(self._index.codec, self._index.extradata, data, following)

    def _take(self, pictures: list[Any], wanted: Wanted, lone: bool) -> Any:
        """Note which pictures came out; the one of the target if it is among them."""
        found = None
        for picture in pictures:
            if picture.pts is None:
                continue
            number = int(picture.pts)
            self._evidence.note_out(number, picture)
            if number == wanted.target:
                found = picture
            elif wanted.keeps(number, lone):
                self._pending[number] = picture
        return found

    def _begin(self, threads: int) -> None:
        """Make the codec ready for a first packet; one with more threads than needed serves once more, not twice."""
        if av.logging.get_level() is not None:  # what threads of a codec log waits for this one, and may wait for ever
            threads = self._asked = 1
        enough = range(threads, max(threads, self._asked) + 1)
        self._asked = threads
        if self._context is None or self._threads not in enough or self._has_other_sets:
            self._has_other_sets = False
            self._context = av.CodecContext.create(self._index.codec, "r")
            self._context.extradata = self._index.extradata
            for name, value in self._index.format.items():
                setattr(self._context, name, value)
            self._context.thread_count = self._threads = threads
            if threads > 1:
                self._context.thread_type = "FRAME"
            self._context.options = {
                "has_b_frames": str(min(self._index.reorder_depth, MOST_HELD_BACK)),
                # Say at once that a packet is damaged, not when its picture is shown; by its checksum, if it has one.
                "err_detect": "explode+crccheck",
            }
        else:
            self._context.flush_buffers()

    def _next_packets(self, target: int, drained: int | None) -> list[bytes | None]:
        """The packets to feed for ``target``, in one read; None, the end of the stream, after the last there is.

        Behind ``drained`` too, if a packet is given.
        """
        final = len(self._index.rank) - 1
        # A codec may hold back one picture more than the reordering of this file needs, and one for each other thread.
        held_back = self._depth + self._threads
        last = min(final if drained is None else drained, max(target + held_back, self._fed))
        packets: list[bytes | None] = []
        if self._fed <= last:
            packets.extend(self._packets.read(self._fed, last))
        end = self._fed + len(packets)
        if end <= target:
            raise FrameError(
                "the file ends before this frame: its download was cut off. Delete the file and fetch it again"
            )
        return [*packets, None] if last in (drained, final) or end <= last else packets

    def _feed(self, data: bytes | None) -> list[Any]:
        packet = None
        if data is None:
            self._drained = True
        else:
            # Allocated by FFmpeg, with the zeros behind it that decoders read; one around `data` itself has none.
            given = self._mends.given(self._fed, data)
            packet = av.Packet(len(given))
            packet.update(given)
            packet.pts = packet.dts = self._fed
            packet.is_keyframe = bool(self._index.keyframe[self._fed])
            self._evidence.note_fed(self._fed, data)
            self._fed += 1
            self._has_other_sets |= holds_parameter_sets(self._index.codec, self._index.extradata, data)
        try:
            pictures = list(self._context.decode(packet))
            self._depth = max(self._depth, min(self._context.reorder_depth, MOST_HELD_BACK))
            return pictures
        except (av.error.FFmpegError, ValueError):  # PyAV 19 has a ValueError of its own for damaged headers
            self._evidence.note_refused(self._fed - 1)
            return []
