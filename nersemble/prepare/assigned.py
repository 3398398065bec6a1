"""Globals that a stage's own code assigns as it runs, such as a model that is loaded at the first call.

They are what a run has made of a stage, not what it is: what they hold tells no stage from another, and does not travel
to workers, which begin with what was there when the stage was defined.
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

_ASSIGNS = {"STORE_GLOBAL", "DELETE_GLOBAL"}
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


def assigned_by(stage: Any) -> set[tuple[int, str]]:
    """Names that a stage assigns, and what it calls of the caller's own code: each with the ``id`` of its globals."""
    return set(_spaces(stage))


def keep_first(stage: Any) -> None:
    """Remember what the globals hold that a stage assigns, before it has run; what was remembered earlier stays."""
    if isinstance(stage, types.FunctionType):
        held = {(at, name): space.get(name, ABSENT) for (at, name), space in _spaces(stage).items()}
        _first[stage] = {**held, **_first.get(stage, {})}


def first_of(stages: tuple[Any, ...]) -> dict[tuple[int, str], Any]:
    """What was remembered of stages."""
    held: dict[tuple[int, str], Any] = {}
    for one in stages:
        held |= _first.get(one, {}) if isinstance(one, types.FunctionType) else {}
    return held


def _spaces(stage: Any) -> dict[tuple[int, str], dict[str, Any]]:
    found: dict[tuple[int, str], dict[str, Any]] = {}
    seen: set[int] = set()
    waiting: list[Any] = [stage]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, types.ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, types.FunctionType):
            waiting += _followed(one, found)
        elif isinstance(one, types.MethodType):
            waiting += [one.__func__, one.__self__]
        elif isinstance(one, functools.partial):
            waiting += [one.func, *one.args, *one.keywords.values()]
        elif hasattr(one, "__wrapped__"):
            waiting.append(inspect.unwrap(one))
        elif isinstance(one, type) and package_of(str(one.__module__)) is None:
            waiting += [function for value in vars(one).values() for function in functions_of(value)]
            waiting += one.__bases__
        elif not isinstance(one, type):
            waiting.append(type(one))
    return found


def _followed(function: types.FunctionType, found: dict[tuple[int, str], dict[str, Any]]) -> list[Any]:
    """What a function refers to; names that it assigns are put into ``found``."""
    space = function.__globals__
    wrapped = [function.__wrapped__] if hasattr(function, "__wrapped__") else []
    if package_of(str(space.get("__name__", ""))) is not None:
        return wrapped
    codes = list(nested(function.__code__))
    assigned = {step.argval for code in codes for step in dis.get_instructions(code) if step.opname in _ASSIGNS}
    found |= {(id(space), name): space for name in assigned}
    names = {name for code in codes for name in code.co_names}
    held = [space[name] for name in names & space.keys() if (id(space), name) not in found]
    of_modules = [vars(one).get(name) for one in held if isinstance(one, types.ModuleType) for name in names]
    closed = [content_of(cell) for cell in function.__closure__ or ()]
    return [*wrapped, *held, *(one for one in of_modules if one is not None), *closed]
