"""Which frames of a video are wanted: a slice with a stride, or a list, however it is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SelectionError
from .written import index_of, items_of

#: Python turns no text of thousands of digits into a number.
_NUMBER = re.compile(r"[0-9]{1,18}")
_PART = r"\s*([0-9]{0,18})\s*"
_SLICE = re.compile(f"{_PART}:{_PART}(?::{_PART})?")
_FORM = 'Write a slice such as "0:300:3", a number, or a list of numbers of 0 or more.'


@dataclass(frozen=True)
class Timesteps:
    """Wanted timesteps: ``start:stop:step``, or the ascending numbers ``listed``.

    Python's slice rules hold: a stop beyond the end of a video is its end.
    """

    start: int = 0
    stop: int | None = None
    step: int = 1
    listed: tuple[int, ...] | None = None

    def within(self, num_frames: int) -> NDArray[np.int32]:
        """The wanted timesteps that a video of ``num_frames`` frames has, ascending, int32."""
        if self.listed is not None:
            wanted = np.array(self.listed, np.int32)
            return wanted[wanted < num_frames]
        stop = num_frames if self.stop is None else min(self.stop, num_frames)
        return np.arange(self.start, max(stop, self.start), self.step, dtype=np.int32)

    def __str__(self) -> str:
        if self.listed is not None:
            return ",".join(map(str, self.listed))
        return f"{self.start}:{'' if self.stop is None else self.stop}:{self.step}"


def parse_timesteps(written: Any) -> Timesteps:
    """Read a written form: None (all), ``"0:300:3"``, a slice, a range, a number, or an iterable of numbers.

    Raises:
        SelectionError: If it is none of these, negative, empty, or has a step below 1.
    """
    if written is None:
        return Timesteps()
    if isinstance(written, Timesteps):
        return written
    if isinstance(written, str):
        if match := _SLICE.fullmatch(written):
            start, stop, step = (int(part) if part else None for part in match.groups())
            return _slice(start, stop, step)
        numbers: Iterable[Any] = [word.strip() for word in written.split(",") if word.strip()]
        return _listed(int(word) if _NUMBER.fullmatch(word) else word for word in numbers)
    if isinstance(written, slice):
        return _slice(written.start, written.stop, written.step)
    if isinstance(written, range) and written.step > 0 and len(written):
        return _slice(written.start, written.stop, written.step)
    number = index_of(written)
    several = items_of(written) if number is None else [number]
    if several is not None:
        return _listed(several)
    raise SelectionError(f"timesteps cannot be {written!r}. {_FORM}")


def _slice(start: Any, stop: Any, step: Any) -> Timesteps:
    first, last, stride = (None if x is None else _number(x) for x in (start, stop, step))
    stride = 1 if stride is None else stride
    first = first or 0
    if stride < 1:
        raise SelectionError("timesteps need a step of 1 or more.")
    if last is not None:
        if last <= first:
            raise SelectionError(f"timesteps {first}:{last} are empty. {_FORM}")
        if last - first <= stride:
            return Timesteps(listed=(first,))
        last = first + (last - first - 1) // stride * stride + 1  # 0:10:3 and 0:12:3 are the same frames
    return Timesteps(first, last, stride)


def _listed(numbers: Iterable[Any]) -> Timesteps:
    listed = tuple(sorted({_number(number) for number in numbers}))
    if not listed:
        raise SelectionError(f"timesteps are empty. {_FORM}")
    strides = {b - a for a, b in itertools.pairwise(listed)}
    if len(strides) == 1:
        return Timesteps(listed[0], listed[-1] + 1, strides.pop())
    return Timesteps(listed=listed)


def _number(number: Any) -> int:
    index = index_of(number)
    if index is None or index < 0:
        raise SelectionError(f"timesteps cannot hold {number!r}: frames are counted from 0, from the start. {_FORM}")
    if index >= 2**31:
        raise SelectionError(f"timesteps cannot hold {number!r}: no video has so many frames. {_FORM}")
    return index
