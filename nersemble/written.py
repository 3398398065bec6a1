"""What callers write for a number, a list or a switch, of whatever type.

Any array has ``__index__`` and ``__iter__``, so that these say nothing.
"""

from __future__ import annotations

import contextlib
import operator
import sys
from typing import Any

from .errors import SelectionError


def index_of(written: Any) -> int | None:
    """A whole number of any integer type, None for anything else."""
    with contextlib.suppress(TypeError):
        return None if is_switch(written) else operator.index(written)
    return None


def is_switch(written: Any) -> bool:
    """Whether it is true or false, or an array or tensor of these."""
    return isinstance(written, bool) or str(getattr(written, "dtype", "")).endswith("bool")  # of torch too


def items_of(written: Any) -> list[Any] | None:
    """What can be iterated over as a list, None for anything else."""
    items = None
    with contextlib.suppress(TypeError):
        items = iter(written)
    return None if items is None else list(items)


def count_of(written: Any, name: str, most: int | None = None) -> int:
    """How many there are to be, such as workers.

    Raises:
        SelectionError: If it is no whole number of 1 to ``most``.
    """
    number = index_of(written)
    if number is None or number < 1 or (most is not None and number > most):
        told = "of 1 or more" if most is None else f"from 1 to {most}"
        raise SelectionError(f"{name} is a number {told}, not {written!r}.")
    return number


def switch_of(written: Any, name: str) -> bool:
    """What is on or off.

    Raises:
        SelectionError: If it is neither, such as a text or a number, which would count as on.
    """
    kinds = bool, getattr(sys.modules.get("numpy"), "bool_", bool)  # nothing is NumPy's where nobody has imported it
    if not isinstance(written, kinds):
        raise SelectionError(f"{name} is True or False, not {written!r}.")
    return bool(written)
