"""What tells one stage from another: its source, and what that refers to, as far as it can be read."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import SelectionError
from .stages import Stage


def describe_stage(one: Stage) -> dict[str, Any]:
    """What a plan keeps of a stage: its name, columns, and a digest of what it is made of, as far as that can be read.

    That is its source, and its ``version`` if it has one; else the plain values that it refers to (globals, closures,
    defaults, attributes, arguments of a ``functools.partial``), and the functions, in the same way.

    Raises:
        SelectionError: If its source cannot be read, and it has no ``version`` to tell it by.
    """
    kind = one.func if isinstance(one, functools.partial) else one
    kind = kind if inspect.isroutine(kind) else type(kind)
    name = getattr(kind, "__qualname__", repr(kind))
    version, source = getattr(one, "version", None), _source_of(kind)
    if not source and version is None:
        raise SelectionError(
            f"The source of the stage {name} cannot be read, so that a plan cannot tell it from another one. Define it "
            "in a file, or give it an attribute `version`."
        )
    told = hashlib.sha256(
        json.dumps([source, str(version) if version is not None else _values_of(one)]).encode()
    ).hexdigest()[:16]
    return {"name": name, "columns": dict(one.columns), "source": told}  # type: ignore[attr-defined]


def _values_of(one: Any, seen: frozenset[int] = frozenset()) -> list[Any]:
    """What a stage refers to, in a fixed order: plain values, and functions by their source and what they refer to."""
    if id(one) in seen:
        return []
    seen |= {id(one)}
    if isinstance(one, functools.partial):
        return [_values_of(one.func, seen), _plain(list(one.args)), _plain(one.keywords)]
    if not inspect.isroutine(one):
        return [_plain(getattr(one, "__dict__", {})), _values_of(type(one).__call__, seen)]
    function = inspect.unwrap(getattr(one, "__func__", one))
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    used = {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
    closed = dict(zip(code.co_freevars, map(_cell, function.__closure__ or ()), strict=True))
    functions = [value for value in [*used.values(), *closed.values()] if inspect.isfunction(value)]
    helpers = [[_source_of(value), _values_of(value, seen)] for value in functions]
    mine = getattr(getattr(one, "__self__", None), "__dict__", {})
    return [*map(_plain, (used, closed, [function.__defaults__, function.__kwdefaults__], mine)), helpers]


def _source_of(kind: Any) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _plain(value: Any) -> Any:
    """A value as JSON, with arrays by their bytes; what is neither plain nor made of that is told by its type alone."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item) for item in value]
        return sorted(items, key=json.dumps) if isinstance(value, (set, frozenset)) else items
    return type(value).__name__
