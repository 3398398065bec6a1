"""The ``VideoFrame`` feature: a column of references to frames, decoded only when read."""

from __future__ import annotations

import operator
import os
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import FrameError, SelectionError
from .frame_files import frame_url, parse_frame_url
from .frames import COLOR_ORDERS, RESIZE_FIRST, FrameOptions, FrameReference, read_frame
from .pictures import FramePicture
from .written import index_of, switch_of

if TYPE_CHECKING:
    import PIL.Image

_REFERENCES_ONLY = "A VideoFrame column stores references to frames"
_KEEP_PICTURES = (
    "A picture that was changed, also in place, is no frame any more. To leave the column as it is, change a copy: "
    'row["frame"].copy(). To keep changed pictures, return them as a new column, which becomes one of type '
    "datasets.Image, or give map(..., features=...) in which this column is a datasets.Image."
)
_NO_ARRAYS = (
    "Does the data set have a format, such as numpy or torch? Its rows give arrays, which are no frames any more: map "
    'without it, ds.with_format(None).map(...).with_format("torch"), or return other columns alone.'
)


@dataclass
class VideoFrame:
    """A frame of a video, stored as (path, timestep) and decoded when it is read.

    Read as a ``PIL.Image.Image`` in RGB; with numpy and torch formats as arrays.  The frame is exact: by index in
    presentation order, whatever the file's structure.  A frame that cannot be decoded whole raises; no other is ever
    given for it.

    Args:
        decode: False gives the reference ``{"path": ..., "timestep": ...}`` instead.
        scale: Resize by this factor while decoding, such as 0.25.
        size: Resize to this (width, height) while decoding; excludes ``scale``.
        color_correction: Apply the colour-correction matrix of the camera, which is found beside the video in the
            published layout.
        color_order: ``resize_first``, as the official kit does, or ``correct_first``, which corrects the full picture
            and costs more; they differ at edges.

    An ``intrinsics`` column belongs to the scale and size that the data set was loaded with; casting a column to
    another one does not change it (see ``nersemble.resize_intrinsics``).

    Raises:
        FrameError: On reading, if the frame cannot be decoded exactly.
        SelectionError: If the arguments contradict each other.
    """

    decode: bool = True
    scale: float | None = None
    size: tuple[int, int] | None = None
    color_correction: bool = False
    color_order: str = RESIZE_FIRST
    id: str | None = field(default=None, repr=False)

    dtype: ClassVar[str] = "PIL.Image.Image"
    pa_type: ClassVar[pa.DataType] = pa.struct({"path": pa.string(), "timestep": pa.int32()})
    _type: str = field(default="VideoFrame", init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("decode", "color_correction"):  # kept with every table that has such a column
            setattr(self, name, switch_of(getattr(self, name), name))
        self.scale, self.size = check_resize(self.scale, self.size)
        check_color_order(self.color_order)

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> dict[str, Any]:
        """Take a reference: a dict with ``path`` and ``timestep``, a tuple of the two, or an unchanged picture."""
        name = getattr(value, "filename", None)
        if isinstance(value, dict) and set(value) == {"path", "bytes"} and value["bytes"] is None:
            name = value["path"]
        if frame := self._frame_named(name):
            path, timestep = frame.path, frame.timestep
        elif isinstance(value, dict) and {"path", "timestep"} <= set(value):
            path, timestep = value["path"], value["timestep"]
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            path, timestep = value
        else:
            cause = _NO_ARRAYS if hasattr(value, "shape") else _KEEP_PICTURES
            raise FrameError(f"{_REFERENCES_ONLY}, not {type(value).__name__}. {cause}")
        path, timestep = _check_reference(path, timestep)
        return {"path": path, "timestep": timestep}

    def decode_example(self, value: dict[str, Any], token_per_repo_id: Any = None) -> PIL.Image.Image:
        """Decode a reference to a picture."""
        if not self.decode:
            raise RuntimeError("Decoding is turned off for this column; cast it to VideoFrame(decode=True).")
        reference = self.reference(value)
        # As with pictures read from files, `datasets` stores the name instead of pixels when a row is written again.
        return FramePicture(read_frame(reference), frame_url(reference))

    def reference(self, value: dict[str, Any]) -> FrameReference:
        """The frame that a stored value refers to, as this feature gives it.

        Raises:
            FrameError: If the value is no reference.
        """
        if not isinstance(value, dict):
            raise FrameError(f"{_REFERENCES_ONLY}, dicts of path and timestep, not {type(value).__name__}.")
        path, timestep = _check_reference(value.get("path"), value.get("timestep"))
        return FrameReference(path, timestep, self._options)

    @property
    def _options(self) -> FrameOptions:
        order = self.color_order if self.color_correction else RESIZE_FIRST
        return FrameOptions(self.scale, self.size, self.color_correction, order)

    def _frame_named(self, name: Any) -> FrameReference | None:
        """The frame whose picture has this name, None if it is the name of something else."""
        frame = parse_frame_url(name) if isinstance(name, str) else None
        if frame is not None and frame.options != self._options:
            raise FrameError(
                f"A picture that was read with {frame.options} would come back as another one from a column that is "
                f"read with {self._options}. Cast the columns to the same VideoFrame(...), or keep the picture in a "
                'column of type datasets.Image: row["frame"].copy().'
            )
        return frame

    def cast_storage(self, storage: pa.Array) -> pa.StructArray:
        """Cast an Arrow array of references, whatever the order and width of its fields.

        Raises:
            FrameError: If it holds something else; a row may be null, a part of a reference may not.
        """
        if pa.types.is_null(storage.type):  # rows without a frame, all of them
            return pa.nulls(len(storage), self.pa_type)
        storage = self._from_pictures(storage)
        if not pa.types.is_struct(storage.type) or {f.name for f in storage.type} != {"path", "timestep"}:
            cause = _KEEP_PICTURES if pa.types.is_struct(storage.type) else _NO_ARRAYS
            raise FrameError(f"{_REFERENCES_ONLY}, struct<path, timestep>, not {storage.type}. {cause}")
        paths, timesteps = _parts(storage)
        return pa.StructArray.from_arrays(
            [paths, timesteps], fields=list(self.pa_type), mask=storage.is_null() if storage.null_count else None
        )

    def _from_pictures(self, storage: pa.Array) -> pa.Array:
        """References from what ``datasets`` makes of unchanged pictures: ``{"path": filename, "bytes": None}``."""
        if not pa.types.is_struct(storage.type) or {f.name for f in storage.type} != {"path", "bytes"}:
            return storage
        embedded = storage.field("bytes").is_valid().to_pylist()
        names = storage.field("path").to_pylist()
        found = [None if inside else self._frame_named(name) for name, inside in zip(names, embedded, strict=True)]
        valid = storage.is_valid().to_pylist()
        others = sum(one and frame is None for one, frame in zip(valid, found, strict=True))
        if others:
            raise FrameError(f"{_REFERENCES_ONLY}; {others} of {len(storage)} pictures are none. {_KEEP_PICTURES}")
        rows = [{"path": one.path, "timestep": one.timestep} if one else None for one in found]
        return pa.array(rows, self.pa_type)

    def embed_storage(
        self, storage: pa.Array, token_per_repo_id: Any = None, local_files: bool = True, remote_files: bool = False
    ) -> pa.Array:
        """Leave references as they are where a data set is saved for oneself; refuse to push them.

        ``datasets`` asks for remote files too when it writes for others.  They could not read the references, and
        pictures of people are not shared by accident.
        """
        if not remote_files:
            return storage
        raise FrameError(
            "This column holds references to videos, not pictures, so it cannot be pushed or written to a file for "
            "others: they could not read it. Turn it into pictures of their own first: "
            'ds.map(lambda row: {"image": row["frame"].copy()}, remove_columns="frame"). Pictures of people are shared '
            "by `nersemble prepare` and `nersemble push`, which keep them private."
        )

    def flatten(self) -> Any:
        """The column's parts, if it is not decoded."""
        from datasets import Value

        return self if self.decode else {"path": Value("string"), "timestep": Value("int32")}


def _check_reference(path: Any, timestep: Any) -> tuple[str, int]:
    """The two, as plain values.

    Raises:
        FrameError: If they are no path or no number of a frame.
    """
    try:
        path = os.fspath(path)
        number = None if isinstance(timestep, bool) else operator.index(timestep)
    except TypeError:  # said below
        number = None
    if not isinstance(path, str) or not path or number is None or not -(2**31) <= number < 2**31:
        raise FrameError(
            "A reference to a frame is the path of a video and a timestep, a whole number counted from 0, not "
            f"{reprlib.repr(path)} and {reprlib.repr(timestep)}. Was it made from a table with gaps? Where there is no "
            "frame, store None for the whole reference, or leave the row out."
        )
    return path, number


def _parts(storage: pa.StructArray) -> tuple[pa.Array, pa.Array]:
    """Paths and timesteps of an array of references, each checked."""
    paths, timesteps = storage.field("path"), storage.field("timestep")
    try:
        if _is(paths, pa.types.is_string, pa.types.is_large_string) and _is(timesteps, pa.types.is_integer):
            paths, timesteps = paths.cast(pa.string()), timesteps.cast(pa.int32())
            whole = pc.and_(pc.greater(pc.binary_length(paths), 0), timesteps.is_valid()).fill_null(False)
            if pc.all(pc.or_(whole, storage.is_null())).as_py() is not False:
                return paths, timesteps
    except pa.ArrowInvalid:  # a number too large; said below
        pass
    for one in storage.to_pylist():
        if one is not None:
            _check_reference(one["path"], one["timestep"])
    raise FrameError(f"{_REFERENCES_ONLY}, struct<path: string, timestep: int32>, not {storage.type}.")


def _is(values: pa.Array, *kinds: Callable[[pa.DataType], bool]) -> bool:
    return any(kind(values.type) for kind in (*kinds, pa.types.is_null))


def check_resize(scale: Any, size: Any) -> tuple[float | None, tuple[int, int] | None]:
    """Check and normalise a scale and a size, of which at most one may be given; a scale of 1 is none.

    Raises:
        SelectionError: If they are not usable.
    """
    if scale is not None and size is not None:
        raise SelectionError("Give scale or size, not both.")
    if scale is not None:
        is_number = isinstance(scale, (int, float, np.integer, np.floating)) and not isinstance(scale, bool)
        if not is_number or not 0 < scale <= 8:
            raise SelectionError(f"scale is a factor above 0 and at most 8, such as 0.25, not {scale!r}.")
        return (None if scale == 1 else float(scale)), None
    if size is None:
        return None, None
    is_list = isinstance(size, (tuple, list)) or (isinstance(size, np.ndarray) and size.ndim == 1)
    sides = list(map(index_of, size)) if is_list else []
    width, height = sides if len(sides) == 2 else (None, None)
    if width is None or height is None or not (0 < width <= 16384 and 0 < height <= 16384):
        raise SelectionError(f"size is (width, height) in whole pixels, such as (550, 802), not {size!r}.")
    return None, (width, height)


def check_color_order(color_order: Any) -> None:
    """Refuse what is not one of the orders of resizing and colour correction.

    Raises:
        SelectionError: If it is not.
    """
    if color_order not in COLOR_ORDERS:
        raise SelectionError(f"color_order is one of {', '.join(COLOR_ORDERS)}, not {color_order!r}.")
