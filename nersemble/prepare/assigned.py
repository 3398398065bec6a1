"""Globals that a stage's own code assigns as it runs, such as a model that is loaded at the first call.

They are what a run has made of a stage, not what it is: a stage is told by what they held when it was defined, and
workers begin with that.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
import weakref
from collections.abc import Iterator
from typing import Any

from .owners import package_of

_ASSIGNS, _LOADS, _TAKES = {"STORE_GLOBAL", "DELETE_GLOBAL"}, {"LOAD_GLOBAL", "LOAD_NAME"}, {"LOAD_ATTR", "LOAD_METHOD"}
#: Stands for a name that was not there.
ABSENT = object()
#: What the globals were when a function was made a stage: by its module's names and the name.
_first: weakref.WeakKeyDictionary[Any, dict[tuple[int, str], Any]] = weakref.WeakKeyDictionary()


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code, with that of the functions, lambdas, classes and comprehensions in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from nested(one)


def functions_of(member: Any) -> list[types.FunctionType]:
    """The functions of a member of a class: a method, or those behind a property."""
    if isinstance(member, property):
        found = [member.fget, member.fset, member.fdel]
    else:
        found = [getattr(member, "__func__", getattr(member, "func", member))]
    return [one for one in found if isinstance(one, types.FunctionType)]


def content_of(cell: Any) -> Any:
    """What a cell of a closure holds; None as long as that is nothing."""
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def keep_first(stage: Any) -> None:
    """Remember what the globals hold that a stage assigns, before it has run; what was remembered earlier stays."""
    function = _function_of(stage)
    if function is not None:
        held = {(at, name): space.get(name, ABSENT) for (at, name), space in _spaces(function).items()}
        _first[function] = {**held, **_first.get(function, {})}


def first_of(stages: tuple[Any, ...]) -> dict[tuple[int, str], Any]:
    """What was remembered of stages: by the ``id`` of globals and the name, ``ABSENT`` of what was not there."""
    held: dict[tuple[int, str], Any] = {}
    for function in filter(None, map(_function_of, stages)):
        held |= _first.get(function, {})
    return held


def _function_of(stage: Any) -> types.FunctionType | None:
    while isinstance(stage, functools.partial):
        stage = stage.func
    return stage if isinstance(stage, types.FunctionType) else None


def _spaces(function: types.FunctionType) -> dict[tuple[int, str], dict[str, Any]]:
    """The globals in which a function, and the caller's own functions that it names, assign a name: by that too.

    Methods are not followed: which of them are called is not known, and what they assign may be set by the caller.
    """
    found: dict[tuple[int, str], dict[str, Any]] = {}
    seen: set[int] = set()
    waiting: list[Any] = [function]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, types.FunctionType):
            waiting += _followed(one, found)
        # What a decorator or a cache calls, beside what it may assign itself.
        partial = isinstance(one, functools.partial)
        waiting.append(one.func if partial else inspect.getattr_static(one, "__wrapped__", None))
    return found


def _followed(function: types.FunctionType, found: dict[tuple[int, str], dict[str, Any]]) -> list[Any]:
    """What a function names and may call; names that it assigns are put into ``found``."""
    space = function.__globals__
    if package_of(str(space.get("__name__", ""))) is not None:
        return []
    steps = [step for code in nested(function.__code__) for step in dis.get_instructions(code)]
    found |= {(id(space), step.argval): space for step in steps if step.opname in _ASSIGNS}
    held = [space[step.argval] for step in steps if step.opname in _LOADS and step.argval in space]
    attributes = {step.argval for step in steps if step.opname in _TAKES}
    closed = [content_of(cell) for cell in function.__closure__ or ()]
    return [one for one in _with_parts([*held, *closed], attributes) if callable(one)]


def _with_parts(held: list[Any], attributes: set[str]) -> list[Any]:
    """What code holds, with what it can take out of modules among that, and out of modules in these."""
    found, modules = list(held), set[int]()
    for one in found:
        if isinstance(one, types.ModuleType) and id(one) not in modules:
            modules.add(id(one))
            found += [vars(one)[name] for name in attributes & vars(one).keys()]
    return found
