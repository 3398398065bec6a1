"""What a request asks for, what came of it, and where the body of its answer goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

#: Takes the next piece of a body, which is only valid during the call.
Sink = Callable[[memoryview], None]

#: Pieces are handed on when they are this long.
PIECE = 256 * 1024


@dataclass(frozen=True)
class Answer:
    """What came of a request: a status with headers, or what went wrong.

    Attributes:
        status: HTTP status, 0 if none came.
        headers: By lower-case name.
        failure: What went wrong, "" if the answer is whole.
        final: Trying again is of no use.
        storage: What the sink raised, if it was an error of the disk.
        cancelled: The request was cancelled.
        reached: An HTTP answer came, whatever it was.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    final: bool = False
    storage: OSError | None = None
    cancelled: bool = False
    reached: bool = False


class Refusal(str):
    """Why a body is not wanted, however often it is sent."""


class BodyError(Exception):
    """Raised by a sink that does not take a body, which fails the attempt; its text says why."""


class Exchange:
    """What a request asks for in each attempt, and what becomes of the answer's body."""

    #: Pieces handed on are at most this long.
    piece = PIECE
    #: Whether it can wait for a server that was reached before and is out of reach now.
    patient = False

    def headers(self) -> dict[str, str]:
        """Headers of the next attempt."""
        return {}

    def accept(self, answer: Answer) -> Sink | str:
        """Where the body of a success goes, or why it is not wanted, which fails the attempt."""
        raise NotImplementedError

    def problem(self) -> str:
        """What is wrong with all that came, although the answer was whole; "" if nothing is."""
        return ""

    def progressed(self) -> bool:
        """Whether more is held than after the attempt before."""
        return False
