"""Calls side by side, on threads that end with them; an error or an interrupt waits for none that is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from . import loop

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_threads(call: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """``call`` of each item, in order; raises the error of the first one that failed."""
    if min(threads, len(items)) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items)), "nersemble") as executor:
        try:
            return list(executor.map(call, items))
        except BaseException:  # Ctrl-C above all
            executor.shutdown(wait=False, cancel_futures=True)
            loop.cancel_all()
            raise
