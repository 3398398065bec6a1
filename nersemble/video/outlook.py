"""What will be asked for after a picture: it decides what is left out and kept, never which picture is given."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from .packets import PacketIndex

#: Steps from frame to frame in which a reader is taken to go on.
LONGEST_STEP = 64


@dataclass(frozen=True)
class Outlook:
    """What will be asked for after a picture, in presentation order, as far as anybody knows.

    Attributes:
        planned: The packets of all pictures that will be asked for, if they are known.
        following: The first of them after this picture, None if there is none.
        stride: Every so many pictures one, if it is guessed; 0 if not.
        last: The last packet, in decode order, of all pictures that will be asked for, if it is known.
        ends: Nothing will be asked for behind that.
    """

    planned: frozenset[int] | None = None
    following: int | None = None
    stride: int = 0
    last: int | None = None
    ends: bool = False


class Wanted:
    """A picture that is decoded now, and those that will be asked for next."""

    def __init__(self, index: PacketIndex, target: int, outlook: Outlook) -> None:
        self.target = target
        self.outlook = outlook
        self._rank = index.rank

    def includes(self, packet: int) -> bool:
        """Whether the picture of a packet is wanted now or may be next."""
        ahead = int(self._rank[packet] - self._rank[self.target])
        if self.outlook.planned is not None:
            return ahead >= 0 and packet in self.outlook.planned
        if self.outlook.stride:
            return ahead >= 0 and ahead % self.outlook.stride == 0
        return ahead >= 0 and packet >= self.target

    def keeps(self, packet: int, lone: bool) -> bool:
        """Whether a picture that came out with the target is kept: one that is wanted, and does not come out again."""
        unknown = self.outlook.planned is None and not self.outlook.stride
        return self._rank[packet] > self._rank[self.target] and self.includes(packet) and not (lone and unknown)


def outlooks_of(index: PacketIndex, timesteps: list[int], ends: bool) -> Iterator[Outlook]:
    """For each of several timesteps that are decoded in one pass, in presentation order, what comes after it.

    ``ends`` is whether nothing comes after the last.
    """
    packets = [int(index.packet_of[timestep]) for timestep in timesteps]
    step = _only_step(timesteps)
    planned, last = None if step else frozenset(packets), max(packets)
    for following in [*packets[1:], None]:
        yield Outlook(planned, None if step else following, step, last, ends)


def _only_step(timesteps: list[int]) -> int:
    """The step of evenly spaced timesteps, as readers take them that will go on so; 0 if they are not."""
    steps = {later - earlier for earlier, later in itertools.pairwise(timesteps)}
    return steps.pop() if len(steps) == 1 and max(steps) <= LONGEST_STEP else 0
