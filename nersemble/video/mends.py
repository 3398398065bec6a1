"""What is left out of packets that a codec refuses, though the coded pictures in them are whole."""

from __future__ import annotations

from .nal import is_cut, join_units, messages_in, split_units
from .packets import PacketIndex, PacketReader
from .unmarking import begins_anew, without_lost_marks

#: Types of NAL units with messages to players (SEI), most of which change no picture.
_MESSAGES = {"h264": (6,), "hevc": (39, 40)}
#: Messages that are kept: where decoding can begin, film grain, which FFmpeg puts into pictures, and their checksums.
_KEPT = {"h264": {6, 19}, "hevc": {19, 132}}


class Mends:
    """Notes what was refused, and gives the bytes that the codec is fed instead.

    Args:
        index: The packets of the video.
        packets: Their bytes.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader) -> None:
        self._index = index
        self._packets = packets
        self._without_messages = False
        #: Packets that speak of what was cut away in front, without so many of these words.
        self._unmarked: dict[int, tuple[int, bytes]] = {}

    def given(self, packet: int, data: bytes) -> bytes:
        """The bytes to feed for a packet, whose own are ``data``."""
        if packet in self._unmarked:
            data = self._unmarked[packet][1]
        return self._silenced(data) if self._without_messages else data

    def leave_out_messages(self, refused: int | None) -> bool:
        """Leave messages to players out of all packets from now on; False if that was tried, or changes nothing.

        A codec that is to say at once what is damaged refuses a picture for a message that it cannot read.
        """
        if refused is None or self._without_messages or self._index.codec not in _MESSAGES:
            return False
        self._without_messages = any(self._silenced(data) != data for data in self._packets.read(refused, refused))
        return self._without_messages

    def leave_out_marks(self, refused: int | None) -> bool:
        """Take out of a packet one more thing that it says of pictures in front of the file; False if there is none."""
        if refused is None or self._index.codec != "h264":
            return False
        if begins_anew(self._index.extradata, *self._packets.read(0, 0)):
            return False
        count = 1 + self._unmarked.get(refused, (0, b""))[0]
        mended = without_lost_marks(self._index.extradata, self._packets.read(0, refused), count)
        if mended is not None:
            self._unmarked[refused] = (count, mended)
        return mended is not None

    def _silenced(self, data: bytes) -> bytes:
        codec, extradata = self._index.codec, self._index.extradata
        if is_cut(codec, extradata, data):  # joined anew, it would look whole
            return data
        units = list(split_units(codec, extradata, data))
        kept = [unit for unit in units if not self._is_message(unit)]
        return data if len(kept) == len(units) else join_units(codec, extradata, kept)

    def _is_message(self, unit: bytes) -> bool:
        codec = self._index.codec
        kind, head = (unit[0] & 31, 1) if codec == "h264" else (unit[0] >> 1 & 63, 2)
        return kind in _MESSAGES[codec] and _KEPT[codec].isdisjoint(told for told, _ in messages_in(unit[head:]))
