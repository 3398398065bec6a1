"""Stages: a caller's functions that add columns to each picture, such as masks.

A stage is a callable with an attribute ``columns``, made by the decorator ``stage``:

>>> @stage(brightness="float32")
... def brightness(image, background, camera, row):
...     return {"brightness": float(image.mean())}

It gets the picture ``(H, W, 3)`` uint8 RGB as it will be encoded, the camera's still of the empty set in the same size
and colours (None if there is none), the ``Camera`` that belongs to the picture, and the ids of the row.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import PrepareError, SelectionError
from .encode import encode_png

#: Kinds of columns: a picture, stored as PNG, or a value.
KINDS = ("image", "bool", "int32", "int64", "float32", "float64", "string")
_TYPES = {"bool": pa.bool_(), "string": pa.string()}
#: Columns that every shard has.
TAKEN = set(
    "participant sequence camera cameras timestep timesteps frame frames video num_frames fps width height intrinsics "
    "world_to_camera ccm".split()
)

Stage = Callable[..., Mapping[str, Any]]


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a kind of value."""
    return _TYPES.get(kind) or getattr(pa, kind)()


def stage(**columns: str) -> Callable[[Stage], Stage]:
    """Say which columns a stage adds, and of which kind each is: one of ``KINDS``.

    ``image`` is ``(H, W)`` or ``(H, W, 3)`` of uint8, or a mask ``(H, W)`` of bool.
    """
    _check_columns(columns)

    def mark(function: Stage) -> Stage:
        function.columns = columns  # type: ignore[attr-defined]
        return function

    return mark


def _check_columns(columns: Any) -> None:
    if not isinstance(columns, Mapping) or not columns or not all(isinstance(name, str) for name in columns):
        raise SelectionError('A stage names the columns it adds: @nersemble.prepare.stage(mask="image").')
    unknown = {kind for kind in columns.values() if kind not in KINDS}
    if unknown:
        raise SelectionError(f"A column of a stage is one of {', '.join(KINDS)}, not {', '.join(map(repr, unknown))}.")
    if not all(name.isidentifier() for name in columns):
        raise SelectionError("A column of a stage is named like a variable: letters, digits and underscores.")
    taken = sorted(TAKEN & set(columns))
    if taken:
        raise SelectionError(f"Every row has {', '.join(taken)} already. Give a stage's column another name.")


def check_stages(stages: Any) -> tuple[Stage, ...]:
    """Check stages as a caller gives them.

    Raises:
        SelectionError: If one is no stage, or two add one column.
    """
    stages = tuple(stages or ()) if isinstance(stages, (Sequence, type(None))) else (stages,)
    names: list[str] = []
    for one in stages:
        if not callable(one):
            raise SelectionError(f"A stage is a function, not {one!r}.")
        columns: Any = getattr(one, "columns", None)
        _check_columns(columns)
        names += columns
    if len(names) != len(set(names)):
        raise SelectionError("Two stages add a column of one name.")
    return stages


def columns_of(stages: Sequence[Stage]) -> dict[str, str]:
    """Every column that stages add, with its kind."""
    return {name: kind for one in stages for name, kind in one.columns.items()}  # type: ignore[attr-defined]


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


def pack_stages(stages: Sequence[Stage]) -> str:
    """Stages as text for another process.

    Raises:
        PrepareError: If they cannot be sent.
    """
    import dill

    problem = ""
    try:
        return base64.b64encode(dill.dumps(tuple(stages), recurse=True)).decode()
    except Exception as error:  # noqa: BLE001 - a caller's objects raise what they like
        problem = f"{type(error).__name__}: {error}"
    raise PrepareError(f"A stage cannot be sent to a worker: {problem}. Define it at the top of a module.")


def unpack_stages(text: str) -> tuple[Stage, ...]:
    """Read back what ``pack_stages`` gave.

    Raises:
        PrepareError: If a module that a stage needs is not there.
    """
    import dill

    problem = ""
    try:
        return dill.loads(base64.b64decode(text))
    except Exception as error:  # noqa: BLE001 - what it imports raises what it likes
        problem = f"{type(error).__name__}: {error}"
    raise PrepareError(f"A stage cannot be loaded by this worker: {problem}. Is its module installed here?")


@dataclass(frozen=True)
class StageInput:
    """What stages are called with; as their arguments."""

    image: NDArray[np.uint8]
    background: NDArray[np.uint8] | None
    camera: Any
    row: dict[str, Any]


def run_stages(stages: Sequence[Stage], given: StageInput, stem: str) -> dict[str, Any]:
    """The values of the columns that stages add to one picture, as a shard holds them.

    Args:
        stages: What to call, in order.
        given: Their arguments.
        stem: Name of the picture's file without its suffix.

    Raises:
        PrepareError: If one fails, or gives something else than it said.
    """
    values: dict[str, Any] = {}
    for one in stages:
        columns: dict[str, str] = one.columns  # type: ignore[attr-defined]
        name, problem = getattr(one, "__name__", type(one).__name__), ""
        try:
            told = one(given.image, given.background, given.camera, dict(given.row))
        except Exception as error:  # noqa: BLE001 - a caller's function raises what it likes
            problem = f"{type(error).__name__}: {error}"
        if problem:
            raise PrepareError(f"The stage {name} failed at {stem}: {problem}")
        if not isinstance(told, Mapping) or set(told) != set(columns):
            raise PrepareError(f"The stage {name} gave other columns than {', '.join(columns)} at {stem}.")
        values |= {column: _stored(told[column], kind, f"{stem}-{column}") for column, kind in columns.items()}
    return values


def _stored(value: Any, kind: str, stem: str) -> Any:
    if kind != "image":
        value = value.item() if isinstance(value, np.generic) else value
        fits = not (isinstance(value, float) and kind.startswith("int"))
        try:
            if value is not None and fits:
                return pa.scalar(value, arrow_type(kind)).as_py()
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
            pass
        raise PrepareError(f"{value!r} of {stem} is no {kind}.")
    picture = np.asarray(value)
    if (
        not picture.size
        or picture.dtype not in (np.uint8, np.bool_)
        or picture.ndim not in (2, 3)
        or picture.shape[2:] not in ((), (3,))
    ):
        raise PrepareError(f"{stem} is {picture.dtype.name} {picture.shape}, not uint8 (H, W) or (H, W, 3), or bool.")
    return {"bytes": encode_png(picture), "path": f"{stem}.png"}
