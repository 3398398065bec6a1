"""What callers write for a number or a list, of whatever type; any array has ``__index__`` and ``__iter__``."""

from __future__ import annotations

import contextlib
import operator
from typing import Any


def index_of(written: Any) -> int | None:
    """A whole number of any integer type, None for anything else."""
    with contextlib.suppress(TypeError):
        return None if isinstance(written, bool) else operator.index(written)
    return None


def items_of(written: Any) -> list[Any] | None:
    """What can be iterated over as a list, None for anything else."""
    items = None
    with contextlib.suppress(TypeError):
        items = iter(written)
    return None if items is None else list(items)
