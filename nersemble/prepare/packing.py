"""Stages as text for other processes: what is defined in a script or a notebook travels by value."""

from __future__ import annotations

import base64
import functools
import io
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import PrepareError
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
            return super().reducer_override(obj)

    packed, problem = io.BytesIO(), ""
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


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """A function with an empty cache, as another process starts with."""
    return functools.lru_cache(**parameters)(function)
