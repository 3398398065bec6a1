"""The rows of each view: their features, and Arrow tables of them, a video (or a moment's cameras) at a time.

Tables rather than rows, because ``datasets`` writes tables fifty times faster; matrices are lists of fixed length
rather than ``Array2D``, because those read seven times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import Features, Image, Value
from numpy.typing import NDArray

from .camera import resize_intrinsics, scaled_size
from .capture import CameraFacts, VideoFacts
from .features import VideoFrame
from .layout import AssetPath, canonical_sequence
from .private_video import PrivateVideo
from .timesteps import Timesteps

VIEWS = ("frame", "timestep", "video", "background", "participant")


@dataclass(frozen=True)
class View:
    """One camera's video with all that a row says of it."""

    asset: AssetPath
    path: str
    video: VideoFacts
    camera: CameraFacts

    @property
    def sequence(self) -> str:
        """The sequence in its current spelling; the path has the server's."""
        return canonical_sequence(self.asset.sequence or "")


def _list(feature: Any, length: int = -1) -> Any:
    """A list feature; ``datasets`` before 4.0 calls it Sequence."""
    return (getattr(datasets, "List", None) or datasets.Sequence)(feature, length=length)


def _matrix(rows: int, columns: int = -1) -> Any:
    return _list(_list(Value("float64"), columns), rows)


def features_of(view: str, frame: VideoFrame, table_columns: Sequence[str] = ()) -> Features:
    """The features of a view.

    Args:
        view: One of ``VIEWS``.
        frame: The feature of frames, for the views that have them.
        table_columns: Columns of the metadata CSVs, for the view ``participant``.
    """
    ids = {"participant": Value("int32"), "sequence": Value("string")}
    size = {"width": Value("int32"), "height": Value("int32")}
    matrices = {"intrinsics": _matrix(3, 3), "world_to_camera": _matrix(4, 4), "ccm": _matrix(3)}
    camera = {"camera": Value("string")}
    timestep = {"timestep": Value("int32")}
    if view == "frame":
        return Features({**ids, **camera, **timestep, "frame": frame, **size, **matrices})
    if view == "timestep":
        lists = {"cameras": camera["camera"], "frames": frame, **size, **matrices}
        return Features({**ids, **timestep, **{name: _list(feature) for name, feature in lists.items()}})
    if view == "video":
        facts = {"video": PrivateVideo(), "num_frames": Value("int32"), "fps": Value("float64")}
        return Features({**ids, **camera, **facts, **size, **matrices})
    if view == "background":
        return Features({"participant": ids["participant"], **camera, "image": Image(), **matrices})
    cells = {name: Value("string") for name in table_columns}
    return Features({"participant": ids["participant"], "sequences": _list(Value("string")), **cells})


def frame_table(view: View, timesteps: Timesteps, frame: VideoFrame, features: Features) -> pa.Table:
    """Rows of the view ``frame``: the wanted timesteps of one video."""
    wanted = timesteps.within(view.video.num_frames)
    size, intrinsics = _scaled(view, frame)
    count = len(wanted)
    columns = {
        "participant": _repeat(view.asset.participant, pa.int32(), count),
        "sequence": _repeat(view.sequence, pa.string(), count),
        "camera": _repeat(view.asset.camera, pa.string(), count),
        "timestep": pa.array(wanted),
        "frame": _references(_repeat(view.path, pa.string(), count), pa.array(wanted)),
        "width": _repeat(size[0], pa.int32(), count),
        "height": _repeat(size[1], pa.int32(), count),
        "intrinsics": _matrices(np.broadcast_to(intrinsics, (count, 3, 3))),
        "world_to_camera": _matrices(np.broadcast_to(view.camera.world_to_camera, (count, 4, 4))),
        "ccm": _ragged([view.camera.ccm], np.zeros(count, np.int64)),
    }
    return pa.table(list(columns.values()), schema=features.arrow_schema)


def timestep_table(views: Sequence[View], timesteps: Timesteps, frame: VideoFrame, features: Features) -> pa.Table:
    """Rows of the view ``timestep``: each moment with the cameras that have its frame, in rig order."""
    wanted = timesteps.within(max(view.video.num_frames for view in views))
    has = wanted[:, None] < np.array([view.video.num_frames for view in views])[None]
    moment, which = np.nonzero(has)
    offsets = pa.array(np.concatenate([[0], np.cumsum(has.sum(1))]), pa.int32())
    scaled = [_scaled(view, frame) for view in views]
    count = len(wanted)

    def lists(values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(offsets, values)

    def taken(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(pa.array(which))

    columns = {
        "participant": _repeat(views[0].asset.participant, pa.int32(), count),
        "sequence": _repeat(views[0].sequence, pa.string(), count),
        "timestep": pa.array(wanted),
        "cameras": lists(taken([view.asset.camera for view in views], pa.string())),
        "frames": lists(_references(taken([view.path for view in views], pa.string()), pa.array(wanted[moment]))),
        "width": lists(taken([size[0] for size, _ in scaled], pa.int32())),
        "height": lists(taken([size[1] for size, _ in scaled], pa.int32())),
        "intrinsics": lists(_matrices(np.stack([intrinsics for _, intrinsics in scaled])[which])),
        "world_to_camera": lists(_matrices(np.stack([view.camera.world_to_camera for view in views])[which])),
        "ccm": lists(_ragged([view.camera.ccm for view in views], which)),
    }
    return pa.table(list(columns.values()), schema=features.arrow_schema)


def video_table(view: View, features: Features) -> pa.Table:
    """The row of the view ``video``."""
    row = {
        "participant": view.asset.participant,
        "sequence": view.sequence,
        "camera": view.asset.camera,
        "video": {"bytes": None, "path": view.path},
        "num_frames": view.video.num_frames,
        "fps": view.video.fps,
        "width": view.video.width,
        "height": view.video.height,
        **_camera_cells(view.camera),
    }
    return pa.Table.from_pylist([row], schema=features.arrow_schema)


def background_table(rows: Sequence[tuple[AssetPath, str, CameraFacts]], features: Features) -> pa.Table:
    """Rows of the view ``background``: asset, path and calibration of each still."""
    cells = [
        {
            "participant": asset.participant,
            "camera": asset.camera,
            "image": {"bytes": None, "path": path},
            **_camera_cells(camera),
        }
        for asset, path, camera in rows
    ]
    return pa.Table.from_pylist(cells, schema=features.arrow_schema)


def _camera_cells(camera: CameraFacts) -> dict[str, Any]:
    return {
        "intrinsics": camera.intrinsics.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "ccm": camera.ccm.tolist(),
    }


def _scaled(view: View, frame: VideoFrame) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Size of the pictures that a row gives, and the intrinsics that belong to it."""
    full = (view.video.width, view.video.height)
    size = scaled_size(full, frame.scale, frame.size)
    return size, resize_intrinsics(view.camera.intrinsics, full, size)


def _repeat(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


def _references(paths: pa.Array, timesteps: pa.Array) -> pa.StructArray:
    return pa.StructArray.from_arrays([paths, timesteps], fields=list(VideoFrame.pa_type))


def _matrices(stack: NDArray[np.float64]) -> pa.Array:
    """``(N, rows, columns)`` as an array of N nested lists of fixed lengths."""
    flat = pa.array(np.ascontiguousarray(stack).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, stack.shape[2]), stack.shape[1])


def _ragged(matrices: Sequence[NDArray[np.float64]], which: NDArray[np.int64]) -> pa.Array:
    """Matrices of 3 rows picked by ``which``, as nested lists whose inner length is the matrix's own."""
    kind = pa.list_(pa.list_(pa.float64()), 3)
    return pa.array([matrix.tolist() for matrix in matrices], kind).take(pa.array(which))
