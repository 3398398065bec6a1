"""Stages: a caller's functions that add columns to each picture, such as masks.

A stage is a callable with an attribute ``columns``, made by the decorator ``stage``:

>>> @stage(brightness="float32")
... def brightness(image, background, camera, row):
...     return {"brightness": float(image.mean())}

It gets the picture ``(H, W, 3)`` uint8 RGB as it will be encoded, the camera's still of the empty set in the same size
and colours (None if there is none), the ``Camera`` that belongs to the picture, and the ids of the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import PrepareError, SelectionError
from .assigned import keep_first
from .encode import encode_png
from .options import MOST_PIXELS
from .said import said_by

#: Kinds of columns: a picture, stored as PNG, or a value.
KINDS = ("image", "bool", "int32", "int64", "float32", "float64", "string")
_TYPES = {"bool": pa.bool_(), "string": pa.string()}
#: Columns that every shard has.
TAKEN = set(
    "participant sequence camera cameras timestep timesteps frame frames video num_frames fps width height intrinsics "
    "world_to_camera ccm".split()
)

_NAMELESS = 'A stage names the columns it adds: @nersemble.prepare.stage(mask="image").'

Stage = Callable[..., Mapping[str, Any]]


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a kind of value."""
    return _TYPES.get(kind) or getattr(pa, kind)()


def stage(*function: Any, **columns: str) -> Callable[[Stage], Stage]:
    """Say which columns a stage adds, and of which kind each is: one of ``KINDS``.

    ``image`` is ``(H, W)`` or ``(H, W, 3)`` of uint8, or a mask ``(H, W)`` of bool.
    """
    if function:  # as of @stage without what it adds, of which Python would say that it takes no arguments
        raise SelectionError(_NAMELESS)
    _check_columns(columns)

    def mark(marked: Stage) -> Stage:
        takes = callable(marked)
        try:
            marked.columns = columns  # type: ignore[attr-defined]
        except (AttributeError, TypeError):  # of a method, or of what is not written in Python
            takes = False
        if not takes:
            raise SelectionError(
                f"A stage is a function that takes attributes, which a {type(marked).__name__} does not. Define one "
                "with def, which calls this."
            )
        keep_first(marked)
        return marked

    return mark


def _check_columns(columns: Any) -> None:
    if not isinstance(columns, Mapping) or not columns or not all(isinstance(name, str) for name in columns):
        raise SelectionError(_NAMELESS)
    unknown = {repr(kind): None for kind in columns.values() if not isinstance(kind, str) or kind not in KINDS}
    if unknown:
        raise SelectionError(f"A column of a stage is one of {', '.join(KINDS)}, not {', '.join(unknown)}.")
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


@dataclass(frozen=True)
class StageInput:
    """What stages are called with; as their arguments, the pictures ``sealed``."""

    image: NDArray[np.uint8]
    background: NDArray[np.uint8] | None
    camera: Any
    row: dict[str, Any]


def sealed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a picture that nothing can write to, as the picture is encoded, or shown to the next stage."""
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape)


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
            row = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in given.row.items()}
            told = one(given.image, given.background, given.camera, row)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a caller's function raises what it likes
            problem = said_by(error)
        if problem:
            raise PrepareError(f"The stage {name} failed at {stem}: {problem}")
        if not isinstance(told, Mapping) or set(told) != set(columns):
            raise PrepareError(f"The stage {name} gave other columns than {', '.join(columns)} at {stem}.")
        for column, kind in columns.items():
            try:
                values[column] = _stored(told[column], kind, f"{stem}-{column}")
            except PrepareError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - of whatever was given
                problem = f"what it gave for {column} at {stem} is no {kind} ({said_by(error)})"
            if problem:
                raise PrepareError(f"The stage {name} is wrong: {problem.rstrip('.')}.")
    return values


def _stored(value: Any, kind: str, stem: str) -> Any:
    if kind != "image":
        value = value.item() if isinstance(value, np.generic) else value
        fits = not (isinstance(value, float) and kind.startswith("int"))
        try:
            stored = pa.scalar(value, arrow_type(kind)).as_py() if value is not None and fits else None
            # What is too large for float32 would become infinite.
            if stored is not None and not (kind == "float32" and math.isinf(stored) and math.isfinite(value)):
                return stored
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
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS:
        raise PrepareError(f"{stem} has more than {MOST_PIXELS // 10**6} megapixels, which Pillow refuses to read.")
    return {"bytes": encode_png(picture), "path": f"{stem}.png"}
