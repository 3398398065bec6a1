"""Videos in containers that have no presentation times: AVI, and MXF as far as it has no index of them.

There FFmpeg gives packets times in the order in which they are decoded.  The pictures of H.264 and HEVC count
themselves; where no count is missing, that says in which order they are shown.
"""

from __future__ import annotations

import itertools

from .fields import Packet
from .orders import PictureOrders, Place
from .packets import MAX_REORDER
from .slices import resets_counts

CONTAINERS = ("avi", "mxf")
#: From picture to picture; H.264 counts fields.
_STEPS = {"h264": (1, 2), "hevc": (1,)}


def in_counted_order(container: str, codec: str, extradata: bytes, packets: list[Packet]) -> list[Packet]:
    """The packets with their times in the order that the pictures say.

    They stay as they are where the pictures say nothing, and lose their times where they are out of order and one is
    missing: which it is cannot be told, and where it stood neither.

    Args:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the codec.
        extradata: The codec's out-of-band header.
        packets: All packets of the video.
    """
    times = [packet.pts for packet in packets if packet.pts is not None]
    if container not in CONTAINERS or codec not in _STEPS or len(times) < len(packets) or times != sorted(set(times)):
        return packets
    orders = PictureOrders(codec, extradata)
    places = [place for packet in packets if (place := orders.place(packet.data)) is not None]
    if len(places) < len(packets) or not all(packet.shown for packet in packets):
        return packets
    if codec == "h264" and any(resets_counts(extradata, packet.data) for packet in packets):
        return packets
    groups = _groups(places)
    shown = _in_order(places, groups, _STEPS[codec])
    if not shown:
        reordered = any(places[b].order < places[a].order for group in groups for a, b in itertools.pairwise(group))
        return [packet._replace(pts=None) for packet in packets] if reordered else packets
    given = dict(zip(shown, times, strict=True))
    return [packet._replace(pts=given[number]) for number, packet in enumerate(packets)]


def _groups(places: list[Place]) -> list[list[int]]:
    """The numbers of pictures, in decode order, from one that begins anew to the next."""
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        if place.anew or not groups:
            groups.append([])
        groups[-1].append(number)
    return groups


def _in_order(places: list[Place], groups: list[list[int]], steps: tuple[int, ...]) -> list[int]:
    """The numbers of pictures in the order in which they are shown; empty if a count is missing or not the first."""
    ordered = [sorted(group, key=lambda number: places[number].order) for group in groups]
    found = {
        places[later].order - places[earlier].order for group in ordered for earlier, later in itertools.pairwise(group)
    }
    shown = [number for group in ordered for number in group]
    begins = all(places[group[0]].anew and group[0] == min(group) for group in ordered)
    near = all(abs(place - number) <= MAX_REORDER for place, number in enumerate(shown))
    return shown if begins and near and len(found) <= 1 and found <= set(steps) else []
