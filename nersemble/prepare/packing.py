"""Stages as text for other processes: what is defined in a script or a notebook travels by value."""

from __future__ import annotations

import base64
import functools
import io
import pickle
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import PrepareError
from .assigned import ABSENT, first_of
from .said import said_by
from .stages import Stage

#: What holds nothing that could travel: another process gets one of its own.
_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}


def pack_stages(stages: Sequence[Stage]) -> str:
    """Stages as text for another process.

    Raises:
        PrepareError: If they cannot be sent.
    """
    import cloudpickle

    class Packer(cloudpickle.Pickler):
        """Makes caches and locks of a script anew, which cloudpickle refers to by their names, or refuses."""

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) in _LOCKS:
                return _LOCKS[type(obj)], ()
            if isinstance(obj, functools._lru_cache_wrapper) and obj.__module__ == "__main__":
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            made = super().reducer_override(obj)
            return _at_first(obj, made, first) if isinstance(obj, types.FunctionType) else made

    packed, problem, first = io.BytesIO(), "", first_of(tuple(stages))
    try:
        Packer(packed).dump(tuple(stages))
    except Exception as error:  # noqa: BLE001 - a caller's objects raise what they like
        problem = said_by(error)
    if problem:
        raise PrepareError(f"A stage cannot be sent to a worker: {problem}. Define it at the top of a module.")
    return base64.b64encode(packed.getvalue()).decode()


def unpack_stages(text: str) -> tuple[Stage, ...]:
    """Read back what ``pack_stages`` gave.

    Raises:
        PrepareError: If a module that a stage needs is not there.
    """
    problem = ""
    try:
        return pickle.loads(base64.b64decode(text))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what it imports raises what it likes
        problem = said_by(error)
    raise PrepareError(f"A stage cannot be loaded by this worker: {problem}. Is its module installed here?")


def _at_first(function: types.FunctionType, made: Any, first: dict[tuple[int, str], Any]) -> Any:
    """What cloudpickle makes of a function that travels by value, with globals that it assigns as they were at first.

    A model that was loaded here would travel too, if it can.
    """
    state = made[2] if isinstance(made, tuple) and len(made) > 2 else None
    held = state[1].get("__globals__") if isinstance(state, tuple) and len(state) == 2 else None
    if isinstance(held, dict):
        for (space, name), value in first.items():
            if space == id(function.__globals__) and name in held:
                held[name] = value
        for name in [name for name, value in held.items() if value is ABSENT]:
            del held[name]
    return made


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """A function with an empty cache, as another process starts with."""
    return functools.lru_cache(**parameters)(function)
