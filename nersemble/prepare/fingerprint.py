"""What tells one stage from another: its source, and what that refers to, as far as it can be read."""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import importlib.util
import inspect
import json
import re
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import SelectionError, StageWarning
from .assigned import ABSENT, content_of, first_of, functions_of, keep_first, nested
from .owners import package_of
from .stages import Stage
from .told import Values, is_own, mix, name_of

#: Names in a module that say where it lies.
_MACHINE = {"__file__", "__path__", "__cached__", "__spec__", "__loader__", "__builtins__"}
_LAMBDA = re.compile(r"\blambda\b")
#: Untold values that a warning names.
_NAMED = 5


def describe_stage(one: Stage) -> dict[str, Any]:
    """What a plan keeps of a stage: its name, columns, and a digest of what it is made of, as far as that can be read.

    That is its source, and its ``version`` if it has one; else the values that it refers to (globals, closures,
    defaults, attributes, arguments of a ``functools.partial``), the caller's own functions, classes and modules among
    them in the same way, and the versions of packages. Globals that this code assigns count by what they held at first.
    Warns of values that only their type tells.

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
    told = str(version)
    if version is None:
        keep_first(one)  # of functions that were not there yet when it became a stage
        values = References(first_of((one,)))
        told = values.tell(one, "")
        if values.untold:
            untold = list(dict.fromkeys(values.untold))
            more = f" and {len(untold) - _NAMED} more" if len(untold) > _NAMED else ""
            warnings.warn(
                f"The stage {name} refers to {', '.join(untold[:_NAMED])}{more}, told by type or name alone: when that "
                "changes, old shards are kept. Give the stage an attribute `version`, and change it with them.",
                StageWarning,
                stacklevel=3,
            )
    digest = hashlib.sha256(json.dumps([source, told]).encode()).hexdigest()[:16]
    return {"name": name, "columns": dict(one.columns), "source": digest}  # type: ignore[attr-defined]


class References(Values):
    """Tells code too: the caller's own by its source and what it refers to, that of packages by name and version.

    Args:
        first: What globals are told by that the stage itself assigns, as ``first_of`` gives it.
    """

    def __init__(self, first: Mapping[tuple[int, str], Any] | None = None) -> None:
        super().__init__()
        self._first = first or {}

    def refer(self, value: Any, where: str) -> str | None:
        """The digest of a function, method, class or module; None for other things."""
        if isinstance(value, types.ModuleType):
            return self._module(value, frozenset(), where)
        if isinstance(value, type):
            return self._class(value, where)
        if isinstance(value, types.FunctionType):
            return self._function(value, where)
        if isinstance(value, types.MethodType):
            return mix(self.tell(value.__func__, where), self.tell(value.__self__, where))
        if hasattr(value, "__wrapped__") and callable(value):  # a cache, say, or something compiled
            return mix(type(value).__name__, self.tell(value.__wrapped__, where))
        if isinstance(value, types.BuiltinMethodType) and not isinstance(
            value.__self__, (types.ModuleType, type(None))
        ):
            return mix(value.__name__, self.tell(value.__self__, where))
        if isinstance(value, np.ufunc):
            return mix(f"{package_of('numpy')} {value.__name__}")
        named = isinstance(getattr(value, "__qualname__", None), str) and callable(value)
        return mix(name_of(value)) if named else None

    def _function(self, function: types.FunctionType, where: str) -> str:
        wrapped, space, code = getattr(function, "__wrapped__", None), function.__globals__, function.__code__
        told = [] if wrapped is None else [self.tell(wrapped, where)]
        if package_of(str(space.get("__name__", ""))) is not None:
            if wrapped is None and function.__closure__:  # made by a call, of what was given to it
                self.untold.append(where or function.__qualname__)
            return mix(name_of(function), *told)
        names = frozenset(name for one in nested(code) for name in one.co_names)
        used = self._held_in(space, names)
        closed = dict(zip(code.co_freevars, map(content_of, function.__closure__ or ()), strict=True))
        others = {name: one for name, one in vars(function).items() if name not in ("__wrapped__", "columns")}
        return mix(
            self._written(code, where),
            self._followed(used, names, where),
            self._followed(closed, names, where),
            self.tell([function.__defaults__, function.__kwdefaults__], f"{where}()"),
            self.named(others, where),
            *self._imported(code, space, where),
            *told,
        )

    def _followed(self, values: Mapping[str, Any], names: frozenset[str], where: str) -> str:
        """Values by name, with what code that uses ``names`` can take out of modules among them."""
        parts: list[str] = []
        for name in sorted(values):
            value, place = values[name], f"{where}.{name}" if where else name
            module = isinstance(value, types.ModuleType)
            parts += [name, self._module(value, names, place) if module else self.tell(value, place)]
        return mix(*parts)

    def _module(self, module: types.ModuleType, names: frozenset[str], where: str) -> str:
        package = package_of(module.__name__)
        if package is not None:
            return mix(package, module.__name__)
        held = self._held_in(vars(module), names)
        return self.once((id(module), names), module, lambda: self._followed(held, names, where))

    def _held_in(self, space: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
        """What the names of a module hold; those that the stage itself assigns, what they held before it ran."""
        held = {name: self._first.get((id(space), name), space.get(name, ABSENT)) for name in names - _MACHINE}
        return {name: value for name, value in held.items() if value is not ABSENT}

    def _imported(self, code: types.CodeType, space: Mapping[str, Any], where: str) -> Iterator[str]:
        """What code imports as it runs; nothing is imported to look into it, so that the caller's own is untold."""
        for name in sorted({name for one in nested(code) for name in _imports(one, space.get("__package__") or "")}):
            package = package_of(name)
            if package is None:
                self.untold.append(f"{where}.import {name}" if where else f"import {name}")
            yield mix("import", name, str(package))

    def _written(self, code: types.CodeType, where: str) -> str:
        """The source of code, and what tells a lambda from the others in its line."""
        source = _source_of(code)
        if source and not (code.co_name == "<lambda>" and len(_LAMBDA.findall(source)) > 1):
            return source
        return mix(source, self._compiled(code, where))

    def _compiled(self, code: types.CodeType, where: str) -> str:
        """What code does and with what; by another version of Python it is another."""
        constants = [self._compiled(one, where) if isinstance(one, types.CodeType) else one for one in code.co_consts]
        return mix(code.co_code.hex(), *code.co_names, *code.co_varnames, self.tell(constants, where))

    def _class(self, kind: type, where: str) -> str:
        if not is_own(kind):
            return mix(name_of(kind))
        return mix(*(self._own_class(base, where) if is_own(base) else name_of(base) for base in kind.__mro__))

    def _own_class(self, kind: type, where: str) -> str:
        source, held = _source_of(kind), {}
        if issubclass(kind, enum.Enum):
            held = {f"{name}=": member.value for name, member in kind.__members__.items()}
        for name, value in vars(kind).items():
            if name.startswith("_") and _is_made(value):
                continue
            functions = [one for one in functions_of(value) if not source or _source_of(one.__code__)]
            held |= {f"{name} {number}" if number else name: one for number, one in enumerate(functions)}
            if not functions and not (name.startswith("_") and name.endswith("_")) and name != "_abc_impl":
                bound = hasattr(type(value), "__get__") and not is_own(type(value))
                held |= {} if bound else {name: value}
        return mix(source, self.named(held, where))


def _is_made(member: Any) -> bool:
    """Whether a member of a class is one that the standard library put there, as into a named tuple."""
    found = functions_of(member)
    names = {package_of(str(one.__globals__.get("__name__", ""))) for one in found if not hasattr(one, "__wrapped__")}
    return names == {"python"}


def _imports(code: types.CodeType, package: str) -> Iterator[str]:
    """Modules that code imports as it runs, by their full names."""
    steps = list(dis.get_instructions(code))
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level = steps[number - 2].argval
            name = "." * (level if isinstance(level, int) else 0) + str(step.argval)
            try:
                yield importlib.util.resolve_name(name, package)
            except ImportError:  # of no package, so that it fails
                yield name


def _source_of(kind: Any) -> str:
    """The source of code, a function or a class; "" if there is none."""
    code = getattr(kind, "__code__", kind)
    if getattr(code, "co_filename", "") == "<string>":  # what is made at run time, whose name from 3.13 on `-c` has too
        return ""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""
