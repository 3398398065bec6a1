"""Values as digests: the same for equal values in every interpreter and folder, on every machine.

No digest depends on a path of a module, an address in memory, or the order of a set. Functions and classes of the
caller's own, and what they refer to, are told by ``fingerprint``, which this is the ground of.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import json
import logging
import pathlib
import re
import threading
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .owners import package_of

_PLAIN = (type(None), bool, int, float, complex, str, type(...), type(NotImplemented))
#: Values that are what their ``repr`` says.
_BY_REPR = (
    *(range, decimal.Decimal, fractions.Fraction, uuid.UUID, np.dtype, types.GenericAlias, types.UnionType),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
)
#: What stands for a default in the ``__init__`` that Python writes for a data class whose field has a factory.
_MADE: Any = dataclasses.make_dataclass("_MADE", [("a", list, dataclasses.field(default_factory=list))])
_STAND_IN = type(_MADE.__init__.__defaults__[0])
#: What holds no value that a column could depend on.
_WITHOUT_VALUE = (logging.Logger, type(threading.Lock()), type(threading.RLock()), _STAND_IN)


def mix(*parts: str) -> str:
    """One digest of several texts."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_own(kind: type) -> bool:
    """Whether a class is the caller's own, rather than one of a package."""
    return package_of(str(kind.__module__)) is None


def name_of(thing: Any) -> str:
    """Where a thing of a package is found: its module and name, and the version of the package."""
    module = str(getattr(thing, "__module__", None) or "builtins")
    return f"{package_of(module)} {module}.{getattr(thing, '__qualname__', getattr(thing, '__name__', ''))}"


def _held(array: NDArray[Any]) -> str:
    """The digest of what an array holds, field by field, since anything may lie between two fields."""
    if array.dtype.names is not None:
        return mix(*(_held(array[name]) for name in array.dtype.names))
    array = np.ascontiguousarray(array)
    if array.dtype.type in (np.longdouble, np.clongdouble) and np.finfo(np.longdouble).nmant == 63:
        numbers = array.astype(array.dtype.newbyteorder("="), copy=False).view(np.longdouble)
        array = numbers.view(np.uint8).reshape(-1, numbers.itemsize)[:, :10]  # behind which lies anything too
    return hashlib.sha256(array.tobytes()).hexdigest()


class Values:
    """Tells values, each once.

    Attributes:
        untold: Where there are values that are told by their type alone.
    """

    def __init__(self) -> None:
        self.untold: list[str] = []
        self._known: dict[Any, tuple[Any, str]] = {}  # with the value, so that no other one gets its id
        self._under_way: set[Any] = set()

    def tell(self, value: Any, where: str) -> str:
        """The digest of a value that ``where`` names."""
        if type(value) in _PLAIN:
            return mix(type(value).__name__, hex(value) if type(value) is int else repr(value))
        return self.once(id(value), value, lambda: self._told(value, where))

    def once(self, key: Any, value: Any, tell: Callable[[], str]) -> str:
        """What ``tell`` gives, asked once; a word for what is being told already, in a circle."""
        if key in self._known:
            return self._known[key][1]
        if key in self._under_way:
            return mix("again", type(value).__name__)
        self._under_way.add(key)
        told = tell()
        self._under_way.discard(key)
        self._known[key] = (value, told)
        return told

    def named(self, values: Mapping[str, Any], where: str) -> str:
        """The digest of values that have names, in the order of these."""
        before = f"{where}." if where else ""
        return mix(*(part for key in sorted(values) for part in (key, self.tell(values[key], before + key))))

    def _told(self, value: Any, where: str) -> str:
        kind = type(value)
        way = next((way for kinds, way in self._WAYS if isinstance(value, kinds)), None)
        if way is not None:
            told = mix(kind.__name__, way(self, value, where))
            return mix(told, self.state(value, where)) if is_own(kind) and not isinstance(value, type) else told
        referred = self.refer(value, where)
        if referred is not None:
            return referred
        if is_own(kind):
            if any(not is_own(base) and base.__module__ not in ("builtins", "abc", "typing") for base in kind.__mro__):
                self.untold.append(where or kind.__name__)  # what a base of a package keeps may lie elsewhere
            return self.state(value, where)
        if dataclasses.is_dataclass(value):
            held = {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
            return mix(name_of(kind), self.named(held, where))
        if kind.__module__ == "typing":
            return mix(repr(value))
        if kind is not object and not isinstance(value, _WITHOUT_VALUE):
            self.untold.append(where or kind.__name__)
        return mix(name_of(kind))

    def refer(self, value: Any, where: str) -> str | None:
        """The digest of code or of a module; None for other things."""
        raise NotImplementedError

    def state(self, value: Any, where: str) -> str:
        """The digest of an object's class and attributes, less those that are worked out from the others."""
        kind = type(value)
        members = [pair for base in kind.__mro__ for pair in vars(base).items()]
        slots = {name for name, one in members if isinstance(one, types.MemberDescriptorType)}
        held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        held |= {str(name): one for name, one in getattr(value, "__dict__", {}).items()}
        worked_out = {name for name in held if isinstance(getattr(kind, name, None), functools.cached_property)}
        kept = {name: one for name, one in held.items() if name not in worked_out}
        return mix(self.tell(kind, where), self.named(kept, where))

    def _enum(self, value: enum.Enum, where: str) -> str:
        return mix(str(value.name), self.tell(value.value, where))

    def _array(self, value: Any, where: str) -> str:
        mask = np.ma.getmaskarray(value) if isinstance(value, np.ma.MaskedArray) else None
        array = np.asarray(value)
        held = self.tell(array.tolist(), where) if array.dtype.hasobject else _held(array)
        return mix(str(array.dtype), repr(array.shape), held, *([] if mask is None else [self._array(mask, where)]))

    def _bytes(self, value: Any, where: str) -> str:
        return hashlib.sha256(value).hexdigest()

    def _items(self, value: Iterable[Any], where: str) -> str:
        held = list(value)
        if {type(item) for item in held} <= {bool, int, float, str}:  # at once: there may be millions
            try:
                return hashlib.sha256(repr(held).encode("utf-8", "backslashreplace")).hexdigest()
            except ValueError:  # an integer too long to be written
                pass
        return mix(*(self.tell(item, where) for item in held))

    def _set(self, value: Iterable[Any], where: str) -> str:
        held = sorted(value, key=lambda item: str(getattr(item, "__qualname__", "")))
        return mix(*sorted(self.tell(item, where) for item in held))

    def _mapping(self, value: Mapping[Any, Any], where: str) -> str:
        """In its order, which may be the meaning of it: of labels that are numbered as they come, say."""
        made = self.tell(value.default_factory, where) if isinstance(value, collections.defaultdict) else ""
        pairs = [
            (self.tell(key, where), f"{where}[{key!r}]" if type(key) in (str, int) else where, key) for key in value
        ]
        return mix(
            made,
            *(part for told, place, key in pairs for part in (told, self.tell(value[key], place))),
        )

    def _partial(self, value: Any, where: str) -> str:
        parts = (value.func, value.args, value.keywords)
        return mix(*(self.tell(part, where) for part in parts))

    def _pattern(self, value: Any, where: str) -> str:
        return mix(self.tell(value.pattern, where), str(value.flags))

    def _slice(self, value: slice, where: str) -> str:
        return self._items((value.start, value.stop, value.step), where)

    def _repr(self, value: Any, where: str) -> str:
        return repr(value)

    def _plain(self, value: Any, where: str) -> str:
        """Of a class that is derived from a plain one."""
        if isinstance(value, str):
            return str.__str__(value)
        return int.__repr__(value) if isinstance(value, int) else repr(complex(value))

    _WAYS: ClassVar[tuple[tuple[Any, Any], ...]] = (
        (enum.Enum, _enum),
        ((np.ndarray, np.generic), _array),
        ((bytes, bytearray), _bytes),
        ((bool, int, float, complex, str), _plain),
        ((list, tuple, collections.deque), _items),
        ((set, frozenset), _set),
        ((dict, types.MappingProxyType), _mapping),
        (functools.partial, _partial),
        (re.Pattern, _pattern),
        (pathlib.PurePath, lambda self, value, where: value.as_posix()),
        (types.SimpleNamespace, lambda self, value, where: self.named(vars(value), where)),
        (slice, _slice),
        (_BY_REPR, _repr),
    )
