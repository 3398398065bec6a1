"""What a test has go wrong, and when.

``Faults.add("commit", answer(503), at=2)`` has the second commit from now on refused; the ``Fault`` that it gives
counts in ``hits`` how often it struck.  Routes have the names in the lists ``ROUTES``: ``commit``, ``lfs-put``,
``lfs-batch``, ``preupload``, ``resolve``, ``storage`` and so on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Action:
    """What happens to a call: the makers below say how."""

    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None
    status: int = 0
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    mute: bool = False
    cut: int | None = None
    body: bytes | None = None
    late: bool = False


def answer(status: int, message: str = "no", *, retry_after: int | None = None, **headers: str) -> Action:
    """Refuse the call, once its body has come, without doing anything."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if retry_after is not None:
        named["Retry-After"] = str(retry_after)
    return Action(status=status, message=message, headers=named)


def say(body: bytes, kind: str = "application/json", status: int = 200) -> Action:
    """Answer with something else, once the body has come, without doing anything: as a proxy does."""
    return Action(status=status, body=body, headers={"Content-Type": kind})


def answer_after(status: int, message: str = "no") -> Action:
    """Do what is asked, then refuse it all the same."""
    return Action(status=status, message=message, mute=True, late=True)


def drop() -> Action:
    """Take the whole call, then hang up without doing anything or answering."""
    return Action(drop=True)


def drop_after() -> Action:
    """Do what is asked, then hang up without saying so."""
    return Action(mute=True)


def cut(size: int) -> Action:
    """Hang up after so many bytes of the body: of what is uploaded, or else of what is sent."""
    return Action(cut=size)


def run(function: Callable[[], object]) -> Action:
    """Call a function of the test's, then answer as usual."""
    return Action(before=function)


def run_after(function: Callable[[], object]) -> Action:
    """Answer as usual, having called a function of the test's once the thing asked for is done."""
    return Action(after=function)


@dataclass
class Fault:
    """One fault: strikes ``times`` calls of a route, the ``at``-th and those after it; ``path`` narrows them down."""

    route: str
    action: Action
    at: int = 1
    times: int = 1
    path: str = ""
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults of a hub."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, route: str, action: Action, *, at: int = 1, times: int = 1, path: str = "") -> Fault:
        """Have the ``at``-th call of a route from now on, and ``times - 1`` after it, go wrong.

        ``path`` counts calls alone whose path holds this text.
        """
        fault = Fault(route, action, at, times, path)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Have everything go well again."""
        with self._lock:
            self._faults.clear()

    def due(self, route: str, path: str) -> list[Action]:
        """What goes wrong with a call, which counts as one."""
        due = []
        with self._lock:
            for fault in self._faults:
                if fault.route == route and fault.path in path:
                    fault.seen += 1
                    if fault.at <= fault.seen < fault.at + fault.times:
                        fault.hits += 1
                        due.append(fault.action)
        return due
