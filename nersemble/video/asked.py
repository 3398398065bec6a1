"""What is asked of a video: timesteps as whole numbers, or a ``TypeError`` that says of which video and argument."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from ..errors import SelectionError
from ..masking import without_urls
from ..written import index_of, is_switch


def whole(value: Any, what: str, video: str) -> int:
    """A whole number of any integer type.

    Args:
        value: What was given.
        what: The argument's name.
        video: How messages call the video.

    Raises:
        TypeError: If it is none.
    """
    number = index_of(value)
    if number is not None:
        return number
    given = without_urls(repr(value))
    hint = "Of a mask, np.flatnonzero gives them." if is_switch(value) else "Is int() missing around it?"
    raise TypeError(f"{video}: {what} is a whole number, counted from 0, not {given}. {hint}")


def timesteps_of(values: Any, video: str) -> list[int]:
    """Timesteps from anything that gives whole numbers.

    Raises:
        TypeError: If it gives none.
    """
    several: Iterable[Any] | None = None
    if not isinstance(values, (str, bytes)):
        with contextlib.suppress(TypeError):
            several = iter(values)
    if several is None:
        given = without_urls(repr(values))
        raise TypeError(f"{video}: timesteps are a list, such as [9, 3], not {given}. For one: get_frame_at.")
    return [whole(value, "each of timesteps", video) for value in several]


def range_of(start: Any, stop: Any, step: Any, video: str) -> range:
    """``range(start, stop, step)``.

    Raises:
        TypeError: If one of them is no whole number.
        SelectionError: If the step is 0.
    """
    given = {"start": start, "stop": stop, "step": step}
    start, stop, step = (whole(value, what, video) for what, value in given.items())
    if step == 0:
        raise SelectionError(f"{video}: step is a number of timesteps, not 0. Leave it out for all of them.")
    return range(start, stop, step)
