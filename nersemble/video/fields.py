"""Joins the two fields of a picture, where a container gives each a packet of its own.

MPEG transport streams do so for interlaced H.264 that is coded in fields: packets there are twice as many as pictures.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import FrameError
from .slices import FrameNumbers

LONE_FIELD = (
    "The video is coded in fields, and picture {} has one of its two alone, so that its frames cannot be counted. Was "
    "it cut out of another file? Encode it anew, as whole frames."
)


class Packet(NamedTuple):
    """A packet as a container gives it.

    Attributes:
        pts: Presentation time, None if there is none.
        keyframe: Whether decoding can start at it.
        shown: False if an edit list hides it.
        data: Its bytes.
        damaged: Whether the container says that some of them are missing.
    """

    pts: int | None
    keyframe: bool
    shown: bool
    data: bytes
    damaged: bool = False


def join_fields(codec: str, extradata: bytes, packets: list[Packet]) -> list[Packet]:
    """The packets with those of two fields that make one picture joined (ITU-T H.264 3.30 and 7.4.1.2.4).

    A field is the second one if it has the other parity and the frame number of the one in front.

    Raises:
        FrameError: If one has no partner: players disagree on whether it is shown, so that frames cannot be counted.
    """
    if codec != "h264":
        return packets
    numbers = FrameNumbers(extradata)
    joined: list[Packet] = []
    first: tuple[int, bool] | None = None
    for packet in packets:
        field = numbers.lone_field(packet.data)
        if first is None:
            joined.append(packet)
            first = field
        elif field == (first[0], not first[1]):
            other = joined[-1]
            joined[-1] = other._replace(data=other.data + packet.data, damaged=other.damaged or packet.damaged)
            first = None
        else:
            break
    if first is not None:
        raise FrameError(LONE_FIELD.format(len(joined) - 1))
    return joined
